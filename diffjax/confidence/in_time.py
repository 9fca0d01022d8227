"""What a track tells of its rows: how far each departs from its neighbours, how it shakes, whose bones change."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import body, chunks, devices, fitting
from diffjax.data import records
from diffjax.methods import bones
from diffjax.pose import Pose

_AWAY = np.array([-1.0, 2.0, -1.0]) / 2
"""Of the middle of two neighbours."""
_JERK = np.array([-1.0, 3.0, -3.0, 1.0])


def of(
    model: body.KeypointModel, people: records.AnnotationSet, before: Pose, after: Pose
) -> dict[str, np.ndarray]:
    """Signals of every row, before and after; 0 where a track is too short for them.

    `away`: mm of the joints from the middle of their neighbours'. `jerk`: mm a frame^3. `bones`: mean share by which
    bones depart from their median in the track. Joints are relative to their mean.
    """
    groups = fitting.groups_of(people, "video")
    found: dict[str, np.ndarray] = {}
    for name, some in (("before", before), ("after", after)):
        joints, lengths = _posed(model, some)
        for what in ("away_mm", "jerk_mm", "bones"):
            found[f"{what}_{name}"] = np.zeros(len(joints), np.float32)
        for rows in groups:
            found[f"away_mm_{name}"][rows] = _filtered(joints[rows], _AWAY)
            found[f"jerk_mm_{name}"][rows] = _filtered(joints[rows], _JERK)
            middle = np.median(lengths[rows], 0)
            share = np.abs(lengths[rows] / np.maximum(middle, 1e-6) - 1)
            found[f"bones_{name}"][rows] = share.mean(-1)
    return found


def _filtered(joints: np.ndarray, filter_: np.ndarray) -> np.ndarray:
    """Mean over joints of what a filter in time makes of them, mm; the ends get what is next to them."""
    count, taps = len(joints), len(filter_)
    if count < taps:
        return np.zeros(count, np.float32)
    found = sum(w * joints[i : count - taps + 1 + i] for i, w in enumerate(filter_))
    size = 1000.0 * np.linalg.norm(found, axis=-1).mean(-1)
    first = (taps - 1) // 2
    return np.pad(size, (first, taps - 1 - first), mode="edge")


def _posed(model: body.KeypointModel, people: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Joints about their mean (m), and lengths of the bones at rest (m)."""
    how = {"size": devices.rows_at_once(), "label": "joints", "bar": False}
    (joints, lengths), _ = chunks.in_chunks(_joints, people, model, **how)
    return joints - joints.mean(-2, keepdims=True), lengths[:, 1:]


def _joints(people: Pose, model: body.KeypointModel) -> tuple[Any, Any]:
    rest = model.joint_template + jnp.einsum("jcd,nd->njc", model.joint_dirs, people.betas)
    points = body.pose_keypoints(model, people.rotations, people.betas)
    return points, bones.bone_lengths(rest, model.parents)
