"""Videos from annotation fields, and from Human3.6M in VideoPose3D's files."""

import files_datasets
import numpy as np
import pytest

from diffjax.convert import h36m, h36m_sequences
from diffjax.data import pose_sequences, sequence_sets


def silent(said):
    pass


def test_h36m_videos_are_normalised_2d_and_root_relative_camera_metres(tmp_path):
    paths = files_datasets.write_h36m(tmp_path)
    videos = h36m_sequences.read_sequences(*paths, subjects=("S1",), say=silent)
    assert len(videos) == 2 * 4  # Takes times cameras; without --subjects, S2 has no public camera.
    fields = h36m.read_h36m(*paths, subjects=("S1",), say=silent)
    for i, video in enumerate(videos):
        rows = slice(5 * i, 5 * i + 5)
        pixels, joints = fields["keypoints2d"][rows, :, :2], fields["keypoints3d"][rows, :, :3]
        height = 1002.0 if video.camera in ("54138969", "60457274") else 1000.0
        np.testing.assert_allclose(video.p, pixels / 1000.0 * 2 - [1, height / 1000.0], atol=1e-6)
        np.testing.assert_allclose(video.x, joints - joints[:, :1], atol=1e-6)
        assert not video.x[:, 0].any()
        np.testing.assert_allclose(video.root_cam, joints[:, 0], atol=1e-6)
        np.testing.assert_array_equal(video.frame, np.arange(5))
    assert [v.action for v in videos] == ["Walking"] * 4 + ["Eating"] * 4
    assert {v.subject for v in videos} == {"S1"}
    assert len({v.camera for v in videos}) == 4


def test_another_lifters_estimates_come_in_camera_by_camera(tmp_path):
    paths = files_datasets.write_h36m(tmp_path)
    videos = h36m_sequences.read_sequences(*paths, subjects=("S1",), say=silent)
    made = sequence_sets.of_videos(videos, "h36m17_native", "made")
    said = {"S1": {}}
    for i, video in enumerate(videos):
        action = video.name.split("/")[1]
        shifted = np.concatenate([video.x + 0.01 * i, np.ones((2, 17, 3))]) + 4.0
        said["S1"].setdefault(action, []).append(shifted)
    path = tmp_path / "mixste.npz"
    np.savez(path, positions_3d=said)
    found = h36m_sequences.with_estimates(made, path)
    np.testing.assert_allclose(found.estimate3d, made.truth3d, atol=1e-5)
    np.testing.assert_array_equal(found.truth3d, made.truth3d)
    said["S1"]["Walking 1"][2] = said["S1"]["Walking 1"][2][:3]
    np.savez(path, positions_3d=said)
    with pytest.raises(ValueError, match=r"positions_3d.S1.Walking 1: wanted \(5 to 55, 17, 3\)"):
        h36m_sequences.with_estimates(made, path)
    np.savez(path, positions_3d={"S9": {}})
    with pytest.raises(ValueError, match=r"mixste\.npz: field S1"):
        h36m_sequences.with_estimates(made, path)


@pytest.mark.parametrize("rate", [2, 1 / 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_another_lifters_estimates_of_another_rate_are_named(rate, stride, tmp_path, monkeypatch):
    """Of a video of 200 frames, 400 or 100, whether the set has all of its frames or every other one."""
    positions = files_datasets.h36m_positions
    monkeypatch.setattr(files_datasets, "h36m_positions", lambda joints: positions(200, joints))
    paths = files_datasets.write_h36m(tmp_path)
    videos = h36m_sequences.read_sequences(*paths, subjects=("S9",), stride=stride, say=silent)
    made = sequence_sets.of_videos(videos, "h36m17_native", "made")
    frame = np.arange(200)
    said = {"S9": {"Walking 1": [np.broadcast_to(frame[:, None, None], (200, 17, 3)) * 1e-3] * 4}}
    said["S9"]["Walking 1"][0] = said["S9"]["Walking 1"][0] + np.arange(17)[:, None] * 1e-2
    np.savez(tmp_path / "said.npz", positions_3d=said)
    found = h36m_sequences.with_estimates(made, tmp_path / "said.npz").estimate3d
    np.testing.assert_allclose(found[:3, 4], 0.04, atol=1e-6)
    of_another = [np.repeat(x, 2, 0) if rate == 2 else x[::2] for x in said["S9"]["Walking 1"]]
    np.savez(tmp_path / "said.npz", positions_3d={"S9": {"Walking 1": of_another}})
    wanted = r"S9.Walking 1: wanted \((199|200) to (298|300), 17, 3\), found \((100|400), 17, 3\); .* 50 Hz"
    with pytest.raises(ValueError, match=wanted):
        h36m_sequences.with_estimates(made, tmp_path / "said.npz")


def test_the_test_subjects_are_kept_apart(tmp_path):
    paths = files_datasets.write_h36m(tmp_path)
    assert not set(h36m_sequences.TRAIN) & set(h36m_sequences.TEST)
    test = h36m_sequences.read_sequences(*paths, subjects=("S9",), say=silent, stride=2)
    assert {v.subject for v in test} == {"S9"}
    np.testing.assert_array_equal(test[0].frame, [0, 2, 4])


def fields(frames=4, **changes):
    rng = np.random.default_rng(0)
    found = {
        "keypoints2d": np.concatenate(
            [rng.uniform(0, 900, (frames, 17, 2)), np.ones((frames, 17, 1))], -1
        ),
        "keypoints2d_set": "h36m17",
        "keypoints3d": np.concatenate(
            [rng.normal(size=(frames, 17, 3)), np.ones((frames, 17, 1))], -1
        ),
        "keypoints3d_set": "h36m17",
        "sequence": np.array(["b", "a", "b", "a"])[:frames],
        "frame": np.array([3, 0, 1, 7])[:frames],
        "subject": np.array(["x", "y", "x", "y"])[:frames],
        "image_size_px": np.tile([900.0, 600.0], (frames, 1)),
    }
    return found | changes


def test_rows_in_any_order_become_videos_in_the_order_of_frames():
    given = fields()
    videos = pose_sequences.sequences_from_fields(given, "here")
    assert [(v.action, v.subject) for v in videos] == [("b", "x"), ("a", "y")]
    np.testing.assert_array_equal(videos[0].frame, [1, 3])
    wanted = given["keypoints3d"][[2, 0], :, :3]
    np.testing.assert_allclose(videos[0].x, wanted - wanted[:, :1], atol=1e-6)


def test_views_of_one_sequence_are_videos_of_their_own():
    given = fields(
        sequence=np.full(4, "a"),
        subject=np.full(4, "x"),
        frame=np.array([0, 0, 1, 1]),
        view=np.array(["left", "right"] * 2),
    )
    videos = pose_sequences.sequences_from_fields(given, "here")
    assert [(v.name, v.camera, len(v.p)) for v in videos] == [("a", "left", 2), ("a", "right", 2)]
    with pytest.raises(ValueError, match="each frame once in a track"):
        pose_sequences.sequences_from_fields(given | {"view": None}, "here")


def test_what_is_not_seen_is_nan():
    given = fields()
    given["keypoints2d"][0, 5, 2] = 0.0
    given["keypoints3d"][0, 6, 3] = 0.0
    video = pose_sequences.sequences_from_fields(given, "here")[0]
    assert np.isnan(video.p).sum() == 2
    assert np.isnan(video.p[1, 5]).all()
    assert np.isnan(video.x).sum() == 3
    assert np.isnan(video.x[1, 6]).all()


def test_normalising_is_undone_and_pixels_are_told_apart(tmp_path):
    rng = np.random.default_rng(0)
    size = np.array([[1920.0, 1080.0]])
    pixels = rng.uniform(0, 1080, (1, 17, 2))
    p = pose_sequences.normalised(pixels, size)
    assert np.abs(p[..., 0]).max() <= 1.0
    assert np.abs(p[..., 1]).max() <= 1080 / 1920
    np.testing.assert_allclose(pose_sequences.pixels_from_normalised(p, size), pixels)
    pose_sequences.check_normalised(p, "x.npz")
    with pytest.raises(ValueError, match=r"x.npz: wanted 2D normalised .* looks like pixels"):
        pose_sequences.check_normalised(pixels, "x.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints2d_set": "coco17"}, "field keypoints2d_set: wanted h36m17 like the 3D joints"),
        ({"keypoints2d": None}, "field keypoints2d: wanted it for sequences"),
        ({"sequence": None}, "field sequence: wanted it"),
        ({"keypoints2d_set": "lsp14", "keypoints3d_set": "lsp14"}, "wanted a pelvis"),
    ],
)
def test_fields_that_do_not_make_videos_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        pose_sequences.sequences_from_fields(fields(**changes), "here")


def test_actions_count_alike_however_long_they_are():
    errors = np.array([10.0, 20.0, 30.0, 60.0])
    mean, of = pose_sequences.mean_over_actions(errors, ["Walking", "Walking", "Walking", "Eating"])
    assert of == {"Eating": 60.0, "Walking": 20.0}
    assert mean == 40.0
