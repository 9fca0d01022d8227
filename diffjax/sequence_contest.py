"""Every refiner of sequences on one set, in one table: D3PRefiner, its ablations, and what needs no network.

Everything is fitted on the training set, whose estimates are out of fold; what has to be chosen is chosen on the
validation set; the test set is looked at once.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import (
    config,
    sequence_refining,
    sequence_scores,
    sequence_sources,
    sequence_training,
    smoothing,
)
from diffjax.data import sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.methods import conditional_noise, d3prefiner, sequence_baselines

VARIANTS = {
    "residual network": {"diffusion": False, "noise": "residual"},
    "without diffusion": {"diffusion": False},
    "without the noise model": {"noise": "residual"},
    "D3PRefiner": {},
    "D3PRefiner, ar1": {"noise": "ar1"},
}
"""Networks as changes of a run's `sequence`. The first is the same network, trained to say the lifter's real error."""
_WINDOWS = (0, 5, 9, 13, 19, 27, 41)
_CUTOFFS, _BETAS = (0.5, 1.0, 2.0, 4.0, 8.0), (0.0, 1.0, 4.0)
Smooth = Callable[[SequenceSet], np.ndarray]


def estimate_of(videos: SequenceSet) -> np.ndarray:
    """The lifter's 3D: `contest` has seen that it is there."""
    assert videos.estimate3d is not None
    return videos.estimate3d


def _flat(videos: SequenceSet, smooth: Callable[[np.ndarray, np.ndarray], np.ndarray]):
    x = estimate_of(videos)
    return smooth(x.reshape(len(x), -1), sequence_sets.video_ids(videos)).reshape(x.shape)


def savitzky_golay(window: int) -> Smooth:
    """Second order, over so many frames."""
    return lambda videos: _flat(videos, lambda x, ids: smoothing.savitzky_golay(x, ids, window))


def one_euro(cutoff: float, beta: float) -> Smooth:
    """At the rate of the set."""
    return lambda videos: _flat(
        videos, lambda x, ids: smoothing.one_euro(x, ids, videos.fps, cutoff, beta)
    )


def chosen(candidates: dict[str, Smooth], val: SequenceSet) -> tuple[str, Smooth]:
    """The candidate with the least MPJPE on the validation set."""
    errors = {
        name: sequence_scores.score(smooth(val), val).mpjpe_mm.mean()
        for name, smooth in candidates.items()
    }
    best = min(errors, key=errors.__getitem__)
    return best, candidates[best]


def plain(train: SequenceSet, val: SequenceSet, run: config.Run) -> Iterator[tuple[str, Smooth]]:
    """Refiners without a network, fitted on train, chosen on val."""
    rows = train.poses2d, train.estimate3d, train.truth3d
    stats = d3prefiner.statistics_of(*rows, sequence_sets.lengths(train))
    root = d3prefiner.root_of(train.joint_set)
    bias = sequence_baselines.bias(stats, root)
    noise = conditional_noise.fit(stats, root=root, ridge=run.sequence.ridge)
    yield "the lifter's estimate", estimate_of
    yield "constant bias removed", lambda v: estimate_of(v) - bias.astype(np.float32)

    def linear(videos: SequenceSet) -> np.ndarray:
        y, p = jnp.asarray(estimate_of(videos)), jnp.asarray(videos.poses2d)
        return np.asarray(sequence_baselines.linear_gaussian(noise, y, p))

    yield "linear-Gaussian", linear
    name, smooth = chosen({f"{w} frames": savitzky_golay(w) for w in _WINDOWS}, val)
    yield f"Savitzky-Golay, {name}", smooth
    grid = {f"{c:g} Hz, {b:g}": one_euro(c, b) for c in _CUTOFFS for b in _BETAS}
    name, smooth = chosen(grid, val)
    yield f"One-Euro, {name}", smooth


def variant(run: config.Run, name: str, seed: int) -> config.Run:
    """The run of a variant and seed; its sets are those of the run."""
    told = dataclasses.replace(run.sequence, **VARIANTS[name])
    return dataclasses.replace(
        run, sequence=told, train=dataclasses.replace(run.train, seed=run.train.seed + seed)
    )


def contest(
    run: config.Run,
    workdir: Path,
    *,
    seeds: int = 1,
    names: Sequence[str] = tuple(VARIANTS),
    say: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Prints the table of the run's test set, and writes it to comparison.json in `workdir`.

    Networks are trained below `workdir`, or taken from there where they have been.
    """
    parts = ("train", "val", "test")
    sets = [
        sequence_sources.open_set(
            run, getattr(run.data, part) or sequence_sources.DEMO, part, workdir
        )
        for part in parts
    ]
    for part, videos in zip(parts, sets):
        if videos.estimate3d is None or videos.truth3d is None:
            raise ValueError(
                f"data.{part}: wanted a set with estimate3d and truth3d, found one without; make it with "
                "scripts/make_sequences.py"
            )
    train, val, test = sets
    base = sequence_scores.score(test.estimate3d, test)
    rows: list[dict[str, Any]] = []

    def add(name: str, refined: Sequence[np.ndarray]) -> None:
        scores = [sequence_scores.score(x, test) for x in refined]
        each = [sequence_scores.summary(name, s, base, test) for s in scores]
        rows.append(sequence_scores.mean_of_seeds(each))
        say(sequence_scores.line(rows[-1]))

    say(sequence_scores.header())
    for name, smooth in plain(train, val, run):
        add(name, [smooth(test)])
    for name in names:
        add(name, [_refined(run, workdir, name, seed, test) for seed in range(seeds)])
    (workdir / "comparison.json").write_text(json.dumps(rows, indent=1))
    return rows


def _refined(run: config.Run, workdir: Path, name: str, seed: int, test: SequenceSet) -> np.ndarray:
    """What a variant, trained with a seed, makes of the test set."""
    told = variant(run, name, seed)
    place = workdir / f"{name.replace(' ', '_').replace(',', '')}_{seed}"
    kept = {
        part: str(workdir / "sequences" / f"{part}.npz")
        for part in ("train", "val", "test")
        if getattr(run.data, part) == sequence_sources.DEMO
    }
    told = dataclasses.replace(told, data=dataclasses.replace(run.data, **kept))
    model = sequence_training.train_refiner(told, place)
    model = sequence_refining.with_settings(model, told.sequence)
    better = sequence_refining.refine_set(model, test, name).estimate3d
    assert better is not None
    return better
