"""Simulated video and several views: one camera a window, one person an instant, noise as stated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import body, rotations, simulate
from diffjax.data import amass, in_time, moments, motion, records, splits, synthetic
from diffjax.frontends import keypoint_hmr

_T = 5
_matrices = jax.jit(rotations.matrix_from_axis_angle)
_keypoints = jax.jit(body.pose_keypoints)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Short windows and batches that do not divide what is seen."""
    monkeypatch.setattr(moments, "WINDOW", _T)
    monkeypatch.setattr(simulate, "_ROWS", 2 * _T + 2)


@pytest.fixture(scope="module")
def scene():
    return synthetic.scene_of(tiny.bones(), np.eye(24)[:17], np.eye(24)[:14])


@pytest.fixture(scope="module")
def params():
    return keypoint_hmr.init(jax.random.key(0), width=8)


def _clip(name, poses, trans, fps=30.0, betas=0.0):
    arrays = (np.asarray(x, np.float32) for x in (poses, trans, np.full(10, betas)))
    recording = amass.Motion(*arrays, fps, "neutral")
    return motion.Clip(recording, name, name.split("_")[0])


def _walk(rng, name, frames, speed=1.0, fps=30.0):
    """Random poses on a straight line of `speed` metres a frame."""
    trans = rng.normal(0, 1, 3) + speed * np.arange(frames)[:, None] * [0.6, 0.0, 0.8]
    return _clip(name, rng.normal(0, 0.3, (frames, 24, 3)), trans, fps)


def _points(scene, people):
    """(rows, 31, 3) true keypoints in the camera's frame, metres."""
    points = _keypoints(scene.both, jnp.asarray(people.pose), jnp.asarray(people.betas))
    return np.asarray(points) + people.cam_t[:, None]


def test_who_stands_still_does_not_move_in_the_video(rng, scene, params):
    clip = _clip(
        "a_1", np.tile(rng.normal(0, 0.3, (24, 3)), (_T, 1, 1)), np.tile([1, 2, 3], (_T, 1))
    )
    made = simulate.track_set(0, moments.windows([clip], 1), params, scene)
    points = _points(scene, made)
    np.testing.assert_allclose(points, np.broadcast_to(points[0], points.shape), atol=1e-5)
    assert np.ptp(made.labels2d[..., 0], axis=0).min() > 0.0
    assert np.ptp(made.betas, axis=0).max() == 0.0


def test_the_camera_of_a_window_is_at_rest(rng, scene, params):
    windows = moments.windows([_walk(rng, f"{s}_1", 3 * _T, 0.2) for s in "abc"], 7)
    made = simulate.track_set(1, windows, params, scene)
    records.check(made, "made")
    assert records.count(made) == 7 * _T
    view = made.pose[:, 0] @ np.swapaxes(windows.rotations[:, :, 0].reshape(-1, 3, 3), -1, -2)
    trans = np.einsum("rij,rj->ri", view, windows.trans.reshape(-1, 3))
    for rows in np.split(np.arange(7 * _T), 7):
        np.testing.assert_allclose(view[rows], np.tile(view[rows[:1]], (_T, 1, 1)), atol=1e-5)
        still = (made.cam_t - trans)[rows]
        np.testing.assert_allclose(still, np.tile(still[:1], (_T, 1)), atol=1e-4)
        assert len({*made.sequence[rows]}) == 1
        assert np.all(np.diff(made.frame[rows]) == 1)
    assert len({*made.sequence}) == 7
    assert {*made.view} == {"0"}
    assert np.ptp(view[::_T], axis=0).max() > 0.5  # Another window, another camera.


def test_who_runs_at_the_camera_stays_before_it(rng, scene, params):
    windows = moments.windows([_walk(rng, f"{s}_1", _T, 2.5) for s in "abcdef"], 6)
    made = simulate.track_set(1, windows, params, scene)
    rest = synthetic.rest_pelvis(scene.coco, jnp.asarray(made.betas))
    depth = (made.cam_t + np.asarray(rest))[:, 2]
    assert depth.min() >= 3.0 - 1e-4
    assert np.ptp(depth.reshape(6, _T), axis=1).max() > 4.0


def test_all_views_of_an_instant_are_of_one_person_in_one_world(rng, scene, params):
    clips = [_walk(rng, "a_1", 5, 0.3), _walk(rng, "b_1", 4, 0.3)]
    frames = moments.gather(clips, every=1)
    made = simulate.view_set(2, frames, params, scene)
    records.check(made, "made")
    assert made.view_rotation is not None
    assert made.view_translation is not None
    np.testing.assert_array_equal(made.view, np.tile(list("0123"), 9))
    np.testing.assert_array_equal(made.frame, np.repeat(frames.frame, 4))
    root = made.view_rotation @ np.repeat(frames.rotations[:, 0], 4, 0)
    np.testing.assert_allclose(made.pose[:, 0], root, atol=1e-5)
    seen = _points(scene, made) - made.view_translation[:, None]
    world = np.einsum("rji,rkj->rki", made.view_rotation, seen).reshape(9, 4, 31, 3)
    np.testing.assert_allclose(world, np.broadcast_to(world[:, :1], world.shape), atol=1e-4)
    betas = jnp.asarray(made.betas[::4])  # The world is that of the clip.
    there = _keypoints(scene.both, jnp.asarray(frames.rotations), betas)
    np.testing.assert_allclose(world[:, 0], there + frames.trans[:, None], atol=1e-4)


def test_cameras_stand_a_quarter_turn_apart(scene, params):
    clip = _clip("a_1", np.zeros((200, 24, 3)), np.zeros((200, 3)))
    made = simulate.view_set(3, moments.gather([clip], 1), params, scene)
    assert made.view_rotation is not None
    forward = made.view_rotation[:, 2].reshape(200, 4, 3)  # The camera's axis in the world.
    heading = np.degrees(np.unwrap(np.arctan2(forward[..., 0], forward[..., 2]), axis=1))
    steps = np.diff(heading, axis=1)
    np.testing.assert_allclose(np.abs(steps.mean()), 90.0, atol=1.5)
    np.testing.assert_allclose(steps.std(), 10.0 * np.sqrt(2.0), rtol=0.15)
    pitch = np.degrees(np.arcsin(forward[..., 1]))
    np.testing.assert_allclose(pitch.std(), 9.7, rtol=0.15)
    assert abs(np.corrcoef(pitch[:, 0], pitch[:, 1])[0, 1]) < 0.3  # Each camera has its own.


def test_the_seed_decides_everything(rng, scene, params):
    clips = [_walk(rng, "a_1", 2 * _T, 0.1)]
    windows, frames = moments.windows(clips, 2), moments.gather(clips, 1)
    for make, what in ((simulate.track_set, windows), (simulate.view_set, frames)):
        first, again, other = (make(seed, what, params, scene) for seed in (4, 4, 5))
        for name, value in records.arrays_of(first).items():
            np.testing.assert_array_equal(getattr(again, name), value)
        assert not np.array_equal(other.keypoints2d, first.keypoints2d)
        assert not np.array_equal(other.cam_t, first.cam_t)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_memory_keeps_the_variance_and_has_the_correlation_asked_for(correlation):
    weight = jnp.asarray(in_time.memory(40, correlation))
    np.testing.assert_allclose(jnp.sum(weight**2, 1), 1.0, atol=1e-5)
    z = np.asarray(in_time.lasting(jax.random.key(0), weight, 300, (4,)))
    np.testing.assert_allclose(z.var(axis=(0, 2)), 1.0, atol=0.2)
    for lag in (1, 2):
        found = (z[:, lag:] * z[:, :-lag]).mean()
        np.testing.assert_allclose(found, correlation**lag, atol=0.03)
    with pytest.raises(ValueError, match=r"correlation: wanted at least 0 .* below 1, got 1"):
        in_time.memory(4, 1.0)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_a_frame_by_itself_is_detected_as_any_picture(correlation):
    weight = jnp.asarray(in_time.memory(20, correlation))
    pixels = jnp.full((300, 20, 17, 2), 500.0)
    video = np.asarray(jax.jit(in_time.detect)(jax.random.key(0), pixels, weight))
    picture = np.asarray(jax.jit(synthetic.detect)(jax.random.key(1), pixels.reshape(-1, 17, 2)))
    one, two = (x.reshape(-1, 17, 3) for x in (video, picture))
    np.testing.assert_allclose((one[..., 2] > 0).mean(0), (two[..., 2] > 0).mean(0), atol=0.025)
    levels = [0.1, 0.5, 0.9]
    for column in (0, 2):
        ours, theirs = (np.quantile(x[..., column][x[..., 2] > 0], levels) for x in (one, two))
        np.testing.assert_allclose(ours, theirs, atol=1.0 if column == 0 else 0.01)
    error = (video - 500.0)[..., 0]
    kept = (video[:, 1:, :, 2] > 0) & (video[:, :-1, :, 2] > 0)
    lag = np.corrcoef(error[:, 1:][kept], error[:, :-1][kept])[0, 1]
    assert abs(lag) < 0.02 if correlation == 0.0 else 0.55 < lag < 0.8
    gone = video[..., 2] == 0
    again = (gone[:, 1:] & gone[:, :-1]).sum() / gone[:, :-1].sum()
    assert again < 0.2 if correlation == 0.0 else again > 0.4  # Who is missing stays so.


def test_windows_come_from_as_many_clips_as_there_are(rng):
    lengths = {"a_1": 12 * _T, "b_1": _T - 1, "c_1": _T, "d_1": 3 * _T + 2}
    clips = [_walk(rng, name, frames) for name, frames in lengths.items()]
    clips.append(_walk(rng, "e_1", 4 * _T, fps=12.0))
    few, many, all_of_them = (moments.windows(clips, count) for count in (3, 6, 99))
    assert few.subject.tolist() == ["a", "c", "d"]
    assert many.subject.tolist() == ["a", "a", "a", "c", "d", "d"]
    assert len(all_of_them.subject) == 12 + 1 + 3
    assert len({*all_of_them.sequence}) == 16
    for name in "acd":  # No frame twice, none outside the clip.
        frame = all_of_them.frame[all_of_them.subject == name].reshape(-1)
        assert len({*frame}) == len(frame)
        assert frame.max() < lengths[f"{name}_1"]
    row = int(np.flatnonzero(many.subject == "c")[0])
    poses = _matrices(jnp.asarray(clips[2].motion.poses))
    np.testing.assert_array_equal(many.rotations[row], poses)


def test_fast_recordings_are_thinned_to_thirty_frames_a_second(rng):
    clip = _walk(rng, "a_1", 2 * _T, fps=60.00002)
    made = moments.windows([clip], 1)
    np.testing.assert_array_equal(made.trans[0], clip.motion.trans[::2])
    assert made.frame[0].tolist() == list(range(_T))


def test_a_mirrored_walk_goes_the_other_way(rng):
    frames = moments.gather([_walk(rng, "a_1", 3)], 1)
    both = moments.with_mirrors(frames)
    np.testing.assert_array_equal(both.trans[3:], frames.trans * np.float32([-1, 1, 1]))


def test_motion_too_short_for_video_is_refused_by_name(rng, monkeypatch):
    monkeypatch.setattr(moments, "WINDOW", 63)
    with pytest.raises(ValueError, match=r"clips of at least 2\.1 s at 30 .* 1 clips of 2\.0 s"):
        moments.windows([_walk(rng, "a_1", 60)], 1)


def test_short_clips_are_held_out_without_video(rng, scene, params):
    long, short = _walk(rng, "a_1", 2 * _T), _walk(rng, "b_1", _T - 1)
    clips = splits.Clips([], [short], [long])
    made = dict(simulate.held_out(clips, splits.Sampling(), params, scene))
    assert [*made] == ["val", "val_views", "test", "test_video", "test_views"]
    only = dict(simulate.held_out(clips, splits.Sampling(), params, scene, correlation=0.8))
    np.testing.assert_array_equal(only["test"].keypoints2d, made["test"].keypoints2d)
    np.testing.assert_array_equal(only["test_video"].cam_t, made["test_video"].cam_t)
    assert not np.array_equal(only["test_video"].keypoints2d, made["test_video"].keypoints2d)


def test_the_demo_has_video_and_views_by_name(rng, scene, params, monkeypatch):
    clips = [_walk(rng, f"{s}_1", 2 * _T, 0.1) for s in "ab"]
    monkeypatch.setattr(keypoint_hmr, "load", lambda path: params)
    monkeypatch.setattr(synthetic, "load_scene", lambda path: scene)
    monkeypatch.setattr(splits, "generated_clips", lambda part: clips)
    for name, views in (("demo", None), ("demo_video", {"0"}), ("demo_views", set("0123"))):
        val, test = simulate.demo_split(name, "frontend", "body")
        assert (None if test.view is None else {*test.view}) == views
        assert not np.array_equal(val.pred_pose, test.pred_pose)
    with pytest.raises(ValueError, match="demo_vid: wanted one of demo, demo_video, demo_views"):
        simulate.demo_split("demo_vid", "frontend", "body")


def test_sets_with_views_are_written_and_read(rng, scene, params, tmp_path):
    frames = moments.gather([_walk(rng, "a_1", 3, 0.1)], 1)
    made = simulate.view_set(0, frames, params, scene)
    records.write(tmp_path / "views.npz", made)
    again = records.read(tmp_path / "views.npz")
    for name in ("view", "view_rotation", "view_translation"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    one = records.take(again, again.view == "2")
    np.testing.assert_array_equal(one.pose, made.pose[2::4])
