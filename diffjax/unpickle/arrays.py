"""Arrays from raw bytes, whose dtype and shape are believed only after they fit the bytes."""

import math
import re
from typing import Any

import numpy as np

_NUMBERS = re.compile(r"([<>=|]?)(b1|\?|i[1248]|u[1248]|f[248]|c8|c16|S\d{1,9}|U\d{1,9}|O8?|O4)")
_EMPTY_SIDE = 1 << 20  # Sides of an array without items: nothing in the file backs them.


def dtype_of(code: Any, order: Any = "") -> np.dtype:
    """A plain dtype from its code (`f8`, `<f8`) and byte order; structured ones are refused."""
    code = code.decode("latin1") if isinstance(code, bytes) else code
    order = order.decode("latin1") if isinstance(order, bytes) else order
    match = _NUMBERS.fullmatch(code) if isinstance(code, str) else None
    if match is None or order not in ("", "<", ">", "=", "|"):
        raise ValueError(f"found an array of dtype {str(code)[:40]!r}; wanted numbers or text")
    if match[2].startswith("O"):
        return np.dtype(object)
    return np.dtype((order or match[1] or "=") + match[2])


def check_shape(shape: Any, dtype: np.dtype, size: int) -> tuple[int, ...]:
    """`shape` as a tuple of ints, of an array of exactly `size` bytes (or objects)."""
    whole = isinstance(shape, tuple | list) and len(shape) <= 32
    if not whole or not all(isinstance(n, int | np.integer) and n >= 0 for n in shape):
        raise ValueError(f"found an array of shape {str(shape)[:80]}; wanted sizes from 0 on")
    shape = tuple(int(side) for side in shape)
    item = 1 if dtype.hasobject else dtype.itemsize
    if math.prod(shape) * item != size or (item == 0 and math.prod(shape)):
        raise ValueError(
            f"found an array of shape {shape} and dtype {dtype} with {size} "
            f"{'objects' if dtype.hasobject else 'bytes'}; wanted {math.prod(shape) * item}"
        )
    if size == 0 and max(shape, default=0) > _EMPTY_SIDE:
        raise ValueError(f"found an array of no numbers whose shape is {shape}")
    return shape


def array_of(raw: Any, dtype: np.dtype, shape: Any, fortran: bool) -> np.ndarray:
    """A writable array in the machine's byte order."""
    shape = check_shape(shape, dtype, len(raw))
    if not dtype.itemsize:  # Texts of no letters, of which there are none.
        return np.zeros(shape, dtype)
    flat = np.frombuffer(raw, dtype=np.uint8 if dtype.kind == "b" else dtype)
    return native(flat.reshape(shape, order="F" if fortran else "C"), dtype)


def native(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A copy of what was read, in the machine's byte order, with only values that its dtype has."""
    if dtype.kind == "b":
        return np.asarray(array.view(np.uint8) != 0)
    array = array.astype(dtype.newbyteorder("="))
    if dtype.kind == "U" and array.size:
        letters = np.ascontiguousarray(array).reshape(-1).view(np.uint32)
        if letters.max() > 0x10FFFF or np.any((letters >= 0xD800) & (letters <= 0xDFFF)):
            raise ValueError("found text that is not Unicode; is the file damaged?")
    return array
