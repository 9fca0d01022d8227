"""What every field of a sequence set must be, and the message when it is not."""

import difflib
from typing import Any, NamedTuple

import numpy as np

from diffjax import skeleton
from diffjax.data import pose_sequences


class Field(NamedTuple):
    """A column: numbers of each joint, text, or whole numbers."""

    coordinates: int = 0
    """Of a joint; 0 for one value a row."""
    text: bool = True


FIELDS = {
    "poses2d": Field(2),
    "estimate3d": Field(3),
    "truth3d": Field(3),
    "sequence": Field(),
    "subject": Field(),
    "action": Field(),
    "view": Field(),
    "frame": Field(text=False),
}
_NAMES = (*FIELDS, "joint_set", "fps")
_NEEDED = ("poses2d", "joint_set", "sequence", "frame")
_FURTHEST_M = 3.0
"""From the pelvis to a joint."""


def refuse(where: str, field: str, wanted: str, found: object, step: str) -> None:
    """ValueError in the words of all doors."""
    raise ValueError(f"{where}: field {field}: wanted {wanted}, found {found}; {step}")


def refuse_annotations(arrays: dict[str, Any], where: str) -> None:
    """ValueError for an annotation set: its tracks have to become sequences first."""
    if "pred_pose" in arrays:
        step = "scripts/convert.py to-sequences makes a sequence set of its tracks"
        refuse(where, "pred_pose", "a sequence set", "an annotation set", step)


def with_normalised(arrays: dict[str, Any], where: str) -> dict[str, Any]:
    """`poses2d` in place of `keypoints2d` (x, y in pixels, confidence), their set and `image_size_px`."""
    pixels = "keypoints2d", "keypoints2d_set", "image_size_px"
    if "keypoints2d" not in arrays:
        return arrays
    if "poses2d" in arrays:
        refuse(where, "keypoints2d", "2D once", "poses2d too", "leave one of them out")
    rest = {name: x for name, x in arrays.items() if name not in pixels}
    of, size = arrays.get("keypoints2d_set", arrays.get("joint_set")), arrays.get("image_size_px")
    if size is None:
        refuse(where, "image_size_px", "width and height beside pixels", "nothing", "give them")
    if of != arrays.get("joint_set"):
        step = "take 2D keypoints of the joints of the 3D poses"
        refuse(where, "keypoints2d_set", f"{arrays.get('joint_set')} like the 3D", of, step)
    points, size = np.asarray(arrays["keypoints2d"]), np.asarray(size)
    if points.ndim != 3 or points.shape[2] != 3 or size.shape != (len(points), 2):
        shapes = f"{points.shape} and {size.shape}"
        refuse(where, "keypoints2d", "(rows, joints, 3) and sizes (rows, 2)", shapes, "one a frame")
    _check_numbers(where, "keypoints2d", points)
    if not (size > 0).all():
        refuse(where, "image_size_px", "pixels above 0", "others", "give width and height")
    p = pose_sequences.normalised(points[..., :2].astype(np.float64), size)
    return rest | {"poses2d": np.where(points[..., 2:] > 0, p, np.nan)}


def check(arrays: dict[str, Any], where: str) -> None:
    """ValueError (`where`, field, wanted, found, next step) unless every field is what it says.

    2D and estimates may hold NaN: what becomes of them is `windows.fill_gaps`' to say.
    """
    for name in arrays:
        if name not in _NAMES:
            close = difflib.get_close_matches(name, _NAMES, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(_NAMES)}"
            refuse(where, name, "a known field", "this name", hint)
    for name in _NEEDED:
        if name not in arrays:
            refuse(where, name, "it in every sequence set", "nothing", "see docs/methods.md")
    if "fps" in arrays:
        _check_rate(np.asarray(arrays["fps"]), where)
    joints, root = _joints(arrays, where)
    frames = len(np.atleast_1d(arrays["frame"]))
    if not frames:
        refuse(where, "frame", "a frame or more", "none", "leave the set out")
    for name, field in FIELDS.items():
        if name in arrays:
            _check_column(np.asarray(arrays[name]), name, field, frames, joints, where, arrays)
    _check_pixels(np.asarray(arrays["poses2d"]), f"{where}: field poses2d")
    for name in ("estimate3d", "truth3d"):
        if name in arrays:
            _check_metres(np.asarray(arrays[name], np.float64), name, root, where)


def _check_rate(fps: np.ndarray, where: str) -> None:
    if fps.ndim or fps.dtype.kind not in "fiu" or not 0 < fps < 1e4:
        refuse(where, "fps", "frames a second", fps, "one number above 0")


def _joints(arrays: dict[str, Any], where: str) -> tuple[int, int]:
    """How many joints there are, and which is the pelvis."""
    name = arrays["joint_set"]
    if name not in skeleton.KEYPOINT_SETS:
        known = ", ".join(skeleton.KEYPOINT_SETS)
        refuse(where, "joint_set", f"one of {known}", repr(name), "name the order of the joints")
    if "pelvis" not in skeleton.KEYPOINT_SETS[name]:
        refuse(where, "joint_set", "a set with a pelvis", name, "convert to h36m17")
    return len(skeleton.KEYPOINT_SETS[name]), pose_sequences.root_index(name)


def _check_column(
    x: np.ndarray,
    name: str,
    field: Field,
    frames: int,
    joints: int,
    where: str,
    arrays: dict[str, Any],
) -> None:
    if x.ndim == 0 or len(x) != frames:
        found = f"{len(x) if x.ndim else 'one'} (frame has {frames})"
        refuse(where, name, "as many rows as frames", found, "cut all fields to the same frames")
    if not field.coordinates:
        wanted, kinds = ("text", "U") if field.text else ("whole numbers", "iu")
        if x.ndim != 1 or x.dtype.kind not in kinds:
            step = "decode bytes with .astype(str)" if field.text else "convert with .astype(int)"
            refuse(where, name, f"one {wanted} a row", f"{x.dtype} {x.shape}", step)
        return
    shape = (frames, joints, field.coordinates)
    if x.shape != shape:
        step = "take 2D and 3D of one joint set, and name it"
        refuse(where, name, f"{shape} for joint_set {arrays['joint_set']}", x.shape, step)
    _check_numbers(where, name, x)


def _check_numbers(where: str, name: str, x: np.ndarray) -> None:
    if x.dtype.kind not in "fiu":
        refuse(where, name, "numbers", f"dtype {x.dtype}", "convert with .astype(np.float32)")
    if np.isinf(x).any():
        refuse(where, name, "finite numbers", "infinity", "write NaN where nothing is known")


def _check_pixels(p: np.ndarray, where: str) -> None:
    """Refuses pixels by their median: a simulated person may well leave the image."""
    known = p[np.isfinite(p)]
    if len(known):
        pose_sequences.check_normalised(np.full((1, 2), np.median(np.abs(known))), where)


def _check_metres(x: np.ndarray, name: str, root: int, where: str) -> None:
    if name == "truth3d" and np.isnan(x).any():
        row = int(np.isnan(x).any((1, 2)).argmax())
        refuse(
            where, name, "the truth of every frame", f"NaN in row {row}", "leave such frames out"
        )
    known = x[np.isfinite(x).all((1, 2))]
    if not len(known):
        return
    off, far = float(np.abs(known[:, root]).max()), float(np.abs(known).max())
    if far > _FURTHEST_M:
        step = "millimetres? divide by 1000; else subtract the pelvis"
        refuse(where, name, "metres relative to the pelvis", f"{far:.4g}", step)
    if off > 1e-3:
        refuse(where, name, "the pelvis at 0", f"it {off:.3g} m away", "subtract it in every frame")
