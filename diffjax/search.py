"""The step search: from which start does denoising improve an input most (DiffAnnot, Algorithm 1).

An input x is no sample of the diffusion, so its noise level is unknown. The search tries the
starts 0, 1, 2 ...: start s takes x as the state at time s - 1, runs s reverse steps and measures
the error of what comes out. Start 0 is x itself, so the result is never worse than the input by the
error that chooses; where that error is the truth, the result is an oracle's.

Two parts meet in `search_steps`: the work of a block of starts (`_chain_block`, `_one_step_block`)
and Algorithm 1's bookkeeping (`feed`). One can be replaced without the other, or a caller, knowing.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from diffjax import sampling

# Renamed because `schedule` is what the search calls the tables.
from diffjax import schedule as noising

EXHAUSTIVE_BLOCK = 16
"""Starts a block without patience. A wider block takes fewer serial steps and more memory, and
its share of idle work is EXHAUSTIVE_BLOCK / max_step."""

Error = Callable[[Array, Any], Array]
"""(x_0, context) -> one number a sample."""


class Search(NamedTuple):
    """What Algorithm 1 returns for each sample, and what it saw on the way."""

    step: Int[Array, "*batch"]
    """The chosen start: the number of reverse steps from the input to `x`."""
    x: Float[Array, "*batch d"]
    """The candidate of the chosen start; at step 0 the input, bit for bit."""
    error: Float[Array, "*batch"]
    """The error of `x`; NaN only where the input is returned and its own error is NaN."""
    curve: Float[Array, "*batch starts"]
    """The error of start s at [..., s], for 0 .. max_step; NaN after `stop`: not evaluated."""
    stop: Int[Array, "*batch"]
    """The last start evaluated."""


class Progress(NamedTuple):
    """The variables of Algorithm 1, one of each a sample."""

    last_error: Float[Array, "*batch"]
    best_error: Float[Array, "*batch"]
    best_step: Int[Array, "*batch"]
    rises: Int[Array, "*batch"]
    """Errors in a row, up to the last one, that were above the one before."""
    stop: Int[Array, "*batch"]
    done: Bool[Array, "*batch"]


class _State(NamedTuple):
    """What the loop over blocks carries; `curve` has its starts in front here."""

    first: Int[Array, ""]
    progress: Progress
    x: Float[Array, "*batch d"]
    curve: Float[Array, "starts *batch"]


def search_steps(
    denoiser: sampling.Denoiser,
    schedule: noising.Schedule,
    x: Float[Array, "*batch d"],
    error: Error,
    context: PyTree,
    *,
    max_step: int,
    patience: int | None = 10,
    candidate: Literal["chain", "one_step"] = "chain",
    sampler: Literal["ddpm", "ddim"] = "ddpm",
    key: PRNGKeyArray | None,
    ids: Int[Array, "*batch"] | None = None,
) -> Search:
    """The best start of 0 .. max_step for every sample, exactly as DiffAnnot's Algorithm 1 has it.

    Pure: jit it as one call with all but the arrays static. Samples do not interact.

    Args:
      max_step: the last start tried; at most the number of steps of the schedule.
      patience: K of the paper: a sample stops at its (K + 1)th rise in a row. None tries all.
      candidate: `chain` runs s reverse steps (the paper); `one_step` is the denoiser's x_0 at time
        s - 1 (the authors' code).
      sampler: of a chain; `ddpm` is ancestral, `ddim` deterministic (eta 0).
      key: the noise of a `ddpm` chain is a function of (key, id, t) alone: all starts of a sample
        meet the same noise at the same time, in any batch. None where nothing is drawn.
      ids: what names a sample to the noise; by default its place in the flattened batch.
    """
    batch = x.shape[:-1]
    shape = jax.eval_shape(error, x, context)
    _check(schedule, batch, shape, max_step, patience, candidate, sampler)
    work = _work(denoiser, schedule, x, context, candidate, sampler, key, ids)
    block = min(max_step + 1, EXHAUSTIVE_BLOCK if patience is None else patience + 1)
    bookkeeping = functools.partial(feed, patience=patience, max_step=max_step)

    def next_block(state: _State) -> _State:
        starts = jnp.minimum(state.first + jnp.arange(block), max_step)
        candidates = work(starts)
        errors = jax.vmap(error, in_axes=(0, None))(candidates, context)
        progress, seen = lax.scan(bookkeeping, state.progress, (starts, errors))
        return _State(
            first=state.first + block,
            progress=progress,
            x=_keep_best(state, progress, candidates),
            curve=lax.dynamic_update_slice_in_dim(state.curve, seen, state.first, axis=0),
        )

    blocks = -(-(max_step + 1) // block)
    unseen = jnp.full((blocks * block, *batch), jnp.nan, shape.dtype)
    state = _State(jnp.zeros((), int), _begin(batch, shape.dtype), x, unseen)
    state = lax.while_loop(lambda state: ~jnp.all(state.progress.done), next_block, state)
    return _result(state, max_step)


def _work(
    denoiser: sampling.Denoiser,
    schedule: noising.Schedule,
    x: Float[Array, "*batch d"],
    context: PyTree,
    candidate: str,
    sampler: str,
    key: PRNGKeyArray | None,
    ids: Int[Array, "*batch"] | None,
) -> Callable[[Array], Array]:
    """starts -> their candidates: the part of the search that costs."""
    if candidate == "one_step":
        return functools.partial(_one_step_block, denoiser, x, context)
    draw = None if sampler == "ddim" else _drawing(key, x.shape[:-1], ids)
    step = _reverse_step(denoiser, schedule, context, draw)
    return functools.partial(_chain_block, step, x)


def candidates(
    denoiser: sampling.Denoiser,
    schedule: noising.Schedule,
    x: Float[Array, "*batch d"],
    context: PyTree,
    *,
    max_step: int,
    candidate: Literal["chain", "one_step"] = "chain",
    sampler: Literal["ddpm", "ddim"] = "ddpm",
    key: PRNGKeyArray | None,
    ids: Int[Array, "*batch"] | None = None,
) -> Float[Array, "starts *batch d"]:
    """What `search_steps` would judge: the result of every start, for controls and curves."""
    work = _work(denoiser, schedule, x, context, candidate, sampler, key, ids)
    return work(jnp.arange(max_step + 1))


class Choice(NamedTuple):
    """What Algorithm 1 reads off a whole curve; the fields are those of `Search`."""

    step: Int[Array, "*batch"]
    error: Float[Array, "*batch"]
    stop: Int[Array, "*batch"]


def choose(curve: Float[Array, "*batch starts"], patience: int | None) -> Choice:
    """Algorithm 1 on errors that are known already."""
    last = curve.shape[-1] - 1
    rows = (jnp.arange(last + 1), jnp.moveaxis(curve, -1, 0))
    begin = _begin(curve.shape[:-1], curve.dtype)
    end, _ = lax.scan(functools.partial(feed, patience=patience, max_step=last), begin, rows)
    error = jnp.take_along_axis(curve, end.best_step[..., None], axis=-1)[..., 0]
    return Choice(end.best_step, error, end.stop)


def feed(
    progress: Progress,
    evaluated: tuple[Int[Array, ""], Float[Array, "*batch"]],
    *,
    patience: int | None,
    max_step: int,
) -> tuple[Progress, Float[Array, "*batch"]]:
    """Algorithm 1's loop body: the progress after one more start, and what the curve records of it.

    Comparisons with NaN are false, as in Python: a NaN error is neither a rise nor a best, and the
    error after it is no rise. A sample that is done stays as it is; the curve has NaN there.
    """
    start, error = evaluated
    rises = jnp.where(error > progress.last_error, progress.rises + 1, 0)
    stopped = jnp.zeros_like(progress.done) if patience is None else rises > patience
    better = ~stopped & (error < progress.best_error)
    fed = Progress(
        last_error=error,
        best_error=jnp.where(better, error, progress.best_error),
        best_step=jnp.where(better, start, progress.best_step),
        rises=rises,
        stop=jnp.broadcast_to(start, rises.shape),
        done=stopped | (start >= max_step),
    )
    keep = functools.partial(jnp.where, progress.done)
    return jax.tree.map(keep, progress, fed), keep(jnp.full_like(error, jnp.nan), error)


def _begin(batch: tuple[int, ...], dtype: Any) -> Progress:
    """Algorithm 1 before its first start."""
    infinite, zero = jnp.full(batch, jnp.inf, dtype), jnp.zeros(batch, int)
    return Progress(infinite, infinite, zero, zero, zero, jnp.zeros(batch, bool))


def _drawing(
    key: PRNGKeyArray | None, batch: tuple[int, ...], ids: Int[Array, "*batch"] | None
) -> Callable[[Array, int], Array]:
    """(t, d) -> the noise of every sample at t."""
    if key is None:
        raise ValueError("key: wanted a random key for the noise of a ddpm chain, got None")
    ids = jnp.arange(math.prod(batch)).reshape(batch) if ids is None else ids
    return functools.partial(sampling.step_noise, key, ids)


def _chain_block(
    step: Callable[[Array, Array], Array],
    x: Float[Array, "*batch d"],
    starts: Int[Array, " block"],
) -> Float[Array, "block *batch d"]:
    """The end of the chain of each start of a block: one loop over t for all of them.

    The chains end together, so that all (start, sample) slots share t: the time embedding is one
    row, and a sample's noise is drawn once. A slot joins at t = start - 1; start 0 never moves.
    """
    slots = jnp.broadcast_to(x, (*starts.shape, *x.shape))
    return sampling.descend(step, slots, starts.reshape(-1, *(1,) * (x.ndim - 1)))


def _one_step_block(
    denoiser: sampling.Denoiser,
    x: Float[Array, "*batch d"],
    context: PyTree,
    starts: Int[Array, " block"],
) -> Float[Array, "block *batch d"]:
    """The denoiser's x_0 at time start - 1, for a block of starts; x itself for start 0."""
    times = jnp.maximum(starts - 1, 0)
    x_0 = jax.vmap(denoiser, in_axes=(None, 0, None))(x, times, context)
    return jnp.where(starts.reshape(-1, *(1,) * x.ndim) > 0, x_0, x)


def _reverse_step(
    denoiser: sampling.Denoiser,
    schedule: noising.Schedule,
    context: PyTree,
    draw: Callable[[Array, int], Array] | None,
) -> Callable[[Array, Array], Array]:
    """(slots at t, t) -> slots at t - 1: by ddpm with the noise drawn at t, else by ddim."""
    # Mapped over starts, not broadcast: what depends on the context alone is computed once.
    predict = jax.vmap(denoiser, in_axes=(0, None, None))

    def step(slots: Array, t: Array) -> Array:
        x_0 = predict(slots, t, context)
        if draw is None:
            return sampling.ddim_step(schedule, slots, x_0, t, t - 1)
        noise = draw(t, slots.shape[-1]).astype(slots.dtype)
        return sampling.ddpm_step(schedule, slots, x_0, t, jnp.broadcast_to(noise, slots.shape))

    return step


def _keep_best(
    state: _State, progress: Progress, candidates: Float[Array, "block *batch d"]
) -> Array:
    """The best x so far: a candidate of this block where the best start is one of its starts."""
    place = progress.best_step - state.first
    index = jnp.maximum(place, 0)[None, ..., None]
    picked = jnp.take_along_axis(candidates, index, axis=0)[0]
    return jnp.where((place >= 0)[..., None], picked, state.x)


def _result(state: _State, max_step: int) -> Search:
    """The error is read off the curve: it is the input's own where no start was better."""
    curve = jnp.moveaxis(state.curve[: max_step + 1], 0, -1)
    step = state.progress.best_step
    error = jnp.take_along_axis(curve, step[..., None], axis=-1)[..., 0]
    return Search(step, state.x, error, curve, state.progress.stop)


def _check(
    schedule: noising.Schedule,
    batch: tuple[int, ...],
    error: jax.ShapeDtypeStruct,
    max_step: int,
    patience: int | None,
    candidate: str,
    sampler: str,
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
    if error.shape != batch:
        raise ValueError(f"error: wanted one number a sample, shape {batch}, got {error.shape}")
