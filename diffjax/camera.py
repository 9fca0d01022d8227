"""Perspective cameras: x right, y down, z forward; metres in, pixels out, no distortion."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Camera(NamedTuple):
    """Intrinsics of the full image."""

    focal_px: Float[Array, "*batch 2"]
    center_px: Float[Array, "*batch 2"]
    """Principal point."""
    image_size_px: Float[Array, "*batch 2"]
    """Width, height."""


def project(camera: Camera, points_cam: Float[Array, "*batch K 3"]) -> Float[Array, "*batch K 2"]:
    """Pixels of points in the camera frame (metres). Depth is kept above 0.1 m: finite behind the camera."""
    depth = jnp.maximum(points_cam[..., 2:], 0.1)
    return (
        camera.focal_px[..., None, :] * points_cam[..., :2] / depth + camera.center_px[..., None, :]
    )


def keypoint_box(
    keypoints2d: Float[Array, "*batch K 3"],
) -> tuple[Float[Array, "*batch 2"], Float[Array, "*batch"]]:
    """Centre and longer side (px, at least 1) of the box of the keypoints with confidence; 0, 1 without any."""
    seen = keypoints2d[..., 2:] > 0
    low = jnp.min(jnp.where(seen, keypoints2d[..., :2], jnp.inf), -2)
    high = jnp.max(jnp.where(seen, keypoints2d[..., :2], -jnp.inf), -2)
    some = jnp.any(seen, -2)
    low, high = jnp.where(some, low, 0.0), jnp.where(some, high, 0.0)
    return 0.5 * (low + high), jnp.maximum(jnp.max(high - low, -1), 1.0)


def fit_translation(
    camera: Camera,
    points: Float[Array, "*batch K 3"],
    keypoints2d: Float[Array, "*batch K 3"],
) -> Float[Array, "*batch 3"]:
    """The translation (m, camera frame) that puts points on keypoints, in closed form.

    Weighted least squares on the cross-multiplied projection equations
    f (X + t_x) = (u - c) (Z + t_z); keypoints2d is x, y in pixels and a weight. A sample without
    evidence gets a person 5 m away. Differentiable in points.
    """
    w = keypoints2d[..., 2]
    ray = (keypoints2d[..., :2] - camera.center_px[..., None, :]) / camera.focal_px[..., None, :]
    # Where nothing was seen the coordinates may be anything, also NaN.
    ray = jnp.where(w[..., None] > 0, ray, 0.0)
    # Rows: t - ray t_z = ray Z - XY. With ray centred, t_z has its own scalar equation.
    rhs = ray * points[..., 2:] - points[..., :2]
    total = jnp.maximum(jnp.sum(w, -1), 1e-6)[..., None]
    mean_ray = jnp.sum(w[..., None] * ray, -2) / total
    mean_rhs = jnp.sum(w[..., None] * rhs, -2) / total
    ray_c, rhs_c = ray - mean_ray[..., None, :], rhs - mean_rhs[..., None, :]
    spread = jnp.sum(w[..., None] * ray_c**2, (-1, -2))
    depth = -jnp.sum(w[..., None] * ray_c * rhs_c, (-1, -2)) / jnp.maximum(spread, 1e-9)
    seen = spread > 1e-9
    depth = jnp.where(seen, jnp.maximum(depth, 0.2), 5.0)
    xy = mean_rhs + mean_ray * depth[..., None]
    xy = jnp.where(seen[..., None], xy, 0.0)
    return jnp.concatenate([xy, depth[..., None]], -1)


def fit_world_translation(
    rotation: Float[Array, "*batch V 3 3"],
    position: Float[Array, "*batch V 3"],
    camera: Camera,
    points: Float[Array, "*batch V K 3"],
    keypoints2d: Float[Array, "*batch V K 3"],
) -> Float[Array, "*batch 3"]:
    """The translation (m, world) that puts points on the keypoints of several calibrated views at once.

    Points are in the axes of each camera, not yet moved; x_camera = rotation x_world + position. Weighted least
    squares on the cross-multiplied projection equations, as in `fit_translation`. 0 without evidence.
    """
    w = keypoints2d[..., 2:]
    ray = (keypoints2d[..., :2] - camera.center_px[..., None, :]) / camera.focal_px[..., None, :]
    ray = jnp.where(w > 0, ray, 0.0)
    known = points + position[..., None, :]
    # (x + R_x t) - ray_x (z + R_z t) = 0 for x, and for y.
    row = rotation[..., None, :2, :] - ray[..., None] * rotation[..., None, 2:, :]
    rhs = ray * known[..., 2:] - known[..., :2]
    left = jnp.einsum("...vkc,...vkci,...vkcj->...ij", w * jnp.ones_like(ray), row, row)
    right = jnp.einsum("...vkc,...vkci,...vkc->...i", w * jnp.ones_like(ray), row, rhs)
    # A ridge of nothing beside any keypoint keeps people without evidence finite.
    return jnp.linalg.solve(left + 1e-6 * jnp.eye(3, dtype=left.dtype), right[..., None])[..., 0]


def full_translation_from_crop(
    weak: Float[Array, "*batch 3"],
    box_center_px: Float[Array, "*batch 2"],
    box_size_px: Float[Array, "*batch"],
    camera: Camera,
) -> Float[Array, "*batch 3"]:
    """Full-image translation (m) from a crop's weak-perspective [s, tx, ty] (HMR's convention).

    tz = 2 f / (s box), tx += 2 (cx - W/2) / (s box), ty likewise, with the crop square of side box.
    """
    size = jnp.maximum(weak[..., 0] * box_size_px, 1e-6)
    xy = weak[..., 1:] + 2.0 * (box_center_px - camera.center_px) / size[..., None]
    return jnp.concatenate([xy, (2.0 * camera.focal_px[..., 0] / size)[..., None]], -1)
