"""What does the prior give, and what the loop? Rivals on the same people and evidence, each tuned on validation.

The loop with a network, with a Gaussian of the training poses, with nothing (eps = 0); the same evidence descended
without a loop (Adam, L-BFGS); and the original's settings.
"""

import dataclasses
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import annotate, config, evaluate, fitting, objective, pose, refine_groups, smoothing
from diffjax.data import jobs, pipeline, records
from diffjax.denoisers import closed
from diffjax.methods import diffannot, gates
from diffjax.pose import Pose, Refined

STRENGTHS = {"labels": (1.0, 2.0, 4.0), "detections": (0.5, 1.0, 2.0, 4.0)}
ROUNDS = {"labels": (40, 80), "detections": (20, 40)}
RIDGE = 0.1
"""Of the Gaussian's variances. Chosen on validation: 0.0001 costs it 2 mm, for what never varies cannot follow."""
GRADIENTS = {"adam": (20, 40, 80, 160), "lbfgs": (5, 10, 20, 40)}
"""How far to go without a prior, which is its only brake."""
VELOCITIES = (30.0, 100.0)
"""Weights of smoothness inside the loop."""
WINDOWS = (9, 15, 21)
MAX_HARM = 0.05
"""Of the gate."""
NETWORK = "loop, network"


class Rival(NamedTuple):
    """A way to refine, and the settings that it is tuned over."""

    name: str
    prior: annotate.LoadedPrior | None
    """None leaves the people to smoothing alone."""
    grid: tuple[config.Fit, ...]
    method: fitting.Method = "loop"
    like: str = ""
    """Takes the settings that this rival was tuned to."""


class People(NamedTuple):
    """One set, ready to be refined and judged."""

    annotations: records.AnnotationSet
    judge: evaluate.Judge
    truth: evaluate.Truth
    base: evaluate.Scores
    seen: np.ndarray
    """Rows that count: of several views, the first."""


class Told(NamedTuple):
    """What stays as it is in a table."""

    run: config.Run
    kit: annotate.Kit
    kind: annotate.Kind
    use: str


def people_of(run: config.Run, name: str, views: int) -> People:
    """The set at a path; with `views`, only so many cameras of it."""
    a = pipeline.read_set(name, "test")
    if views and a.view is not None:
        names = np.unique(a.view)[:views]
        a = records.take(a, np.isin(a.view, names))
    seen = np.full(records.count(a), True)
    if a.view is not None:
        seen = a.view == np.sort(a.view)[0]
    return judged(run, a, seen)


def judged(
    run: config.Run,
    a: records.AnnotationSet,
    seen: np.ndarray,
    moving: tuple[int, ...] | None = None,
) -> People:
    """A set with its truth, of which the rows `seen` count; `moving` as in `evaluate.make_judge`."""
    judge = evaluate.make_judge(run.data.body, a, run.search.keypoints, moving)
    truth = evaluate.truth_of(judge, a)
    base = evaluate.score(judge, annotate.estimate_of(a), truth)
    return People(a, judge, truth, base, seen)


def prior_of(run: config.Run, kit: annotate.Kit, name: str) -> annotate.LoadedPrior:
    """The `network` of the kit, or what it is compared with: the same process and normaliser.

    `eps = 0` knows nothing, `Gaussian` is that of the run's training poses.
    """
    assert kit.prior is not None
    prior, layout, _ = kit.prior
    if name == "network":
        return kit.prior
    if name == "eps = 0":
        denoiser = closed.no_prior(prior.schedule)
    else:
        vectors = training_vectors(run, layout)
        vectors = (vectors - np.asarray(prior.normaliser.mean)) / np.asarray(prior.normaliser.std)
        denoiser = closed.gaussian_prior(prior.schedule, closed.fit_gaussian(vectors, RIDGE))
    return annotate.LoadedPrior(diffannot.Prior(denoiser, prior.schedule, prior.normaliser), layout)


def training_vectors(run: config.Run, layout: pose.Layout) -> np.ndarray:
    """The true people whom a run trains on."""
    model = dataclasses.replace(run.model, vector=layout)
    train = dataclasses.replace(run.train, target="annotation")
    return objective.training_vectors(dataclasses.replace(run, model=model, train=train))


def rivals_of(told: Told, more: Sequence[str | Path]) -> Iterator[Rival]:
    """Everyone who takes part; `more` are networks of other seeds."""
    names = ("eps = 0", "Gaussian", "network")
    priors = {name: prior_of(told.run, told.kit, name) for name in names}
    base = getattr(told.run.scorehmr, told.kind if told.use == "frames" else told.use)
    # Smoothness inside the loop is a rival of its own.
    base, video = dataclasses.replace(base, velocity=0.0, prior="network"), told.use == "video"
    if video:
        alone = (dataclasses.replace(base, smooth_before=w, smooth_after=0) for w in WINDOWS)
        yield Rival("Savitzky-Golay", None, tuple(alone))
    for name, method in (("Adam", "adam"), ("L-BFGS", "lbfgs")):
        plain = tuple(dataclasses.replace(base, rounds=n) for n in GRADIENTS[method])
        yield Rival(f"no prior, {name}", priors["network"], plain, method)
    grid = tuple(
        dataclasses.replace(base, strength=s, rounds=r)
        for s, r in itertools.product(STRENGTHS[told.kind], ROUNDS[told.kind])
    )
    for name in names:
        yield Rival(f"loop, {name}", priors[name], grid)
    others = [annotate.load_prior(path, told.kit.model, conditioned=True) for path in more]
    for i, other in enumerate(others):
        yield Rival(f"{NETWORK}, seed {i + 1}", other, (), like=NETWORK)
    if video:
        inside = tuple(
            dataclasses.replace(base, velocity=v, rounds=r)
            for v, r in itertools.product(VELOCITIES, ROUNDS[told.kind])
        )
        for name in ("eps = 0", "network"):
            yield Rival(f"velocity, {name}", priors[name], inside)
        for i, other in enumerate(others):
            yield Rival(f"velocity, seed {i + 1}", other, (), like="velocity, network")
    original = getattr(config.ScoreHMR(), told.kind if told.use == "frames" else told.use)
    yield Rival("original's settings", priors["network"], (original,))


def refine(told: Told, rival: Rival, fit: config.Fit, people: People) -> tuple[Refined, float]:
    """The people by one rival with one setting; and seconds."""
    return refine_set(told, rival, fit, people.annotations)


def refine_set(
    told: Told, rival: Rival, fit: config.Fit, a: records.AnnotationSet
) -> tuple[Refined, float]:
    """A set by one rival with one setting; and seconds."""
    if rival.prior is None:
        estimate, began = annotate.estimate_of(a), time.perf_counter()
        groups = fitting.groups_of(a, "video")
        ids = np.zeros(records.count(a), int)
        for index, rows in enumerate(groups):
            ids[rows] = index
        smooth = smoothing.smooth_poses(estimate, ids, fit.smooth_before)
        return Refined(smooth, np.zeros((len(ids), 3)), {}), time.perf_counter() - began
    settings = config.ScoreHMR(told.use, fit, fit, fit, fit)  # pyright: ignore[reportArgumentType]
    kit = told.kit._replace(prior=rival.prior)
    fitter = fitting.make_fitter(kit, a, told.kind, settings)._replace(method=rival.method)
    return fitting.fit_set(fitter, a)


def scored(people: People, refined: Refined) -> evaluate.Scores:
    """What is made of people, against their truth."""
    return evaluate.score(people.judge, refined.pose, people.truth)


def tune(told: Told, rival: Rival, val: People) -> Iterator[tuple[config.Fit, float]]:
    """Every setting with its mean PA-MPJPE on validation."""
    for fit in rival.grid:
        scores = scored(val, refine(told, rival, fit, val)[0])
        yield fit, float(np.nanmean(scores.pa_mpjpe_mm[val.seen]))


def _told(fit: config.Fit, rival: Rival) -> str:
    if rival.prior is None:
        return f"window {fit.smooth_before}"
    if rival.method != "loop":
        return f"{fit.rounds} gradients"
    return f"{fit.strength:g} x {fit.rounds}" + (f" v{fit.velocity:g}" if fit.velocity else "")


def run(told: Told, views: int, more: Sequence[str | Path], out: Path) -> list[dict[str, Any]]:
    """Prints the table line by line, writes it to `out` as JSON, and returns it."""
    val, test = (
        people_of(told.run, name, views) for name in (told.run.data.val, told.run.data.test)
    )
    print(f"{test.seen.sum()} people of {told.run.data.test}, tuned on {val.seen.sum()}")
    print(evaluate.header("     acc" if told.use == "video" else ""))
    estimate = annotate.estimate_of(test.annotations)
    found = [_say(told, test, ("estimate", "-"), test.base, float("nan"), estimate)]
    chosen: dict[str, tuple[config.Fit, float]] = {}
    for rival in rivals_of(told, more):
        chosen[rival.name] = chosen.get(rival.like) or min(
            tune(told, rival, val), key=lambda trial: trial[1]
        )
        fit, on_validation = chosen[rival.name]
        refined, seconds = refine(told, rival, fit, test)
        scores = scored(test, refined)
        names = rival.name, _told(fit, rival)
        row = _say(told, test, names, scores, seconds, refined.pose)
        # That of the rival whose settings these are.
        found.append(row | {"validation_pa_mm": on_validation, "fit": dataclasses.asdict(fit)})
        if rival.name == NETWORK:
            margin = _margin(told, rival, fit, val)
            found.append(_gated(told, test, refined, scores, margin))
    jobs.write_json(out, found)
    return found


def _margin(told: Told, rival: Rival, fit: config.Fit, val: People) -> float:
    """The smallest gain that keeps harm on validation at MAX_HARM."""
    refined, _ = refine(told, rival, fit, val)
    harmed = scored(val, refined).pa_mpjpe_mm - val.base.pa_mpjpe_mm > evaluate.HARM_MM
    return gates.choose_margin(refined.quality["gain"][val.seen], harmed[val.seen], MAX_HARM)


def _gated(
    told: Told, test: People, refined: Refined, scores: evaluate.Scores, margin: float
) -> dict[str, Any]:
    """The network's row once more, with those back as they were who gain less than the margin."""
    keep = np.asarray(refined.quality["gain"]) > margin
    mixed = evaluate.Scores(*(np.where(keep, a, b) for a, b in zip(scores, test.base)))
    names = f"- gate {margin:.3f} of box", f"{100 * keep[test.seen].mean():.0f} % kept"
    return _say(told, test, names, mixed, float("nan"), None)


def _say(
    told: Told,
    test: People,
    names: tuple[str, str],
    scores: evaluate.Scores,
    seconds: float,
    people: Pose | None,
) -> dict[str, Any]:
    """Prints a row, and returns it."""
    summary = summarise(test, names, scores, seconds, people if told.use == "video" else None)
    print(line(summary), flush=True)
    return summary


def summarise(
    test: People,
    names: tuple[str, str],
    scores: evaluate.Scores,
    seconds: float,
    tracked: Pose | None = None,
) -> dict[str, Any]:
    """A row as numbers; of `tracked` people with the error of their accelerations."""
    rows = test.seen
    scores, base = (evaluate.Scores(*(x[rows] for x in s)) for s in (scores, test.base))
    a = test.annotations
    groups = np.arange(records.count(a)) if a.sequence is None else a.sequence
    row = evaluate.Row(*names, scores, 1e3 * seconds / rows.sum())
    summary = evaluate.summary(row, base, groups[rows])
    if tracked is not None and test.truth.joints is not None:
        summary["acceleration_mm"] = refine_groups.acceleration_mm(
            test.judge, tracked, test.truth, a
        )
    return summary


def line(summary: dict[str, Any], width: int = evaluate.NAME) -> str:
    """The row in words."""
    acceleration = summary.get("acceleration_mm")
    return evaluate.line(summary, width) + (
        "" if acceleration is None else f"{evaluate.number(acceleration):>8}"
    )
