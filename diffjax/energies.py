"""Energies: how badly a pose explains the evidence. Small pure functions (pose, evidence) -> one number a sample.

All lengths are relative to the person (the box of the keypoints, or one metre), so that one strength fits
every image size. Evidence of confidence 0 contributes nothing, neither value nor gradient.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffjax import body, camera
from diffjax.pose import Evidence, Pose

Energy = Callable[[Pose, Evidence], Float[Array, "*batch"]]

SCALE = 1e3
"""Brings a squared share of the box to the magnitude of a squared standard deviation."""


def geman_mcclure(
    squared: Float[Array, "*batch"], width: Float[Array, "*#batch"] | float
) -> Float[Array, "*batch"]:
    """e^2 / (1 + e^2 / width^2): quadratic inside, flat outside (Geman & McClure 1987)."""
    return squared / (1.0 + squared / width**2)


def _residual_squared(keypoints, translation, evidence):
    pixels = camera.project(evidence.camera, keypoints + translation[..., None, :])
    side = camera.keypoint_box(evidence.keypoints2d)[1][..., None, None]
    # Where a keypoint was not seen its coordinates may be anything: cut it off before it is squared.
    seen = evidence.keypoints2d[..., 2:] > 0
    return jnp.sum(jnp.where(seen, (pixels - evidence.keypoints2d[..., :2]) / side, 0.0) ** 2, -1)


def box_side(evidence: Evidence) -> Float[Array, "*batch"]:
    """The longer side of the keypoints' box in pixels, at least 1."""
    return camera.keypoint_box(evidence.keypoints2d)[1]


def place(
    keypoints: Float[Array, "*batch K 3"], evidence: Evidence, width: Float[Array, ""] | float
) -> Float[Array, "*batch 3"]:
    """The translation (m) that best explains the keypoints: closed form, then once more without outliers."""
    first = camera.fit_translation(evidence.camera, keypoints, evidence.keypoints2d)
    weight = inlier_weight(keypoints, first, evidence, width)
    observed = evidence.keypoints2d.at[..., 2].multiply(weight)
    return camera.fit_translation(evidence.camera, keypoints, observed)


def inlier_weight(
    keypoints: Float[Array, "*batch K 3"],
    translation: Float[Array, "*batch 3"],
    evidence: Evidence,
    width: Float[Array, ""] | float,
) -> Float[Array, "*batch K"]:
    """How much `geman_mcclure` trusts each keypoint, from 1 to 0; no gradient runs through it."""
    squared = _residual_squared(keypoints, translation, evidence)
    return jax.lax.stop_gradient(1.0 / (1.0 + squared / width**2) ** 2)


def reprojection_at(
    keypoints: Float[Array, "*batch K 3"],
    translation: Float[Array, "*batch 3"],
    evidence: Evidence,
    width: Float[Array, ""] | float,
) -> Float[Array, "*batch"]:
    """Energy of 2D keypoints for people who stand at a translation (m)."""
    squared = _residual_squared(keypoints, translation, evidence)
    return SCALE * jnp.sum(evidence.keypoints2d[..., 2] * geman_mcclure(squared, width), -1)


def reprojection(model: body.KeypointModel, width: Float[Array, ""] | float = jnp.inf) -> Energy:
    """Energy of 2D keypoints; the translation is solved inside. `width` is the robust scale in box sides."""

    def energy(pose: Pose, evidence: Evidence) -> Float[Array, "*batch"]:
        keypoints = body.pose_keypoints(model, pose.rotations, pose.betas)
        return reprojection_at(keypoints, place(keypoints, evidence, width), evidence, width)

    return energy


def joints3d(model: body.KeypointModel) -> Energy:
    """Energy of 3D joints in camera axes; where they are (the origin) is solved inside."""

    def energy(pose: Pose, evidence: Evidence) -> Float[Array, "*batch"]:
        keypoints = body.pose_keypoints(model, pose.rotations, pose.betas)
        weight = evidence.keypoints3d[..., 3]
        difference = keypoints - evidence.keypoints3d[..., :3]
        difference = jnp.where(weight[..., None] > 0, difference, 0.0)
        total = jnp.maximum(jnp.sum(weight, -1), 1e-6)[..., None]
        shift = jnp.sum(weight[..., None] * difference, -2) / total
        squared = jnp.sum((difference - shift[..., None, :]) ** 2, -1)
        return SCALE * jnp.sum(weight * squared, -1)

    return energy


def total(*terms: Energy) -> Energy:
    """The sum of energies."""
    return lambda pose, evidence: jnp.sum(jnp.stack([e(pose, evidence) for e in terms]), 0)


def reprojection_error_px(
    keypoints: Float[Array, "*batch K 3"], translation: Float[Array, "*batch 3"], evidence: Evidence
) -> Float[Array, "*batch"]:
    """Mean distance in pixels over the keypoints, weighted by confidence; 0 without any."""
    squared = _residual_squared(keypoints, translation, evidence)
    weight = evidence.keypoints2d[..., 2]
    side = camera.keypoint_box(evidence.keypoints2d)[1]
    return (
        side
        * jnp.sum(weight * jnp.sqrt(squared + 1e-12), -1)
        / jnp.maximum(jnp.sum(weight, -1), 1e-6)
    )
