"""The network with a token a frame: it sees the person in metres, and its reach in time is what it states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.denoisers import frames

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def test_metric_2d_of_a_far_person_is_that_person(rng):
    x = jnp.asarray(rng.normal(size=(2, 5, 3)), jnp.float32)
    seen, middle, metres = frames.metric_2d(x[..., :2] / 7.0 + 0.2, x)
    about = x[..., :2] - jnp.mean(x[..., :2], -2, keepdims=True)
    np.testing.assert_allclose(seen, about, atol=1e-5)
    np.testing.assert_allclose(metres, 7.0, rtol=1e-5)
    np.testing.assert_allclose(middle, jnp.mean(x[..., :2], -2, keepdims=True) / 7 + 0.2, atol=1e-5)


def test_beyond_the_ends_stands_the_end():
    h = jnp.arange(4.0)[:, None]
    assert frames.moved(h, 1)[:, 0].tolist() == [1, 2, 3, 3]
    assert frames.moved(h, -9)[:, 0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_a_new_network_says_nothing_and_a_frame_reaches_its_neighbours(batch, rng):
    network = frames.FrameDenoiser(width=8, blocks=1)
    x = jnp.asarray(rng.normal(size=(*batch, 5, 17, 3)), jnp.float32)
    p, t = x[..., :2] / 5.0, jnp.zeros(batch, jnp.int32)
    params = jax.jit(network.init)(jax.random.key(0), x, p, t)["params"]
    apply = jax.jit(network.apply)
    assert not apply({"params": params}, x, p, t).any()
    kernel = jnp.asarray(rng.normal(size=params["outward"]["kernel"].shape), jnp.float32)
    params = params | {"outward": params["outward"] | {"kernel": kernel}}
    one, other = (apply({"params": params}, a, p, t) for a in (x, x.at[..., 0, 3, :].add(0.5)))
    assert one.shape == x.shape
    changed = (jnp.abs(one - other).max((-1, -2)) > 1e-5).reshape(-1, 5)
    assert changed.tolist() == [[True, True, False, False, False]] * len(changed)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_a_lifter_sees_where_and_how_large_a_person_is(batch, rng):
    network = frames.FrameLifter(width=8, blocks=1)
    p = jnp.asarray(0.1 * rng.normal(size=(*batch, 5, 17, 2)), jnp.float32)
    params = jax.jit(network.init)(jax.random.key(0), p)["params"]
    lift = jax.jit(lambda p: network.apply({"params": params}, p))
    here = lift(p)
    assert here.shape == (*p.shape[:-1], 3)
    for other in (p + 0.1, 2.0 * p, p.at[..., 2, 0, 0].add(0.05)):
        assert jnp.abs(lift(other) - here).max() > 1e-4
    far = jnp.abs(lift(p.at[..., 1:, 3, :].multiply(1.0 + 1e-6)) - here).max()
    assert far < 1e-4
    assert jnp.isfinite(lift(jnp.zeros_like(p))).all()
