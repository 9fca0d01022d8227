"""What the rows around a row say: the frames before and after it, or the other cameras at its instant.

Errors last in time, and the views of an instant share their body; what chance does to a signal differs from row to row.
"""

import numpy as np

from diffjax import fitting
from diffjax.data import records
from diffjax.tracks import Use

FRAMES = 7
"""Before, and after: what Savitzky-Golay over 15 frames sees."""


def of(
    people: records.AnnotationSet, use: Use, signals: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The mean of each signal over the rows around each row and itself, as `NAME_near`; none where rows stand alone.

    Numbers that are not finite count nowhere; 0 where there are no others.
    """
    if use == "frames" or not signals:
        return {}
    each = np.stack(list(signals.values()), -1).astype(np.float64)
    near = np.zeros(each.shape, np.float32)
    for rows in fitting.groups_of(people, use):
        near[rows] = _means(each[rows], FRAMES if use == "video" else len(rows))
    return {f"{name}_near": near[:, column] for column, name in enumerate(signals)}


def _means(each: np.ndarray, reach: int) -> np.ndarray:
    """Of rows in order: the mean of those at most `reach` away."""
    place = np.arange(len(each))
    first, end = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(each))
    known = np.isfinite(each)
    total, count = (_within(x, first, end) for x in (np.where(known, each, 0.0), known))
    return total / np.maximum(count, 1)


def _within(x: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The sums of x[first:end], row by row."""
    sums = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, 0)])
    return sums[end] - sums[first]
