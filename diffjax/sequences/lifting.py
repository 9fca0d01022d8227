"""Sequence sets with estimates of lifters; training videos are lifted out of fold.

A refiner learns from a lifter's errors. On the subjects it was trained on a lifter errs less than on others: each
training subject is lifted by a lifter that never saw it.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from diffjax import metrics, progress, simulate, skeleton, windows
from diffjax.data import sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.frontends import stcformer
from diffjax.sequences import outputs, steadying
from diffjax.sequences.filming import Videos


def with_estimates(
    videos: SequenceSet, lifters: Sequence[stcformer.Lifter], where: str = "lifter"
) -> SequenceSet:
    """The videos as the lifters see them, on the mean."""
    said = [_said(lifter, videos, where) for lifter in lifters]
    return dataclasses.replace(videos, estimate3d=np.mean(said, 0, dtype=np.float32))


def _said(lifter: stcformer.Lifter, videos: SequenceSet, where: str) -> np.ndarray:
    """What a lifter says, in the order of the videos' joints."""
    joints = lifter.settings.joints
    seen = sequence_sets.in_order_of(joints, videos, where)
    said = stcformer.predict(lifter, seen.poses2d, sequence_sets.lengths(videos))
    return said[:, list(skeleton.keypoint_map(joints, videos.joint_set))]


def _train(
    seed: int, videos: SequenceSet, settings: stcformer.Settings, name: str
) -> stcformer.Lifter:
    """A lifter of these videos; on stderr how far it is, and its error in training in mm."""
    if videos.truth3d is None:
        raise ValueError("lifter: field truth3d: wanted the truth of training videos, found none")
    with progress.steps(settings.steps, name) as show:
        return stcformer.train(
            jax.random.key(seed),
            settings._replace(joints=videos.joint_set),
            videos.poses2d,
            videos.truth3d,
            sequence_sets.lengths(videos),
            lambda step, value: show(step, f"{1000 * value:.1f} mm in training"),
        )


def cross_fitted(
    videos: SequenceSet, settings: stcformer.Settings, *, folds: int = 4, seed: int = 0
) -> SequenceSet:
    """The videos with estimates, each by a lifter that never saw its subject."""
    if videos.subject is None:
        raise ValueError("cross-fitting: field subject: wanted subjects, found none; name them")
    fold = simulate.fold_of_subjects(videos.subject, folds)
    count = fold.max() + 1
    estimate = np.zeros((*videos.poses2d.shape[:2], 3), np.float32)
    for i in range(count):
        seen, held_out = (sequence_sets.take(videos, rows) for rows in (fold != i, fold == i))
        name = f"lifter {i + 1} of {count}, cross-fitted"
        lifter = _train(seed + i + 1, seen, settings, name)
        estimate[fold == i] = with_estimates(held_out, [lifter]).estimate3d
    return dataclasses.replace(videos, estimate3d=estimate)


def lift(
    videos: Videos,
    settings: stcformer.Settings,
    *,
    average: int = 1,
    folds: int = 4,
    seed: int = 0,
) -> tuple[Videos, list[stcformer.Lifter]]:
    """All sets with estimates: train out of fold, val and test by lifters of all of train.

    An estimate is the mean of `average` lifters, whose seeds are `seed`, `seed` + 1, ...
    """
    if average < 1:
        raise ValueError(f"average: wanted 1 lifter or more, got {average}")
    seeds = range(seed, seed + average)
    crossed = [cross_fitted(videos.train, settings, folds=folds, seed=s) for s in seeds]
    mean = np.mean([np.asarray(part.estimate3d) for part in crossed], 0, dtype=np.float32)
    train = dataclasses.replace(videos.train, estimate3d=mean)
    lifters = [_train(s, videos.train, settings, "lifter of val and test") for s in seeds]
    held_out = (with_estimates(part, lifters) for part in videos[1:])
    return Videos(train, *held_out), lifters


def lift_file(
    data: Path,
    lifters: Sequence[Path],
    out: Path,
    *,
    bones: float = 0.0,
    gaps: windows.Gaps = "refuse",
    overwrite: bool = False,
) -> str:
    """Writes a sequence set with the mean estimate of lifters, a share of the way to steady bones; describes it.

    A file that is there is refused, or replaced with `overwrite`.
    """
    outputs.check_file(out, data, *lifters)
    if not overwrite:
        outputs.refuse_existing(out)
    if not lifters or not 0 <= bones <= 1:
        raise ValueError(
            f"lift: wanted one --lifter or more and --bones in [0, 1], got {len(lifters)} and {bones}"
        )
    videos = sequence_sets.read(data, gaps)
    lifted = with_estimates(videos, [stcformer.load(file) for file in lifters], str(lifters[0]))
    lifted = steadying.steadied(lifted, bones)
    sequence_sets.write(out, lifted)
    return f"{out}: lifted {describe(lifted)}"


def describe(videos: SequenceSet) -> str:
    """How many frames there are; where the truth is known, how far off the estimates are on the mean."""
    said = f"{sequence_sets.count(videos)} frames"
    if videos.truth3d is None:
        return said
    mpjpe, pa = (float(np.mean(x)) for x in _errors_mm(videos.estimate3d, videos.truth3d))
    return f"{said}, MPJPE {mpjpe:.1f} mm, P-MPJPE {pa:.1f} mm"


@jax.jit
def _errors_mm(estimate, truth):
    return metrics.mpjpe_mm(estimate, truth), metrics.pa_mpjpe_mm(estimate, truth)
