"""What every field of an annotation set must be, and the message when it is not."""

import difflib
from typing import Any, NamedTuple

import numpy as np

from diffjax import skeleton


class Field(NamedTuple):
    shape: tuple[int | str, ...]
    """After the samples; 'set' is the length of the keypoint set beside it, a word is free."""
    kind: str


_POSE, _SHAPE, _PLACE = (
    Field((24, 3, 3), "rotation"),
    Field((10,), "number"),
    Field((3,), "place"),
)
_PIXELS, _TEXT = Field(("set", 3), "pixels"), Field((), "text")
FIELDS = {
    "pred_pose": _POSE,
    "pred_betas": _SHAPE,
    "pred_cam_t": _PLACE,
    "pose": _POSE,
    "betas": _SHAPE,
    "cam_t": _PLACE,
    "keypoints2d": _PIXELS,
    "labels2d": _PIXELS,
    "keypoints3d": Field(("set", 4), "metres"),
    "focal_px": Field((2,), "positive"),
    "center_px": Field((2,), "number"),
    "image_size_px": Field((2,), "positive"),
    "gender": _TEXT,
    "sequence": _TEXT,
    "frame": Field((), "whole"),
    "subject": _TEXT,
    "image": _TEXT,
    "view": _TEXT,
    "view_rotation": Field((3, 3), "rotation"),
    "view_translation": _PLACE,
    "bbox_px": Field((4,), "box"),
    "features": Field(("features",), "number"),
}
SETS = ("keypoints2d_set", "labels2d_set", "keypoints3d_set")
NAMES = (*FIELDS, *SETS)
_GENDERS = ("neutral", "male", "female")
ESTIMATE = ("pred_pose", "pred_betas")
CONVERT = "make the file with scripts/convert.py, or see docs/data.md"
_JOIN = "evidence alone? join it with its estimates: scripts/convert.py join --help"


def _check_fields_known(arrays: dict[str, Any], where: str) -> None:
    others = [name for name in arrays if name not in NAMES]
    if len(others) > 1 and "pred_pose" not in arrays:
        found = ", ".join(map(str, others[:5])) + (" ..." if len(others) > 5 else "")
        step = f"it is no annotation set: run python scripts/convert.py inspect {where}"
        _refuse(where, "pred_pose", "the fields of an annotation set", found, step)
    for name in arrays:
        if name not in NAMES:
            close = difflib.get_close_matches(name, NAMES, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(NAMES)}"
            _refuse(where, name, "a known field", "this name", hint)


def _refuse(where: str, field: str, wanted: str, found: object, step: str) -> None:
    raise ValueError(f"{where}: field {field}: wanted {wanted}, found {found}; {step}")


def check(arrays: dict[str, Any], where: str, *, estimate: bool = True) -> None:
    """ValueError (`where`, field, wanted, found, next step) unless every field is what it says.

    Without `estimate` the estimates may be absent: evidence or truth that is still to be joined to some.
    """
    check_shapes(arrays, where, estimate=estimate)
    check_values(arrays, where)


def check_shapes(arrays: dict[str, Any], where: str, *, estimate: bool = True) -> None:
    """The half of `check` that looks at no number: names, shapes, and what is known of them."""
    _check_fields_known(arrays, where)
    for name in ESTIMATE:
        if name not in arrays and (estimate or any(other in arrays for other in ESTIMATE)):
            step = _JOIN if set(arrays) & set(FIELDS) else CONVERT
            _refuse(where, name, "the cached estimate", "nothing", step)
    first = next((name for name in FIELDS if name in arrays), None)
    if first is None:
        _refuse(where, "pred_pose", "some field of people", "none", CONVERT)
    samples = np.shape(arrays[first])[:1]
    if samples == (0,):
        _refuse(where, first, "at least one person", "an empty set", CONVERT)
    for name, field in FIELDS.items():
        if name in arrays:
            _check_shape(arrays, np.asarray(arrays[name]), name, (*samples, *field.shape), where)
    for name in SETS:
        field = name.removesuffix("_set")
        if name in arrays and field not in arrays:
            _refuse(where, field, f"the keypoints that {name} names", "nothing", f"drop {name}")
    if "view_translation" in arrays and "view_rotation" not in arrays:
        step = "x_camera = R x_world + t: give R too, or leave out t"
        _refuse(where, "view_rotation", "the rotation beside view_translation", "nothing", step)


def check_values(arrays: dict[str, Any], where: str) -> None:
    """The other half: every number of the fields that are there."""
    for name, field in FIELDS.items():
        if name in arrays:
            _CHECKS[field.kind](np.asarray(arrays[name]), name, where)
    unknown = sorted(set(np.unique(arrays.get("gender", "neutral"))) - set(_GENDERS))
    if unknown:
        _refuse(where, "gender", f"one of {_GENDERS}", str(unknown[0]), "write the whole word")


def _check_shape(
    arrays: dict[str, Any], array: np.ndarray, name: str, shape: tuple[int | str, ...], where: str
) -> None:
    wanted = list(shape)
    if "set" in wanted:
        wanted[1] = len(_keypoint_names(arrays, name, where))
    fits = len(wanted) == array.ndim and all(
        isinstance(size, str) or size == found for size, found in zip(wanted, array.shape)
    )
    if not fits:
        text = "(" + ", ".join(map(str, wanted)) + ")"
        _refuse(where, name, f"shape {text}", array.shape, "one row a person in every field")


def _keypoint_names(arrays: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
    known, stored = ", ".join(skeleton.KEYPOINT_SETS), arrays.get(f"{name}_set")
    if stored not in skeleton.KEYPOINT_SETS:
        close = difflib.get_close_matches(str(stored), skeleton.KEYPOINT_SETS, 1)
        hint = f"did you mean {close[0]}?" if close else f"name the order of {name}"
        _refuse(where, f"{name}_set", f"one of {known}", repr(stored), hint)
    return skeleton.KEYPOINT_SETS[str(stored)]


def _check_numbers(array: np.ndarray, name: str, where: str) -> None:
    if array.dtype.kind not in "fiu":
        _refuse(where, name, "numbers", f"dtype {array.dtype}", CONVERT)
    bad = np.logical_not(np.isfinite(array).reshape(len(array), -1).all(axis=-1))
    if bad.any():
        found = f"NaN or infinity in {bad.sum()} of {len(bad)} rows, first row {np.argmax(bad)}"
        _refuse(
            where,
            name,
            "finite numbers",
            found,
            "drop these rows, or give absent keypoints confidence 0",
        )


def _check_rotations(array: np.ndarray, name: str, where: str) -> None:
    _check_numbers(array, name, where)
    exact = array.astype(np.float64)
    residual = np.linalg.norm(exact @ np.swapaxes(exact, -1, -2) - np.eye(3), axis=(-1, -2))
    mirrored = np.linalg.det(exact) < 0
    bad = (residual > 1e-2) | mirrored
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        what = (
            "a reflection (det < 0)" if mirrored[first] else f"|R R^T - I| = {residual[first]:.3g}"
        )
        place = ", ".join(f"{axis} {i}" for axis, i in zip(("row", "joint"), first))
        found = f"{what} at {place} ({bad.sum()} of {bad.size} matrices)"
        _refuse(
            where,
            name,
            "rotation matrices",
            found,
            "project with rotations.project_to_so3, or convert again",
        )


def _check_place(array: np.ndarray, name: str, where: str) -> None:
    _check_numbers(array, name, where)
    distance = float(np.median(np.linalg.norm(array, axis=-1)))
    if distance > 1000.0:
        _refuse(
            where,
            name,
            "metres",
            f"a median distance of {distance:.0f}",
            "millimetres? divide by 1000",
        )


def _check_metres(array: np.ndarray, name: str, where: str) -> None:
    _check_numbers(array, name, where)
    _check_confidence(array, name, where)
    extent = _extent(array)
    if not len(extent):
        return
    size, largest = float(np.median(extent)), float(extent.max())
    step = "millimetres? divide by 1000" if size > 200 else "divide to metres, or drop broken rows"
    if largest > 20.0:
        found = f"people of {size:.3g} (median extent; largest {largest:.3g})"
        _refuse(where, name, "metres, people of 0.5 to 3", found, step)
    if 0.0 < size < 0.02:
        _refuse(
            where, name, "metres", f"people of {size:.2g} (median extent)", "divided by 1000 twice?"
        )


def _check_pixels(array: np.ndarray, name: str, where: str) -> None:
    _check_numbers(array, name, where)
    _check_confidence(array, name, where)
    seen = array[..., 2] > 0
    largest = float(np.abs(array[..., :2][seen]).max(initial=0.0))
    if 0.0 < largest <= 2.5:
        found = f"no coordinate above {largest:.3g}"
        _refuse(
            where, name, "pixels of the full image", found, "normalised? multiply by the image size"
        )


def _check_confidence(array: np.ndarray, name: str, where: str) -> None:
    low, high = float(array[..., -1].min()), float(array[..., -1].max())
    if low < 0.0 or high > 1.5:
        step = "COCO's flags 1 and 2 both become 1" if high > 1.5 else "absent keypoints have 0"
        _refuse(where, name, "confidence in [0, 1]", f"{low:.3g} to {high:.3g}", step)


def _extent(keypoints: np.ndarray) -> np.ndarray:
    """Diagonal of the box around the confident keypoints of each row that has at least two."""
    seen = keypoints[..., 3:] > 0
    enough = seen[..., 0].sum(-1) >= 2
    points, seen = keypoints[enough, :, :3], seen[enough]
    low = np.where(seen, points, np.inf).min(-2)
    high = np.where(seen, points, -np.inf).max(-2)
    with np.errstate(over="ignore"):  # What overflows is refused as too large.
        return np.sqrt(((high - low) ** 2).sum(-1))


def _check_positive(array: np.ndarray, name: str, where: str) -> None:
    _check_numbers(array, name, where)
    if (array <= 0).any():
        _refuse(
            where,
            name,
            "pixels above 0",
            f"{array.min():.3g}",
            "leave the field out if it is unknown",
        )


def _check_box(array: np.ndarray, name: str, where: str) -> None:
    _check_numbers(array, name, where)
    if (array[:, 2:] <= 0).any():
        row = int(np.argmax((array[:, 2:] <= 0).any(-1)))
        found = f"{array[row].tolist()} at row {row}"
        _refuse(where, name, "x, y, width, height with sizes above 0", found, "corners? subtract")


def _check_text(array: np.ndarray, name: str, where: str) -> None:
    if array.dtype.kind != "U":
        _refuse(where, name, "text", f"dtype {array.dtype}", "decode bytes with .astype(str)")


def _check_whole(array: np.ndarray, name: str, where: str) -> None:
    if array.dtype.kind not in "iu":
        _refuse(
            where, name, "whole numbers", f"dtype {array.dtype}", "convert with .astype(np.int64)"
        )


_CHECKS = {
    "rotation": _check_rotations,
    "number": _check_numbers,
    "place": _check_place,
    "metres": _check_metres,
    "pixels": _check_pixels,
    "positive": _check_positive,
    "text": _check_text,
    "box": _check_box,
    "whole": _check_whole,
}
