"""Sequence sets with the estimates of our own lifter, STCFormer; those of training videos are out of fold.

A refiner learns from a lifter's errors. On the subjects it was trained on a lifter errs less than on others: each
training subject is lifted by a lifter that never saw it.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from diffjax import body, config, metrics, simulate
from diffjax.data import filmed, sequence_sets, splits
from diffjax.data.sequence_sets import SequenceSet
from diffjax.frontends import stcformer

_EVERY = {"train": 3, "val": 3, "test": 1}
"""Of the generated clips every n-th: more than enough for a lifter of this size."""
Report = Callable[[str], None]


class Videos(NamedTuple):
    """Sets split by subject."""

    train: SequenceSet
    val: SequenceSet
    test: SequenceSet


def film(
    motion: str,
    body_path: str,
    *,
    seed: int = 0,
    fps: float = 50.0,
    takes: int = 1,
    detector: filmed.Detector = filmed.Detector(),  # noqa: B008 - immutable.
) -> Videos:
    """Motion, `generated` or a directory with train/, val/ and test/, before four cameras; no estimates yet.

    Training motion is filmed `takes` times.
    """
    where = config.locate(body_path)
    keypoints = body.fold_keypoints(body.load_body(where), body.load_regressor(where, filmed.SET))
    sets = []
    for part in splits.Clips._fields:
        if motion == "generated":
            clips = splits.generated_clips(part)[:: _EVERY[part]]
        else:
            clips = getattr(splits.read_split(motion, (part,)), part)
        clips = filmed.takes(clips, takes if part == "train" else 1, seed=seed)
        rate = min(fps, *(clip.motion.fps for clip in clips))
        videos = filmed.film(clips, keypoints, seed=seed, fps=rate, detector=detector)
        sets.append(sequence_sets.of_videos(videos, filmed.SET, f"{motion}, {part}", rate))
    return _apart(Videos(*sets), motion)


def _apart(videos: Videos, where: str) -> Videos:
    """ValueError where a subject is in two of the sets."""
    subjects = [set(np.asarray(part.subject).tolist()) for part in videos]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        if shared := subjects[i] & subjects[j]:
            raise ValueError(
                f"{where}: field subject: wanted subjects in one split only, found {sorted(shared)} in "
                f"{Videos._fields[i]} and {Videos._fields[j]}; move their files to one of the two"
            )
    return videos


def with_estimates(
    videos: SequenceSet, lifter: stcformer.Lifter, where: str = "lifter"
) -> SequenceSet:
    """The videos as the lifter sees them."""
    if lifter.settings.joints != videos.joint_set:
        raise ValueError(
            f"{where}: field joint_set: wanted {videos.joint_set} as in the sequences, found "
            f"{lifter.settings.joints}; train one on such sequences"
        )
    said = stcformer.predict(lifter, videos.poses2d, sequence_sets.lengths(videos))
    return dataclasses.replace(videos, estimate3d=said.astype(np.float32))


def _train(
    seed: int, videos: SequenceSet, settings: stcformer.Settings, report: Report, name: str
) -> stcformer.Lifter:
    if videos.truth3d is None:
        raise ValueError("lifter: field truth3d: wanted the truth of training videos, found none")
    return stcformer.train(
        jax.random.key(seed),
        settings._replace(joints=videos.joint_set),
        videos.poses2d,
        videos.truth3d,
        sequence_sets.lengths(videos),
        lambda step, value: report(
            f"{name}: step {step}/{settings.steps}, {1000 * value:.1f} mm in training"
        ),
    )


def cross_fitted(
    videos: SequenceSet,
    settings: stcformer.Settings,
    *,
    folds: int = 4,
    seed: int = 0,
    report: Report = lambda line: None,
) -> SequenceSet:
    """The videos with estimates, each by a lifter that never saw its subject."""
    if videos.subject is None:
        raise ValueError("cross-fitting: field subject: wanted subjects, found none; name them")
    fold = simulate.fold_of_subjects(videos.subject, folds)
    estimate = np.zeros((*videos.poses2d.shape[:2], 3), np.float32)
    for i in range(fold.max() + 1):
        name, held_out = f"lifter {i + 1} of {fold.max() + 1}, cross-fitted", fold == i
        seen = sequence_sets.take(videos, ~held_out)
        lifter = _train(seed + i + 1, seen, settings, report, name)
        part = with_estimates(sequence_sets.take(videos, held_out), lifter)
        estimate[held_out] = part.estimate3d
    return dataclasses.replace(videos, estimate3d=estimate)


def lift(
    videos: Videos,
    settings: stcformer.Settings,
    *,
    folds: int = 4,
    seed: int = 0,
    report: Report = lambda line: None,
) -> tuple[Videos, stcformer.Lifter]:
    """All sets with estimates: train out of fold, val and test by one more lifter of all of train."""
    train = cross_fitted(videos.train, settings, folds=folds, seed=seed, report=report)
    lifter = _train(seed, videos.train, settings, report, "lifter of val and test")
    held_out = (with_estimates(part, lifter) for part in videos[1:])
    return Videos(train, *held_out), lifter


def errors(videos: Videos) -> Iterator[tuple[str, float, float]]:
    """Name, MPJPE and P-MPJPE in mm of each set's estimates."""
    for name, part in zip(Videos._fields, videos):
        pair = (part.estimate3d, part.truth3d)
        mpjpe, pa = _errors(*pair)
        yield name, float(np.mean(mpjpe)), float(np.mean(pa))


@jax.jit
def _errors(estimate, truth):
    return metrics.mpjpe_mm(estimate, truth), metrics.pa_mpjpe_mm(estimate, truth)
