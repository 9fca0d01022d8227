"""Errors of rotations, in degrees: of local joint rotations, and of the orientations of body parts."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffjax import rotations, skeleton
from diffjax.metrics import sums

PARTS = (0, 1, 2, 4, 5, 16, 17, 18, 19)
"""SMPL joints whose orientations the 3DPW challenge and EMDB judge: pelvis, thighs, shanks, upper arms, forearms."""


def rotation_error_deg(
    pred: Float[Array, "*#batch joints 3 3"],
    true: Float[Array, "*#batch joints 3 3"],
    joints: tuple[int, ...],
    weight: Float[Array, "*#batch joints"] | None = None,
) -> Float[Array, "*batch"]:
    """Mean geodesic error of the named joint rotations, in degrees; NaN where there or by `weight` is none."""
    index = jnp.asarray(joints, int)
    angle = rotations.geodesic_angle(pred[..., index, :, :], true[..., index, :, :])
    if weight is None:
        return jnp.mean(jnp.rad2deg(angle), -1)
    w = jnp.broadcast_to(weight[..., index], angle.shape)
    return jnp.where(jnp.sum(w, -1) > 0, sums.mean(jnp.rad2deg(angle), w), jnp.nan)


def orientations(
    local: Float[Array, "*batch joints 3 3"],
    parents: tuple[int, ...] = skeleton.SMPL_PARENTS,
) -> Float[Array, "*batch joints 3 3"]:
    """How each part stands in the camera frame: the product of the rotations from the root down to its joint."""
    found = [local[..., 0, :, :]]
    for joint in range(1, len(parents)):
        found.append(found[parents[joint]] @ local[..., joint, :, :])
    return jnp.stack(found, -3)


def orientation_error_deg(
    pred: Float[Array, "*batch joints 3 3"],
    true: Float[Array, "*batch joints 3 3"],
    turn: Float[Array, "*batch 3 3"] | None = None,
    weight: Float[Array, "*batch joints"] | None = None,
) -> Float[Array, "*batch"]:
    """MPJAE: mean geodesic error in degrees of the orientations of `PARTS`; both arguments are local rotations.

    With the rotation of the similarity that lays pred's joints on true's as `turn`, MPJAE-PA.
    """
    ours, theirs = orientations(pred), orientations(true)
    if turn is not None:
        ours = turn[..., None, :, :] @ ours
    return rotation_error_deg(ours, theirs, PARTS, weight)
