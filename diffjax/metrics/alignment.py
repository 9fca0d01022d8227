"""The similarity that best lays one set of points on another, and what is left after it.

Scale, rotation and translation, no reflection: what papers mean by PA, and often by "rigid", alignment.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffjax import rotations
from diffjax.metrics import points, sums


class Similarity(NamedTuple):
    """x -> scale rotation x + shift."""

    scale: Float[Array, "*batch"]
    rotation: Float[Array, "*batch 3 3"]
    shift: Float[Array, "*batch 3"]


class _Fit(NamedTuple):
    """Arrays with the batch last."""

    scale: Float[Array, "*batch"]
    rotation: Float[Array, "3 3 *batch"]
    pred: Float[Array, "J 3 *batch"]
    """Less its mean."""
    mean_pred: Float[Array, "3 *batch"]
    mean_true: Float[Array, "3 *batch"]


def _fit(pred, true, weight) -> _Fit:
    """Umeyama 1991 with weights."""
    w = jnp.moveaxis(sums.weights(true, weight), -1, 0)[:, None]
    p, q = (jnp.moveaxis(x, (-2, -1), (0, 1)) for x in (pred, true))
    total = jnp.maximum(sums.sum_first(w), 1e-9)
    mean_pred, mean_true = (sums.sum_first(w * x) / total for x in (p, q))
    # Barriers: what XLA fuses it computes again for every use.
    p, q, mean_true = jax.lax.optimization_barrier((p - mean_pred, q - mean_true, mean_true))
    covariance = jax.lax.optimization_barrier(sums.sum_first(q[:, :, None] * (w * p)[:, None]))
    flat = jnp.moveaxis(covariance, (0, 1), (-2, -1))
    rotation = jnp.moveaxis(rotations.project_to_so3(flat), (-2, -1), (0, 1))
    spread = jnp.concatenate(list(jnp.moveaxis(w * p * p, 1, 0)))
    variance = jnp.maximum(sums.sum_first(spread), 1e-12)
    scale = sums.sum_first((rotation * covariance).reshape(9, *variance.shape)) / variance
    return _Fit(scale, rotation, p, mean_pred, mean_true)


def procrustes(
    pred: Float[Array, "*batch J 3"],
    true: Float[Array, "*batch J 3"],
    weight: Float[Array, "*batch J"] | None = None,
) -> Float[Array, "*batch J 3"]:
    """pred after the similarity (scale, rotation, translation; no reflection) that best fits true."""
    fit = _fit(pred, true, weight)
    turn = jax.lax.optimization_barrier(fit.scale * fit.rotation)
    aligned = sum((turn[:, k] * fit.pred[:, None, k] for k in range(3)), fit.mean_true)
    return jnp.moveaxis(aligned, (0, 1), (-2, -1))


def similarity(
    pred: Float[Array, "*batch J 3"],
    true: Float[Array, "*batch J 3"],
    weight: Float[Array, "*batch J"] | None = None,
) -> Similarity:
    """The similarity of `procrustes` itself, to move other points or turns with."""
    fit = _fit(pred, true, weight)
    rotation = jnp.moveaxis(fit.rotation, (0, 1), (-2, -1))
    means = (jnp.moveaxis(x, 0, -1) for x in (fit.mean_pred, fit.mean_true))
    mean_pred, mean_true = means
    turned = (rotation @ mean_pred[..., None])[..., 0]
    return Similarity(fit.scale, rotation, mean_true - fit.scale[..., None] * turned)


def moved(points3d: Float[Array, "*batch J 3"], by: Similarity) -> Float[Array, "*batch J 3"]:
    """Points after a similarity."""
    turned = points3d @ jnp.swapaxes(by.rotation, -1, -2)
    return by.scale[..., None, None] * turned + by.shift[..., None, :]


def pa_mpjpe_mm(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    weight: Float[Array, "*#batch J"] | None = None,
) -> Float[Array, "*batch"]:
    """Procrustes-aligned MPJPE in mm: what is left after the best similarity transform."""
    shape = jnp.broadcast_shapes(pred.shape, true.shape)
    pred, true = jnp.broadcast_to(pred, shape), jnp.broadcast_to(true, shape)
    weight = None if weight is None else jnp.broadcast_to(weight, shape[:-1])
    return points.mpjpe_mm(procrustes(pred, true, weight), true, weight)


def pa_vertex_error_mm(
    pred: Float[Array, "*batch V 3"],
    true: Float[Array, "*batch V 3"],
    pred_joints: Float[Array, "*batch J 3"],
    true_joints: Float[Array, "*batch J 3"],
    weight: Float[Array, "*batch J"] | None = None,
) -> Float[Array, "*batch"]:
    """PA-PVE: mean vertex distance in mm after the similarity that best fits the joints (EMDB's MVE-PA)."""
    by = similarity(pred_joints, true_joints, weight)
    return points.vertex_error_mm(moved(pred, by), true)
