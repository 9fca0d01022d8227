"""Numbers and texts from files, with the shape they must have."""

import gc
import importlib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import rotations
from diffjax.unpickle import stream

LARGEST_JSON = 2 << 30
"""Bytes of a JSON file; parsed, it takes about five times as much memory."""


def number_array(values: Any, name: str, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    """`values` as float32 of shape (N, *shape); what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        array = numbers(values, f"{where}: field {name}").astype(np.float32)
    sizes = zip(shape, array.shape[1:])
    if array.ndim != len(shape) + 1 or any(a not in (None, b) for a, b in sizes):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{where}: field {name}: wanted (N, {wanted}), found {array.shape}; "
            "is it the file of another program?"
        )
    return array


def numbers(values: Any, where: str) -> np.ndarray:
    """`values` as a float64 array of their own shape; lists may be nested and of arrays, but not ragged."""
    try:
        array = np.asarray(values)
        array = np.asarray(array.tolist()) if array.dtype.kind == "O" else array
        if array.dtype.kind in "biuf":
            return array.astype(np.float64)
        kind = f"dtype {array.dtype}" if isinstance(values, np.ndarray) else type(values).__name__
        found = kind if array.ndim == 0 or isinstance(values, np.ndarray) else f"{kind} of others"
    except (ValueError, TypeError, OverflowError) as error:
        ragged = "inhomogeneous" in str(error)
        found = "lists of different lengths" if ragged else str(error)[:80]
    raise ValueError(f"{where}: wanted numbers, found {found}; export again")


def rotation_matrices(axis_angle: Any, where: str) -> np.ndarray:
    """(N, 24, 3, 3) from axis-angle of any shape with 72 numbers a row."""
    pose = numbers(axis_angle, where).astype(np.float32)
    if pose.ndim < 2 or not len(pose) or pose[0].size != 72 or not np.isfinite(pose).all():
        raise ValueError(
            f"{where}: wanted finite axis-angle of 24 joints, found shape {pose.shape}; "
            "make the file again"
        )
    return np.asarray(rotations.matrix_from_axis_angle(jnp.asarray(pose.reshape(-1, 24, 3))))


def field(content: Any, name: str, where: str, wanted: str) -> Any:
    """content[name] of what should be a dict; ValueError says what is `wanted` and what is there."""
    if not isinstance(content, dict):
        found = f"a {type(content).__name__}"
    elif name in content:
        return content[name]
    else:
        found = ", ".join(sorted(map(str, content))[:12]) or "nothing"
    raise ValueError(f"{where}: field {name}: wanted {wanted}, found {found}; see docs/data.md")


def text(value: Any) -> str:
    """Text, also where it is stored as bytes or in an array without axes."""
    value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def texts(values: Any) -> np.ndarray:
    """A text array, also of bytes."""
    return np.array([text(value) for value in values], dtype=np.str_)


def gender(value: Any, where: str) -> str:
    """'male', 'female' or 'neutral' from m, f, n, whole words and bytes of them."""
    word = text(value).strip().lower()
    names = {"m": "male", "f": "female", "n": "neutral"}
    word = names.get(word, word)
    if word not in names.values():
        raise ValueError(f"{where}: field gender: wanted m, f or n, found {word[:40]!r}")
    return word


def read_json(path: str | Path) -> Any:
    """The content of a JSON file, refused where it is broken, nested beyond reason, or enormous."""
    data = stream.packed_bytes(path, LARGEST_JSON)
    orjson = needed("orjson")
    collecting = gc.isenabled()
    gc.disable()  # Millions of new lists set off collections that find nothing.
    try:
        return orjson.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: wanted JSON, found something else ({error}); export again"
        ) from error
    finally:
        if collecting:
            gc.enable()


def needed(module: str) -> Any:
    """A module of the extra `convert`; ValueError says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{module} is needed for this: pip install -e '.[convert]' in diffjax's folder ({error})"
        ) from error
