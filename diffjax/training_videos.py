"""Videos of training people, for refiners of sequences: each estimated by a frontend that never saw its subject."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffjax import simulate
from diffjax.data import moments, motion, records, splits, synthetic

_ALL = 1 << 30


def cross_fitted(
    clips: Sequence[motion.Clip],
    scene: synthetic.Scene,
    sampling: splits.Sampling,
    *,
    takes: int = 3,
    folds: int = 4,
    seed: int = 0,
    steps: int = 2000,
    correlation: float = 0.0,
) -> records.AnnotationSet:
    """All windows of the clips, filmed `takes` times, each time by other cameras.

    The frontends are those of `simulate.cross_fitted` with this seed.
    """
    frames = moments.with_mirrors(moments.gather(clips, sampling.train_every))
    trained = simulate.fold_frontends(seed, frames, scene, folds=folds, steps=steps)
    sets = []
    for i, (rows, params) in enumerate(trained):
        windows = _of(moments.windows(clips, _ALL), np.unique(frames.subject[rows]))
        for take in range(takes * (len(windows.sequence) > 0)):
            way = seed + 3000 + 100 * take + i
            sets.append(_film(way, take, windows, params, scene, correlation))
    return records.concatenate(sets)


def _of(windows: moments.Windows, subjects: np.ndarray) -> moments.Windows:
    """The windows of some subjects."""
    mine = np.isin(windows.subject, subjects)
    return moments.Windows(*(column[mine] for column in windows))


def _film(
    seed: int,
    take: int,
    windows: moments.Windows,
    params: Any,
    scene: synthetic.Scene,
    correlation: float,
) -> records.AnnotationSet:
    """One take, whose windows have names of their own."""
    names = np.char.add(windows.sequence, f", take {take}")
    return simulate.track_set(seed, windows._replace(sequence=names), params, scene, correlation)
