"""Refines annotations every way there is, with controls: python scripts/sweep_steps.py --config configs/demo.py"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from diffjax import config, devices, sweep

_FIRST = ("data.val", "data.test", "data.body", "search.max_step", "search.patience", "parts")
"""What the short help lists of all settings."""


def main(argv: Sequence[str] | None = None) -> None:
    argv = devices.start(sys.argv[1:] if argv is None else argv)
    file = config.config_of(argv)

    def command(
        workdir: Path | None = None,
        overwrite: bool = False,
        config_file: Annotated[Path, tyro.conf.arg(name="config")] = file,
        run: config.Fields = config.load(file),  # noqa: B008
    ) -> None:
        """Prints the table; writes it to sweep.txt, and sweep.json, sweep.npz and two pictures.

        Uses every device there is; a stopped sweep goes on with the same command. --distributed: see refine.py --help.

        Args:
            workdir: Where to write (default: runs/NAME).
            overwrite: Replace the finished sweep that is there, once this one is whole.
            config_file: A file of configs/; every field below overrides it.
            run: Of these fields search.*, guided.*, parts.* and data.* matter here.
        """
        sweep.sweep(run, workdir or Path("runs") / run.name, overwrite=overwrite)

    config.call(command, argv, __doc__ or "", _FIRST)


if __name__ == "__main__":
    config.run_main(main)
