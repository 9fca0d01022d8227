"""Number arrays out of a JSON file of any size, a few megabytes at a time."""

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from diffjax.convert import parsing, row_numbers

PIECE = 8 << 20
"""Bytes read at a time; one row may not be longer than eight pieces."""


def read_columns(path: str | Path, shapes: dict[str, tuple[int | None, ...]]) -> dict[str, Any]:
    """{"a": [row, row, ...], "b": [...]}: float32 (N, *shape) of every key in `shapes`.

    Of other keys only their names come back (value None), and an empty dict of a top level list. The
    rows are parsed and made arrays piece by piece, so the memory is that of the arrays.
    """
    where = str(path)
    parts: dict[str, list[np.ndarray] | None] = {}
    for piece in _pieces(Path(path)):
        for name, rows in piece.items():
            if name not in shapes:
                parts[name] = None
            elif rows or name not in parts:
                array = row_numbers.array(rows, name, shapes[name], where)
                known = parts.setdefault(name, [])
                assert known is not None  # Only names that are not in `shapes`.
                if known and array.shape[1:] != known[0].shape[1:]:
                    raise ValueError(
                        f"{where}: field {name}: wanted rows of shape {known[0].shape[1:]}, "
                        f"found {array.shape[1:]}; export again"
                    )
                known.append(array)
    return {name: None if rows is None else np.concatenate(rows) for name, rows in parts.items()}


def _pieces(path: Path) -> Iterator[dict[str, Any]]:
    """The object, piece by piece: each holds some complete rows of one or several keys."""
    rest, level, key = b"", 0, ""
    for chunk in _chunks(path):
        data = rest + chunk
        if level == 0 and data.lstrip()[:1] == b"[":
            return  # A list has no names.
        depth = _depth(data, level)
        cuts = np.flatnonzero((np.frombuffer(data, np.uint8) == ord(",")) & (depth <= 2))
        if not len(cuts) and len(data) > 8 * PIECE:
            raise ValueError(
                f"{path}: wanted rows of numbers by name, found a value of {len(data) >> 20} MB; "
                "is it the file of another program?"
            )
        if not len(cuts):
            rest = data
            continue
        cut = int(cuts[-1])
        piece = _parse(
            _opened(level, key) + data[:cut] + ("", "}", "]}")[depth[cut]].encode(), path
        )
        yield piece
        rest, level, key = data[cut + 1 :], int(depth[cut]), next(reversed(piece), key)
    yield _parse(_opened(level, key) + rest, path)


def _opened(level: int, key: str) -> bytes:
    """What makes the text after a cut a document of its own."""
    return (b"", b"{", b"{" + parsing.needed("orjson").dumps(key) + b":[")[level]


def _depth(data: bytes, level: int) -> np.ndarray:
    """Brackets open after each byte; 99 inside of text."""
    codes = np.frombuffer(data, np.uint8)
    inside = np.bitwise_xor.accumulate(codes == ord('"'))
    folded = codes | 0x20  # '[' and '{' differ by this bit, as ']' and '}'.
    step = (folded == ord("{")).view(np.int8) - (folded == ord("}")).view(np.int8)
    depth = level + np.cumsum(step * ~inside, dtype=np.int32)
    return np.where(inside | (depth < 0), 99, depth)


def _parse(text: bytes, path: Path) -> dict[str, Any]:
    try:
        with _uncollected():
            content = parsing.needed("orjson").loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error).split(": line")[0]  # The place is that in the piece.
        raise ValueError(
            f"{path}: wanted JSON, found something else ({reason}); export again"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: wanted names with rows of numbers, found a {type(content).__name__}; "
            "is it the file of another program?"
        )
    return content


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which looks through the new lists again and again: twice as fast."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _chunks(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with (
        path.open("rb") as stream,
        _bar(path.name, size) as bar,
    ):
        while chunk := stream.read(PIECE):
            yield chunk
            bar.update(len(chunk))


def _bar(name: str, size: int) -> tqdm:
    """Over the bytes of a file; none where it is read at once, or nobody watches."""
    quick = size <= PIECE
    return tqdm(
        total=size,
        unit="B",
        unit_scale=True,
        desc=f"reading {name}",
        leave=False,
        disable=quick or None,
    )
