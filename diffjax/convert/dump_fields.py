"""Fields of ours from those of a dump, with the shape that their kind asks for."""

from collections.abc import Callable
from typing import Any

import numpy as np

from diffjax.convert import parsing, pose_layouts
from diffjax.data import checks

_MOST_NAMES = 24  # Of a file's fields, in one message.
_WIDTHS = {"keypoints2d": 3, "labels2d": 3, "keypoints3d": 4}


def take(
    content: dict[str, Any],
    ours: str,
    theirs: str,
    rows: int,
    where: str,
    say: Callable[[str], None],
) -> Any:
    """A field of ours from one of theirs, with the shape that its kind asks for."""
    if ours in checks.SETS:
        return theirs
    if ours not in checks.FIELDS or checks.FIELDS[ours] == checks.FIELDS["pose"]:
        known = [n for n in checks.FIELDS if checks.FIELDS[n] != checks.FIELDS["pose"]]
        names = ", ".join((*known, *checks.SETS))
        raise ValueError(f"--fields {ours}={theirs}: wanted one of {names}, got {ours!r}")
    if ours == "bbox_px" and "+" in theirs and theirs not in content:
        return _squares(content, theirs, where)
    value = named(content, theirs, where)
    kind = checks.FIELDS[ours].kind
    if kind == "rotation":
        return shaped(value, theirs, ("people", *checks.FIELDS[ours].shape), where)
    if kind == "text":
        return _texts(value, ours, rows, f"{where}: field {theirs}")
    if ours in _WIDTHS:
        return _keypoints(value, _WIDTHS[ours], theirs, where, say)
    if kind == "whole":
        return _whole(value, theirs, where)
    return _sizes(value, checks.FIELDS[ours].shape == (2,), theirs, rows, where)


def _squares(content: dict[str, Any], names: str, where: str) -> np.ndarray:
    """Boxes (N, 4) of middles (N, 2) and sides (N,), as HMR2 has in box_center+box_size."""
    middle, side = (
        as_rows(named(content, name, where), name, where) for name in names.split("+", 1)
    )
    if middle.shape[1] != 2 or side.shape[1] not in (1, 2) or len(middle) != len(side):
        raise ValueError(
            f"{where}: field {names}: wanted middles (N, 2) and sides (N,) of boxes, found "
            f"{middle.shape} and {side.shape}; is it another field?"
        )
    return np.concatenate([middle - side / 2, np.broadcast_to(side, middle.shape)], -1)


def _whole(value: Any, name: str, where: str) -> np.ndarray:
    """(N,) int64."""
    array = value if isinstance(value, np.ndarray) else np.array(value, dtype=object)
    if array.dtype.kind == "O" and all(isinstance(item, int) for item in array.flat):
        array = pose_layouts.numbers(array, name, (), where).astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{where}: field {name}: wanted (N,) whole numbers, found {array.dtype} {array.shape}"
        )
    return array.astype(np.int64)


def _sizes(value: Any, pair: bool, name: str, rows: int, where: str) -> np.ndarray:
    """(N, numbers); what has two axes may be one number for both, and one for all rows."""
    if pair and isinstance(value, int | float | np.number):
        value = np.full(rows, value)
    array = as_rows(value, name, where)
    return np.repeat(array, 2, -1) if pair and array.shape == (rows, 1) else array


def _texts(value: Any, ours: str, rows: int, where: str) -> np.ndarray:
    """(N,) text; one for all rows is repeated."""
    listed = [value] * rows if isinstance(value, str | bytes) else value
    if not isinstance(listed, list | tuple | np.ndarray):
        raise ValueError(f"{where}: wanted {rows} texts, found a {type(value).__name__}")
    if ours == "gender":
        return np.array([parsing.gender(word, where) for word in listed], dtype=np.str_)
    return parsing.texts(listed)


def shaped(value: Any, name: str, axes: tuple[str | int, ...], where: str) -> np.ndarray:
    """Finite float32 of these axes; keypoints may lack their confidence."""
    last = axes[-1]
    array = parsing.numbers(value, f"{where}: field {name}")
    allowed = (last, int(last) - 1) if "keypoints" in axes else (last,)
    rows = axes[0] if isinstance(axes[0], int) else len(array) if array.ndim else 0
    if array.shape[:1] != (rows,) or array.ndim != len(axes) or array.shape[-1] not in allowed:
        wanted = ", ".join(map(str, axes))
        raise ValueError(
            f"{where}: field {name}: wanted ({wanted}), found {array.shape}; is it another field?"
        )
    return pose_layouts.numbers(array, name, (None,) * (array.ndim - 1), where)


def _keypoints(
    value: Any, width: int, name: str, where: str, say: Callable[[str], None]
) -> np.ndarray:
    """(N, K, width), the last number a confidence: 1 where the file has none."""
    array = shaped(value, name, ("people", "keypoints", width), where)
    if array.shape[-1] == width - 1:
        say(f"{where}: field {name}: no confidence, so it is 1 everywhere")
        array = np.concatenate([array, np.ones((*array.shape[:2], 1), np.float32)], -1)
    return array


def as_rows(values: Any, name: str, where: str) -> np.ndarray:
    """(N, numbers) float32, finite."""
    rank = max(np.ndim(values) if isinstance(values, np.ndarray) else depth(values), 1)
    array = pose_layouts.numbers(values, name, (None,) * (rank - 1), where)
    if not array.size:
        raise ValueError(f"{where}: field {name}: wanted some rows, found {array.shape}")
    return array.reshape(len(array), -1)


def depth(values: Any) -> int:
    """Axes of nested lists, by their first entries."""
    depth = 0
    while isinstance(values, list | tuple | np.ndarray) and len(values):
        depth, values = depth + 1, values[0]
        if isinstance(values, np.ndarray):
            return depth + values.ndim
    return depth


def named(content: dict[str, Any], name: str, where: str) -> Any:
    if name not in content:
        raise ValueError(f"{where}: the file has no field {name}; it has {listed(content)}")
    return content[name]


def listed(names: Any) -> str:
    names = sorted(map(str, names))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(names[:_MOST_NAMES]) + more) or "nothing"
