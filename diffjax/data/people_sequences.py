"""Annotation sets with tracks as sequence sets: the joints of every estimate, and where its 2D evidence says they are.

Evidence and joints are of different sets. A joint's 2D is its projection, moved by what the keypoints of its name (or
those around it) are off theirs, each by its confidence: what was not seen says what the estimate says.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from diffjax import body, camera, chunks, config, devices, pose, skeleton, tracks, windows
from diffjax.data import pose_sequences, records, sequence_sets
from diffjax.data.sequence_sets import SequenceSet

Field = Literal["labels2d", "keypoints2d"]
_HIPS, _SHOULDERS = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
AROUND = {
    "pelvis": _HIPS,
    "neck": _SHOULDERS,
    "thorax": _SHOULDERS,
    "spine": (*_HIPS, *_SHOULDERS),
    "head": _FACE,
    "head_top": _FACE,
}
"""Keypoints that tell where a joint is whose name the evidence lacks."""


class Tracked(NamedTuple):
    """A sequence set of people, and whose frames they are."""

    videos: SequenceSet
    rows: Int[np.ndarray, " rows"]
    """The place of each frame in the annotation set."""


class Looks(NamedTuple):
    """A body as the estimate and as the evidence see it, in one pass."""

    both: body.KeypointModel
    """The joints, then the keypoints of the evidence."""
    around: Float[Array | np.ndarray, "joints K"]
    """1 where a keypoint tells of a joint."""


def looks_of(path: str, model: body.BodyModel, joint_set: str, keypoint_set: str) -> Looks:
    """ValueError for sets that the body has no regressor of, and for joints without a pelvis."""
    pose_sequences.root_index(joint_set)
    where = config.locate(path)
    regressors = [body.load_regressor(where, name) for name in (joint_set, keypoint_set)]
    keypoints = skeleton.keypoint_set(keypoint_set)
    around = np.zeros((len(regressors[0]), len(keypoints)), np.float32)
    for i, joint in enumerate(skeleton.keypoint_set(joint_set)):
        names = (joint,) if joint in keypoints else AROUND.get(joint, ())
        around[i, [keypoints.index(name) for name in names if name in keypoints]] = 1.0
    return Looks(body.fold_keypoints(model, np.concatenate(regressors)), around)


def of_people(
    a: records.AnnotationSet, looks: Looks, joint_set: str, field: Field, where: str = "set"
) -> Tracked:
    """The tracks of a set: estimate, 2D and, where everybody's is known, the truth in the same body."""
    _check(a, field, where)
    groups = tracks.tracks(a.sequence, a.subject, a.view, a.frame, where)
    order = np.concatenate(groups)
    columns = a.pred_pose, a.pred_betas, getattr(a, field), a.focal_px, a.center_px
    batch = tuple(np.asarray(x, np.float32)[order] for x in columns)
    (joints, pixels), _ = chunks.in_chunks(
        _look, batch, looks, size=devices.rows_at_once(), label="joints", bar=False
    )
    size = 2.0 * batch[4] if a.image_size_px is None else a.image_size_px[order]
    points = pose_sequences.normalised(np.asarray(pixels), size)
    unseen = ~(batch[2][..., 2] > 0).any(-1)
    fields = {
        "poses2d": _filled(points, unseen, [len(rows) for rows in groups]),
        "estimate3d": _rooted(joints, joint_set),
        "truth3d": _truth(a, order, looks, joint_set),
        "joint_set": joint_set,
        "sequence": np.full(len(order), "") if a.sequence is None else a.sequence[order],
        "frame": np.asarray(a.frame)[order],
        **{name: x[order] for name in ("subject", "view") if (x := getattr(a, name)) is not None},
    }
    made = {name: value for name, value in fields.items() if value is not None}
    return Tracked(sequence_sets.from_arrays(made, where), order)


def _check(a: records.AnnotationSet, field: Field, where: str) -> None:
    for name in (field, "focal_px", "center_px", "frame"):
        if getattr(a, name) is None:
            raise ValueError(
                f"{where}: field {name}: wanted it for sequences, found nothing; tracks need 2D keypoints with "
                "their camera, and frame numbers (scripts/convert.py join adds what another file has)"
            )


@jax.jit
def _look(batch: tuple[Array, ...], looks: Looks) -> tuple[Array, Array]:
    """Joints about the model's origin (m), and their pixels as the evidence moves them."""
    matrices, betas, keypoints2d, focal_px, center_px = batch
    view = camera.Camera(focal_px, center_px, 2.0 * center_px)
    points = body.pose_keypoints(looks.both, pose.nearest_rotations(matrices), betas)
    count = len(looks.around)
    place = camera.fit_translation(view, points[:, count:], keypoints2d)
    pixels = camera.project(view, points + place[:, None])
    confidence = keypoints2d[..., 2:]
    off = jnp.where(confidence > 0, keypoints2d[..., :2] - pixels[:, count:], 0.0)
    tells = looks.around * (confidence[..., 0] > 0).astype(jnp.float32)[:, None]
    total = jnp.maximum(jnp.sum(tells, -1, keepdims=True), 1.0)
    return points[:, :count], pixels[:, :count] + tells @ (confidence * off) / total


@jax.jit
def _posed(batch: tuple[Array, ...], looks: Looks) -> Array:
    return body.pose_keypoints(looks.both, *batch)[:, : len(looks.around)]


def _filled(points: Any, unseen: np.ndarray, lengths: list[int]) -> np.ndarray:
    """Frames without evidence lie between their neighbours; a track without any stays as it was projected."""
    ids = np.repeat(np.arange(len(lengths)), lengths)
    alone = np.bincount(ids, ~unseen, len(lengths))[ids] == 0
    known = np.where((unseen & ~alone)[:, None, None], np.nan, points)
    return windows.fill_gaps(known.astype(np.float32), lengths, "fill")[0]


def _rooted(joints: Any, joint_set: str) -> np.ndarray:
    """Relative to the pelvis."""
    root = pose_sequences.root_index(joint_set)
    joints = np.asarray(joints)
    return joints - joints[:, root : root + 1]


def _truth(
    a: records.AnnotationSet, order: np.ndarray, looks: Looks, joint_set: str
) -> np.ndarray | None:
    """None unless everybody's pose is known, and of this body."""
    if a.pose is None or a.betas is None:
        return None
    same = a.gender is None or bool((a.gender == "neutral").all())
    if not same or not (np.isfinite(a.pose).all() and np.isfinite(a.betas).all()):
        return None
    batch = np.asarray(a.pose, np.float32)[order], np.asarray(a.betas, np.float32)[order]
    size = devices.rows_at_once()
    joints, _ = chunks.in_chunks(_posed, batch, looks, size=size, label="truth", bar=False)
    return _rooted(joints, joint_set)
