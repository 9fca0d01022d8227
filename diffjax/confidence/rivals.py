"""Known poses that explain a person's keypoints as well as the fit does: how far they are from it.

An expectation of its error, and of its gain over the estimate, over `methods.recall`'s empirical posterior. It sees
what the keypoints leave open and what the fit does about it.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax import body, evaluate, metrics, rotations
from diffjax.methods import recall
from diffjax.methods.keypoint_noise import ASSUMED, Noise
from diffjax.pose import Pose

_TOGETHER = 16


class Known(NamedTuple):
    """Known poses as the evidence and as the judge see them."""

    bank: recall.Bank
    joints: Float[Array, "poses J 3"]
    """Metres, of a body of mean shape."""
    noise: Noise = ASSUMED
    """Of the keypoints."""


def known_of(
    poses: Float[np.ndarray, "poses 24 3 3"],
    image: body.KeypointModel,
    judged: body.KeypointModel,
    noise: Noise = ASSUMED,
) -> Known:
    """These poses: `image` has the keypoints of the evidence, `judged` the joints whose distances count."""
    joints = jax.jit(body.pose_keypoints)(judged, poses, jnp.zeros(judged.joint_dirs.shape[-1]))
    return Known(recall.make_bank(poses, image), joints, noise)


def are_told(names: Iterable[str]) -> bool:
    """Whether some of these signals want known poses."""
    return any(name.startswith("rivals") for name in names)


def of(
    known: Known,
    judged: body.KeypointModel,
    before: Pose,
    after: Pose,
    keypoints2d: Float[Array, "batch K 3"],
    fit_from: Callable[[Pose], Pose] | None = None,
) -> dict[str, Float[Array, " batch"]]:
    """Signals over each person's rivals; 0 but for the misfit where fewer than `recall.SEEN` keypoints are seen.

    PA-MPJPE (mm) of the fit to them, on average and its standard deviation; by how much less it is than that of the
    estimate; in what share of them the fit is worse by more than 1 mm; how far the fit, the estimate and they
    themselves are from their mean pose; and how badly the best of them fits. With `fit_from`, a fit to the same
    evidence from any pose: how far fit and estimate are from the one that begins at the mean pose.
    """
    found = recall.recall(known.bank, keypoints2d, known.noise)
    mean_pose = rotations.project_to_so3(recall.mean_rotations(known.bank, found))
    people = (before, after, Pose(mean_pose, jnp.zeros_like(after.betas)))
    points = [body.pose_keypoints(judged, p.rotations, p.betas) for p in people]

    def distances(one):
        row, *people = one
        return [metrics.pa_mpjpe_mm(known.joints[row], joints[None]) for joints in people]

    batch = min(_TOGETHER, len(keypoints2d))
    estimate, fit, between = jax.lax.map(distances, (found.row, *points), batch_size=batch)
    mean = _expected(found.weight, fit)
    told = {
        "rivals_mm": mean,
        "rivals_spread_mm": jnp.sqrt(_expected(found.weight, (fit - mean[:, None]) ** 2)),
        "rivals_gain_mm": _expected(found.weight, estimate - fit),
        "rivals_harm": _expected(
            found.weight, (fit - estimate > evaluate.HARM_MM).astype(fit.dtype)
        ),
    }
    told |= {
        "rivals_open_mm": _expected(found.weight, between),
        "rivals_mean_mm_before": metrics.pa_mpjpe_mm(points[0], points[2]),
        "rivals_mean_mm_after": metrics.pa_mpjpe_mm(points[1], points[2]),
    }
    if fit_from is not None:
        other = fit_from(Pose(mean_pose, before.betas))
        joints = body.pose_keypoints(judged, other.rotations, other.betas)
        for when, own in zip(("before", "after"), points):
            told[f"rivals_fit_mm_{when}"] = metrics.pa_mpjpe_mm(own, joints)
    enough = recall.enough(keypoints2d)
    told = {name: jnp.where(enough, x, 0.0) for name, x in told.items()}
    return told | {"rivals_misfit": found.misfit}


def _expected(weight, values) -> Float[Array, " batch"]:
    return jnp.sum(weight * values, -1)
