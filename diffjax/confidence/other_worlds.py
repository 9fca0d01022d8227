"""The same people otherwise: mirrored, from other estimates, with half of their keypoints.

A sound method gives nearly the same answer. Where it does not, its answer hangs on chance.
"""

import dataclasses
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import annotate, chunks, devices, pose, skeleton
from diffjax.data import records
from diffjax.methods import map_fit, quality
from diffjax.pose import Pose

HALF = 0.5
"""Of the frontend's errors, as standard deviations: how far other estimates lie from the given ones."""
_FLIP = np.diag([-1.0, 1.0, 1.0]).astype(np.float32)


def mirrored(people: records.AnnotationSet) -> records.AnnotationSet:
    """What the cameras would have seen of the mirrored people, in the mirrored world: estimates and all evidence."""
    estimate = Pose(jnp.asarray(people.pred_pose), jnp.asarray(people.pred_betas))
    changes: dict[str, Any] = {"pred_pose": np.asarray(pose.mirror(estimate).rotations)}
    for kind in annotate.kinds_of(people):
        changes[annotate.FIELD_OF[kind]] = _mirrored_points(people, kind)
    for name in ("pred_cam_t", "view_translation"):
        if getattr(people, name) is not None:
            changes[name] = getattr(people, name) @ _FLIP
    if people.view_rotation is not None:
        changes["view_rotation"] = _FLIP @ people.view_rotation @ _FLIP
    return dataclasses.replace(people, **changes)


def _mirrored_points(people: records.AnnotationSet, kind: annotate.Kind) -> np.ndarray:
    field = annotate.FIELD_OF[kind]
    names = skeleton.keypoint_set(getattr(people, f"{field}_set"))
    evidence = jax.tree.map(jnp.asarray, annotate.evidence_of(people, kind))
    if kind == "joints3d":
        seen = quality.mirrored_evidence(evidence, skeleton.keypoint_set("coco17"), names)
        return np.asarray(seen.keypoints3d)
    return np.asarray(quality.mirrored_evidence(evidence, names).keypoints2d)


def from_others(
    people: records.AnnotationSet, errors: map_fit.ErrorModel, seed: int
) -> records.AnnotationSet:
    """The same people, their estimates moved by half an error such as the frontend makes, each row by its own."""
    batch = annotate.estimate_of(people), _names(people)
    how = {"size": devices.rows_at_once(), "label": "restart", "bar": False}
    moved, _ = chunks.in_chunks(_moved, batch, errors, np.int32(seed), **how)
    return with_estimate(people, moved)


def _names(people: records.AnnotationSet) -> np.ndarray:
    """(N,) a number of each row that is the same in whatever piece of a set it comes."""
    return np.array([zlib.crc32(row.tobytes()) for row in people.pred_pose], np.uint32)


def _moved(batch, errors, seed):
    estimate, names = batch
    noise = _draw(names, seed, (map_fit.RESIDUAL_SIZE,), jax.random.normal)
    return map_fit.move(estimate, HALF * noise @ jnp.asarray(errors.factor).T)


def _draw(names, seed, shape, kind):
    keys = jax.vmap(lambda name: jax.random.fold_in(jax.random.key(seed), name))(names)
    return jax.vmap(lambda key: kind(key, shape))(keys)


def halves(
    people: records.AnnotationSet, kind: annotate.Kind
) -> tuple[records.AnnotationSet, records.AnnotationSet]:
    """The same people, each time with another random half of the 2D keypoints that were seen."""
    evidence = annotate.evidence_of(people, kind)
    how = {"size": devices.rows_at_once(), "label": "halves", "bar": False}
    both, _ = chunks.in_chunks(_halves, (evidence, _names(people)), **how)
    field = annotate.FIELD_OF[kind]
    one, two = (dataclasses.replace(people, **{field: half.keypoints2d}) for half in both)
    return one, two


def _halves(batch):
    evidence, names = batch
    keypoints = evidence.keypoints2d.shape[-2:-1]
    return quality.halves(evidence, _draw(names, 0, keypoints, jax.random.uniform))


def with_estimate(people: records.AnnotationSet, estimate: Any) -> records.AnnotationSet:
    """The people with another estimate."""
    rotations, betas = (np.asarray(x, np.float32) for x in estimate)
    return dataclasses.replace(people, pred_pose=rotations, pred_betas=betas)
