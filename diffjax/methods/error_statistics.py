"""What a lifter errs by, and what with: one pass over training data, in float64.

Enough to fit the noise model (`conditional_noise`) and the normaliser of a network's output
(`error_diffusion`); parts can be made apart and added.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float


class Statistics(NamedTuple):
    """All that the fit needs of the data, float64; sums of parts are the statistics of the whole.

    A row is [1, 2D, estimate, error] of one frame, so that the first row of `products` holds the sums.
    """

    products: Float[np.ndarray, "row row"]
    """Sum over frames of row_t row_t^T; the first number is the count of frames."""
    following: Float[np.ndarray, "row row"]
    """Sum over pairs of neighbours in one sequence of row_t row_{t+1}^T."""
    magnitude: Float[np.ndarray, " errors"]
    """Sum over frames of |error|."""


def none(joints: int) -> Statistics:
    """Of no frames."""
    row = 1 + 8 * joints
    return Statistics(np.zeros((row, row)), np.zeros((row, row)), np.zeros(3 * joints))


def add(
    stats: Statistics,
    p: Float[Array | np.ndarray, "*batch time J 2"],
    y: Float[Array | np.ndarray, "*batch time J 3"],
    x_0: Float[Array | np.ndarray, "*batch time J 3"],
    valid: Bool[Array | np.ndarray, "*batch time"] | None = None,
) -> Statistics:
    """The statistics with more sequences; frames that are not `valid` do not count.

    Frames follow each other along `time`. ValueError for a valid frame that is not finite.
    """
    time = y.shape[-3]
    p, y, x_0 = (
        np.asarray(a, np.float64).reshape(-1, time, a.shape[-2] * a.shape[-1]) for a in (p, y, x_0)
    )
    used = np.ones(y.shape[:2], bool) if valid is None else np.asarray(valid).reshape(y.shape[:2])
    rows = np.concatenate([np.ones((*used.shape, 1)), p, y, y - x_0], -1)
    rows[~used] = 0.0
    if rows.shape[-1] != len(stats.products):
        raise ValueError(
            f"statistics of {len(stats.magnitude) // 3} joints: wanted sequences of as many, found "
            f"{y.shape[-1] // 3}; start with error_statistics.none(joints)"
        )
    if not np.isfinite(rows).all():
        raise ValueError(
            "sequences: wanted finite coordinates, found others; fill or mark the gaps"
        )
    flat, before, after = (a.reshape(-1, a.shape[-1]) for a in (rows, rows[:, :-1], rows[:, 1:]))
    # A frame that does not count has a row of zeros, and so no product with its neighbours.
    more = Statistics(flat.T @ flat, before.T @ after, np.abs(flat[:, -y.shape[-1] :]).sum(0))
    return merge(stats, more)


def merge(one: Statistics, other: Statistics) -> Statistics:
    """The statistics of both parts together."""
    return Statistics(*(a + b for a, b in zip(one, other)))


def count(stats: Statistics) -> float:
    """Frames."""
    return float(stats.products[0, 0])


def moving(stats: Statistics, root: int) -> np.ndarray:
    """Places, among the flattened errors, of all joints but the root."""
    return np.delete(np.arange(len(stats.magnitude)).reshape(-1, 3), root, 0).reshape(-1)


def moments(stats: Statistics) -> tuple[np.ndarray, np.ndarray]:
    """(joints, 3) mean and standard deviation of the error, in metres."""
    errors = slice(len(stats.products) - len(stats.magnitude), None)
    mean = stats.products[0, errors] / count(stats)
    square = np.diag(stats.products)[errors] / count(stats)
    return mean.reshape(-1, 3), np.sqrt(np.maximum(square - mean**2, 0.0)).reshape(-1, 3)
