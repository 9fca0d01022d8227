"""The people of an annotation set as tracks: one person through one video, in the order of frames."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from diffjax.convert import writing
from diffjax.data import records


class Track(NamedTuple):
    """Numbers of one track as motion formats want them; axis-angle in float64."""

    name: str
    """Sequence and subject, safe as a file name."""
    rows: np.ndarray
    """The people of the set, in the order of frames."""
    poses: np.ndarray
    """(frames, 24, 3)"""
    betas: np.ndarray
    """(10,): of all frames where they agree, else their mean."""
    translation: np.ndarray | None
    """(frames, 3) metres, camera frame."""
    gender: str
    frames: np.ndarray | None
    """Frame numbers, ascending; frames without the person are absent."""


def tracks(
    annotations: records.AnnotationSet,
    which: writing.Which,
    where: str = "annotations",
    say: Callable[[str], None] = print,
) -> list[Track]:
    """All tracks in the order of their first row.

    People of one sequence and one subject are a track; where neither is known, all rows are one.
    Two people in one frame of a track are refused, changing betas and gaps are said aloud.
    """
    try:
        rotations, betas, translation = writing.chosen(annotations, which)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    poses = writing.axis_angle(rotations)
    found = [
        Track(
            name=name,
            rows=rows,
            poses=poses[rows],
            betas=_one_body(betas[rows]),
            translation=None if translation is None else translation[rows].astype(np.float64),
            gender=_gender(annotations, which, rows, name, where),
            frames=None if annotations.frame is None else annotations.frame[rows],
        )
        for name, rows in _rows(annotations, where)
    ]
    if annotations.sequence is None and annotations.subject is None:
        say(f"{where}: no field sequence or subject, so all rows are taken as one track")
    _say(found, betas, say)
    return found


def turned(
    rotations: np.ndarray, translation: np.ndarray, turn: np.ndarray, pelvis: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Root rotations (n, 3, 3) and translations (n, 3) of bodies that are turned about the origin.

    A body is R (x - J) + J + t for its rest pelvis J; turned by Q it has Q R, and Q (J + t) - J for t.
    """
    return turn @ rotations, (translation + pelvis) @ turn.T - pelvis


def _rows(annotations: records.AnnotationSet, where: str) -> list[tuple[str, np.ndarray]]:
    count = records.count(annotations)
    names = [x for x in (annotations.sequence, annotations.subject) if x is not None]
    keys = list(zip(*names)) if names else [("track",)] * count
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    ordered = [_ordered(annotations, rows, key, where) for key, rows in groups.items()]
    return list(zip(_file_names(list(groups)), ordered))


def _file_names(keys: list[tuple[str, ...]]) -> list[str]:
    """A safe name of its own for each key, also where file systems do not tell case apart."""
    names: dict[str, str] = {}
    for key in keys:
        name = plain = "_".join(writing.safe_name(part) for part in key)
        number = 2
        while name.lower() in names:
            name, number = f"{plain}-{number}", number + 1
        names[name.lower()] = name
    return list(names.values())


def _ordered(
    annotations: records.AnnotationSet, rows: list[int], key: tuple[str, ...], where: str
) -> np.ndarray:
    index = np.array(rows)
    if annotations.frame is None:
        return index
    frames = annotations.frame[index]
    index, frames = index[np.argsort(frames, kind="stable")], np.sort(frames)
    twice = np.flatnonzero(np.diff(frames) == 0)
    if len(twice):
        raise ValueError(
            f"{where}: field subject: wanted one person a frame in track {' '.join(key)[:80]!r}, found "
            f"several in frame {frames[twice[0]]}; number the people in the field subject"
        )
    return index


def _one_body(betas: np.ndarray) -> np.ndarray:
    """Exactly the betas where all frames have the same."""
    same = (betas == betas[0]).all()
    return betas[0].astype(np.float64) if same else betas.astype(np.float64).mean(0)


def _gender(
    annotations: records.AnnotationSet,
    which: writing.Which,
    rows: np.ndarray,
    name: str,
    where: str,
) -> str:
    """Estimates are of the neutral body; the truth of the body it was made with."""
    if which == "estimate" or annotations.gender is None:
        return "neutral"
    genders = sorted(set(annotations.gender[rows].tolist()))
    if len(genders) > 1:
        raise ValueError(
            f"{where}: field gender: wanted one body in track {name!r}, found {', '.join(genders)}; "
            "tell the people apart in the field subject"
        )
    return genders[0]


def _say(found: list[Track], betas: np.ndarray, say: Callable[[str], None]) -> None:
    spread = max(float(np.abs(betas[track.rows] - track.betas).max()) for track in found)
    if spread > 1e-6:
        say(f"betas change within a track by up to {spread:.2g}; their mean was written")
    gaps = sum(
        int((np.diff(t.frames) > _step(t.frames)).sum()) for t in found if t.frames is not None
    )
    if gaps:
        say(
            f"{gaps} gaps in frame numbers; motion formats have no place for them, frames were joined"
        )


def _step(frames: np.ndarray) -> int:
    """The usual distance of frames: 1, or more where a set has every n-th."""
    return int(np.diff(frames).min()) if len(frames) > 1 else 1
