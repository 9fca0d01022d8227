"""D3PRefiner as a row of the table: tracks of people in, bodies with refined joints out."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
import sequences
import tiny

from diffjax import config
from diffjax.comparison import command, loading, people, sequence, table
from diffjax.comparison.method import Task
from diffjax.data import records, sequence_sets
from diffjax.methods import d3prefiner
from diffjax.sequences import store

pytestmark = pytest.mark.usefixtures("quick_to_compile")

SHORT = config.relative_fit(1.0, 1, through_network=False)
LENGTHS = (6, 1, 4)


def filmed(lengths=LENGTHS, seed=3):
    a = tiny.annotations(sum(lengths), seed=seed)
    names = np.repeat([f"t{i}" for i in range(len(lengths))], lengths)
    frame = np.concatenate([np.arange(n) for n in lengths])
    return dataclasses.replace(a, sequence=names, frame=frame, view=np.full(len(frame), "0"))


def refiner(joint_set="h36m17", shift=0.02):
    """An untrained network: it says the mean error, here `shift` metres along x of all joints but the root."""
    run = sequences.run(network="frames", diffusion=False)
    count = len(d3prefiner.skeleton.keypoint_set(joint_set))
    random = np.random.default_rng(0)
    truth = 0.3 * random.normal(size=(40, count, 3))
    root = d3prefiner.root_of(joint_set)
    truth -= truth[:, root : root + 1]
    error = np.zeros_like(truth)
    error[..., 0] = shift
    error += 1e-4 * random.normal(size=truth.shape)
    error[:, root] = 0.0
    stats = d3prefiner.statistics_of(truth[..., :2], truth + error, truth, [40])
    params = d3prefiner.init_params(jax.random.key(0), run.sequence, joint_set)
    return d3prefiner.fit(run, joint_set, stats, params)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequence")
    tiny.write_body(folder / "body.npz")
    tiny.write_model(folder / "prior.npz")
    store.export(folder / "refiner.npz", refiner())
    records.write(folder / "video.npz", filmed())
    video, body, prior = (str(folder / f"{name}.npz") for name in ("video", "body", "prior"))
    return config.Run(
        data=config.Data(video, video, video, body),
        scorehmr=config.ScoreHMR(labels=SHORT, detections=SHORT, video=SHORT),
        parts=config.Parts(denoiser=prior, prior=prior, refiner=str(folder / "refiner.npz")),
    )


@pytest.fixture(scope="module")
def crowd(run):
    return people.gather(run, run.data.test, "test", "video")


@pytest.fixture(scope="module")
def kit(run, crowd, tmp_path_factory):
    head = records.take(crowd.people.annotations, slice(0, 0))
    return loading.load(run, run, tmp_path_factory.mktemp("kit"), head, use="video")


def compare(run, out, *methods, **asked):
    told = command.Asked(methods=methods, out=out, **{"tune": "none", "val": "none", **asked})
    return command.evaluate(run, told, Path("configs/demo.py"), loop_prior=run.parts.prior)


def left_out(result):
    return {row["method"]: row["left_out"] for row in result["rows"] if "left_out" in row}


def refined(given, kit, pull=0.1):
    (row,) = sequence.refine(given, kit, Task("labels", pull, None), 0)
    return row


def test_joints_move_by_the_error_that_the_refiner_says_in_the_order_of_rows(kit, crowd, rng):
    order = rng.permutation(sum(LENGTHS))
    a = records.take(crowd.people.annotations, order)
    assert kit.refiner is not None
    found = sequence.refined_joints(kit.refiner, kit, a, "labels").points
    tracked = sequence.sequences_of(kit, a, "labels", "h36m17")
    estimate = tracked.videos.estimate3d[np.argsort(tracked.rows)]
    known = found[..., 3] > 0
    off = (estimate - found[..., :3])[:, 1:]
    np.testing.assert_allclose(off[known[:, 1:]][:, 0], 0.02, atol=2e-3)
    np.testing.assert_allclose(off[known[:, 1:]][:, 1:], 0.0, atol=2e-3)
    np.testing.assert_array_equal(known[:, 0], a.sequence != "t1")


def test_the_body_gets_the_refined_joints_and_short_tracks_stay_to_the_bit(kit, crowd):
    row = refined(crowd.people, kit, 0.01)
    a = crowd.people.annotations
    rotations, betas = (np.asarray(x) for x in row.refined.pose)
    alone = a.sequence == "t1"
    assert alone.sum() == 1
    np.testing.assert_array_equal(rotations[alone], a.pred_pose[alone])
    np.testing.assert_array_equal(betas[alone], a.pred_betas[alone])
    better = dataclasses.replace(a, pred_pose=rotations, pred_betas=betas)
    wanted = sequence.refined_joints(kit.refiner, kit, a, "labels").points[~alone, :, :3]
    before, after = (
        sequence.sequences_of(kit, x, "labels", "h36m17").videos.estimate3d[~alone]
        for x in (a, better)
    )
    assert np.abs(after - wanted).mean() < 0.5 * np.abs(before - wanted).mean()
    assert (row.name, row.sees) == ("d3prefiner", "labels")
    assert row.seconds > 0


def test_rows_come_back_in_their_order_whatever_it_was(kit, crowd, rng):
    order = rng.permutation(sum(LENGTHS))
    given = crowd.people
    mixed = given._replace(annotations=records.take(given.annotations, order))
    straight, found = (refined(x, kit).refined.pose for x in (given, mixed))
    np.testing.assert_allclose(found.rotations, np.asarray(straight.rotations)[order], atol=1e-4)


def test_a_track_shorter_than_half_a_window_is_not_refined(kit):
    assert kit.refiner is not None
    assert sequence.shortest(kit.refiner) == kit.refiner.run.sequence.window // 2 == 4


def test_what_it_lacks_is_said(run, tmp_path):
    bare = dataclasses.replace(run, parts=dataclasses.replace(run.parts, refiner=""))
    result = compare(bare, tmp_path / "a", "d3prefiner", "d3prefiner+smooth")
    assert set(left_out(result).values()) == {"needs a refiner of sequences"}
    result = compare(run, tmp_path / "b", "d3prefiner", use="frames")
    assert left_out(result) == {"d3prefiner": "needs tracks"}
    lost = dataclasses.replace(run, parts=dataclasses.replace(run.parts, refiner="nowhere.npz"))
    result = compare(lost, tmp_path / "c", "d3prefiner")
    assert left_out(result) == {"d3prefiner": "needs a refiner of sequences"}


def test_a_refiner_of_joints_that_the_body_has_not_is_refused_in_its_row(run, tmp_path):
    other = tmp_path / "other.npz"
    store.export(other, refiner("openpose25"))
    told = dataclasses.replace(run, parts=dataclasses.replace(run.parts, refiner=str(other)))
    (said,) = set(left_out(compare(told, tmp_path / "out", "d3prefiner")).values())
    assert "wanted a regressor for openpose25" in said


def test_it_stands_in_the_table_and_in_chains(run, tmp_path):
    names = ("d3prefiner", "d3prefiner+smooth", "smooth+d3prefiner")
    result = compare(run, tmp_path / "out", "smooth", *names)
    rows = {(row["method"], row["evidence"]): row for row in result["rows"]}
    rows["smooth", "labels"] = rows["smooth", None]
    for name in names:
        for kind in ("labels", "detections"):
            assert rows[name, kind]["pa_mpjpe_mm"] > 0
            assert rows[name, kind]["honest"]
            assert rows[name, kind]["sees"] == kind
    errors = {rows[name, "labels"]["pa_mpjpe_mm"] for name in (*names, "smooth")}
    assert len(errors) == 4
    assert result["facts"]["parts"]["refiner"] is not None


@pytest.mark.parametrize("name", ["d3prefiner+scorehmr", "d3prefiner+scorehmr-video"])
def test_chains_with_scorehmr_need_what_both_need(name):
    (_, chain) = table.chosen([name])
    assert chain.sees == ("labels", "detections")
    assert {"tracks", "a refiner of sequences", "ScoreHMR's prior"} <= set(chain.needs)


def test_a_refiner_for_people_trains_on_their_sequences(run, crowd, kit, tmp_path):
    """Two steps; that it then helps is for docs/results.md to say."""
    from diffjax.sequences import training

    tracked = sequence.sequences_of(kit, filmed((12, 9)), "labels", "h36m17")
    sequence_sets.write(tmp_path / "train.npz", tracked.videos)
    told = sequences.run(str(tmp_path / "train.npz"), network="frames", diffusion=False)
    told = dataclasses.replace(told, train=dataclasses.replace(told.train, batch_size=2))
    training.train_refiner(told, tmp_path / "workdir")
    model = store.load(tmp_path / "workdir" / "model.npz", "h36m17")
    assert np.isfinite(
        np.asarray(refined(crowd.people, kit._replace(refiner=model)).refined.pose.rotations)
    ).all()


def test_the_demo_has_a_refiner_that_is_small_and_names_no_machine():
    file = config.locate(config.load("configs/demo.py").parts.refiner)
    assert file.stat().st_size < 2**20
    model = store.load(file, "h36m17")
    assert model.run.sequence.window == 27
    data = dataclasses.asdict(model.run.data)
    assert not any(str(value).startswith("/") for value in data.values())
