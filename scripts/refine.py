"""Refines an annotation set: python scripts/refine.py --data people.npz --out better.npz --evidence labels"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from diffjax import annotate, config, devices, refine

_FIRST = ("mode", "data.body", "scorehmr.use", "parts")
"""What the short help lists of all settings."""


def main(argv: Sequence[str] | None = None) -> None:
    argv = devices.start(sys.argv[1:] if argv is None else argv)
    file = config.config_of(argv)

    def command(
        data: str | None = None,
        out: Path | None = None,
        evidence: annotate.Kind | None = None,
        workdir: Path | None = None,
        quality_from: Path | None = None,
        max_harm: float | None = None,
        fps: float = 30.0,
        config_file: Annotated[Path, tyro.conf.arg(name="config")] = file,
        run: config.Fields = config.load(file),  # noqa: B008
    ) -> None:
        """Writes the set again, with its estimates replaced by refined ones; prints how much nearer
        the keypoints they are and, of a set with truth in mode scorehmr or with --quality-from, what that gained
        (of any mode: scripts/evaluate.py --score).

        Uses every device there is. The same command again goes on where a stopped one was. With
        --distributed, or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID in the
        environment, several processes that share a file system each do their part.

        Args:
            data: An annotation set, .npz or a directory of shards; "demo", "demo_video" and
                "demo_views" are generated people (default: the config's test set). Of mode
                d3prefiner a sequence set, .npz.
            out: The annotation set to write: a name ending in .npz, or a directory for its shards
                (default: runs/NAME/refined.npz).
            evidence: What refines: clicked 2D labels, 2D detections or 3D joints. By default the
                first of them that the set holds.
            workdir: Where the prior was trained, if --parts.prior names none (default: runs/NAME).
            quality_from: A calibration that scripts/evaluate.py --quality wrote of this method and evidence: then
                NAME_quality.npz beside the output says what error and what gain to expect of each row.
            max_harm: With a calibration: leave those alone of whom too little gain is expected, and take the others as
                far to their fit as pays, so that with 95 % confidence at most this share of all gets worse by more than
                1 mm (0.05, say); off by default.
            fps: Frames a second of tracks: --scorehmr.video.* are meant at 30, and become what lasts as long at
                these. The commands that evaluate.py --fps prints have that done.
            config_file: A file of configs/; every field below overrides it.
            run: Of these fields mode, guided.*, scorehmr.*, sequence.*, parts.* and data.body matter here.
        """
        target = out or (workdir or Path("runs") / run.name) / "refined.npz"
        source = data or run.data.test
        more = {"quality_from": quality_from, "max_harm": max_harm, "fps": fps}
        said = refine.refine_file(run, source, target, kind=evidence, workdir=workdir, **more)
        if devices.is_first():
            print(said)

    config.call(command, argv, __doc__ or "", _FIRST)


if __name__ == "__main__":
    config.run_main(main)
