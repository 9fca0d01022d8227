"""Numbers of one row at a time: how well body and keypoints agree, and whether the body is one."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from diffjax import camera, joint_limits, skeleton
from diffjax import rotations as so3

_PAIRS = 2
"""Pairs of keypoints that must be seen before an exchange of left and right is judged."""


class Sides(NamedTuple):
    """Left and right of some points."""

    partner: Int[Array | np.ndarray, " K"]
    groups: Float[Array | np.ndarray, "groups K"]
    """1 for the points of all, of the arms, of the legs that have a partner."""


def sides_of(names: Sequence[str]) -> Sides:
    """Who is whose partner: elbows and wrists are arms; knees, ankles and feet are legs."""
    partner = np.asarray(skeleton.mirror_permutation(tuple(names)))
    sided = partner != np.arange(len(partner))
    arms, legs = (
        sided & np.array([any(part in name for part in parts) for name in names])
        for parts in (("elbow", "wrist", "hand"), ("knee", "ankle", "foot", "toe", "heel"))
    )
    return Sides(partner, np.stack([sided, arms, legs]).astype(np.float32))


def rotation_error(
    matrices: Float[Array, "*batch joints 3 3"],
) -> Float[Array, "*batch joints"]:
    """Frobenius distance of each matrix from the nearest rotation; a reflection is 2 away."""
    return jnp.sqrt(jnp.sum((matrices - so3.project_to_so3(matrices)) ** 2, (-1, -2)))


def limit_excess_deg(rotations: Float[Array, "*batch 24 3 3"]) -> Float[Array, "*batch 24"]:
    """Degrees by which each joint is beyond its limits, about the worst of its axes."""
    return jnp.rad2deg(jnp.max(joint_limits.excess(rotations), -1))


def nearest_depth_m(joints_cam: Float[Array, "*batch joints 3"]) -> Float[Array, "*batch"]:
    """Metres before the camera of the joint nearest to it; negative behind it."""
    return jnp.min(joints_cam[..., 2], -1)


def outside_share(
    view: camera.Camera, joints_cam: Float[Array, "*batch joints 3"]
) -> Float[Array, "*batch"]:
    """Share of the joints that are not in the image, or behind the camera."""
    pixels = camera.project(view, joints_cam)
    inside = (pixels >= 0) & (pixels <= view.image_size_px[..., None, :])
    inside = jnp.all(inside, -1) & (joints_cam[..., 2] > 0)
    return 1.0 - jnp.mean(inside.astype(pixels.dtype), -1)


def seen_count(keypoints2d: Float[Array, "*batch K 3"]) -> Float[Array, "*batch"]:
    """Keypoints with confidence above 0."""
    return jnp.sum((keypoints2d[..., 2] > 0).astype(keypoints2d.dtype), -1)


def distances_px(
    there: Float[Array, "*batch K 2"], keypoints2d: Float[Array, "*batch K 3"]
) -> Float[Array, "*batch K"]:
    """Pixels between where the body has a keypoint and where it was seen; NaN where it was not."""
    seen = keypoints2d[..., 2] > 0
    # Where nothing was seen the coordinates may be anything.
    off = jnp.where(seen[..., None], there - keypoints2d[..., :2], 0.0)
    return jnp.where(seen, jnp.linalg.norm(off, axis=-1), jnp.nan)


def mean_distance_px(
    distances: Float[Array, "*batch K"], keypoints2d: Float[Array, "*batch K 3"]
) -> Float[Array, "*batch"]:
    """Their mean, weighted by confidence; NaN where nothing was seen."""
    weight = jnp.maximum(keypoints2d[..., 2], 0.0)
    total = jnp.sum(weight, -1)
    mean = jnp.sum(jnp.where(weight > 0, weight * distances, 0.0), -1) / jnp.maximum(total, 1e-6)
    return jnp.where(total > 0, mean, jnp.nan)


def swap_gain(
    there: Float[Array, "*batch K 2"], keypoints2d: Float[Array, "*batch K 3"], sides: Sides
) -> Float[Array, "*batch"]:
    """By how much the mean distance (shares of the box) falls when left and right keypoints are exchanged.

    Of all sided keypoints, of the arms' and of the legs', the largest; only pairs that were seen count, two at
    least. Negative where they are right; NaN where too few were seen.
    """
    other = keypoints2d[..., jnp.asarray(sides.partner), :]
    both = (keypoints2d[..., 2] > 0) & (other[..., 2] > 0)
    given, swapped = (
        jnp.linalg.norm(jnp.where(both[..., None], there - x[..., :2], 0.0), axis=-1)
        for x in (keypoints2d, other)
    )
    weight = jnp.asarray(sides.groups) * both[..., None, :].astype(there.dtype)
    count = jnp.sum(weight, -1)
    gain = jnp.sum(weight * (given - swapped)[..., None, :], -1) / jnp.maximum(count, 1.0)
    best = jnp.max(jnp.where(count >= 2 * _PAIRS, gain, -jnp.inf), -1)
    share = best / camera.keypoint_box(keypoints2d)[1]
    return jnp.where(jnp.isfinite(best), share, jnp.nan)
