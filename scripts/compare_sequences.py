"""Compares refiners of sequences: python scripts/compare_sequences.py --config configs/d3prefiner_demo.py"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from diffjax import config
from diffjax.sequences import contest

_FIRST = ("data.train", "data.val", "data.test", "train.steps")
"""What the short help lists of all settings."""


def main(argv: Sequence[str] | None = None) -> None:
    argv = list(sys.argv[1:] if argv is None else argv)
    file = config.config_of(argv)

    def command(
        workdir: Path | None = None,
        seeds: int = 1,
        names: tuple[str, ...] = tuple(contest.VARIANTS),
        config_file: Annotated[Path, tyro.conf.arg(name="config")] = file,
        run: config.Fields = config.load(file),  # noqa: B008
    ) -> None:
        """Trains the network and its ablations, and prints one line a method on the test set.

        Args:
            workdir: Where the networks and comparison.json go; what is trained there is not trained
                again (default: runs/NAME).
            seeds: Networks of each kind, whose errors are averaged.
            names: Networks to train and show, among these.
            config_file: A file of configs/ of mode d3prefiner; every field below overrides it.
            run: Of these fields data.*, train.*, diffusion.* and sequence.* matter here.
        """
        contest.contest(run, workdir or Path("runs") / run.name, seeds=seeds, names=names)

    config.call(command, argv, __doc__ or "", _FIRST)


if __name__ == "__main__":
    config.run_main(main)
