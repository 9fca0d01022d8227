"""Drawing from a prior whose distribution is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import pose, schedule
from diffjax.methods import diffannot, prior_samples

pytestmark = pytest.mark.usefixtures("quick_to_compile")
TABLE = schedule.make_schedule("cosine", 1000)
CENTER, SPREAD = 0.3, 0.1


def gaussian(x_t, t, context):
    """The mean of x_0 given x_t, of x_0 = N(0.3 + context, 0.1^2)."""
    bar = jnp.asarray(TABLE.alpha_bar, x_t.dtype)[t]
    center = CENTER if context is None else CENTER + context
    gain = jnp.sqrt(bar) * SPREAD**2 / (bar * SPREAD**2 + 1 - bar)
    return center + gain * (x_t - jnp.sqrt(bar) * center)


PRIOR = diffannot.Prior(gaussian, TABLE, pose.identity_normaliser(144))


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_samples_are_those_of_the_distribution(eta):
    how = {"start": 990, "stride": 10}  # What is left of the noise at the last step is not drawn.
    found = prior_samples.draw(PRIOR, jax.random.key(0), 20, 4, eta=eta, **how)
    assert found.shape == (20, 4, 144)
    np.testing.assert_allclose(found.mean(), CENTER, atol=5e-3)
    np.testing.assert_allclose(found.std(), SPREAD, atol=0.02)


def test_each_row_has_its_own_condition():
    context = jnp.asarray([[0.0], [0.4]])
    found = prior_samples.draw(PRIOR, jax.random.key(1), 8, 2, context)
    np.testing.assert_allclose(found.mean((0, 2)), [0.3, 0.7], atol=0.02)


def test_nineteen_calls_each_held_below_the_limit():
    asked = []

    def wild(x_t, t, context):
        jax.debug.callback(lambda time: asked.append(int(time)), t, ordered=True)
        return 5.0 * jnp.ones_like(x_t)

    prior = PRIOR._replace(denoiser=wild)
    found = jax.block_until_ready(prior_samples.draw(prior, jax.random.key(0), 1, 1))
    jax.effects_barrier()
    assert asked == list(range(950, 0, -50))
    assert (found == 1.0).all()
