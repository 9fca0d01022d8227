"""Every method on one annotation set, in one table, and which command to run: python scripts/evaluate.py"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from diffjax import config, devices
from diffjax.comparison import command as comparison
from diffjax.comparison.method import Tuning
from diffjax.protocols.table import Name as Protocol

_FIRST = ("data.body", "parts")
"""What the short help lists of all settings."""


def main(argv: Sequence[str] | None = None) -> None:
    argv = devices.start(sys.argv[1:] if argv is None else argv)
    file = config.config_of(argv)

    def command(
        data: str | None = None,
        val: str | None = None,
        methods: tuple[str, ...] = (),
        use: Literal["auto", "frames", "video", "views"] = "auto",
        limit: int = 0,
        val_limit: int = 300,
        tune: Tuning = "quick",
        seed: int = 0,
        out: Path | None = None,
        overwrite: bool = False,
        sweep: tuple[Literal["noise", "dropout", "frontends", "views", "rate", "all"], ...] = (),
        sets: tuple[str, ...] = (),
        fps: float = 30.0,
        note: str = "",
        protocol: Protocol = "diffjax",
        bodies: tuple[Path, ...] = (),
        quality: Literal["none", "cheap", "full"] = "none",
        max_harm: float | None = None,
        calibrate: tuple[str, ...] = (),
        score: Path | None = None,
        audit: Path | None = None,
        before: Path | None = None,
        scorehmr_config: Path | None = None,
        scorehmr_prior: str = "",
        config_file: Annotated[Path, tyro.conf.arg(name="config")] = file,
        run: config.Fields = comparison.defaults(argv, file),  # noqa: B008
    ) -> None:
        """Prints a line a method as it comes, then what to run on your data; writes results.json and report.html.

        Methods that need what the set lacks say so. The same command again goes on where a stopped one was.

        Args:
            data: Whose truth is known, .npz or a directory of shards; "demo", "demo_video" and
                "demo_views" are generated people (default: the config's test set).
            val: Other people whose truth is known, to tune settings on; "none" for none (default: the
                config's, where `data` is the config's too; of a demo, its own).
            methods: Only these, a+b for one after the other; `all`: those, too, that only run if named.
            use: Rows alone, tracks, or views of one person; see --scorehmr.use.
            limit: About so many people, evenly over the set; 0 for all.
            val_limit: The same of the validation people.
            tune: quick tries a few settings, full the grids of ablate.py, none takes the config's.
            seed: Of everything that is drawn.
            out: A folder (default: runs/NAME/evaluation).
            overwrite: Replace what is in it.
            sweep: Instead: curves of a few methods against keypoint noise, missing keypoints, frontends,
                cameras at once, or frames a second.
            sets: Of --sweep frontends: the same people by several, NAME=SET or NAME=SET,VALIDATION each.
            fps: Frames a second of tracks.
            note: What is real and what is simulated, for the report.
            protocol: Measure as the papers on this data set do, too: in a second table, and in results.json.
            bodies: The male and the female body that gendered truth was posed with.
            quality: Tell of each row how well its errors are expected without the truth, from numbers of the fit
                (cheap), or from six fits more (full); told by the validation people. Writes calibrations for
                refine.py --quality-from.
            max_harm: Rows more: those left alone of whom too little gain is expected, the others taken as far to their
                fit as pays, so that with 95 % confidence at most this share of all gets worse by more than 1 mm; 0.05
                is a good one. Told by the validation people. With --quality cheap at least.
            calibrate: Of --quality: more sets whose truth is known, beside the validation people.
            score: Instead: this refined set alone, without running a method, against the truth in `data`
                (default: in itself).
            audit: Instead: a report on this annotation set, without truth.
            before: Of --audit: the same rows before they were refined, drawn beside and compared.
            scorehmr_config: Of ScoreHMR's prior and settings (default: scorehmr_NAME.py beside the config,
                or configs/scorehmr_demo.py).
            scorehmr_prior: Another prior for it.
            config_file: A file of configs/; every field below overrides it.
            run: Of these fields guided.*, scorehmr.*, search.*, parts.* and data.* matter here.
        """
        if audit is not None:
            comparison.audit(run, audit, out, before)
            return
        asked = comparison.Asked(
            data, val, methods, use, limit, val_limit, tune, seed, out, overwrite,
            fps, note, sweep, sets, shlex.join(["python", "scripts/evaluate.py", *argv]),
            protocol, bodies, quality, max_harm, calibrate,
        )  # fmt: skip
        if score is not None:
            comparison.score(run, asked, score)
            return
        work = comparison.sweep if sweep else comparison.evaluate
        work(run, asked, config_file, scorehmr_config, scorehmr_prior)

    config.call(command, argv, __doc__ or "", _FIRST)


if __name__ == "__main__":
    config.run_main(main)
