"""ScoreHMR's network: parity with its public implementation, its size, and the laws of the split call."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import denoisers, schedule
from diffjax.convert import scorehmr_weights
from diffjax.denoisers import conditioned, mlp

pytestmark = pytest.mark.usefixtures("quick_to_compile")
_PARITY = Path(__file__).parent / "parity"


@pytest.fixture(scope="module")
def golden():
    """One call of the public implementation, by tests/parity/make_scorehmr_network.py."""
    with np.load(_PARITY / "scorehmr_network.npz") as file:
        arrays = {name: file[name] for name in file.files}
    state = {k[len("state_dict/") :]: v for k, v in arrays.items() if k.startswith("state_dict/")}
    converted = scorehmr_weights.arrays_of(state, "golden")
    settings = json.loads(str(converted["facts"]))["pose"]
    inputs = [jnp.asarray(arrays[name]) for name in ("x", "t", "cond", "eps")]
    return conditioned.ConditionedMLP(**settings), conditioned.params_of(converted), *inputs


def test_the_network_equals_the_public_one(golden):
    network, params, x, t, cond, eps = golden
    apply = jax.jit(network.apply)
    found = apply({"params": params}, x, t.astype(jnp.int32), {"features": cond})
    np.testing.assert_allclose(found, eps, atol=1e-5)


def _count(network):
    x, features = jnp.zeros((1, network.size)), jnp.zeros((1, network.condition_size))
    init = jax.eval_shape(
        network.init, jax.random.key(0), x, jnp.zeros((1,), jnp.int32), {"features": features}
    )
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(init))


def test_the_released_network_has_11_307_024_parameters():
    assert _count(conditioned.ConditionedMLP()) == 11_307_024
    assert _count(conditioned.ConditionedMLP(condition_size=2048)) == 8_155_152
    betas = conditioned.ConditionedMLP(size=10, depth=2, condition_size=1536)
    assert _count(betas) == 3_202_976


def test_gelu_is_exact_and_ends_every_block(golden):
    """With weights of 0 but a last bias b, a block adds GELU(b), by the error function."""
    block = conditioned.Block(size=2, hidden=3)
    h, film = jnp.ones((1, 2)), jnp.zeros((4,))
    shapes = jax.eval_shape(block.init, jax.random.key(0), h, film, None)["params"]
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    params["linear_2"]["bias"] = jnp.asarray([-0.7, 2.0])
    found = jax.jit(block.apply)({"params": params}, h, film, None)
    np.testing.assert_allclose(found[0], [1 - 0.7 * 0.2419637, 1 + 2.0 * 0.9772499], atol=1e-6)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
@pytest.mark.parametrize("size", [0, 5])
def test_any_batch_and_any_condition_width(batch, size):
    network = conditioned.ConditionedMLP(size=6, hidden=4, depth=2, condition_size=size)
    x, features = jnp.ones((*batch, 6)), jnp.ones((*batch, size))
    context = {"features": features} if size else None
    variables = jax.jit(network.init)(jax.random.key(0), x, jnp.asarray(3), context)
    out = jax.jit(network.apply)(variables, x, jnp.asarray(3), context)
    assert out.shape == x.shape
    if size:
        with pytest.raises(ValueError, match="wanted 5 features, found 4"):
            jax.eval_shape(
                network.apply, variables, x, jnp.asarray(3), {"features": features[..., :4]}
            )
        with pytest.raises(ValueError, match=r"wanted features, found \[\]"):
            jax.eval_shape(network.apply, variables, x, jnp.asarray(3), None)


def test_steps_become_a_table_and_rows_columns(golden):
    """As a denoiser over columns it gives what it gives over rows."""
    network, params, x, _, cond, _ = golden
    bound = denoisers.bind(network, params, schedule.make_schedule("cosine", 20))
    context = {"features": cond}
    rows = bound(x, 7, context)
    np.testing.assert_allclose(bound.columns(x.T, 7, context).T, rows, atol=2e-5)
    eps = jax.jit(network.apply)({"params": params}, x, jnp.asarray(7), context)
    table = schedule.make_schedule("cosine", 20)
    wanted = (np.asarray(x) - table.noise[7] * np.asarray(eps)) / table.signal[7]
    np.testing.assert_allclose(rows, wanted, atol=2e-5)
    assert mlp.turned(params)["inward"]["kernel"].shape == params["inward"]["kernel"].shape
