"""Motion in AMASS's layout: every spelling of it, and the turn from z up to y up."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from diffjax.convert import motion as motion_files
from diffjax.data import amass

_T = 6


def _file(tmp_path, width=156, **changes):
    rng = np.random.default_rng(1)
    arrays = {
        "poses": rng.normal(0, 0.4, (_T, width)),
        "trans": rng.normal(0, 1, (_T, 3)),
        "betas": rng.normal(0, 1, 16),
        "dmpls": np.zeros((_T, 8)),
        "gender": "female",
        "mocap_framerate": 120.0,
        **changes,
    }
    arrays = {name: value for name, value in arrays.items() if value is not None}
    path = tmp_path / "walk_poses.npz"
    np.savez(path, **arrays)
    return path, arrays


@pytest.mark.parametrize("width", [66, 156, 165])
def test_hands_are_dropped_and_smpl_hands_rest(tmp_path, width):
    path, arrays = _file(tmp_path, width)
    motion = amass.read_motion(path)
    np.testing.assert_allclose(motion.poses.reshape(_T, 72)[:, :66], arrays["poses"][:, :66], 1e-6)
    assert not motion.poses[:, 22:].any()
    assert motion.gender == "female"
    assert motion.fps == 120.0
    np.testing.assert_allclose(motion.betas, arrays["betas"][:10], 1e-6)


def test_smpl_motion_keeps_all_joints(tmp_path):
    path, arrays = _file(tmp_path, 72)
    motion = amass.read_motion(path)
    np.testing.assert_allclose(motion.poses.reshape(_T, 72), arrays["poses"], 1e-6)


def test_root_and_body_under_their_own_names(tmp_path):
    _, arrays = _file(tmp_path)
    poses = arrays["poses"]
    parts, _ = _file(tmp_path, poses=None, root_orient=poses[:, :3], pose_body=poses[:, 3:66])
    motion = amass.read_motion(parts)
    np.testing.assert_allclose(motion.poses.reshape(_T, 72)[:, :66], poses[:, :66], 1e-6)


@pytest.mark.parametrize(
    ("stored", "gender"),
    [("male", "male"), (b"male", "male"), (np.array(b"female"), "female"), ("m", "male")],
)
def test_gender_spellings(tmp_path, stored, gender):
    assert amass.read_motion(_file(tmp_path, gender=stored)[0]).gender == gender


def test_a_pickled_gender_is_read_without_running_it(tmp_path):
    path, _ = _file(tmp_path, gender=np.array("male", dtype=object))
    assert amass.read_motion(path).gender == "male"


@pytest.mark.parametrize("name", ["mocap_framerate", "mocap_frame_rate", "fps"])
def test_frame_rate_spellings(tmp_path, name):
    path, _ = _file(tmp_path, **{"mocap_framerate": None, name: np.array(59.94)})
    assert amass.read_motion(path).fps == pytest.approx(59.94)


def test_z_up_is_turned_about_x(tmp_path):
    path, arrays = _file(tmp_path)
    motion = amass.read_motion(path, up="z")
    turn = Rotation.from_euler("x", -90, degrees=True)
    np.testing.assert_allclose(motion.trans, turn.apply(arrays["trans"]), atol=1e-6)
    wanted = (turn * Rotation.from_rotvec(arrays["poses"][:, :3])).as_matrix()
    found = Rotation.from_rotvec(motion.poses[:, 0]).as_matrix()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    up = np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(turn.apply(up), [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(motion.poses[:, 1:22], amass.read_motion(path).poses[:, 1:22])


def test_resampling_takes_frames_that_exist(tmp_path):
    motion = amass.read_motion(_file(tmp_path)[0])
    half = amass.resample(motion, 60.0)
    np.testing.assert_array_equal(half.poses, motion.poses[::2])
    assert half.fps == 60.0
    np.testing.assert_array_equal(amass.resample(motion, 120.0).trans, motion.trans)
    with pytest.raises(ValueError, match=r"fps: wanted above 0 and at most the motion's 120"):
        amass.resample(motion, 240.0)


_BAD = {
    "shape file": ({"poses": None}, "field poses: wanted motion"),
    "width": ({"poses": np.zeros((_T, 100))}, r"field poses: .*found \(6, 100\)"),
    "no frames": ({"poses": np.zeros((0, 156))}, r"field poses: .*at least one frame"),
    "degrees": ({"poses": np.full((_T, 72), 45.0)}, "degrees"),
    "nan": ({"poses": np.full((_T, 72), np.nan)}, "field poses: wanted finite"),
    "mm": ({"trans": np.full((_T, 3), 900.0)}, "field trans: wanted metres"),
    "short trans": ({"trans": np.zeros((_T - 1, 3))}, r"field trans: wanted \(6, 3\)"),
    "no trans": ({"trans": None}, "field trans: wanted it"),
    "no rate": ({"mocap_framerate": None}, "source-fps"),
    "rate 0": ({"mocap_framerate": 0.0}, "above 0, found 0"),
    "rate twice": ({"mocap_framerate": np.array([30.0, 60.0])}, "one number"),
    "gender": ({"gender": "robot"}, "field gender: .*robot"),
    "betas": ({"betas": np.zeros(3)}, "field betas: wanted 10 or more"),
    "two people": ({"betas": np.zeros((2, 16))}, "split the file by person"),
    "text": ({"trans": np.array(["a"] * _T)}, "field trans: wanted numbers"),
}


@pytest.mark.parametrize("case", _BAD)
def test_bad_motion_is_refused(tmp_path, case):
    changes, message = _BAD[case]
    path, _ = _file(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as error:
        amass.read_motion(path)
    assert str(error.value).startswith(str(path))


def test_a_missing_rate_can_be_given_and_the_file_must_exist(tmp_path):
    path, _ = _file(tmp_path, mocap_framerate=None, betas=None, gender=None)
    motion = amass.read_motion(path, fps=30.0)
    assert (motion.fps, motion.gender) == (30, "neutral")
    assert not motion.betas.any()
    with pytest.raises(FileNotFoundError, match="no such file"):
        amass.read_motion(tmp_path / "none.npz")


@pytest.mark.parametrize("name", ["poses", "trans", "betas", "mocap_framerate"])
def test_numbers_too_large_to_be_motion_are_refused_without_a_warning(tmp_path, name):
    _, arrays = _file(tmp_path)
    path, _ = _file(tmp_path, **{name: np.full_like(np.asarray(arrays[name]), 1e300)})
    with pytest.raises(ValueError, match=f"field {name}: "):
        amass.read_motion(path)


def test_arrays_need_no_file(tmp_path):
    _, arrays = _file(tmp_path)
    motion = amass.motion_from_arrays(arrays, "here", up="z")
    path, _ = _file(tmp_path)
    np.testing.assert_array_equal(motion.poses, amass.read_motion(path, up="z").poses)
    with pytest.raises(ValueError, match=r"^here: field trans"):
        amass.motion_from_arrays({**arrays, "trans": np.zeros(3)}, "here")


def _standing(tmp_path, up, frames=40, name="s"):
    """Upright people who turn about."""
    rng = np.random.default_rng(0)
    about = Rotation.from_rotvec(np.linspace(0, 5, frames)[:, None] * np.array([0.0, 1, 0]))
    root = about if up == "y" else Rotation.from_euler("x", 90, degrees=True) * about
    poses = np.concatenate([root.as_rotvec(), rng.normal(0, 0.2, (frames, 69))], -1)
    folder = tmp_path / name
    folder.mkdir()
    path, _ = _file(folder, poses=poses, trans=np.zeros((frames, 3)))
    return path


@pytest.mark.parametrize(("there", "said"), [("y", "z"), ("z", "y")])
def test_bodies_that_stand_along_another_axis_than_said_are_refused(tmp_path, there, said):
    path, out = _standing(tmp_path, there), tmp_path / "out.npz"
    with pytest.raises(ValueError, match=rf"the bodies stand along \+{there}.*give --up {there}"):
        motion_files.convert(path, out, up=said)
    assert not out.exists()
    motion_files.convert(path, out, up=there)
    up = Rotation.from_rotvec(amass.read_motion(out).poses[:, 0]).as_matrix()[:, :, 1]
    np.testing.assert_allclose(up, np.tile([0, 1, 0], (40, 1)), atol=1e-5)
    motion_files.convert(path, out, up=said, allow_mismatch=True)


def test_one_recording_of_another_axis_among_many_is_named_and_few_frames_only_warned_of(tmp_path):
    said = []
    root = tmp_path / "all"
    root.mkdir()
    for name in "abc":
        _standing(root, "y" if name == "c" else "z", name=name)
    motion_files.convert_motion(root, tmp_path / "out", up="z", say=said.append)
    assert "do not stand along +z in c/walk_poses.npz: lying" in said[0]
    said.clear()
    few = _standing(tmp_path, "y", frames=5)
    motion_files.convert_motion(few, tmp_path / "few.npz", up="z", say=said.append)
    assert "WARNING: give --up y" in said[0]


def test_bodies_that_stand_along_no_axis_are_let_through(tmp_path):
    roots = Rotation.from_quat(np.random.default_rng(0).normal(size=(60, 4))).as_rotvec()
    poses = np.concatenate([roots, np.zeros((60, 69))], -1)
    path, _ = _file(tmp_path, poses=poses, trans=np.zeros((60, 3)))
    said = []
    motion_files.convert_motion(path, tmp_path / "out.npz", up="z", say=said.append)
    assert len(said) == 1
