"""The step search with every chooser, and its controls, on one annotation set.

The oracle chooses the start by the truth it is judged on. Its controls give the same oracle moves that know nothing:
the candidates' own joint-by-joint magnitudes in random directions, and another sample's moves. What the
oracle gains beyond its controls is what the denoiser knows.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from diffjax import annotate, body, config, energies, evaluate, metrics, pose, search, skeleton
from diffjax.data import records
from diffjax.methods import controls
from diffjax.pose import Evidence, Pose

_SLOTS = 20_000
"""Candidates (samples times starts) in memory at once."""


class Parts(NamedTuple):
    """What a sweep loads."""

    kit: annotate.Kit
    denoiser: annotate.LoadedPrior
    """What the step search denoises with."""
    judge: evaluate.Judge
    frontend: Any
    """Weights of the keypoint frontend, to run it again on new evidence; None where it is not known."""


class Problem(NamedTuple):
    """One annotation set, as arrays."""

    annotations: records.AnnotationSet
    estimate: Pose
    truth: evaluate.Truth
    evidence: dict[annotate.Kind, Evidence]
    groups: np.ndarray
    """Sequence of each sample."""


class Searched(NamedTuple):
    """The step search on every sample."""

    chosen: dict[str, Pose]
    """By who chose: `oracle`, a kind of 2D evidence, a control, `fixed`."""
    steps: dict[str, Any]
    errors: dict[str, Any]
    """The chooser's own error of what it chose."""
    curve: Float[Array | np.ndarray, "samples starts"]
    """(N, starts) error of every start against the truth: mm, or px where only 2D is known."""
    stop: Int[Array | np.ndarray, " samples"]
    """Where Algorithm 1 stopped, by truth."""


def make_problem(
    judge: evaluate.Judge,
    annotations: records.AnnotationSet,
    kinds: tuple[annotate.Kind, ...],
    where: str,
) -> Problem:
    """The set as the methods and the judge want it."""
    groups = annotations.sequence
    if groups is None:
        groups = np.arange(records.count(annotations))
    return Problem(
        annotations,
        annotate.estimate_of(annotations),
        evaluate.truth_of(judge, annotations),
        {kind: annotate.evidence_of(annotations, kind, where) for kind in kinds},
        groups,
    )


def _pixels(model, poses: Pose, evidence: Evidence) -> Float[Array, "starts batch"]:
    """Reprojection error of every candidate in px, translation solved."""
    points = body.pose_keypoints(model, poses.rotations, poses.betas)
    spread = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(points), *x.shape)), evidence)
    return energies.reprojection_error_px(points, energies.place(points, spread, 0.1), spread)


class _Seen(NamedTuple):
    """The keypoints that choosers compare."""

    joints: body.KeypointModel
    image: body.KeypointModel
    evidence: dict[annotate.Kind, body.KeypointModel]


def _true_error(seen: _Seen, run: config.Search, poses: Pose, truth: evaluate.Truth):
    """What the oracle minimises: mm to the true joints, or px where the truth is 2D."""
    if run.error == "reprojection" or truth.joints is None:
        assert truth.image is not None, "checked by _check_truth"
        return _pixels(seen.image, poses, truth.image)
    points = body.pose_keypoints(seen.joints, poses.rotations, poses.betas)
    true, weight = jnp.asarray(truth.joints[..., :3]), jnp.asarray(truth.joints[..., 3])
    if run.error == "pa_mpjpe":
        return metrics.pa_mpjpe_mm(points, true, weight)
    ours, theirs = (metrics.center(x, skeleton.root_of(run.keypoints)) for x in (points, true))
    return metrics.mpjpe_mm(ours, theirs, weight)


def candidates(
    loaded: annotate.LoadedPrior, run: config.Search, estimate: Pose, ids: Array, seed: Array | int
) -> Pose:
    """The annotation of every start, (starts, batch): start 0 is the estimate itself."""
    prior, layout = loaded
    x = pose.standardise(prior.normaliser, pose.vector_from_pose(estimate, layout))
    found = search.candidates(
        prior.denoiser, prior.schedule, x, None, max_step=run.max_step,
        candidate=run.candidate, sampler=run.sampler, key=jax.random.key(seed), ids=ids,
    )  # fmt: skip
    betas = jnp.broadcast_to(estimate.betas, (len(found), *estimate.betas.shape))
    poses = pose.pose_from_vector(pose.unstandardise(prior.normaliser, found), layout, betas)
    return jax.tree.map(lambda a, b: a.at[0].set(b), poses, estimate)


def _pick(poses: Pose, step: Array) -> Pose:
    return jax.tree.map(
        lambda x: jnp.take_along_axis(x, step.reshape(1, -1, *[1] * (x.ndim - 2)), 0)[0], poses
    )


def search_all(
    parts: Parts, problem: Problem, run: config.Search, fixed: int, seed: int = 0
) -> tuple[Searched, float]:
    """The step search with every chooser and control, and milliseconds a sample.

    `fixed` is the step chosen on validation.
    """
    kinds = [kind for kind in problem.evidence if kind != "joints3d"]
    kit, a = parts.kit, problem.annotations
    models = {k: annotate.keypoints_of(kit.body_path, kit.model, a, k).image for k in kinds}
    count = len(problem.groups)
    batch = (problem.estimate, problem.truth, problem.evidence, np.arange(count, dtype=np.int32))
    seen = _Seen(parts.judge.joints, parts.judge.image, models)
    shared = (parts.denoiser.prior, seen, np.int32(fixed), np.int32(seed))
    size = max(2, _SLOTS // (run.max_step + 1))
    work = _search_work(parts.denoiser.layout, run)
    return annotate.in_chunks(work, batch, *shared, size=size, label="step search")


@functools.cache
def _search_work(layout: pose.Layout, run: config.Search):
    """The search of a piece: one function for each static setting, so that it is compiled once."""

    def work(batch, prior, seen, fixed, seed):
        estimate, truth, evidence, ids = batch
        poses = candidates(annotate.LoadedPrior(prior, layout), run, estimate, ids, seed)
        families = {"oracle": poses} | _controls(seed, ids, estimate, poses)
        curves = {name: _true_error(seen, run, p, truth) for name, p in families.items()}
        for kind, model in seen.evidence.items():
            families[kind] = poses
            curves[kind] = _pixels(model, poses, evidence[kind])
        picks = {n: search.choose(jnp.moveaxis(c, 0, -1), run.patience) for n, c in curves.items()}
        steps = {name: pick.step for name, pick in picks.items()} | {"fixed": 0 * ids + fixed}
        chosen = {name: _pick(families.get(name, poses), step) for name, step in steps.items()}
        errors = {name: pick.error for name, pick in picks.items()}
        # Samples first, as the pieces are joined.
        curve = jnp.moveaxis(curves["oracle"], 0, -1)
        return Searched(chosen, steps, errors, curve, picks["oracle"].stop)

    return work


def _controls(seed: Array, ids: Array, estimate: Pose, poses: Pose) -> dict[str, Pose]:
    """Families of candidates that know nothing, of the candidates' own size."""
    moves = controls.candidate_moves(estimate, poses)
    key = jax.random.fold_in(jax.random.key(seed + 1), ids[0])
    return {
        "control, random moves": controls.apply_moves(
            estimate, controls.same_size_moves(key, moves)
        ),
        "control, another's moves": controls.apply_moves(estimate, controls.other_moves(moves)),
    }


def best_fixed_step(curve: np.ndarray) -> int:
    """The start with the least mean error on validation; 0 means: leave the estimates alone."""
    return int(np.argmin(curve.mean(0)))
