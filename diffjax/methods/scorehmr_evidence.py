"""What ScoreHMR guides by: keypoints in one or several images, views of one body, smoothness in time.

The defaults are those of the authors' code; what they lack (several calibrated views of one person, errors relative
to the person, a translation that is solved instead of optimised, more kinds of smoothness) is beside them.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffjax import camera, energies, joint_limits, pose, segments

VIEW_SCALE = 300.0
"""What a coordinate of a view's pose is multiplied by before it is squared."""
IMAGE_PX = 1000.0
"""Pixel errors count as in an image whose longer side has so many pixels."""

Points = Callable[[pose.Pose], Float[Array, "rows K 3"]]
"""The keypoints of a body, metres, model origin as rotated: `body.pose_keypoints` of a folded regressor."""
Pixels = Literal["image", "box"]
"""What a pixel is measured by: the longer side of the image, robust in x and y apart, confidence squared (the
authors' code); or the box of the person's keypoints, robust in the distance (`energies.reprojection`)."""
Place = Literal["adam", "solved"]
"""Where people stand: optimised beside the pose (the authors' code), or solved at each step, in closed form."""


class Weights(NamedTuple):
    """What each kind of evidence weighs; may be traced. Those of zero are not in the paper."""

    keypoints: Float[Array, ""] | float = 0.003
    views: Float[Array, ""] | float = 0.005
    velocity: Float[Array, ""] | float = 30.0
    acceleration: Float[Array, ""] | float = 0.0
    camera_velocity: Float[Array, ""] | float = 0.0
    camera_acceleration: Float[Array, ""] | float = 0.0
    joint_limits: Float[Array, ""] | float = 0.0
    robust: Float[Array, ""] | float = 100.0
    """Residuals beyond this stop pulling: in pixels, or as a share of the box."""


class Observed(NamedTuple):
    """What is known of the rows: people in frames. Absent evidence has confidence 0 or the segment -1.

    With several calibrated views of a row there is an axis of views before K, and the pose is in world axes.
    """

    keypoints2d: Float[Array, "rows *views K 3"]
    """x, y in pixels of the full image; confidence."""
    camera: camera.Camera
    track: Int[Array, " rows"]
    """Rows of one person in a video, one after the other; below the number of rows."""
    views: Int[Array, " rows"]
    """Rows of one person at one instant, whose cameras' places are not known; below the number of rows."""
    rotation: Float[Array, "rows views 3 3"] | None = None
    """World to camera, of calibrated views."""
    position: Float[Array, "rows views 3"] | None = None
    """x_camera = rotation x_world + position, metres; None where only directions are known."""


class Terms(NamedTuple):
    """The evidence against some people."""

    shared: Float[Array, ""]
    """Weighted; what binds rows together, and what they pay alone for impossible joints."""
    keypoints: Float[Array, " rows"]
    """Unweighted."""
    translation: Float[Array, "rows *views 3"]
    """Where they stand."""


def in_cameras(points: Float[Array, "rows K 3"], observed: Observed) -> Array:
    """The same points in the axes of each row's camera, or cameras; (rows, *views, K, 3)."""
    if observed.rotation is None:
        return points
    return jnp.einsum("...vij,...kj->...vki", observed.rotation, points)


def place(points: Array, observed: Observed, width: Float[Array, ""] | float) -> Array:
    """The translations that best explain the keypoints: (rows, *views, 3), of points (rows, *views, K, 3)."""
    seen = evidence_of(observed)
    if observed.rotation is None or observed.position is None:
        return energies.place(points, seen, width)
    known = observed.rotation, observed.position
    first = _seen_from(
        *known, camera.fit_world_translation(*known, seen.camera, points, seen.keypoints2d)
    )
    weight = energies.inlier_weight(points, first, seen, width)
    trusted = seen.keypoints2d.at[..., 2].multiply(weight)
    return _seen_from(*known, camera.fit_world_translation(*known, seen.camera, points, trusted))


def _seen_from(rotation: Array, position: Array, translation: Array) -> Array:
    return jnp.einsum("...vij,...j->...vi", rotation, translation) + position


def evidence_of(observed: Observed) -> pose.Evidence:
    """The 2D evidence alone."""
    nothing = jnp.zeros((*observed.keypoints2d.shape[:-2], 1, 4), observed.keypoints2d.dtype)
    return pose.Evidence(observed.keypoints2d, nothing, observed.camera)


def keypoint_loss(
    points: Float[Array, "rows *views K 3"],
    translation: Float[Array, "rows *views 3"],
    observed: Observed,
    robust: Float[Array, ""] | float = 100.0,
) -> Float[Array, " rows"]:
    """Squared pixel errors, robust a coordinate, times squared confidence, in an image of 1000 px (Eq. 12)."""
    pixels = camera.project(observed.camera, points + translation[..., None, :])
    seen = observed.keypoints2d[..., 2:] > 0
    squared = jnp.where(seen, pixels - observed.keypoints2d[..., :2], 0.0) ** 2
    limited = energies.geman_mcclure(squared, robust)
    side = IMAGE_PX / jnp.max(observed.camera.image_size_px, -1)
    loss = side**2 * jnp.sum(observed.keypoints2d[..., 2:] ** 2 * limited, (-1, -2))
    return jnp.sum(loss.reshape(len(loss), -1), -1)


def box_loss(points: Array, translation: Array, observed: Observed, width: Array | float) -> Array:
    """The same relative to the box of the keypoints: the energy of `energies.reprojection`, summed over views."""
    loss = energies.reprojection_at(points, translation, evidence_of(observed), width)
    return jnp.sum(loss.reshape(len(loss), -1), -1)


def shared_loss(
    vector: Float[Array, "rows d"],
    translation: Float[Array, "rows *views 3"],
    observed: Observed,
    weights: Weights,
) -> Float[Array, ""]:
    """What binds rows together: views of one body, and frames that follow each other."""
    body_pose = vector[:, 6 : pose.VECTOR_SIZE["sixd144"]]  # Views share all but the orientation.
    where = translation.reshape(len(translation), -1)
    terms = (
        (weights.views * VIEW_SCALE**2, segments.deviations(body_pose, observed.views)),
        (weights.velocity, segments.velocities(vector, observed.track)),
        (weights.acceleration, segments.accelerations(vector, observed.track)),
        (weights.camera_velocity, segments.velocities(where, observed.track)),
        (weights.camera_acceleration, segments.accelerations(where, observed.track)),
    )
    return sum((weight * jnp.sum(term**2) for weight, term in terms), jnp.zeros((), vector.dtype))


def weigh(
    people: pose.Pose,
    vector: Float[Array, "rows d"],
    translation: Float[Array, "rows *views 3"],
    points: Points,
    observed: Observed,
    weights: Weights,
    *,
    pixels: Pixels = "image",
    standing: Place = "adam",
) -> Terms:
    """All the evidence against people, whose `vector` is not standardised."""
    seen = in_cameras(points(people), observed)
    if standing == "solved":
        width = weights.robust if pixels == "box" else jnp.inf
        translation = place(seen, observed, width)
    loss = keypoint_loss if pixels == "image" else box_loss
    shared = shared_loss(vector, translation, observed, weights)
    if not isinstance(weights.joint_limits, float) or weights.joint_limits:
        over = joint_limits.joint_limits(people.rotations)
        shared = shared + weights.joint_limits * jnp.sum(over)
    return Terms(
        shared,
        loss(seen, translation, observed, weights.robust),
        translation,
    )
