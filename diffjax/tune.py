"""Settings of the refining modes, chosen on validation: by PA-MPJPE, for each kind of evidence."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diffjax import annotate, choosing, config, evaluate, sweep
from diffjax.comparison import evidence
from diffjax.data import records

STRENGTHS = (1.0, 2.0, 4.0, 8.0)
ROUNDS = (20, 40)
MAP_WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)
WIDTHS = {"labels": (0.1,), "detections": (0.05, 0.1), "joints3d": (0.0,)}
"""Robust scales tried, in box sides; 0 for plain squares."""


_GUIDED, _COMBINED = ("robust_px_share", "strength", "rounds"), ("error_weight", "prior_weight")
TOLD = {
    "fast": evidence.told_fast,
    "guided": evidence.told_guided,
    "combined": evidence.told_combined,
}
"""The modes, and their settings in words."""


class Trial(NamedTuple):
    """One setting on the validation set."""

    mode: str
    settings: config.Guidance
    pa_mpjpe_mm: float
    rotation_deg: float
    harmed: float


def settings_of(
    mode: str, kind: annotate.Kind, start: config.Guidance, rounds: Sequence[int] = ROUNDS
) -> list[config.Guidance]:
    """The grid of a mode; all else is as in `start`."""
    grids: dict[str, dict[str, Sequence[float]]] = {
        "fast": {"robust_px_share": WIDTHS[kind], "map_weight": MAP_WEIGHTS},
        "guided": {"robust_px_share": WIDTHS[kind], "strength": STRENGTHS, "rounds": rounds},
        "combined": dict(zip(("error_weight", "prior_weight"), evidence.COMBINED[kind])),
    }
    names = grids[mode]
    return [
        dataclasses.replace(start, **dict(zip(names, values)))
        for values in itertools.product(*names.values())
    ]


def trials(
    parts: choosing.Parts,
    problem: choosing.Problem,
    kind: annotate.Kind,
    start: config.Guidance,
    rounds: Sequence[int] = ROUNDS,
) -> Iterator[Trial]:
    """Every setting of the grids, tried; yields as it goes. Without a frontend's residuals `guided` alone."""
    base = evaluate.score(parts.judge, problem.estimate, problem.truth)
    modes = ("guided",) if parts.kit.error_model is None else tuple(TOLD)
    for mode in modes:
        for settings in settings_of(mode, kind, start, rounds):
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
    found = {kind: _tune_kind(parts, problem, kind, getattr(run.guided, kind)) for kind in kinds}
    for kind, s in found.items():
        print(f"{kind}={s!r},")
    return found


def _tune_kind(parts, problem, kind, start: config.Guidance) -> config.Guidance:
    tried = []
    for trial in trials(parts, problem, kind, start):
        print(_line(kind, trial), flush=True)
        tried.append(trial)
    best = chosen(tried)
    for trial in best.values():
        print(f"{_line(kind, trial)}  chosen", flush=True)
    return joined(best, start)


def chosen(tried: Sequence[Trial]) -> dict[str, Trial]:
    """The best trial of each mode; of `fast` among those with the robust scale of `guided`, which both read."""
    best: dict[str, Trial] = {}
    for mode in ("guided", "fast", "combined"):
        some = [trial for trial in tried if trial.mode == mode]
        if mode == "fast" and "guided" in best:
            width = best["guided"].settings.robust_px_share
            some = [trial for trial in some if trial.settings.robust_px_share == width]
        if some:
            best[mode] = min(some, key=lambda trial: trial.pa_mpjpe_mm)
    return best


def joined(best: dict[str, Trial], start: config.Guidance) -> config.Guidance:
    """The trials of `chosen` in one: each mode reads in it what it was tried with."""
    fields = {"guided": _GUIDED, "fast": ("map_weight",), "combined": _COMBINED}
    found = {
        name: getattr(trial.settings, name) for mode, trial in best.items() for name in fields[mode]
    }
    return dataclasses.replace(start, **found)


def _line(kind: annotate.Kind, trial: Trial) -> str:
    return (
        f"{kind:<12}{trial.mode:<10}{_words(trial):<34}"
        f"{trial.pa_mpjpe_mm:8.2f}{trial.rotation_deg:8.2f}{100 * trial.harmed:6.1f} %"
    )


def _words(trial: Trial) -> str:
    s = trial.settings
    if trial.mode == "combined":
        return TOLD[trial.mode](s)
    return f"width {s.robust_px_share:<6g}{TOLD[trial.mode](s)}"
