"""Refines annotations every way there is, with controls: python scripts/sweep_steps.py --config configs/demo.py"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from diffjax import config, devices, sweep


def main(argv: Sequence[str] | None = None) -> None:
    argv = devices.start(sys.argv[1:] if argv is None else argv)
    file = config.config_of(argv)

    def command(
        workdir: Path | None = None,
        overwrite: bool = False,
        config_file: Annotated[Path, tyro.conf.arg(name="config")] = file,
        run: config.Fields = config.load(file),  # noqa: B008
    ) -> None:
        """Prints the table; writes sweep.json, sweep.npz and two pictures.

        Uses every device there is; a stopped sweep goes on with the same command. --distributed: see refine.py --help.

        Args:
            workdir: Where to write (default: runs/NAME).
            overwrite: Replace the finished sweep that is there, once this one is whole.
            config_file: A file of configs/; every field below overrides it.
            run: Of these fields search.*, guided.*, parts.* and data.* matter here.
        """
        sweep.sweep(run, workdir or Path("runs") / run.name, overwrite=overwrite)

    tyro.cli(command, args=argv, description=__doc__)


if __name__ == "__main__":
    config.run_main(main)
