"""Refiners of sequences that need no network: fitted on a training set, chosen on a validation set."""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from diffjax import config, skeleton
from diffjax.data import sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.methods import baselines, conditional_noise, d3prefiner
from diffjax.methods.baselines import Baseline
from diffjax.sequences import scoring

_WINDOWS = (0, 5, 9, 13, 19, 27, 41)
"""Of Savitzky-Golay, in frames."""
_CUTOFFS_HZ, _BETAS = (0.5, 1.0, 2.0, 4.0, 8.0), (0.0, 1.0, 4.0)
"""Of One-Euro: its cutoff at rest, and how it rises with speed."""
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the way to steady bones."""


def applied(baseline: Baseline, videos: SequenceSet) -> Float[np.ndarray, "rows J 3"]:
    """What a refiner makes of the estimates of a set, in metres about the pelvis."""
    assert videos.estimate3d is not None
    return baseline(videos.estimate3d, videos.poses2d, sequence_sets.video_ids(videos))


def refiners(
    train: SequenceSet, val: SequenceSet, run: config.Run
) -> Iterator[tuple[str, Baseline]]:
    """Each by its name, which says what was chosen for it; the lifter's own estimate is the first."""
    yield "the lifter's estimate", baselines.identity()
    yield from _fitted(train, run.sequence.ridge)
    for name, candidates in _families(val).items():
        best = _best(candidates, val)
        yield f"{name}, {best}", candidates[best]


def _fitted(train: SequenceSet, ridge: float) -> Iterator[tuple[str, Baseline]]:
    """What is regressed from the errors in the training set."""
    rows = train.poses2d, train.estimate3d, train.truth3d
    stats = d3prefiner.statistics_of(*rows, sequence_sets.lengths(train))
    root = d3prefiner.root_of(train.joint_set)
    yield "constant bias removed", baselines.bias_removal(baselines.mean_error(stats, root))
    noise = conditional_noise.fit(stats, root=root, ridge=ridge)
    yield "linear-Gaussian", baselines.linear_gaussian(noise)


def _families(videos: SequenceSet) -> dict[str, dict[str, Baseline]]:
    """Refiners with a setting, by that setting, for videos of this rate and these joints."""
    tree, grid = skeleton.keypoint_parents(videos.joint_set), itertools.product(_CUTOFFS_HZ, _BETAS)
    return {
        "Savitzky-Golay": {f"{w} frames": baselines.savitzky_golay(w) for w in _WINDOWS},
        "One-Euro": {f"{c:g} Hz, {b:g}": baselines.one_euro(videos.fps, c, b) for c, b in grid},
        "steady bones": {f"{share:.0%}": baselines.steady_bones(tree, share) for share in _SHARES},
    }


def _best(candidates: dict[str, Baseline], val: SequenceSet) -> str:
    """The setting with the least MPJPE on the validation set."""
    errors = {
        name: scoring.score(applied(baseline, val), val).mpjpe_mm.mean()
        for name, baseline in candidates.items()
    }
    return min(errors, key=errors.__getitem__)
