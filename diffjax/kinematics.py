"""Forward kinematics level by level, on arrays with the batch as last axis.

With the batch last every product of 3x3 matrices is a few long, contiguous multiply-adds, and all joints of
one depth are one operation: eight for SMPL where the joints are 24. `optimization_barrier` keeps XLA from
fusing one level into the next, which would compute the upper levels again for each element below.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

FEW = 8
"""Up to so many bodies an operation costs its start, not its work."""


def levels(parents: tuple[int, ...]) -> list[list[int]]:
    """The joints of each depth of a tree; the root, joint 0, alone in the first."""
    depth = [0] * len(parents)
    for joint in range(1, len(parents)):
        depth[joint] = depth[parents[joint]] + 1
    return [[j for j, d in enumerate(depth) if d == k] for k in range(max(depth) + 1)]


def ancestry(parents: tuple[int, ...]) -> np.ndarray:
    """(joints, joints): 1 where the column is the row's joint or one above it."""
    above = np.eye(len(parents))
    for joint in range(1, len(parents)):
        above[joint] += above[parents[joint]]
    return above


def bones(
    rest: Float[Array | np.ndarray, "joints ..."], parents: tuple[int, ...]
) -> Float[Array | np.ndarray, "joints ..."]:
    """Each joint relative to its parent; the root as it is."""
    parent = np.maximum(np.asarray(parents), 0)
    is_child = (np.arange(len(parents)) > 0).astype(rest.dtype)
    return rest - is_child.reshape(-1, *[1] * (rest.ndim - 1)) * rest[parent]


def _rows(x, rows: list[int]):
    """Rows of x: a slice where they are consecutive, one row where all are the same."""
    first = rows[0]
    if len(set(rows)) == 1:
        return x[first : first + 1]
    if rows == list(range(first, first + len(rows))):
        return x[first : first + len(rows)]
    return x[np.asarray(rows)]


def _thrice(x: Float[Array, "... batch"], axis: int) -> Float[Array, "... batch"]:
    """x to be multiplied along an axis of one; for a small batch repeated there three times.

    The same numbers: but the gradient of a repetition is two sums, that of a broadcast a reduction, which costs
    XLA:CPU more to start than it takes.
    """
    return jnp.concatenate([x, x, x], axis) if x.shape[-1] <= FEW else x


def world_rotations(
    local: Float[Array, "joints 3 3 batch"], parents: tuple[int, ...]
) -> Float[Array, "joints 3 3 batch"]:
    """Rotation of every joint in the frame of the body: the product along its chain, from the root."""
    tree = levels(parents)
    world = [local[:1]]
    for above, joints in itertools.pairwise(tree):
        parent = _rows(world[-1], [above.index(parents[j]) for j in joints])
        own = _rows(local, joints)
        turned = sum(
            _thrice(parent[:, :, k : k + 1], 2) * _thrice(own[:, k : k + 1], 1) for k in range(3)
        )
        world.append(jax.lax.optimization_barrier(turned))
    order = np.argsort(np.concatenate([np.asarray(joints) for joints in tree]))
    return _rows(jax.lax.optimization_barrier(jnp.concatenate(world)), order.tolist())


def turn(
    rotations: Float[Array, "n 3 3 batch"], vectors: Float[Array, "n 3 batch"]
) -> Float[Array, "n 3 batch"]:
    """Each rotation times its vector."""
    terms = [rotations[:, :, k] * _thrice(vectors[:, k : k + 1], 1) for k in range(3)]
    return terms[0] + terms[1] + terms[2]


def gathered(
    mix: Float[Array, "points arms"], vectors: Float[Array, "arms 3 batch"]
) -> Float[Array, "points 3 batch"]:
    """Weighted sums of vectors, as one matrix product.

    `mix` is filled up to 64 rows: with fewer XLA:CPU chooses a kernel by the size of the batch, and a sample would
    get other last bits in another batch.
    """
    filled = jnp.pad(mix, ((0, max(0, 64 - len(mix))), (0, 0)))
    product = filled @ vectors.reshape(len(vectors), 3 * vectors.shape[-1])
    return product[: len(mix)].reshape(len(mix), *vectors.shape[1:])
