"""Finite numbers of a known count of rows, from whatever a file holds."""

from collections.abc import Callable
from typing import Any

import numpy as np

from diffjax.convert import finite, parsing

LARGEST_RAD = 100.0
"""Of any axis-angle number that is still believed to be in radians."""


def array(
    values: Any, name: str, shape: tuple[int | None, ...], where: str, rows: int | None = None
) -> np.ndarray:
    """`values` as float32 below `finite.LARGEST` (N, *shape); with `rows`, N must be it."""
    found = parsing.number_array(values, name, shape, where)
    if rows is not None and len(found) != rows:
        raise ValueError(
            f"{where}: field {name}: wanted {rows} rows, found {len(found)}; "
            "the rows of one file must be of the same people"
        )
    fine = (np.abs(found) < finite.LARGEST).reshape(len(found), -1).all(-1) if found.size else True
    if not np.all(fine):  # NaN is not below.
        raise ValueError(
            f"{where}: field {name}: wanted finite numbers, found NaN, infinity or above {finite.LARGEST:g} "
            f"in row {np.argmin(fine)}; drop such rows where the file was made"
        )
    return found


def exact(
    values: Any, name: str, shape: tuple[int | None, ...], where: str, rows: int | None = None
) -> np.ndarray:
    """The same in float64, with numbers that fit float32."""
    array(values, name, shape, where, rows)
    return parsing.numbers(values, where)


def flat(values: Any, name: str, where: str, rows: int) -> np.ndarray:
    """(rows, numbers) float64 of values with any axes after the rows; rows > 0."""
    found = parsing.numbers(values, f"{where}: field {name}")
    if not found.ndim or len(found) != rows:
        raise ValueError(
            f"{where}: field {name}: wanted {rows} rows, found shape {found.shape}; "
            "the rows of one file must be of the same people"
        )
    return exact(found.reshape(rows, -1), name, (None,), where)


def rotations(values: Any, name: str, where: str, rows: int) -> np.ndarray:
    """(rows, 24, 3, 3) from axis-angle of 72 numbers a row, root first."""
    found = flat(values, name, where, rows)
    if found.shape[1] != 72:
        raise ValueError(
            f"{where}: field {name}: wanted axis-angle of 24 joints (72 numbers a row), "
            f"found {found.shape[1]}; is it the file of another program?"
        )
    if np.abs(found).max() > LARGEST_RAD:
        raise ValueError(
            f"{where}: field {name}: wanted radians, found {np.abs(found).max():.3g}; degrees?"
        )
    return parsing.rotation_matrices(found, f"{where}: field {name}")


def shapes(values: Any, name: str, where: str, rows: int, say: Callable[[str], None]) -> np.ndarray:
    """(rows, 10) betas: the first ten, where there are more."""
    found = flat(values, name, where, rows)
    if found.shape[1] < 10:
        raise ValueError(
            f"{where}: field {name}: wanted {rows} rows of 10 betas, found {found.shape[1]}; "
            "is it the file of another program?"
        )
    if found.shape[1] > 10:
        say(f"{where}: {name} has {found.shape[1]} components; the first 10 are kept")
    return found[:, :10]


def points(
    values: Any, name: str, shape: tuple[int, int], where: str, rows: int | None
) -> np.ndarray:
    """(rows, K, C) keypoints whose last number is the confidence: coordinates are 0 where it is."""
    found = array(values, name, shape, where, rows)
    return np.where(found[..., -1:] > 0, found, 0).astype(np.float32)


def count(values: Any) -> Any:
    """How many, of a list or array; else what it is."""
    if isinstance(values, list | tuple) or (isinstance(values, np.ndarray) and values.ndim):
        return len(values)
    return f"a {type(values).__name__}"
