"""Every refiner of sequences on one set, in one table: D3PRefiner, its ablations, and what needs no network.

Everything is fitted on the training set, whose estimates are out of fold; what has to be chosen is chosen on the
validation set; the test set is looked at once.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from diffjax import config
from diffjax.data.sequence_sets import SequenceSet
from diffjax.sequences import plain, refining, scoring, sources, training

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
    if seeds < 1:
        raise ValueError(f"seeds: wanted 1 or more, got {seeds}")
    if unknown := sorted(set(names) - set(VARIANTS)):
        raise ValueError(f"names: wanted some of {sorted(VARIANTS)}, found {unknown}")
    workdir.mkdir(parents=True, exist_ok=True)
    train, val, test = _open_sets(run, workdir)
    base, rows = scoring.score(_estimate(test), test), []
    say(scoring.header())

    def add(name: str, refined: Sequence[np.ndarray]) -> None:
        each = [scoring.summary(name, scoring.score(x, test), base, test) for x in refined]
        rows.append(scoring.mean_of_seeds(each))
        say(scoring.line(rows[-1]))

    for name, baseline in plain.refiners(train, val, run):
        add(name, [plain.applied(baseline, test)])
    told = sources.with_files(run, workdir)
    for name in names:
        add(name, [_refined(told, workdir, name, seed, test) for seed in range(seeds)])
    (workdir / "comparison.json").write_text(json.dumps(rows, indent=1))
    return rows


def _open_sets(run: config.Run, workdir: Path) -> list[SequenceSet]:
    """Train, val and test; ValueError unless all have estimates and the truth, and one rate."""
    parts, sets = ("train", "val", "test"), []
    for part in parts:
        name = getattr(run.data, part) or sources.DEMO
        sets.append(sources.open_set(run, name, part, workdir))
        if sets[-1].estimate3d is None or sets[-1].truth3d is None:
            raise ValueError(
                f"data.{part}: wanted a set with estimate3d and truth3d, found one without; make it with "
                "scripts/make_sequences.py"
            )
    rates = [videos.fps for videos in sets]
    if len(set(rates)) > 1:
        raise ValueError(
            f"data: field fps: wanted one rate in {', '.join(parts)}, found {rates}; thin the faster ones"
        )
    return sets


def _refined(
    run: config.Run, workdir: Path, name: str, seed: int, test: SequenceSet
) -> Float[np.ndarray, "rows J 3"]:
    """What a variant, trained with a seed, makes of the test set."""
    told = variant(run, name, seed)
    place = workdir / f"{name.replace(' ', '_').replace(',', '')}_{seed}"
    model = refining.with_settings(training.train_refiner(told, place), told.sequence)
    return _estimate(refining.refine_set(model, test, name))


def _estimate(videos: SequenceSet) -> Float[np.ndarray, "rows J 3"]:
    """The 3D of a set that is known to have it."""
    assert videos.estimate3d is not None
    return videos.estimate3d
