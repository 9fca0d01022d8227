"""ScoreHMR on annotation sets: who belongs together, and that nobody else has a say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy.spatial.transform import Rotation

from diffjax import annotate, body, config, energies, fitting
from diffjax.data import records
from diffjax.denoisers import closed

pytestmark = pytest.mark.usefixtures("quick_to_compile")

SHORT = config.relative_fit(1.0, 2, through_network=False)
SETTINGS = config.ScoreHMR(labels=SHORT, detections=SHORT, video=SHORT, views=SHORT)


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    directory = tmp_path_factory.mktemp("kit")
    tiny.write_body(directory / "body.npz")
    tiny.write_model(directory / "prior.npz")
    model = body.load_body(directory / "body.npz")
    prior = annotate.load_prior(directory / "prior.npz", model)
    return annotate.Kit(str(directory / "body.npz"), model, prior, None)


def film(frames=6, tracks=2):
    """People of several tracks, frame after frame, in no order."""
    known = tiny.annotations(frames * tracks, seed=3)
    order = np.random.default_rng(0).permutation(frames * tracks)
    film = dataclasses.replace(
        known,
        sequence=np.repeat([f"s{i}" for i in range(tracks)], frames),
        frame=np.tile(np.arange(frames), tracks),
        view=np.full(frames * tracks, "0"),
        subject=None,
    )
    return records.take(film, order), order


def fitter(kit, people, use, **changes):
    settings = dataclasses.replace(SETTINGS, use=use, **changes)
    return fitting.make_fitter(kit, people, "labels", settings)


def test_rows_alone_are_what_they_are_in_any_company(kit):
    people, _ = film()
    alone = fitter(kit, people, "frames")
    whole, _ = fitting.fit_set(alone, people)
    half, _ = fitting.fit_set(alone, records.take(people, slice(0, 5)))
    np.testing.assert_array_equal(whole.pose.rotations[:5], half.pose.rotations)
    assert (whole.quality["refined"] == 1).all()
    assert (whole.quality["reprojection_px_after"] < whole.quality["reprojection_px_before"]).all()


def test_a_track_is_fitted_in_its_order_whatever_the_rows_order(kit):
    people, order = film()
    smooth = dataclasses.replace(SHORT, velocity=30.0, smooth_after=3)
    found, _ = fitting.fit_set(fitter(kit, people, "video", video=smooth), people)
    back = np.argsort(order)
    sorted_people = records.take(people, back)
    other, _ = fitting.fit_set(fitter(kit, people, "video", video=smooth), sorted_people)
    np.testing.assert_allclose(found.pose.rotations[back], other.pose.rotations, atol=1e-5)


def test_smoothness_binds_a_track_and_no_other(kit):
    people, _ = film()
    how = dataclasses.replace(SHORT, velocity=1000.0)
    found, _ = fitting.fit_set(fitter(kit, people, "video", video=how), people)
    first = records.take(people, people.sequence == "s0")
    alone, _ = fitting.fit_set(fitter(kit, people, "video", video=how), first)
    np.testing.assert_allclose(
        found.pose.rotations[people.sequence == "s0"], alone.pose.rotations, atol=1e-5
    )
    free, _ = fitting.fit_set(fitter(kit, people, "video"), people)
    rows = np.argsort(people.frame)[people.sequence[np.argsort(people.frame)] == "s0"]

    def roughness(refined):
        return np.square(np.diff(np.asarray(refined.pose.rotations)[rows], axis=0)).sum()

    assert roughness(found) < 0.9 * roughness(free)


def several_views(instants=3, views=3):
    """One body an instant, as each camera sees it, rows of an instant apart; seen from a world of its own."""
    known = tiny.annotations(instants, seed=5)
    turns = (
        Rotation.from_euler("y", np.array([[0], [80], [200]]), degrees=True)
        .as_matrix()
        .astype(np.float32)
    )
    rows = np.tile(np.arange(instants), views)
    which = np.repeat(np.arange(views), instants)
    people = records.take(known, rows)
    rotation = turns[which]
    pose = people.pose.copy()
    pose[:, 0] = rotation @ pose[:, 0]
    model = tiny.keypoint_models().image
    points = np.asarray(
        body.pose_keypoints(model, jnp.asarray(pose), jnp.asarray(people.betas))
    ) + np.array([0, 0, 5.0])
    pixels = (
        people.focal_px[:, None] * points[..., :2] / points[..., 2:] + people.center_px[:, None]
    )
    labels = np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1).astype(np.float32)
    guess = people.pred_pose.copy()
    guess[:, 0] = rotation @ guess[:, 0]
    return dataclasses.replace(
        people,
        pose=pose,
        pred_pose=guess,
        pred_betas=people.betas,
        labels2d=labels,
        sequence=np.full(len(rows), "s"),
        frame=rows.astype(np.int64),
        subject=None,
        view=which.astype(str),
        view_rotation=rotation,
    )


def test_calibrated_views_share_one_body(kit):
    people = several_views()
    found, _ = fitting.fit_set(fitter(kit, people, "auto"), people)
    rotations = np.asarray(found.pose.rotations)
    in_world = np.swapaxes(people.view_rotation, -1, -2) @ rotations[:, 0]
    for instant in range(3):
        rows = people.frame == instant
        assert np.ptp(rotations[rows, 1:], axis=0).max() < 1e-6
        assert np.ptp(in_world[rows], axis=0).max() < 1e-5
    assert (found.quality["reprojection_px_after"] < found.quality["reprojection_px_before"]).all()


def test_each_view_is_placed_so_that_its_own_body_projects(kit):
    """The translation is that of the row's own body, which turns about its pelvis."""
    people = several_views()
    found, _ = fitting.fit_set(fitter(kit, people, "views"), people)
    points = body.pose_keypoints(
        tiny.keypoint_models().image, *jax.tree.map(jnp.asarray, found.pose)
    )
    evidence = annotate.evidence_of(people, "labels")
    seen = jax.tree.map(jnp.asarray, (found.translation, evidence))
    error = energies.reprojection_error_px(points, *seen)
    wanted = np.zeros(3)
    for instant in range(3):
        wanted[instant] = np.mean(np.asarray(error)[people.frame == instant])
    after = found.quality["reprojection_px_after"]
    np.testing.assert_allclose(after, wanted[people.frame], rtol=1e-3)


def test_a_view_more_or_less_is_no_other_program(kit):
    """An instant that lacks a view is fitted to the others."""
    people = several_views()
    fewer = records.take(people, slice(1, None))
    found, _ = fitting.fit_set(fitter(kit, people, "views"), fewer)
    assert (found.quality["refined"] == 1).all()


def test_views_without_cameras_are_pulled_together(kit):
    people = dataclasses.replace(several_views(), view_rotation=None)
    rough = np.random.default_rng(0).normal(0, 0.2, (9, 23, 3))
    turns = Rotation.from_rotvec(rough.reshape(-1, 3)).as_matrix().reshape(9, 23, 3, 3)
    guess = people.pred_pose.copy()
    guess[:, 1:] = guess[:, 1:] @ turns.astype(np.float32)
    people = dataclasses.replace(people, pred_pose=guess)
    how = dataclasses.replace(SHORT, views=0.005, rounds=5)
    found, _ = fitting.fit_set(fitter(kit, people, "views", views=how), people)

    def spread(rotations):
        return sum(np.ptp(rotations[people.frame == i, 1:], axis=0).mean() for i in range(3))

    assert spread(np.asarray(found.pose.rotations)) < 0.7 * spread(guess)


@pytest.mark.parametrize(
    ("fields", "use"),
    [({}, "frames"), ({"view"}, "video"), ({"view", "view_rotation"}, "views")],
)
def test_auto_goes_by_the_field_that_names_cameras(fields, use):
    people = several_views()
    left = {name: None for name in ("view", "view_rotation") if name not in fields}
    assert fitting.use_of(dataclasses.replace(people, **left), "auto") == use


def test_what_is_missing_is_named(kit):
    people = dataclasses.replace(tiny.annotations(4), frame=None)
    with pytest.raises(ValueError, match=r"field frame: wanted by scorehmr\.use 'video'"):
        fitter(kit, people, "video")
    with pytest.raises(ValueError, match="wanted 2D evidence, got joints3d"):
        fitting.make_fitter(kit, people, "joints3d", SETTINGS)


@pytest.mark.parametrize("method", ["adam", "lbfgs"])
def test_without_a_prior_the_same_evidence_pulls(kit, method):
    people, _ = film()
    plain = fitter(kit, people, "frames")._replace(method=method)
    found, _ = fitting.fit_set(plain, people)
    gain = found.quality["gain"]
    assert gain.mean() > 0
    assert np.isfinite(np.asarray(found.pose.rotations)).all()


def test_a_prior_switched_off_finds_no_noise(kit):
    people, _ = film()
    prior = kit.prior.prior
    size = len(prior.normaliser.mean)
    narrow = closed.Gaussian(np.zeros(size), np.eye(size), np.full(size, 1e-3))

    def fit(denoiser, how):
        loaded = kit.prior._replace(prior=prior._replace(denoiser=denoiser))
        told = fitter(kit._replace(prior=loaded), people, "frames", labels=how)
        return fitting.fit_set(told, people)[0].pose.rotations

    gaussian = closed.gaussian_prior(prior.schedule, narrow)
    off = fit(gaussian, dataclasses.replace(SHORT, prior="none"))
    np.testing.assert_array_equal(off, fit(closed.no_prior(prior.schedule), SHORT))
    assert np.abs(off - fit(gaussian, SHORT)).max() > 1e-2


def test_whom_nothing_places_stands_between_neighbours(kit):
    people, _ = film()
    gap = (people.sequence == "s0") & (people.frame == 2)
    away = people.sequence == "s1"
    labels = np.where((gap | away)[:, None, None], np.float32(0), people.labels2d)
    people = dataclasses.replace(people, labels2d=labels)
    found, _ = fitting.fit_set(fitter(kit, people, "video"), people)
    beside = (people.sequence == "s0") & np.isin(people.frame, (1, 3))
    np.testing.assert_allclose(
        found.translation[gap][0], found.translation[beside].mean(0), rtol=1e-5
    )
    np.testing.assert_array_equal(found.translation[away], people.pred_cam_t[away])


def test_a_person_of_whom_nothing_is_known_comes_back(kit):
    people, _ = film()
    labels = people.labels2d.copy()
    labels[2] = 0.0
    blind = dataclasses.replace(people, labels2d=labels)
    found, _ = fitting.fit_set(fitter(kit, blind, "frames"), blind)
    assert found.quality["refined"][2] == 0
    np.testing.assert_array_equal(found.pose.rotations[2], blind.pred_pose[2])
    np.testing.assert_array_equal(found.translation[2], blind.pred_cam_t[2])
