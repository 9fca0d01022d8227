"""Which rows of an annotation set belong together: a person in a video, or one instant seen by several cameras."""

import itertools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

Use = Literal["frames", "video", "views"]
_GAP = 5  # A track ends where frames are missing for so many times its usual step.


class Piece(NamedTuple):
    """Rows that are computed together: whole groups, or a part of a long one."""

    rows: Int[np.ndarray, " n"]
    """Places in the set."""
    group: Int[np.ndarray, " n"]
    """Which of them belong together: 0, 1, ... in the order of rows."""
    keep: Bool[np.ndarray, " n"]
    """The others are there for their neighbours' sake, and are kept in another piece."""


def tracks(
    sequence: Any, subject: Any, view: Any, frame: Int[np.ndarray, " rows"], where: str = "set"
) -> list[np.ndarray]:
    """Rows of equal sequence, subject and view in the order of frames, parted at gaps.

    A column that is None is the same for everyone. ValueError where a track has a frame twice.
    """
    frame = np.asarray(frame)
    found = []
    for rows in _equal((sequence, subject, view), len(frame)):
        rows = rows[np.argsort(frame[rows], kind="stable")]
        steps = np.diff(frame[rows])
        if (steps == 0).any():
            twice = int(rows[1:][steps == 0][0])
            raise ValueError(
                f"{where}: field frame: wanted each frame once in a track, found frame {frame[twice]} of "
                f"{_name(sequence, twice)} twice (row {twice}); give people and cameras names of their own "
                "(fields subject and view), or refine rows alone (--scorehmr.use frames)"
            )
        usual = np.median(steps) if len(steps) else 1
        found += np.split(rows, np.flatnonzero(steps > _GAP * usual) + 1)
    return sorted(found, key=lambda rows: rows.min())


def instants(
    sequence: Any, subject: Any, view: Any, frame: Any, where: str = "set"
) -> list[np.ndarray]:
    """Rows of equal sequence, subject and frame in the order of their views. ValueError where a view is there twice."""
    view = np.asarray(view)
    found = []
    for rows in _equal((sequence, subject, frame), len(view)):
        rows = rows[np.argsort(view[rows], kind="stable")]
        same = view[rows][1:] == view[rows][:-1]
        if same.any():
            twice = int(rows[1:][same][0])
            raise ValueError(
                f"{where}: field view: wanted each view once at an instant, found {str(view[twice])!r} of "
                f"{_name(sequence, twice)} twice (row {twice}); give people names of their own (field subject), "
                "or refine rows alone (--scorehmr.use frames)"
            )
        found.append(rows)
    return sorted(found, key=lambda rows: rows.min())


def _name(sequence: Any, row: int) -> str:
    return "the set" if sequence is None else f"sequence {str(sequence[row])!r}"


def _equal(columns: Sequence[Any], count: int) -> list[np.ndarray]:
    """Groups of rows that are equal in all columns."""
    code = np.zeros(count, np.int64)
    for column in columns:
        if column is not None:
            _, place = np.unique(np.asarray(column), return_inverse=True)
            _, code = np.unique(code * (place.max() + 1) + place, return_inverse=True)
    order = np.argsort(code, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(code[order])) + 1)


def pieces(groups: Sequence[np.ndarray], size: int, overlap: int = 0) -> list[Piece]:
    """Whole groups, as many as fit into `size` rows; a longer group is cut into overlapping parts."""
    found, waiting, held = [], [], 0
    for rows in groups:
        for part in _parts(rows, size, overlap):
            if held + len(part[0]) > size and waiting:
                found.append(_pack(waiting))
                waiting, held = [], 0
            waiting.append(part)
            held += len(part[0])
    return [*found, _pack(waiting)] if waiting else found


def _parts(rows: np.ndarray, size: int, overlap: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows, keep) of at most `size`; neighbours share 2 `overlap` rows, of which each keeps its own half."""
    if len(rows) <= size:
        return [(rows, np.ones(len(rows), bool))]
    if size <= 2 * overlap:
        raise ValueError(f"tracks: wanted pieces of more than {2 * overlap} rows, got {size}")
    step, last = size - 2 * overlap, len(rows) - size
    starts = [*range(0, last, step), last]
    # Of two neighbours, rows up to the middle of what they share are the first one's.
    edges = [0, *((a + size + b) // 2 for a, b in itertools.pairwise(starts)), len(rows)]
    places = np.arange(len(rows))
    return [
        (rows[s : s + size], ((places >= a) & (places < b))[s : s + size])
        for s, a, b in zip(starts, edges, edges[1:])
    ]


def _pack(parts: list[tuple[np.ndarray, np.ndarray]]) -> Piece:
    rows, keep = (np.concatenate(column) for column in zip(*parts))
    group = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    return Piece(rows, group, keep)
