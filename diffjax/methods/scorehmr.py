"""ScoreHMR (Stathopoulos, Han, Metaxas 2024): any regressor's people, refined by what was observed.

Arrays in, `Refined` out. Whom nothing is known of, or what cannot be trusted, comes back as it went in.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffjax import body, energies, pose
from diffjax.methods import diffannot
from diffjax.methods.scorehmr_evidence import Observed, Weights, evidence_of, in_cameras
from diffjax.methods.scorehmr_loop import Fitted, Loop, Stop, Task, run

__all__ = [
    "Fitted", "Loop", "Observed", "Stop", "Weights",
    "conclude", "prepare", "refine", "task_of", "usable",
]  # fmt: skip

_NEAREST = 0.1  # Metres before the camera, as `camera.project` has it.


def refine(
    estimate: pose.Pose,
    translation: Float[Array, "rows *views 3"],
    observed: Observed,
    keypoints: body.KeypointModel,
    prior: diffannot.Prior,
    context: Any = None,
    *,
    margin: Float[Array, ""] | float = -jnp.inf,
    stop: Stop = "leave",
    **how: Any,
) -> pose.Refined:
    """The people after the loop, and what the evidence says of them before and after.

    `translation` is in metres, at the intrinsics of `observed.camera`; `keypoints` is the body as the detector sees
    it; `how` are the fields of `scorehmr_loop.Task` from `layout` on. A row comes back unchanged, with
    `quality["refined"]` 0, where it is not `usable`, where the result is not finite, and where its reprojection error
    fell by less than `margin` shares of its keypoints' box (the gate; none by default).
    """
    safe, good = prepare(estimate, translation, observed)
    task = task_of(keypoints, prior, safe, context, stop=stop, **how)
    found = run(task, *safe[:2])
    return conclude(task, found, good, safe, estimate, translation, margin)


def task_of(
    keypoints: body.KeypointModel,
    prior: diffannot.Prior,
    safe: tuple[pose.Pose, Array, Observed],
    context: Any = None,
    **how: Any,
) -> Task:
    """What is fitted to what, of people made `safe` by `prepare`."""

    def points(p: pose.Pose) -> Float[Array, "rows K 3"]:
        return body.pose_keypoints(keypoints, p.rotations, p.betas)

    return Task(prior, points, safe[0].betas, safe[2], context, **how)


def conclude(
    task: Task,
    found: Fitted,
    good: Bool[Array, " rows"],
    safe: tuple[pose.Pose, Array, Observed],
    estimate: pose.Pose,
    translation: Array,
    margin: Float[Array, ""] | float = -jnp.inf,
) -> pose.Refined:
    """What was found, where it can be used and gains enough; else what came in."""
    vector = pose.unstandardise(task.prior.normaliser, found.x)
    finite = jnp.isfinite(vector).all(-1) & _all(jnp.isfinite(found.translation))
    vector = jnp.where(finite[:, None], vector, pose.vector_from_pose(safe[0], task.layout))
    after = pose.pose_from_vector(vector, task.layout, safe[0].betas)
    before, then = (_error_px(task, p, t) for p, t in (safe[:2], (after, found.translation)))
    box = jnp.maximum(_mean_over_views(energies.box_side(evidence_of(safe[2])), safe[2]), 1.0)
    blind = ~_any(safe[2].keypoints2d[..., 2] > 0)
    refined = good & finite & (blind | ((before - then) / box > margin))
    keep = refined[:, None]
    place = refined.reshape(-1, *[1] * (translation.ndim - 1))
    quality = {
        "refined": refined.astype(vector.dtype),
        "converged": found.converged.astype(vector.dtype),
        "reprojection_px_before": before,
        "reprojection_px_after": jnp.where(refined, then, before),
        "gain": (before - then) / box,
    }
    return pose.Refined(
        pose.Pose(
            jnp.where(keep[..., None, None], after.rotations, estimate.rotations),
            jnp.where(keep, after.betas, estimate.betas),
        ),
        jnp.where(place, found.translation, translation),
        quality,
    )


def _error_px(task: Task, people: pose.Pose, translation: Array) -> Float[Array, " rows"]:
    """Mean over the views that see anything."""
    seen = in_cameras(task.points(people), task.observed)
    error = energies.reprojection_error_px(seen, translation, evidence_of(task.observed))
    return _mean_over_views(error, task.observed)


def _mean_over_views(values: Array, observed: Observed) -> Float[Array, " rows"]:
    seen = (observed.keypoints2d[..., 2] > 0).any(-1).reshape(len(values), -1)
    values = values.reshape(len(values), -1)
    total = jnp.sum(jnp.where(seen, values, 0.0), -1)
    return total / jnp.maximum(jnp.sum(seen, -1), 1).astype(total.dtype)


def _all(values: Bool[Array, "rows *rest"]) -> Bool[Array, " rows"]:
    return values.reshape(len(values), -1).all(-1)


def _any(values: Bool[Array, "rows *rest"]) -> Bool[Array, " rows"]:
    return values.reshape(len(values), -1).any(-1)


def usable(
    estimate: pose.Pose, translation: Float[Array, "rows *views 3"], observed: Observed
) -> Bool[Array, " rows"]:
    """Finite, before the camera, and with evidence: a keypoint, other frames or other views."""
    seen = observed.keypoints2d[..., 2]
    pixels = jnp.where(seen[..., None] > 0, observed.keypoints2d[..., :2], 0.0)
    numbers = (*estimate, translation, seen, pixels)
    finite = jnp.stack([_all(jnp.isfinite(x)) for x in numbers]).all(0)
    some = _any(seen > 0) | (observed.track >= 0) | (observed.views >= 0)
    return finite & some & _all(translation[..., 2] > _NEAREST)


def prepare(
    estimate: pose.Pose, translation: Array, observed: Observed
) -> tuple[tuple[pose.Pose, Array, Observed], Bool[Array, " rows"]]:
    """The same people, with harmless rows that touch nobody for those that are not `usable`; and who is."""
    good = usable(estimate, translation, observed)

    def where(values: Any, other: Any) -> Any:
        return jnp.where(good.reshape(-1, *[1] * (values.ndim - 1)), values, other)

    rest = jnp.eye(3, dtype=estimate.rotations.dtype)
    away = jnp.asarray([0.0, 0.0, 5.0], translation.dtype)
    safe = observed._replace(
        keypoints2d=where(observed.keypoints2d, 0.0),
        track=where(observed.track, -1),
        views=where(observed.views, -1),
    )
    people = pose.Pose(where(estimate.rotations, rest), where(estimate.betas, 0.0))
    return (people, where(translation, away), safe), good
