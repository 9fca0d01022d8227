"""Small PHALP, VIBE, AIST++, AMASS, BVH and SMPLify-X files with the keys, types and quirks of the real ones."""

import pickle

import joblib
import made
import numpy as np
from scipy.spatial.transform import Rotation

from diffjax import skeleton
from diffjax.convert import aist, bvh, delivery, motion, phalp, smplifyx, vibe
from diffjax.data import records


def silent(_):
    pass


def _matrices(rng, *shape):
    return Rotation.from_rotvec(rng.normal(0, 0.4, (*shape, 3)).reshape(-1, 3)).as_matrix()


# --- PHALP ---------------------------------------------------------------------------------------

HEIGHT, WIDTH = 720, 1280


def phalp_person(rng):
    """What the tracker keeps of one detection."""
    corner, size = rng.uniform(50, 300, 2), rng.uniform(100, 300, 2)
    keypoints = np.zeros((25, 3))
    keypoints[[0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]] = np.concatenate(
        [rng.uniform(50, 500, (17, 2)), rng.uniform(0.3, 1.05, (17, 1))], -1
    )
    pose = _matrices(rng, 24).astype(np.float32)
    return {
        "bbox": np.concatenate([corner, size]),
        "smpl": {
            "global_orient": pose[:1],
            "body_pose": pose[1:],
            "betas": rng.normal(size=10).astype(np.float32),
        },
        "camera": rng.normal(0, 30, 3).astype(np.float32),  # Of another image, see `size`.
        "camera_bbox": np.array([0.9, 0.03, 0.2], np.float32) + rng.normal(0, 0.01, 3).astype("f"),
        "center": corner + size / 2,
        "scale": size,
        "size": [HEIGHT, WIDTH],
        "conf": np.float32(0.98),
        "3d_joints": rng.normal(size=(45, 3)).astype(np.float32),
        "2d_joints": rng.uniform(size=90).astype(np.float32),
        "extra_data": keypoints,
    }


def phalp_frames(extra=True):
    """Tracks 2 and 10 in frames 1 to 4: 2 is a ghost in frame 3, 10 is appended before 2 in frame 1."""
    rng = np.random.default_rng(3)
    seen = {1: [10, 2], 2: [2, 10], 3: [10], 4: [2, 10]}
    frames, last = {}, {}
    for number in (2, 1, 4, 3):  # Joblib keeps whatever order the frames came in.
        frame = {"time": number - 1, "shot": 0, "frame_path": "", "tid": [], "tracked_ids": []}
        frame |= {"tracked_bbox": [], "tracked_time": [], "mask": []}
        for track in (2, 10) if number != 1 else (10, 2):
            ghost = track not in seen[number]
            person = last[track] if ghost else phalp_person(rng)
            last[track] = person
            frame["tid"].append(np.int64(track) if track == 2 else track)
            frame["tracked_time"].append(int(ghost))
            for key, value in person.items():
                if extra or key != "extra_data":
                    frame.setdefault(key, []).append(value)
            if not ghost:
                frame["tracked_ids"].append(track)
                frame["tracked_bbox"].append(person["bbox"])
        frames[f"outputs/_DEMO/gymnasts/img/{number:06d}.jpg"] = frame
    return frames


def write_phalp(path, frames=None):
    joblib.dump(phalp_frames() if frames is None else frames, path, compress=3)
    return path


def _phalp_case(folder):
    path = write_phalp(folder / "demo_gymnasts.pkl")

    def convert(out):
        fields = phalp.read_phalp(path, say=silent)
        delivery.deliver(out, delivery.in_role(fields, "estimate"), str(path), say=silent)

    return made.Case(convert, [path])


# --- VIBE ----------------------------------------------------------------------------------------


def vibe_tracks(frames=5):
    rng = np.random.default_rng(4)
    tracks = {}
    for track in (1, 11, 2):
        boxes = np.concatenate([rng.uniform(200, 500, (frames, 2)), np.zeros((frames, 2))], -1)
        boxes[:, 2:] = rng.uniform(150, 300, (frames, 1))
        cam = np.array([0.9, 0.02, 0.1]) + rng.normal(0, 0.02, (frames, 3))
        # Half widths and heights of the image: u = W/2 (1 + sx (X + tx)).
        sx, sy = (cam[:, 0] * boxes[:, 2] / size for size in (WIDTH, HEIGHT))
        tx = (boxes[:, 0] - WIDTH / 2) / (WIDTH / 2) / sx + cam[:, 1]
        ty = (boxes[:, 1] - HEIGHT / 2) / (HEIGHT / 2) / sy + cam[:, 2]
        tracks[track] = {
            "pred_cam": cam.astype(np.float32),
            "orig_cam": np.stack([sx, sy, tx, ty], -1),
            "verts": np.zeros((frames, 4, 3), np.float32),
            "pose": rng.normal(0, 0.4, (frames, 72)).astype(np.float32),
            "betas": rng.normal(size=(frames, 10)).astype(np.float32),
            "joints3d": rng.normal(size=(frames, 49, 3)).astype(np.float32),
            "joints2d": None,
            "bboxes": boxes,
            "frame_ids": np.arange(frames) + 7,
        }
    return tracks


def write_vibe(path, tracks=None):
    joblib.dump(vibe_tracks() if tracks is None else tracks, path)
    return path


def _vibe_case(folder):
    path = write_vibe(folder / "vibe_output.pkl")

    def convert(out):
        fields = vibe.read_vibe(path, say=silent)
        delivery.deliver(out, delivery.in_role(fields, "estimate"), str(path), say=silent)

    return made.Case(convert, [path])


# --- motion --------------------------------------------------------------------------------------

SCALING = 93.78


def aist_motion(frames=6, **changes):
    rng = np.random.default_rng(5)
    return {
        "smpl_poses": rng.normal(0, 0.3, (frames, 72)),
        "smpl_scaling": np.array([SCALING], np.float32),
        "smpl_trans": rng.normal((0, 95, 0), 40, (frames, 3)),
        "smpl_loss": 1.5,
    } | changes


def write_pickle(path, content, protocol=3):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def _aist_case(folder):
    path = write_pickle(folder / "gBR_sBM_cAll_d04_mBR0_ch01.pkl", aist_motion())
    return made.Case(lambda out: aist.convert(path, out) and None, [path])


def _amass_case(folder):
    path = folder / "01_01_poses.npz"
    rng = np.random.default_rng(6)
    records.save_arrays(
        path,
        {
            "poses": rng.normal(0, 0.3, (6, 156)),
            "trans": rng.normal(0, 1, (6, 3)),
            "betas": rng.normal(size=16),
            "dmpls": np.zeros((6, 8)),
            "gender": np.array("male"),
            "mocap_framerate": np.array(120.0),
        },
    )

    def convert(out):
        motion.convert_motion(path, out, up="z", say=silent)

    return made.Case(convert, [path])


SMPL_LIKE = {
    # Straight T-pose, metres: bones exactly where smpl rests, as far as directions are corrected.
    "pelvis": (0, 0, 0), "left_hip": (0.1, -0.08, 0), "right_hip": (-0.1, -0.08, 0),
    "spine1": (0, 0.1, 0), "spine2": (0, 0.13, 0), "spine3": (0, 0.06, 0),
    "neck": (0, 0.2, 0), "head": (0, 0.1, 0.03),
    "left_collar": (0.07, 0.12, 0), "right_collar": (-0.07, 0.12, 0),
    "left_shoulder": (0.1, 0.03, 0), "right_shoulder": (-0.1, 0.03, 0),
}  # fmt: skip
LIMBS = {
    "knee": np.array([0.08, -1.0, -0.02]) * 0.4, "ankle": np.array([0.0, -1.0, -0.06]) * 0.42,
    "foot": np.array([0.08, -0.33, 0.94]) * 0.14, "elbow": np.array([1.0, 0.0, -0.04]) * 0.25,
    "wrist": np.array([1.0, 0.0, -0.01]) * 0.25, "hand": np.array([1.0, 0.0, 0.0]) * 0.08,
}  # fmt: skip
CMU = {
    "pelvis": "Hips", "spine1": "LowerBack", "spine2": "Spine", "spine3": "Spine1", "neck": "Neck",
    "head": "Head", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase",
    "collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand", "hand": "HandIndex1",
}  # fmt: skip


def offsets():
    """Of SMPL's 24 joints from their parents."""
    found = []
    for name in skeleton.SMPL24:
        side, _, part = name.partition("_")
        limb = LIMBS.get(part)
        found.append(SMPL_LIKE[name] if limb is None else limb * ((-1) ** (side == "right"), 1, 1))
    return np.array(found)


def cmu_name(name):
    side, _, part = name.partition("_")
    return CMU[name] if name in CMU else side.capitalize() + CMU[part]


def bvh_text(
    rotvecs,
    places,
    *,
    order="ZXY",
    rest=None,
    names=cmu_name,
    unit=0.01,
    drop=(),
    seconds="0.0333333",
    root="ROOT",
):
    """BVH of SMPL motion (frames, 24, 3) on a skeleton whose rest pose has global rotations `rest`.

    Its offsets are `rest` R o, and its motion differs from SMPL's so that bones are where SMPL's are.
    """
    local = Rotation.from_rotvec(np.reshape(rotvecs, (-1, 3))).as_matrix().reshape(-1, 24, 3, 3)
    rest = np.tile(np.eye(3), (24, 1, 1)) if rest is None else rest
    smpl, parents = [], skeleton.SMPL_PARENTS
    for j, p in enumerate(parents):
        smpl.append(local[:, j] if p < 0 else smpl[p] @ local[:, j])
    world = [smpl[j] @ rest[j].T for j in range(24)]
    mine = [
        world[j] if p < 0 else np.swapaxes(world[p], -1, -2) @ world[j]
        for j, p in enumerate(parents)
    ]
    shifts = [o if p < 0 else rest[p] @ o for o, p in zip(offsets(), parents)]
    lines, columns = ["HIERARCHY"], [np.asarray(places) / unit]

    def put(j, depth):
        pad = "\t" * depth
        lines.append(f"{pad}{root if j == 0 else 'JOINT'} {names(skeleton.SMPL24[j])}")
        lines.append(pad + "{")
        lines.append(f"{pad}\tOFFSET " + " ".join(f"{x:.9g}" for x in shifts[j] / unit))
        rotations = " ".join(f"{axis}rotation" for axis in order)
        positions = "6 Xposition Yposition Zposition" if j == 0 else "3"
        lines.append(f"{pad}\tCHANNELS {positions} {rotations}")
        euler = Rotation.from_matrix(mine[j]).as_euler(order, degrees=True)
        columns.append(euler)
        children = [k for k, p in enumerate(parents) if p == j and skeleton.SMPL24[k] not in drop]
        for child in children:
            put(child, depth + 1)
        if not children:
            lines.extend([f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET 0 1 0", f"{pad}\t}}"])
        lines.append(pad + "}")

    put(0, 0)
    values = np.concatenate(columns, -1)
    lines += ["MOTION", f"Frames: {len(values)}", f"Frame Time: {seconds}"]
    lines += [" ".join(f"{x:.7f}" for x in row) for row in values]
    return "\n".join(lines) + "\n"


def smpl_motion(frames=5, seed=7):
    """Poses without hands, and where the pelvis is (metres)."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, 0.4, (frames, 24, 3))
    poses[:, [10, 11, 22, 23]] = 0
    return poses, rng.normal((0, 0.95, 0), 0.5, (frames, 3))


def _bvh_case(folder):
    path = folder / "walk.bvh"
    path.write_text(bvh_text(*smpl_motion(3)))
    return made.Case(lambda out: bvh.convert(path, out) and None, [path])


# --- SMPLify-X -----------------------------------------------------------------------------------


def smplifyx_result(body=69, **changes):
    rng = np.random.default_rng(8)
    return {
        "camera_rotation": np.eye(3, dtype=np.float32)[None],
        "camera_translation": np.array([[0.1, 0.2, 30.0]], np.float32),
        "betas": rng.normal(size=(1, 10)).astype(np.float32),
        "global_orient": np.array([[3.0, 0.1, 0.2]], np.float32),
        "body_pose": rng.normal(0, 0.3, (1, body)).astype(np.float32),
        "left_hand_pose": np.zeros((1, 12), np.float32),
        "expression": np.zeros((1, 10), np.float32),
    } | changes


def write_smplifyx(folder, content=None):
    path = folder / "results" / "COCO_000000000042" / "000.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_pickle(path, smplifyx_result() if content is None else content, 2)


def _smplifyx_case(folder):
    path = write_smplifyx(folder)

    def convert(out):
        fields = smplifyx.read_smplifyx(path, say=silent)
        delivery.deliver(out, delivery.in_role(fields, "estimate"), str(path), say=silent)

    return made.Case(convert, [path])


CASES = {
    "phalp": _phalp_case,
    "vibe": _vibe_case,
    "aist": _aist_case,
    "amass": _amass_case,
    "bvh": _bvh_case,
    "smplifyx": _smplifyx_case,
}
