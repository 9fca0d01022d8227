"""From a set on disk to a better set: each kind of evidence by itself, and what is absent is asked for."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

from diffjax import annotate, config
from diffjax.data import records
from diffjax.methods import map_fit
from diffjax.pose import Pose, Refined

pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def people():
    return tiny.annotations()


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    directory = tmp_path_factory.mktemp("kit")
    path, prior = tiny.write_body(directory / "body.npz"), tiny.write_model(directory / "prior.npz")
    model = map_fit.ErrorModel(0.2 * np.eye(82, dtype=np.float32))
    return annotate.Kit(path, tiny.bones(), annotate.load_prior(prior, tiny.bones()), model)


# What is on disk.


def test_evidence_is_one_kind_and_the_others_are_silent(people):
    for kind, field in annotate.FIELD_OF.items():
        found = annotate.evidence_of(people, kind)
        given = found.keypoints3d if kind == "joints3d" else found.keypoints2d
        silent = found.keypoints2d if kind == "joints3d" else found.keypoints3d
        np.testing.assert_array_equal(given, getattr(people, field))
        np.testing.assert_array_equal(silent[..., -1], 0.0)
        np.testing.assert_array_equal(found.camera.focal_px, people.focal_px)
    assert annotate.kinds_of(people) == annotate.KINDS


def test_a_set_with_joints_alone_is_enough(people):
    known = tiny.without(
        people, "keypoints2d", "labels2d", "focal_px", "center_px", "image_size_px"
    )
    assert annotate.kinds_of(known) == ("joints3d",)
    found = annotate.evidence_of(known, "joints3d")
    assert all(np.isfinite(leaf).all() and len(leaf) == 7 for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize(
    ("kind", "field"),
    [("labels", "labels2d"), ("detections", "keypoints2d"), ("joints3d", "keypoints3d")],
)
def test_evidence_that_is_absent_is_asked_for_by_its_field(kind, field, people):
    known = tiny.without(people, field)
    others = " and ".join(other for other in annotate.KINDS if other != kind)
    message = (
        rf"set.npz: field {field}: wanted {kind}, found nothing; it holds {others}; .*add {field}$"
    )
    with pytest.raises(ValueError, match=message):
        annotate.evidence_of(known, kind, "set.npz")


@pytest.mark.parametrize("field", ["focal_px", "center_px"])
def test_pixels_without_a_camera_are_refused_with_a_way_out(field, people):
    known = tiny.without(people, field)
    option = " --focal PX" if field == "focal_px" else ""
    join = (
        f"run scripts/convert.py join --estimates set.npz --evidence set.npz{option} --out OUT.npz"
    )
    with pytest.raises(ValueError, match=f"set.npz: field {field}: .*; {join}.*or use --evidence"):
        annotate.evidence_of(known, "labels", "set.npz")
    bare = tiny.without(known, "image_size_px", "center_px")
    with pytest.raises(ValueError, match=r"center_px: .*; convert again with image_size_px"):
        annotate.evidence_of(bare, "labels", "set.npz")


def test_stretched_estimates_are_rotations_and_good_ones_stay(people):
    pred = people.pred_pose.copy()
    pred[2] *= 1.001
    found = annotate.estimate_of(dataclasses.replace(people, pred_pose=pred)).rotations
    np.testing.assert_allclose(found, people.pred_pose, atol=1e-5)
    np.testing.assert_array_equal(found[3:], people.pred_pose[3:])


def test_the_error_model_is_that_of_the_file(tmp_path):
    np.savez(tmp_path / "residuals.npz", covariance=0.25 * np.eye(82))
    factor = annotate.load_error_model(tmp_path / "residuals.npz").factor
    np.testing.assert_allclose(factor, 0.5 * np.eye(82), atol=1e-3)


def not_a_zip(path):
    path.write_bytes(b"nothing of the kind")


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (lambda path: np.savez(path, other=np.eye(82)), "nothing"),
        (lambda path: np.savez(path, covariance=np.eye(72)), r"\(72, 72\)"),
        (lambda path: np.savez(path, covariance=np.full((82, 82), np.nan)), "NaN"),
        (lambda path: np.savez(path, covariance=-np.eye(82)), "no covariance"),
        (not_a_zip, "nothing"),
        (lambda path: path.mkdir(), "nothing"),
    ],
)
def test_what_is_no_error_model_is_refused(write, found, tmp_path):
    path = tmp_path / "residuals.npz"
    write(path)
    message = rf"residuals.npz: field covariance: wanted .*found .*{found}.*; make it with"
    with pytest.raises(ValueError, match=message):
        annotate.load_error_model(path)


def test_an_absent_error_model_says_how_it_is_made(tmp_path):
    with pytest.raises(FileNotFoundError, match="make_estimates"):
        annotate.load_error_model(tmp_path / "none.npz")


def test_a_prior_of_another_body_or_with_conditions_is_refused(kit, tmp_path, toy_body):
    path = tiny.write_model(tmp_path / "prior.npz")
    with pytest.raises(ValueError, match="field body: wanted body"):
        annotate.load_prior(path, toy_body)
    assert annotate.load_prior(path).layout == "sixd154"
    loaded = annotate.checkpoint.load_model(path)
    settings = dataclasses.replace(loaded.run.model, condition=("estimate",))
    told = dataclasses.replace(loaded, run=dataclasses.replace(loaded.run, model=settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annotate.checkpoint, "load_model", lambda *args, **named: told)
        with pytest.raises(ValueError, match=r"field model.condition: wanted a prior without"):
            annotate.load_prior(path)


# Refining.


@pytest.mark.parametrize("mode", ["guided", "fast", "combined"])
def test_a_set_is_refined_towards_its_evidence(mode, kit, people):
    # An untrained prior knows nothing: the smallest steps that show which way it goes.
    weights = {"map_weight": 0.1, "error_weight": 0.1, "prior_weight": 0.0, "prior_time": 5}
    settings = config.Guidance(strength=1.0, rounds=3, iterations=9, **weights)
    for kind, name in (("joints3d", "joints3d{}_mm"), ("labels", "reprojection{}_px")):
        refined, ms = annotate.refine_set(kit, people, kind, settings, mode=mode)
        before, after = (refined.quality[name.format(when)] for when in ("_before", ""))
        assert before.shape == (7,)
        assert after.mean() < before.mean()
        assert ms > 0
        records.check(annotate.with_refined(people, refined), "refined")


def test_what_is_recalled_is_where_the_truth_is_known(kit, people):
    """Of people whose poses are known, the keypoints tell who they are; a fit may start from there."""
    known = kit._replace(poses=people.pose)
    settings = config.Guidance(
        1.0, 3, iterations=9, error_weight=0.1, prior_weight=0.0, prior_time=5
    )
    truth = Pose(people.pose, people.betas)
    for mode in ("recall", "recall+combined"):
        refined, _ = annotate.refine_set(known, people, "labels", settings, mode=mode)
        before, after = (
            np.linalg.norm(x[:, 1:] - truth.rotations[:, 1:], axis=(-1, -2)).mean()
            for x in (annotate.estimate_of(people).rotations, refined.pose.rotations)
        )
        assert after < 0.6 * before
        alone, _ = annotate.refine_set(known, people, "labels", settings, mode="guided")
        name = "reprojection_before_px"
        np.testing.assert_allclose(refined.quality[name], alone.quality[name], rtol=1e-3)
        records.check(annotate.with_refined(people, refined), "refined")


def test_a_mode_that_lacks_its_part_says_which(kit, people):
    settings = config.Guided().labels
    with pytest.raises(ValueError, match=r"mode fast: .*pass --parts.residuals"):
        annotate.refine_set(kit._replace(error_model=None), people, "labels", settings, mode="fast")
    with pytest.raises(ValueError, match=r"mode guided: .*pass --parts.prior"):
        annotate.refine_set(kit._replace(prior=None), people, "labels", settings)
    for part, mine in (("prior", "prior"), ("residuals", "error_model")):
        less = kit._replace(**{mine: None})
        with pytest.raises(ValueError, match=rf"mode combined: .*pass --parts.{part}"):
            annotate.refine_set(less, people, "labels", settings, mode="combined")
    late = dataclasses.replace(settings, prior_time=10**6)
    with pytest.raises(ValueError, match="prior_time: wanted a step below the"):
        annotate.refine_set(kit, people, "labels", late, mode="combined")
    with pytest.raises(
        ValueError, match=r"mode: wanted guided, fast, combined, recall or recall.combined, got .pa"
    ):
        annotate.refine_set(kit, people, "labels", settings, mode="paper")


def refined_as(people, seen):
    """A refinement to other people, with 2D evidence of some."""
    other = tiny.annotations(seed=9)
    before = np.asarray(seen, np.float32)
    quality = {"reprojection_before_px": before, "reprojection_px": 0.5 * before}
    return Refined(Pose(other.pose, other.betas), np.full((7, 3), 2.0, np.float32), quality)


def test_only_the_estimates_are_replaced(people):
    refined = refined_as(people, np.ones(7))
    found = annotate.with_refined(people, refined)
    np.testing.assert_array_equal(found.pred_pose, refined.pose.rotations)
    np.testing.assert_array_equal(found.pred_betas, refined.pose.betas)
    np.testing.assert_array_equal(found.pred_cam_t, refined.translation)
    for field in dataclasses.fields(people):
        if not field.name.startswith("pred_"):
            assert getattr(found, field.name) is getattr(people, field.name)


def test_a_translation_that_no_pixel_tells_stays_as_it_was(people):
    """The refinement has a person without 2D evidence stand anywhere."""
    seen = np.array([1, 0, 1, 1, 1, 1, 0])
    found = annotate.with_refined(people, refined_as(people, seen)).pred_cam_t
    np.testing.assert_array_equal(found[seen == 0], people.pred_cam_t[seen == 0])
    np.testing.assert_array_equal(found[seen == 1], 2.0)
    unknown = tiny.without(people, "pred_cam_t")
    assert annotate.with_refined(unknown, refined_as(people, 0 * seen)).pred_cam_t is None
    assert annotate.with_refined(unknown, refined_as(people, 0 * seen + 1)).pred_cam_t is not None
