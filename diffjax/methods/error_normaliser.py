"""Errors in metres as a network says them, and back; fitted on training data alone.

The paper: "the output is normalized by its average value". Which average, it does not say.
"""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax.methods import error_statistics

Kind = Literal["coordinate", "magnitude", "mean"]


class Normaliser(NamedTuple):
    """Error in metres = mean + scale * what the network says; a coordinate of scale 0 never errs."""

    mean: Float[Array | np.ndarray, "J 3"]
    scale: Float[Array | np.ndarray, "J 3"]


def fit(stats: error_statistics.Statistics, kind: Kind = "coordinate", root: int = 0) -> Normaliser:
    """The normaliser of a kind.

    `coordinate`: (e - mean) / standard deviation of each coordinate; `magnitude`: e / mean |e|, one
    number; `mean`: e - mean.
    """
    mean, deviation = error_statistics.moments(stats)
    places = error_statistics.moving(stats, root)
    size = stats.magnitude[places].mean() / error_statistics.count(stats)
    pairs = {
        "coordinate": (mean, np.where(deviation > 1e-9, deviation, 0.0)),
        "magnitude": (np.zeros_like(mean), np.full_like(mean, size)),
        "mean": (mean, np.ones_like(mean)),
    }
    if kind not in pairs:
        raise ValueError(f"output normaliser: wanted one of {sorted(pairs)}, got {kind!r}")
    others = (np.arange(len(mean)) != root)[:, None]
    return Normaliser(*(np.where(others, a, 0.0) for a in pairs[kind]))


def normalise(by: Normaliser, error: Float[Array, "*batch J 3"]) -> Float[Array, "*batch J 3"]:
    """What the network should say of an error; 0 for coordinates that never err."""
    mean, scale = (jnp.asarray(a, error.dtype) for a in by)
    return jnp.where(scale > 0, (error - mean) / jnp.where(scale > 0, scale, 1.0), 0.0)


def denormalise(by: Normaliser, output: Float[Array, "*batch J 3"]) -> Float[Array, "*batch J 3"]:
    """The error in metres of what a network says."""
    mean, scale = (jnp.asarray(a, output.dtype) for a in by)
    return mean + scale * output
