"""What a fit is worth without the truth, for every row of a piece: a few numbers that cost nothing, or more fits.

How the numbers are made is in `methods.quality`; here they are made of annotation sets, with tracks and views.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import annotate, chunks, config, devices, fitting, pose, skeleton
from diffjax.data import records
from diffjax.methods import quality
from diffjax.pose import Evidence, Pose, Refined

_TIME = 50
"""Where the prior is asked what it thinks of a pose."""
_FLIP = np.diag([-1.0, 1.0, 1.0]).astype(np.float32)


def signals(
    fitter: fitting.Fitter,
    people: records.AnnotationSet,
    group: np.ndarray,
    refined: Refined,
    where: str,
    much: config.Quality = "cheap",
) -> tuple[dict[str, np.ndarray], float]:
    """Numbers of every row by name, and seconds. `people` and `group` are those of `fitting.fit_piece`."""
    before, after = Pose(people.pred_pose, people.pred_betas), refined.pose
    found, seconds = _cheap(fitter, before, after)
    if much == "full":
        evidence = annotate.evidence_of(people, fitter.kind, where)
        ungated = fitter._replace(settings=dataclasses.replace(fitter.settings, margin=None))
        for dear in (_flipped, _held_out):
            more, took = dear(ungated, people, group, after, evidence, where)
            kept = np.asarray(refined.quality["refined"]) > 0
            found |= {name: np.where(kept, value, np.float32(0)) for name, value in more.items()}
            seconds += took
    return found, seconds


def _cheap(fitter: fitting.Fitter, before: Pose, after: Pose) -> tuple[dict[str, Any], float]:
    prior, layout, conditioned = fitter.loaded
    known = None if conditioned is not None else prior
    work = _distances(layout)
    return _in_chunks(work, fitter, (before, after), fitter.keypoints, known)


@functools.cache
def _distances(layout: pose.Layout):
    def work(batch, keypoints, prior):
        before, after = batch
        found = {
            "moved_mm": quality.moved_mm(keypoints, before, after),
            "moved_deg": quality.moved_deg(before, after),
        }
        if prior is not None:
            how = {"layout": layout, "t": min(_TIME, len(prior.schedule.signal) - 1)}
            for name, people in (("prior_before", before), ("prior_after", after)):
                key = jax.random.key(0)
                found[name] = quality.denoising_loss(prior, people, key=key, **how)
        return found

    return work


def _flipped(fitter, people, group, after, evidence, where) -> tuple[dict[str, Any], float]:
    """PA-MPJPE in mm to the mirror image of the fit of the mirrored people; nothing where features would have to be."""
    model = fitter.loaded.model
    if model is not None and "features" in model.run.model.condition:
        return {}, 0.0
    field = annotate.FIELD_OF[fitter.kind]
    names = skeleton.keypoint_set(getattr(people, f"{field}_set"))
    other, seconds = fitting.fit_piece(
        fitter, _mirrored(people, evidence, field, names), group, where
    )
    found, took = _in_chunks(_compare, fitter, (after, other.pose), fitter.keypoints)
    return {"flip_mm": found}, seconds + took


def _compare(batch, keypoints):
    after, other = batch
    return quality.moved_mm(keypoints, after, pose.mirror(other))


def _mirrored(
    people: records.AnnotationSet, evidence: Evidence, field: str, names: tuple[str, ...]
) -> records.AnnotationSet:
    """What the cameras would have seen of the mirrored people, in the mirrored world."""
    estimate = Pose(jnp.asarray(people.pred_pose), jnp.asarray(people.pred_betas))
    flipped = pose.mirror(estimate)
    seen = quality.mirrored_evidence(jax.tree.map(jnp.asarray, evidence), names)
    changes: dict[str, Any] = {
        "pred_pose": np.asarray(flipped.rotations),
        field: np.asarray(seen.keypoints2d),
    }
    for name in ("pred_cam_t", "view_translation"):
        if getattr(people, name) is not None:
            changes[name] = getattr(people, name) @ _FLIP
    if people.view_rotation is not None:
        changes["view_rotation"] = _FLIP @ people.view_rotation @ _FLIP
    return dataclasses.replace(people, **changes)


def _held_out(fitter, people, group, _, evidence, where) -> tuple[dict[str, Any], float]:
    """Error on keypoints that a fit did not see, shares of the box: half of them, then the other half."""
    halves, seconds = _in_chunks(_halves, fitter, (evidence, _lots(evidence)))
    field = annotate.FIELD_OF[fitter.kind]
    before, total = Pose(people.pred_pose, people.pred_betas), []
    for given, judge in (halves, halves[::-1]):
        known = dataclasses.replace(people, **{field: given.keypoints2d})
        fitted, took = fitting.fit_piece(fitter, known, group, where)
        shares, more = _in_chunks(
            _shares, fitter, (before, fitted.pose, judge, evidence), fitter.keypoints
        )
        total.append(shares)
        seconds += took + more
    first, second = total
    return {name: 0.5 * (first[name] + second[name]) for name in first}, seconds


def _lots(evidence: Evidence) -> np.ndarray:
    """A random number for each keypoint."""
    return np.random.default_rng(0).random(evidence.keypoints2d.shape[:-1], np.float32)


def _halves(batch):
    return quality.halves(*batch)


def _shares(batch, keypoints):
    before, after, judge, evidence = batch
    side = quality.box_ratio(judge, evidence)
    return {
        f"held_out_{when}": quality.reprojection_share(keypoints, people, judge) * side
        for when, people in (("before", before), ("after", after))
    }


def _in_chunks(work, fitter, batch, *shared) -> tuple[Any, float]:
    size = devices.rows_at_once()
    return chunks.in_chunks(work, batch, *shared, size=size, label=fitter.name, bar=False)
