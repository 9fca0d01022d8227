"""Settings of the refining modes, chosen on validation: by PA-MPJPE, for each kind of evidence."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diffjax import annotate, choosing, config, evaluate, sweep
from diffjax.data import records

STRENGTHS = (1.0, 2.0, 4.0, 8.0)
ROUNDS = (20, 40)
MAP_WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)
WIDTHS = {"labels": (0.1,), "detections": (0.05, 0.1), "joints3d": (0.0,)}
"""Robust scales tried, in box sides; 0 for plain squares."""


class Trial(NamedTuple):
    """One setting on the validation set."""

    mode: str
    settings: config.Guidance
    pa_mpjpe_mm: float
    rotation_deg: float
    harmed: float


def trials(
    parts: choosing.Parts,
    problem: choosing.Problem,
    kind: annotate.Kind,
    start: config.Guidance,
    rounds: Sequence[int] = ROUNDS,
):
    """Every setting of the grids, tried; yields as it goes."""
    base = evaluate.score(parts.judge, problem.estimate, problem.truth)
    grids = [("guided", WIDTHS[kind], STRENGTHS, rounds)]
    if parts.kit.error_model is not None:
        grids.insert(0, ("fast", WIDTHS[kind], MAP_WEIGHTS, (start.rounds,)))
    for mode, *axes in grids:
        for width, value, count in itertools.product(*axes):
            name = "strength" if mode == "guided" else "map_weight"
            settings = dataclasses.replace(
                start, robust_px_share=width, rounds=count, **{name: value}
            )
            refined, _ = annotate.refine_set(
                parts.kit, problem.annotations, kind, settings, mode=mode
            )
            scores = evaluate.score(parts.judge, refined.pose, problem.truth)
            harm = scores.pa_mpjpe_mm > base.pa_mpjpe_mm + evaluate.HARM_MM
            means = (float(np.mean(x)) for x in (scores.pa_mpjpe_mm, scores.rotation_deg, harm))
            yield Trial(mode, settings, *means)


def tune(run: config.Run, workdir: Path) -> dict[str, config.Guidance]:
    """Prints every trial on the run's validation set and the best of each kind, as config lines."""
    val = sweep.load_set(run, "val")
    if val is None:
        raise ValueError(
            "data.val: wanted an annotation set to choose on, got no name; pass --data.val FILE"
        )
    parts = sweep.load_parts(run, workdir, val)
    kinds = annotate.kinds_of(val)
    problem = choosing.make_problem(parts.judge, val, kinds, run.data.val)
    print(f"{records.count(val)} people; PA-MPJPE mm, rotation deg, worse by more than 1 mm")
    chosen = {kind: _tune_kind(parts, problem, kind, getattr(run.guided, kind)) for kind in kinds}
    for kind, s in chosen.items():
        print(f"{kind}={s!r},")
    return chosen


def _tune_kind(parts, problem, kind, start: config.Guidance) -> config.Guidance:
    best: dict[str, Trial] = {}
    for trial in trials(parts, problem, kind, start):
        s, value = trial.settings, f"strength {trial.settings.strength:g} x {trial.settings.rounds}"
        value = value if trial.mode == "guided" else f"map_weight {s.map_weight:g}"
        print(
            f"{kind:<12}{trial.mode:<8}width {s.robust_px_share:<6g}{value:<20}"
            f"{trial.pa_mpjpe_mm:8.2f}{trial.rotation_deg:8.2f}{100 * trial.harmed:6.1f} %",
            flush=True,
        )
        if trial.mode not in best or trial.pa_mpjpe_mm < best[trial.mode].pa_mpjpe_mm:
            best[trial.mode] = trial
    weight = best["fast"].settings.map_weight if "fast" in best else start.map_weight
    return dataclasses.replace(best["guided"].settings, map_weight=weight)
