"""End to end on two dozen random people and a body of 60 vertices."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from diffjax import body, checkpoint, config, feed, objective, pose, rotations, skeleton, train
from diffjax.data import pipeline, records

CONFIGS = [
    path
    for path in sorted((config.ROOT / "configs").glob("*.py"))
    if config.load(path).mode != "d3prefiner"  # Learns from sequences: tests/test_d3prefiner.py.
]
PEOPLE = 24


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """Every run of this file compiles its own step; equal ones are taken from a cache on disk."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    yield
    jax.config.update("jax_compilation_cache_dir", None)


@pytest.fixture(scope="module")
def files(tmp_path_factory, toy_body):
    """A body file and an annotation set with 3D joints and 2D labels of half of the people."""
    directory = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(1)
    regressors = {}
    for name in ("coco17", "h36m17", "halpe26"):
        rows = random.random((len(skeleton.KEYPOINT_SETS[name]), 60)) ** 8
        regressors[f"regressor_{name}"] = rows / rows.sum(1, keepdims=True)
    np.savez(
        directory / "body.npz",
        v_template=toy_body.template,
        shapedirs=toy_body.shape_dirs,
        posedirs=toy_body.pose_dirs,
        J_regressor=toy_body.joint_regressor,
        weights=toy_body.skin_weights,
        kintree_table=np.array([(0, *skeleton.SMPL_PARENTS[1:]), range(24)]),
        f=np.zeros((1, 3), np.int64),
        **regressors,
    )
    # Three latent numbers a person: something that a tiny network can learn.
    latent, maps = random.normal(size=(2, PEOPLE, 3)), random.normal(size=(3, 82))
    vectors = (np.tanh(latent @ maps) * 0.4).astype(np.float32)
    angles = jnp.asarray(vectors[..., :72].reshape(2, PEOPLE, 24, 3))
    true, guess = np.asarray(rotations.matrix_from_axis_angle(angles))
    betas = vectors[0, :, 72:]
    folded = body.fold_keypoints(toy_body, regressors["regressor_h36m17"])
    joints = np.asarray(body.pose_keypoints(folded, jnp.asarray(true), jnp.asarray(betas)))
    half = np.arange(PEOPLE) % 2
    keypoints = random.uniform(0, 400, size=(PEOPLE, 17, 3)).astype(np.float32)
    keypoints[..., 2] = half[:, None]
    people = records.AnnotationSet(
        pred_pose=guess,
        pred_betas=0.5 * betas,
        pose=true,
        betas=betas,
        keypoints2d=keypoints,
        keypoints2d_set="coco17",
        keypoints3d=np.concatenate([joints, np.tile(half[:, None, None], (1, 17, 1))], -1).astype(
            np.float32
        ),
        keypoints3d_set="h36m17",
        focal_px=np.full((PEOPLE, 2), 1000, np.float32),
        center_px=np.full((PEOPLE, 2), 200, np.float32),
        image_size_px=np.full((PEOPLE, 2), 400, np.float32),
        features=latent[0].astype(np.float32),
    )
    records.write(directory / "people.npz", people)
    return directory


def small(files, run: config.Run | None = None, **settings) -> config.Run:
    """A run over the tiny files with few, short steps."""
    run = run or config.Run()
    people, tiny = str(files / "people.npz"), str(files / "body.npz")
    quick = {
        "batch_size": 8,
        "steps": 4,
        "steps_per_dispatch": 2,
        "log_every": 4,
        "save_every": 100,
    }
    return dataclasses.replace(
        run,
        data=config.Data(train=people, val=people, test=people, body=tiny),
        model=dataclasses.replace(run.model, width=32, depth=1),
        diffusion=dataclasses.replace(run.diffusion, steps=30),
        train=dataclasses.replace(run.train, **(quick | settings)),
    )


def brief(files, run: config.Run, steps: int) -> config.Run:
    """A config over the tiny files; the same program for any number of steps, unless it anneals."""
    settings = {"steps": steps, "steps_per_dispatch": 20, "log_every": 20, "learning_rate": 3e-3}
    return small(files, run, **settings)


def both_losses(files, **settings):
    return small(files, gamma_3d=1.0, gamma_2d=1.0, ema_rates=(0.5, 0.9), **settings)


def logged(workdir: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def same_state(run: config.Run, *workdirs: pathlib.Path) -> None:
    """The last saved states are equal to the bit."""
    task = objective.make_task(run)
    state = train.init_state(run, task)
    like = {"state": state._replace(ema=()), "ema": state.ema, "normaliser": task.normaliser}
    trees = [checkpoint.restore(workdir, run.train.steps, like) for workdir in workdirs]
    for a, b in zip(*(jax.tree.leaves(tree) for tree in trees), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["3dpw", "by loss"])
def test_resumed_training_equals_uninterrupted_training_to_the_bit(files, tmp_path, name):
    if name == "3dpw":
        run = brief(files, config.load("configs/3dpw.py"), steps=40)
    else:
        diffusion = config.Diffusion(step_sampler="loss_second_moment", variance="learned_range")
        run = small(files, config.Run(diffusion=diffusion), anneal="none", ema_rates=(0.5, 0.9))
    steps = run.train.steps
    half = dataclasses.replace(run, train=dataclasses.replace(run.train, steps=steps // 2))
    train.train(run, tmp_path / "whole")
    train.train(half, tmp_path / "parts")
    train.train(run, tmp_path / "parts")
    same_state(run, tmp_path / "whole", tmp_path / "parts")
    facts = [checkpoint.read_facts(tmp_path / d, steps) for d in ("whole", "parts")]
    assert facts[0] == facts[1]
    assert logged(tmp_path / "whole")[-1]["check"] == logged(tmp_path / "parts")[-1]["check"]


def test_a_signal_saves_and_the_same_command_goes_on(files, tmp_path, monkeypatch):
    run = small(files, anneal="linear")
    train.train(run, tmp_path / "whole")
    taken = pipeline.batches

    def interrupting(*args):
        batches = taken(*args)
        monkeypatch.setattr(feed, "_stack", stack(batches))
        return batches

    def stack(batches):
        def give(source, count, length):
            os.kill(os.getpid(), signal.SIGTERM)
            return real(source, count, length)

        return give

    real = feed._stack
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "batches", interrupting)
        with pytest.raises(KeyboardInterrupt, match="step 2 is saved"):
            train.train(run, tmp_path / "parts")
        patch.undo()
    monkeypatch.setattr(feed, "_stack", real)
    train.train(run, tmp_path / "parts")
    same_state(run, tmp_path / "whole", tmp_path / "parts")
    assert [entry["step"] for entry in logged(tmp_path / "parts")] == [0, 4]


def test_a_set_too_large_for_the_device_trains_and_resumes_to_the_same(
    files, tmp_path, monkeypatch
):
    run = small(files, steps=6, steps_per_dispatch=4, anneal="none")
    part = dataclasses.replace(run, train=dataclasses.replace(run.train, steps=3))
    train.train(run, tmp_path / "resident")
    monkeypatch.setattr(pipeline, "RESIDENT_BYTES", 0)
    train.train(run, tmp_path / "whole")
    train.train(part, tmp_path / "parts")
    train.train(run, tmp_path / "parts")
    same_state(run, tmp_path / "whole", tmp_path / "parts")
    same_state(run, tmp_path / "whole", tmp_path / "resident")


def test_the_share_of_time_spent_waiting_for_data_is_logged(files, tmp_path, capsys):
    train.train(small(files, log_every=2), tmp_path)
    shares = [entry["waiting"] for entry in logged(tmp_path)[1:]]
    assert len(shares) == 2
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert "waiting=" in capsys.readouterr().err


class Answer:
    """What a device is computing."""

    def __init__(self, ready: bool):
        self.is_ready = lambda: ready


def test_preparing_counts_as_waiting_only_where_the_devices_are_through(files):
    run = small(files)
    task = objective.make_task(run)
    rows = np.arange(PEOPLE, dtype=np.int32)
    stacks = feed.Feed(run.train, task.examples, pipeline.batches(rows, 8, 0))
    stacks.prepare(0, Answer(ready=False))
    assert stacks.waiting() == 0.0
    stacks.prepare(2, Answer(ready=True))
    assert 0.0 < stacks.waiting() <= 1.0


def test_a_state_is_the_callers_before_and_after_a_run(files, tmp_path):
    """A dispatch uses its state up; `_loop` gives it one of its own."""
    run = small(files, steps=2, log_every=2)
    task = objective.make_task(run)
    state = train.init_state(run, task)
    rows = np.arange(PEOPLE, dtype=np.int32)
    train._loop(run, tmp_path, task, state, pipeline.batches(rows, 8, 0))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_loss_of_every_config_falls_on_a_fixed_batch(files, tmp_path, path):
    train.train(brief(files, config.load(path), steps=200), tmp_path)
    checks = [entry["check"] for entry in logged(tmp_path)]
    assert checks[-1] < 0.95 * checks[0]


def test_every_term_reaches_the_weights_and_absent_truth_adds_nothing(files):
    run = both_losses(files, joint_error="mpjpe")
    run = dataclasses.replace(run, model=dataclasses.replace(run.model, vector="sixd144"))
    task = objective.make_task(run)
    state = train.init_state(run, task)
    examples = jax.tree.map(jnp.asarray, task.examples)
    t, eps = jnp.arange(PEOPLE) % 30, 0.1 * jnp.ones_like(examples.x_0)

    @jax.jit
    @jax.value_and_grad
    def weighted(params, of_3d, of_2d):
        terms = task.objective(params, examples, t, eps)
        return jnp.sum(of_3d * terms.joints3d + of_2d * terms.joints2d)

    nobody = jnp.zeros(PEOPLE)
    for parity in (0, 1):
        people = nobody.at[parity::2].set(1.0)
        for weights in ((people, nobody), (nobody, people)):
            value, grads = weighted(state.params, *weights)
            size = sum(float(jnp.sum(jnp.abs(g))) for g in jax.tree.leaves(grads))
            # Only people with an odd number have truth.
            assert (value > 0) == (size > 0) == (parity == 1)
            assert np.isfinite(size)


def test_the_losses_of_the_body_count_up_to_max_time(files):
    tasks = [objective.make_task(both_losses(files, max_time=t)) for t in (None, 10)]
    examples = jax.tree.map(jnp.asarray, tasks[0].examples)
    t, eps = jnp.arange(PEOPLE), jnp.zeros_like(examples.x_0)
    params = train.init_state(both_losses(files), tasks[0]).params
    terms = jax.jit(lambda *args: [task.objective(*args).joints3d for task in tasks])
    free, limited = terms(params, examples, t, eps)
    np.testing.assert_array_equal(limited[11:], 0.0)
    np.testing.assert_array_equal(limited[:11], free[:11])
    assert np.all(free[11::2] > 0)


def test_a_perfect_network_has_no_joint_error(files):
    """L_3D of the true parameters is the distance to the joints that the data set says are theirs."""
    run = both_losses(files, joint_error="mpjpe")
    diffusion = dataclasses.replace(run.diffusion, prediction="x_0")
    run = dataclasses.replace(run, diffusion=diffusion)
    task = objective.make_task(run)
    examples = jax.tree.map(jnp.asarray, task.examples)

    class Oracle(nn.Module):
        def __call__(self, x_t, t, context):
            return examples.x_0

    annotations = records.read(run.data.train)
    path = run.data.body
    loss = objective._supervision(run, annotations, body.load_body(path), path)
    oracle = objective.make_objective(run, Oracle(), task.schedule, task.normaliser, loss)
    noise = jnp.ones_like(examples.x_0)
    terms = jax.jit(oracle)({}, examples, jnp.arange(PEOPLE), noise)
    np.testing.assert_allclose(terms.joints3d, 0.0, atol=1e-5)
    np.testing.assert_allclose(terms.original, 0.0, atol=1e-12)


@pytest.mark.parametrize("target", ["annotation", "prediction"])
def test_x_0_is_the_target_in_standard_units(files, target):
    run = small(files, target=target)
    task = objective.make_task(run)
    np.testing.assert_allclose(task.examples.x_0.mean(0), 0.0, atol=1e-5)
    vector = pose.unstandardise(task.normaliser, jnp.asarray(task.examples.x_0))
    people = pose.pose_from_vector(vector, run.model.vector)
    known = records.read(run.data.train)
    wanted = known.pose if target == "annotation" else known.pred_pose
    np.testing.assert_allclose(people.rotations, wanted, atol=1e-4)


@pytest.mark.parametrize("settings", [{"learning_rate": 2e-3}, {"seed": 1}])
def test_another_setting_is_not_resumed(files, tmp_path, settings):
    train.train(small(files, steps=2), tmp_path)
    with pytest.raises(ValueError, match=next(iter(settings))):
        train.train(small(files, steps=4, **settings), tmp_path)


def test_conditions_and_learned_variances_train(files, tmp_path):
    run = small(files)
    model = dataclasses.replace(run.model, condition=("estimate", "keypoints"))
    diffusion = dataclasses.replace(run.diffusion, variance="learned_range", prediction="v")
    run = dataclasses.replace(run, model=model, diffusion=diffusion)
    trained = train.train(run, tmp_path)
    assert checkpoint.load_model(tmp_path).keypoints == trained.keypoints == 17
    assert {"loss", "check", "val_eps_t10", "val_eps_t29"} <= set(logged(tmp_path)[-1])


def test_batches_are_every_person_once_an_epoch_and_go_on_where_they_were():
    people = np.arange(10, dtype=np.float32)
    examples = pipeline.Examples(*([people[:, None]] * len(pipeline.Examples._fields)))
    batches = pipeline.batches(examples, 5, seed=3)
    epochs = np.array([np.concatenate([next(batches).x_0, next(batches).x_0]) for _ in range(3)])
    np.testing.assert_array_equal(np.sort(epochs[..., 0], -1), [people] * 3)
    assert not np.array_equal(epochs[0], epochs[1])
    position = batches.get_state()
    wanted = next(batches).x_0
    again = pipeline.batches(examples, 5, seed=3)
    again.set_state(position)
    np.testing.assert_array_equal(next(again).x_0, wanted)


@pytest.mark.parametrize("size", [3, 10, 25])
def test_batches_of_any_size_go_through_whole_epochs(size):
    people = np.arange(10, dtype=np.int32)
    batches = pipeline.batches(people, size, seed=0)
    seen = np.concatenate([next(batches) for _ in range(20)])
    epochs = seen[: len(seen) // 10 * 10].reshape(-1, 10)
    np.testing.assert_array_equal(np.sort(epochs, -1), np.tile(people, (len(epochs), 1)))
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_indices_are_in_the_order_of_the_examples():
    people = np.arange(10, dtype=np.float32)
    examples = pipeline.Examples(*([people[:, None]] * len(pipeline.Examples._fields)))
    rows = pipeline.batches(np.arange(10, dtype=np.int32), 4, seed=7)
    batches = pipeline.batches(examples, 4, seed=7)
    for _ in range(6):
        np.testing.assert_array_equal(people[next(rows)], next(batches).x_0[:, 0])


def test_a_batch_with_more_samples_than_steps_has_the_same_losses(files):
    """There the features of the steps come from a table."""
    run = small(files)
    run = dataclasses.replace(run, diffusion=dataclasses.replace(run.diffusion, steps=22))
    task = objective.make_task(run)
    params = train.init_state(run, task).params
    examples, t = jax.tree.map(jnp.asarray, task.examples), jnp.arange(PEOPLE) % 22
    eps = jax.random.normal(jax.random.key(0), examples.x_0.shape)

    def losses(params, rows):
        batch = pipeline.take(examples, rows)
        return task.objective(params, batch, t[rows], eps[rows]).loss

    def halves(params):
        parts = (slice(0, PEOPLE // 2), slice(PEOPLE // 2, None))
        return jnp.concatenate([losses(params, rows) for rows in parts])

    def gradient(function):
        return jax.grad(lambda params: jnp.sum(function(params)))(params)

    np.testing.assert_allclose(losses(params, slice(None)), halves(params), rtol=1e-5)
    found, wanted = gradient(lambda p: losses(p, slice(None))), gradient(halves)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("pose", {}),
        ("keypoints3d", {"gamma_3d": 1.0, "target": "prediction"}),
        ("keypoints2d", {"gamma_2d": 1.0, "target": "prediction"}),
        ("focal_px", {"gamma_2d": 1.0}),
    ],
)
def test_a_field_that_the_run_needs_is_asked_for(files, tmp_path, field, settings):
    known = records.read(files / "people.npz")
    sets = {f"{field}_set": None} if field.startswith("keypoints") else {}
    records.write(tmp_path / "less.npz", dataclasses.replace(known, **{field: None}, **sets))
    run = small(files, **settings)
    run = dataclasses.replace(
        run, data=dataclasses.replace(run.data, train=str(tmp_path / "less.npz"))
    )
    with pytest.raises(ValueError, match=rf"less.npz: field {field}: wanted"):
        objective.make_task(run)


def test_a_loss_that_is_not_a_number_is_never_saved(files, tmp_path):
    with pytest.raises(ValueError, match="the loss is"):
        train.train(small(files, learning_rate=1e30, steps=20), tmp_path)
    assert checkpoint.latest(tmp_path) is None


def test_the_script_says_in_one_line_what_is_missing(tmp_path):
    command = [sys.executable, "scripts/train.py", "--config", "configs/3dpw.py"]
    command += ["--workdir", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=config.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for words in ("data/3dpw/train.npz", "scripts/convert.py", "configs/demo.py"):
        assert words in done.stderr
    assert not (tmp_path / "run").exists()
