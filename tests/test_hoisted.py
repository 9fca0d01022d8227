"""The network of a loop is the plain network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.denoisers import conditioned, hoisted

pytestmark = pytest.mark.usefixtures("quick_to_compile")
DEPTH = 3


@pytest.fixture(scope="module", params=[0, 40, 3072], ids="{} features".format)
def both(request):
    """(the plain network and its weights, the folded one, features of five)"""
    size = request.param
    network = conditioned.ConditionedMLP(size=24, hidden=48, depth=DEPTH, condition_size=size)
    random = np.random.default_rng(0)
    features = jnp.asarray(random.normal(size=(5, size)), jnp.float32)
    x, t = jnp.zeros((5, 24)), jnp.zeros(5, jnp.int32)
    params = network.init(jax.random.key(0), x, t, {"features": features})["params"]
    # Norms and biases as training leaves them, not as they begin.
    params = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(0.1 * random.normal(size=leaf.shape), leaf.dtype), params
    )
    times = network.apply({"params": params}, jnp.arange(1000), method="time_features")
    return network, params, hoisted.fold(params, times, DEPTH), features


@pytest.mark.parametrize("step", [0, 50, 999])
def test_the_hoisted_network_equals_the_plain_one(both, step):
    network, params, folded, features = both
    x = jnp.asarray(np.random.default_rng(step).normal(size=(5, 24)), jnp.float32)
    plain = network.apply({"params": params}, x, jnp.full(5, step), {"features": features})
    context = hoisted.project(folded, features)
    found = jax.jit(hoisted.predict)(folded, x, jnp.asarray(step), context)
    np.testing.assert_allclose(found, plain, atol=1e-5 * float(jnp.abs(plain).max()))


def test_features_are_no_cost_of_the_loop():
    """A twelfth of the products at the released size, as XLA counts them."""
    network = conditioned.ConditionedMLP()
    x, t = jnp.zeros((8, 144)), jnp.zeros(8, jnp.int32)
    features = jnp.zeros((8, 3072))

    def make(key):
        params = network.init(key, x, t, {"features": features})["params"]
        times = network.apply({"params": params}, jnp.arange(4), method="time_features")
        folded = hoisted.fold(params, times, DEPTH)
        return params, folded, hoisted.project(folded, features)

    params, folded, context = jax.eval_shape(make, jax.random.key(0))
    plain = jax.jit(lambda p, x, t, c: network.apply({"params": p}, x, t, {"features": c}))
    costs = [
        jax.jit(function).lower(*arguments).cost_analysis()["flops"]
        for function, arguments in (
            (plain, (params, x, t, features)),
            (hoisted.predict, (folded, x, jnp.asarray(0), context)),
        )
    ]
    assert costs[0] / costs[1] > 10  # 12.2 of the products alone.
