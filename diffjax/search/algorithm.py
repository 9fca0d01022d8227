"""Algorithm 1's bookkeeping: when a sample stops, and which start it keeps. Knows errors, no x."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int


class Progress(NamedTuple):
    """The variables of Algorithm 1, one of each a sample."""

    last_error: Float[Array, "*batch"]
    best_error: Float[Array, "*batch"]
    best_step: Int[Array, "*batch"]
    rises: Int[Array, "*batch"]
    """Errors in a row, up to the last one, that were above the one before."""
    stop: Int[Array, "*batch"]
    done: Bool[Array, "*batch"]


def begin(batch: tuple[int, ...], dtype: Any) -> Progress:
    """Algorithm 1 before its first start."""
    infinite, zero = jnp.full(batch, jnp.inf, dtype), jnp.zeros(batch, int)
    return Progress(infinite, infinite, zero, zero, zero, jnp.zeros(batch, bool))


def feed(
    progress: Progress,
    evaluated: tuple[Int[Array, "*#batch"], Float[Array, "*batch"]],
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


def owed(
    progress: Progress, first: Int[Array, "*batch"], *, patience: int | None, max_step: int
) -> Int[Array, "*batch"]:
    """How many starts from `first` on Algorithm 1 evaluates whatever their errors are.

    It stops only at the (patience + 1)th rise in a row, so with `rises` of them behind it there are
    patience + 1 - rises starts still to come; and one where none has been evaluated.
    """
    left = max_step + 1 - first
    if patience is None:
        return jnp.where(progress.done, 0, left)
    safe = jnp.where(first == 0, 1, patience + 1 - progress.rises)
    return jnp.where(progress.done, 0, jnp.minimum(safe, left))


class Choice(NamedTuple):
    """What Algorithm 1 reads off a whole curve; the fields are those of `Search`."""

    step: Int[Array, "*batch"]
    error: Float[Array, "*batch"]
    stop: Int[Array, "*batch"]


def choose(curve: Float[Array, "*batch starts"], patience: int | None) -> Choice:
    """Algorithm 1 on errors that are known already."""
    last = curve.shape[-1] - 1
    rows = (jnp.arange(last + 1), jnp.moveaxis(curve, -1, 0))
    progress = begin(curve.shape[:-1], curve.dtype)
    end, _ = lax.scan(functools.partial(feed, patience=patience, max_step=last), progress, rows)
    error = jnp.take_along_axis(curve, end.best_step[..., None], axis=-1)[..., 0]
    return Choice(end.best_step, error, end.stop)
