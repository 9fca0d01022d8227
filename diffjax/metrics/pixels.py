"""Errors of 2D keypoints: pixels, and shares of keypoints that are near. `labels` hold x, y and a confidence.

Keypoints of confidence 0 are ignored; a sample without any, or whose size is not known, is NaN.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffjax import camera
from diffjax.metrics import sums


def image_error_px(
    pred: Float[Array, "*#batch K 2"], labels: Float[Array, "*#batch K 3"]
) -> Float[Array, "*batch"]:
    """Mean distance in pixels over the keypoints that are labelled."""
    return _mean_seen(_distance(pred, labels), labels)


def image_pck(
    pred: Float[Array, "*#batch K 2"],
    labels: Float[Array, "*#batch K 3"],
    size_px: Float[Array, "*#batch"],
    share: float,
) -> Float[Array, "*batch"]:
    """Share of the labelled keypoints that are closer than a share of the person's size in pixels."""
    distance = _distance(pred, labels)
    near = (distance < share * size_px[..., None]).astype(distance.dtype)
    return jnp.where(jnp.isfinite(size_px), _mean_seen(near, labels), jnp.nan)


def box_px(labels: Float[Array, "*batch K 3"]) -> Float[Array, "*batch"]:
    """The longer side of the box of the labelled keypoints, at least 1; NaN with fewer than two."""
    enough = jnp.sum(labels[..., 2] > 0, -1) >= 2
    return jnp.where(enough, camera.keypoint_box(labels)[1], jnp.nan)


def head_px(labels: Float[Array, "*batch K 3"], top: int, neck: int) -> Float[Array, "*batch"]:
    """From the top of the head to the neck: the size of PCKh-like shares; NaN where one of them is not labelled."""
    both = (labels[..., top, 2] > 0) & (labels[..., neck, 2] > 0)
    return jnp.where(both, _distance(labels[..., top, :2], labels[..., neck, :]), jnp.nan)


def _distance(pred, labels):
    gap = pred - labels[..., :2]
    return jnp.sqrt(jnp.maximum(jnp.sum(gap * gap, -1), 1e-20))


def _mean_seen(values, labels):
    seen = jnp.broadcast_to((labels[..., 2] > 0).astype(values.dtype), values.shape)
    return jnp.where(jnp.sum(seen, -1) > 0, sums.mean(values, seen), jnp.nan)
