"""Refiners of 3D joint sequences without a network: what every other method is compared with.

All are of one kind, (y, p, ids) -> x: root-relative estimates, their normalised 2D and the video of each row in,
poses out. What they need to know is told to the function that makes them. On the CPU.
"""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float

from diffjax import smoothing
from diffjax.methods import bones, conditional_noise, error_statistics

Baseline = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(y "rows J 3", p "rows J 2", ids " rows") -> "rows J 3"; metres. Rows of a video follow each other."""


def identity() -> Baseline:
    """y as it is."""
    return lambda y, p, ids: y


def bias_removal(of_lifter: Float[np.ndarray, "J 3"]) -> Baseline:
    """y without the lifter's mean error on training data (`mean_error`)."""
    return lambda y, p, ids: y - of_lifter.astype(y.dtype)


def mean_error(stats: error_statistics.Statistics, root: int = 0) -> Float[np.ndarray, "J 3"]:
    """Of a lifter on training data, in metres; zero at the root."""
    mean, _ = error_statistics.moments(stats)
    mean[root] = 0.0
    return mean


def linear_gaussian(model: conditional_noise.NoiseModel) -> Baseline:
    """y - mu(p, y): without the error that least squares expects."""
    expected = jax.jit(conditional_noise.mean)
    return lambda y, p, ids: y - np.asarray(expected(model, p, y))


def savitzky_golay(window: int, order: int = 2) -> Baseline:
    """Each frame on a polynomial through the `window` frames around it."""
    return _in_time(lambda x, ids: smoothing.savitzky_golay(x, ids, window, order))


def one_euro(fps: float, min_cutoff: float, beta: float) -> Baseline:
    """The One Euro filter, which sees no future; cutoff in Hz, beta in Hz for 1 m/s."""
    return _in_time(lambda x, ids: smoothing.one_euro(x, ids, fps, min_cutoff, beta))


def steady_bones(parents: tuple[int, ...], share: float = 1.0) -> Baseline:
    """A share of the way to the same bones, in the same directions, of the median length in their video."""
    lengths_of = jax.jit(bones.bone_lengths, static_argnames="parents")
    put = jax.jit(bones.with_bone_lengths, static_argnames="parents")

    def steady(y, p, ids):
        found = np.array(lengths_of(y, parents=parents))
        for rows in smoothing.runs(ids):
            found[rows] = np.median(found[rows], 0)
        moved = np.asarray(put(y, found, parents=parents))
        return (y + np.float32(share) * (moved - y)).astype(y.dtype)

    return steady


def _in_time(smooth: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Baseline:
    return lambda y, p, ids: smooth(y.reshape(len(y), -1), ids).reshape(y.shape)
