"""Every refined row is told what it is worth without the truth; nobody is told NaN."""

import dataclasses

import numpy as np
import pytest
import test_fitting
import test_scorehmr_leave
import tiny

from diffjax import annotate, body, config, fitting
from diffjax.confidence import modes, other_worlds
from diffjax.data import records

pytestmark = pytest.mark.usefixtures("quick_to_compile")

SHORT = config.relative_fit(1.0, 2, through_network=False, start=20, stride=10)
PRIOR = {"prior_before", "prior_after"}
CHEAP = {
    "moved_mm",
    "moved_deg",
    "gain_2d",
    "reprojection_after",
    "visible",
    "limits_after",
} | PRIOR
FULL = {"flip_mm", "held_out_before", "held_out_after"}


@pytest.fixture(scope="module")
def kits(tmp_path_factory):
    directory = tmp_path_factory.mktemp("kit")
    tiny.write_body(directory / "body.npz")
    tiny.write_model(directory / "prior.npz")
    test_scorehmr_leave.conditioned(directory / "conditioned.npz")
    model = body.load_body(directory / "body.npz")

    def kit(name):
        prior = annotate.load_prior(directory / f"{name}.npz", model, conditioned=True)
        return annotate.Kit(str(directory / "body.npz"), model, prior, None)

    return {name: kit(name) for name in ("prior", "conditioned")}


def told(kit, people, use="frames", much="cheap", **changes):
    fit = dataclasses.replace(SHORT, **changes)
    settings = config.ScoreHMR(use, fit, fit, fit, fit)
    fitter = fitting.make_fitter(kit, people, "labels", settings)
    groups = fitting.groups_of(people, use)
    group = np.repeat(np.arange(len(groups)), [len(rows) for rows in groups])
    people = records.take(people, np.concatenate(groups))
    mode = modes.of_fitter(fitter, modes.told_of(kit, people, "labels"), much)
    refined, seconds = modes.refine_rows(mode, people, group, "x", None)
    assert seconds > 0
    found = {name: refined.quality[name] for name in refined.quality}
    for value in found.values():
        assert value.shape == (records.count(people),)
        assert np.isfinite(value).all()
    return found, refined, people


def test_the_cheap_ones_say_how_far_and_what_the_prior_thinks(kits):
    found, refined, people = told(kits["prior"], test_fitting.film()[0])
    assert set(found) >= CHEAP
    assert not set(found) & FULL
    assert (found["moved_mm"] > 0.1).all()
    angle = np.einsum("...ij,...ij", refined.pose.rotations, people.pred_pose)[:, 1:]
    degrees = np.degrees(np.arccos(np.clip((angle - 1) / 2, -1, 1)))
    assert np.abs(found["moved_deg"] - degrees.mean(1)).max() < 0.5 * degrees.mean()
    assert (found["prior_before"] > 0).all()
    assert (found["prior_after"] > 0).all()


def test_a_prior_with_a_condition_is_not_asked(kits):
    found, _, _ = told(kits["conditioned"], test_fitting.film()[0], much="full")
    assert set(found) >= FULL
    assert not set(found) & PRIOR


@pytest.mark.parametrize("use", ["frames", "video", "views"])
def test_the_dear_ones_are_of_every_row(kits, use):
    people = test_fitting.several_views() if use == "views" else test_fitting.film()[0]
    found, _, _ = told(kits["prior"], people, use, "full")
    assert set(found) >= CHEAP | FULL
    for name in FULL:
        assert (found[name] > 0).all()
    # What was not fitted falls less than what was, but falls: labels are exact.
    assert found["held_out_after"].mean() < found["held_out_before"].mean()


def test_who_comes_back_has_not_moved(kits):
    people, _ = test_fitting.film()
    labels = people.labels2d.copy()
    labels[3] = 0.0
    found, refined, given = told(
        kits["prior"], dataclasses.replace(people, labels2d=labels), much="full"
    )
    assert refined.quality["refined"][3] == 0
    np.testing.assert_array_equal(refined.pose.rotations[3], given.pred_pose[3])
    for name in FULL | {"moved_deg"}:
        assert found[name][3] == pytest.approx(0.0, abs=0.05)
    assert found["prior_before"][3] == found["prior_after"][3]


def test_the_gate_has_no_say_in_the_other_fits(kits):
    people, _ = test_fitting.film()
    free, refined, _ = told(kits["prior"], people, much="full")
    margin = float(np.median(refined.quality["gain"]))
    gated, other, _ = told(kits["prior"], people, much="full", margin=margin)
    kept = other.quality["refined"] > 0
    assert 0 < kept.sum() < len(kept)
    for name in FULL:
        np.testing.assert_array_equal(gated[name], np.where(kept, free[name], 0))


def test_mirrored_views_are_of_the_mirrored_world(kits):
    """Fitted in the mirror, people in calibrated views are as well explained as they are outside."""
    people = test_fitting.several_views()
    people = dataclasses.replace(
        people, view_translation=np.tile(np.float32([0.1, 0.2, 5.0]), (9, 1))
    )
    flip = np.diag([-1.0, 1.0, 1.0])
    other = other_worlds.mirrored(people)
    points = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    seen = np.einsum("nij,nj->ni", people.view_rotation, points) + people.view_translation
    mirrored = np.einsum("nij,nj->ni", other.view_rotation, points @ flip) + other.view_translation
    np.testing.assert_allclose(mirrored, seen @ flip, atol=1e-5)
