"""Numbers of every refined row that no truth is needed for, whatever method refined it.

A method is a function from people to people. The cheap signals look at what went in and what came out; the dear ones
run the method again: on the mirrored people, from other estimates, with half of the keypoints.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import annotate, body, chunks, config, devices, joint_limits, pose
from diffjax.confidence import companions, in_time, other_worlds, posterior, rivals
from diffjax.data import records
from diffjax.methods import map_fit, quality
from diffjax.pose import Evidence, Pose, Refined
from diffjax.tracks import Use

Signals = dict[str, np.ndarray]
RESTARTS = 3
_TIME = 50
"""Where the prior is asked what it thinks of a pose."""


class Way(NamedTuple):
    """A method as the signals see it."""

    refine: Callable[[records.AnnotationSet], Refined]
    """People, of the same rows in the same order, to better ones."""
    kind: annotate.Kind | None
    """The evidence that it looks at."""
    use: Use
    steady: bool = True
    """Whether it may be run on mirrored people: not with features of an image that was not mirrored."""


class Told(NamedTuple):
    """What signals are made with, the same for all people."""

    keypoints: Any
    """The body as the evidence sees it (`diffannot.Keypoints`)."""
    judged: body.KeypointModel
    """Joints whose distances count."""
    errors: map_fit.ErrorModel | None = None
    """Of the frontend; without it there is neither a posterior nor a restart."""
    guidance: config.Guidance | None = None
    """Of the evidence: how much it is trusted."""
    prior: annotate.LoadedPrior | None = None
    """Without a condition; None where no prior is asked."""
    known: rivals.Known | None = None
    """Poses that may explain the keypoints as well; None where none are known."""


def of(
    way: Way,
    told: Told,
    people: records.AnnotationSet,
    refined: Refined,
    much: config.Quality = "cheap",
) -> Signals:
    """All signals by name, one number a row. `refined` is what the method made of the people."""
    before, after = annotate.estimate_of(people), refined.pose
    found = cheap(way, told, people, before, after)
    if much == "full":
        known = np.asarray(refined.quality.get("refined", 1.0)) > 0
        again = dear(way, told, people, before, after)
        found |= {name: np.where(known, x, 0.0) for name, x in again.items()}
    found = {name: np.asarray(x, np.float32) for name, x in found.items()}
    return found | companions.of(people, way.use, found)


def dear(way: Way, told: Told, people: records.AnnotationSet, before: Pose, after: Pose) -> Signals:
    """What other fits tell: of the mirrored people, from other estimates, with half of the keypoints."""
    found: Signals = {}
    if way.steady:
        other = pose.mirror(_arrays(way.refine(other_worlds.mirrored(people)).pose))
        found["flip_mm"], found["flip_deg"] = _moved(told, after, other)
    if told.errors is not None:
        found |= restarts(way, told, people, after)
    if way.kind in ("labels", "detections"):
        found |= held_out(way, told, people, before, after)
    return found


def cheap(
    way: Way, told: Told, people: records.AnnotationSet, before: Pose, after: Pose
) -> Signals:
    """What can be told without another fit."""
    found: Signals = {}
    found["moved_mm"], found["moved_deg"] = _moved(told, before, after)
    if told.prior is not None:
        work = _prior_work(told.prior.layout)
        for name, some in (("before", before), ("after", after)):
            found[f"prior_{name}"] = _run(work, (some,), told.prior.prior)
    for name, some in (("before", before), ("after", after)):
        found[f"limits_{name}"] = _run(_limits, (some,))
        found[f"betas_{name}"] = np.linalg.norm(some.betas, axis=-1)
    if told.errors is not None:
        found["surprise"] = _run(_surprise, (before, after), map_fit.whitener(told.errors))
    if way.kind is not None:
        found |= _of_evidence(told, way.kind, annotate.evidence_of(people, way.kind), before, after)
    if way.use == "video":
        found |= in_time.of(told.judged, people, before, after)
    return found


def _of_evidence(
    told: Told, kind: annotate.Kind, evidence: Evidence, before: Pose, after: Pose
) -> Signals:
    found: Signals = {}
    for name, some in (("before", before), ("after", after)):
        fit = _run(_seen, (some, evidence), *told.keypoints) | _spreads(told, some, evidence)
        found |= {f"{what}_{name}": value for what, value in fit.items()}
    if told.known is not None and kind != "joints3d":
        found |= _rivals_of(told, told.known, evidence, before, after)
    found["gain_2d"] = found["reprojection_before"] - found["reprojection_after"]
    confidence = np.concatenate([evidence.keypoints2d[..., 2], evidence.keypoints3d[..., 3]], -1)
    found["visible"] = (confidence > 0).sum(-1)
    found["sure"] = confidence.sum(-1) / np.maximum(found["visible"], 1)
    return found


def _spreads(told: Told, people: Pose, evidence: Evidence) -> Signals:
    if told.errors is None or told.guidance is None:
        return {}
    width = np.float32(told.guidance.robust_px_share or np.inf)
    shared = *told.keypoints, told.judged, told.errors, np.float32(told.guidance.map_weight), width
    return _run(_spread, (people, evidence), *shared)


def _rivals_of(
    told: Told, known: rivals.Known, evidence: Evidence, before: Pose, after: Pose
) -> Signals:
    batch = before, after, evidence
    if told.prior is None or told.errors is None or told.guidance is None:
        return _run(_rivals(None), batch, known, told.judged)
    time = min(told.guidance.prior_time, len(told.prior.prior.schedule.betas) - 1)
    guidance = dataclasses.replace(told.guidance, prior_time=time)
    parts, fit = annotate.combined_parts(told.prior, told.errors, guidance)
    return _run(_rivals(fit), batch, known, told.judged, told.keypoints, *parts)


def restarts(way: Way, told: Told, people: records.AnnotationSet, after: Pose) -> Signals:
    """Mean distance of the fit to those from other estimates."""
    assert told.errors is not None
    moves = []
    for seed in range(RESTARTS):
        other = way.refine(other_worlds.from_others(people, told.errors, seed)).pose
        moves.append(_moved(told, after, other))
    mm, deg = (np.mean(x, 0) for x in zip(*moves))
    return {"restart_mm": mm, "restart_deg": deg}


def held_out(
    way: Way, told: Told, people: records.AnnotationSet, before: Pose, after: Pose
) -> Signals:
    """Error on 2D keypoints that a fit did not see (shares of the box), and how far that fit is from the whole one."""
    assert way.kind is not None
    whole = annotate.evidence_of(people, way.kind)
    both = other_worlds.halves(people, way.kind)
    found: dict[str, list[Any]] = {}
    for given, judge in (both, both[::-1]):
        fitted = way.refine(given).pose
        batch = before, fitted, annotate.evidence_of(judge, way.kind), whole
        errors = _run(_judged_by, batch, told.keypoints.image)
        errors["half_mm"] = _moved(told, after, fitted)[0]
        for name, value in errors.items():
            found.setdefault(name, []).append(value)
    return {name: 0.5 * (a + b) for name, (a, b) in found.items()}


def _arrays(people: Pose) -> Pose:
    return Pose(jnp.asarray(people.rotations), jnp.asarray(people.betas))


def _moved(told: Told, before: Pose, after: Pose) -> tuple[np.ndarray, np.ndarray]:
    return _run(_distances, (before, after), told.judged)


def _distances(batch, judged):
    return quality.moved_mm(judged, *batch), quality.moved_deg(*batch)


@functools.cache
def _prior_work(layout: pose.Layout):
    def work(batch, prior):
        t = min(_TIME, len(prior.schedule.signal) - 1)
        return quality.denoising_loss(prior, *batch, key=jax.random.key(0), layout=layout, t=t)

    return work


def _limits(batch):
    return joint_limits.joint_limits(batch[0].rotations)


def _fitted(fit: Callable[..., Refined], evidence: Evidence, shared, begun: Pose) -> Pose:
    return fit((begun, evidence), *shared).pose


@functools.cache
def _rivals(fit: Callable[..., Refined] | None):
    def work(batch, known, judged, *shared):
        before, after, evidence = batch
        other = None if fit is None else functools.partial(_fitted, fit, evidence, shared)
        return rivals.of(known, judged, before, after, evidence.keypoints2d, other)

    return work


def _surprise(batch, whitener):
    return map_fit.surprise(whitener, *batch)


def _seen(batch, image, space):
    people, evidence = batch
    return {
        "reprojection": quality.reprojection_share(image, people, evidence),
        "joints3d_mm": quality.joints3d_mm(space, people, evidence),
    }


def _spread(batch, image, space, judged, errors, weight, width):
    people, evidence = batch
    how = {"weight": weight, "width": width}
    found = posterior.spread(people, evidence, image, space, judged, errors, **how)
    return {"spread_mm": found.joints_mm, "ease_mm": found.prior_mm, "residual": found.residual}


def _judged_by(batch, image):
    before, after, judge, whole = batch
    side = quality.box_ratio(judge, whole)
    return {
        f"held_out_{when}": quality.reprojection_share(image, people, judge) * side
        for when, people in (("before", before), ("after", after))
    }


def _run(work: Callable[..., Any], batch: Any, *shared: Any) -> Any:
    how = {"size": devices.rows_at_once(), "label": "signals", "bar": False}
    return chunks.in_chunks(work, batch, *shared, **how)[0]
