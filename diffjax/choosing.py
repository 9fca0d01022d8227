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

from diffjax import (
    annotate,
    body,
    chunks,
    config,
    devices,
    energies,
    evaluate,
    metrics,
    pose,
    search,
    skeleton,
)
from diffjax.data import records
from diffjax.methods import controls
from diffjax.pose import Evidence, Pose

_NUMBERS = 2048
"""Of a candidate, with its pose and those of its controls."""


class Parts(NamedTuple):
    """What a sweep loads."""

    kit: annotate.Kit
    denoiser: annotate.LoadedPrior
    """What the step search denoises with."""
    judge: evaluate.Judge
    frontend: Any
    """Weights of the keypoint frontend, to run it again on new evidence; None where it is not known."""


class Problem(NamedTuple):
    """People of one annotation set, as arrays."""

    annotations: records.AnnotationSet
    estimate: Pose
    truth: evaluate.Truth
    evidence: dict[annotate.Kind, Evidence]
    ids: np.ndarray
    """Place of each in the whole set: all that their noise depends on."""


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
    ids: np.ndarray | None = None,
    neutral: bool | None = None,
) -> Problem:
    """The set as the methods and the judge want it; of a piece, `ids` and `neutral` tell of the whole."""
    ids = np.arange(records.count(annotations)) if ids is None else ids
    return Problem(
        annotations,
        annotate.estimate_of(annotations),
        evaluate.truth_of(judge, annotations, neutral),
        {kind: annotate.evidence_of(annotations, kind, where) for kind in kinds},
        ids.astype(np.int32),
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
    prior, layout = loaded.prior, loaded.layout
    x = pose.standardise(prior.normaliser, pose.vector_from_pose(estimate, layout))
    found = search.candidates(
        prior.denoiser, prior.schedule, x, None, max_step=run.max_step,
        candidate=run.candidate, sampler=run.sampler, key=jax.random.key(seed), ids=ids,
        tile=run.tile,
    )  # fmt: skip
    betas = jnp.broadcast_to(estimate.betas, (len(found), *estimate.betas.shape))
    poses = pose.pose_from_vector(pose.unstandardise(prior.normaliser, found), layout, betas)
    return jax.tree.map(lambda a, b: a.at[0].set(b), poses, estimate)


def _pick(poses: Pose, step: Array) -> Pose:
    return jax.tree.map(
        lambda x: jnp.take_along_axis(x, step.reshape(1, -1, *[1] * (x.ndim - 2)), 0)[0], poses
    )


class Searcher(NamedTuple):
    """The step search with every chooser, ready for people with certain fields."""

    work: Any
    shared: tuple[Any, ...]
    starts: int


def make_searcher(
    parts: Parts,
    head: records.AnnotationSet,
    kinds: tuple[annotate.Kind, ...],
    run: config.Search,
    fixed: int,
    seed: int = 0,
) -> Searcher:
    """The search of people with the fields of `head`. `fixed` is the step chosen on validation."""
    kit, flat = parts.kit, [kind for kind in kinds if kind != "joints3d"]
    models = {k: annotate.keypoints_of(kit.body_path, kit.model, head, k).image for k in flat}
    seen = _Seen(parts.judge.joints, parts.judge.image, models)
    shared = (parts.denoiser.prior, seen, np.int32(fixed), np.int32(seed))
    return Searcher(_search_work(parts.denoiser.layout, run), shared, run.max_step + 1)


def search_all(
    searcher: Searcher, problem: Problem, *, bar: Any = None, part: float = 1.0
) -> tuple[Searched, float]:
    """The step search with every chooser and control, and seconds without compiling.

    Two neighbours (the first and second, the third and fourth ...) are each other's companions: see
    `controls.pairs`. `bar` and `part` are those of `chunks.in_chunks`.
    """
    batch = (problem.estimate, problem.truth, problem.evidence, problem.ids)
    size = devices.rows_at_once(_NUMBERS * searcher.starts)
    how = {"size": size, "label": "step search", "bar": bar, "part": part}
    return chunks.in_chunks(searcher.work, batch, *searcher.shared, **how)


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
    key = jax.random.key(seed + 1)
    return {
        "control, random moves": controls.apply_moves(
            estimate, controls.same_size_moves(key, ids, moves)
        ),
        "control, another's moves": controls.apply_moves(estimate, controls.other_moves(moves)),
    }


def best_fixed_step(curve: np.ndarray) -> int:
    """The start with the least mean error on validation; 0 means: leave the estimates alone.

    People with an error that is not finite have no say.
    """
    known = curve[np.isfinite(curve).all(1)]
    return int(np.argmin(known.mean(0))) if len(known) else 0
