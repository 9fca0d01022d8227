"""Annotation sets as sequence sets: whose frame is whose, and what the 2D says of joints that it does not name."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import body, camera, skeleton
from diffjax.convert import to_sequences
from diffjax.data import people_sequences, pose_sequences, records, sequence_sets

pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny.write_body(tmp_path_factory.mktemp("body") / "body.npz")


@pytest.fixture(scope="module")
def looks(file):
    return people_sequences.looks_of(file, body.load_body(file), "h36m17", "coco17")


def filmed(lengths=(5, 4), seed=3, right=True):
    """Tracks of one camera; `right` makes the estimates the truth."""
    a = tiny.annotations(sum(lengths), seed=seed)
    names = [f"t{i}" for i in range(len(lengths))]
    better = {"pred_pose": a.pose, "pred_betas": a.betas} if right else {}
    return dataclasses.replace(
        a,
        sequence=np.repeat(names, lengths),
        frame=np.concatenate([np.arange(n) for n in lengths]),
        **better,
    )


def tracked(a, looks, field="labels2d"):
    return people_sequences.of_people(a, looks, "h36m17", field)


def test_right_estimates_and_exact_labels_say_where_the_joints_are(looks):
    a = filmed()
    videos = tracked(a, looks).videos
    model = body.fold_keypoints(tiny.bones(), tiny.REGRESSORS["h36m17"])
    joints = np.asarray(tiny.pose_keypoints(model, a.pose, a.betas))
    np.testing.assert_allclose(videos.estimate3d, joints - joints[:, :1], atol=1e-5)
    np.testing.assert_array_equal(videos.truth3d, videos.estimate3d)
    view = camera.Camera(*(jnp.asarray(x) for x in (a.focal_px, a.center_px, a.image_size_px)))
    pixels = np.asarray(camera.project(view, jnp.asarray(joints + tiny.PLACE)))
    wanted = pose_sequences.normalised(pixels, a.image_size_px)
    np.testing.assert_allclose(videos.poses2d, wanted, atol=1e-4)


def test_a_joint_moves_as_the_keypoints_that_tell_of_it_and_as_far_as_they_are_trusted(looks):
    """With a translation that the other keypoints fix, all but exactly."""
    a = filmed((3,))
    index = skeleton.keypoint_set("coco17").index("left_shoulder")
    joints = skeleton.keypoint_set("h36m17")
    before = tracked(a, looks).videos.poses2d
    for confidence in (1.0, 0.5):
        off = a.labels2d.copy()
        off[:, index] += np.asarray([0.05, 0.0, 0.0], np.float32)
        off[:, index, 2] = confidence
        after = tracked(dataclasses.replace(a, labels2d=off), looks).videos.poses2d
        moved = (after - before)[..., 0] * 0.5 * a.image_size_px[:, :1]
        shoulder, neck, knee = (
            moved[:, joints.index(name)] for name in ("left_shoulder", "neck", "left_knee")
        )
        np.testing.assert_allclose(shoulder, 0.05 * confidence, atol=0.015)
        np.testing.assert_allclose(neck, 0.025 * confidence, atol=0.015)
        np.testing.assert_allclose(knee, 0.0, atol=0.015)


def test_what_was_not_seen_may_be_anything(looks):
    a = filmed(right=False)
    unseen, spoilt = a.labels2d.copy(), a.labels2d.copy()
    unseen[:, 3:7] = 0.0
    spoilt[:, 3:7] = [1e6, -1e6, 0.0]
    first, second = (
        tracked(dataclasses.replace(a, labels2d=x), looks).videos for x in (unseen, spoilt)
    )
    np.testing.assert_array_equal(first.poses2d, second.poses2d)


def test_a_frame_without_evidence_lies_between_its_neighbours(looks):
    a = filmed((5,), right=False)
    bare = a.labels2d.copy()
    bare[2] = 0.0
    p = tracked(dataclasses.replace(a, labels2d=bare), looks).videos.poses2d
    np.testing.assert_allclose(p[2], 0.5 * (p[1] + p[3]), atol=1e-6)
    np.testing.assert_array_equal(p[[0, 1, 3, 4]], tracked(a, looks).videos.poses2d[[0, 1, 3, 4]])


def test_a_track_without_any_evidence_is_where_a_projection_puts_it(looks):
    a = filmed((3, 2), right=False)
    bare = a.labels2d.copy()
    bare[3:] = 0.0
    p = tracked(dataclasses.replace(a, labels2d=bare), looks).videos.poses2d
    assert np.isfinite(p).all()


def test_frames_are_put_in_order_and_know_their_rows(looks, rng):
    a = filmed((4, 1, 3), right=False)
    order = rng.permutation(8)
    straight, mixed = tracked(a, looks), tracked(records.take(a, order), looks)
    assert sorted(sequence_sets.lengths(mixed.videos)) == [1, 3, 4]
    back, wanted = (np.argsort(x.rows) for x in (mixed, straight))
    for name in ("estimate3d", "poses2d", "frame", "sequence"):
        found, right = (getattr(x.videos, name) for x in (mixed, straight))
        np.testing.assert_array_equal(found[back], right[wanted][order])


@pytest.mark.parametrize(
    "change",
    [
        lambda a: {"gender": np.full(9, "male")},
        lambda a: {"pose": np.where(np.arange(9)[:, None, None, None] == 3, np.nan, a.pose)},
        lambda a: {"pose": None},
    ],
)
def test_truth_of_another_body_or_of_some_is_no_truth(looks, change):
    a = filmed()
    assert tracked(dataclasses.replace(a, **change(a)), looks).videos.truth3d is None


@pytest.mark.parametrize("field", ["labels2d", "focal_px", "frame"])
def test_what_lacks_is_named(looks, field):
    a = dataclasses.replace(filmed(), **{field: None})
    with pytest.raises(ValueError, match=f"set: field {field}: wanted it for sequences"):
        tracked(a, looks)


@pytest.mark.parametrize(("joints", "said"), [("coco17", "pelvis"), ("openpose25", "regressor")])
def test_joints_need_a_pelvis_and_a_regressor(file, joints, said):
    with pytest.raises(ValueError, match=said):
        people_sequences.looks_of(file, body.load_body(file), joints, "coco17")


def test_the_command_writes_a_set_that_reads_of_both_kinds_every_video_twice(
    file, tmp_path, capsys
):
    source, out = tmp_path / "people.npz", tmp_path / "sequences.npz"
    records.write(source, filmed(right=False))
    to_sequences.convert(source, out, Path(file), ("labels", "detections"))
    videos = sequence_sets.read(out)
    assert sequence_sets.lengths(videos) == [5, 4, 5, 4]
    assert set(videos.view) == {"labels", "detections"}
    assert videos.fps == 30.0
    assert videos.truth3d is not None
    half = len(videos.frame) // 2
    np.testing.assert_array_equal(videos.estimate3d[:half], videos.estimate3d[half:])
    assert np.abs(videos.poses2d[:half] - videos.poses2d[half:]).max() > 1e-4
    assert "18 frames of 4 videos, with the truth" in capsys.readouterr().out


def test_the_command_says_which_evidence_lacks(file, tmp_path):
    source = tmp_path / "people.npz"
    records.write(source, tiny.without(filmed(), "labels2d"))
    with pytest.raises(ValueError, match=r"people.npz: field labels2d: wanted labels"):
        to_sequences.convert(source, tmp_path / "out.npz", Path(file), ("labels",))
