"""What a row says beside its neighbours: tracks are found, and measured a piece at a time."""

import jax.numpy as jnp
import numpy as np

from diffjax import tracks
from diffjax.audit import in_time
from diffjax.audit.reasons import Numbers

REASONS = ("limb_length", "jump", "shake", "swapped_in_time", "frozen", "frame_twice")
"""Those that need tracks."""
_PIECE = 4096
_TWICE = 0.2
"""Share of rows whose frame their track has already: beyond it, tracks are not told apart."""


def with_tracks(numbers: Numbers, points: np.ndarray, far_apart: float, where: str) -> Numbers:
    """The numbers with those of tracks; `points` are the joints of every row, pelvis on pelvis."""
    more = dict(numbers.more)
    limbs = more.pop("limbs")
    numbers = numbers._replace(more=more)
    frame = numbers.columns["frame"]
    if "jump" in numbers.missing or frame is None:
        return numbers
    twice = _twice(numbers.columns)
    if (twice > 0).mean() > _TWICE:
        why = (
            f"{(twice > 0).mean():.0%} of the rows have a frame that their track has already: give people and "
            "cameras names of their own (fields subject and view)"
        )
        return numbers._replace(missing=numbers.missing | dict.fromkeys(REASONS, why))
    groups = _tracks(numbers, twice, where)
    track = np.full(len(frame), -1)
    for number, rows in enumerate(groups):
        track[rows] = number
    length, place = _drift(limbs, groups)
    moving = _moving(points, groups, len(frame))
    sparse = [rows for rows in groups if _median(moving["step"][rows]) > far_apart]
    for rows in sparse:
        for name in ("jump", "shake", "flip"):
            moving[name][rows] = np.nan
    values = numbers.values | {
        "limb_length": length,
        "jump": moving["jump"],
        "shake": moving["shake"],
        "swapped_in_time": moving["flip"],
        "frozen": moving["step"],
        "frame_twice": twice.astype(np.float32),
    }
    more |= {"limb_length_at": place}
    notes = (*numbers.notes, *_said_of(sparse, groups, far_apart))
    return numbers._replace(values=values, more=more, track=track, notes=notes)


def _median(x: np.ndarray) -> float:
    x = x[np.isfinite(x)]
    return float(np.median(x)) if len(x) else 0.0


def _said_of(
    sparse: list[np.ndarray], groups: list[np.ndarray], far_apart: float
) -> tuple[str, ...]:
    if not sparse:
        return ()
    rows = sum(len(x) for x in sparse)
    return (
        f"In {len(sparse)} of {len(groups)} tracks ({rows} rows) frames are too far apart in time, or have nothing to "
        f"do with each other (joints move by more than {far_apart:.0f} mm a frame): no look for jumps, shaking and "
        "exchanged sides.",
    )


def _twice(columns: dict[str, np.ndarray | None]) -> np.ndarray:
    """How many earlier rows have the same sequence, subject, view and frame."""
    known = [x for x in columns.values() if x is not None]
    codes = np.stack([np.unique(x, return_inverse=True)[1].ravel() for x in known])
    order = np.lexsort(codes)  # Stable: equal rows stay in their order.
    new = np.concatenate([[True], (np.diff(codes[:, order]) != 0).any(0)])
    place = np.arange(len(order))
    earlier = np.zeros(len(order), int)
    earlier[order] = place - np.maximum.accumulate(np.where(new, place, 0))
    return earlier


def _tracks(numbers: Numbers, twice: np.ndarray, where: str) -> list[np.ndarray]:
    """Rows of every track that are finite and there once."""
    good = np.flatnonzero((twice == 0) & (numbers.values["not_finite"] == 0))
    if not len(good):
        return []
    taken = (None if x is None else x[good] for x in numbers.columns.values())
    return [good[rows] for rows in tracks.tracks(*taken, where=where)]


def _drift(limbs: np.ndarray, groups: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    share, place = np.full(len(limbs), np.nan, np.float32), np.full(len(limbs), -1, np.int8)
    for rows in groups:
        found = in_time.drift(limbs[rows])
        share[rows], place[rows] = found.max(-1), found.argmax(-1)
    return share, place


def _moving(points: np.ndarray, groups: list[np.ndarray], count: int) -> dict[str, np.ndarray]:
    """`in_time.numbers` of all tracks, a piece of them at a time with neighbours on both sides."""
    found = {name: np.full(count, np.nan, np.float32) for name in ("jump", "shake", "flip", "step")}
    order = np.concatenate([*groups, np.zeros(0, int)]).astype(int)
    ids = np.repeat(np.arange(len(groups)), [len(rows) for rows in groups])
    size = min(_PIECE, -(-len(order) // 64) * 64)
    for first in range(0, len(order), max(size, 1)):
        low, high = max(first - in_time.HALO, 0), min(first + size + in_time.HALO, len(order))
        rows = order[low:high]
        room = size + 2 * in_time.HALO - len(rows)
        some = np.concatenate([points[rows], np.zeros((room, 24, 3), np.float32)])
        some = in_time.compiled(
            jnp.asarray(some), jnp.asarray(np.concatenate([ids[low:high], np.full(room, -1)]))
        )
        kept = slice(first - low, min(first + size, len(order)) - low)
        for name, value in some.items():
            found[name][rows[kept]] = np.asarray(value)[: len(rows)][kept]
    return found
