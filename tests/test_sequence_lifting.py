"""The whole road on generated motion with tiny settings: cameras, lifters, sets, refiners, the table."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sequences
import tiny

from diffjax import config, refine, skeleton
from diffjax.data import filmed, motion, records, sequence_sets, splits
from diffjax.frontends import stcformer
from diffjax.methods import bones
from diffjax.sequences import contest, filming, lifting, making, recipes, sources

pytestmark = pytest.mark.usefixtures("quick_to_compile")
SMALL = stcformer.Settings(window=5, width=8, depth=1, heads=2, steps=25, batch=4)


@pytest.fixture
def few(monkeypatch):
    """One second of motion of two, one and one subjects."""
    people = {"train": range(2), "val": range(2, 3), "test": range(3, 4)}
    monkeypatch.setattr(
        splits, "generated_clips", lambda part: motion.generate(0, people[part], 1, 1.0)
    )
    monkeypatch.setattr(filming, "_EVERY", dict.fromkeys(people, 1))
    small = recipes.Training(
        folds=2, network="stcformer", window=5, width=8, depth=1, steps=25, batch=4
    )
    monkeypatch.setattr(sources, "TRAINING", small)


def test_each_training_subject_is_lifted_by_who_never_saw_it(monkeypatch):
    seen = []
    real = lifting._train

    def train(seed, videos, *rest):
        seen.append(set(videos.subject))
        return real(seed, videos, *rest)

    monkeypatch.setattr(lifting, "_train", train)
    made = dataclasses.replace(sequences.videos((20, 20, 20), subjects=3), estimate3d=None)
    lifted = lifting.cross_fitted(made, SMALL, folds=3)
    assert sorted(map(sorted, seen)) == [["s0", "s1"], ["s0", "s2"], ["s1", "s2"]]
    assert np.abs(lifted.estimate3d).max((1, 2)).min() > 0
    assert not lifted.estimate3d[:, 0].any()
    with pytest.raises(ValueError, match="cross-fitting: wanted 2 or more"):
        lifting.cross_fitted(sequences.videos((20,), subjects=1), SMALL)


@pytest.mark.parametrize("network", ["stcformer", "frames"])
def test_a_lifter_learns_and_is_kept(network, tmp_path):
    made = sequences.videos((60, 60))
    said = []
    told = SMALL._replace(steps=150, width=16, batch=8, network=network)
    sizes = sequence_sets.lengths(made)
    lifter = stcformer.train(
        jax.random.key(0), told, made.poses2d, made.truth3d, sizes, lambda *x: said.append(x)
    )
    assert said[-1][1] < 0.5 * said[0][1]
    records.save_arrays(tmp_path / "lifter.npz", stcformer.arrays_of(lifter))
    back = stcformer.load(tmp_path / "lifter.npz")
    first, second = (stcformer.predict(x, made.poses2d, sizes) for x in (lifter, back))
    np.testing.assert_array_equal(first, second)
    deep = told._replace(depth=2)
    records.save_arrays(tmp_path / "deep.npz", stcformer.arrays_of(lifter._replace(settings=deep)))
    with pytest.raises(ValueError, match="wanted the finite weights of a network of"):
        stcformer.load(tmp_path / "deep.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(2))
    with pytest.raises(ValueError, match="wanted a lifter"):
        stcformer.load(tmp_path / "other.npz")
    native = sequence_sets.in_order_of("h36m17_native", made, "made")
    here, there = (lifting.with_estimates(some, [lifter]) for some in (made, native))
    back = sequence_sets.in_order_of("h36m17", there, "made")
    np.testing.assert_array_equal(back.estimate3d, here.estimate3d)
    other = dataclasses.replace(made, joint_set="scorehmr17")
    with pytest.raises(ValueError, match=r"the joints of scorehmr17 .* found those of h36m17;"):
        lifting.with_estimates(other, [lifter])


def test_an_estimate_is_the_mean_of_lifters_that_differ_in_their_seed(monkeypatch, tmp_path):
    seeds = []

    def train(seed, videos, *rest):
        seeds.append(seed)
        return stcformer.Lifter(SMALL, seed)

    def predict(lifter, p, sizes):
        return np.full((*p.shape[:2], 3), lifter.params, np.float32)

    monkeypatch.setattr(lifting, "_train", train)
    monkeypatch.setattr(stcformer, "predict", predict)
    made = dataclasses.replace(sequences.videos(), estimate3d=None)
    lifted, lifters = lifting.lift(
        filming.Videos(made, made, made), SMALL, average=2, folds=2, seed=4
    )
    assert seeds == [5, 6, 6, 7, 4, 5]
    assert [lifter.params for lifter in lifters] == [4, 5]
    assert (lifted.val.estimate3d == lifted.test.estimate3d).all()
    np.testing.assert_array_equal(lifted.val.estimate3d, 4.5)
    of_subjects = [lifted.train.estimate3d[made.subject == name] for name in ("s0", "s1")]
    assert sorted(np.unique(part).tolist() for part in of_subjects) == [[5.5], [6.5]]
    with pytest.raises(ValueError, match="average: wanted 1 lifter or more, got 0"):
        lifting.lift(filming.Videos(made, made, made), SMALL, average=0)


def test_a_set_of_2d_alone_is_lifted_by_the_mean_of_files(tmp_path):
    data, out = tmp_path / "2d.npz", tmp_path / "lifted.npz"
    made = dataclasses.replace(sequences.videos(), estimate3d=None, truth3d=None)
    sequence_sets.write(data, made)
    lifters = []
    for seed in (0, 1):
        told, sizes = SMALL._replace(network="frames"), sequence_sets.lengths(made)
        params = stcformer.network_of(told).init(jax.random.key(seed), jnp.zeros((1, 5, 17, 2)))
        lifters.append(stcformer.Lifter(told, params["params"]))
    making.write(tmp_path, filming.Videos(made, made, made), lifters)
    files = [tmp_path / "lifter.npz", tmp_path / "lifter_2.npz"]
    assert lifting.lift_file(data, files, out) == f"{out}: lifted 64 frames"
    each = [stcformer.predict(lifter, made.poses2d, sizes) for lifter in lifters]
    found = sequence_sets.read(out).estimate3d
    np.testing.assert_allclose(found, np.mean(each, 0), atol=1e-6)
    lifting.lift_file(data, files, out, bones=1.0, overwrite=True)
    tree, steady = skeleton.keypoint_parents("h36m17"), sequence_sets.read(out).estimate3d
    lengths = bones.bone_lengths(jnp.asarray(steady[:30]), tree)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-5)
    with pytest.raises(ValueError, match="wanted one --lifter or more"):
        lifting.lift_file(data, [], tmp_path / "new.npz")


def test_lifting_writes_over_no_input_and_over_nothing_else_unasked(tmp_path, monkeypatch):
    data, out = tmp_path / "2d.npz", tmp_path / "lifted.npz"
    lifter, link = tmp_path / "lifter.npz", tmp_path / "link.npz"
    for file in (data, out, lifter):
        file.write_text(file.name)
    link.symlink_to(lifter)
    for asked in (False, True):
        for path in (data, lifter, link):
            with pytest.raises(
                ValueError, match=f"{path.name}: wanted another file than the input"
            ):
                lifting.lift_file(data, [lifter], path, overwrite=asked)
        with pytest.raises(ValueError, match=r"wanted a name ending in .npz"):
            lifting.lift_file(data, [lifter], tmp_path / "lifted", overwrite=asked)
    with pytest.raises(ValueError, match=r"lifted.npz: already exists; .* pass --overwrite"):
        lifting.lift_file(data, [lifter], out)
    assert all(file.read_text() == file.name for file in (data, out, lifter))


def test_what_the_lifter_sees_does_not_change_with_place_and_size(rng):
    p = jnp.asarray(rng.normal(size=(2, 5, 17, 2)), jnp.float32)
    moved = 0.5 * p + 0.7
    np.testing.assert_allclose(stcformer.shown(SMALL, p), stcformer.shown(SMALL, moved), atol=1e-5)
    assert stcformer.shown(SMALL._replace(centred=False), p) is p


def test_generated_motion_goes_to_a_refined_set_and_a_table(few, tmp_path):
    body, workdir = tiny.write_body(tmp_path / "body.npz"), tmp_path / "run"
    run = sequences.run()
    run = dataclasses.replace(
        run, data=config.Data(train="demo", val="demo", test="demo", body=body)
    )
    names = ("residual network", "D3PRefiner")
    said = []
    rows = contest.contest(run, workdir, seeds=2, names=names, say=said.append)
    kept = {p.name for p in (workdir / "sequences").iterdir()}
    assert kept == {"train.npz", "val.npz", "test.npz", "lifter.npz"}
    train, test = (
        sequence_sets.read(workdir / "sequences" / f"{n}.npz") for n in ("train", "test")
    )
    assert not set(train.subject) & set(test.subject)
    assert sequence_sets.lengths(test) == [len(test.frame) // 4] * 4
    assert [row["name"].split(",")[0] for row in rows] == [
        "the lifter's estimate", "constant bias removed", "linear-Gaussian", "Savitzky-Golay",
        "One-Euro", "steady bones", *names,
    ]  # fmt: skip
    assert rows[0]["harmed"] == 0
    assert all(np.isfinite(row["pa_mpjpe_mm"]) for row in rows)
    assert len(said) == len(rows) + 1
    assert json.loads((workdir / "comparison.json").read_text())[0]["name"] == rows[0]["name"]
    out = tmp_path / "better.npz"
    told = dataclasses.replace(run, parts=config.Parts(refiner=str(workdir / "D3PRefiner_0")))
    assert "P-MPJPE" in refine.refine_file(told, "demo", out, workdir=workdir)
    assert sequence_sets.count(sequence_sets.read(out)) == sequence_sets.count(test)


def test_a_comparison_wants_whole_sets_of_one_rate(tmp_path):
    whole = sequences.videos()
    sets = {
        "whole": whole,
        "bare": dataclasses.replace(whole, estimate3d=None),
        "blind": dataclasses.replace(whole, truth3d=None),
        "slow": dataclasses.replace(whole, fps=25.0),
    }
    for name, videos in sets.items():
        sequence_sets.write(tmp_path / f"{name}.npz", videos)
    file = {name: str(tmp_path / f"{name}.npz") for name in sets}
    for name, message in (
        ("bare", r"data\.val: wanted a set with estimate3d and truth3d, found one without"),
        ("blind", r"data\.val: wanted a set with estimate3d and truth3d, found one without"),
        ("slow", r"field fps: wanted one rate in train, val, test, found \[50.0, 25.0, 50.0\]"),
    ):
        run = sequences.run(file["whole"], file[name], file["whole"])
        with pytest.raises(ValueError, match=message):
            contest.contest(run, tmp_path / "run")
    run = sequences.run(*[file["whole"]] * 3)
    with pytest.raises(ValueError, match="seeds: wanted 1 or more, got 0"):
        contest.contest(run, tmp_path / "run", seeds=0)
    with pytest.raises(ValueError, match=r"names: wanted some of .* found \['best'\]"):
        contest.contest(run, tmp_path / "run", names=("best",))


def test_the_demo_is_made_once(few, tmp_path, monkeypatch):
    body = tiny.write_body(tmp_path / "body.npz")
    run = config.Run(mode="d3prefiner", data=config.Data(body=body))
    first = sources.open_set(run, "demo", "val", tmp_path)
    monkeypatch.setattr(sources, "make_demo", None)
    second = sources.open_set(run, "demo", "val", tmp_path)
    np.testing.assert_array_equal(first.estimate3d, second.estimate3d)
    assert first.joint_set == filmed.SET
