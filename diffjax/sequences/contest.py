"""Every refiner of sequences on one set, in one table: D3PRefiner, its ablations, and what needs no network.

Everything is fitted on the training set, whose estimates are out of fold; what has to be chosen is chosen on the
validation set; the test set is looked at once.
"""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import config, skeleton
from diffjax.data import sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.methods import baselines, conditional_noise, d3prefiner
from diffjax.methods.baselines import Baseline
from diffjax.sequences import refining, scoring, sources, training

_PLAIN = {"noise": "residual", "real": 0.0, "diffusion": False}
_DRAWN = {"noise": "iid", "real": 0.0}
_BOTH = {"noise": "iid", "real": 0.5}
VARIANTS = {
    "smoothing network": {**_PLAIN, "points": False},
    "residual network": _PLAIN,
    "real and drawn errors": {**_BOTH, "diffusion": False},
    "without diffusion": {**_DRAWN, "diffusion": False},
    "without the noise model": {**_PLAIN, "diffusion": True},
    "D3PRefiner": {**_DRAWN, "diffusion": True},
    "D3PRefiner, ar1": {**_DRAWN, "noise": "ar1", "diffusion": True},
    "D3PRefiner, real and drawn": {**_BOTH, "diffusion": True},
}
"""One network each, as changes of a run's `sequence`. The residual network is plainly trained to say the lifter's
real error, the smoothing network too, without 2D; "drawn" are errors of the noise model."""
_WINDOWS = (0, 5, 9, 13, 19, 27, 41)
_CUTOFFS, _BETAS = (0.5, 1.0, 2.0, 4.0, 8.0), (0.0, 1.0, 4.0)
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def estimate_of(videos: SequenceSet) -> np.ndarray:
    """The lifter's 3D: `contest` has seen that it is there."""
    assert videos.estimate3d is not None
    return videos.estimate3d


def applied(baseline: Baseline, videos: SequenceSet) -> np.ndarray:
    """What a baseline makes of a set."""
    return baseline(estimate_of(videos), videos.poses2d, sequence_sets.video_ids(videos))


def chosen(candidates: dict[str, Baseline], val: SequenceSet) -> tuple[str, Baseline]:
    """The candidate with the least MPJPE on the validation set."""
    errors = {
        name: scoring.score(applied(baseline, val), val).mpjpe_mm.mean()
        for name, baseline in candidates.items()
    }
    best = min(errors, key=errors.__getitem__)
    return best, candidates[best]


def plain(train: SequenceSet, val: SequenceSet, run: config.Run) -> Iterator[tuple[str, Baseline]]:
    """Refiners without a network, fitted on train, chosen on val."""
    rows = train.poses2d, train.estimate3d, train.truth3d
    stats = d3prefiner.statistics_of(*rows, sequence_sets.lengths(train))
    root = d3prefiner.root_of(train.joint_set)
    noise = conditional_noise.fit(stats, root=root, ridge=run.sequence.ridge)
    yield "the lifter's estimate", baselines.identity()
    yield "constant bias removed", baselines.bias_removal(baselines.mean_error(stats, root))
    yield "linear-Gaussian", baselines.linear_gaussian(noise)
    polynomials = {f"{w} frames": baselines.savitzky_golay(w) for w in _WINDOWS}
    name, smooth = chosen(polynomials, val)
    yield f"Savitzky-Golay, {name}", smooth
    grid = itertools.product(_CUTOFFS, _BETAS)
    euro = {f"{c:g} Hz, {b:g}": baselines.one_euro(val.fps, c, b) for c, b in grid}
    name, smooth = chosen(euro, val)
    yield f"One-Euro, {name}", smooth
    tree = skeleton.keypoint_parents(val.joint_set)
    shares = {f"{share:.0%}": baselines.steady_bones(tree, share) for share in _SHARES}
    name, steady = chosen(shares, val)
    yield f"steady bones, {name}", steady


def variant(run: config.Run, name: str, seed: int) -> config.Run:
    """The run of a variant and seed, of the network alone; its sets are those of the run."""
    told = dataclasses.replace(run.sequence, **{"bones": 0.0} | VARIANTS[name])
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
    unknown = sorted(set(names) - set(VARIANTS))
    if unknown:
        raise ValueError(f"names: wanted some of {sorted(VARIANTS)}, found {unknown}")
    parts = ("train", "val", "test")
    sets = [
        sources.open_set(run, getattr(run.data, part) or sources.DEMO, part, workdir)
        for part in parts
    ]
    for part, videos in zip(parts, sets):
        if videos.estimate3d is None or videos.truth3d is None:
            raise ValueError(
                f"data.{part}: wanted a set with estimate3d and truth3d, found one without; make it with "
                "scripts/make_sequences.py"
            )
    if len({videos.fps for videos in sets}) > 1:
        found = [videos.fps for videos in sets]
        raise ValueError(
            f"data: field fps: wanted one rate in {', '.join(parts)}, found {found}; thin the faster ones"
        )
    train, val, test = sets
    base = scoring.score(test.estimate3d, test)
    rows: list[dict[str, Any]] = []

    def add(name: str, refined: Sequence[np.ndarray]) -> None:
        scores = [scoring.score(x, test) for x in refined]
        each = [scoring.summary(name, s, base, test) for s in scores]
        rows.append(scoring.mean_of_seeds(each))
        say(scoring.line(rows[-1]))

    say(scoring.header())
    for name, smooth in plain(train, val, run):
        add(name, [applied(smooth, test)])
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
        if getattr(run.data, part) == sources.DEMO
    }
    told = dataclasses.replace(told, data=dataclasses.replace(run.data, **kept))
    model = training.train_refiner(told, place)
    model = refining.with_settings(model, told.sequence)
    better = refining.refine_set(model, test, name).estimate3d
    assert better is not None
    return better
