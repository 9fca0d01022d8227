import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import checkpoint, config, denoisers, pose

RUN = config.Run(
    model=config.Model(width=8, depth=1, condition=("estimate", "keypoints")),
    diffusion=config.Diffusion(steps=30),
)


@pytest.fixture
def model(toy_body) -> checkpoint.Model:
    keys = jax.random.split(jax.random.key(0), 3)
    network = denoisers.make_network(RUN.model, RUN.diffusion)
    context = {"estimate": jnp.zeros((1, 154)), "keypoints": jnp.zeros((1, 17, 3))}
    params = denoisers.init_params(keys[0], network, jnp.zeros((1, 154)), context)
    # The head starts at zero; here every layer shall count.
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(keys[1], p.shape), params)
    statistics = np.abs(np.asarray(jax.random.normal(keys[2], (2, 154)))) + 0.1
    normaliser = pose.Normaliser(*statistics)
    return checkpoint.make_model(RUN, params, normaliser, checkpoint.digest(toy_body), 17)


def outputs(model: checkpoint.Model):
    keys = jax.random.split(jax.random.key(1), 3)
    x, estimate = (jax.random.normal(key, (4, 154)) for key in keys[:2])
    context = {"estimate": estimate, "keypoints": jax.random.uniform(keys[2], (4, 17, 3))}
    return np.asarray(checkpoint.denoiser(model)(x, 5, context))


def test_an_exported_model_is_the_same_model(model, toy_body, tmp_path):
    path = tmp_path / "model.npz"
    checkpoint.export(path, model)
    loaded = checkpoint.load_model(path, vector="sixd154", model=toy_body)
    np.testing.assert_array_equal(outputs(loaded), outputs(model))
    np.testing.assert_array_equal(loaded.normaliser.mean, model.normaliser.mean)
    np.testing.assert_array_equal(loaded.normaliser.std, model.normaliser.std)
    assert (loaded.run, loaded.keypoints) == (RUN, 17)
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


def test_a_working_directory_is_loaded_at_its_newest_step(model, tmp_path):
    facts = {"run": config.to_json(RUN), "body": model.body_digest, "keypoints": 17}
    for step, scale in ((1, 0.0), (2, 1.0)):
        params = jax.tree.map(lambda p, scale=scale: scale * p, model.params)
        items = {"ema": (params,), "normaliser": model.normaliser}
        checkpoint.save(tmp_path, step, items, facts)
    assert checkpoint.latest(tmp_path) == 2
    np.testing.assert_array_equal(outputs(checkpoint.load_model(tmp_path)), outputs(model))


def test_only_the_last_three_steps_are_kept_and_none_twice(tmp_path):
    for step in (1, 2, 3, 4, 4):
        checkpoint.save(tmp_path, step, {"x": {"a": jnp.full(2, step)}}, {"step": step})
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit())
    assert kept == ["2", "3", "4"]
    assert checkpoint.read_facts(tmp_path, 3) == {"step": 3}
    restored = checkpoint.restore(tmp_path, 4, {"x": {"a": jnp.zeros(2, jnp.int32)}})
    np.testing.assert_array_equal(restored["x"]["a"], [4, 4])


def test_a_random_key_survives(tmp_path):
    key = jax.random.key(7)
    checkpoint.save(tmp_path, 1, {"state": {"key": key}}, {})
    restored = checkpoint.restore(tmp_path, 1, {"state": {"key": jax.random.key(0)}})
    assert jax.random.bits(restored["state"]["key"]) == jax.random.bits(key)


def test_another_layout_is_refused(model, tmp_path):
    checkpoint.export(tmp_path / "model.npz", model)
    with pytest.raises(ValueError, match=r"field vector: wanted rotmat226 .* found sixd154"):
        checkpoint.load_model(tmp_path / "model.npz", vector="rotmat226")


def test_another_body_is_refused(model, toy_body, tmp_path):
    checkpoint.export(tmp_path / "model.npz", model)
    taller = dataclasses.replace(toy_body, template=1.1 * toy_body.template)
    with pytest.raises(ValueError, match="field body: wanted body"):
        checkpoint.load_model(tmp_path / "model.npz", model=taller)
    assert checkpoint.load_model(tmp_path / "model.npz", model=toy_body)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("params/head/kernel"), r"params/head/kernel: wanted .* found nothing"),
        (lambda a: a.update({"params/more": np.ones(3)}), "params/more: wanted nothing"),
        (lambda a: a.update({"normaliser/std": np.ones(3)}), r"normaliser/std: wanted \(154,\)"),
        (lambda a: a["params/head/bias"].fill(np.nan), "params/head/bias: wanted finite"),
        (lambda a: a.pop("facts"), "wanted a model exported by diffjax"),
        (lambda a: a.update(facts=np.array(json.dumps({"format": "x"}))), "wanted format"),
    ],
)
def test_a_damaged_export_is_refused_by_field(model, tmp_path, change, words):
    checkpoint.export(tmp_path / "model.npz", model)
    with np.load(tmp_path / "model.npz") as file:
        arrays = {name: file[name] for name in file.files}
    change(arrays)
    np.savez(tmp_path / "changed.npz", allow_pickle=False, **arrays)
    with pytest.raises(ValueError, match=words) as error:
        checkpoint.load_model(tmp_path / "changed.npz")
    assert "changed.npz" in str(error.value)


def test_what_is_not_there_or_not_a_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"scripts/train\.py"):
        checkpoint.load_model(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match="no saved step"):
        checkpoint.load_model(tmp_path)
    (tmp_path / "text.npz").write_text("nothing")
    with pytest.raises(ValueError, match="wanted a model exported"):
        checkpoint.load_model(tmp_path / "text.npz")
    np.savez(tmp_path / "poses.npz", allow_pickle=False, poses=np.zeros(3))
    with pytest.raises(ValueError, match="wanted a model exported"):
        checkpoint.load_model(tmp_path / "poses.npz")


def test_digests_tell_bodies_apart(toy_body):
    other = dataclasses.replace(toy_body, joint_dirs=toy_body.joint_dirs + 1e-3)
    same = dataclasses.replace(toy_body, template=toy_body.template + 1e-8)
    assert checkpoint.digest(toy_body) != checkpoint.digest(other)
    assert checkpoint.digest(toy_body) == checkpoint.digest(same)


def test_a_network_of_rotations_alone_goes_with_every_body(tmp_path, toy_body):
    run = dataclasses.replace(RUN, model=config.Model(width=8, depth=1, vector="sixd144"))
    network = denoisers.make_network(run.model, run.diffusion)
    params = denoisers.init_params(jax.random.key(0), network, jnp.zeros((1, 144)))
    normaliser = pose.identity_normaliser(144)
    checkpoint.export(tmp_path / "m.npz", checkpoint.make_model(run, params, normaliser, "other"))
    assert checkpoint.load_model(tmp_path / "m.npz", model=toy_body).body_digest == "other"
