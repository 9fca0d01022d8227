"""The step as sines and cosines."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import step_embedding


def test_sines_come_first_and_the_last_period_is_reached():
    t = jnp.asarray([0, 7, 999])
    found = np.asarray(step_embedding.sinusoid(t, 12))
    np.testing.assert_allclose(found[:, 0], np.sin([0, 7, 999]), atol=1e-4)
    np.testing.assert_allclose(found[:, 5], np.sin(np.array([0, 7, 999]) / 10000), atol=1e-6)
    np.testing.assert_allclose(found[:, 11], np.cos(np.array([0, 7, 999]) / 10000), atol=1e-6)
    odd = step_embedding.sinusoid(jnp.asarray(3), 7)
    assert odd.shape == (7,)
    assert odd[6] == 0


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_leading_axes_are_free(batch):
    t = jnp.full(batch, 5)
    found, one = (step_embedding.sinusoid(x, 8) for x in (t, jnp.asarray(5)))
    np.testing.assert_array_equal(found, np.broadcast_to(one, (*batch, 8)))
