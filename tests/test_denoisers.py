import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import config, denoisers, schedule
from diffjax.denoisers import mlp

PARITY = pathlib.Path(__file__).parent / "parity"
KINDS = {
    "paper": config.Model(kind="paper", width=20, depth=2, vector="sixd144"),
    "legacy": config.Model(kind="paper", width=20, depth=2, vector="sixd144", legacy=True),
    "residual": config.Model(width=16, depth=2, vector="sixd144"),
    "gelu": config.Model(width=16, depth=2, vector="sixd144", activation="gelu"),
    "conditioned paper": config.Model(
        kind="paper", width=20, vector="sixd144", condition=("estimate", "keypoints")
    ),
    "conditioned residual": config.Model(
        width=16, vector="sixd144", condition=("keypoints", "estimate")
    ),
}


def random_params(params, key):
    """All parameters random: the zero-initialised layers too."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    drawn = [0.2 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves)]
    return jax.tree.unflatten(tree, drawn)


def make(kind, batch=(5,), diffusion=None):
    network = denoisers.make_network(KINDS[kind], diffusion or config.Diffusion())
    keys = jax.random.split(jax.random.key(1), 4)
    x = jax.random.normal(keys[0], (*batch, 144))
    context = {
        "estimate": jax.random.normal(keys[1], (*batch, 144)),
        "keypoints": 100.0 * jax.random.uniform(keys[2], (*batch, 17, 3)),
    }
    params = denoisers.init_params(keys[3], network, x, context)
    return network, random_params(params, keys[3]), x, context


def test_paper_mlp_equals_the_authors():
    """tests/parity/original_mlp_226.py made the arrays from the authors' module."""
    golden = np.load(PARITY / "original_mlp_226.npz")
    network = mlp.PaperMLP(size=226, output_size=226, legacy=True)
    params = {}
    for name in golden.files:
        if "/" in name:
            layer, leaf = name.split("/")
            params.setdefault(layer, {})[leaf] = jnp.asarray(golden[name])
    y = network.apply({"params": params}, jnp.asarray(golden["x"]), jnp.asarray(golden["t"]))
    np.testing.assert_allclose(y, golden["y"], atol=1e-5)
    linear = mlp.PaperMLP(size=226, output_size=226)
    raw = linear.apply({"params": params}, jnp.asarray(golden["x"]), jnp.asarray(golden["t"]))
    np.testing.assert_allclose(np.maximum(raw, 0), y, atol=1e-6)
    assert np.min(raw) < 0


def test_paper_mlp_has_the_papers_layers():
    network = denoisers.make_network(
        config.Model(kind="paper", width=226, depth=2, vector="rotmat226"), config.Diffusion()
    )
    params = denoisers.init_params(jax.random.key(0), network, jnp.zeros((1, 226)))
    assert sorted(params) == ["layer_0", "layer_1", "layer_2", "time_0", "time_1"]
    assert denoisers.count_params(params) == 256_510


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_a_table_equals_the_plain_network(kind, batch):
    network, params, x, context = make(kind, batch)
    process = schedule.make_schedule("linear", 50, "10")
    t = jnp.arange(np.prod(batch, dtype=int)).reshape(batch) % 10
    plain = denoisers.bind(network, params, process, tables=False)(x, t, context)
    fast = denoisers.bind(network, params, process)(x, t, context)
    np.testing.assert_allclose(fast, plain, atol=1e-5 * np.max(np.abs(plain)))
    assert fast.shape == x.shape


@pytest.mark.parametrize("kind", KINDS)
def test_columns_equal_rows(kind):
    network, params, x, context = make(kind, (7,))
    denoise = denoisers.bind(network, params, schedule.make_schedule("linear", 50))
    rows, columns = denoise(x, 3, context), denoise.columns(x.T, 3, context)
    np.testing.assert_allclose(columns.T, rows, atol=1e-5 * np.max(np.abs(rows)))


@pytest.mark.parametrize("kind", ["paper", "residual"])
def test_bfloat16_is_near(kind):
    network, params, x, context = make(kind, (7,))
    process = schedule.make_schedule("linear", 50)
    exact = denoisers.bind(network, params, process)(x, 3, context)
    rough = denoisers.bind(network, params, process, dtype=jnp.bfloat16)(x, 3, context)
    assert rough.dtype == jnp.float32
    assert 1e-5 < np.abs(rough - exact).mean() / np.abs(exact).mean() < 0.02


@pytest.mark.parametrize("prediction", ["eps", "x_0", "v"])
def test_a_prediction_is_converted_to_x_0_at_the_networks_own_time(prediction):
    network, params, x, context = make("residual")
    process = schedule.make_schedule("linear", 50, "10")
    denoise = denoisers.bind(network, params, process, prediction)
    out = network.apply({"params": params}, x, jnp.full(5, int(process.network_time[7])))
    signal, noise = process.signal[7], process.noise[7]
    wanted = {"eps": (x - noise * out) / signal, "x_0": out, "v": signal * x - noise * out}
    for t in (7, jnp.full(5, 7)):
        np.testing.assert_allclose(denoise(x, t, context), wanted[prediction], atol=1e-4)


def test_an_unknown_prediction_is_refused():
    network, params, _, _ = make("residual")
    with pytest.raises(ValueError, match="wanted one of"):
        denoisers.bind(network, params, schedule.make_schedule("linear", 50), "noise")


def test_learned_variances_are_left_out_of_x_0():
    learned = config.Diffusion(variance="learned_range")
    network, params, x, context = make("residual", diffusion=learned)
    process = schedule.make_schedule("linear", 50)
    assert network.apply({"params": params}, x, jnp.zeros(5, jnp.int32)).shape == (5, 288)
    assert denoisers.bind(network, params, process)(x, 3, context).shape == (5, 144)


@pytest.mark.parametrize("kind", ["conditioned paper", "conditioned residual"])
@pytest.mark.parametrize("condition", ["estimate", "keypoints"])
def test_a_condition_changes_the_output(kind, condition):
    network, params, x, context = make(kind)
    denoise = denoisers.bind(network, params, schedule.make_schedule("linear", 50))
    other = context | {condition: context[condition][::-1]}
    assert np.max(np.abs(denoise(x, 3, context) - denoise(x, 3, other))) > 1e-3


def test_a_missing_condition_is_refused():
    network, params, x, context = make("conditioned residual")
    denoise = denoisers.bind(network, params, schedule.make_schedule("linear", 50))
    with pytest.raises(ValueError, match="keypoints"):
        denoise(x, 3, {"estimate": context["estimate"]})


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_keypoint_features_do_not_change_with_place_and_size(batch):
    keypoints = 300.0 * jax.random.uniform(jax.random.key(0), (*batch, 17, 3))
    moved = keypoints.at[..., :2].set(2.5 * keypoints[..., :2] + 40.0)
    features = mlp.keypoint_features(keypoints)
    assert features.shape == (*batch, 51)
    np.testing.assert_allclose(features, mlp.keypoint_features(moved), atol=1e-4)


def test_keypoints_without_confidence_are_not_seen():
    keypoints = jax.random.uniform(jax.random.key(0), (17, 3)).at[3, 2].set(0.0)
    elsewhere = keypoints.at[3, :2].set(1e4)
    seen, same = mlp.keypoint_features(keypoints), mlp.keypoint_features(elsewhere)
    np.testing.assert_array_equal(seen, same)
    none = mlp.keypoint_features(keypoints.at[:, 2].set(0.0))
    np.testing.assert_array_equal(none, jnp.zeros(51))


@pytest.mark.parametrize("size", [226, 7])
def test_the_sinusoid_has_cosines_first(size):
    embedding = mlp.sinusoid(jnp.asarray([0, 3]), size)
    half = size // 2
    np.testing.assert_allclose(embedding[0, :half], 1.0)
    np.testing.assert_allclose(embedding[1, half], np.sin(3.0), atol=1e-6)
    assert embedding.shape == (2, size)
