"""The rounds of a search: each issues exactly the starts that Algorithm 1 evaluates in any case.

What is issued is sorted by start and cut into tiles; the errors go to Algorithm 1's bookkeeping, which
says what is owed next. Samples that are done take no slot.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from diffjax.search import algorithm, tiles
from diffjax.search.algorithm import Progress
from diffjax.search.plan import Plan

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
    denoiser_calls: Int[Array, "*batch"]
    """Evaluations of the denoiser for this sample, counted as they were made."""


class _State(NamedTuple):
    """What the rounds of a group carry."""

    progress: Progress
    first: Int[Array, " n"]
    """The next start of each sample."""
    best: tuple[Array, Array, Array]
    """Error, start and x of the best candidate so far."""
    curve: Float[Array, "n starts"]
    calls: Int[Array, " n"]
    slot_calls: Float[Array, "1"]
    noise: tiles.Noise


def search_group(
    problem: tiles.Problem,
    real: Array,
    *,
    run: Callable[..., Array],
    error: Error,
    dtype: Any,
    width: int,
    plan: Plan,
    rules: dict[str, Any],
) -> tuple[Search, Array]:
    """The search of one group, round by round until all its samples are done."""
    count, starts = len(problem.ids), rules["max_step"] + 1
    progress = algorithm.begin((count,), dtype)._replace(done=~real)
    zero = jnp.zeros(count, int)
    state = _State(
        progress, zero, (progress.best_error, zero, problem.x),
        jnp.full((count, starts), jnp.nan, dtype), zero, jnp.zeros(1, jnp.float32),
        tiles.no_noise(problem, plan.noise_rows),
    )  # fmt: skip

    def next_round(state: _State) -> _State:
        owed = algorithm.owed(state.progress, state.first, **rules)
        if rules["patience"] is not None:
            owed = _fill_tiles(owed, state.first, plan.tiles[-1])
        jobs = _jobs(state.first, owed, width)
        done = state.progress.done
        until = jnp.max(state.first + owed - 1)
        order = jnp.argsort(done, stable=True)
        noise = tiles.more_noise(problem, state.noise, until, order, jnp.sum(~done))
        judge = functools.partial(_judge, problem, run, error)
        state = _over_tiles(judge, jobs, state._replace(noise=noise), plan.tiles)
        return _feed_round(state, owed, width, rules)

    state = lax.while_loop(lambda state: ~jnp.all(state.progress.done), next_round, state)
    step = state.progress.best_step
    # The input's own where no start was better.
    best = jnp.take_along_axis(state.curve, step[:, None], axis=1)[:, 0]
    found = Search(step, state.best[2], best, state.curve, state.progress.stop, state.calls)
    return found, state.slot_calls


def _fill_tiles(owed: Int[Array, " n"], first: Int[Array, " n"], size: int) -> Int[Array, " n"]:
    """What is owed, without the samples that would leave a last tile of `size` slots half empty.

    Those furthest on wait: they are few, and in a later round others will be there to fill tiles.
    """
    order = jnp.argsort(first, stable=True)
    jobs = jnp.cumsum(owed[order])
    full = jobs[-1] // size * size
    full = jnp.where(full < jnp.max(owed), jobs[-1], full)
    issued = jnp.zeros(len(owed), bool).at[order].set(jobs <= full)
    return jnp.where(issued, owed, 0)


class _Jobs(NamedTuple):
    """(sample, start) pairs by ascending start; those before place `first` are none."""

    sample: Int[Array, " jobs"]
    start: Int[Array, " jobs"]
    first: Int[Array, ""]


def _jobs(first: Int[Array, " n"], owed: Int[Array, " n"], width: int) -> _Jobs:
    """The next `owed` starts of every sample."""
    ahead = jnp.arange(width)
    start = first[:, None] + ahead
    start = jnp.where(ahead < owed[:, None], start, -1).reshape(-1)
    order = jnp.argsort(start, stable=True)
    return _Jobs(order // width, start[order], len(order) - jnp.sum(owed))


def _over_tiles(use: Callable[..., Any], jobs: _Jobs, state: Any, sizes: tuple[int, ...]) -> Any:
    """use(state, samples, starts, live) over tiles of jobs, from the latest starts to the earliest.

    So slots of a tile have nearly the same start, and a tile that is not full is a short one.
    """
    end = jnp.asarray(len(jobs.sample))
    for size in sizes:
        least = 1 if size == sizes[-1] else size

        def more(carry, least=least):
            return carry[0] - jobs.first >= least

        def one(carry, size=size):
            end, state = carry
            place = end - size + jnp.arange(size)
            live = place >= jobs.first
            place = jnp.maximum(place, 0)
            starts = jnp.where(live, jobs.start[place], 0)
            return end - size, use(state, jobs.sample[place], starts, live)

        end, state = lax.while_loop(more, one, (end, state))
    return state


def _judge(
    problem: tiles.Problem,
    run: Callable[..., Array],
    error: Error,
    state: _State,
    samples: Int[Array, " slots"],
    starts: Int[Array, " slots"],
    live: Array,
) -> _State:
    """The state with one tile's candidates made and judged."""
    x = run(problem, state.noise, samples, starts)
    # Made once: an error compiled into the chain would be computed with it at every use.
    x = lax.optimization_barrier(x)
    errors = error(x, jax.tree.map(lambda leaf: leaf[samples], problem.context))
    nobody = len(problem.ids)
    owner = jnp.where(live, samples, nobody)
    calls = jnp.minimum(starts, 1) if problem.one_step else starts
    steps = jnp.asarray(1) if problem.one_step else jnp.max(starts)
    return state._replace(
        best=_best(state.best, owner, starts, errors, x),
        curve=state.curve.at[owner, starts].set(errors, mode="drop"),
        calls=state.calls.at[owner].add(calls, mode="drop"),
        slot_calls=state.slot_calls + jnp.asarray(steps * len(starts), jnp.float32),
    )


def _best(
    best: tuple[Array, Array, Array], owner: Array, starts: Array, errors: Array, x: Array
) -> tuple[Array, Array, Array]:
    """The best candidates so far: least error, then least start. NaN is never the best.

    No candidate of a round is one that Algorithm 1 would not weigh: its last error before it stops
    is a rise, hence above the best.
    """
    least, step, kept = best
    nobody = len(least)
    errors = jnp.where(jnp.isnan(errors), jnp.inf, errors)
    now = least.at[owner].min(errors, mode="drop")
    ties = errors == now.at[owner].get(mode="fill", fill_value=-jnp.inf)
    # Where the error fell, the start of old is none.
    old = jnp.where(now < least, jnp.iinfo(step.dtype).max, step)
    then = old.at[jnp.where(ties, owner, nobody)].min(starts, mode="drop")
    won = ties & (starts == then.at[owner].get(mode="fill", fill_value=-1))
    winner = jnp.where(won, owner, nobody)
    return now, then, kept.at[winner].set(x, mode="drop")


def _feed_round(state: _State, owed: Int[Array, " n"], width: int, rules: dict[str, Any]) -> _State:
    """Algorithm 1's bookkeeping of the starts of a round, in their order."""
    rows = jnp.arange(len(owed))

    def one(progress: Progress, ahead: Array) -> tuple[Progress, None]:
        start = jnp.minimum(state.first + ahead, rules["max_step"])
        fed, _ = algorithm.feed(progress, (start, state.curve[rows, start]), **rules)
        keep = functools.partial(jnp.where, ahead < owed)
        return jax.tree.map(keep, fed, progress), None

    progress, _ = lax.scan(one, state.progress, jnp.arange(width))
    return state._replace(progress=progress, first=state.first + owed)


def all_of_group(
    problem: tiles.Problem, real: Array, *, run: Callable[..., Array], max_step: int, plan: Plan
) -> Float[Array, "n starts d"]:
    """The candidates of every start of one group."""
    count, size = problem.x.shape
    owed = jnp.where(real, max_step + 1, 0)
    jobs = _jobs(jnp.zeros(count, int), owed, max_step + 1)
    noise = tiles.no_noise(problem, plan.noise_rows)
    everyone = jnp.arange(count)
    noise = tiles.more_noise(problem, noise, jnp.asarray(max_step), everyone, jnp.asarray(count))

    def keep(found: Array, samples: Array, starts: Array, live: Array) -> Array:
        x = run(problem, noise, samples, starts)
        return found.at[jnp.where(live, samples, count), starts].set(x, mode="drop")

    found = jnp.zeros((count, max_step + 1, size), problem.x.dtype)
    return _over_tiles(keep, jobs, found, plan.tiles)
