"""What do bfloat16 products cost in answers, and what do they save? On the demo's people and denoiser."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import annotate, body, config, pose, search, simulate
from diffjax.benchmarks import timing
from diffjax.benchmarks.timing import Row
from diffjax.methods import diffannot

BODY, FRONTEND, DENOISER = (
    f"converted_weights/{name}.npz" for name in ("open_body", "demo_frontend", "demo_paper")
)


def _problem(count: int) -> tuple[Any, Any]:
    """Standardised estimates of the demo's people, and the context of the error."""
    paths = (config.locate(path) for path in (FRONTEND, BODY))
    people = simulate.demo_sets(*paths)[1]
    model = body.load_body(config.locate(BODY))
    keypoints = body.fold_keypoints(model, body.load_regressor(config.locate(BODY), "h36m14"))
    joints = body.pose_keypoints(keypoints, jnp.asarray(people.pose), jnp.asarray(people.betas))
    truth = jnp.concatenate([joints, jnp.ones_like(joints[..., :1])], -1)[:count]
    return keypoints, (annotate.estimate_of(people), truth)


@functools.partial(jax.jit, static_argnames=("layout", "patience"))
def _search(prior, keypoints, estimate, truth, *, layout: pose.Layout, patience: int | None):
    count = len(truth)
    x = pose.standardise(prior.normaliser, pose.vector_from_pose(estimate, layout))[:count]
    error = diffannot.joint_error(keypoints, prior.normaliser, layout, "h36m14")
    context = {"joints3d": truth, "betas": estimate.betas[:count]}
    return search.search_steps(
        prior.denoiser, prior.schedule, x, error, context,
        max_step=60, patience=patience, key=jax.random.key(0),
    )  # fmt: skip


def run(quick: bool = False) -> Iterator[Row]:
    """Algorithm 1, and all of 60 starts, in both precisions."""
    keypoints, (estimate, truth) = _problem(64 if quick else 300)
    model = body.load_body(config.locate(BODY))
    priors = {
        name: annotate.load_prior(config.locate(DENOISER), model, name)
        for name in ("bfloat16", "float32")
    }
    for patience in (10, None):

        def once(name: str, patience: int | None = patience) -> search.Search:
            prior, layout, _ = priors[name]
            return _search(prior, keypoints, estimate, truth, layout=layout, patience=patience)

        contenders = {f"diffjax, {name}": functools.partial(once, name) for name in priors}
        times = timing.interleaved(contenders, rounds=2 if quick else 5)
        rough, exact = (once(name) for name in priors)
        notes = {"diffjax, bfloat16": _differences(rough, exact)}
        case = f"demo, {len(truth)} people, 60 starts, " + (
            f"patience {patience}" if patience else "exhaustive"
        )
        yield from timing.rows_of(case, times, items=len(truth), item="sample", notes=notes)


def _differences(rough: search.Search, exact: search.Search) -> str:
    """What the rough search chose otherwise."""
    other = np.mean(np.asarray(rough.step) != np.asarray(exact.step))
    curves = np.abs(np.asarray(rough.curve) - np.asarray(exact.curve))
    both = np.isfinite(curves)
    means = [float(np.mean(np.asarray(found.error))) for found in (rough, exact)]
    return (
        f"another step for {100 * other:.1f} % of people; error of the chosen {means[0]:.3f} "
        f"against {means[1]:.3f} mm; curves differ by {curves[both].mean():.4f} mm, at most {curves[both].max():.3f}"
    )
