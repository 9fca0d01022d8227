"""Errors of 3D people: metres in, millimetres (or degrees, or shares) out, one number a sample.

`weight` is per joint and non-negative; joints of weight 0 are ignored, also by the alignment.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffjax import rotations

_MM = 1000.0


def _weights(points, weight):
    return jnp.ones(points.shape[:-1], points.dtype) if weight is None else weight


def _mean(values, weight):
    return jnp.sum(values * weight, -1) / jnp.maximum(jnp.sum(weight, -1), 1e-9)


def _distance(a, b):
    squared = jnp.sum((a - b) ** 2, -1)
    # A zero distance has gradient zero, not nan.
    zero = squared < 1e-20
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))


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
    return points - jnp.mean(points[..., jnp.asarray(root), :], -2, keepdims=True)


def procrustes(
    pred: Float[Array, "*batch J 3"],
    true: Float[Array, "*batch J 3"],
    weight: Float[Array, "*batch J"] | None = None,
) -> Float[Array, "*batch J 3"]:
    """pred after the similarity (scale, rotation, translation; no reflection) that best fits true."""
    w = _weights(true, weight)[..., None]
    total = jnp.maximum(jnp.sum(w, -2, keepdims=True), 1e-9)
    mean_pred = jnp.sum(w * pred, -2, keepdims=True) / total
    mean_true = jnp.sum(w * true, -2, keepdims=True) / total
    p, q = pred - mean_pred, true - mean_true
    covariance = jnp.einsum("...ja,...jb->...ab", q, w * p)
    rotation = rotations.project_to_so3(covariance)
    variance = jnp.maximum(jnp.sum(w * p * p, (-1, -2)), 1e-12)
    scale = jnp.sum(rotation * covariance, (-1, -2)) / variance
    return scale[..., None, None] * jnp.einsum("...ab,...jb->...ja", rotation, p) + mean_true


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
