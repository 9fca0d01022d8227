"""Sequence sets with the estimates of our own lifters; those of training videos are out of fold.

A refiner learns from a lifter's errors. On the subjects it was trained on a lifter errs less than on others: each
training subject is lifted by a lifter that never saw it.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from diffjax import metrics, simulate, skeleton, windows
from diffjax.data import records, sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.frontends import stcformer
from diffjax.sequences import steadying
from diffjax.sequences.filming import Videos

Report = Callable[[str], None]


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
        part = with_estimates(sequence_sets.take(videos, held_out), [lifter])
        estimate[held_out] = part.estimate3d
    return dataclasses.replace(videos, estimate3d=estimate)


def lift(
    videos: Videos,
    settings: stcformer.Settings,
    *,
    average: int = 1,
    folds: int = 4,
    seed: int = 0,
    report: Report = lambda line: None,
) -> tuple[Videos, list[stcformer.Lifter]]:
    """All sets with estimates: train out of fold, val and test by lifters of all of train.

    An estimate is the mean of `average` lifters, whose seeds are `seed`, `seed` + 1, ...
    """
    if average < 1:
        raise ValueError(f"average: wanted 1 lifter or more, got {average}")
    seeds = range(seed, seed + average)
    crossed = [
        cross_fitted(videos.train, settings, folds=folds, seed=s, report=report) for s in seeds
    ]
    mean = np.mean([np.asarray(part.estimate3d) for part in crossed], 0, dtype=np.float32)
    train = dataclasses.replace(videos.train, estimate3d=mean)
    lifters = [_train(s, videos.train, settings, report, "lifter of val and test") for s in seeds]
    held_out = (with_estimates(part, lifters) for part in videos[1:])
    return Videos(train, *held_out), lifters


def write(directory: Path, videos: Videos, lifters: Sequence[stcformer.Lifter]) -> None:
    """train.npz, val.npz, test.npz; the lifters as lifter.npz, lifter_2.npz, ..."""
    for name, part in zip(videos._fields, videos):
        sequence_sets.write(directory / f"{name}.npz", part)
    for i, lifter in enumerate(lifters):
        name = f"lifter_{i + 1}.npz" if i else "lifter.npz"
        records.save_arrays(directory / name, stcformer.arrays_of(lifter))


def lift_file(
    data: Path, lifters: Sequence[Path], out: Path, *, bones: float, gaps: windows.Gaps
) -> str:
    """Writes a sequence set with the mean estimate of lifters, a share of the way to steady bones; says of how many."""
    if out.suffix != ".npz" or out.resolve() == data.resolve():
        raise ValueError(f"{out}: wanted a name ending in .npz, and not the set itself; choose one")
    if not lifters or not 0 <= bones <= 1:
        raise ValueError(
            f"lift: wanted one --lifter or more and --bones in [0, 1], got {len(lifters)} and {bones}"
        )
    videos = sequence_sets.read(data, gaps)
    lifted = with_estimates(videos, [stcformer.load(file) for file in lifters], str(lifters[0]))
    lifted = steadying.steadied(lifted, bones)
    sequence_sets.write(out, lifted)
    said = f"{out}: {sequence_sets.count(lifted)} frames lifted"
    if lifted.truth3d is None:
        return said
    mpjpe, pa = (float(np.mean(x)) for x in _errors(lifted.estimate3d, lifted.truth3d))
    return f"{said}, MPJPE {mpjpe:.1f} mm, P-MPJPE {pa:.1f} mm"


def errors(videos: Videos) -> Iterator[tuple[str, float, float]]:
    """Name, MPJPE and P-MPJPE in mm of each set's estimates."""
    for name, part in zip(Videos._fields, videos):
        pair = (part.estimate3d, part.truth3d)
        mpjpe, pa = _errors(*pair)
        yield name, float(np.mean(mpjpe)), float(np.mean(pa))


@jax.jit
def _errors(estimate, truth):
    return metrics.mpjpe_mm(estimate, truth), metrics.pa_mpjpe_mm(estimate, truth)
