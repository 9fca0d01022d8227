"""A batch of windows a few at a time: on a CPU, what lies between two layers then stays in the cache.

Gradients are added up, results laid end to end: what comes out is that of the whole batch, but for rounding.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

_FRAMES = 54
"""At a time on a CPU: two windows of 27, the fastest of what was tried."""


def at_once(count: int, frames: int, wanted: int | None = None) -> int:
    """How many of `count` windows go through together: a divisor of it, at most `wanted`.

    Unless it is given, two windows of 27 frames or as many as these are on a CPU, all of them elsewhere.
    """
    if wanted is None:
        wanted = max(_FRAMES // frames, 1) if jax.default_backend() == "cpu" else count
    return next(size for size in range(min(wanted, count), 0, -1) if count % size == 0)


def _parted(batch: PyTree, size: int) -> PyTree:
    return jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), batch)


def gradient(
    loss: Callable[[PyTree, PyTree], Float[Array, ""]], params: PyTree, batch: PyTree, size: int
) -> tuple[Float[Array, ""], PyTree]:
    """Value and gradient of the mean, over parts of `size` rows, of loss(params, part)."""

    def add(total, part):
        return jax.tree.map(jnp.add, total, jax.value_and_grad(loss)(params, part)), None

    parts = _parted(batch, size)
    count = len(jax.tree.leaves(parts)[0])
    if count == 1:
        return jax.value_and_grad(loss)(params, batch)
    zero = jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
    total, _ = jax.lax.scan(add, zero, parts)
    return jax.tree.map(lambda x: x / count, total)


def apply(function: Callable[[Any], Array], batch: PyTree, size: int) -> Array:
    """function(batch), `size` rows at a time."""
    parts = _parted(batch, size)
    if len(jax.tree.leaves(parts)[0]) == 1:
        return function(batch)
    made = jax.lax.map(function, parts)
    return made.reshape(-1, *made.shape[2:])
