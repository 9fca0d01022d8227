"""The parts of all methods, loaded once; one that is absent costs its own rows alone."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diffjax import annotate, config, fitting, objective, refine
from diffjax.comparison.method import Kit, Tuning
from diffjax.data import records
from diffjax.frontends import keypoint_hmr
from diffjax.sequences import store


def loop_config(file: Path) -> Path:
    """The config of ScoreHMR beside a config: itself, scorehmr_NAME.py, or the demo's, which goes with every body."""
    if config.load(file).mode == "scorehmr":
        return file
    beside = file.with_name(f"scorehmr_{file.name}")
    return beside if config.locate(beside).exists() else Path("configs/scorehmr_demo.py")


def loop_run(run: config.Run, file: Path, prior: str = "") -> config.Run:
    """The run of ScoreHMR's loop: the settings of `run`, the prior of a config, or the one that is named."""
    own = config.load(file)
    parts = dataclasses.replace(own.parts, prior=prior or own.parts.prior or f"runs/{own.name}")
    data = dataclasses.replace(own.data, body=run.data.body)
    return dataclasses.replace(
        own, mode="scorehmr", data=data, scorehmr=run.scorehmr, search=run.search, parts=parts
    )


def load(
    run: config.Run,
    loop: config.Run,
    workdir: Path,
    head: records.AnnotationSet,
    *,
    use: str = "auto",
    tuning: Tuning = "quick",
    seed: int = 0,
    poses: bool = True,
) -> Kit:
    """All parts that the runs name; known `poses` where something asks for them."""
    missing: dict[str, str] = {}

    def part(name: str, given: bool, get: Callable[[], Any]) -> Any:
        try:
            if given:
                return get()
            missing[name] = "no file is named"
        except (ValueError, OSError) as error:
            missing[name] = str(error)
        return None

    bare = refine.load_kit(run, "fast", workdir)
    model, own = bare.model, run.parts.denoiser or workdir
    prior = part("prior", True, lambda: annotate.load_prior(run.parts.prior or own, model))
    residuals = run.parts.residuals
    errors = part("residuals", bool(residuals), lambda: annotate.load_error_model(residuals))
    denoiser = part("denoiser", True, lambda: annotate.load_prior(own, model, run.search.precision))
    looped = part("loop", True, lambda: refine.load_kit(loop, "scorehmr", workdir))
    file = run.parts.frontend
    frontend = part("frontend", bool(file), lambda: keypoint_hmr.load(config.locate(file)))
    sequences = run.parts.refiner
    refiner = part("refiner", bool(sequences), lambda: store.load(sequences))
    known = part("poses", poses, lambda: objective.known_poses(run))
    guided = annotate.Kit(run.data.body, model, prior, errors, known)
    return Kit(
        run,
        loop,
        guided,
        looped or guided._replace(prior=None),
        denoiser,
        frontend,
        fitting.use_of(head, use),
        missing,
        tuning,
        seed,
        refiner,
    )
