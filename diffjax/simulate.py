"""People without images: motion -> cameras -> detections -> a trained frontend's estimates.

What a simulated annotation set holds is what HMR's cached output holds on real images: regression
errors of a network that never saw the subject. Training estimates are cross-fitted by subject.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body, metrics, pose, progress, skeleton
from diffjax.data import in_time, moments, motion, records, sightings, splits, synthetic
from diffjax.frontends import keypoint_hmr
from diffjax.methods import map_fit

_ROWS = 512
"""Rows a dispatch."""


class Estimates(NamedTuple):
    """What `make_estimates` makes."""

    train: records.AnnotationSet
    covariance: np.ndarray
    """(82, 82) of the training set's cross-fitted residuals."""
    frontend: Any
    """Weights of the frontend of all held-out sets."""


def annotate(
    seed: int, frames: moments.Frames, params: Any, scene: synthetic.Scene
) -> records.AnnotationSet:
    """One view of every frame and the frontend's estimate of it, as a cached annotation set."""

    def see(key, *columns):
        return sightings.of_frames(key, params, scene, *columns)

    arrays = sightings.in_batches(seed, _ROWS, (frames.rotations, frames.betas), see)
    return _annotation_set(arrays, frames.sequence, frames.subject, frames.frame)


def track_set(
    seed: int,
    windows: moments.Windows,
    params: Any,
    scene: synthetic.Scene,
    correlation: float = 0.0,
) -> records.AnnotationSet:
    """Video of every window by one camera at rest, a row a frame, in order; the view is called "0".

    Each frame is estimated by itself. `correlation` of the detections' errors with those of the frame
    before: see `data/in_time.py`; 0 draws them anew.
    """
    frames = windows.frame.shape[1]
    weight = jnp.asarray(in_time.memory(frames, correlation))

    def see(key, *columns):
        return sightings.of_windows(key, params, scene, weight, *columns)

    columns = windows.rotations, windows.betas, windows.trans
    arrays = sightings.in_batches(seed, max(_ROWS // frames, 1), columns, see)
    sequence, subject = (np.repeat(x, frames) for x in (windows.sequence, windows.subject))
    views = {"view": np.full(windows.frame.size, "0")}
    return _annotation_set(_rows(arrays) | views, sequence, subject, windows.frame.reshape(-1))


def view_set(
    seed: int, frames: moments.Frames, params: Any, scene: synthetic.Scene
) -> records.AnnotationSet:
    """Every frame as four cameras see it at once, rows of one instant beside each other.

    Views are called "0" to "3"; the world of `view_rotation` and `view_translation` is the clip's.
    """

    def see(key, *columns):
        return sightings.of_instants(key, params, scene, *columns)

    columns = frames.rotations, frames.betas, frames.trans
    arrays = sightings.in_batches(seed, _ROWS // sightings.VIEWS, columns, see)
    names = (frames.sequence, frames.subject, frames.frame)
    views = {"view": np.tile([str(i) for i in range(sightings.VIEWS)], len(frames.frame))}
    return _annotation_set(
        _rows(arrays) | views, *(np.repeat(column, sightings.VIEWS) for column in names)
    )


def _rows(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Moments and their rows as one axis."""
    return {name: x.reshape(-1, *x.shape[2:]) for name, x in arrays.items()}


def _annotation_set(
    arrays: dict[str, np.ndarray], sequence: np.ndarray, subject: np.ndarray, frame: np.ndarray
) -> records.AnnotationSet:
    return records.AnnotationSet(
        **arrays,
        keypoints2d_set="coco17",
        labels2d_set="coco17",
        keypoints3d_set="h36m14",
        gender=np.full(len(frame), "neutral"),
        sequence=sequence,
        subject=subject,
        frame=frame.astype(np.int64),
    )


def fold_of_subjects(subject: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each row: subjects are dealt out in order of size, so that folds are even."""
    names, sizes = np.unique(subject, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"cross-fitting: wanted 2 or more training subjects, found {list(names)}")
    folds = min(folds, len(names))
    rank = {name: i % folds for i, name in enumerate(names[np.argsort(-sizes, kind="stable")])}
    return np.array([rank[name] for name in subject])


def _train(seed, scene, frames: moments.Frames, rows: np.ndarray, steps: int, name: str):
    """A frontend of some rows. `rows` is padded by repetition: all folds share one compilation."""
    with progress.steps(steps, f"{name}, {len(rows)} poses") as show:
        return keypoint_hmr.train(
            jax.random.key(seed),
            scene.coco,
            jnp.asarray(frames.rotations),
            jnp.asarray(np.resize(rows, len(frames.frame))),
            draw=_draw(float(scene.eyesight)),
            steps=steps,
            report=lambda step, value: show(step, f"loss {value:.4f}"),
        )


@functools.cache
def _draw(eyesight: float):
    """One function an eyesight: all folds share one compilation."""
    return functools.partial(synthetic.draw_views, eyesight=eyesight)


def cross_fitted(
    seed: int,
    frames: moments.Frames,
    scene: synthetic.Scene,
    *,
    folds: int = 4,
    views: int = 3,
    steps: int = 2000,
) -> records.AnnotationSet:
    """`views` estimates of every frame, each by a frontend that never saw the frame's subject."""
    sets = []
    trained = fold_frontends(seed, frames, scene, folds=folds, steps=steps)
    for i, (rows, params) in enumerate(trained):
        repeated = moments.joined([moments.take(frames, rows)] * views)
        sets.append(annotate(seed + 1000 + i, repeated, params, scene))
    return records.concatenate(sets)


def fold_frontends(
    seed: int,
    frames: moments.Frames,
    scene: synthetic.Scene,
    *,
    folds: int = 4,
    steps: int = 2000,
) -> Iterator[tuple[np.ndarray, Any]]:
    """The rows of each fold, and a frontend that never saw their subjects."""
    fold = fold_of_subjects(frames.subject, folds)
    for i in range(fold.max() + 1):
        name = f"frontend {i + 1} of {fold.max() + 1}, cross-fitted"
        params = _train(seed + i + 1, scene, frames, np.flatnonzero(fold != i), steps, name)
        yield np.flatnonzero(fold == i), params


def make_estimates(
    clips: Sequence[motion.Clip],
    scene: synthetic.Scene,
    sampling: splits.Sampling,
    *,
    seed: int = 0,
    views: int = 3,
    steps: int = 2000,
) -> Estimates:
    """Estimates of training people, cross-fitted by subject, and one more frontend of them all."""
    frames = moments.with_mirrors(moments.gather(clips, sampling.train_every))
    train = cross_fitted(seed, frames, scene, views=views, steps=steps)
    everyone = np.arange(len(frames.frame))
    params = _train(seed, scene, frames, everyone, steps, "frontend of val and test")
    return Estimates(train, map_fit.residual_covariance(*_poses(train)), params)


def held_out(
    clips: splits.Clips,
    sampling: splits.Sampling,
    params: Any,
    scene: synthetic.Scene,
    *,
    seed: int = 0,
    correlation: float = 0.0,
) -> Iterator[tuple[str, records.AnnotationSet]]:
    """Name and set of people that the frontend never saw: `val`, `test`, and of each video and views.

    Without a clip that is long enough for a window there is no video.
    """
    for i, part in enumerate(("val", "test")):
        some = getattr(clips, part)
        every, count = (getattr(sampling, f"{part}_{what}") for what in ("every", "windows"))
        frames = moments.gather(some, every, sampling.cap)
        yield part, annotate(seed + 2000 + i, frames, params, scene)
        if moments.films(some):
            windows = moments.windows(some, count)
            yield f"{part}_video", track_set(seed + 2002 + i, windows, params, scene, correlation)
        yield f"{part}_views", view_set(seed + 2004 + i, frames, params, scene)


def _poses(annotations: records.AnnotationSet) -> tuple[pose.Pose, pose.Pose]:
    """Estimate and truth of a set that knows the truth."""
    if annotations.pose is None or annotations.betas is None:
        raise ValueError("annotation set: wanted the truth (pose, betas), found none")
    return (
        pose.Pose(jnp.asarray(annotations.pred_pose), jnp.asarray(annotations.pred_betas)),
        pose.Pose(jnp.asarray(annotations.pose), jnp.asarray(annotations.betas)),
    )


Pair = tuple[records.AnnotationSet, records.AnnotationSet]
_PARTS = ("val", "test")


def _demo_of(
    make: Callable[..., records.AnnotationSet], frontend_path, body_path, eyesight
) -> Pair:
    """make(split, its clips, frontend, scene) of val and test."""
    params = keypoint_hmr.load(frontend_path)
    scene = synthetic.load_scene(str(body_path))._replace(eyesight=eyesight)
    val, test = (make(part, splits.generated_clips(part), params, scene) for part in _PARTS)
    return val, test


def demo_sets(frontend_path: str | Path, body_path: str | Path, eyesight: float = 1.0) -> Pair:
    """The demo's val and test sets (300 generated people each), from the frontend's weights."""

    def make(part, clips, params, scene):
        every, cap = (
            getattr(splits.GENERATED_SAMPLING, f"{part}_every"),
            splits.GENERATED_SAMPLING.cap,
        )
        seed = 2000 + _PARTS.index(part)
        return annotate(seed, moments.gather(clips, every, cap), params, scene)

    return _demo_of(make, frontend_path, body_path, eyesight)


def demo_video_sets(
    frontend_path: str | Path, body_path: str | Path, eyesight: float = 1.0
) -> Pair:
    """The demo's videos: 6 windows of 63 frames in val, 10 in test."""

    def make(part, clips, params, scene):
        windows = moments.windows(clips, {"val": 6, "test": 10}[part])
        return track_set(2002 + _PARTS.index(part), windows, params, scene)

    return _demo_of(make, frontend_path, body_path, eyesight)


def demo_view_sets(frontend_path: str | Path, body_path: str | Path, eyesight: float = 1.0) -> Pair:
    """The demo's people in four views: 60 instants in val, 96 in test, of 12 subjects each."""

    def make(part, clips, params, scene):
        every, cap = (
            getattr(splits.GENERATED_SAMPLING, f"{part}_every"),
            {"val": 5, "test": 8}[part],
        )
        frames = moments.gather(clips, every, cap)
        return view_set(2004 + _PARTS.index(part), frames, params, scene)

    return _demo_of(make, frontend_path, body_path, eyesight)


DEMOS = ("demo", "demo_video", "demo_views")
"""Names of generated people: single frames, tracks, and four views of each instant."""


def demo_split(
    name: str, frontend_path: str | Path, body_path: str | Path, eyesight: float = 1.0
) -> Pair:
    """(val, test) of generated people: "demo", "demo_video" or "demo_views". `eyesight` as in `synthetic.Scene`."""
    makers = dict(zip(DEMOS, (demo_sets, demo_video_sets, demo_view_sets)))
    if name not in makers:
        raise ValueError(f"{name}: wanted one of {', '.join(makers)}, found another name")
    return makers[name](frontend_path, body_path, eyesight)


@jax.jit
def _errors(scene, pred: pose.Pose, true: pose.Pose):
    points, wanted = (
        body.pose_keypoints(scene.both, p.rotations, p.betas)[:, 17:] for p in (pred, true)
    )
    hips, turn = (2, 3), (pred.rotations, true.rotations)
    return {
        "PA-MPJPE mm": metrics.pa_mpjpe_mm(points, wanted),
        "MPJPE mm": metrics.mpjpe_mm(metrics.center(points, hips), metrics.center(wanted, hips)),
        "rotation deg": metrics.rotation_error_deg(*turn, skeleton.MOVING_JOINTS),
        "root deg": metrics.rotation_error_deg(*turn, (0,)),
    }


def frontend_errors(annotations: records.AnnotationSet, scene: synthetic.Scene) -> dict[str, float]:
    """Mean errors of the cached estimates: 14 joints (mm), moving and root rotations (deg)."""
    errors = _errors(scene, *_poses(annotations))
    return {name: float(jnp.mean(value)) for name, value in errors.items()}
