"""Annotation sets larger than memory: headers say what is in them, people are read a piece at a time.

Members of an `.npz` that np.savez wrote are sliced where they lie. Compressed ones are unpacked as
a stream, which is cheap as long as reading goes forward. Arrays in Fortran order are loaded whole.
"""

import dataclasses
import functools
import hashlib
import io
import itertools
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.data import checks, records

WINDOW = 4096
"""People whose values are checked together."""
_OPEN = 64  # Streams kept open.


@dataclasses.dataclass(frozen=True)
class Source:
    """An annotation set that is not loaded."""

    name: str
    """For messages: its path, or `demo`."""
    count: int
    head: records.AnnotationSet
    """The set without its people: the fields it has, their types and the names of keypoint sets."""
    digest: str
    """Of what it holds: equal for equal files, wherever they lie."""
    read: Callable[[int, int], records.AnnotationSet]
    """(first, last) -> people first .. last - 1, whose values have not been checked."""

    def take(self, index: np.ndarray) -> records.AnnotationSet:
        """The people at `index`, in that order; runs of neighbours are read at once."""
        wanted = np.unique(index)
        cuts = np.flatnonzero(np.diff(wanted) > 1) + 1
        runs = [self.read(int(run[0]), int(run[-1]) + 1) for run in np.split(wanted, cuts)]
        return records.take(records.concatenate(runs), np.searchsorted(wanted, index))


def open_set(path: str | Path) -> Source:
    """The set in an `.npz`, or in all shards of a directory: names, shapes and counts are checked."""
    path = Path(path)
    files = records.shards_of(path) if path.is_dir() else [path]
    columns = [_columns(file) for file in files]
    texts = [str(file) for file in files]
    heads = [_head(*pair) for pair in zip(columns, texts)]
    counts = [part["pred_pose"].shape[0] for part in columns]
    return Source(
        name=str(path),
        count=sum(counts),
        head=records.concatenate(heads, texts),
        digest=_digest(files),
        read=functools.partial(_read, columns, np.cumsum([0, *counts]), _Streams()),
    )


def of_set(annotations: records.AnnotationSet, name: str) -> Source:
    """A set in memory as a source."""
    arrays = records.arrays_of(annotations)
    text = hashlib.sha256()
    for field, value in arrays.items():
        text.update(field.encode() + np.ascontiguousarray(value).tobytes())
    return Source(
        name,
        records.count(annotations),
        records.take(annotations, slice(0, 0)),
        text.hexdigest()[:16],
        lambda first, last: records.take(annotations, slice(first, last)),
    )


def survey(source: Source) -> Iterator[records.AnnotationSet]:
    """All people in windows, each checked: ValueError (where, field, wanted, found, next step)."""
    windows = -(-source.count // WINDOW)
    edges = np.linspace(0, source.count, windows + 1).astype(int)
    for first, last in itertools.pairwise(edges):
        window = source.read(int(first), int(last))
        where = source.name if not first else f"{source.name}, rows counted from {first}"
        checks.check_values(records.arrays_of(window), where)
        yield window


def pieces(path: str | Path, rows: int) -> Iterator[records.AnnotationSet]:
    """The people of a set on disk, checked, at most `rows` at a time, in bounded memory."""
    source = open_set(path)
    for first in range(0, source.count, rows):
        piece = source.read(first, min(first + rows, source.count))
        checks.check(records.arrays_of(piece), f"{source.name}, rows counted from {first}")
        yield piece


@dataclasses.dataclass(frozen=True)
class _Column:
    """One array of an `.npz`, as its header has it."""

    file: Path
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    start: int
    """Bytes of the header."""
    offset: int | None
    """Of the first number in the file; None where the member is compressed."""

    def rows(self, first: int, last: int, streams: "_Streams") -> np.ndarray:
        """Rows first .. last - 1."""
        if self.fortran and len(self.shape) > 1:
            return self.whole[first:last]
        size = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=int))
        length = size * (last - first)
        if self.offset is None:
            data = streams.read(self.file, self.member, self.start + first * size, length)
        else:
            with self.file.open("rb") as stream:
                stream.seek(self.offset + first * size)
                data = stream.read(length)
        if len(data) < length:
            raise ValueError(
                f"{self.file}: field {self.member}: wanted {length} bytes, found the end"
            )
        # A copy: what is made of bytes cannot be written to.
        return np.frombuffer(data, self.dtype).reshape(last - first, *self.shape[1:]).copy()

    @functools.cached_property
    def whole(self) -> np.ndarray:
        """The array, loaded."""
        array = unpickle.load_npz(self.file, names=[self.member], objects=False)[self.member]
        return np.asarray(array)


class _Streams:
    """Open members, each where its last read ended: to read on costs nothing."""

    def __init__(self) -> None:
        self.open: list[tuple[Path, str, Any]] = []

    def read(self, file: Path, member: str, position: int, length: int) -> bytes:
        """Bytes of a member from a position on, by the stream that is nearest before it."""
        behind = [x for x in self.open if x[:2] == (file, member) and x[2].tell() <= position]
        if behind:
            found = max(behind, key=lambda x: x[2].tell())
            self.open.remove(found)
        else:
            found = file, member, zipfile.ZipFile(file).open(f"{member}.npy")  # noqa: SIM115
        self.open.append(found)  # The last one used is the last one closed.
        for _, _, stream in self.open[:-_OPEN]:
            stream.close()
        self.open = self.open[-_OPEN:]
        found[2].seek(position)
        return found[2].read(length)


def _columns(file: Path) -> dict[str, _Column]:
    """The arrays of an `.npz` by name, from their headers; ValueError unless they are plain ones."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such annotation set; {checks.CONVERT}")
    try:
        unpickle.check_npz(file)
        with zipfile.ZipFile(file) as archive, file.open("rb") as raw:
            return {
                info.filename.removesuffix(".npy"): _column(file, archive, info, raw)
                for info in archive.infolist()
            }
    except (ValueError, zipfile.BadZipFile, EOFError, OSError, struct.error) as error:
        raise ValueError(
            f"{file}: wanted an .npz of plain arrays, found something else ({error}); {checks.CONVERT}"
        ) from error


def _column(
    file: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, raw: io.BufferedIOBase
) -> _Column:
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0
        read = read if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        start = stream.tell()
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    offset = None
    if info.compress_type == zipfile.ZIP_STORED:
        raw.seek(info.header_offset + 26)  # Where the lengths of name and extra field stand.
        offset = info.header_offset + 30 + sum(struct.unpack("<HH", raw.read(4))) + start
    member = info.filename.removesuffix(".npy")
    return _Column(file, member, shape, dtype, fortran, start, offset)


def _head(columns: dict[str, _Column], where: str) -> records.AnnotationSet:
    """The set of a file without its people, after a check of all that needs no values."""
    names = {name: columns[name] for name in checks.SETS if name in columns}
    texts: dict[str, Any] = {name: str(column.whole) for name, column in names.items()}
    # Arrays of the right shape that take no memory.
    shapes = {
        name: np.broadcast_to(np.zeros((), column.dtype), column.shape)
        for name, column in columns.items()
        if name not in names
    }
    checks.check_shapes(texts | shapes, where)
    return records.unchecked(texts | {name: array[:0] for name, array in shapes.items()})


def _digest(files: Sequence[Path]) -> str:
    """Of all members' names, sizes and checksums, which a zip keeps in its directory."""
    found = []
    for file in files:
        with zipfile.ZipFile(file) as archive:
            found.append([(i.filename, i.file_size, i.CRC) for i in archive.infolist()])
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def _read(
    columns: list[dict[str, _Column]], edges: np.ndarray, streams: _Streams, first: int, last: int
) -> records.AnnotationSet:
    """People first .. last - 1 of files whose first people are at `edges`."""
    parts, names = [], []
    for part, begin, end in zip(columns, edges[:-1], edges[1:]):
        low, high = max(first, int(begin)) - int(begin), min(last, int(end)) - int(begin)
        if low < high:
            arrays = {
                name: str(column.whole) if name in checks.SETS else column.rows(low, high, streams)
                for name, column in part.items()
            }
            parts.append(records.unchecked(arrays))
            names.append(str(part["pred_pose"].file))
    return records.concatenate(parts, names)


def join(shards: Sequence[Path], out: Path, leave_out: Sequence[str] = ()) -> None:
    """Writes shards with the same fields as one `.npz`, a shard of a field at a time in memory.

    Equal to the byte to what np.savez writes of the whole.
    """
    columns, streams = [_columns(shard) for shard in shards], _Streams()
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(temporary, "w", allowZip64=True) as archive:
            for name in columns[0]:
                if name not in leave_out:
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                        _join_field(stream, [part[name] for part in columns], streams)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)


def _join_field(stream: io.BufferedIOBase, columns: list[_Column], streams: _Streams) -> None:
    if not columns[0].shape:
        return np.lib.format.write_array(stream, columns[0].whole, allow_pickle=False)
    dtype = np.result_type(*(column.dtype for column in columns))
    rows = sum(column.shape[0] for column in columns)
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (rows, *columns[0].shape[1:]),
    }
    np.lib.format.write_array_header_1_0(stream, header)
    for column in columns:
        stream.write(column.rows(0, column.shape[0], streams).astype(dtype).tobytes())
    return None
