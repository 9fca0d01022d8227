"""What can be told of a fit without the truth: signals of people, one number each.

None of them sees a true joint. `confidence` makes expected errors and decisions of them, for every method.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from diffjax import body, energies, metrics, pose, skeleton
from diffjax import schedule as noising
from diffjax.methods import diffannot
from diffjax.pose import Evidence, Pose


def denoising_loss(
    prior: diffannot.Prior,
    people: Pose,
    *,
    key: PRNGKeyArray,
    layout: pose.Layout = "sixd154",
    context: Any = None,
    t: int = 50,
    draws: int = 4,
) -> Float[Array, "*batch"]:
    """How badly a prior knows these poses: mean squared error of the noise it finds at time t.

    The noise is the same for everybody and every call with one key, so that two poses are compared under it.
    """
    x = pose.standardise(prior.normaliser, pose.vector_from_pose(people, layout))
    noises = jax.random.normal(key, (draws, x.shape[-1]), x.dtype)

    def one(eps):
        eps = jnp.broadcast_to(eps, x.shape)
        x_t = noising.add_noise(prior.schedule, x, t, eps)
        x_0 = prior.denoiser(x_t, jnp.asarray(t), context)
        found = noising.eps_from_x0(prior.schedule, x_t, t, x_0)
        return jnp.mean((found - eps) ** 2, -1)

    return jnp.mean(jax.lax.map(one, noises), 0)


def moved_mm(model: body.KeypointModel, before: Pose, after: Pose) -> Float[Array, "*batch"]:
    """PA-MPJPE between two poses in mm."""
    points = [body.pose_keypoints(model, p.rotations, p.betas) for p in (before, after)]
    return metrics.pa_mpjpe_mm(points[1], points[0])


def moved_deg(before: Pose, after: Pose) -> Float[Array, "*batch"]:
    """Mean geodesic distance of the moving local joint rotations, in degrees."""
    return metrics.rotation_error_deg(after.rotations, before.rotations, skeleton.MOVING_JOINTS)


def reprojection_share(
    model: body.KeypointModel, people: Pose, evidence: Evidence, width: float = 0.1
) -> Float[Array, "*batch"]:
    """Mean reprojection error as a share of the keypoints' box, translation solved; 0 where nothing was seen."""
    points = body.pose_keypoints(model, people.rotations, people.betas)
    where = energies.place(points, evidence, width)
    error = energies.reprojection_error_px(points, where, evidence) / energies.box_side(evidence)
    return jnp.where(_some(evidence), error, 0.0)


def joints3d_mm(
    model: body.KeypointModel, people: Pose, evidence: Evidence
) -> Float[Array, "*batch"]:
    """Mean distance to the 3D joints after the best shift, mm; 0 without any."""
    points = body.pose_keypoints(model, people.rotations, people.betas)
    return diffannot.aligned_mm(points, evidence.keypoints3d[..., :3], evidence.keypoints3d[..., 3])


def halves(evidence: Evidence, lot: Float[Array, "*batch K"]) -> tuple[Evidence, Evidence]:
    """The same evidence twice, each with another half of the keypoints that were seen (2D only).

    `lot` are numbers in [0, 1) that say in which order keypoints are dealt.
    """
    seen = evidence.keypoints2d[..., 2] > 0
    lot = jnp.where(seen, lot, 2.0)
    rank = jnp.argsort(jnp.argsort(lot, -1), -1)
    first = rank < (jnp.sum(seen, -1, keepdims=True) + 1) // 2
    return _only(evidence, seen & first), _only(evidence, seen & ~first)


def box_ratio(part: Evidence, whole: Evidence) -> Float[Array, "*batch"]:
    """What takes shares of the box of some keypoints to shares of the box of all."""
    return energies.box_side(part) / energies.box_side(whole)


def mirrored_evidence(
    evidence: Evidence, names2d: Sequence[str], names3d: Sequence[str] | None = None
) -> Evidence:
    """What the camera would have seen of the mirrored person: x turned about the principal point, sides exchanged.

    `names2d` are the keypoints of `evidence.keypoints2d`, `names3d` those of `keypoints3d` where there are any.
    """
    order = jnp.asarray(skeleton.mirror_permutation(tuple(names2d)))
    flat, solid = evidence.keypoints2d[..., order, :], evidence.keypoints3d
    x = 2.0 * evidence.camera.center_px[..., None, 0] - flat[..., 0]
    if names3d is not None:
        solid = solid[..., jnp.asarray(skeleton.mirror_permutation(tuple(names3d))), :]
        solid = solid.at[..., 0].multiply(-1.0)
    return evidence._replace(keypoints2d=flat.at[..., 0].set(x), keypoints3d=solid)


def _some(evidence: Evidence) -> Bool[Array, "*batch"]:
    return (evidence.keypoints2d[..., 2] > 0).any(-1)


def _only(evidence: Evidence, kept: Bool[Array, "*batch K"]) -> Evidence:
    weight = jnp.where(kept, evidence.keypoints2d[..., 2], 0.0)
    return evidence._replace(keypoints2d=evidence.keypoints2d.at[..., 2].set(weight))
