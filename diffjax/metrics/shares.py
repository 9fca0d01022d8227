"""Shares, from 0 to 1: of joints that are near, and of people who were harmed."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax.metrics import sums

MPI_THRESHOLDS_MM = tuple(5.0 * i for i in range(31))
"""0, 5 .. 150 mm, of MPI-INF-3DHP's AUC."""


def pck(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    threshold_mm: float = 150.0,
    weight: Float[Array, "*#batch J"] | None = None,
) -> Float[Array, "*batch"]:
    """Share of joints closer than the threshold (strictly)."""
    return _curve(pred, true, (threshold_mm,), weight)[0]


def auc(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    weight: Float[Array, "*#batch J"] | None = None,
    thresholds_mm: Sequence[float] = MPI_THRESHOLDS_MM,
) -> Float[Array, "*batch"]:
    """Mean PCK over thresholds: 31 from 0 to 150 mm in the MPI-INF-3DHP protocol."""
    return jnp.mean(_curve(pred, true, thresholds_mm, weight), 0)


def area_under_pck(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    weight: Float[Array, "*#batch J"] | None = None,
    limit_mm: int = 200,
) -> Float[Array, "*batch"]:
    """AUC of the 3DPW challenge: the area under PCK at 0, 1 .. limit - 1 mm joined by lines, as a share of its box."""
    curve = _curve(pred, true, [float(t) for t in range(limit_mm)], weight)
    return jnp.mean(0.5 * (curve[1:] + curve[:-1]), 0)


def _curve(pred, true, thresholds_mm, weight) -> Float[Array, "thresholds *batch"]:
    """PCK at each threshold."""
    distance_mm = sums.MM * sums.distance(pred, true)
    w = jnp.broadcast_to(sums.weights(true, weight), distance_mm.shape)
    limits = jnp.asarray(thresholds_mm, distance_mm.dtype)
    limits = limits.reshape(-1, *[1] * distance_mm.ndim)
    return sums.mean((distance_mm < limits).astype(distance_mm.dtype), w)


def harm_rate(
    before_mm: Float[Array | np.ndarray, "*batch samples"],
    after_mm: Float[Array | np.ndarray, "*batch samples"],
    margin_mm: float = 1.0,
) -> Float[Array, "*batch"]:
    """Share of samples whose error grew by more than the margin, of those whose change is known; NaN without any."""
    change = jnp.asarray(after_mm) - jnp.asarray(before_mm)
    known = jnp.isfinite(change)
    worse = jnp.sum(jnp.where(known, change > margin_mm, False), -1)
    count = jnp.sum(known, -1)
    return jnp.where(count > 0, worse / jnp.maximum(count, 1), jnp.nan)
