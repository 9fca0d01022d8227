"""Views of one person: one body in world axes from several estimates, and each view's own from one body."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body, pose
from diffjax.data import records
from diffjax.fitting.blocks import Fitter
from diffjax.fitting.programs import Rows
from diffjax.methods import scorehmr, scorehmr_evidence
from diffjax.pose import Pose, Refined


def index_of(group: np.ndarray) -> np.ndarray:
    """(people, views) places of the rows of each group, -1 where a group has fewer than the largest."""
    sizes = np.bincount(group)
    index = np.full((len(sizes), sizes.max()), -1)
    index[group, np.arange(len(group)) - (np.cumsum(sizes) - sizes)[group]] = np.arange(len(group))
    return index


def merge(estimate: Pose, rotation: Any, index: np.ndarray) -> Pose:
    """One body of all views, in world axes: the mean of rotations, put back on SO(3), and of betas."""
    matrices = np.asarray(estimate.rotations).copy()
    matrices[:, 0] = np.swapaxes(rotation, -1, -2) @ matrices[:, 0]
    seen = np.asarray(index >= 0, np.float32)
    count = seen.sum(1)

    def mean(values):
        weight = seen.reshape(*seen.shape, *[1] * (values.ndim - 1))
        total = (weight * values[index]).sum(1)
        return (total / count.reshape(-1, *[1] * (values.ndim - 1))).astype(np.float32)

    return Pose(
        pose.nearest_rotations(mean(matrices)), jnp.asarray(mean(np.asarray(estimate.betas)))
    )


def of_instants(
    fitter: Fitter, people: records.AnnotationSet, merged: Pose, evidence: Any, index: np.ndarray
) -> Rows:
    """People as rows with an axis of views. ValueError for a prior that wants the condition of one view."""
    if fitter.loaded.model is not None and fitter.settings.prior == "network":
        raise ValueError(
            "mode scorehmr: wanted a prior without condition for calibrated views, found "
            f"{fitter.loaded.model.run.model.condition}; pass another --parts.prior, or "
            "--scorehmr.views.prior none"
        )
    taken = jax.tree.map(lambda x: np.asarray(x)[index], evidence)
    keypoints = np.where((index >= 0)[..., None, None], taken.keypoints2d, np.float32(0))
    nobody = np.full(len(index), -1)
    rotation, position = people.view_rotation, people.view_translation
    assert rotation is not None, "calibrated"
    observed = scorehmr.Observed(
        keypoints,
        taken.camera,
        nobody,
        nobody,
        rotation[index],
        None if position is None else position[index],
    )
    return Rows(merged, placed(fitter, merged, observed), observed, None)


def placed(fitter: Fitter, people: Pose, observed: scorehmr.Observed) -> Any:
    """Where the keypoints say that the estimates stand."""
    width = fitter.settings.robust if fitter.settings.pixels == "box" else np.inf
    return np.asarray(_place(people, observed, fitter.keypoints, np.float32(width)))


@jax.jit
def _place(people, observed, keypoints, width):
    points = body.pose_keypoints(keypoints, people.rotations, people.betas)
    return scorehmr_evidence.place(scorehmr_evidence.in_cameras(points, observed), observed, width)


def apart(fitter: Fitter, fitted: Refined, people, estimate: Pose, index: np.ndarray) -> Refined:
    """The rows of people who were fitted in world axes: each view has its own orientation and place."""
    who, view = np.nonzero(index >= 0)
    row = index[who, view]
    order = np.argsort(row)
    who, view = who[order], view[order]
    matrices = np.asarray(fitted.pose.rotations)[who].copy()
    matrices[:, 0] = people.view_rotation @ matrices[:, 0]
    betas = np.asarray(fitted.pose.betas)[who]
    quality = {name: np.asarray(value)[who] for name, value in fitted.quality.items()}
    kept = quality["refined"] > 0
    # SMPL turns about the rest pelvis, which does not turn with the camera.
    pelvis = (
        np.asarray(fitter.model.joint_template)[0]
        + betas @ np.asarray(fitter.model.joint_dirs)[0].T
    )
    turned = np.einsum("nij,nj->ni", people.view_rotation, pelvis)
    translation = np.asarray(fitted.translation)[who, view] + turned - pelvis
    rotations = np.where(kept[:, None, None, None], matrices, np.asarray(estimate.rotations))
    betas = np.where(kept[:, None], betas, np.asarray(estimate.betas))
    return Refined(Pose(rotations, betas), translation.astype(np.float32), quality)
