"""Refines an annotation set: python scripts/refine.py --data people.npz --out better.npz --evidence labels"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from diffjax import annotate, config, devices, refine


def main(argv: Sequence[str] | None = None) -> None:
    argv = devices.start(sys.argv[1:] if argv is None else argv)
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

        Uses every device there is. The same command again goes on where a stopped one was. With
        --distributed, or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID in the
        environment, several processes that share a file system each do their part.

        Args:
            data: An annotation set, .npz or a directory of shards; "demo" for generated people.
            out: The annotation set to write: a name ending in .npz, or a directory for its shards.
            evidence: What refines: clicked 2D labels, 2D detections or 3D joints. By default the
                first of them that the set holds.
            mode: By a prior of poses, or by the frontend's known errors (--parts.residuals).
            workdir: Where the prior was trained, if --parts.prior names none (default: runs/NAME).
            config_file: A file of configs/; every field below overrides it.
            run: Of these fields guided.*, parts.* and data.body matter here.
        """
        said = refine.refine_file(run, data, out, kind=evidence, mode=mode, workdir=workdir)
        if devices.is_first():
            print(said)

    tyro.cli(command, args=argv, description=__doc__)


if __name__ == "__main__":
    config.run_main(main)
