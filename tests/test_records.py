"""Annotation sets: what is written is read, and what is wrong is refused by name."""

import dataclasses

import numpy as np
import pytest

from diffjax import skeleton
from diffjax.data import records

_N = 5


@pytest.fixture
def arrays():
    """The fields of a small valid set, as on disk."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(_N, 24, 3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))[..., None, None]
    pixels = np.concatenate([rng.uniform(0, 400, (_N, 17, 2)), np.ones((_N, 17, 1))], -1)
    metres = np.concatenate([rng.uniform(-1, 1, (_N, 14, 3)), np.ones((_N, 14, 1))], -1)
    return {
        "pred_pose": turn.astype(np.float32),
        "pred_betas": rng.normal(size=(_N, 10)).astype(np.float32),
        "pred_cam_t": np.tile(np.float32([0, 0, 40.0]), (_N, 1)),
        "pose": turn.astype(np.float32),
        "keypoints2d": pixels.astype(np.float32),
        "keypoints2d_set": "coco17",
        "keypoints3d": metres.astype(np.float32),
        "keypoints3d_set": "h36m14",
        "focal_px": np.full((_N, 2), 5000, np.float32),
        "gender": np.array(["male", "female", "neutral", "male", "male"]),
        "sequence": np.array(list("aabbb")),
        "frame": np.arange(_N),
        "view": np.array(list("01012")),
        "view_rotation": turn[:, 3].astype(np.float32),
        "view_translation": np.tile(np.float32([0, 0, 4.0]), (_N, 1)),
    }


def _saved(tmp_path, arrays):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    return path


def test_what_is_written_is_read(tmp_path, arrays):
    first = records.read(_saved(tmp_path, arrays))
    records.write(tmp_path / "again.npz", first)
    again = records.read(tmp_path / "again.npz")
    for name, value in dataclasses.asdict(first).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    assert again.features is None
    assert again.keypoints2d_set == "coco17"
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["again.npz", "set.npz"]


def test_doubles_on_disk_are_read_as_singles(tmp_path, arrays):
    arrays["pred_betas"] = arrays["pred_betas"].astype(np.float64)
    arrays["frame"] = arrays["frame"].astype(np.int16)
    annotations = records.read(_saved(tmp_path, arrays))
    assert annotations.pred_betas.dtype == np.float32
    assert annotations.frame is not None
    assert annotations.frame.dtype == np.int64


def test_shards_read_as_the_whole(tmp_path, arrays):
    whole = records.read(_saved(tmp_path, arrays))
    paths = records.write_shards(tmp_path / "shards", whole, rows=2)
    assert len(paths) == 3
    joined = records.read(tmp_path / "shards")
    np.testing.assert_array_equal(joined.pred_pose, whole.pred_pose)
    np.testing.assert_array_equal(joined.gender, whole.gender)
    with pytest.raises(ValueError, match="already exists"):
        records.write_shards(tmp_path / "shards", whole)


def test_take_and_concatenate_are_inverse(tmp_path, arrays):
    whole = records.read(_saved(tmp_path, arrays))
    first, rest = records.take(whole, np.arange(2)), records.take(whole, slice(2, None))
    assert records.count(first) == 2
    joined = records.concatenate([first, rest])
    np.testing.assert_array_equal(joined.keypoints2d, whole.keypoints2d)
    mask = np.asarray(whole.sequence) == "a"
    np.testing.assert_array_equal(records.take(whole, mask).pose, first.pose)


def test_sets_with_different_fields_are_not_joined(tmp_path, arrays):
    whole = records.read(_saved(tmp_path, arrays))
    with pytest.raises(ValueError, match=r"set 1.*only one of the two has pose"):
        records.concatenate([whole, dataclasses.replace(whole, pose=None)])
    with pytest.raises(ValueError, match=r"set 1: field keypoints3d_set: wanted h36m14"):
        records.concatenate([whole, dataclasses.replace(whole, keypoints3d_set="lsp14")])


def _scaled(name, factor):
    def change(arrays):
        arrays[name] = arrays[name].copy()
        arrays[name][..., :3] *= factor

    return change


def _put(name, value, index=...):
    def change(arrays):
        arrays[name] = arrays[name].copy()
        arrays[name][index] = value

    return change


def _set(name, value):
    return lambda arrays: arrays.update({name: value})


def _cut(name, index):
    return lambda arrays: arrays.update({name: arrays[name][index]})


_BAD = {
    "stretched": (_put("pred_pose", 2 * np.eye(3), (3, 7)), r"pred_pose.*row 3, joint 7"),
    "mirrored": (_put("pose", np.diag([1, 1, -1.0]), (1, 0)), r"pose.*reflection.*row 1, joint 0"),
    "axis-angle": (_cut("pose", np.s_[..., 0]), r"pose: wanted shape \(5, 24, 3, 3\), found \(5,"),
    "short": (_cut("keypoints2d", np.s_[:3]), r"keypoints2d: wanted shape \(5, 17, 3\), found \(3"),
    "mm": (_scaled("keypoints3d", 1000), r"keypoints3d: wanted metres.*millimetres\? divide"),
    "km": (_scaled("keypoints3d", 1e-3), r"keypoints3d: wanted metres.*divided by 1000 twice"),
    "cam mm": (_scaled("pred_cam_t", 1000), r"pred_cam_t: wanted metres.*divide by 1000"),
    "nan": (_put("keypoints2d", np.nan, (2, 4, 0)), r"keypoints2d.*NaN.*1 of 5 rows, first row 2"),
    "infinite": (_put("pred_betas", np.inf, (0, 0)), r"pred_betas: wanted finite"),
    "empty": (_cut("pred_pose", np.s_[:0]), r"pred_pose: wanted at least one person"),
    "typo": (_set("keypoint2d", np.zeros(3)), r"keypoint2d.*did you mean keypoints2d"),
    "stranger": (_set("zzz", np.zeros(3)), r"field zzz.*known are pred_pose"),
    "set": (
        _set("keypoints2d_set", "coco"),
        r"keypoints2d_set: wanted one of.*did you mean coco17",
    ),
    "no set": (lambda a: a.pop("keypoints3d_set"), r"keypoints3d_set: wanted one of .*found None"),
    "set alone": (lambda a: a.pop("keypoints3d"), r"keypoints3d: wanted the keypoints that"),
    "missing": (lambda a: a.pop("pred_betas"), r"pred_betas: wanted the cached estimate"),
    "normalised": (_scaled("keypoints2d", 1 / 400), r"keypoints2d: wanted pixels.*normalised"),
    "flags": (_put("keypoints2d", 2.0, np.s_[..., 2]), r"keypoints2d: wanted confidence.*COCO"),
    "focal": (_put("focal_px", 0.0), r"focal_px: wanted pixels above 0"),
    "gender": (_set("gender", np.array(list("mmffm"))), r"gender: wanted one of .*found f"),
    "bytes": (_set("sequence", np.array([b"a"] * 5)), r"sequence: wanted text"),
    "frames": (_set("frame", np.arange(5.0)), r"frame: wanted whole numbers"),
    "view": (_set("view", np.arange(5)), r"view: wanted text"),
    "view mirrored": (
        _put("view_rotation", np.diag([1, 1, -1.0]), 2),
        r"view_rotation: wanted rotation matrices, found a reflection.* at row 2 \(1 of 5 matrices",
    ),
    "view shape": (_cut("view_rotation", np.s_[:, 0]), r"view_rotation: wanted shape \(5, 3, 3\)"),
    "view mm": (_scaled("view_translation", 1000), r"view_translation: wanted metres.*by 1000"),
    "view half": (
        lambda a: a.pop("view_rotation"),
        r"view_rotation: wanted the rotation beside view_translation, found nothing",
    ),
    "pickle": (_set("image", np.array([None] * 5)), r"wanted an .npz of plain arrays"),
}


@pytest.mark.parametrize("case", _BAD)
def test_bad_fields_are_refused_with_file_field_wanted_found(tmp_path, arrays, case):
    change, message = _BAD[case]
    change(arrays)
    path = _saved(tmp_path, arrays)
    with pytest.raises(ValueError, match=message) as error:
        records.read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_camera_may_be_known_by_its_rotation_alone(tmp_path, arrays):
    del arrays["view_translation"]
    again = records.read(_saved(tmp_path, arrays))
    assert again.view_translation is None
    np.testing.assert_array_equal(again.view_rotation, arrays["view_rotation"])


def test_keypoints_without_confidence_may_be_anything_finite(tmp_path, arrays):
    arrays["keypoints2d"][:] = 0.0
    arrays["keypoints3d"][:, 3:] = 0.0
    arrays["keypoints3d"][:, 3:, 0] = 1e6
    records.read(_saved(tmp_path, arrays))


def test_a_bad_set_is_not_written(tmp_path, arrays):
    annotations = records.read(_saved(tmp_path, arrays))
    bad = dataclasses.replace(annotations, pred_betas=np.full((_N, 10), np.nan, np.float32))
    for write in (records.write, records.write_shards):
        with pytest.raises(ValueError, match="pred_betas"):
            write(tmp_path / "bad.npz", bad)
    assert [p.name for p in tmp_path.iterdir()] == ["set.npz"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, arrays, monkeypatch):
    path = _saved(tmp_path, arrays)
    annotations, before = records.read(path), path.read_bytes()

    def interrupt(stream, **_):
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupt)
    with pytest.raises(KeyboardInterrupt):
        records.write(path, annotations)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["set.npz"]


def test_files_that_are_no_set_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such annotation set"):
        records.read(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match=r"wanted \.npz shards"):
        records.read(tmp_path)
    text = tmp_path / "text.npz"
    text.write_text("hello")
    with pytest.raises(ValueError, match=r"text\.npz: wanted an \.npz"):
        records.read(text)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"one\.npy: wanted an \.npz"):
        records.read(tmp_path / "one.npy")
    with pytest.raises(ValueError, match=r"wanted a file name ending in \.npz"):
        records.save_arrays(tmp_path / "x.npy", {})


def test_every_keypoint_set_fits_its_own_length(tmp_path, arrays):
    for name, joints in skeleton.KEYPOINT_SETS.items():
        arrays["keypoints2d"] = np.tile(np.float32([50, 60, 1]), (_N, len(joints), 1))
        arrays["keypoints2d_set"] = name
        assert records.read(_saved(tmp_path, arrays)).keypoints2d_set == name
