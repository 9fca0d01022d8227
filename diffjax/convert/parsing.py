"""Numbers from files, with the shape they must have."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import rotations


def number_array(values: Any, name: str, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    """`values` as float32 of shape (N, *shape)."""
    try:
        array = np.asarray(values, np.float32)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{where}: field {name}: wanted numbers, found {error}; export again"
        ) from error
    sizes = zip(shape, array.shape[1:])
    if array.ndim != len(shape) + 1 or any(a not in (None, b) for a, b in sizes):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{where}: field {name}: wanted (N, {wanted}), found {array.shape}; "
            "is it the file of another program?"
        )
    return array


def rotation_matrices(axis_angle: Any, where: str) -> np.ndarray:
    """(N, 24, 3, 3) from axis-angle of any shape with 72 numbers a row."""
    pose = np.asarray(axis_angle, np.float32).reshape(len(axis_angle), -1, 3)
    if pose.shape[1] != 24 or not np.isfinite(pose).all():
        raise ValueError(
            f"{where}: wanted finite axis-angle of 24 joints, found shape {np.shape(axis_angle)}; "
            "make the file again"
        )
    return np.asarray(rotations.matrix_from_axis_angle(jnp.asarray(pose)))
