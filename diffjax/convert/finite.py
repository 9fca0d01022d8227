"""Finite numbers out of values from files."""

from typing import Any

import numpy as np

LARGEST = 1e9
"""Of any number: what is larger is damaged, and would overflow later."""


def array(value: Any, name: str, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    """`value` as float64 of `shape` (None is free), refused where anything is not a finite number."""
    try:
        found = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{where}: field {name}: wanted an array of numbers, found {str(error)[:80]}; export again"
        ) from error
    if found.dtype.kind not in "fiu":
        raise ValueError(
            f"{where}: field {name}: wanted numbers, found {_kind(value, found)}; export again"
        )
    fits = len(shape) == found.ndim and all(a in (None, b) for a, b in zip(shape, found.shape))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{where}: field {name}: wanted ({wanted}), found {found.shape}; "
            "is it the file of another program?"
        )
    found = found.astype(np.float64)
    if not (np.abs(found) < LARGEST).all():  # NaN is not.
        raise ValueError(
            f"{where}: field {name}: wanted finite numbers, found NaN, infinity or above {LARGEST:g}; "
            "leave these rows out"
        )
    return found


def _kind(value: Any, found: np.ndarray) -> str:
    return f"dtype {found.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
