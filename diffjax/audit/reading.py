"""Reads a set from its first row to its last and measures it: a piece at a time, however large it is."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import annotate, chunks, devices, draw_people, progress, skeleton
from diffjax.audit import measures, of_rows, of_tracks
from diffjax.audit.reasons import REASONS, Numbers
from diffjax.data import checks, records, shards

PIECE = 4096
"""Rows that are in memory at once."""
_COLUMNS = ("sequence", "subject", "view", "frame")


class Joints(NamedTuple):
    """Posed joints of every row, pelvis on pelvis, in a scratch file."""

    points: np.ndarray
    """(rows, 24, 3) metres, camera axes; a memory map."""


@contextlib.contextmanager
def scratch(folder: Path, name: str, rows: int) -> Iterator[Joints]:
    """Room for the joints of so many rows, on disk, gone afterwards."""
    file = folder / f".{name}.part"
    try:
        yield Joints(np.memmap(file, np.float32, "w+", shape=(rows, 24, 3)))
    finally:
        file.unlink(missing_ok=True)


def measure(kit: draw_people.Kit, joints: Joints, label: str, far_apart: float) -> Numbers:
    """All numbers of a set but those that compare two; fills `joints`."""
    missing = _missing(kit)
    parts, columns, notes = [], [], []
    with progress.over(kit.source.count, label) as bar:
        for first, piece in _pieces(kit.source):
            notes += _refusal(kit.source.name, first, piece) if not notes else []
            found = _of_rows(kit, piece, label, bar)
            posed = found.pop("_joints")
            joints.points[first : first + len(posed)] = posed
            parts.append(_reduced(found))
            columns.append({name: getattr(piece, name) for name in (*_COLUMNS, "image")})
    whole = {name: np.concatenate([p[name] for p in parts]) for name in parts[0] if name[0] != "_"}
    known = {name: _column([c[name] for c in columns]) for name in columns[0]}
    numbers = _numbers(kit, parts, whole, known, missing, tuple(notes))
    return of_tracks.with_tracks(numbers, joints.points, far_apart, kit.source.name)


def _pieces(source: shards.Source) -> Iterator[tuple[int, records.AnnotationSet]]:
    starts = range(0, source.count, PIECE)

    def read(first: int) -> records.AnnotationSet:
        try:
            return source.read(first, min(first + PIECE, source.count))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{source.name}: {error}; {checks.CONVERT}") from error

    yield from zip(starts, chunks.ahead(read, starts))


def _refusal(name: str, first: int, piece: records.AnnotationSet) -> list[str]:
    """Why other scripts will not take the set, if they will not."""
    where = f"{Path(name).name}, rows counted from {first}" if first else Path(name).name
    try:
        with np.errstate(over="ignore"):
            checks.check_values(records.arrays_of(piece), where)
    except ValueError as error:
        return [f"refine.py would refuse this set. {error}"]
    return []


def _column(parts: list[Any]) -> np.ndarray | None:
    return None if parts[0] is None else np.concatenate(parts)


def _missing(kit: draw_people.Kit) -> dict[str, str]:
    """Reasons that the fields of a set do not allow, each with what is lacking."""
    head, found = kit.source.head, {}
    eye = head.focal_px is not None and head.center_px is not None
    if kit.kind is None:
        no_points = "the set has no 2D keypoints"
    elif kit.keypoints is None:
        no_points = "the body's file has no regressor for these keypoints"
    else:
        no_points = "" if eye else "the set has no camera (focal_px, center_px)"
    nowhere = "" if head.pred_cam_t is not None else "the set has no translations (pred_cam_t)"
    lacking = {
        "unseen": "" if kit.kind else no_points,
        "reprojection": no_points,
        "swapped_keypoints": no_points,
        **({"worse": no_points} if kit.before else {}),
        "misplaced": nowhere or no_points,
        "behind_camera": nowhere,
        "outside_image": nowhere
        or (
            ""
            if eye and head.image_size_px is not None
            else "the set has no image_size_px, focal_px or center_px"
        ),
    }
    found |= {name: why for name, why in lacking.items() if why}
    absent = [name for name in ("sequence", "frame") if getattr(head, name) is None]
    if absent:
        why = f"the set has no field {' and no field '.join(absent)}"
        found |= dict.fromkeys(of_tracks.REASONS, why)
    return found


def _of_rows(kit, piece, label, bar) -> dict[str, np.ndarray]:
    """Numbers of the rows of a piece; NaN in those that are not finite."""
    batch, bad = _batch(kit, piece)
    names = skeleton.SMPL24
    if kit.kind is not None:
        names = skeleton.keypoint_set(getattr(piece, f"{annotate.FIELD_OF[kit.kind]}_set"))
    found, _ = chunks.in_chunks(
        of_rows.numbers, batch, kit.model, kit.keypoints, measures.sides_of(names),
        size=devices.rows_at_once(), label=label, bar=bar,
    )  # fmt: skip
    found = {name: np.array(value) for name, value in found.items()}
    for name, value in found.items():
        if name.endswith("_at"):
            value[bad > 0] = -1
        else:
            value[bad > 0] = np.nan
    return found | {"not_finite": bad.astype(np.float32)}


def _batch(kit, piece) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What the numbers are made of, finite everywhere; and how many numbers of each row were not."""
    given = {"pose": piece.pred_pose, "betas": piece.pred_betas}
    given |= {} if piece.pred_cam_t is None else {"place": piece.pred_cam_t}
    if kit.kind is not None:
        given["keypoints"] = getattr(piece, annotate.FIELD_OF[kit.kind])
    eye = ("focal_px", "center_px", "image_size_px")
    given |= {k: getattr(piece, k) for k in eye if getattr(piece, k) is not None}
    flat = [np.isfinite(x).reshape(len(x), -1) for x in given.values()]
    bad = sum(np.logical_not(x).sum(-1) for x in flat)
    clean = {name: np.nan_to_num(x, nan=0, posinf=0, neginf=0) for name, x in given.items()}
    return clean, np.asarray(bad)


def _reduced(found: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of joints and keypoints only sums are kept: _sum_NAME and _count_NAME."""
    kept: dict[str, Any] = {}
    for name, value in found.items():
        if name in ("_limit_deg", "_apart_px"):
            kept[f"_sum{name}"] = np.nansum(value, 0, dtype=np.float64)
            kept[f"_count{name}"] = np.isfinite(value).sum(0)
            kept[f"_some{name}"] = (np.nan_to_num(value) > 0).sum(0)
        else:
            kept[name.lstrip("_") if name == "_limbs" else name] = value
    return kept


def _numbers(kit, parts, whole, known, missing, notes) -> Numbers:
    count = kit.source.count
    limits = sum(p["_some_limit_deg"] for p in parts) / max(count, 1)
    names, apart = (), np.zeros(0)
    if "_sum_apart_px" in parts[0]:
        names = skeleton.keypoint_set(
            getattr(kit.source.head, f"{annotate.FIELD_OF[kit.kind]}_set")
        )
        total, seen = (sum(p[f"_{x}_apart_px"] for p in parts) for x in ("sum", "count"))
        apart = np.where(seen > 0, total / np.maximum(seen, 1), np.nan)
    return Numbers(
        values={name: whole[name] for name in REASONS if name in whole},
        more={name: x for name, x in whole.items() if name not in REASONS},
        image=known.pop("image"),
        columns=known,
        track=np.full(count, -1),
        keypoints=names,
        by_keypoint_px=apart,
        by_joint={"beyond_limit": limits},
        missing=missing,
        notes=notes,
    )


def compared(
    kit: draw_people.Kit, before: Joints, after: Joints, first: Numbers, second: Numbers
) -> Numbers:
    """The second numbers with what changed since the first: the same people, before they were refined."""
    _check_same(kit, first, second)
    moved, place = (
        np.full(kit.source.count, x, d) for x, d in ((np.nan, np.float32), (-1, np.int8))
    )
    total, known = np.zeros(24), 0
    for start in range(0, len(moved), PIECE):
        rows = slice(start, min(start + PIECE, len(moved)))
        apart = 1e3 * np.linalg.norm(after.points[rows] - before.points[rows], axis=-1)
        good = np.isfinite(apart).all(-1)
        moved[rows] = np.where(good, apart.max(-1), np.nan)
        place[rows] = np.where(good, np.nan_to_num(apart).argmax(-1), -1)
        total, known = total + apart[good].sum(0, dtype=np.float64), known + int(good.sum())
    values = second.values | {"moved": moved}
    if "reprojection" in first.values and "reprojection" in values:
        values["worse"] = values["reprojection"] - first.values["reprojection"]
    more, by_joint = second.more | {"moved_at": place}, dict(second.by_joint)
    by_joint["moved"] = total / max(known, 1)
    return second._replace(values=values, more=more, by_joint=by_joint)


def _check_same(kit: draw_people.Kit, first: Numbers, second: Numbers) -> None:
    name = kit.before.name if kit.before else ""
    for field, column in first.columns.items():
        other = second.columns[field]
        if column is not None and other is not None and not np.array_equal(column, other):
            row = int(np.argmax(column != other))
            raise ValueError(
                f"{name}: field {field}: wanted at row {row} what {kit.source.name} has ({other[row]}), found "
                f"{column[row]}; name the set that refine.py was given"
            )
