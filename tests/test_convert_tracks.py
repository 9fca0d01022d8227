"""Tracks and motion from other programs: every quirk of PHALP, VIBE, AIST++, BVH and SMPLify-X."""

import copy
import itertools
import pickle

import files_tracks as files
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from diffjax import body, skeleton
from diffjax.convert import aist, bvh, bvh_retarget, delivery, phalp, smplifyx, vibe
from diffjax.data import amass, records

_silent = files.silent


def _angle(a, b):
    """Radians between axis-angles, or matrices."""
    a, b = (
        Rotation.from_matrix(x.reshape(-1, 3, 3)) if np.shape(x)[-2:] == (3, 3)
        else Rotation.from_rotvec(np.reshape(x, (-1, 3)))
        for x in (a, b)
    )  # fmt: skip
    return (a.inv() * b).magnitude().max()


# --- PHALP ---------------------------------------------------------------------------------------


@pytest.fixture
def phalp_fields(tmp_path):
    return phalp.read_phalp(files.write_phalp(tmp_path / "demo.pkl"), say=_silent)


def test_phalp_ghosts_are_dropped_by_tracked_ids(phalp_fields):
    """Track 2 is in the `tid` of frame 3 with its old pose, but not in `tracked_ids`."""
    found = list(zip(phalp_fields["subject"].tolist(), phalp_fields["frame"].tolist()))
    assert found == [("2", 1), ("2", 2), ("2", 4), ("10", 1), ("10", 2), ("10", 3), ("10", 4)]


def test_phalp_files_are_joblib_not_plain_pickles(tmp_path):
    path = files.write_phalp(tmp_path / "demo.pkl")
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(path.read_bytes())
    assert len(phalp.read_phalp(path, say=_silent)["pose"]) == 7


def test_phalp_lists_are_aligned_with_tid_not_with_tracked_ids(phalp_fields):
    frames = files.phalp_frames()
    frame = frames["outputs/_DEMO/gymnasts/img/000003.jpg"]
    assert (frame["tid"], frame["tracked_ids"]) == ([2, 10], [10])
    row = 5
    smpl = frame["smpl"][1]
    np.testing.assert_array_equal(phalp_fields["pose"][row, :1], smpl["global_orient"])
    np.testing.assert_array_equal(phalp_fields["pose"][row, 1:], smpl["body_pose"])
    np.testing.assert_array_equal(phalp_fields["betas"][row], smpl["betas"])


def test_phalp_camera_is_recomputed_from_the_crop_in_full_image_pixels(phalp_fields):
    frame = files.phalp_frames()["outputs/_DEMO/gymnasts/img/000002.jpg"]
    s, tx, ty = frame["camera_bbox"][0].astype(float)
    box, (cx, cy) = frame["scale"][0].max(), frame["center"][0]
    focal = 5000 / 256 * files.WIDTH
    wanted = [
        tx + 2 * (cx - files.WIDTH / 2) / (s * box),
        ty + 2 * (cy - files.HEIGHT / 2) / (s * box),
        2 * focal / (s * box),
    ]
    np.testing.assert_allclose(phalp_fields["cam_t"][1], wanted, 1e-5)
    np.testing.assert_allclose(phalp_fields["focal_px"], focal)
    # The model's origin falls where the crop says: s * box / 2 * t from the crop's centre.
    pixel = focal * phalp_fields["cam_t"][1, :2] / phalp_fields["cam_t"][1, 2]
    pixel += [files.WIDTH / 2, files.HEIGHT / 2]
    np.testing.assert_allclose(pixel, np.add((cx, cy), s * box / 2 * np.array([tx, ty])), 1e-4)


def test_phalp_size_is_height_then_width(phalp_fields):
    assert phalp_fields["image_size_px"][0].tolist() == [files.WIDTH, files.HEIGHT]
    assert phalp_fields["center_px"][0].tolist() == [files.WIDTH / 2, files.HEIGHT / 2]


def test_phalp_focal_can_be_told(tmp_path):
    path = files.write_phalp(tmp_path / "demo.pkl")
    told = phalp.read_phalp(path, focal=1000.0, say=_silent)
    asked = phalp.read_phalp(path, focal=2000.0, say=_silent)
    np.testing.assert_allclose(2 * told["cam_t"][:, 2], asked["cam_t"][:, 2], 1e-6)
    np.testing.assert_allclose(told["cam_t"][:, :2], asked["cam_t"][:, :2], 1e-6)
    with pytest.raises(ValueError, match="focal length above 0"):
        phalp.read_phalp(path, focal=-1.0, say=_silent)


def test_phalp_2d_joints_are_the_estimate_and_vitpose_is_the_evidence(phalp_fields, tmp_path):
    assert phalp_fields["keypoints2d_set"] == "openpose25"
    keypoints = phalp_fields["keypoints2d"]
    names = skeleton.KEYPOINT_SETS["openpose25"]
    assert (keypoints[:, names.index("neck"), 2] == 0).all()
    assert (keypoints[:, names.index("left_ankle"), 2] > 0).all()
    assert keypoints[..., 2].max() <= 1
    path = files.write_phalp(tmp_path / "plain.pkl", files.phalp_frames(extra=False))
    assert "keypoints2d" not in phalp.read_phalp(path, say=_silent)


def test_phalp_sequence_is_the_folder_of_the_video(phalp_fields, tmp_path):
    assert set(phalp_fields["sequence"]) == {"gymnasts"}
    path = files.write_phalp(tmp_path / "demo.pkl")
    assert set(phalp.read_phalp(path, sequence="x", say=_silent)["sequence"]) == {"x"}


def test_phalp_frames_without_names_go_by_time(tmp_path):
    """Videos that are decoded on the fly have tuples for names."""
    frames = files.phalp_frames()
    frames = {("v.mp4", frame["time"]): frame for frame in frames.values()}
    fields = phalp.read_phalp(files.write_phalp(tmp_path / "demo_v.pkl", frames), say=_silent)
    assert sorted(set(fields["frame"].tolist())) == [0, 1, 2, 3]
    assert set(fields["sequence"]) == {"demo_v"}


def test_phalp_becomes_an_annotation_set_of_estimates(phalp_fields, tmp_path):
    out = tmp_path / "out.npz"
    delivery.deliver(out, delivery.in_role(phalp_fields, "estimate"), "demo", say=_silent)
    annotations = records.read(out)
    assert annotations.pose is None
    np.testing.assert_array_equal(annotations.pred_pose, phalp_fields["pose"])


def _set(name, index, value):
    def change(frame):
        frame[name][index] = value

    return change


_BAD_PHALP = {
    "short list": (lambda f: f["smpl"].pop(), "field smpl: wanted a list"),
    "no list": (lambda f: f.update(bbox=3), "field bbox: wanted a list"),
    "missing": (lambda f: f.pop("camera_bbox"), "field camera_bbox"),
    "no smpl": (_set("smpl", 1, None), "field global_orient: .*NoneType"),
    "21 joints": (_set("smpl", 1, {"global_orient": np.eye(3), "body_pose": np.zeros((21, 3, 3)),
                                   "betas": np.zeros(10)}), r"body_pose: wanted \(207\)"),
    "nan": (_set("center", 1, np.array([np.nan, 0])), "field center: .*NaN"),
    "text": (_set("scale", 1, "big"), "field scale: wanted numbers"),
    "ragged": (_set("size", 1, [[1], [2, 3]]), "field size"),
    "no scale": (_set("camera_bbox", 1, np.zeros(3)), "field camera_bbox: .*above 0"),
    "track": (_set("tid", 1, "ten"), "field tid"),
    "huge track": (_set("tracked_ids", 0, 1 << 60), "field tracked_ids"),
    "no image": (_set("size", 1, [0, 0]), "field size: wanted"),
}  # fmt: skip


@pytest.mark.parametrize("case", _BAD_PHALP)
def test_phalp_damage_is_refused(tmp_path, case):
    change, message = _BAD_PHALP[case]
    frames = copy.deepcopy(files.phalp_frames())
    change(frames["outputs/_DEMO/gymnasts/img/000003.jpg"])
    path = files.write_phalp(tmp_path / "bad.pkl", frames)
    with pytest.raises(ValueError, match=message) as error:
        phalp.read_phalp(path, say=_silent)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("content", [[], {}, 3, {"a.jpg": 4}, {"a.jpg": {"tid": []}}])
def test_phalp_something_else_is_refused(tmp_path, content):
    path = files.write_phalp(tmp_path / "bad.pkl", content)
    with pytest.raises(ValueError, match=r"bad\.pkl"):
        phalp.read_phalp(path, say=_silent)


# --- VIBE ----------------------------------------------------------------------------------------


def test_vibe_tracks_are_subjects_in_the_order_of_numbers(tmp_path):
    fields = vibe.read_vibe(files.write_vibe(tmp_path / "vibe_output.pkl"), say=_silent)
    assert fields["subject"].tolist() == ["1"] * 5 + ["2"] * 5 + ["11"] * 5
    assert fields["frame"][:5].tolist() == [7, 8, 9, 10, 11]
    assert set(fields["sequence"]) == {tmp_path.name}
    wanted = files.vibe_tracks()[2]["pose"].reshape(-1, 3)
    assert _angle(fields["pose"][5:10], wanted) < 1e-5


def test_vibe_orig_cam_is_in_half_widths_and_half_heights(tmp_path):
    """The translation puts the origin, and a metre at its depth, where the weak camera does."""
    tracks = files.vibe_tracks()
    path = files.write_vibe(tmp_path / "vibe_output.pkl", tracks)
    fields = vibe.read_vibe(path, focal=1500.0, say=_silent)
    sx, sy, tx, ty = tracks[1]["orig_cam"].T
    cam_t = fields["cam_t"][:5].astype(float)
    half = np.array([files.WIDTH / 2, files.HEIGHT / 2])
    pixel = 1500 * cam_t[:, :2] / cam_t[:, 2:] + half
    np.testing.assert_allclose(pixel, half * (1 + np.stack([sx * tx, sy * ty], -1)), rtol=1e-5)
    np.testing.assert_allclose(1500 / cam_t[:, 2], half[0] * sx, rtol=1e-5)


def test_vibe_image_size_follows_from_its_two_cameras(tmp_path):
    tracks = files.vibe_tracks()
    path = files.write_vibe(tmp_path / "vibe_output.pkl", tracks)
    fields = vibe.read_vibe(path, say=_silent)
    assert fields["image_size_px"][0].tolist() == [files.WIDTH, files.HEIGHT]
    tracks[11]["pred_cam"] = tracks[11]["pred_cam"] * 1.1
    path = files.write_vibe(tmp_path / "other.pkl", tracks)
    said = []
    assert "cam_t" not in vibe.read_vibe(path, say=said.append)
    assert "--image-size" in said[0]
    told = vibe.read_vibe(path, image_size=(files.WIDTH, files.HEIGHT), say=_silent)
    np.testing.assert_allclose(told["cam_t"], fields["cam_t"], 1e-6)


def test_vibe_boxes_are_centre_and_size(tmp_path):
    tracks = files.vibe_tracks()
    fields = vibe.read_vibe(files.write_vibe(tmp_path / "vibe_output.pkl", tracks), say=_silent)
    cx, cy, w, h = tracks[1]["bboxes"][0]
    np.testing.assert_allclose(fields["bbox_px"][0], [cx - w / 2, cy - h / 2, w, h], 1e-6)


_BAD_VIBE = {
    "pose": (np.zeros((5, 69)), r"field pose: wanted \(5, 72\)"),
    "betas": (np.zeros((4, 10)), r"field betas: wanted \(5, 10\)"),
    "frame_ids": (None, "field frame_ids: wanted numbers"),
    "orig_cam": (np.zeros((5, 4)), "scales above 0"),
    "bboxes": (np.full((5, 4), np.inf), "field bboxes: .*infinity"),
    "pred_cam": ([[1, 2, 3], [4]], "field pred_cam"),
}


@pytest.mark.parametrize("name", _BAD_VIBE)
def test_vibe_damage_is_refused(tmp_path, name):
    tracks = files.vibe_tracks()
    tracks[2][name], message = _BAD_VIBE[name]
    path = files.write_vibe(tmp_path / "bad.pkl", tracks)
    with pytest.raises(ValueError, match=message) as error:
        vibe.read_vibe(path, say=_silent)
    assert str(error.value).startswith(str(path))


# --- AIST++ --------------------------------------------------------------------------------------


def test_aist_translation_is_divided_by_the_scaling(tmp_path):
    content = files.aist_motion()
    motion = aist.read_aist(files.write_pickle(tmp_path / "m.pkl", content))
    scaling = float(content["smpl_scaling"][0])
    np.testing.assert_allclose(motion.trans, content["smpl_trans"] / scaling, 1e-5)
    assert (motion.fps, motion.gender) == (60.0, "male")
    assert not motion.betas.any()
    assert _angle(motion.poses, content["smpl_poses"]) < 1e-6


def test_aist_poses_may_have_an_axis_for_joints(tmp_path):
    content = files.aist_motion()
    content["smpl_poses"] = content["smpl_poses"].reshape(-1, 24, 3)
    motion = aist.read_aist(files.write_pickle(tmp_path / "m.pkl", content))
    assert motion.poses.shape == (6, 24, 3)


def test_aist_becomes_amass_layout_motion(tmp_path):
    path = files.write_pickle(tmp_path / "m.pkl", files.aist_motion())
    [out] = aist.convert(tmp_path, tmp_path / "out", fps=30.0)
    motion = amass.read_motion(out)
    assert (motion.fps, len(motion.poses), motion.gender) == (30.0, 3, "male")
    np.testing.assert_array_equal(motion.poses, aist.read_aist(path).poses[::2])
    [one] = aist.convert(path, tmp_path / "one.npz")
    assert one == tmp_path / "one.npz"


_BAD_AIST = {
    "scaling": ({"smpl_scaling": np.zeros(1)}, "smpl_scaling: wanted a number above 0"),
    "scalings": ({"smpl_scaling": np.ones(2)}, "smpl_scaling"),
    "no scaling": ({"smpl_scaling": None}, "smpl_scaling"),
    "ragged scaling": ({"smpl_scaling": [[1.0], [2.0, 3.0]]}, "smpl_scaling"),
    "ragged": ({"smpl_poses": [[1.0], [2.0, 3.0]]}, "smpl_poses"),
    "unscaled": ({"smpl_scaling": np.ones(1)}, "trans: wanted metres"),
    "wide": ({"smpl_poses": np.zeros((6, 156))}, r"smpl_poses: wanted \(any, 72\)"),
    "nan": ({"smpl_trans": np.full((6, 3), np.nan)}, "smpl_trans: .*NaN"),
    "short": ({"smpl_trans": np.zeros((5, 3))}, "trans"),
    "empty": ({"smpl_poses": np.zeros((0, 72)), "smpl_trans": np.zeros((0, 3))}, "one frame"),
}


@pytest.mark.parametrize("case", _BAD_AIST)
def test_aist_damage_is_refused(tmp_path, case):
    changes, message = _BAD_AIST[case]
    path = files.write_pickle(tmp_path / "bad.pkl", files.aist_motion(**changes))
    with pytest.raises(ValueError, match=message) as error:
        aist.read_aist(path)
    assert str(error.value).startswith(str(path))


def test_motion_never_replaces_what_it_reads(tmp_path):
    case = files.CASES["amass"](tmp_path)
    before = case.files[0].read_bytes()
    with pytest.raises(ValueError, match="would replace"):
        case.convert(case.files[0].parent)
    assert case.files[0].read_bytes() == before


# --- BVH -----------------------------------------------------------------------------------------


def _bvh(tmp_path, text, name="m.bvh", **options):
    path = tmp_path / name
    path.write_text(text)
    return bvh.read_bvh(path, say=_silent, **options)


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "ZYX", "YXZ", "XZY", "YZX"])
def test_bvh_channels_are_applied_in_the_order_they_are_named(tmp_path, order):
    poses, places = files.smpl_motion()
    motion = _bvh(tmp_path, files.bvh_text(poses, places, order=order))
    # The trunk follows the T-pose's own vertical, so all joints agree but for 1e-7 degrees.
    assert _angle(motion.poses, poses) < 1e-5
    assert motion.fps == 30.0


@pytest.mark.parametrize("unit", [1.0, 0.01, 0.001, 0.0254, 0.0254 / 0.45])
def test_bvh_unit_is_told_by_the_length_of_the_legs(tmp_path, unit):
    poses, places = files.smpl_motion()
    motion = _bvh(tmp_path, files.bvh_text(poses, places, unit=unit))
    np.testing.assert_allclose(motion.trans, places - [0, -0.22, 0.03], atol=1e-5)


def test_bvh_unit_that_fits_no_person_is_asked_for(tmp_path):
    text = files.bvh_text(*files.smpl_motion(), unit=0.2)
    with pytest.raises(ValueError, match="--unit"):
        _bvh(tmp_path, text)
    _bvh(tmp_path, text, unit=0.2)


def test_bvh_a_pose_at_rest_is_corrected_by_the_direction_of_the_arms(tmp_path):
    """Arms that hang down by 50 degrees at rest still are where SMPL's are."""
    rest = np.tile(np.eye(3), (24, 1, 1))
    for j, name in enumerate(skeleton.SMPL24):
        if name.split("_")[-1] in ("shoulder", "elbow", "wrist", "hand"):
            sign = -1 if name.startswith("left") else 1
            rest[j] = Rotation.from_euler("z", sign * 50, degrees=True).as_matrix()
    poses, places = files.smpl_motion()
    motion = _bvh(tmp_path, files.bvh_text(poses, places, rest=rest))
    model = _stick()
    found, wanted = (_joints(model, p) for p in (motion.poses, poses))
    np.testing.assert_allclose(found, wanted, atol=0.01)


def test_bvh_with_another_heading_at_rest_keeps_the_motion(tmp_path):
    turn = Rotation.from_euler("y", 70, degrees=True).as_matrix()
    poses, places = files.smpl_motion()
    text = files.bvh_text(poses, places, rest=np.tile(turn, (24, 1, 1)))
    assert _angle(_bvh(tmp_path, text).poses, poses) < 1e-5


def test_bvh_without_a_rest_pose_takes_one_of_its_frames(tmp_path):
    """LAFAN1's zero pose has all bones along x: only a frame of the motion tells the rest pose."""
    lying = np.tile(Rotation.from_euler("z", -90, degrees=True).as_matrix(), (24, 1, 1))
    poses, places = files.smpl_motion()
    poses[2] = 0
    text = files.bvh_text(poses, places, rest=lying)
    with pytest.raises(ValueError, match="--rest-frame"):
        _bvh(tmp_path, text)
    assert _angle(_bvh(tmp_path, text, rest_frame=2).poses, poses) < 1e-5
    with pytest.raises(ValueError, match="wanted a frame"):
        _bvh(tmp_path, text, rest_frame=5)


def test_bvh_z_up_is_turned(tmp_path):
    turn = Rotation.from_euler("x", 90, degrees=True)  # From y up to z up.
    poses, places = files.smpl_motion()
    tilted = poses.copy()
    tilted[:, 0] = (turn * Rotation.from_rotvec(poses[:, 0])).as_rotvec()
    rest = np.tile(turn.as_matrix(), (24, 1, 1))
    text = files.bvh_text(tilted, turn.apply(places), rest=rest)
    motion = _bvh(tmp_path, text, up="z")
    assert _angle(motion.poses, poses) < 1e-5
    np.testing.assert_allclose(motion.trans, places - [0, -0.22, 0.03], atol=1e-5)


@pytest.mark.parametrize(
    "names",
    [
        lambda n: "mixamorig:" + files.cmu_name(n).replace("HandIndex1", "HandMiddle1"),
        lambda n: n,
        lambda n: n.replace("left_", "L_").replace("right_", "R_").title(),
    ],
    ids=["mixamo prefix", "smpl", "smpl short"],
)
def test_bvh_joint_names_of_several_programs(tmp_path, names):
    poses, places = files.smpl_motion()
    assert _angle(_bvh(tmp_path, files.bvh_text(poses, places, names=names)).poses, poses) < 1e-5


_LEG, _ARM = ("UpLeg", "Leg", "Foot"), ("Shoulder", "Arm", "ForeArm", "Hand")


def _rig(spine, neck, toe, extra, prefix=""):
    """Joint names and parents of a published skeleton; `extra` hangs on named joints."""
    chains = [("Hips", *spine, *neck)]
    for side in ("Left", "Right"):
        chains.append(("Hips", *(side + part for part in (*_LEG, toe))))
        chains.append((spine[-1], *(side + part for part in _ARM)))
    chains += extra
    names, parents = ["Hips"], [-1]
    for chain in chains:
        for parent, name in itertools.pairwise(chain):
            names.append(name)
            parents.append(names.index(parent))
    return tuple(prefix + name for name in names), tuple(parents)


@pytest.mark.parametrize(
    "rig",
    [
        _rig(("LowerBack", "Spine", "Spine1"), ("Neck", "Neck1", "Head"), "ToeBase",
             [("Hips", "LHipJoint"), ("LeftHand", "LeftFingerBase", "LeftHandIndex1"),
              ("LeftHand", "LThumb")]),
        _rig(("Spine", "Spine1", "Spine2"), ("Neck", "Head", "HeadTop_End"), "ToeBase",
             [("LeftToeBase", "LeftToe_End"), ("RightHand", "RightHandThumb1", "RightHandThumb2")],
             "mixamorig1:"),
        _rig(("Spine", "Spine1", "Spine2"), ("Neck", "Head"), "Toe", []),
    ],
    ids=["CMU", "Mixamo", "LAFAN1"],
)  # fmt: skip
def test_bvh_published_skeletons_are_known(rig):
    names, parents = rig
    found = bvh_retarget.joints_of(names, parents, "x.bvh")
    plain = {name: names[index].split(":")[-1] for name, index in found.items()}
    assert set(plain) == set(skeleton.SMPL24) - {"left_hand", "right_hand"}
    assert (plain["left_hip"], plain["left_ankle"]) == ("LeftUpLeg", "LeftFoot")
    assert (plain["left_collar"], plain["left_shoulder"]) == ("LeftShoulder", "LeftArm")
    assert plain["spine3"] in ("Spine1", "Spine2")


def test_bvh_spine_with_two_joints_keeps_all_rotation(tmp_path):
    poses, places = files.smpl_motion()
    poses[:, 6] = 0  # spine2 does not move and is left out of the file.

    def names(name):
        other = {"spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2"}
        return other.get(name, files.cmu_name(name))

    text = files.bvh_text(poses, places, names=names)
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.split()[-1] == "Spine1")
    assert lines[at + 3].split()[:2] == ["CHANNELS", "3"]
    motion = _bvh(tmp_path, text)
    chest = [_global(p, 9) for p in (motion.poses, poses)]
    assert _angle(*chest) < 1e-5


def test_bvh_unknown_joints_are_listed_and_can_be_dropped(tmp_path):
    def names(name):
        return "Tail" if name == "left_hand" else files.cmu_name(name)

    text = files.bvh_text(*files.smpl_motion(), names=names)
    with pytest.raises(ValueError, match=r"found also Tail; leave them out with --drop"):
        _bvh(tmp_path, text)
    _bvh(tmp_path, text, drop=("Tail",))


def test_bvh_without_arms_is_refused_by_name(tmp_path):
    text = files.bvh_text(*files.smpl_motion())
    text = text.replace("LeftForeArm", "LeftFinger")
    with pytest.raises(ValueError, match="found no left_elbow"):
        _bvh(tmp_path, text)


_BAD_BVH = {
    "more frames claimed": ("Frames: 5", "Frames: 50000000", "wanted 50000000 frames .*found 5 of"),
    "fewer frames claimed": ("Frames: 5", "Frames: 4", "wanted 4 frames"),
    "negative frames": ("Frames: 5", "Frames: -1", "wanted -1 frames"),
    "no count": ("Frames: 5", "Frames: five", "one line of numbers a frame"),
    "time 0": ("Frame Time: 0.0333333", "Frame Time: 0", "Frame Time: wanted seconds"),
    "time nan": ("Frame Time: 0.0333333", "Frame Time: nan", "Frame Time: wanted seconds"),
    "no motion": ("MOTION", "MOTIVE", "wanted BVH"),
    "no hierarchy": ("HIERARCHY", "", "wanted BVH"),
    "brace": ("}\nMOTION", "MOTION", "brace missing"),
    "braces": ("}\nMOTION", "}\n}\nMOTION", "broken"),
    "channel": ("Yrotation", "Wrotation", "wanted channels"),
    "channel twice": ("Xrotation Yrotation", "Xrotation Xrotation", "wanted channels"),
    "channel count": ("CHANNELS 3", "CHANNELS -3", "broken"),
    "many channels": ("CHANNELS 3", "CHANNELS 999999999", "broken"),
    "fewer channels": ("CHANNELS 3 Zrotation Xrotation Yrotation", "CHANNELS 0", "of .* channels"),
    "offset": ("OFFSET", "OFFSET x", "broken"),
    "offset nan": ("OFFSET 0 ", "OFFSET nan ", "OFFSET of finite"),
    "two roots": ("JOINT LeftUpLeg", "ROOT LeftUpLeg", "wanted one ROOT"),
    "same name": ("JOINT LeftLeg", "JOINT LeftUpLeg", "it twice"),
    "site outside": ("HIERARCHY", "HIERARCHY\nEnd Site {", "broken"),
}


@pytest.mark.parametrize("case", _BAD_BVH)
def test_bvh_damage_is_refused(tmp_path, case):
    old, new, message = _BAD_BVH[case]
    text = files.bvh_text(*files.smpl_motion())
    assert old in text
    with pytest.raises(ValueError, match=message) as error:
        _bvh(tmp_path, text.replace(old, new, 1))
    assert str(error.value).startswith(str(tmp_path / "m.bvh"))


@pytest.mark.parametrize("number", ["nan", "inf", "1e30", "1,5", "x", ""])
def test_bvh_numbers_that_are_none_are_refused(tmp_path, number):
    lines = files.bvh_text(*files.smpl_motion()).splitlines()
    lines[-2] = " ".join([number, *lines[-2].split()[1:]])
    with pytest.raises(ValueError, match=r"m\.bvh: wanted"):
        _bvh(tmp_path, "\n".join(lines))


def test_bvh_a_file_cut_short_is_refused_anywhere(tmp_path):
    text = files.bvh_text(*files.smpl_motion(2))
    for end in range(0, len(text.rstrip()) - 12, 97):
        with pytest.raises(ValueError, match=r"m\.bvh"):
            _bvh(tmp_path, text[:end])


def _global(rotvecs, joint):
    local = Rotation.from_rotvec(rotvecs.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    world = local[:, joint]
    while (joint := skeleton.SMPL_PARENTS[joint]) >= 0:
        world = local[:, joint] @ world
    return world


def _stick():
    places = np.zeros((24, 3))
    for j, (p, offset) in enumerate(zip(skeleton.SMPL_PARENTS, files.offsets())):
        places[j] = offset if p < 0 else places[p] + offset
    return body.body_from_arrays(places, np.zeros((24, 3, 10)), None, np.eye(24), np.eye(24))


def _joints(model, rotvecs):
    matrices = Rotation.from_rotvec(rotvecs.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    return np.asarray(
        body.pose_joints(model, jnp.asarray(matrices, jnp.float32), jnp.zeros((len(matrices), 10)))
    )


# --- SMPLify-X -----------------------------------------------------------------------------------


def test_smplifyx_vposer_latent_is_refused(tmp_path):
    path = files.write_smplifyx(tmp_path, files.smplifyx_result(32))
    with pytest.raises(ValueError, match="VPoser's latent of 32 numbers") as error:
        smplifyx.read_smplifyx(path, say=_silent)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("body_numbers", [63, 69])
def test_smplifyx_angles_are_read_and_betas_of_smplx_are_not(tmp_path, body_numbers):
    content = files.smplifyx_result(body_numbers)
    files.write_smplifyx(tmp_path, content)
    fields = smplifyx.read_smplifyx(tmp_path / "results", say=_silent)
    flat = np.concatenate([content["global_orient"], content["body_pose"]], 1)
    assert _angle(fields["pose"][:, : flat.shape[1] // 3], flat) < 1e-5
    np.testing.assert_allclose(fields["pose"][0, 22:, 0, 0] == 1, body_numbers == 63)
    np.testing.assert_array_equal(fields["betas"], content["betas"] * (body_numbers == 69))
    assert (fields["image"][0], fields["subject"][0]) == ("COCO_000000000042", "000")


def test_smplifyx_turned_cameras_are_refused(tmp_path):
    turn = np.diag([1.0, -1.0, -1.0])[None]
    path = files.write_smplifyx(tmp_path, files.smplifyx_result(camera_rotation=turn))
    with pytest.raises(ValueError, match="camera_rotation: wanted the identity"):
        smplifyx.read_smplifyx(path, say=_silent)


@pytest.mark.parametrize("case", files.CASES)
def test_cases_convert(tmp_path, case):
    made = files.CASES[case](tmp_path)
    made.convert(tmp_path / "out.npz")
    assert (tmp_path / "out.npz").is_file()
