"""The step search: from which start does denoising improve an input most (DiffAnnot, Algorithm 1).

An input x is no sample of the diffusion, so its noise level is unknown. The search tries the
starts 0, 1, 2 ...: start s takes x as the state at time s - 1, runs s reverse steps and measures
the error of what comes out. Start 0 is x itself, so the result is never worse than the input by the
error that chooses; where that error is the truth, the result is an oracle's.

Three parts: Algorithm 1's bookkeeping (`algorithm`), the work of many (sample, start) slots at once
(`tiles`), and here the rounds between them, each of which issues exactly the starts that Algorithm 1
evaluates whatever their errors turn out to be.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from diffjax import sampling

# Renamed because `schedule` is what the search calls the tables.
from diffjax import schedule as noising
from diffjax.search import rounds, tiles
from diffjax.search.algorithm import Choice, Progress, choose, feed
from diffjax.search.plan import Plan, make_plan
from diffjax.search.rounds import Error, Search

__all__ = [
    "Choice",
    "Engine",
    "Error",
    "Plan",
    "Progress",
    "Search",
    "candidates",
    "choose",
    "feed",
    "make_plan",
    "search_and_count",
    "search_steps",
]

Candidate = Literal["chain", "one_step"]
Sampler = Literal["ddpm", "ddim"]
Engine = Literal["xla", "fused"]


def search_steps(
    denoiser: sampling.Denoiser,
    schedule: noising.Schedule,
    x: Float[Array, "*batch d"],
    error: Error,
    context: PyTree,
    *,
    max_step: int,
    patience: int | None = 10,
    candidate: Candidate = "chain",
    sampler: Sampler = "ddpm",
    key: PRNGKeyArray | None,
    ids: Int[Array, "*batch"] | None = None,
    tile: int | None = None,
    engine: Engine = "xla",
) -> Search:
    """The best start of 0 .. max_step for every sample, exactly as DiffAnnot's Algorithm 1 has it.

    Pure: jit it as one call with all but the arrays static. Samples do not interact: a sample has
    the same answer in any batch, to the bit where the error does not depend on its batch.

    Args:
      denoiser: called with "slots d" and one t; `one_step` maps it over slots. Where it has a method
        `columns` for "d slots", CPUs call that.
      error: called with "slots d"; a slot is a sample at one start.
      context: leading axes as x has; the denoiser and the error see the slots' rows of it.
      max_step: the last start tried; at most the number of steps of the schedule.
      patience: K of the paper: a sample stops at its (K + 1)th rise in a row. None tries all.
      candidate: `chain` runs s reverse steps (the paper); `one_step` is the denoiser's x_0 at time
        s - 1 (the authors' code).
      sampler: of a chain; `ddpm` is ancestral, `ddim` deterministic (eta 0).
      key: the noise of a `ddpm` chain is a function of (key, id, t) alone: all starts of a sample
        meet the same noise at the same time, in any batch. None where nothing is drawn.
      ids: what names a sample to the noise; by default its place in the flattened batch.
      tile: slots worked on at once, a multiple of 64; by default what suits the device (`plan`).
      engine: `xla`, or the kernel for Hopper GPUs (`fused`), which knows few networks.
    """
    return search_and_count(
        denoiser, schedule, x, error, context,
        max_step=max_step, patience=patience, candidate=candidate, sampler=sampler,
        key=key, ids=ids, tile=tile, engine=engine,
    )[0]  # fmt: skip


def search_and_count(
    denoiser: sampling.Denoiser,
    schedule: noising.Schedule,
    x: Float[Array, "*batch d"],
    error: Error,
    context: PyTree,
    *,
    max_step: int,
    patience: int | None = 10,
    candidate: Candidate = "chain",
    sampler: Sampler = "ddpm",
    key: PRNGKeyArray | None,
    ids: Int[Array, "*batch"] | None = None,
    tile: int | None = None,
    engine: Engine = "xla",
) -> tuple[Search, Float[Array, ""]]:
    """`search_steps`, and the denoiser evaluations of all slots, the idle ones too.

    What they exceed the sum of `denoiser_calls` by is waste: slots that wait for their start, and
    slots without one in a tile that is not full.
    """
    batch = x.shape[:-1]
    shape = jax.eval_shape(error, x, context)
    _check(schedule, batch, shape, max_step, patience, candidate, sampler, key)
    width = max_step + 1 if patience is None else min(max_step, patience) + 1
    count, size = math.prod(batch), x.shape[-1]
    plan = make_plan(count, size, len(schedule.betas), max_step, width, tile)
    rules = {"patience": patience, "max_step": max_step}
    problem = _problem(denoiser, schedule, x, context, candidate, sampler, key, ids)
    search = functools.partial(
        rounds.search_group, run=_run_tile(engine, problem), error=error, dtype=shape.dtype,
        width=width, plan=plan, rules=rules,
    )  # fmt: skip
    found, slot_calls = _by_group(search, problem, plan)
    found = jax.tree.map(lambda leaf: leaf[:count].reshape(*batch, *leaf.shape[1:]), found)
    return found, jnp.sum(slot_calls)


def candidates(
    denoiser: sampling.Denoiser,
    schedule: noising.Schedule,
    x: Float[Array, "*batch d"],
    context: PyTree,
    *,
    max_step: int,
    candidate: Candidate = "chain",
    sampler: Sampler = "ddpm",
    key: PRNGKeyArray | None,
    ids: Int[Array, "*batch"] | None = None,
    tile: int | None = None,
    engine: Engine = "xla",
) -> Float[Array, "starts *batch d"]:
    """What `search_steps` would judge: the result of every start, for controls and curves."""
    batch, size = x.shape[:-1], x.shape[-1]
    _check(schedule, batch, None, max_step, None, candidate, sampler, key)
    count = math.prod(batch)
    plan = make_plan(count, size, len(schedule.betas), max_step, max_step + 1, tile)
    problem = _problem(denoiser, schedule, x, context, candidate, sampler, key, ids)
    work = functools.partial(
        rounds.all_of_group, run=_run_tile(engine, problem), max_step=max_step, plan=plan
    )
    found = _by_group(work, problem, plan)
    return jnp.moveaxis(found[:count], 1, 0).reshape(max_step + 1, *batch, size)


def _problem(
    denoiser: sampling.Denoiser,
    schedule: noising.Schedule,
    x: Float[Array, "*batch d"],
    context: PyTree,
    candidate: str,
    sampler: str,
    key: PRNGKeyArray | None,
    ids: Int[Array, "*batch"] | None,
) -> tiles.Problem:
    """All samples on one axis."""
    axes = x.ndim - 1
    count = math.prod(x.shape[:-1])
    context = jax.tree.map(lambda leaf: jnp.reshape(leaf, (count, *leaf.shape[axes:])), context)
    ids = jnp.arange(count) if ids is None else jnp.reshape(ids, count)
    draws = candidate == "chain" and sampler == "ddpm"
    return tiles.Problem(
        denoiser, schedule, jnp.reshape(x, (count, x.shape[-1])), context, ids,
        key if draws else None, candidate == "one_step",
    )  # fmt: skip


def _run_tile(engine: str, problem: tiles.Problem) -> Callable[..., Array]:
    """What turns slots into candidates."""
    if engine == "xla":
        return tiles.run_tile
    if engine != "fused":
        raise ValueError(f"engine: wanted 'xla' or 'fused', got {engine!r}")
    from diffjax.search import fused  # Here: Pallas's GPU interface is not a stable one.

    if not fused.supports(problem):
        raise ValueError(
            "engine 'fused': wanted chains of an unconditioned PaperMLP of at most 256 wide, bound in "
            "bfloat16; use engine 'xla'"
        )
    return fused.run_tile


def _by_group(work: Callable[..., Any], problem: tiles.Problem, plan: Plan) -> Any:
    """work(problem, real) over groups of samples, one after the other; `real` is not padding."""
    count, places = len(problem.ids), plan.groups * plan.group
    index = jnp.arange(places)
    if places == count and plan.groups == 1:
        return work(problem, index < count)

    def one(index: Array) -> Any:
        rows = jnp.minimum(index, count - 1)
        x, context, ids = jax.tree.map(
            lambda leaf: leaf[rows], (problem.x, problem.context, problem.ids)
        )
        return work(problem._replace(x=x, context=context, ids=ids), index < count)

    found = lax.map(one, index.reshape(plan.groups, plan.group))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)


def _check(
    schedule: noising.Schedule,
    batch: tuple[int, ...],
    error: jax.ShapeDtypeStruct | None,
    max_step: int,
    patience: int | None,
    candidate: str,
    sampler: str,
    key: PRNGKeyArray | None,
) -> None:
    """Refuses what would be traced into a wrong answer."""
    steps = len(schedule.betas)
    if not 0 <= max_step <= steps:
        raise ValueError(f"max_step: wanted 0 to {steps} (the schedule's steps), got {max_step}")
    if patience is not None and patience < 0:
        raise ValueError(f"patience: wanted None or at least 0, got {patience}")
    if candidate not in ("chain", "one_step"):
        raise ValueError(f"candidate: wanted 'chain' or 'one_step', got {candidate!r}")
    if sampler not in ("ddpm", "ddim"):
        raise ValueError(f"sampler: wanted 'ddpm' or 'ddim', got {sampler!r}")
    if key is None and candidate == "chain" and sampler == "ddpm":
        raise ValueError("key: wanted a random key for the noise of a ddpm chain, got None")
    if error is not None and error.shape != batch:
        raise ValueError(f"error: wanted one number a sample, shape {batch}, got {error.shape}")
