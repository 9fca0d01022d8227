"""L_3D and L_2D: how far a predicted pose is from observed joints, differentiable through the body."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffjax import body, camera, energies, metrics
from diffjax.pose import Evidence, Pose

Joints = Callable[[Pose], Array]
"""Pose -> (*batch, K, 3) keypoints of one set, metres."""


class Loss(NamedTuple):
    """Per-sample losses of a predicted pose against evidence."""

    metres: Callable[[Pose, Evidence], Array]
    """L_3D: PA-MPJPE or MPJPE in metres."""
    boxes: Callable[[Pose, Evidence], Array]
    """L_2D: mean pixel distance, in sides of the person's box."""


def keypoint_function(model: body.BodyModel, path: str, name: str) -> Joints:
    """The keypoints of a named set on the body that was loaded from `path`."""
    if name == "smpl24":
        return lambda people: body.pose_joints(model, people.rotations, people.betas)
    folded = body.fold_keypoints(model, body.load_regressor(path, name))
    return lambda people: body.pose_keypoints(folded, people.rotations, people.betas)


def joint_error(
    joints: Float[Array, "*batch J 3"],
    observed: Float[Array, "*batch J 4"],
    kind: str,
    root: tuple[int, ...],
) -> Float[Array, "*batch"]:
    """PA-MPJPE (DiffAnnot's L_3D) or root-aligned MPJPE in metres; 0 with too little truth to align.

    `observed` is x, y, z in metres and a confidence.
    """
    weight = observed[..., 3]
    enough = jnp.sum(weight > 0, -1) >= 3
    if kind == "mpjpe":
        enough &= jnp.all(weight[..., jnp.asarray(root)] > 0, -1)
    # Where nothing was seen the prediction stands in for it: error and gradient are 0 and finite.
    seen = (weight > 0) & enough[..., None]
    true = jnp.where(seen[..., None], observed[..., :3], jax.lax.stop_gradient(joints))
    weight = jnp.where(enough[..., None], weight, 1.0)
    if kind == "mpjpe":
        error = metrics.mpjpe_mm(metrics.center(joints, root), metrics.center(true, root), weight)
    else:
        error = metrics.pa_mpjpe_mm(joints, true, weight)
    return jnp.where(enough, error / 1000.0, 0.0)


def pixel_error(
    keypoints: Float[Array, "*batch K 3"], evidence: Evidence
) -> Float[Array, "*batch"]:
    """Reprojection error in box sides, the translation solved in closed form; 0 without keypoints."""
    enough = jnp.sum(evidence.keypoints2d[..., 2] > 0, -1) >= 3
    place = camera.fit_translation(evidence.camera, keypoints, evidence.keypoints2d)
    error = energies.reprojection_error_px(keypoints, place, evidence)
    return jnp.where(enough, error / camera.keypoint_box(evidence.keypoints2d)[1], 0.0)


def make_loss(
    joints3d: Joints | None, root: tuple[int, ...], kind: str, joints2d: Joints | None
) -> Loss:
    """The losses; a term without joints is 0 for every sample."""

    def metres(people: Pose, evidence: Evidence) -> Array:
        if joints3d is None:
            return jnp.zeros(people.betas.shape[:-1])
        return joint_error(joints3d(people), evidence.keypoints3d, kind, root)

    def boxes(people: Pose, evidence: Evidence) -> Array:
        if joints2d is None:
            return jnp.zeros(people.betas.shape[:-1])
        return pixel_error(joints2d(people), evidence)

    return Loss(metres, boxes)
