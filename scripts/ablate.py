"""What the prior gives, and what the loop: python scripts/ablate.py --evidence labels --config CONFIG"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from diffjax import ablation, annotate, config, devices, refine

_FIRST = ("data.val", "data.test", "data.body", "parts.prior")
"""What the short help lists of all settings."""


def main(argv: Sequence[str] | None = None) -> None:
    argv = devices.start(sys.argv[1:] if argv is None else argv)
    file = config.config_of(argv)

    def command(
        evidence: annotate.Kind = "labels",
        use: Literal["frames", "video", "views"] = "frames",
        views: int = 0,
        seeds: tuple[Path, ...] = (),
        out: Path | None = None,
        workdir: Path | None = None,
        config_file: Annotated[Path, tyro.conf.arg(name="config")] = file,
        run: config.Fields = config.load(file),  # noqa: B008
    ) -> None:
        """Prints a table of rivals, each tuned on data.val by PA-MPJPE and judged on data.test.

        Args:
            evidence: What all of them see.
            use: Rows alone, tracks, or calibrated views of one person.
            views: Only so many cameras of each instant; 0 for all.
            seeds: More networks, trained from other seeds; they take the settings of the first.
            out: A JSON file of the rows (default: runs/NAME/ablation-USE-EVIDENCE.json).
            workdir: Where the prior was trained, if --parts.prior names none (default: runs/NAME).
            config_file: A file of configs/; every field below overrides it.
            run: Of these fields scorehmr.*, parts.prior and data.* matter here.
        """
        workdir = workdir or Path("runs") / run.name
        kit = refine.load_kit(run, "scorehmr", workdir)
        told = ablation.Told(run, kit, evidence, use)
        name = f"ablation-{use}{views or ''}-{evidence}.json"
        ablation.run(told, views, seeds, out or workdir / name)

    config.call(command, argv, __doc__ or "", _FIRST)


if __name__ == "__main__":
    config.run_main(main)
