"""Sequence sets: what is written comes back, and what is wrong is named at the door."""

import dataclasses
import re

import files_annotations
import numpy as np
import pytest
import sequences

from diffjax.data import filmed, pose_sequences, records, sequence_checks, sequence_sets


def test_what_is_written_comes_back(tmp_path):
    made = sequences.videos()
    sequence_sets.write(tmp_path / "set.npz", made)
    back = sequence_sets.read(tmp_path / "set.npz")
    for name, value in sequences.arrays(made).items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)
    assert sequence_sets.lengths(back) == list(sequences.LENGTHS)
    assert np.bincount(sequence_sets.video_ids(back)).tolist() == list(sequences.LENGTHS)


def test_pixels_with_their_image_become_normalised_2d():
    made = sequences.videos()
    size = np.tile([1000.0, 800.0], (len(made.frame), 1))
    pixels = pose_sequences.pixels_from_normalised(made.poses2d.astype(np.float64), size)
    points = np.concatenate([pixels, np.ones((*pixels.shape[:2], 1))], -1)
    fields = {k: v for k, v in sequences.arrays(made).items() if k != "poses2d"}
    fields |= {"keypoints2d": points, "image_size_px": size, "keypoints2d_set": "h36m17"}
    back = sequence_sets.from_arrays(dict(fields), "set")
    np.testing.assert_allclose(back.poses2d, made.poses2d, atol=1e-5)
    with pytest.raises(
        ValueError, match="keypoints2d_set: wanted h36m17 like the 3D, found coco17"
    ):
        sequence_sets.from_arrays(fields | {"keypoints2d_set": "coco17"}, "set")
    fields["keypoints2d"][3, 2, 2] = 0.0
    with pytest.raises(ValueError, match="found 1 frames with others, the first is row 3"):
        sequence_sets.from_arrays(dict(fields), "set")


def _gap(fields, row=7):
    return np.where(np.arange(len(fields["frame"])) == row, np.nan, 0.0)[:, None, None]


def _cut(x, rows=40):
    return x[:rows]


SPOILT = {
    "lengths": (lambda f: {"estimate3d": _cut(f["estimate3d"])}, "estimate3d: wanted as many rows"),
    "joints": (lambda f: {"poses2d": f["poses2d"][:, :14]}, "poses2d: wanted .*17, 2.* found"),
    "set": (lambda f: {"joint_set": "coco17"}, "joint_set: wanted a set with a pelvis"),
    "no set": (lambda f: {"joint_set": "h17"}, "joint_set: wanted one of"),
    "pixels": (lambda f: {"poses2d": 500 + 300 * f["poses2d"]}, "looks like pixels; pass them"),
    "millimetres": (lambda f: {"estimate3d": 1000 * f["estimate3d"]}, "millimetres"),
    "root": (lambda f: {"truth3d": f["truth3d"] + 0.2}, "truth3d: wanted the pelvis at 0"),
    "infinity": (lambda f: {"estimate3d": f["estimate3d"] / 0}, "found infinity"),
    "order": (lambda f: {"frame": np.append(f["frame"][:-2], [21, 20])}, "one after another"),
    "twice": (lambda f: {"frame": np.zeros_like(f["frame"])}, "wanted each frame once"),
    "name": (lambda f: {"estimates3d": f["estimate3d"]}, "did you mean estimate3d"),
    "text": (lambda f: {"subject": f["frame"]}, "subject: wanted one text a row"),
    "fps": (lambda f: {"fps": -1.0}, "fps: wanted frames a second"),
    "no number": (lambda f: {"fps": np.array("fast")}, "fps: wanted frames a second"),
    "nothing": (lambda f: {k: f[k][:0] for k in sequence_checks.FIELDS}, "frame: wanted a frame"),
    "truth": (lambda f: {"truth3d": f["truth3d"] + _gap(f)}, "NaN in row 7; leave such frames out"),
}


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("what", SPOILT)
def test_what_is_wrong_is_named(what):
    fields = sequences.arrays(sequences.videos())
    change, message = SPOILT[what]
    with pytest.raises(ValueError, match=f"file.npz: .*{message}"):
        sequence_sets.from_arrays(fields | change(fields), "file.npz")


@pytest.mark.parametrize("name", ["poses2d", "joint_set", "sequence", "frame"])
def test_what_is_missing_is_named(name):
    fields = sequences.arrays(sequences.videos())
    del fields[name]
    with pytest.raises(ValueError, match=f"field {name}: wanted it"):
        sequence_sets.from_arrays(fields, "file.npz")


@pytest.mark.parametrize("name", ["poses2d", "estimate3d"])
def test_gaps_are_refused_or_filled_from_the_neighbours(name):
    made = sequences.videos()
    fields = sequences.arrays(made)
    fields[name] = fields[name].copy()
    fields[name][5] = np.nan
    with pytest.raises(ValueError, match=re.escape("--sequence.gaps fill")):
        sequence_sets.from_arrays(dict(fields), "file.npz")
    filled = getattr(sequence_sets.from_arrays(fields, "file.npz", "fill"), name)
    middle = 0.5 * (getattr(made, name)[4] + getattr(made, name)[6])
    np.testing.assert_allclose(filled[5], middle, atol=1e-6)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "set.npz").write_text("not a set")
    with pytest.raises(ValueError, match=r"wanted an .npz of plain arrays"):
        sequence_sets.read(tmp_path / "set.npz")
    with pytest.raises(FileNotFoundError, match="make_sequences"):
        sequence_sets.read(tmp_path / "none.npz")


def test_an_annotation_set_is_sent_to_its_converter(tmp_path):
    records.write(tmp_path / "people.npz", files_annotations.annotations())
    with pytest.raises(ValueError, match=r"people.npz: .*found an annotation set; .* to-sequences"):
        sequence_sets.read(tmp_path / "people.npz")


def test_videos_become_a_set_without_gaps():
    random = np.random.default_rng(0)
    x = 0.3 * random.normal(size=(8, 17, 3)).astype(np.float32)
    p = x[..., :2].copy()
    p[2, 4] = np.nan
    video = pose_sequences.PoseSequence(
        p, x - x[:, :1], x[:, 0], np.arange(8), "walk", "s1", "walk", "0"
    )
    made = sequence_sets.of_videos([video, video._replace(camera="1")], filmed.SET, "here")
    assert sequence_sets.lengths(made) == [8, 8]
    assert made.estimate3d is None
    np.testing.assert_allclose(made.poses2d[2, 4], 0.5 * (p[1, 4] + p[3, 4]), atol=1e-6)
    taken = sequence_sets.take(made, made.view == "1")
    assert sequence_sets.count(dataclasses.replace(taken, fps=30.0)) == 8
