"""Arrays in NumPy's own format, whose header is believed only where it fits the bytes that follow."""

import io
import math
import re
from typing import Any, NamedTuple

import numpy as np

from diffjax.unpickle import arrays, bounds, finishing, operations

_LONGEST_HEADER = 10_000
_CHUNK = 1 << 24
_HEADER = re.compile(
    r"\s*\{\s*'descr'\s*:\s*'(?P<code>[^']*)'\s*,\s*'fortran_order'\s*:\s*(?P<fortran>True|False)"
    r"\s*,\s*'shape'\s*:\s*\((?P<shape>[\dL, ]*)\)\s*,?\s*\}\s*"
)


class Header(NamedTuple):
    """What an array says of itself."""

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    """Columns are stored first."""
    start: int
    """Bytes before the numbers."""


def read_header(stream: io.BufferedIOBase, size: int, objects: bool = True) -> Header:
    """The header at the start of `stream`, which holds `size` bytes in all; ValueError unless it fits.

    Without `objects` an array of objects does not.
    """
    start = _exactly(stream, 8)
    if start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise ValueError(f"wanted an array of NumPy, found other bytes ({bounds.shown(start)})")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(_exactly(stream, width), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"the array's header has {length} bytes; wanted at most {_LONGEST_HEADER}")
    text = _exactly(stream, length).decode("latin1")
    match = _HEADER.fullmatch(text)
    if match is None:
        raise ValueError(
            f"wanted an array of numbers or text, found one described as {bounds.shown(text.strip())}"
        )
    dtype, shape = arrays.dtype_of(match["code"]), _shape(match["shape"])
    header = Header(dtype, shape, match["fortran"] == "True", 8 + width + length)
    if not dtype.hasobject:
        arrays.check_shape(shape, dtype, size - header.start)
    elif not objects:
        raise ValueError("wanted numbers or text, found an array of objects")
    elif len(shape) > 32 or math.prod(shape) > size:
        raise ValueError(
            f"found an array of objects of shape {bounds.shown(shape)} in {size} bytes"
        )
    return header


def _shape(text: str) -> tuple[int, ...]:
    sides = [side.strip().removesuffix("L") for side in text.split(",") if side.strip()]
    if len(sides) > 32 or not all(re.fullmatch(r"\d{1,18}", side) for side in sides):
        raise ValueError(f"found an array of shape ({bounds.shown(text)})")
    return tuple(int(side) for side in sides)


def read_array(stream: io.BufferedIOBase, size: int, packed: int, objects: bool = True) -> Any:
    """The array in `stream` of `size` bytes (`packed` on disk); one without axes comes as its item."""
    header = read_header(stream, size, objects)
    if header.dtype.hasobject:
        array = _objects(_exactly(stream, size - header.start), header, packed)
    else:
        array = _numbers(stream, size - header.start, header)
    return array.item() if array.ndim == 0 else array


def _numbers(stream: io.BufferedIOBase, size: int, header: Header) -> np.ndarray:
    raw = np.empty(size, np.uint8)
    view, position = memoryview(raw), 0
    while position < size:
        piece = stream.read(min(_CHUNK, size - position))
        if not piece:
            raise ValueError(
                f"wanted {size} bytes of numbers, found {position}; is the file whole?"
            )
        view[position : position + len(piece)] = piece
        position += len(piece)
    if stream.read(1):  # This also makes zipfile compare the checksum.
        raise ValueError(f"wanted {size} bytes of numbers, found more; is the file damaged?")
    if not size:
        return np.zeros(header.shape, header.dtype.newbyteorder("="))
    order = "F" if header.fortran else "C"
    return arrays.native(raw.view(header.dtype).reshape(header.shape, order=order), header.dtype)


def _objects(pickled: bytes, header: Header, packed: int) -> np.ndarray:
    array = finishing.finish(operations.run(pickled, packed), packed)
    if not isinstance(array, np.ndarray) or array.shape != header.shape:
        raise ValueError(
            f"wanted objects of shape {header.shape}, found {getattr(array, 'shape', 'none')}"
        )
    return array


def _exactly(stream: io.BufferedIOBase, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError(f"wanted {size} more bytes, found {len(data)}; is the file complete?")
    return data


def read_bytes(data: bytes) -> Any:
    """The array in the bytes of a `.npy` file."""
    return read_array(io.BytesIO(data), len(data), len(data))
