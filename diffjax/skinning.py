"""Linear blend skinning of a batch of bodies, in pieces that fit the cache of a CPU core.

Blended transforms are twelve numbers a vertex: 340 MB for 1,024 bodies of 6,890 vertices, and most of the time
would go to fetching fresh pages for them. So on a CPU a batch is cut into chunks and a mesh into tiles, one
after the other; elsewhere all is one piece.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

CHUNK = 64
"""Bodies skinned together: enough for the matrix products, few enough for the cache."""
TILE = 256
"""Vertices skinned together."""
POINTS_CHUNK = 128
"""Skeletons posed together, without a mesh."""
FEW = 8
"""Up to so many bodies reading the basis is the cost; tiles would only add to it."""

Batched = TypeVar("Batched")


def in_chunks(
    function: Callable[[Batched], Any],
    x: Batched,
    largest: int,
    *,
    multiple: int = 1,
    again: bool = False,
) -> Any:
    """function of a pytree with one batch axis in front; on a CPU in even chunks, one after the other.

    A chunk is a `multiple` of bodies, the last filled up with zeros. `again`: a gradient computes a chunk again
    and keeps nothing of it.
    """
    size = len(jax.tree.leaves(x)[0])
    count = -(-size // largest)
    if count <= 1 or jax.default_backend() != "cpu":
        return function(x)
    chunk = -(-size // (count * multiple)) * multiple
    count = -(-size // chunk)

    def cut(y):
        filled = jnp.pad(y, [(0, count * chunk - size), *[(0, 0)] * (y.ndim - 1)])
        return filled.reshape(count, chunk, *y.shape[1:])

    out = jax.lax.map(jax.checkpoint(function) if again else function, jax.tree.map(cut, x))
    return jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:])[:size], out)


def skin(
    template: Float[Array, "verts 3"],
    basis: Float[Array, "features 3 padded"],
    weights: Float[Array, "verts joints"],
    transforms: Float[Array, "joints 3 4 batch"],
    features: Float[Array, "batch features"],
) -> Float[Array, "batch verts 3"]:
    """Vertices of shaped bodies under [R | t] of their joints; `padded` is verts filled up to whole tiles."""
    count, padded = len(template), basis.shape[-1]
    template, weights = (jnp.pad(x, ((0, padded - count), (0, 0))) for x in (template, weights))
    # (batch * 12, joints): the twelve numbers of one body below each other, for one matrix product.
    joints, size = len(transforms), len(features)
    rows = transforms.reshape(joints, 12, size).transpose(2, 1, 0).reshape(12 * size, joints)
    rows = jax.lax.optimization_barrier(rows)
    if len(features) <= FEW or padded <= TILE or jax.default_backend() != "cpu":
        return _skin_tile(template, basis, weights, rows, features)[:, :count]

    def tile(first):
        part, weight = (jax.lax.dynamic_slice_in_dim(y, first, TILE) for y in (template, weights))
        directions = jax.lax.dynamic_slice_in_dim(basis, first, TILE, 2)
        return _skin_tile(part, directions, weight, rows, features)

    # Computed again in the gradient: to keep the blended transforms would cost more.
    tiles = jax.lax.map(jax.checkpoint(tile), jnp.arange(0, padded, TILE))
    return tiles.swapaxes(0, 1).reshape(len(features), padded, 3)[:, :count]


def _skin_tile(template, basis, weights, rows, features):
    """v = sum_j w_j (R_j T + t_j), T = template + features basis (SMPL Eqs. 2, 6, 8), x, y, z apart."""
    size, verts = len(features), len(template)
    rest = template.T + (features @ basis.reshape(len(basis), -1)).reshape(size, 3, verts)
    blend = (rows @ weights.T).reshape(size, 3, 4, verts)
    rest, blend = jax.lax.optimization_barrier((rest, blend))
    if size > FEW:
        posed = sum(blend[:, :, k] * rest[:, None, k] for k in range(3)) + blend[:, :, 3]
        return jax.lax.optimization_barrier(posed).transpose(0, 2, 1)
    # Axis by axis: the gradient of a broadcast over the axes is a sum over three, which has a high fixed price.
    axes = [sum(blend[:, a, k] * rest[:, k] for k in range(3)) + blend[:, a, 3] for a in range(3)]
    return jnp.stack(jax.lax.optimization_barrier(axes), -1)
