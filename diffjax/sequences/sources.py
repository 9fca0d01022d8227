"""Where a run's sequence sets come from: files, or generated motion that is filmed and lifted once."""

import dataclasses
import pathlib

from diffjax import config
from diffjax.data import sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.sequences import making, recipes
from diffjax.sequences.filming import Videos

DEMO = "demo"
TRAINING = recipes.Training(steps=1000, folds=2)
"""Of the demo's lifters: a third of the steps, and 30 subjects seen by each cross-fitted lifter."""


def open_set(run: config.Run, name: str, part: str, workdir: pathlib.Path) -> SequenceSet:
    """The set `name`: a file, or "demo", of which `part` is one of train, val and test.

    Generated motion is filmed and lifted the first time, and kept in `workdir`.
    """
    if name != DEMO:
        return sequence_sets.read(name, run.sequence.gaps)
    file = _kept(workdir, part)
    if not file.exists():
        make_demo(file.parent, run.data.body)
    return sequence_sets.read(file)


def with_files(run: config.Run, workdir: pathlib.Path) -> config.Run:
    """The run with the demo's sets by the files that `open_set` keeps of them in `workdir`."""
    parts = [part for part in Videos._fields if getattr(run.data, part) == DEMO]
    files = {part: str(_kept(workdir, part)) for part in parts}
    return dataclasses.replace(run, data=dataclasses.replace(run.data, **files))


def _kept(workdir: pathlib.Path, part: str) -> pathlib.Path:
    return workdir / "sequences" / f"{part}.npz"


def make_demo(directory: pathlib.Path, body: str) -> None:
    """Writes train, val and test of generated motion, as `scripts/make_sequences.py --steps 1000 --folds 2` does."""
    print(f"{directory}: filming generated motion and training lifters: minutes, once", flush=True)
    told = recipes.Recipe(recipes.Film(body=pathlib.Path(body)), training=TRAINING)
    making.write(directory, *making.make(told))
