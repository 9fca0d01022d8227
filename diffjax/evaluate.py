"""Judging annotations against the truth, and saying it in a table with intervals.

MPJPE: the joints of the run (14 by default), on the set's root (mid-hip; the pelvis for ScoreHMR's sets). PA-MPJPE: the
same after a similarity. Rotation error: local rotations of the joints that move, not seen by any chooser. PVE: vertices
after moving the pelvis onto the truth's.
"""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import annotate, body, chunks, config, devices, energies, metrics, skeleton
from diffjax.data import records
from diffjax.pose import Evidence, Pose

JOINTS = "h36m14"
"""The 14 joints of the 3DPW protocol."""
HARM_MM = 1.0
"""A sample whose PA-MPJPE grows by more than this is harmed."""


class Scores(NamedTuple):
    """One number a sample; NaN where the truth does not say."""

    mpjpe_mm: Any
    pa_mpjpe_mm: Any
    rotation_deg: Any
    root_deg: Any
    pve_mm: Any
    image_px: Any
    """Mean distance to the 2D labels (or detections, where there are none), translation solved."""


class Judge(NamedTuple):
    """The body that poses predictions, its joints and 2D keypoints, and which local rotations are judged."""

    model: body.BodyModel
    joints: body.KeypointModel
    image: body.KeypointModel
    moving: tuple[int, ...] = skeleton.MOVING_JOINTS
    names: str = JOINTS
    """The keypoint set of `joints`."""


class Truth(NamedTuple):
    """What is known of the people; what is not is None."""

    pose: Pose | None
    joints: Any
    """(N, J, 4): metres, any origin, confidence. What MPJPE is measured against."""
    image: Evidence | None
    """2D keypoints to measure the reprojection against."""
    same_body: np.ndarray
    """(N,) whether the true shape is one of the judge's body."""


class Whole(NamedTuple):
    """What must be known of all people before some of them can be judged."""

    groups: np.ndarray
    """(N,) the sequence of each; everyone is one's own where none is known."""
    moving: tuple[int, ...]
    """Joints whose local rotations are not the same in everyone's truth."""
    neutral: bool
    """Whether nobody's truth was posed by a gendered body."""


def survey(windows: Iterable[records.AnnotationSet]) -> Whole:
    """The whole set, seen in windows."""
    count, sums, groups, neutral = 0, np.zeros((2, 24, 3, 3)), [], True
    for a in windows:
        people = records.count(a)
        groups.append(np.arange(count, count + people) if a.sequence is None else a.sequence)
        neutral &= a.gender is None or bool((a.gender == "neutral").all())
        count += people
        if a.pose is not None:
            exact = a.pose.astype(np.float64)
            sums += np.stack([exact.sum(0), (exact**2).sum(0)])
    moving = skeleton.MOVING_JOINTS
    if count > 1 and sums.any():
        mean, square = sums / count
        spread = np.sqrt(np.maximum(square - mean**2, 0.0)).max((-1, -2))
        moving = tuple(j for j in range(1, 24) if spread[j] > 1e-3)
    return Whole(np.concatenate(groups), moving, neutral)


def make_judge(
    path: str,
    annotations: records.AnnotationSet,
    names: str = JOINTS,
    moving: tuple[int, ...] | None = None,
) -> Judge:
    """The judge of a body file. Joints that never move in the truth are left out of rotation errors.

    With `moving` (of a `Whole`), only the fields of the annotations are looked at.
    """
    model = body.load_body(config.locate(path))
    moving = survey([annotations]).moving if moving is None else moving
    kind = _image_kind(annotations) or "labels"
    keypoints = annotate.keypoints_of(path, model, annotations, kind)
    joints = body.fold_keypoints(model, body.load_regressor(config.locate(path), names))
    return Judge(model, joints, keypoints.image, moving, names)


def sees_joints(annotations: records.AnnotationSet) -> bool:
    """Whether the truth of a set has 3D joints."""
    a = annotations
    return a.keypoints3d is not None or not (a.pose is None or a.betas is None)


def sees_image(annotations: records.AnnotationSet) -> bool:
    """Whether a set has 2D keypoints and their camera."""
    return _image_kind(annotations) is not None


def _image_kind(annotations: records.AnnotationSet) -> annotate.Kind | None:
    kinds: list[annotate.Kind] = [k for k in annotate.kinds_of(annotations) if k != "joints3d"]
    return kinds[0] if kinds and annotations.focal_px is not None else None


def truth_of(
    judge: Judge, annotations: records.AnnotationSet, neutral: bool | None = None
) -> Truth:
    """The truth of an annotation set; of a piece of one, `neutral` says it of the whole.

    A gendered truth (3DPW) was posed by a body that is not the judge's: its cached joints are the truth then.
    """
    a, joints, kind = annotations, None, _image_kind(annotations)
    known = None if a.pose is None or a.betas is None else Pose(a.pose, a.betas)
    same = np.full(records.count(a), True) if a.gender is None else a.gender == "neutral"
    neutral = bool(same.all()) if neutral is None else neutral
    if a.keypoints3d is not None and (known is None or not neutral):
        index = np.asarray(skeleton.keypoint_map(a.keypoints3d_set or "", judge.names))
        joints = (
            a.keypoints3d[:, np.maximum(index, 0)] * np.asarray(index >= 0, np.float32)[:, None]
        )
    elif known is not None:
        points = joints_of(judge, known)
        sure = np.broadcast_to(same[:, None, None], (*points.shape[:-1], 1))
        joints = np.concatenate([points, sure.astype(np.float32)], -1)
    if joints is not None:
        counted = np.asarray(skeleton.counted(judge.names), np.float32)[:, None]
        joints = np.concatenate([joints[..., :3], joints[..., 3:] * counted], -1)
    return Truth(known, joints, None if kind is None else annotate.evidence_of(a, kind), same)


def joints_of(judge: Judge, people: Pose) -> np.ndarray:
    """(N, J, 3) joints of the judge's set, metres."""
    how = {"size": devices.rows_at_once(), "label": "joints", "bar": False}
    return chunks.in_chunks(_joints, people, judge.joints, **how)[0]


def _joints(people: Pose, model: body.KeypointModel):
    return body.pose_keypoints(model, people.rotations, people.betas)


def score(judge: Judge, pred: Pose, truth: Truth, chunk: int | None = None) -> Scores:
    """Scores of every sample; the mesh is posed `chunk` people at a time on every device."""
    chunk = chunk or devices.rows_at_once(4 * judge.model.template.size)
    work = _score_work(judge.moving, skeleton.root_of(judge.names))
    batch = jax.tree.map(np.asarray, (pred, truth))
    found, _ = chunks.in_chunks(work, batch, *judge[:3], size=chunk, label="scores", bar=False)
    return Scores(*(np.asarray(x, np.float64) for x in found))


@functools.cache
def _score_work(moving, root):
    """`_score` of a piece: one function for each static setting, so that it is compiled once."""

    def work(batch, model, joint_model, image_model):
        pred, truth = batch
        return _score(model, joint_model, image_model, pred, truth, moving, root)

    return work


def _score(model, joint_model, image_model, pred: Pose, truth: Truth, moving, root) -> Scores:
    points = body.pose_keypoints(joint_model, pred.rotations, pred.betas)
    unknown = jnp.full(points.shape[0], jnp.nan)
    scores = Scores(*[unknown] * len(Scores._fields))
    if truth.pose is not None:
        scores = _score_parameters(model, pred, truth.pose, moving, scores)
        # Betas of another body say nothing of the judge's.
        scores = scores._replace(pve_mm=jnp.where(truth.same_body, scores.pve_mm, jnp.nan))
    if truth.joints is not None:
        true, weight = truth.joints[..., :3], truth.joints[..., 3]
        ours, theirs = (metrics.center(x, root) for x in (points, true))
        scores = scores._replace(
            mpjpe_mm=metrics.known(metrics.mpjpe_mm(ours, theirs, weight), weight),
            pa_mpjpe_mm=metrics.known(metrics.pa_mpjpe_mm(points, true, weight), weight),
        )
    if truth.image is not None:
        seen = body.pose_keypoints(image_model, pred.rotations, pred.betas)
        where = energies.place(seen, truth.image, 0.1)
        error = energies.reprojection_error_px(seen, where, truth.image)
        scores = scores._replace(image_px=metrics.known(error, truth.image.keypoints2d[..., 2]))
    return scores


def _score_parameters(model, pred: Pose, true: Pose, moving, scores: Scores) -> Scores:
    meshes = [body.pose_body(model, p.rotations, p.betas) for p in (pred, true)]
    return scores._replace(
        rotation_deg=metrics.rotation_error_deg(pred.rotations, true.rotations, moving),
        root_deg=metrics.rotation_error_deg(pred.rotations, true.rotations, (0,)),
        pve_mm=metrics.vertex_error_mm(*(m.vertices - m.joints[:, :1] for m in meshes)),
    )


def bootstrap(
    values: np.ndarray, groups: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean, resampling whole groups (sequences): frames are not independent.

    NaN where there are not two groups: one sequence says nothing of another.
    """
    values, groups = np.asarray(values, np.float64), np.asarray(groups)
    finite = np.isfinite(values)
    _, index = np.unique(groups[finite], return_inverse=True)
    if len(np.unique(index)) < 2:
        return float("nan"), float("nan")
    total, size = np.bincount(index, values[finite]), np.bincount(index)
    picks = np.random.default_rng(seed).integers(len(size), size=(draws, len(size)))
    means = total[picks].sum(1) / size[picks].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


class Row(NamedTuple):
    """One method on one annotation set."""

    name: str
    sees: str
    """What the method was shown beside the estimate."""
    scores: Scores
    ms_per_frame: float
    """After compilation; NaN where nothing was computed."""
    people: Pose | None = None
    """The annotations themselves."""


def summary(row: Row, base: Scores, groups: np.ndarray) -> dict[str, Any]:
    """The row as numbers: means, shares, and intervals of the change against the estimate."""
    change = row.scores.pa_mpjpe_mm - base.pa_mpjpe_mm
    turn = row.scores.rotation_deg - base.rotation_deg
    known = change[np.isfinite(change)]
    return {
        "name": row.name,
        "sees": row.sees,
        **{name: _mean(value) for name, value in row.scores._asdict().items()},
        "pa_change_mm": _mean(change),
        "pa_change_95": bootstrap(change, groups),
        "rotation_change_deg": _mean(turn),
        "rotation_change_95": bootstrap(turn, groups),
        # Below a hundredth of a millimetre a sample has not moved.
        "improved": float(np.mean(known < -0.01)) if len(known) else float("nan"),
        "harmed": float(metrics.harm_rate(base.pa_mpjpe_mm, row.scores.pa_mpjpe_mm, HARM_MM)),
        "pa_median_mm": _quantile(row.scores.pa_mpjpe_mm, 0.5),
        "pa_p95_mm": _quantile(row.scores.pa_mpjpe_mm, 0.95),
        "ms_per_frame": row.ms_per_frame,
    }


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _quantile(values: np.ndarray, share: float) -> float:
    known = np.isfinite(values).any()
    return float(np.nanquantile(values, share)) if known else float("nan")


_COLUMNS = (
    ("MPJPE", 7), ("PA", 7), ("change 95 %", 16), ("rot deg", 8), ("change 95 %", 16),
    ("PVE", 7), ("2D px", 7), ("better", 7), ("worse", 6), ("ms", 8),
)  # fmt: skip
NAME, _SEES = 25, 11
"""Characters of the names of rows, at least, and of what they saw."""


def name_width(names: Iterable[str]) -> int:
    """Characters for the longest of these names and a space."""
    return max([NAME, *(len(name) + 1 for name in names)])


def first_columns(name: str, sees: str, width: int = NAME) -> str:
    """Who, and what it saw."""
    return f"{name:<{width}}{sees:<{_SEES}}"


def header(more: str = "", width: int = NAME) -> str:
    """The head of the table: mm, degrees, pixels; `worse` is the share that loses more than 1 mm of PA-MPJPE.

    `more` are the titles of columns that follow, `width` is that of the names.
    """
    head = first_columns("method", "sees", width)
    head += "".join(f"{name:>{width}}" for name, width in _COLUMNS) + more
    return f"{head}\n{'-' * len(head)}"


def line(s: dict[str, Any], width: int = NAME) -> str:
    """A summary as one line of the table."""
    cells = (
        number(s["mpjpe_mm"]), number(s["pa_mpjpe_mm"]), _interval(s, "pa_change", 1),
        number(s["rotation_deg"], 2), _interval(s, "rotation_change", 2),
        number(s["pve_mm"]), number(s["image_px"]),
        _share(s["improved"]), _share(s["harmed"]), number(s["ms_per_frame"], 2),
    )  # fmt: skip
    row = "".join(f"{cell:>{wide}}" for cell, (_, wide) in zip(cells, _COLUMNS))
    return first_columns(s["name"], s["sees"], width) + row


def number(value: float, digits: int = 1) -> str:
    """A cell; a dash for what is not known."""
    return "-" if not np.isfinite(value) else f"{value:.{digits}f}"


def _share(value: float) -> str:
    return "-" if not np.isfinite(value) else f"{100 * value:.0f} %"


def _interval(s: dict, name: str, digits: int) -> str:
    low, high = s[f"{name}_95"]
    if not np.isfinite(low) or low == high == 0.0:
        return "-"
    return f"[{low:+.{digits}f},{high:+.{digits}f}]"
