"""People without images: motion -> cameras -> detections -> a trained frontend's estimates.

What a simulated annotation set holds is what HMR's cached output holds on real images: regression
errors of a network that never saw the subject. Training estimates are cross-fitted by subject.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body, camera, metrics, pose, rotations, skeleton
from diffjax.data import amass, motion, records, synthetic
from diffjax.frontends import keypoint_hmr
from diffjax.methods import baselines

_ROWS = 512  # Rows a dispatch: one compilation serves every set.
_DEMO_SEED = 2
Report = Callable[[str], None]


class Frames(NamedTuple):
    """Single poses of many clips, y up. Betas of zero are drawn anew for each view."""

    rotations: np.ndarray
    """(frames, 24, 3, 3)"""
    betas: np.ndarray
    sequence: np.ndarray
    subject: np.ndarray
    frame: np.ndarray
    """Index in the clip."""


class Clips(NamedTuple):
    """Motion split by subject."""

    train: list[motion.Clip]
    val: list[motion.Clip]
    test: list[motion.Clip]


class Sampling(NamedTuple):
    """Which frames are taken: every n-th, and at most so many of one subject."""

    train_every: int = 4
    val_every: int = 6
    test_every: int = 6
    cap: int = 650


class Estimates(NamedTuple):
    """What `make_estimates` makes."""

    train: records.AnnotationSet
    val: records.AnnotationSet
    test: records.AnnotationSet
    covariance: np.ndarray
    """(82, 82) of the training set's cross-fitted residuals."""
    frontend: Any
    """Weights of the frontend of val and test."""


def read_clips(directory: str | Path) -> list[motion.Clip]:
    """All `.npz` motions of a directory; a clip's subject is its file name before the first '_'."""
    paths = sorted(Path(directory).glob("*.npz"))
    if not paths:
        raise FileNotFoundError(
            f"{directory}: wanted motion files (.npz, AMASS's layout), found none; "
            "give a directory with train/, val/ and test/, or --motion generated"
        )
    return [motion.Clip(amass.read_motion(p), p.stem, p.stem.split("_")[0]) for p in paths]


def read_split(directory: str | Path) -> Clips:
    """Motion in train/, val/ and test/ below a directory. No subject may be in two of them."""
    clips = Clips(*(read_clips(Path(directory) / part) for part in Clips._fields))
    subjects = [{clip.subject for clip in part} for part in clips]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        if shared := subjects[i] & subjects[j]:
            raise ValueError(
                f"{directory}: wanted subjects in one split only, found {sorted(shared)} in "
                f"{Clips._fields[i]} and {Clips._fields[j]}; move their files to one of the two"
            )
    return clips


_GENERATED = {"train": (range(60), 8), "val": (range(60, 72), 3), "test": (range(72, 84), 3)}
GENERATED_SAMPLING = Sampling(train_every=6, val_every=12, test_every=12, cap=25)


def generated_clips(part: str) -> list[motion.Clip]:
    """Generated motion of one split: 60 training subjects with 8 clips, 12 held-out ones with 3."""
    subjects, clips = _GENERATED[part]
    return motion.generate(_DEMO_SEED, subjects, clips)


def generated_split() -> Clips:
    """Generated motion, split by subject."""
    return Clips(*(generated_clips(part) for part in Clips._fields))


def gather(clips: Sequence[motion.Clip], every: int, cap: int | None = None) -> Frames:
    """Every n-th frame of the clips; of a subject with more than `cap`, evenly chosen ones."""
    parts = []
    for clip in clips:
        index = np.arange(0, len(clip.motion.poses), every)
        names = [np.full(len(index), text) for text in (clip.name, clip.subject)]
        shape = np.tile(clip.motion.betas, (len(index), 1))
        parts.append((clip.motion.poses[index], shape, *names, index))
    poses, *rest = (np.concatenate(column) for column in zip(*parts))
    matrices = np.asarray(_matrices(jnp.asarray(poses)))
    frames = Frames(matrices, *rest)
    return frames if cap is None else _take(frames, _capped(frames.subject, cap))


def _capped(subject: np.ndarray, cap: int) -> np.ndarray:
    rows = [np.flatnonzero(subject == name) for name in np.unique(subject)]
    keep = [r[np.linspace(0, len(r) - 1, min(cap, len(r))).round().astype(int)] for r in rows]
    return np.sort(np.concatenate(keep))


def _take(frames: Frames, index: np.ndarray) -> Frames:
    return Frames(*(column[index] for column in frames))


def _joined(parts: Sequence[Frames]) -> Frames:
    return Frames(*(np.concatenate(column) for column in zip(*parts)))


def with_mirrors(frames: Frames) -> Frames:
    """The frames, then their left/right mirror images as sequences of their own."""
    people = pose.Pose(jnp.asarray(frames.rotations), jnp.asarray(frames.betas))
    mirrored = frames._replace(
        rotations=np.asarray(synthetic.mirror(people).rotations),
        sequence=np.char.add(frames.sequence, "_mirror"),
    )
    return _joined([frames, mirrored])


def _see(key, params, scene, matrices, betas):
    """Truth, detections, labels, 3D joints and the frontend's estimate of a batch of frames."""
    keys = jax.random.split(key, 5)
    drawn = synthetic.SHAPE_SPREAD * jax.random.normal(keys[0], betas.shape)
    betas = jnp.where(jnp.any(betas != 0, -1, keepdims=True), betas, drawn)
    people, translation = synthetic.look_at(keys[1], pose.Pose(matrices, betas), scene.coco)
    view = synthetic.fixed_camera((len(betas),))
    points = body.pose_keypoints(scene.both, people.rotations, betas) + translation[:, None]
    pixels, joints = camera.project(view, points[:, :17]), points[:, 17:]
    detections = synthetic.detect(keys[2], pixels)
    guess = keypoint_hmr.predict(params, detections, view)
    noisy = joints + 0.01 * jax.random.normal(keys[4], joints.shape)
    return {
        "pred_pose": guess.pose.rotations,
        "pred_betas": guess.pose.betas,
        "pred_cam_t": guess.translation,
        "pose": people.rotations,
        "betas": betas,
        "cam_t": translation,
        "keypoints2d": detections,
        "labels2d": synthetic.label(keys[3], pixels),
        "keypoints3d": jnp.concatenate([noisy, jnp.ones_like(noisy[..., :1])], -1),
        "focal_px": view.focal_px,
        "center_px": view.center_px,
        "image_size_px": view.image_size_px,
    }


_see_jit = jax.jit(_see)
_matrices = jax.jit(rotations.matrix_from_axis_angle)


def annotate(
    seed: int, frames: Frames, params: Any, scene: synthetic.Scene
) -> records.AnnotationSet:
    """One view of every frame and the frontend's estimate of it, as a cached annotation set."""
    parts = []
    for start in range(0, len(frames.frame), _ROWS):
        rows = np.arange(start, start + _ROWS) % len(frames.frame)
        key = jax.random.fold_in(jax.random.key(seed), start)
        seen = _see_jit(
            key, params, scene, jnp.asarray(frames.rotations[rows]), jnp.asarray(frames.betas[rows])
        )
        parts.append({name: np.asarray(x)[: len(frames.frame) - start] for name, x in seen.items()})
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return records.AnnotationSet(
        **arrays,
        keypoints2d_set="coco17",
        labels2d_set="coco17",
        keypoints3d_set="h36m14",
        gender=np.full(len(frames.frame), "neutral"),
        sequence=frames.sequence,
        subject=frames.subject,
        frame=frames.frame.astype(np.int64),
    )


def fold_of_subjects(subject: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each row: subjects are dealt out in order of size, so that folds are even."""
    names, sizes = np.unique(subject, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"cross-fitting: wanted 2 or more training subjects, found {list(names)}")
    folds = min(folds, len(names))
    rank = {name: i % folds for i, name in enumerate(names[np.argsort(-sizes, kind="stable")])}
    return np.array([rank[name] for name in subject])


def _train(seed, scene, frames: Frames, rows: np.ndarray, steps: int, report: Report, name: str):
    """A frontend of some rows. `rows` is padded by repetition: all folds share one compilation."""
    report(f"{name}: training on {len(rows)} poses")
    return keypoint_hmr.train(
        jax.random.key(seed),
        scene.coco,
        jnp.asarray(frames.rotations),
        jnp.asarray(np.resize(rows, len(frames.frame))),
        draw=synthetic.draw_views,
        steps=steps,
        report=lambda step, value: report(f"{name}: step {step}/{steps}, loss {value:.4f}"),
    )


def cross_fitted(
    seed: int,
    frames: Frames,
    scene: synthetic.Scene,
    *,
    folds: int = 4,
    views: int = 3,
    steps: int = 2000,
    report: Report = lambda line: None,
) -> records.AnnotationSet:
    """`views` estimates of every frame, each by a frontend that never saw the frame's subject."""
    fold, sets = fold_of_subjects(frames.subject, folds), []
    for i in range(fold.max() + 1):
        name = f"frontend {i + 1} of {fold.max() + 1}, cross-fitted"
        params = _train(seed + i + 1, scene, frames, np.flatnonzero(fold != i), steps, report, name)
        held_out = _take(frames, np.flatnonzero(fold == i))
        repeated = _joined([held_out] * views)
        sets.append(annotate(seed + 1000 + i, repeated, params, scene))
    return records.concatenate(sets)


def make_estimates(
    clips: Clips,
    scene: synthetic.Scene,
    sampling: Sampling,
    *,
    seed: int = 0,
    views: int = 3,
    steps: int = 2000,
    report: Report = lambda line: None,
) -> Estimates:
    """Estimates of people: train cross-fitted by subject, val and test by one more frontend."""
    frames = with_mirrors(gather(clips.train, sampling.train_every))
    train = cross_fitted(seed, frames, scene, views=views, steps=steps, report=report)
    everyone = np.arange(len(frames.frame))
    params = _train(seed, scene, frames, everyone, steps, report, "frontend of val and test")
    val, test = _held_out(seed, clips.val, clips.test, sampling, params, scene)
    return Estimates(train, val, test, baselines.residual_covariance(*_poses(train)), params)


def _held_out(seed, val, test, sampling: Sampling, params, scene):
    val = gather(val, sampling.val_every, sampling.cap)
    test = gather(test, sampling.test_every, sampling.cap)
    return annotate(seed + 2000, val, params, scene), annotate(seed + 2001, test, params, scene)


def _poses(annotations: records.AnnotationSet) -> tuple[pose.Pose, pose.Pose]:
    """Estimate and truth of a set that knows the truth."""
    if annotations.pose is None or annotations.betas is None:
        raise ValueError("annotation set: wanted the truth (pose, betas), found none")
    return (
        pose.Pose(jnp.asarray(annotations.pred_pose), jnp.asarray(annotations.pred_betas)),
        pose.Pose(jnp.asarray(annotations.pose), jnp.asarray(annotations.betas)),
    )


def demo_sets(
    frontend_path: str | Path, body_path: str | Path
) -> tuple[records.AnnotationSet, records.AnnotationSet]:
    """The demo's val and test sets (300 generated people each), from the frontend's weights."""
    params, scene = keypoint_hmr.load(frontend_path), synthetic.load_scene(str(body_path))
    val, test = generated_clips("val"), generated_clips("test")
    return _held_out(0, val, test, GENERATED_SAMPLING, params, scene)


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
