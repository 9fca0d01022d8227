"""Sums, means and distances that are the same to the bit in any batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

MM = 1000.0
"""Millimetres a metre."""


def weights(points, weight):
    return jnp.ones(points.shape[:-1], points.dtype) if weight is None else weight


def sum_first(x: Float[Array, "J ..."]) -> Float[Array, "..."]:
    """Sum over the joints, halves on halves: the same additions in any batch, and elementwise.

    XLA:CPU chooses how to reduce by the size of the batch, and which product of a sum of products to round by what
    they are compiled with: a sample would get other last bits in another batch.
    """
    x = jax.lax.optimization_barrier(x)
    if len(x) > 64:  # A mesh: so many additions are a loop.
        return jnp.sum(x, 0)
    while len(x) > 1:
        half = len(x) // 2
        odd = x[2 * half :]
        x = x[:half] + x[half : 2 * half]
        x = x.at[:1].add(odd) if len(odd) else x
    return x[0]


def mean(values, weight):
    total = sum_first(jnp.moveaxis(values * weight, -1, 0))
    return total / jnp.maximum(sum_first(jnp.moveaxis(weight, -1, 0)), 1e-9)


def distance(a, b):
    square = jax.lax.optimization_barrier((a - b) ** 2)
    squared = square[..., 0] + square[..., 1] + square[..., 2]
    # A zero distance has gradient zero, not nan. The root is bounded by itself: XLA may compute `squared` twice, with
    # other last bits, so that a second test need not agree with the first.
    return jnp.where(squared < 1e-20, 0.0, jnp.sqrt(jnp.maximum(squared, 1e-20)))
