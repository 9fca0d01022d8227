"""People of a data set as rows of fields: numbers of one shape, boxes, parts one after another."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffjax.convert import finite, parsing
from diffjax.data import checks

_LARGER = 1.2
"""Boxes are this much larger than the keypoints, as SPIN's and mmhuman3d's converters make them."""


def numbers(
    values: Any, name: str, shape: tuple[int | None, ...], where: str, rows: int | None = None
) -> np.ndarray:
    """`values` as float32 (N, *shape); real numbers only, in exactly `rows` rows where that is given."""
    stored = parsing.numbers(values, f"{where}: field {name}")
    if (np.isfinite(stored) & (np.abs(stored) > finite.LARGEST)).any():
        raise ValueError(
            f"{where}: field {name}: wanted numbers below {finite.LARGEST:.0e}, found larger ones; get "
            "the file again"
        )
    array = parsing.number_array(stored, name, shape, where)
    if rows is not None and len(array) != rows:
        raise ValueError(
            f"{where}: field {name}: wanted {rows} rows, found {len(array)}; get the file again"
        )
    return array


def name_of(value: Any, name: str, where: str) -> str:
    """A short text of one line."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    found = parsing.text(value) if isinstance(value, str | bytes) else ""
    if not (0 < len(found) <= 128 and found.isprintable()):
        raise ValueError(
            f"{where}: field {name}: wanted a name, found {str(value)[:40]!r}; get the file again"
        )
    return found


def with_confidence(points: np.ndarray) -> np.ndarray:
    """(N, K, d) as (N, K, d + 1): points that are not finite have confidence 0 and coordinates 0."""
    seen = np.isfinite(points).all(-1, keepdims=True)
    return np.concatenate([np.where(seen, points, 0.0), seen], -1).astype(np.float32)


def boxes(keypoints2d: np.ndarray) -> np.ndarray | None:
    """(N, 4) left, top, width, height around the confident keypoints; None unless all rows have one."""
    seen = keypoints2d[..., 2:] > 0
    low = np.where(seen, keypoints2d[..., :2], np.inf).min(1)
    high = np.where(seen, keypoints2d[..., :2], -np.inf).max(1)
    size = _LARGER * (high - low)
    if not (np.isfinite(size) & (size > 0)).all():
        return None
    return np.concatenate([(low + high - size) / 2, size], -1)


def concatenate(parts: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Parts with the same fields, one after another."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def take(fields: dict[str, Any], index: Any) -> dict[str, Any]:
    """The people at `index`, in that order; names of keypoint sets stay."""
    return {k: np.asarray(v)[index] if k in checks.FIELDS else v for k, v in fields.items()}


def checked(fields: dict[str, Any], where: str) -> dict[str, Any]:
    """The fields, if they are what their names say; messages name the source, not what is written."""
    checks.check(fields, where, estimate=False)
    return fields
