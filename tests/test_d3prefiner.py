"""D3PRefiner from end to end: any length refined, training resumed to the bit, what does not fit refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sequences

from diffjax import config, micro_batches, refine, skeleton
from diffjax.data import sequence_sets
from diffjax.methods import bones, d3prefiner
from diffjax.sequences import refining, store, training


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """Equal steps are taken from a cache on disk; what runs for milliseconds is not optimised."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.config.update("jax_compilation_cache_dir", None)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sets")
    for i, name in enumerate(("train", "val", "test")):
        sequence_sets.write(directory / f"{name}.npz", sequences.videos(seed=i))
    return {name: str(directory / f"{name}.npz") for name in ("train", "val", "test")}


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """A working directory after four steps."""
    workdir = tmp_path_factory.mktemp("run")
    training.train_refiner(sequences.run(**files), workdir)
    return workdir


def untrained(**changes) -> d3prefiner.Model:
    """A model whose network has not learned: its head says little, but not nothing."""
    made, run = sequences.videos(), sequences.run(**changes)
    stats = d3prefiner.statistics_of(
        made.poses2d, made.estimate3d, made.truth3d, sequence_sets.lengths(made)
    )
    model = d3prefiner.fit(run, made.joint_set, stats)
    params = d3prefiner.init_params(jax.random.key(0), run.sequence, made.joint_set)
    outward = jax.tree.map(
        lambda x: 0.1 * jax.random.normal(jax.random.key(1), x.shape), params["outward"]
    )
    return dataclasses.replace(model, params=params | {"outward": outward})


def test_gradients_and_results_of_parts_are_those_of_the_whole(rng):
    w, x = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((3,), (8, 3)))

    def loss(w, x):
        return jnp.mean(jnp.sin(x @ w) ** 2)

    value, slope = jax.value_and_grad(loss)(w, x)
    for size in (1, 2, 8):
        parts = micro_batches.gradient(loss, w, x, size)
        np.testing.assert_allclose(parts[0], value, rtol=1e-5)
        np.testing.assert_allclose(parts[1], slope, rtol=1e-4, atol=1e-6)
        made = micro_batches.apply(lambda part: part @ w, x, size)
        np.testing.assert_allclose(made, x @ w, rtol=1e-4, atol=1e-5)
    assert [micro_batches.at_once(12, 27, n) for n in (1, 5, 12, 99)] == [1, 4, 12, 12]


@pytest.mark.parametrize("lengths", [(1,), (4,), (9,), (10,), (40, 1, 9, 23)])
def test_videos_of_any_length_are_refined(lengths):
    model, made = untrained(), sequences.videos(lengths)
    done = []
    better = d3prefiner.refine_sequences(model, made.estimate3d, made.poses2d, lengths, done.append)
    assert better.shape == made.estimate3d.shape
    assert np.isfinite(better).all()
    assert np.abs(better - made.estimate3d).max() > 1e-4
    assert sum(done) == sum(lengths)
    alone = d3prefiner.refine_sequences(
        model, made.estimate3d[: lengths[0]], made.poses2d[: lengths[0]], lengths[:1]
    )
    np.testing.assert_allclose(better[: lengths[0]], alone, atol=1e-5)


def test_one_window_is_what_refine_says():
    model, made = untrained(), sequences.videos((9,))
    better = d3prefiner.refine_sequences(model, made.estimate3d, made.poses2d, (9,))
    once = d3prefiner.refine(model, jnp.asarray(made.estimate3d), jnp.asarray(made.poses2d))
    np.testing.assert_allclose(better, once, atol=1e-6)


def test_flip_averaging_commutes_with_the_mirror():
    model, made = untrained(flip=True), sequences.videos((9,))
    turn = d3prefiner.skeleton.mirror_permutation(d3prefiner.skeleton.keypoint_set(made.joint_set))
    y, p = jnp.asarray(made.estimate3d), jnp.asarray(made.poses2d)
    flip = d3prefiner.mirroring.flip
    straight = flip(d3prefiner.refine(model, y, p), turn)
    np.testing.assert_allclose(
        d3prefiner.refine(model, flip(y, turn), flip(p, turn)), straight, atol=1e-5
    )


def test_training_stopped_and_resumed_has_the_same_bits(files, trained, tmp_path):
    run = sequences.run(**files)
    half = dataclasses.replace(run, train=dataclasses.replace(run.train, steps=2))
    training.train_refiner(half, tmp_path)
    training.train_refiner(run, tmp_path)
    whole, parts = (np.load(directory / "model.npz") for directory in (trained, tmp_path))
    assert set(whole) == set(parts)
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


def test_the_directory_and_the_exported_file_hold_one_model(trained):
    first, second = (store.load(p) for p in (trained, trained / "model.npz"))
    assert first.run == second.run
    jax.tree.map(np.testing.assert_array_equal, first.params, second.params)
    jax.tree.map(np.testing.assert_array_equal, first.noise, second.noise)


def test_a_run_resumed_as_another_is_refused(files, trained):
    for change, message in (
        (sequences.run(**files, noise="ar1"), "sequence.noise: wanted 'ar1', found 'iid'"),
        (sequences.run(**files, width=32), "sequence.width: wanted 32, found 16"),
        (sequences.run(**files | {"train": files["val"]}), "data.train: wanted"),
    ):
        with pytest.raises(ValueError, match=message):
            training.train_refiner(change, trained)
    training.train_refiner(sequences.run(**files, iterations=1), trained)


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": "ar1", "normaliser": "magnitude"},
        {"noise": "shared", "init": "scaled", "normaliser": "mean"},
        {"noise": "residual", "precondition": True},
        {"diffusion": False, "layout": "compat", "structure": "none", "mirror": False},
        {"network": "frames", "loss": "distance", "real": 0.5},
    ],
)
def test_every_setting_trains_and_refines(changes, files, tmp_path):
    run = sequences.run(**files, **changes)
    run = dataclasses.replace(
        run, train=dataclasses.replace(run.train, steps=2, keep="best", anneal="none")
    )
    model = training.train_refiner(run, tmp_path)
    videos = sequence_sets.read(files["test"])
    refined = refining.refine_set(model, videos, "test")
    assert np.isfinite(refined.estimate3d).all()
    for place in (tmp_path, tmp_path / "model.npz"):
        jax.tree.map(np.testing.assert_array_equal, store.load(place).params, model.params)


def test_a_network_learns_the_error_that_the_lifter_makes(files, tmp_path):
    run = sequences.run(**files, noise="residual")
    told = dataclasses.replace(
        run.train, steps=120, batch_size=8, learning_rate=5e-3, steps_per_dispatch=20,
        log_every=60, save_every=120, ema_rates=(0.9,),
    )  # fmt: skip
    model = training.train_refiner(dataclasses.replace(run, train=told), tmp_path)
    made = sequence_sets.read(files["test"])
    better = refining.refine_set(model, made, "test").estimate3d
    before, after = (
        np.linalg.norm(x - made.truth3d, axis=-1).mean() for x in (made.estimate3d, better)
    )
    assert after < 0.9 * before


def test_a_set_goes_to_a_refined_set_through_refine(files, trained, tmp_path):
    run, out = sequences.run(**files), tmp_path / "better.npz"
    said = refine.refine_file(run, files["test"], out, workdir=trained)
    assert "64 frames of 4 videos, MPJPE" in said
    before, after = sequence_sets.read(files["test"]), sequence_sets.read(out)
    np.testing.assert_array_equal(before.poses2d, after.poses2d)
    assert not after.estimate3d[:, 0].any()
    again = refine.refine_file(run, files["test"], out, workdir=trained)
    assert again.splitlines() == [said, f"{out} was there before: replaced"]


def test_the_order_of_joints_does_not_matter(files, trained, tmp_path):
    run, outs = sequences.run(**files), [tmp_path / "ours.npz", tmp_path / "native.npz"]
    given = sequence_sets.read(files["test"])
    native = sequence_sets.in_order_of("h36m17_native", given, "test")
    sequence_sets.write(tmp_path / "given.npz", native)
    for data, out in zip((files["test"], str(tmp_path / "given.npz")), outs):
        refine.refine_file(run, data, out, workdir=trained)
    ours, theirs = map(sequence_sets.read, outs)
    assert theirs.joint_set == "h36m17_native"
    np.testing.assert_array_equal(theirs.poses2d, native.poses2d)
    back = sequence_sets.in_order_of("h36m17", theirs, "test")
    np.testing.assert_array_equal(back.estimate3d, ours.estimate3d)
    assert (native.estimate3d[:, 1:4] == given.estimate3d[:, 4:7]).all()


def test_bones_keep_their_length_where_the_run_says_so(files, trained, tmp_path):
    out = tmp_path / "steady.npz"
    parts = config.Parts(refiner=str(trained))
    for share in (0.0, 1.0):
        told = dataclasses.replace(sequences.run(bones=share), parts=parts)
        refine.refine_file(told, files["test"], out)
        found = sequence_sets.read(out)
        first = jnp.asarray(found.estimate3d[: sequence_sets.lengths(found)[0]])
        lengths = bones.bone_lengths(first, skeleton.keypoint_parents(found.joint_set))
        assert (float(jnp.max(jnp.std(lengths, 0))) < 1e-5) == (share == 1.0)


def test_a_killed_refinement_goes_on_to_the_same_bits(files, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(refining, "_CALLS", 1)
    monkeypatch.setattr(d3prefiner, "_CHUNK", 7)  # 4 windows of stride 4 beside 3: 16 rows.
    run, refine_rows, spans = sequences.run(**files), d3prefiner.refine_rows, []
    refine.refine_file(run, files["test"], tmp_path / "whole.npz", workdir=trained)

    def killed_at(row):
        def some(*arguments):
            if arguments[4] == row:
                raise KeyboardInterrupt
            spans.append(arguments[4:6])
            return refine_rows(*arguments)

        monkeypatch.setattr(d3prefiner, "refine_rows", some)
        return refine.refine_file(run, files["test"], tmp_path / "x.npz", workdir=trained)

    with pytest.raises(KeyboardInterrupt, match="after 32 of 64 frames"):
        killed_at(32)
    other = sequences.run(**files, iterations=1)
    with pytest.raises(ValueError, match=r"sequence.iterations 2 then, 1 now"):
        refine.refine_file(other, files["test"], tmp_path / "x.npz", workdir=trained)
    assert "64 frames" in killed_at(-1)
    assert spans == [(0, 16), (16, 32), (32, 48), (48, 64)]
    whole, parts = (np.load(tmp_path / f"{name}.npz")["estimate3d"] for name in ("whole", "x"))
    np.testing.assert_array_equal(whole, parts)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("window", [81, 243])
def test_long_windows_are_padded_with_the_ends_and_blended(window):
    """Against windows cut, padded and blended one by one."""
    lengths = (1, window // 2, 2 * window + 7)
    model, made = untrained(window=window, width=8), sequences.videos(lengths)
    y, p = made.estimate3d, made.poses2d
    better = d3prefiner.refine_sequences(model, y, p, lengths)
    once = jax.jit(lambda y, p: d3prefiner.refine(model, y, p))
    ramp = np.minimum(np.arange(window) + 1, window - np.arange(window))
    for end, length in zip(np.cumsum(lengths), lengths):
        begin, wanted, total = end - length, 0.0, 0.0
        step, spare = window // 2, max(window - length, 0)
        for first in sorted({*range(0, length - window, step), max(length - window, 0)}):
            at = first - spare // 2 + np.arange(window)
            rows = begin + np.clip(at, 0, length - 1)
            weight = np.zeros((length, 1, 1))
            inside = (at >= 0) & (at < length)
            weight[at[inside], 0, 0] = ramp[inside]
            full = np.zeros((length, 17, 3))
            full[at[inside]] = np.asarray(once(jnp.asarray(y[rows]), jnp.asarray(p[rows])))[inside]
            wanted, total = wanted + weight * full, total + weight
        np.testing.assert_allclose(better[begin:end], wanted / total, atol=1e-5)


@pytest.mark.parametrize("window", [81, 243])
def test_long_windows_train_with_remat_bfloat16_and_jaxs_attention(window, tmp_path):
    sequence_sets.write(tmp_path / "train.npz", sequences.videos((window, window + 3)))
    how = {"remat": True, "dtype": "bfloat16", "attention": "xla", "flip": True}
    run = sequences.run(str(tmp_path / "train.npz"), window=window, width=8, **how)
    run = dataclasses.replace(run, train=dataclasses.replace(run.train, steps=2, batch_size=2))
    # Slopes of JAX's own attention mix types.
    with jax.numpy_dtype_promotion("standard"):
        model = training.train_refiner(run, tmp_path / "run")
    assert {x.dtype for x in jax.tree.leaves(model.params)} == {jnp.dtype("float32")}
    plain = dict.fromkeys(("remat", "flip"), False) | {"dtype": "float32", "attention": "auto"}
    now = refining.with_settings(model, dataclasses.replace(run.sequence, **plain)).run.sequence
    assert (now.remat, now.dtype, now.attention, now.flip) == (False, "float32", "auto", False)
    made = sequences.videos((window + 9,))
    refined = refining.refine_set(model, made, "test")
    assert np.isfinite(refined.estimate3d).all()
    assert refined.estimate3d.dtype == np.float32


def test_attention_of_a_gpu_is_refused_elsewhere():
    with pytest.raises(ValueError, match=r"sequence\.dtype: wanted bfloat16 for attention cudnn"):
        sequences.run(attention="cudnn")
    if jax.default_backend() != "gpu":
        told = sequences.run(attention="cudnn", dtype="bfloat16").sequence
        with pytest.raises(ValueError, match="wanted a GPU for cudnn"):
            d3prefiner.network_of(told, "h36m17")


def test_what_does_not_fit_a_checkpoint_is_refused(files, trained, tmp_path):
    out, run = tmp_path / "better.npz", sequences.run(**files)
    with pytest.raises(ValueError, match="window: wanted 27 frames, found a model of 9"):
        refine.refine_file(sequences.run(window=27), files["test"], out, workdir=trained)
    made = sequences.videos()
    solid = np.roll(made.estimate3d, 13, 1)  # scorehmr17 has its pelvis there.
    other = dataclasses.replace(made, joint_set="scorehmr17", estimate3d=solid, truth3d=None)
    sequence_sets.write(tmp_path / "joints.npz", other)
    with pytest.raises(ValueError, match=r"the joints of scorehmr17 .* found those of h36m17;"):
        refine.refine_file(run, str(tmp_path / "joints.npz"), out, workdir=trained)
    bare = dataclasses.replace(sequences.videos(), estimate3d=None)
    sequence_sets.write(tmp_path / "bare.npz", bare)
    with pytest.raises(ValueError, match="estimate3d: wanted a lifter's 3D"):
        refine.refine_file(run, str(tmp_path / "bare.npz"), out, workdir=trained)
    with pytest.raises(FileNotFoundError, match="no sequence refiner here"):
        refine.refine_file(run, files["test"], out, workdir=tmp_path / "nowhere")
    for out in (sequence_sets.Path(files["test"]), trained / "model.npz"):
        with pytest.raises(ValueError, match="wanted another file than the input"):
            refine.refine_file(run, files["test"], out, workdir=trained)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match="wanted a sequence refiner"):
        store.load(tmp_path / "other.npz")


def test_a_truth_less_set_is_refined_but_not_trained_on(trained, tmp_path):
    blind = dataclasses.replace(sequences.videos(), truth3d=None)
    sequence_sets.write(tmp_path / "blind.npz", blind)
    run = sequences.run()
    path = str(tmp_path / "blind.npz")
    assert "joints moved by" in refine.refine_file(run, path, tmp_path / "x.npz", workdir=trained)
    with pytest.raises(ValueError, match="truth3d: wanted the true 3D to train on"):
        training.train_refiner(sequences.run(train=path), tmp_path / "run")


def test_gaps_are_filled_where_the_run_says_so(trained, tmp_path):
    fields = sequences.arrays(sequences.videos())
    fields["estimate3d"] = fields["estimate3d"].copy()
    fields["estimate3d"][3] = np.nan
    np.savez(tmp_path / "gap.npz", **fields)
    path, out = str(tmp_path / "gap.npz"), tmp_path / "x.npz"
    with pytest.raises(ValueError, match="fill the gaps"):
        refine.refine_file(sequences.run(), path, out, workdir=trained)
    refine.refine_file(sequences.run(gaps="fill"), path, out, workdir=trained)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 0}, "sequence.window: wanted 1 or more"),
        ({"width": 20, "heads": 3}, "sequence.width: wanted a multiple of 6"),
        ({"stride": 10}, "sequence.stride: wanted 0 to 9"),
        ({"decay": 0.0}, "sequence.decay"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        sequences.run(**changes)


@pytest.mark.parametrize("name", ["demo", "cmu"])
def test_the_winner_is_the_default_and_the_papers_setting_has_a_name(name):
    best = config.load(config.ROOT / f"configs/d3prefiner_{name}.py")
    paper = config.load(config.ROOT / f"configs/d3prefiner_{name}_paper.py")
    defaults = dataclasses.asdict(config.Sequences())
    for field, value in config.PAPER.items():
        assert getattr(best.sequence, field) == defaults[field]
        assert getattr(paper.sequence, field) == value
    assert (paper.diffusion.steps, paper.sequence.iterations, paper.data) == (50, 2, best.data)


def test_a_run_of_sequences_survives_its_json():
    run = sequences.run(noise="ar1")
    assert config.from_json(config.to_json(run)) == run


def test_errors_are_real_drawn_or_both():
    made = sequences.videos((9,) * 40)
    y, p, x_0 = (
        jnp.asarray(a).reshape(40, 9, 17, -1) for a in (made.estimate3d, made.poses2d, made.truth3d)
    )
    shares = []
    for real in (0.0, 0.5, 1.0):
        model = untrained(noise="ar1", real=real)
        drawn = d3prefiner.draw_errors(jax.random.key(0), model, y, p, x_0)
        shares.append(float(jnp.mean(jnp.all(drawn == y - x_0, (1, 2, 3)))))
    assert shares[0] == 0.0
    assert 0.2 < shares[1] < 0.8
    assert shares[2] == 1.0


def test_without_points_the_2d_changes_nothing():
    model, made = untrained(points=False), sequences.videos((9,))
    y, p = jnp.asarray(made.estimate3d), jnp.asarray(made.poses2d)
    np.testing.assert_array_equal(
        d3prefiner.refine(model, y, p), d3prefiner.refine(model, y, 2.0 * p)
    )
