"""Motion files in AMASS's layout as 24-joint SMPL motion.

Known layouts: `poses` of 156 (SMPL-H: root, 21 body joints, hands), 165 (SMPL-X) or 72 numbers a
frame, or `root_orient` with `pose_body`. Finger poses are dropped; SMPL's two hand joints stay at
rest where the file has none.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from diffjax import rotations, unpickle

_RATES = ("mocap_framerate", "mocap_frame_rate", "fps")
_LARGEST = 1e6  # Of any number in a motion file.
_BODY = 66  # Root and 21 body joints, shared by SMPL, SMPL-H and SMPL-X.


class Motion(NamedTuple):
    """One recording."""

    poses: Float32[np.ndarray, "time 24 3"]
    """Axis-angle, radians, root first."""
    trans: Float32[np.ndarray, "time 3"]
    """Metres, of the model origin, y up."""
    betas: Float32[np.ndarray, " 10"]
    fps: float
    gender: str
    """'neutral', 'male' or 'female'."""


def read_motion(
    path: str | Path, *, up: Literal["y", "z"] = "y", fps: float | None = None
) -> Motion:
    """The motion in an `.npz`, y up.

    `up` is the vertical axis of the file: AMASS's own files are z up, and are turned by -90 degrees
    about x. The turn moves `trans` with the root, but leaves out the constant (Q - I) J_0 of
    SMPL's pelvis J_0, which needs a body: under 0.4 m, and the same in every frame. `fps`
    stands in for a file without a frame rate. Absent betas are zeros, absent gender is neutral.
    """
    return motion_from_arrays(_load(Path(path)), str(path), up=up, fps=fps)


def motion_from_arrays(
    arrays: dict[str, Any], where: str, *, up: Literal["y", "z"] = "y", fps: float | None = None
) -> Motion:
    """`read_motion` of arrays under AMASS's names, wherever they are from; `where` is for messages."""
    poses = _poses(arrays, where)
    trans = _trans(arrays, len(poses), where)
    if up == "z":
        poses, trans = _y_up(poses, trans)
    return Motion(
        poses=poses.astype(np.float32),
        trans=trans.astype(np.float32),
        betas=_betas(arrays, where),
        fps=_rate(arrays, fps, where),
        gender=_gender(arrays, where),
    )


def resample(motion: Motion, fps: float) -> Motion:
    """The frames nearest to the ticks of `fps`, at most the motion's own rate: none is invented."""
    if not 0 < fps <= motion.fps * 1.01:
        raise ValueError(
            f"fps: wanted above 0 and at most the motion's {motion.fps:g}, got {fps:g}"
        )
    ticks = np.arange(0, len(motion.poses), motion.fps / fps)
    index = np.minimum(np.round(ticks).astype(int), len(motion.poses) - 1)
    return motion._replace(poses=motion.poses[index], trans=motion.trans[index], fps=float(fps))


def _load(path: Path) -> dict[str, Any]:
    arrays = unpickle.load_npz(path)
    if "poses" not in arrays and not {"root_orient", "pose_body"} <= set(arrays):
        found = ", ".join(sorted(arrays)[:12]) or "nothing"
        raise ValueError(
            f"{path}: field poses: wanted motion (AMASS's shape.npz has none), found {found}; "
            "give a motion file"
        )
    return arrays


def _poses(arrays: dict[str, Any], where: str) -> np.ndarray:
    """(T, 24, 3) in float64, of any of the known layouts."""
    if "poses" in arrays:
        poses = _numbers(arrays, "poses", where)
    else:
        parts = [_numbers(arrays, name, where) for name in ("root_orient", "pose_body")]
        poses = np.concatenate(parts, -1)
    flat = poses.reshape(len(poses), -1) if poses.ndim == 3 and poses.size else poses
    if flat.ndim != 2 or not len(flat) or flat.shape[1] not in (_BODY, 72, 156, 165):
        raise ValueError(
            f"{where}: field poses: wanted (frames, 66, 72, 156 or 165) with at least one frame, "
            f"found {poses.shape}; only SMPL, SMPL-H and SMPL-X motion is known"
        )
    largest = float(np.abs(flat[:, :72]).max())
    if largest > 4 * np.pi:
        raise ValueError(
            f"{where}: field poses: wanted axis-angle in radians, "
            f"found a rotation by {largest:.3g}; degrees? multiply by pi / 180"
        )
    kept = flat[:, : 72 if flat.shape[1] == 72 else _BODY]
    return np.pad(kept, ((0, 0), (0, 72 - kept.shape[1]))).reshape(-1, 24, 3)


def _trans(arrays: dict[str, Any], frames: int, where: str) -> np.ndarray:
    trans = _numbers(arrays, "trans", where)
    if trans.shape != (frames, 3):
        raise ValueError(
            f"{where}: field trans: wanted ({frames}, 3), found {trans.shape}; "
            "one row a frame, as in poses"
        )
    if np.abs(trans).max() > 50.0:
        raise ValueError(
            f"{where}: field trans: wanted metres, found {np.abs(trans).max():.4g}; "
            "millimetres or centimetres? divide first"
        )
    return trans


def _y_up(poses: np.ndarray, trans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    turn = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], np.float32)
    root = rotations.matrix_from_axis_angle(jnp.asarray(poses[:, 0], jnp.float32))
    turned = rotations.axis_angle_from_matrix(jnp.asarray(turn) @ root)
    poses = poses.copy()
    poses[:, 0] = np.asarray(turned)
    return poses, trans @ turn.T.astype(np.float64)


def _numbers(arrays: dict[str, Any], name: str, where: str) -> np.ndarray:
    if name not in arrays:
        raise ValueError(
            f"{where}: field {name}: wanted it in a motion file, "
            f"found {', '.join(sorted(arrays)[:12])}; see docs/data.md for the layout"
        )
    try:
        array = np.asarray(arrays[name])
    except ValueError as error:
        raise ValueError(
            f"{where}: field {name}: wanted numbers, found {error}; export again"
        ) from error
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"{where}: field {name}: wanted numbers, found dtype {array.dtype}; export again"
        )
    array = array.astype(np.float64)
    if not (np.abs(array) < _LARGEST).all():  # NaN is not.
        raise ValueError(
            f"{where}: field {name}: wanted finite numbers below {_LARGEST:g}, "
            "found NaN or more; drop those frames"
        )
    return array


def _betas(arrays: dict[str, Any], where: str) -> np.ndarray:
    """The first 10 of AMASS's 16: those are of SMPL-H, and SMPL's only approximately."""
    if "betas" not in arrays:
        return np.zeros(10, np.float32)
    betas = _numbers(arrays, "betas", where).reshape(-1)
    if len(betas) < 10 or np.prod(np.shape(arrays["betas"])[:-1]) != 1:
        raise ValueError(
            f"{where}: field betas: wanted 10 or more numbers, one body a file, "
            f"found {np.shape(arrays['betas'])}; split the file by person"
        )
    return betas[:10].astype(np.float32)


def _rate(arrays: dict[str, Any], fps: float | None, where: str) -> float:
    rates = [_numbers(arrays, name, where) for name in _RATES if name in arrays]
    if rates and rates[0].size != 1:
        raise ValueError(
            f"{where}: field mocap_framerate: wanted one number, found shape {rates[0].shape}; "
            "correct the file"
        )
    rate = float(rates[0].item()) if rates else fps
    if rate is None:
        raise ValueError(
            f"{where}: field mocap_framerate: wanted frames a second, found nothing; "
            "give the rate with --source-fps (read_motion's fps)"
        )
    if not 0 < rate < 10_000:
        raise ValueError(
            f"{where}: field mocap_framerate: wanted frames a second above 0, found {rate:g}; "
            "correct the file"
        )
    return rate


def _gender(arrays: dict[str, Any], where: str) -> str:
    value = arrays.get("gender", "neutral")
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    text = (value.decode("latin1") if isinstance(value, bytes) else str(value)).strip().lower()
    names = {"m": "male", "f": "female", "n": "neutral"}
    text = names.get(text, text)
    if text not in names.values():
        raise ValueError(
            f"{where}: field gender: wanted male, female or neutral, "
            f"found {text[:40]!r}; correct the file"
        )
    return text
