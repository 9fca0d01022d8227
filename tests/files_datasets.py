"""Small 3DPW, MPI-INF-3DHP and Human3.6M files with the keys, types, protocols and quirks of the real ones."""

import contextlib
import io
import pickle
from typing import ClassVar

import h5py
import jax.numpy as jnp
import made
import numpy as np
import scipy.io
import tiny
from scipy.spatial.transform import Rotation

from diffjax import body, skeleton
from diffjax.convert import h36m, mpi_inf_3dhp, pw3d

# --- 3DPW ----------------------------------------------------------------------------------------


class Python2(pickle._Pickler):
    """Writes what Python 2 writes: its `str`, of text and of array data, in protocol 2."""

    def _string(self, value):
        raw = value.encode("latin1") if isinstance(value, str) else value
        short = len(raw) < 256
        code = pickle.SHORT_BINSTRING if short else pickle.BINSTRING
        self.write(code + len(raw).to_bytes(1 if short else 4, "little") + raw)
        self.memoize(value)

    def save_global(self, obj, name=None):
        module = obj.__module__.replace("_core", "core").replace("builtins", "__builtin__")
        self.write(pickle.GLOBAL + f"{module}\n{obj.__qualname__}\n".encode())
        self.memoize(obj)

    dispatch: ClassVar = {
        **pickle._Pickler.dispatch,
        str: _string,
        bytes: _string,
        type: save_global,
        type(len): save_global,
        type(contextlib.suppress): save_global,
    }


def python2_pickle(value):
    stream = io.BytesIO()
    Python2(stream, 2).dump(value)
    return stream.getvalue()


def pw3d_sequence(name="downtown_walking_00", frames=6, seed=0, models=None, portrait=True):
    """Two actors, as Python 2 pickled them; `models` (male, female) make their joints real."""
    rng = np.random.default_rng(seed)
    cam = np.tile(np.eye(4), (frames, 1, 1))
    tilt = rng.normal([np.pi, 0, 0], 0.2, (frames, 3))  # The world is y up, the camera y down.
    cam[:, :3, :3] = Rotation.from_rotvec(tilt).as_matrix()
    cam[:, :3, 3] = rng.normal([0.3, 0.9, 5.0], 0.1, (frames, 3))
    poses = [rng.normal(0, 0.3, (frames, 72)) for _ in range(2)]
    trans = [rng.normal(0, 0.4, (frames, 3)) for _ in range(2)]
    betas = [rng.normal(size=10), rng.normal(size=300)]
    joints = [_joints(models, p, poses[p], betas[p], trans[p], rng) for p in range(2)]
    valid = np.ones((2, frames), np.uint8)
    valid[0, 2] = valid[1, 0] = 0
    intrinsics = np.array([[1961.85, 0, 540], [0, 1969.23, 960], [0, 0, 1]])
    if not portrait:
        intrinsics[:2, 2] = 960, 540
    detections = rng.uniform(
        [[100], [200], [0.2]], [[900], [1000], [0.9]], (2, frames, 18, 1, 3, 1)
    )
    detections = detections[..., 0, :, 0].transpose(0, 1, 3, 2)
    return {
        "sequence": name,
        "poses": poses,
        "trans": trans,
        "betas": betas,
        "poses_60Hz": [np.repeat(pose, 2, 0) for pose in poses],
        "trans_60Hz": [np.repeat(place, 2, 0) for place in trans],
        "img_frame_ids": np.arange(0, 2 * frames, 2).astype(np.uint16),
        "jointPositions": joints,
        "poses2d": list(detections),
        "cam_poses": cam,
        "cam_intrinsics": intrinsics,
        "campose_valid": list(valid),
        "genders": [np.array("m"), "f"],
        "texture_maps": [],
    }


def _joints(models, person, pose, betas, trans, rng):
    """(frames, 72) in the world."""
    if models is None:
        return rng.normal(0, 0.4, (len(pose), 72)) + np.tile(trans, 24)
    matrices = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    given = (matrices, np.tile(betas[:10], (len(pose), 1)), trans)
    model = body.load_body(models[person])
    posed = body.pose_body(model, *(jnp.asarray(array, jnp.float32) for array in given))
    return np.asarray(posed.joints, np.float64).reshape(-1, 72)


def write_pw3d(folder, split="test", **changes):
    """sequenceFiles/<split>/<sequence>.pkl; its path."""
    sequence = pw3d_sequence(**changes)
    path = folder / "sequenceFiles" / split / f"{sequence['sequence']}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(python2_pickle(sequence))
    return path


def write_bodies(folder):
    """Male and female body with an h36m17 regressor; their rest pelvis is 0.4 m from the origin."""
    tiny.write_body(folder / "neutral.npz")
    paths = []
    with np.load(folder / "neutral.npz") as stored:
        for gender, size in (("male", 1.1), ("female", 0.9)):
            paths.append(folder / f"SMPL_{gender.upper()}.npz")
            np.savez(paths[-1], **{**stored, "v_template": size * stored["v_template"]})
    return paths


# --- MPI-INF-3DHP --------------------------------------------------------------------------------


def project(points, focal=1500.0, center=(1024.0, 1024.0)):
    """Pixels of camera-frame points."""
    return focal * points[..., :2] / points[..., 2:] + center


def mpi_test_arrays(frames=8, seed=0, center=(1024.0, 1024.0)):
    """What h5py finds in annot_data.mat: frames first, then a lonely axis."""
    rng = np.random.default_rng(seed)
    metric = rng.normal([0.2, 0.1, 4.0], 0.4, (frames, 1, 17, 3))
    valid = np.ones((frames, 1), np.uint8)
    valid[[1, 4]] = 0
    return {
        "annot2": project(metric, center=center),
        "annot3": 1000 * metric,
        "univ_annot3": 920 * metric,
        "valid_frame": valid,
        "activity_annotation": np.ones((frames, 1)),
        "bb_crop": np.ones((frames, 4)),
    }


def write_mpi_test(folder, subject=1, seed=0, **changes):
    """mpi_inf_3dhp_test_set/TS<subject>/annot_data.mat as MATLAB 7.3 writes it; its path."""
    center = (1024.0, 1024.0) if subject < 5 else (960.0, 540.0)
    arrays = {**mpi_test_arrays(seed=seed, center=center), **changes}
    path = folder / "mpi_inf_3dhp_test_set" / f"TS{subject}" / "annot_data.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(116) + b"\0" * 8 + b"\0\2IM")
    return path


def mpi_train_points(frames=11, seed=0):
    """(14 videos, frames, 28, 3) metres, camera frame."""
    return np.random.default_rng(seed).normal([0.2, 0.1, 4.0], 0.4, (14, frames, 28, 3))


def write_mpi_train(folder, subject=1, sequence=1):
    """S<subject>/Seq<sequence>/annot.mat, MATLAB v5, cells of videos; its path."""
    points = mpi_train_points()
    path = folder / f"S{subject}" / f"Seq{sequence}" / "annot.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {"annot2": project(points), "annot3": 1000 * points, "univ_annot3": 920 * points}
    cells = {name: np.empty((14, 1), object) for name in values}
    for name, array in values.items():
        for video in range(14):
            cells[name][video, 0] = array[video].reshape(len(array[video]), -1)
    scipy.io.savemat(path, {**cells, "frames": np.arange(11.0), "cameras": np.arange(14)})
    return path


# --- Human3.6M -----------------------------------------------------------------------------------


def h36m_positions(frames=5, joints=32, seed=0):
    """subject -> action -> (frames, joints, 3) world metres, z up."""
    rng = np.random.default_rng(seed)
    names = {"S1": ["Walking 1", "Eating"], "S9": ["Walking 1"], "S2": ["Walking 1"]}
    return {
        subject: {
            action: rng.normal([0, 0, 1], 0.3, (frames, joints, 3)).astype(np.float32)
            for action in actions
        }
        for subject, actions in names.items()
    }


def write_h36m(folder, joints=32, extra=2, layout="h36m17_native"):
    """data_3d_h36m.npz and data_2d_h36m_gt.npz, whose videos run `extra` frames longer; their paths."""
    people, rng = h36m_positions(joints=joints), np.random.default_rng(1)
    pixels = {
        subject: {
            action: [
                rng.uniform(200, 800, (len(world) + extra, 17, 2)).astype(np.float32)
                for _ in range(4)
            ]
            for action, world in actions.items()
        }
        for subject, actions in people.items()
    }
    names = skeleton.KEYPOINT_SETS[layout]
    sides = [[i for i, n in enumerate(names) if side in n] for side in ("left", "right")]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": sides}
    paths = folder / "data_3d_h36m.npz", folder / "data_2d_h36m_gt.npz"
    np.savez_compressed(paths[0], positions_3d=people)
    np.savez_compressed(paths[1], positions_2d=pixels, metadata=metadata)
    return paths


# --- all -----------------------------------------------------------------------------------------


def _case(convert, files, *arguments, **options):
    """A case that says nothing."""

    def silent(out):
        with contextlib.redirect_stdout(io.StringIO()):
            convert(*arguments, out, **options)

    return made.Case(silent, [*files])


def _pw3d_case(folder):
    path = write_pw3d(folder, frames=4)
    return _case(pw3d.convert, [path], path)


def _pw3d_bytes_case(folder):
    """Keys that Python 3 has read as bytes and pickled again."""
    path = folder / "again.pkl"
    content = {key.encode(): value for key, value in pw3d_sequence(frames=4).items()}
    path.write_bytes(pickle.dumps(content, 2))
    return _case(pw3d.convert, [path], path)


def _pw3d_bodies_case(folder):
    path, bodies = write_pw3d(folder, frames=4), write_bodies(folder)
    return _case(pw3d.convert, [path], path, bodies=tuple(bodies))


def _order_case(folder):
    path, like = write_pw3d(folder, frames=4), folder / "like.npz"
    names = [f"imageFiles/downtown_walking_00/image_{i:05d}.jpg" for i in (3, 1)]
    sequence = pw3d_sequence(frames=4)
    np.savez(
        like,
        imgname=names,
        pose=sequence["poses"][0][[3, 1]],
        shape=np.tile(sequence["betas"][0], (2, 1)),
        gender=np.array([b"m", b"m"]),
    )
    return _case(pw3d.convert, [like], path, order_like=like)


def _mpi_test_case(folder):
    path = write_mpi_test(folder)
    return _case(mpi_inf_3dhp.convert, [path], path)


def _mpi_train_case(folder):
    path = write_mpi_train(folder)
    return _case(mpi_inf_3dhp.convert, [path], path, split="train", cameras=(0, 4))


def _h36m_case(folder):
    paths = write_h36m(folder)
    return _case(h36m.convert, paths, paths[0], keypoints2d=paths[1])


CASES = {
    "3dpw": _pw3d_case,
    "3dpw bytes keys": _pw3d_bytes_case,
    "3dpw bodies": _pw3d_bodies_case,
    "order like": _order_case,
    "mpi_inf_3dhp test": _mpi_test_case,
    "mpi_inf_3dhp train": _mpi_train_case,
    "h36m": _h36m_case,
}
