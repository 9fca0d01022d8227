"""Numbers of a protocol that need neighbours in time."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from diffjax import metrics, skeleton, tracks
from diffjax.data import records
from diffjax.protocols.protocol import Protocol

_STILL = (0, 7, 8, 10, 11, 20, 21, 22, 23)
"""SMPL joints whose jerk EMDB counts as 0, in a mean over all 24."""


class Tracks(NamedTuple):
    """Rows in the order of tracks and frames."""

    order: np.ndarray
    ids: np.ndarray
    """Of `order`; -1 where no track is known."""
    notes: tuple[str, ...]


def tracks_of(a: records.AnnotationSet, gaps: bool, where: str) -> Tracks:
    """Rows of one sequence, subject and view. Where they cannot be told nobody has neighbours, and it is said."""
    count = records.count(a)
    nobody = np.arange(count), np.full(count, -1)
    lacks = [name for name in ("sequence", "frame") if getattr(a, name) is None]
    if lacks:
        return Tracks(*nobody, (f"no {' and no '.join(lacks)}: nothing is measured in time",))
    try:
        found = tracks.tracks(a.sequence, a.subject, a.view, a.frame, where)
    except ValueError as error:
        return Tracks(*nobody, (f"nothing is measured in time: {error}",))
    frame = np.asarray(a.frame)
    steps = np.concatenate([np.diff(frame[rows]) for rows in found])
    apart = int(np.median(steps)) if len(steps) else 1
    found = _even(a, found, apart) if gaps else _joined(a, found)
    short = sum(len(rows) < 4 for rows in found)
    said = [f"{len(found)} tracks, {short} of fewer than four frames, which have no jerk"]
    if apart != 1:
        said.append(f"frames are {apart} apart: what is measured in time is not that of papers")
    ids = np.repeat(np.arange(len(found)), [len(rows) for rows in found])
    return Tracks(np.concatenate(found), ids, tuple(said))


def _even(a: records.AnnotationSet, found: list[np.ndarray], apart: int) -> list[np.ndarray]:
    """Tracks that end wherever a frame is missing."""
    assert a.frame is not None
    breaks = (np.flatnonzero(np.diff(a.frame[rows]) != apart) + 1 for rows in found)
    return [part for rows, at in zip(found, breaks) for part in np.split(rows, at)]


def _joined(a: records.AnnotationSet, found: list[np.ndarray]) -> list[np.ndarray]:
    """Tracks of one name as one, whatever frames are missing: in the order of frames."""
    names: dict[Any, list[np.ndarray]] = {}
    for rows in found:
        columns = (a.sequence, a.subject, a.view)
        name = tuple("" if column is None else str(column[rows[0]]) for column in columns)
        names.setdefault(name, []).append(rows)
    assert a.frame is not None
    whole = (np.concatenate(parts) for parts in names.values())
    return [rows[np.argsort(a.frame[rows], kind="stable")] for rows in whole]


def numbers(
    protocol: Protocol, at: Tracks, points: np.ndarray, raw: np.ndarray, sure: np.ndarray
) -> dict[str, np.ndarray]:
    """(N,) by measure, at the middle one (of jerk, the second) of the frames of a difference.

    `points` are the errors of centred joints, `raw` the joints at the model's origin, `sure` (N, J) the weights of
    the truth.
    """
    everywhere = np.ones_like(sure)
    acceleration = _spread(at, points, 2, sure)
    found = {
        "acceleration_error": acceleration,
        "acceleration_error_s": acceleration * protocol.fps**2,
        "jerk": _spread(at, raw, 3, everywhere),
    }
    if protocol.joints == "smpl24":
        lively = everywhere * (~np.isin(np.arange(len(skeleton.SMPL24)), _STILL))
        share = 1.0 - len(_STILL) / len(skeleton.SMPL24)
        scale = share * protocol.fps**3 / 1000.0 / 10.0
        found["jitter"] = scale * _spread(at, raw, 3, lively)
    return found


def _spread(at: Tracks, moving: np.ndarray, order: int, weight: np.ndarray) -> np.ndarray:
    """The differences of an order, each in the row of a frame of its own; NaN elsewhere."""
    rows = (jnp.asarray(x[at.order], jnp.float32) for x in (moving, weight))
    moving_rows, weight_rows = rows
    ids = jnp.asarray(at.ids)
    steps = np.asarray(metrics.differences_mm(moving_rows, ids, order, weight_rows))
    whole = np.full(len(at.order), np.nan)
    whole[at.order[1 : 1 + len(steps)]] = steps
    return whole
