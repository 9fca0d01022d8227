"""Finite numbers out of values from files."""

from typing import Any

import numpy as np

from diffjax.convert import parsing

LARGEST = 1e9
"""Of any number: what is larger is damaged, and would overflow later."""


def array(value: Any, name: str, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    """`value` as float64 of `shape` (None is free), refused where anything is not a finite number."""
    found = parsing.numbers(value, f"{where}: field {name}")
    fits = len(shape) == found.ndim and all(a in (None, b) for a, b in zip(shape, found.shape))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{where}: field {name}: wanted ({wanted}), found {found.shape}; "
            "is it the file of another program?"
        )
    if not (np.abs(found) < LARGEST).all():  # NaN is not.
        raise ValueError(
            f"{where}: field {name}: wanted finite numbers, found NaN, infinity or above {LARGEST:g}; "
            "leave these rows out"
        )
    return found
