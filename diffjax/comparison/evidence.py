"""Methods that look at evidence: guided, fast, inverse kinematics, ScoreHMR's loop and its rivals."""

import dataclasses
import functools
import itertools
from typing import Any

import numpy as np

from diffjax import (
    ablation,
    annotate,
    chunks,
    config,
    contest,
    devices,
    energies,
    fitting,
)
from diffjax.comparison.method import Kit, Outcome, Task
from diffjax.data import records
from diffjax.fitting import rates
from diffjax.methods import diffannot
from diffjax.methods import plain as descents
from diffjax.pose import Pose, Refined

SHARES = (1.0, 0.5)
"""Of the configured strength, tried by the quick tuning; the full one has the grids of tune.py and ablate.py."""
STRENGTHS = (1.0, 2.0, 4.0)
"""Of guided; above 4 the clipped steps diverge."""
MAP_WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)
RECALLS = (0.3, 0.5, 0.7, 1.0)
"""Shares of the way to known poses, in the full tuning."""
FEW_RECALLS = (1.0, 0.5)
"""In the quick one, and where a fit follows."""
COMBINED = {
    "labels": ((0.05, 0.1, 0.2), (0.2, 0.3, 0.5)),
    "detections": ((0.35, 0.5, 0.7, 1.0), (0.7, 1.0, 1.5)),
    "joints3d": ((0.03, 0.1, 0.3), (0.1, 0.3, 1.0)),
}
"""Weights of errors and of the prior."""
PULLS = (0.1, 0.01, 1.0)
"""Of inverse kinematics, to the estimate."""
IK_GRADIENTS = 40
QUICK_GRADIENTS = {"adam": (40,), "lbfgs": (10,)}
"""What each number costs is another compilation."""


def guidance_grid(mode: str):
    """Settings of a mode beside those of the run."""

    def grid(kit: Kit, kind: annotate.Kind | None) -> list[config.Guidance]:
        base = getattr(kit.run.guided, str(kind))
        if mode == "combined":
            return _unique(base, _combinations(base, str(kind), kit.tuning == "full"))
        if mode == "recall+combined":
            full = kit.tuning == "full"
            weights = [{}, *(_combinations(base, str(kind), True) if full else ())]
            return _unique(base, [w | {"recall": share} for share in FEW_RECALLS for w in weights])
        field, values = "map_weight", MAP_WEIGHTS
        if mode == "recall":
            field, values = "recall", RECALLS if kit.tuning == "full" else FEW_RECALLS
        if mode == "guided":
            own = tuple(share * base.strength for share in SHARES)
            field, values = "strength", STRENGTHS if kit.tuning == "full" else own
        return _unique(base, [{field: value} for value in values])

    return grid


def _combinations(base: config.Guidance, kind: str, full: bool) -> list[dict[str, float]]:
    """Both weights of `combined`: the one of the frontend's errors follows the noise of the evidence."""
    if full:
        pairs = itertools.product(*COMBINED[kind])
    else:
        pairs = [(share * base.error_weight, share * base.prior_weight) for share in (0.5, 2.0)]
    return [{"error_weight": errors, "prior_weight": prior} for errors, prior in pairs]


def _unique(base: Any, changes: list[dict[str, Any]]) -> list[Any]:
    """The configured settings first, then those that differ."""
    return list(dict.fromkeys([base, *(dataclasses.replace(base, **c) for c in changes)]))


def guidance(mode: str):
    """A mode of DiffAnnot."""

    def refine(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
        a, kind = given.annotations, task.kind
        assert kind is not None
        refiner = annotate.make_refiner(kit.guided, a, kind, task.settings, mode)
        pair = annotate.estimate_of(a), annotate.evidence_of(a, kind)
        return [Outcome(mode, kind, *annotate.refine_people(refiner, *pair))]

    return refine


def guidance_run(mode: str):
    """The run by which scripts/refine.py does the same."""

    def run(kit: Kit, kind: annotate.Kind | None, settings: config.Guidance) -> config.Run:
        guided = dataclasses.replace(kit.run.guided, **{str(kind): settings})
        return dataclasses.replace(kit.run, mode=mode, guided=guided)

    return run


def inverse_kinematics(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
    """L-BFGS on 3D joints, pulled to the estimate."""
    a, loaded = given.annotations, kit.guided.prior
    assert loaded is not None
    keypoints = annotate.keypoints_of(kit.run.data.body, kit.guided.model, a, "joints3d")
    shared = keypoints, loaded.prior.normaliser, np.float32(task.settings)
    pair = annotate.estimate_of(a), annotate.evidence_of(a, "joints3d")
    how = {"size": devices.rows_at_once(), "label": "ik"}
    return [Outcome("ik", "joints3d", *chunks.in_chunks(_ik(loaded.layout), pair, *shared, **how))]


@functools.cache
def _ik(layout):
    def work(batch, keypoints, normaliser, pull):
        estimate, evidence = batch
        energy = energies.joints3d(keypoints.space)
        how = {"layout": layout, "pull": pull, "iterations": IK_GRADIENTS}
        fitted = descents.fit_lbfgs(estimate, evidence, energy, normaliser, **how)
        return diffannot.finish(estimate, fitted, evidence, keypoints, float("inf"))

    return work


def frontend(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
    """The keypoint frontend on the labels that it did not see."""
    a, kind = given.annotations, task.kind
    if kind != "labels" or a.labels2d_set != "coco17":
        raise ValueError(f"the frontend reads labels in coco17, found {a.labels2d_set}")
    entry = contest.run_again(kit.frontend, annotate.evidence_of(a, kind), kind)
    place = np.zeros((records.count(a), 3), np.float32)
    return [Outcome("frontend", kind, Refined(entry.people, place, {}), entry.seconds)]


def _use(kit: Kit, wanted: str) -> str:
    return kit.use if wanted == "set" else wanted


def fit_of(kit: Kit, kind: annotate.Kind | None, wanted: str) -> config.Fit:
    """ScoreHMR's configured settings for a use of the set; those of tracks at their rate."""
    use = _use(kit, wanted)
    fit = getattr(kit.loop.scorehmr, str(kind) if use == "frames" else use)
    return rates.at_rate(fit, kit.fps) if use == "video" else fit


def fit_grid(method: fitting.Method, wanted: str, **changes: Any):
    """Settings of the loop, or of a descent without a prior, beside those of the run, which `changes` changes."""

    def grid(kit: Kit, kind: annotate.Kind | None) -> list[config.Fit]:
        base = dataclasses.replace(fit_of(kit, kind, wanted), **changes)
        full = kit.tuning == "full"
        if method != "loop":
            values = (ablation.GRADIENTS if full else QUICK_GRADIENTS)[method]
            return [dataclasses.replace(base, rounds=n) for n in values]
        pairs = [(share * base.strength, base.rounds) for share in SHARES]
        if full:
            pairs = itertools.product(ablation.STRENGTHS[str(kind)], ablation.ROUNDS[str(kind)])
        return _unique(base, [{"strength": s, "rounds": r} for s, r in pairs])

    return grid


def fit(name: str, method: fitting.Method, prior: str, wanted: str):
    """ScoreHMR's loop with a prior, or a descent without; rows alone, as tracks or as views."""

    def refine(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
        assert task.kind is not None
        told = ablation.Told(kit.loop, kit.fitting, task.kind, _use(kit, wanted))
        loaded = _prior(kit, prior)
        rival = ablation.Rival(name, loaded, (), method)
        refined, seconds = ablation.refine_set(told, rival, task.settings, given.annotations)
        return [Outcome(name, task.kind, refined, seconds)]

    return refine


_PRIORS: dict[tuple[int, str], Any] = {}


def _prior(kit: Kit, name: str) -> annotate.LoadedPrior:
    """Of `ablation.prior_of`, made once."""
    key = id(kit.fitting.prior), name
    if key not in _PRIORS:
        _PRIORS[key] = ablation.prior_of(kit.loop, kit.fitting, name)
    return _PRIORS[key]


def fit_run(wanted: str):
    """The run by which scripts/refine.py does the same."""

    def run(kit: Kit, kind: annotate.Kind | None, settings: config.Fit) -> config.Run:
        use = _use(kit, wanted)
        field = str(kind) if use == "frames" else use
        scorehmr = dataclasses.replace(kit.loop.scorehmr, use=use, **{field: settings})
        return dataclasses.replace(kit.loop, mode="scorehmr", scorehmr=scorehmr)

    return run


def told_fit(settings: config.Fit) -> str:
    return f"{settings.strength:g} x {settings.rounds}"


def told_gradients(settings: config.Fit) -> str:
    return f"{settings.rounds} gradients"


def told_guided(settings: config.Guidance) -> str:
    return f"{settings.strength:g} x {settings.rounds}"


def told_fast(settings: config.Guidance) -> str:
    return f"weight {settings.map_weight:g}"


def told_combined(settings: config.Guidance) -> str:
    return f"{settings.error_weight:g} + {settings.prior_weight:g}"


def told_recall(settings: config.Guidance) -> str:
    return f"{settings.recall:g} of the way"


def told_recall_combined(settings: config.Guidance) -> str:
    return f"{settings.recall:g}, {told_combined(settings)}"


def posed(refined: Refined) -> Pose:
    """On the host."""
    return Pose(np.asarray(refined.pose.rotations), np.asarray(refined.pose.betas))
