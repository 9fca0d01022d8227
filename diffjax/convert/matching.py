"""Which person of one file is which person of another: by row, by frame, or by box."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from diffjax.convert import overlap

By = Literal["auto", "row", "frame", "box"]
Fields = overlap.Fields

_IDENTITY = ("image", "sequence", "frame", "subject", "bbox_px")
_AGREE = 0.3  # Least overlap of boxes that prove a row.
_SAMPLE = 500  # People whose boxes are looked at for corners.
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class Match(NamedTuple):
    """Rows that belong together, one to one."""

    rows: np.ndarray
    """Of the first file, ascending."""
    others: np.ndarray
    """Of the second file."""
    how: str
    iou: np.ndarray
    """Of the boxes of each pair; NaN where a box is unknown."""


def matches(one: Fields, two: Fields, by: By, min_iou: float, where: str) -> Iterator[Match]:
    """Every way the fields allow, the strongest first; `where` names the second file.

    Keys are used where they are unique on both sides; rows, unless they are asked for, only where names
    or boxes of every row agree, or where neither file knows anything of whose rows they are.
    """
    found = False
    for how, ids in _keys(one, two) if by in ("auto", "frame") else ():
        if all(len(np.unique(side)) == len(side) for side in ids):
            found = True
            _, rows, others = np.intersect1d(*ids, return_indices=True)
            yield _match(one, two, rows, others, how)
    if by in ("auto", "box") and _has_boxes(one, two):
        for how, ids in _places(one, two):
            found = True
            yield _by_box(
                one, two, overlap.image_pairs(ids[0], ids[1], where), min_iou, f"by box, {how}"
            )
            break
    if by == "auto" and not found:
        for _, ids in _images(one, two):
            if all(len(np.unique(side)) == len(side) for side in ids):
                _, rows, others = np.intersect1d(*ids, return_indices=True)
                yield _match(one, two, rows, others, "by image")
    rows = np.arange(overlap.count(one))
    same = len(rows) == overlap.count(two)
    if same and (by == "row" or (by == "auto" and _in_order(one, two, min_iou))):
        yield _match(one, two, rows, rows, "by row")


def identity(fields: Fields) -> list[str]:
    """The fields that tell whose rows these are."""
    return [name for name in _IDENTITY if name in fields]


def _in_order(one: Fields, two: Fields, min_iou: float) -> bool:
    """Whether rows are proven to be of the same people, or nothing is known of either file's."""
    if not identity(one) and not identity(two):
        return True
    named = any(name in one and name in two for name in ("image", "frame"))
    if named and (other_places(one, two) or not any(True for _ in _places(one, two))):
        return False
    if not _has_boxes(one, two):
        return named
    shared = overlap.iou(*overlap.alike(one, two))
    return bool((shared >= max(min_iou, _AGREE)).mean() > 0.5)


def corner_side(one: Fields, two: Fields, where: str) -> tuple[int, float, float] | None:
    """Which file's `bbox_px` (0 or 1) fits the other's people better as corners x1 y1 x2 y2.

    With the median of the best IoU of each person, as boxes are and as corners.
    """
    if not _has_boxes(one, two):
        return None
    pairs = _neighbours(one, two, where)
    as_is = _median_best(one, two, pairs)
    for side, (first, second) in enumerate(
        ((overlap.from_corners(one), two), (one, overlap.from_corners(two)))
    ):
        if first is not None and second is not None:
            other = _median_best(first, second, pairs)
            if other >= 0.5 and other > as_is + 0.2:
                return side, as_is, other
    return None


def _neighbours(one: Fields, two: Fields, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of some people of the first file and all of the second that may be the same."""
    people = overlap.count(one)
    some = np.unique(np.linspace(0, people - 1, min(people, _SAMPLE)).astype(int))
    for _, (first, second) in _places(one, two):
        rows, others = overlap.image_pairs(first[some], second, where)
        return some[rows], others
    return (some, some) if people == overlap.count(two) else (some[:0], some[:0])


def _median_best(one: Fields, two: Fields, pairs: tuple[np.ndarray, np.ndarray]) -> float:
    first, second = overlap.alike(one, two)
    shared = overlap.iou(first[pairs[0]], second[pairs[1]])
    known = np.isfinite(shared)
    best = np.full(len(first), -1.0)
    np.maximum.at(best, pairs[0][known], shared[known])
    return float(np.median(best[best >= 0])) if (best >= 0).any() else 0.0


def other_places(one: Fields, two: Fields) -> int:
    """Of files with equal counts: rows whose image or frame is another one in the second file."""
    for _, (first, second) in _places(one, two):
        return int((first != second).sum())
    return 0


def _match(one: Fields, two: Fields, rows: np.ndarray, others: np.ndarray, how: str) -> Match:
    order = np.argsort(rows, kind="stable")
    rows, others = rows[order], others[order]
    first, second = overlap.alike(one, two)
    return Match(rows, others, how, overlap.iou(first[rows], second[others]))


def _by_box(one: Fields, two: Fields, pairs: Any, min_iou: float, how: str) -> Match:
    rows, others = pairs
    first, second = overlap.alike(one, two)
    shared = overlap.iou(first[rows], second[others])
    good = np.flatnonzero(shared >= min_iou)
    best = good[np.argsort(-shared[good], kind="stable")]
    rows, others = _one_to_one(rows[best], others[best])
    return _match(one, two, rows, others, how)


def _one_to_one(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Greedy from the first pair down. A pair that is the first of both its people is taken at once."""
    taken = [(rows[:0], others[:0])]
    while len(rows):
        first = np.zeros((2, len(rows)), bool)
        for mark, side in zip(first, (rows, others)):
            mark[np.unique(side, return_index=True)[1]] = True
        take = first.all(0)
        taken.append((rows[take], others[take]))
        left = ~np.isin(rows, rows[take]) & ~np.isin(others, others[take])
        rows, others = rows[left], others[left]
    return np.concatenate([a for a, _ in taken]), np.concatenate([b for _, b in taken])


def _has_boxes(one: Fields, two: Fields) -> bool:
    return all(np.isfinite(overlap.boxes(side)).any() for side in (one, two))


def _ids(*columns: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """One number for each distinct row of the columns, over both files."""
    codes = [np.unique(np.concatenate(pair), return_inverse=True)[1].ravel() for pair in columns]
    ids = np.unique(np.stack(codes, -1), axis=0, return_inverse=True)[1].ravel()
    return ids[: len(columns[0][0])], ids[len(columns[0][0]) :]


def _keys(one: Fields, two: Fields) -> Iterator[tuple[str, Any]]:
    for how, columns in _frames(one, two):
        if "subject" in one and "subject" in two:
            yield f"{how} and subject", _ids(*columns, (one["subject"], two["subject"]))
        yield how, _ids(*columns)


def _frames(one: Fields, two: Fields) -> Iterator[tuple[str, list[Any]]]:
    """(sequence, frame); frame alone where both files are of one sequence, whatever its name.

    And the view, where both files know several cameras.
    """
    if "frame" not in one or "frame" not in two:
        return
    frame = [(one["frame"], two["frame"])]
    views = "view" in one and "view" in two
    frame += [(one["view"], two["view"])] if views else []
    also = ", view" if views else ""
    names = [np.unique(side["sequence"]) if "sequence" in side else [""] for side in (one, two)]
    if all(len(side) == 1 for side in names):
        yield f"by frame{also} of the one sequence", frame
    elif "sequence" in one and "sequence" in two:
        yield f"by sequence, frame{also}", [(one["sequence"], two["sequence"]), *frame]


def _places(one: Fields, two: Fields) -> Iterator[tuple[str, Any]]:
    """What says that two people are seen in the same picture."""
    yield from _images(one, two)
    for how, columns in _frames(one, two):
        yield how, _ids(*columns)


def _images(one: Fields, two: Fields) -> Iterator[tuple[str, Any]]:
    """By the tail of the paths that most have in common and that is unique; endings such as .jpg aside."""
    if "image" not in one or "image" not in two:
        return
    sides = [np.unique(side["image"], return_inverse=True) for side in (one, two)]
    parts = [[_parts(path) for path in paths.tolist()] for paths, _ in sides]
    best, chosen = 0, None
    for depth in range(min(len(path) for side in parts for path in side), 0, -1):
        tails = [["/".join(path[-depth:]) for path in side] for side in parts]
        whole = [len({tuple(path) for path in side}) for side in parts]
        common = len(set(tails[0]) & set(tails[1]))
        if common > best and [len(set(side)) for side in tails] == whole:
            best, chosen = common, tails
    if chosen is not None:
        names = [np.array(t, np.str_)[index.ravel()] for t, (_, index) in zip(chosen, sides)]
        yield "image by name", _ids((names[0], names[1]))


def _parts(path: str) -> list[str]:
    parts = path.replace("\\", "/").strip("/").split("/")
    for suffix in _SUFFIXES:
        if parts[-1].lower().endswith(suffix):
            parts[-1] = parts[-1][: -len(suffix)]
    return parts
