"""Errors of 3D people: metres in, millimetres (or degrees, or shares) out, one number a sample.

`weight` is per joint and non-negative; joints of weight 0 are ignored, also by the alignment.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffjax import rotations, segments

_MM = 1000.0


def _weights(points, weight):
    return jnp.ones(points.shape[:-1], points.dtype) if weight is None else weight


def _sum_first(x: Float[Array, "J ..."]) -> Float[Array, "..."]:
    """Sum over the joints, halves on halves: the same additions in any batch, and elementwise.

    XLA:CPU chooses how to reduce by the size of the batch, and which product of a sum of products to round by what
    they are compiled with: a sample would get other last bits in another batch.
    """
    x = jax.lax.optimization_barrier(x)
    if len(x) > 64:  # A mesh: so many additions are a loop.
        return jnp.sum(x, 0)
    while len(x) > 1:
        half = len(x) // 2
        odd = x[2 * half :]
        x = x[:half] + x[half : 2 * half]
        x = x.at[:1].add(odd) if len(odd) else x
    return x[0]


def _mean(values, weight):
    total = _sum_first(jnp.moveaxis(values * weight, -1, 0))
    return total / jnp.maximum(_sum_first(jnp.moveaxis(weight, -1, 0)), 1e-9)


def _distance(a, b):
    square = jax.lax.optimization_barrier((a - b) ** 2)
    squared = square[..., 0] + square[..., 1] + square[..., 2]
    # A zero distance has gradient zero, not nan. The root is bounded by itself: XLA may compute `squared` twice, with
    # other last bits, so that a second test need not agree with the first.
    return jnp.where(squared < 1e-20, 0.0, jnp.sqrt(jnp.maximum(squared, 1e-20)))


def mpjpe_mm(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    weight: Float[Array, "*#batch J"] | None = None,
) -> Float[Array, "*batch"]:
    """Mean per-joint position error in mm. Root alignment is the caller's (see `center`)."""
    distance = _distance(pred, true)
    return _MM * _mean(distance, jnp.broadcast_to(_weights(true, weight), distance.shape))


def center(points: Float[Array, "*batch J 3"], root: tuple[int, ...]) -> Float[Array, "*batch J 3"]:
    """Points relative to the mean of the joints `root` (one index, or the two hips)."""
    middle = _sum_first(jnp.stack([points[..., i, :] for i in root])) / len(root)
    return points - middle[..., None, :]


def procrustes(
    pred: Float[Array, "*batch J 3"],
    true: Float[Array, "*batch J 3"],
    weight: Float[Array, "*batch J"] | None = None,
) -> Float[Array, "*batch J 3"]:
    """pred after the similarity (scale, rotation, translation; no reflection) that best fits true."""
    w = jnp.moveaxis(_weights(true, weight), -1, 0)[:, None]
    p, q = (jnp.moveaxis(x, (-2, -1), (0, 1)) for x in (pred, true))
    total = jnp.maximum(_sum_first(w), 1e-9)
    mean_true = _sum_first(w * q) / total
    # Barriers: what XLA fuses it computes again for every use.
    centered = p - _sum_first(w * p) / total, q - mean_true
    p, q, mean_true = jax.lax.optimization_barrier((*centered, mean_true))
    covariance = jax.lax.optimization_barrier(_sum_first(q[:, :, None] * (w * p)[:, None]))
    flat = jnp.moveaxis(covariance, (0, 1), (-2, -1))
    rotation = jnp.moveaxis(rotations.project_to_so3(flat), (-2, -1), (0, 1))
    variance = jnp.maximum(_sum_first(jnp.concatenate(list(jnp.moveaxis(w * p * p, 1, 0)))), 1e-12)
    scale = _sum_first((rotation * covariance).reshape(9, *variance.shape)) / variance
    rotation = jax.lax.optimization_barrier(scale * rotation)
    aligned = sum((rotation[:, k] * p[:, None, k] for k in range(3)), mean_true)
    return jnp.moveaxis(aligned, (0, 1), (-2, -1))


def pa_mpjpe_mm(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    weight: Float[Array, "*#batch J"] | None = None,
) -> Float[Array, "*batch"]:
    """Procrustes-aligned MPJPE in mm: what is left after the best similarity transform."""
    shape = jnp.broadcast_shapes(pred.shape, true.shape)
    pred, true = jnp.broadcast_to(pred, shape), jnp.broadcast_to(true, shape)
    weight = None if weight is None else jnp.broadcast_to(weight, shape[:-1])
    return mpjpe_mm(procrustes(pred, true, weight), true, weight)


def n_mpjpe_mm(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    weight: Float[Array, "*#batch J"] | None = None,
) -> Float[Array, "*batch"]:
    """MPJPE in mm after the best scale of pred about the origin (Rhodin et al. 2018); center both before."""
    shape = jnp.broadcast_shapes(pred.shape, true.shape)
    pred, true = jnp.broadcast_to(pred, shape), jnp.broadcast_to(true, shape)
    w = jnp.broadcast_to(_weights(true, weight), shape[:-1])
    own = _mean(jnp.sum(pred * pred, -1), w)
    # A person collapsed into the root stays there.
    scale = _mean(jnp.sum(pred * true, -1), w) / jnp.maximum(own, 1e-12)
    return mpjpe_mm(scale[..., None, None] * pred, true, w)


def vertex_error_mm(
    pred: Float[Array, "*#batch V 3"], true: Float[Array, "*#batch V 3"]
) -> Float[Array, "*batch"]:
    """PVE: mean distance of corresponding vertices in mm, after whatever alignment the caller chose."""
    return mpjpe_mm(pred, true)


def rotation_error_deg(
    pred: Float[Array, "*#batch joints 3 3"],
    true: Float[Array, "*#batch joints 3 3"],
    joints: tuple[int, ...],
) -> Float[Array, "*batch"]:
    """Mean geodesic error of the named local joint rotations, in degrees."""
    index = jnp.asarray(joints)
    angle = rotations.geodesic_angle(pred[..., index, :, :], true[..., index, :, :])
    return jnp.mean(jnp.rad2deg(angle), -1)


def acceleration_error(
    pred: Float[Array, "*batch time J 3"], true: Float[Array, "*batch time J 3"], fps: float
) -> Float[Array, "*batch"]:
    """Mean difference of joint accelerations in m/s^2 (second differences times fps^2)."""
    acceleration = jnp.diff(pred - true, n=2, axis=-3) * fps**2
    return jnp.mean(_distance(acceleration, jnp.zeros_like(acceleration)), (-1, -2))


def velocity_error_mm(
    pred: Float[Array, "rows J 3"], true: Float[Array, "rows J 3"], ids: Int[Array, " rows"]
) -> Float[Array, " pairs"]:
    """MPJVE: mean error of joint steps in mm per frame, from each row to the next; pairs = rows - 1.

    0 between sequences (`ids` as in `segments`): average over `segments.joined(ids)`.
    """
    return _mean_length_mm(segments.velocities(_flat(pred - true), ids))


def acceleration_error_mm(
    pred: Float[Array, "rows J 3"], true: Float[Array, "rows J 3"], ids: Int[Array, " rows"]
) -> Float[Array, " triples"]:
    """Mean error of second differences in mm per frame^2; triples = rows - 2.

    0 across sequences: average over `segments.joined(ids, 2)`.
    """
    return _mean_length_mm(segments.accelerations(_flat(pred - true), ids))


def _flat(points: Float[Array, "rows J 3"]) -> Float[Array, "rows d"]:
    return points.reshape(len(points), 3 * points.shape[1])


def _mean_length_mm(flat: Float[Array, "rows d"]) -> Float[Array, " rows"]:
    points = flat.reshape(len(flat), flat.shape[-1] // 3, 3)
    return mpjpe_mm(points, jnp.zeros_like(points))


def pck(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    threshold_mm: float = 150.0,
    weight: Float[Array, "*#batch J"] | None = None,
) -> Float[Array, "*batch"]:
    """Share of joints closer than the threshold (strictly)."""
    distance = _distance(pred, true)
    hit = (_MM * distance < threshold_mm).astype(distance.dtype)
    return _mean(hit, jnp.broadcast_to(_weights(true, weight), hit.shape))


def auc(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    weight: Float[Array, "*#batch J"] | None = None,
) -> Float[Array, "*batch"]:
    """Mean PCK over 31 thresholds from 0 to 150 mm (the MPI-INF-3DHP protocol)."""
    thresholds = [5.0 * i for i in range(31)]
    return jnp.mean(jnp.stack([pck(pred, true, t, weight) for t in thresholds]), 0)
