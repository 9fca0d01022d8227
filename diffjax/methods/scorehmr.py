"""ScoreHMR (Stathopoulos, Han, Metaxas 2024): any regressor's people, refined by what was observed.

Arrays in, `Refined` out. Whom nothing is known of, or what cannot be trusted, comes back as it went in.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffjax import body, camera, energies, pose
from diffjax.methods import diffannot
from diffjax.methods.scorehmr_loop import Loop, Observed, Stop, Weights, fit

__all__ = ["Loop", "Observed", "Stop", "Weights", "refine", "usable"]

_NEAREST = 0.1  # Metres before the camera, as `camera.project` has it.
_WEIGHTS, _LOOP = Weights(), Loop()


def refine(
    estimate: pose.Pose,
    translation: Float[Array, "rows 3"],
    observed: Observed,
    keypoints: body.KeypointModel,
    prior: diffannot.Prior,
    context: Any = None,
    *,
    layout: pose.Layout = "sixd144",
    weights: Weights = _WEIGHTS,
    loop: Loop = _LOOP,
    stop: Stop = "leave",
    through_network: bool = False,
    margin: Float[Array, ""] | float = -jnp.inf,
) -> pose.Refined:
    """The people after the loop, and what the evidence says of them before and after.

    `translation` is in metres, at the intrinsics of `observed.camera`; `keypoints` is the body as the detector sees
    it. A row comes back unchanged, with `quality["refined"]` 0, where it is not `usable`, where the result is not
    finite, and where its reprojection error fell by less than `margin` pixels (the gate; none by default).
    """
    good = usable(estimate, translation, observed)
    safe = _without(good, estimate, translation, observed)

    def points(p: pose.Pose):
        return body.pose_keypoints(keypoints, p.rotations, p.betas)

    found = fit(
        prior,
        points,
        *safe,
        context,
        layout=layout,
        weights=weights,
        loop=loop,
        stop=stop,
        through_network=through_network,
    )
    vector = pose.unstandardise(prior.normaliser, found.x)
    finite = jnp.isfinite(vector).all(-1) & jnp.isfinite(found.translation).all(-1)
    vector = jnp.where(finite[:, None], vector, pose.vector_from_pose(safe[0], layout))
    after = pose.pose_from_vector(vector, layout, safe[0].betas)
    errors = [
        energies.reprojection_error_px(points(p), t, _evidence(safe[2]))
        for p, t in (safe[:2], (after, found.translation))
    ]
    blind = ~(safe[2].keypoints2d[..., 2] > 0).any(-1)
    refined = good & finite & (blind | (errors[0] - errors[1] > margin))
    keep = refined[:, None]
    quality = {
        "refined": refined.astype(vector.dtype),
        "converged": found.converged.astype(vector.dtype),
        "reprojection_px_before": errors[0],
        "reprojection_px_after": jnp.where(refined, errors[1], errors[0]),
    }
    return pose.Refined(
        pose.Pose(
            jnp.where(keep[..., None, None], after.rotations, estimate.rotations),
            jnp.where(keep, after.betas, estimate.betas),
        ),
        jnp.where(keep, found.translation, translation),
        quality,
    )


def usable(
    estimate: pose.Pose, translation: Float[Array, "rows 3"], observed: Observed
) -> Bool[Array, " rows"]:
    """Finite, before the camera, and with evidence: a keypoint, other frames or other views."""
    seen = observed.keypoints2d[..., 2]
    pixels = jnp.where(seen[..., None] > 0, observed.keypoints2d[..., :2], 0.0)
    finite = (
        jnp.isfinite(estimate.rotations).all((-1, -2, -3))
        & jnp.isfinite(estimate.betas).all(-1)
        & jnp.isfinite(translation).all(-1)
        & jnp.isfinite(seen).all(-1)
        & jnp.isfinite(pixels).all((-1, -2))
    )
    some = (seen > 0).any(-1) | (observed.track >= 0) | (observed.views >= 0)
    return finite & some & (translation[:, 2] > _NEAREST)


def _without(good: Array, estimate: pose.Pose, translation: Array, observed: Observed):
    """The same people with harmless rows, that touch nobody, for those that are not good."""
    rest = jnp.eye(3, dtype=estimate.rotations.dtype)
    away = jnp.asarray([0.0, 0.0, 5.0], translation.dtype)
    return (
        pose.Pose(
            jnp.where(good[:, None, None, None], estimate.rotations, rest),
            jnp.where(good[:, None], estimate.betas, 0.0),
        ),
        jnp.where(good[:, None], translation, away),
        Observed(
            jnp.where(good[:, None, None], observed.keypoints2d, 0.0),
            observed.camera,
            jnp.where(good, observed.track, -1),
            jnp.where(good, observed.views, -1),
        ),
    )


def _evidence(observed: Observed) -> pose.Evidence:
    nothing = jnp.zeros((*observed.track.shape, 1, 4), observed.keypoints2d.dtype)
    view = camera.Camera(*observed.camera)
    return pose.Evidence(observed.keypoints2d, nothing, view)
