"""Where a run's sequence sets come from: files, or generated motion that is filmed and lifted once."""

import pathlib

from tqdm import tqdm

from diffjax import config
from diffjax.data import sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.frontends import stcformer
from diffjax.sequences import filming, lifting

DEMO = "demo"
_KEPT = "sequences"
LIFTER, FOLDS = stcformer.LIGHT._replace(steps=1000), 2
"""Of generated motion: a third of the steps, and 30 subjects seen by each cross-fitted lifter."""


def open_set(run: config.Run, name: str, part: str, workdir: pathlib.Path) -> SequenceSet:
    """The set `name`: a file, or "demo", of which `part` is one of train, val and test.

    Generated motion is filmed and lifted the first time, and kept in `workdir`.
    """
    if name != DEMO:
        return sequence_sets.read(name, run.sequence.gaps)
    file = workdir / _KEPT / f"{part}.npz"
    if not file.exists():
        make_demo(file.parent, run.data.body)
    return sequence_sets.read(file)


def make_demo(directory: pathlib.Path, body: str) -> None:
    """Writes train, val and test of generated motion, as `scripts/make_sequences.py --steps 1000 --folds 2` does."""
    print(f"{directory}: filming generated motion and training lifters: minutes, once")
    videos = filming.film("generated", body)
    made, lifters = lifting.lift(videos, LIFTER, folds=FOLDS, report=tqdm.write)
    lifting.write(directory, made, lifters)
