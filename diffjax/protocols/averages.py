"""Means over frames, actions or sequences, and their intervals: sequences are drawn, not frames."""

from typing import NamedTuple

import numpy as np

from diffjax import evaluate
from diffjax.protocols.protocol import Over


class Groups(NamedTuple):
    """(N,) names a row."""

    drawn: np.ndarray
    """What the bootstrap draws: sequences, or recordings with all their cameras."""
    sequence: np.ndarray
    action: np.ndarray


def mean(values: np.ndarray, groups: Groups, over: Over) -> float:
    """NaN without any finite value."""
    rows = np.isfinite(values)
    if not rows.any():
        return float("nan")
    if over == "frames":
        return float(values[rows].mean())
    of = groups.action if over == "actions" else groups.sequence
    return float(_means(values[rows], of[rows])[1].mean())


def interval(values: np.ndarray, groups: Groups, over: Over) -> tuple[float, float]:
    """95 % bootstrap interval of the mean; NaN where there are not two groups to draw."""
    if over == "frames":
        return evaluate.bootstrap(values, groups.drawn)
    rows = np.isfinite(values)
    if over == "actions":
        return _of_actions(values[rows], groups.drawn[rows], groups.action[rows])
    if not rows.any():
        return float("nan"), float("nan")
    _, means = _means(values[rows], groups.sequence[rows])
    return evaluate.bootstrap(means, np.arange(len(means)))


def by_group(values: np.ndarray, names: np.ndarray) -> dict[str, float]:
    """The mean of each group that has a finite value."""
    rows = np.isfinite(values)
    found, means = _means(values[rows], names[rows])
    return dict(zip(found.astype(str).tolist(), means.tolist()))


def _means(values: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found, index = np.unique(names, return_inverse=True)
    return found, np.bincount(index, values) / np.maximum(np.bincount(index), 1)


def _of_actions(
    values: np.ndarray, drawn: np.ndarray, action: np.ndarray, draws: int = 2000
) -> tuple[float, float]:
    """Of the mean over actions of each one's mean; actions that a draw leaves out do not count in it."""
    names, group = np.unique(drawn, return_inverse=True)
    _, kind = np.unique(action, return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    sums, sizes = (np.zeros((len(names), kind.max() + 1)) for _ in range(2))
    np.add.at(sums, (group, kind), values)
    np.add.at(sizes, (group, kind), 1.0)
    picks = np.random.default_rng(0).integers(len(names), size=(draws, len(names)))
    total, size = sums[picks].sum(1), sizes[picks].sum(1)
    means = np.nanmean(np.where(size > 0, total / np.maximum(size, 1.0), np.nan), 1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
