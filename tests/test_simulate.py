"""Simulated people: exact cameras, noise as stated, no frontend that saw its subject."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import body, pose, rotations, simulate
from diffjax.data import amass, moments, motion, records, splits, synthetic
from diffjax.frontends import keypoint_hmr
from diffjax.methods import map_fit


@pytest.fixture(scope="module")
def bones():
    """A body whose 24 vertices are its joints: quick to compile."""
    random = np.random.default_rng(1)
    shapes = 0.02 * random.normal(size=(24, 3, 10))
    return body.body_from_arrays(
        random.normal(0, 0.3, (24, 3)), shapes, None, np.eye(24), np.eye(24)
    )


@pytest.fixture(scope="module")
def scene(bones):
    return synthetic.scene_of(bones, np.eye(24)[:17], np.eye(24)[:14])


@pytest.fixture(scope="module")
def params():
    return keypoint_hmr.init(jax.random.key(0), width=8)


def _clip(rng, name, frames=8, betas=0.0):
    poses = rng.normal(0, 0.2, (frames, 24, 3)).astype(np.float32)
    shape = np.full(10, betas, np.float32)
    recording = amass.Motion(poses, np.zeros((frames, 3), np.float32), shape, 60.0, "neutral")
    return motion.Clip(recording, name, name.split("_")[0])


def _random_people(rng, count):
    vectors = jnp.asarray(rng.normal(0, 0.4, (count, 24, 3)), jnp.float32)
    betas = jnp.asarray(rng.normal(0, 1, (count, 10)), jnp.float32)
    return pose.Pose(rotations.matrix_from_axis_angle(vectors), betas)


def test_a_view_only_moves_the_person_rigidly_and_into_the_picture(bones, rng):
    people = _random_people(rng, 64)
    seen, translation = jax.jit(synthetic.look_at)(jax.random.key(1), people, bones)
    pose_joints = jax.jit(body.pose_joints)
    before = pose_joints(bones, people.rotations, people.betas)
    after = pose_joints(bones, seen.rotations, seen.betas) + translation[:, None]
    lengths = [jnp.linalg.norm(x[:, :, None] - x[:, None], axis=-1) for x in (before, after)]
    np.testing.assert_allclose(*lengths, atol=1e-4)
    pelvis = np.asarray(after[:, 0])
    assert np.all(np.abs(pelvis[:, :2]) <= 0.5 + 1e-5)
    assert np.all((pelvis[:, 2] >= 4.0 - 1e-5) & (pelvis[:, 2] <= 8.0 + 1e-5))
    assert np.ptp(pelvis[:, 2]) > 2.0


def test_a_standing_person_is_seen_upright():
    people = pose.Pose(jnp.broadcast_to(jnp.eye(3), (256, 24, 3, 3)), jnp.zeros((256, 10)))
    rest = body.body_from_arrays(
        np.zeros((24, 3)), np.zeros((24, 3, 10)), None, np.eye(24), np.eye(24)
    )
    seen, _ = jax.jit(synthetic.look_at)(jax.random.key(0), people, rest)
    up_in_camera = np.asarray(seen.rotations[:, 0, :, 1])
    assert np.median(up_in_camera[:, 1]) < -0.95  # The image's y points down.


def test_detections_have_the_stated_noise():
    pixels = jnp.full((4000, 17, 2), 500.0)
    found = np.asarray(jax.jit(synthetic.detect)(jax.random.key(0), pixels))
    seen = found[..., 2] > 0
    error = np.linalg.norm(found[..., :2] - 500.0, axis=-1)[seen]
    assert 9.5 < np.median(error) < 11.5
    assert 37.0 < np.quantile(error, 0.9) < 43.0
    head, forearm = 1.0 - seen[:, :5].mean(), 1.0 - seen[:, 7].mean()
    np.testing.assert_allclose([head, forearm], [0.08, 1 - 0.92 * 0.94], atol=0.015)
    sure, unsure = (error[s(found[..., 2][seen])] for s in (lambda c: c > 0.8, lambda c: c < 0.5))
    assert np.median(unsure) > 1.5 * np.median(sure)


def test_labels_are_closer_than_detections():
    labels = np.asarray(synthetic.label(jax.random.key(0), jnp.full((4000, 17, 2), 500.0)))
    seen = labels[..., 2] > 0
    np.testing.assert_allclose((labels[seen][:, :2] - 500.0).std(), 4.0, rtol=0.03)
    np.testing.assert_allclose(seen.mean(), 0.95, atol=0.01)


def test_eyesight_makes_errors_smaller_and_finds_nothing_that_is_missing(rng):
    pixels = jnp.asarray(rng.normal(size=(50, 17, 2)) * 100 + 500, jnp.float32)
    found = synthetic.detect(jax.random.key(0), pixels)
    same, half, sharp = (synthetic.seen_by_frontend(x, found, pixels) for x in (1.0, 0.5, 0.0))
    np.testing.assert_array_equal(same, found)
    seen = np.asarray(found[..., 2]) > 0
    assert not seen.all()
    np.testing.assert_allclose((half - sharp)[seen], 0.5 * (found - sharp)[seen], atol=1e-4)
    np.testing.assert_allclose(sharp[..., :2][seen], pixels[seen], atol=1e-4)
    np.testing.assert_array_equal(half[~seen], 0)


def test_a_frontend_that_sees_better_estimates_otherwise_from_the_same_detections(
    rng, scene, params, monkeypatch
):
    monkeypatch.setattr(simulate, "_ROWS", 16)
    frames = moments.gather([_clip(rng, "a_1", 14)], every=1)
    plain = simulate.annotate(0, frames, params, scene)
    sharp = simulate.annotate(0, frames, params, scene._replace(eyesight=0.25))
    np.testing.assert_array_equal(plain.keypoints2d, sharp.keypoints2d)
    assert np.abs(plain.pred_pose - sharp.pred_pose).max() > 1e-4


def test_the_covariance_of_a_known_error_is_that_error_squared(rng):
    true = _random_people(rng, 5)
    turn = jnp.zeros((24, 3)).at[4, 1].set(0.3)
    off = true.rotations @ rotations.matrix_from_axis_angle(-turn)
    covariance = map_fit.residual_covariance(pose.Pose(off, true.betas - 0.5), true)
    assert covariance.shape == (82, 82)
    expected = np.zeros(82)
    expected[4 * 3 + 1], expected[72:] = 0.3, 0.5
    np.testing.assert_allclose(covariance, np.outer(expected, expected), atol=1e-5)


def test_no_subject_is_in_two_folds_and_folds_are_even():
    subject = np.repeat([f"s{i}" for i in range(10)], 5)
    fold = simulate.fold_of_subjects(subject, 4)
    assert all(len(set(fold[subject == name])) == 1 for name in set(subject))
    assert np.bincount(fold).max() - np.bincount(fold).min() <= 5
    with pytest.raises(ValueError, match="2 or more training subjects"):
        simulate.fold_of_subjects(np.array(["a", "a"]), 4)


def test_a_capped_subject_keeps_frames_from_beginning_to_end(rng):
    clips = [_clip(rng, "a_1", 40), _clip(rng, "b_1", 6)]
    frames = moments.gather(clips, every=2, cap=5)
    assert (frames.subject == "a").sum() == 5
    np.testing.assert_array_equal(frames.frame[frames.subject == "b"], [0, 2, 4])
    assert frames.frame[frames.subject == "a"][[0, -1]].tolist() == [0, 38]


def test_an_annotation_set_is_valid_and_repeats_itself(rng, scene, params, monkeypatch):
    monkeypatch.setattr(simulate, "_ROWS", 16)
    clips = [_clip(rng, "a_1", 14), _clip(rng, "b_1", 9, betas=1.0)]
    frames = moments.gather(clips, every=1)
    made, again = (simulate.annotate(3, frames, params, scene) for _ in range(2))
    records.check(made, "made")
    np.testing.assert_array_equal(made.keypoints2d, again.keypoints2d)
    np.testing.assert_array_equal(made.sequence, frames.sequence)
    assert made.betas[frames.subject == "b"].std() == 0.0  # Known shapes are kept,
    assert made.betas[frames.subject == "a"].std() > 0.3  # unknown ones are drawn.
    matrices, betas = jnp.asarray(made.pose), jnp.asarray(made.betas)
    points = jax.jit(body.pose_keypoints)(scene.both, matrices, betas)[:, 17:]
    points = points + made.cam_t[:, None]
    error = np.asarray(made.keypoints3d[..., :3] - points)
    np.testing.assert_allclose(error.std(), 0.01, rtol=0.15)
    assert set(simulate.frontend_errors(made, scene)) >= {"PA-MPJPE mm", "rotation deg"}


def test_training_estimates_come_from_frontends_that_never_saw_the_subject(
    rng, scene, params, monkeypatch
):
    monkeypatch.setattr(simulate, "_ROWS", 16)
    frames = moments.with_mirrors(moments.gather([_clip(rng, f"{s}_1") for s in "abc"], every=4))
    trained, shown = [], []

    def train(key, coco, pool, index, **_):
        trained.append(set(frames.subject[np.asarray(index)]))
        return params

    def annotate(seed, held_out, params, scene, original=simulate.annotate):
        shown.append(set(held_out.subject))
        return original(seed, held_out, params, scene)

    monkeypatch.setattr(keypoint_hmr, "train", train)
    monkeypatch.setattr(simulate, "annotate", annotate)
    made = simulate.cross_fitted(0, frames, scene, views=2, steps=1)
    assert records.count(made) == 2 * len(frames.frame)
    assert len(trained) == 3
    assert all(not a & b for a, b in zip(trained, shown))


def test_motion_folders_that_mix_subjects_are_refused(rng, tmp_path):
    with pytest.raises(FileNotFoundError, match="generated"):
        splits.read_split(tmp_path)
    for part, name in (("train", "01_01"), ("val", "02_01"), ("test", "01_02")):
        (tmp_path / part).mkdir()
        arrays = {"poses": np.zeros((3, 72)), "trans": np.zeros((3, 3)), "mocap_framerate": 60.0}
        np.savez(tmp_path / part / f"{name}.npz", **arrays)
    with pytest.raises(ValueError, match=r"\['01'\] in train and test"):
        splits.read_split(tmp_path)
