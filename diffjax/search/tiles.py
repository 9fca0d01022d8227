"""A tile: reverse chains of many (sample, start) slots that end together, run in one loop over t.

All slots of a tile share t, so the time embedding is one row, the coefficients of a step are scalars
and nothing is gathered by t. A slot joins when its time comes, at t = start - 1; start 0 never moves.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from diffjax import sampling

# Renamed because `schedule` is what the search calls the tables.
from diffjax import schedule as noising


class Problem(NamedTuple):
    """What a group of samples is searched with; "n" counts the samples."""

    denoiser: sampling.Denoiser
    schedule: noising.Schedule
    x: Float[Array, "n d"]
    context: PyTree
    ids: Int[Array, " n"]
    key: PRNGKeyArray | None
    """Of the noise; None where none is drawn."""
    one_step: bool
    """Candidates are the denoiser's x_0 at time start - 1, in place of a chain's end."""

    @property
    def columns(self) -> bool:
        """Whether slots are columns: faster on a CPU, for denoisers that know how."""
        return hasattr(self.denoiser, "columns") and jax.default_backend() == "cpu"


class Noise(NamedTuple):
    """Noise that is drawn once for all the starts of a sample, which all meet it."""

    table: Float[Array, "rows n d"]
    """Row t is of step t."""
    made: Int[Array, ""]
    """Rows drawn so far."""


def no_noise(problem: Problem, rows: int) -> Noise:
    """A table of which nothing is drawn yet."""
    rows = 0 if problem.key is None else rows
    return Noise(jnp.zeros((rows, *problem.x.shape), problem.x.dtype), jnp.zeros((), int))


_DRAWN = 64
"""Samples whose noise is drawn at once."""


def more_noise(problem: Problem, noise: Noise, until: Array, order: Array, count: Array) -> Noise:
    """The table up to row `until`, for the first `count` samples of `order`."""
    rows = noise.table.shape[0]
    if rows == 0:
        return noise
    until = jnp.clip(until, noise.made, rows)
    blocks = -(-count // _DRAWN)

    def draw(i: Array, table: Array) -> Array:
        t, block = noise.made + i // blocks, i % blocks
        # Past the end the last sample is drawn again, to the same numbers.
        place = jnp.minimum(block * _DRAWN + jnp.arange(_DRAWN), len(order) - 1)
        return table.at[t, order[place]].set(_draw(problem, order[place], t))

    table = lax.fori_loop(0, (until - noise.made) * blocks, draw, noise.table)
    return Noise(table, until)


def _draw(problem: Problem, samples: Array, t: Array) -> Float[Array, "slots d"]:
    assert problem.key is not None
    drawn = sampling.step_noise(problem.key, problem.ids[samples], t, problem.x.shape[-1])
    return drawn.astype(problem.x.dtype)


def run_tile(
    problem: Problem, noise: Noise, samples: Int[Array, " slots"], starts: Int[Array, " slots"]
) -> Float[Array, "slots d"]:
    """The candidate of every slot."""
    x, context = problem.x[samples], _rows(problem.context, samples)
    if problem.one_step:
        times = jnp.maximum(starts - 1, 0)
        x_0 = jax.vmap(problem.denoiser)(x, times, context)
        return jnp.where((starts > 0)[:, None], x_0, x)
    step = _reverse_step(problem, context)
    rows, longest = noise.table.shape[0], jnp.max(starts)
    x = x.T if problem.columns else x

    def draw(t: Array) -> Array:
        # Kept apart from the step, as the table is: compiled into it, it would round otherwise.
        return lax.optimization_barrier(_draw(problem, samples, t))

    def look_up(t: Array) -> Array:
        return noise.table[t, samples]

    if problem.key is None:
        x = _descend(step, lambda t: None, x, starts, longest, 0, problem.columns)
    else:
        if rows < len(problem.schedule.betas):
            x = _descend(step, draw, x, starts, longest, rows, problem.columns)
        x = _descend(step, look_up, x, starts, jnp.minimum(longest, rows), 0, problem.columns)
    return x.T if problem.columns else x


def _rows(context: PyTree, samples: Array) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[samples], context)


def _descend(
    step: Callable[..., Array],
    draw: Callable[[Array], Any],
    x: Array,
    starts: Int[Array, " slots"],
    above: Array,
    until: int,
    columns: bool,
) -> Array:
    """The slots after their steps at t = above - 1 .. until."""

    def reverse(i, x):
        t = jnp.asarray(above - 1 - i, jnp.int32)
        live = t < starts
        noise = draw(t)
        if columns:
            return jnp.where(live, step(x, t, None if noise is None else noise.T), x)
        return jnp.where(live[:, None], step(x, t, noise), x)

    return lax.fori_loop(0, jnp.maximum(above - until, 0), reverse, x)


def _reverse_step(problem: Problem, context: PyTree) -> Callable[..., Array]:
    """(slots at t, t, noise) -> slots at t - 1: by ddpm with noise, by ddim without."""
    denoiser: Any = problem.denoiser
    predict = denoiser.columns if problem.columns else denoiser

    def step(x: Array, t: Array, noise: Array | None) -> Array:
        x_0 = predict(x, t, context)
        if noise is None:
            return sampling.ddim_step(problem.schedule, x, x_0, t, t - 1)
        return sampling.ddpm_step(problem.schedule, x, x_0, t, noise)

    return step
