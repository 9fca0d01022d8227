"""Tracks and sets of views of any length in one batch: rows with the same id belong together.

Rows of a track follow each other in time. The id -1 belongs to nobody: no neighbour, no mean.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def joined(ids: Int[Array, " rows"], apart: int = 1) -> Bool[Array, " pairs"]:
    """Whether row n and row n + apart, and all between, are of one segment; pairs = rows - apart."""
    ids = jnp.asarray(ids)
    same = (ids[1:] == ids[:-1]) & (ids[1:] >= 0)
    return jnp.all(jnp.stack([same[i : len(same) + 1 - apart + i] for i in range(apart)]), 0)


def velocities(x: Float[Array, "rows d"], ids: Int[Array, " rows"]) -> Float[Array, "pairs d"]:
    """x_{n+1} - x_n within segments, zero across their borders; pairs = rows - 1."""
    return jnp.where(joined(ids)[:, None], x[1:] - x[:-1], 0.0)


def accelerations(x: Float[Array, "rows d"], ids: Int[Array, " rows"]) -> Float[Array, "triples d"]:
    """x_{n+2} - 2 x_{n+1} + x_n within segments, zero across their borders; triples = rows - 2."""
    if len(x) < 3:
        return jnp.zeros_like(x[:0])
    return jnp.where(joined(ids, 2)[:, None], x[2:] - 2.0 * x[1:-1] + x[:-2], 0.0)


def deviations(x: Float[Array, "rows d"], ids: Int[Array, " rows"]) -> Float[Array, "rows d"]:
    """x less the mean of its segment; zero for nobody's rows. Ids are below the number of rows."""
    rows, known = len(ids), jnp.asarray(ids) >= 0
    place = jnp.where(known, ids, rows)
    total = jax.ops.segment_sum(x, place, rows + 1)
    count = jax.ops.segment_sum(jnp.ones(rows, x.dtype), place, rows + 1)
    mean = total / jnp.maximum(count, 1.0)[:, None]
    return jnp.where(known[:, None], x - mean[place], 0.0)
