"""Whoever has converged is computed no more, and nobody else can tell."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import annotate, body, checkpoint, config, denoisers, fitting, pose, tracks
from diffjax.data import records
from diffjax.methods import scorehmr_leave

pytestmark = pytest.mark.usefixtures("quick_to_compile")

FIT = config.Fit(rounds=4, start=20, stride=5, strength=0.1)


def conditioned(path, features=0):
    """An untrained network that is shown the keypoints, or as many features."""
    condition = "features" if features else "keypoints"
    run = config.Run(model=config.Model(kind="scorehmr", width=8, depth=1, condition=(condition,)))
    network = denoisers.make_network(run.model, run.diffusion, features, 17)
    known = {"keypoints": jnp.zeros((1, 17, 3)), "features": jnp.zeros((1, features))}
    x = jnp.zeros((1, pose.VECTOR_SIZE["sixd154"]))
    context = denoisers.context_of(run.model, known)
    params = denoisers.init_params(jax.random.key(1), network, x, context)
    digest = checkpoint.digest(tiny.bones())
    scale = pose.identity_normaliser(features) if features else None
    normaliser = tiny.normaliser("sixd154")
    made = checkpoint.make_model(run, params, normaliser, digest, 17, scale)
    checkpoint.export(path, made)


@pytest.fixture(scope="module")
def kits(tmp_path_factory):
    directory = tmp_path_factory.mktemp("kit")
    tiny.write_body(directory / "body.npz")
    tiny.write_model(directory / "prior.npz")
    conditioned(directory / "conditioned.npz")
    model = body.load_body(directory / "body.npz")
    return {
        name: annotate.Kit(
            str(directory / "body.npz"),
            model,
            annotate.load_prior(directory / f"{name}.npz", model, conditioned=True),
            None,
        )
        for name in ("prior", "conditioned")
    }


def people_of(use):
    """150 people; as tracks of 1, 2, 3, 4 ... frames, in no order."""
    people = tiny.annotations(150, seed=6)
    if use == "frames":
        return people
    track = np.searchsorted(np.cumsum(np.arange(1, 18)), np.arange(150), side="right")
    frame = np.concatenate([np.arange(n) for n in np.bincount(track)])
    film = dataclasses.replace(
        people,
        sequence=np.array([f"s{i:02d}" for i in track]),
        frame=frame,
        view=frame.astype(str) if use == "views" else np.full(150, "0"),
    )
    if use == "views":
        film = dataclasses.replace(film, frame=np.zeros(150, np.int64))
    return records.take(film, np.random.default_rng(0).permutation(150))


def fitted(kit, people, use, stop, **changes):
    fit = dataclasses.replace(FIT, stop=stop, **changes)
    settings = config.ScoreHMR(use, fit, fit, fit, fit)
    return fitting.fit_set(fitting.make_fitter(kit, people, "labels", settings), people)[0]


@pytest.fixture
def ran(monkeypatch):
    """What every run of the loop says of itself."""
    seen, run = [], scorehmr_leave.run

    def watched(*args, **how):
        seen.append(run(*args, **how))
        return seen[-1]

    monkeypatch.setattr(scorehmr_leave, "run", watched)
    return seen


@pytest.mark.parametrize(
    ("use", "prior", "standing", "tolerance"),
    [
        ("frames", "prior", "adam", 0.01),
        ("frames", "conditioned", "solved", 0.01),
        ("video", "conditioned", "adam", 0.03),
        ("views", "prior", "adam", 0.03),
    ],
)
def test_leaving_gives_what_freezing_gives_for_less(kits, ran, use, prior, standing, tolerance):
    people = people_of(use)
    # Loose bonds, so that tracks do not finish together.
    how = {"velocity": 0.1, "views": 1e-6, "standing": standing, "tolerance": tolerance}
    leave, freeze = (fitted(kits[prior], people, use, s, **how) for s in ("leave", "freeze"))
    for ours, theirs in zip(jax.tree.leaves(leave[:2]), jax.tree.leaves(freeze[:2])):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_array_equal(leave.quality["converged"], freeze.quality["converged"])
    assert (freeze.quality["rounds"] == 4).all()
    assert leave.quality["rounds"].sum() < 0.95 * 4 * 150
    (run,) = ran
    assert 4 * 192 > sum(run.computed) >= leave.quality["rounds"].sum()
    assert list(run.computed) == sorted(run.computed, reverse=True)
    assert set(run.computed) <= {64, 128, 192}


def test_a_track_stays_together_until_all_of_it_has_converged(kits):
    people = people_of("video")
    found = fitted(kits["prior"], people, "video", "leave", velocity=0.1, tolerance=0.03)
    rounds, done = found.quality["rounds"], found.quality["converged"]
    assert len(np.unique(rounds)) > 1
    for name in np.unique(people.sequence):
        rows = people.sequence == name
        assert len(np.unique(rounds[rows])) == 1
        assert done[rows].all() or (rounds[rows] == 4).all()


def test_who_has_nothing_to_fit_leaves_at_once(kits, ran):
    people = people_of("frames")
    labels = people.labels2d.copy()
    labels[10:] = 0.0
    people = dataclasses.replace(people, labels2d=labels)
    found = fitted(kits["prior"], people, "frames", "leave", tolerance=1e-9)
    np.testing.assert_array_equal(found.quality["rounds"], np.where(np.arange(150) < 10, 4, 1))
    np.testing.assert_array_equal(found.pose.rotations[10:], people.pred_pose[10:])
    assert ran[0].computed == (192, 64, 64, 64)


def test_all_may_leave_before_the_last_round(kits, ran):
    found = fitted(kits["prior"], people_of("frames"), "frames", "leave", tolerance=1.0)
    assert (found.quality["rounds"] == 1).all()
    assert len(ran[0].computed) == 1


@pytest.mark.parametrize(("rows", "size"), [(1, 64), (64, 64), (65, 128), (300, 512), (512, 512)])
def test_buckets_are_halves_of_the_largest(rows, size):
    assert scorehmr_leave.bucket(rows, 512) == size


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(3, [64]), (150, [128, 64]), (316, [256, 64]), (500, [512]), (1100, [512, 512, 128])],
)
def test_blocks_are_filled_as_well_as_can_be(rows, sizes):
    units, some = np.repeat(np.arange(1100), 2), np.arange(0, 2 * rows, 2)
    found = scorehmr_leave.packed(units, some, 512)
    assert [scorehmr_leave.bucket(len(piece.rows), 512) for piece in found] == sizes
    np.testing.assert_array_equal(np.concatenate([piece.rows for piece in found]), some)


def test_blocks_hold_whole_groups():
    units = np.repeat(np.arange(12), [40, 40, 40, 3, 100, 100, 1, 1, 1, 1, 300, 60])
    found = scorehmr_leave.packed(units, np.arange(len(units)), 512)
    inside = [set(units[piece.rows]) for piece in found]
    assert sum(map(len, inside)) == 12
    for piece in found:
        np.testing.assert_array_equal(np.diff(piece.group) > 0, np.diff(units[piece.rows]) > 0)


def test_a_long_track_is_cut_as_it_is_without_leaving(kits, monkeypatch):
    monkeypatch.setattr(fitting.blocks, "_BLOCK", 64)
    people = dataclasses.replace(
        tiny.annotations(150, seed=6),
        sequence=np.full(150, "s"),
        frame=np.arange(150),
        view=np.full(150, "0"),
    )
    leave, freeze = (fitted(kits["prior"], people, "video", s) for s in ("leave", "freeze"))
    np.testing.assert_allclose(leave.pose.rotations, freeze.pose.rotations, atol=1e-5)
    assert tracks.pieces([np.arange(150)], 64, 16)[0].keep.sum() < 64
