"""Refines an annotation set: python scripts/refine.py --data people.npz --out better.npz --evidence labels"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from diffjax import annotate, config, refine


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    file = config.config_of(argv)

    def command(
        data: str,
        out: Path,
        evidence: annotate.Kind | None = None,
        mode: Literal["guided", "fast"] = "guided",
        workdir: Path | None = None,
        config_file: Annotated[Path, tyro.conf.arg(name="config")] = file,
        run: config.Fields = config.load(file),  # noqa: B008
    ) -> None:
        """Writes the set again, with its estimates replaced by refined ones.

        Args:
            data: An annotation set, .npz or a directory of shards; "demo" for generated people.
            out: The annotation set to write, .npz.
            evidence: What refines: clicked 2D labels, 2D detections or 3D joints. By default the
                first of them that the set holds.
            mode: By a prior of poses, or by the frontend's known errors (--parts.residuals).
            workdir: Where the prior was trained, if --parts.prior names none (default: runs/NAME).
            config_file: A file of configs/; every field below overrides it.
            run: Of these fields guided.*, parts.* and data.body matter here.
        """
        print(refine.refine_file(run, data, out, kind=evidence, mode=mode, workdir=workdir))

    tyro.cli(command, args=argv, description=__doc__)


if __name__ == "__main__":
    config.run_main(main)
