"""Compares refiners of sequences: python scripts/compare_sequences.py --config configs/d3prefiner_demo.py"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from diffjax import config, sequence_contest


def main(argv: Sequence[str] | None = None) -> None:
    argv = list(sys.argv[1:] if argv is None else argv)
    file = config.config_of(argv)

    def command(
        workdir: Path | None = None,
        seeds: int = 1,
        config_file: Annotated[Path, tyro.conf.arg(name="config")] = file,
        run: config.Fields = config.load(file),  # noqa: B008
    ) -> None:
        """Trains the network and its ablations, and prints one line a method on the test set.

        Args:
            workdir: Where the networks and comparison.json go; what is trained there is not trained
                again (default: runs/NAME).
            seeds: Networks of each kind, whose errors are averaged.
            config_file: A file of configs/ of mode d3prefiner; every field below overrides it.
            run: Of these fields data.*, train.*, diffusion.* and sequence.* matter here.
        """
        sequence_contest.contest(run, workdir or Path("runs") / run.name, seeds=seeds)

    tyro.cli(command, args=argv, description=__doc__)


if __name__ == "__main__":
    config.run_main(main)
