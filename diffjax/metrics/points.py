"""Errors of 3D points: metres in, millimetres out, one number a sample.

`weight` is per joint and not negative; joints of weight 0 are ignored. A sample without any has error 0, for losses
are made of these; `known` makes it NaN.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffjax.metrics import sums


def mpjpe_mm(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    weight: Float[Array, "*#batch J"] | None = None,
) -> Float[Array, "*batch"]:
    """Mean per-joint position error in mm. Root alignment is the caller's (see `center`)."""
    distance = sums.distance(pred, true)
    return sums.MM * sums.mean(
        distance, jnp.broadcast_to(sums.weights(true, weight), distance.shape)
    )


def center(points: Float[Array, "*batch J 3"], root: tuple[int, ...]) -> Float[Array, "*batch J 3"]:
    """Points relative to the mean of the joints `root` (one index, or the two hips)."""
    middle = sums.sum_first(jnp.stack([points[..., i, :] for i in root])) / len(root)
    return points - middle[..., None, :]


def n_mpjpe_mm(
    pred: Float[Array, "*#batch J 3"],
    true: Float[Array, "*#batch J 3"],
    weight: Float[Array, "*#batch J"] | None = None,
) -> Float[Array, "*batch"]:
    """MPJPE in mm after the best scale of pred about the origin (Rhodin et al. 2018); center both before."""
    shape = jnp.broadcast_shapes(pred.shape, true.shape)
    pred, true = jnp.broadcast_to(pred, shape), jnp.broadcast_to(true, shape)
    w = jnp.broadcast_to(sums.weights(true, weight), shape[:-1])
    own = sums.mean(jnp.sum(pred * pred, -1), w)
    # A person collapsed into the root stays there.
    scale = sums.mean(jnp.sum(pred * true, -1), w) / jnp.maximum(own, 1e-12)
    return mpjpe_mm(scale[..., None, None] * pred, true, w)


def vertex_error_mm(
    pred: Float[Array, "*#batch V 3"],
    true: Float[Array, "*#batch V 3"],
    weight: Float[Array, "*#batch V"] | None = None,
) -> Float[Array, "*batch"]:
    """PVE: mean distance of corresponding vertices in mm, after whatever alignment the caller chose."""
    return mpjpe_mm(pred, true, weight)


def known(
    error: Float[Array, "*#batch"], weight: Float[Array, "*#batch J"]
) -> Float[Array, "*batch"]:
    """The error; NaN for a sample of which no joint is known, whose error would be 0."""
    return jnp.where(jnp.sum(weight, -1) > 0, error, jnp.nan)
