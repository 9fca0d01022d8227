"""MATLAB v5 files: arrays of numbers and cells of them, and nothing else.

A reader of our own, because SciPy's crashes on damaged files. The format: MathWorks, "MAT-File Format".
A file is a header and elements; an element is a type, a length and bytes; a matrix is an element whose
bytes are elements: flags, dimensions, name, then the numbers or, in a cell, matrices.
"""

import itertools
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax.unpickle import stream as streams

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_CELL, _COMPLEX = 1, 0x0800
_NUMERIC_CLASSES = range(6, 16)
_LARGEST = 1 << 29  # Bytes of one variable, decompressed. The data set's largest has 120 MB.
_LARGEST_FILE = 1 << 31
_PEEK = 512  # Bytes that hold flags, dimensions and name.


class _Element(NamedTuple):
    kind: int
    data: memoryview


class _Head(NamedTuple):
    """What a matrix says before its content."""

    name: str
    kind: int
    flags: int
    shape: tuple[int, ...]


def load(path: str | Path, names: Sequence[str]) -> dict[str, Any]:
    """Variables by name: an array, or an array of objects for a cell; others are not even decompressed."""
    data = memoryview(streams.packed_bytes(path, _LARGEST_FILE))
    try:
        return _variables(data, names)
    except (ValueError, struct.error, zlib.error) as error:
        raise ValueError(
            f"{path}: wanted a MATLAB v5 file, found {error}; get the file again"
        ) from error


def _variables(data: memoryview, names: Sequence[str]) -> dict[str, Any]:
    if len(data) < _HEADER or bytes(data[126:128]) not in (b"IM", b"MI"):
        raise ValueError("another kind of file")
    order = "<" if bytes(data[126:128]) == b"IM" else ">"
    found = {}
    for element in _elements(data[_HEADER:], order, cut=True):
        packed = element.kind == _COMPRESSED
        inside = _unpacked(element.data, _PEEK, order) if packed else element.data
        if inside is None:
            continue
        head = _head(inside, order)
        if head.name in names and head.name not in found:
            whole = _unpacked(element.data, _LARGEST, order) if packed else inside
            found[head.name] = _matrix(whole or inside, order)
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(
            f"no {', '.join(missing)} (only {', '.join(found) or 'none'} of what is needed)"
        )
    return found


def _elements(data: memoryview, order: str, cut: bool = False) -> Iterator[_Element]:
    """The elements of a stretch of bytes; with `cut`, what is at its end may be missing."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        small = kind >> 16
        if small:  # Both in four bytes, and at most four of data.
            kind, size, start, after = kind & 0xFFFF, small, at + 4, at + 8
        else:
            start, after = at + 8, at + 8 + size
            if kind != _COMPRESSED:
                after += -size % 8
        if start + size > len(data) and not cut:
            raise ValueError("an element that is longer than the file")
        yield _Element(kind, data[start : start + size])
        at = after


def _unpacked(data: memoryview, most: int, order: str) -> memoryview | None:
    """The first `most` bytes of a compressed matrix; None where it is no matrix."""
    stream = zlib.decompressobj()
    tag = stream.decompress(data, 8)
    kind, size = struct.unpack(f"{order}II", tag)
    if kind != _MATRIX:
        return None
    if size > _LARGEST:
        raise ValueError(f"a variable of {size} bytes")
    return memoryview(stream.decompress(stream.unconsumed_tail, max(1, min(size, most))))


def _head(data: memoryview, order: str) -> _Head:
    parts = list(itertools.islice(_elements(data, order, cut=True), 3))
    if len(parts) < 3:
        raise ValueError("a variable that is cut short")
    flags, sizes, name = parts
    word = int(_array(flags, order).ravel()[0]) if len(flags.data) else 0
    shape = tuple(_array(sizes, order).tolist())
    if not 2 <= len(shape) <= 4 or min(shape) < 0 or math.prod(shape) > _LARGEST:
        raise ValueError(f"a variable of shape {shape}")
    return _Head(bytes(name.data[:64]).decode("latin1"), word & 0xFF, word, shape)


def _matrix(data: memoryview, order: str, within: bool = False) -> np.ndarray:
    """The content of a matrix: numbers, or the matrices of a cell."""
    head, parts = _head(data, order), list(_elements(data, order))[3:]
    if head.kind in _NUMERIC_CLASSES and not head.flags & _COMPLEX:
        numbers = _array(parts[0], order) if parts else np.zeros(0)
        return numbers.reshape(head.shape, order="F")
    if head.kind != _CELL or within:
        raise ValueError(f"a variable {head.name!r} of class {head.kind}, wanted numbers or a cell")
    entries = [part for part in parts if part.kind == _MATRIX]
    cell = np.empty(len(entries), object)
    for place, entry in enumerate(entries):
        cell[place] = _matrix(entry.data, order, within=True)
    return cell.reshape(head.shape, order="F")


def _array(element: _Element, order: str) -> np.ndarray:
    """The numbers of an element, in the smallest type that MATLAB found to hold them."""
    if element.kind not in _NUMBERS:
        raise ValueError(f"an element of type {element.kind}, wanted numbers")
    kind = np.dtype(order + _NUMBERS[element.kind])
    if len(element.data) % kind.itemsize:
        raise ValueError("an element that ends within a number")
    return np.frombuffer(element.data, kind)
