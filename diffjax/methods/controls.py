"""Moves that know nothing, for judging choosers: an oracle gains from any spread of candidates."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from diffjax.methods import map_fit
from diffjax.pose import Pose


def candidate_moves(estimate: Pose, candidates: Pose) -> Float[Array, "starts batch 82"]:
    """What each candidate did to the estimate, as residuals."""
    shape = candidates.betas.shape[:1]
    same = jax.tree.map(lambda x: jnp.broadcast_to(x, (*shape, *x.shape)), estimate)
    return map_fit.residual(same, candidates)


def same_size_moves(
    key: PRNGKeyArray, ids: Int[Array, " batch"], moves: Float[Array, "starts batch 82"]
) -> Float[Array, "starts batch 82"]:
    """Every joint turns by its own angle, but about a random axis; betas move by their length, anywhere.

    The directions of a sample are a function of (key, id) alone, in any batch.
    """
    shape = (len(moves), moves.shape[-1])

    def draw(name):
        return jax.random.normal(jax.random.fold_in(key, name), shape, moves.dtype)

    direction = jax.vmap(draw, out_axes=1)(ids)
    joints = _resize(direction[..., :72], moves[..., :72], 24)
    return jnp.concatenate([joints, _resize(direction[..., 72:], moves[..., 72:], 1)], -1)


def _resize(direction, like, parts):
    shape = direction.shape
    direction, like = (x.reshape(*shape[:-1], parts, -1) for x in (direction, like))
    unit = direction / jnp.linalg.norm(direction, axis=-1, keepdims=True)
    return (unit * jnp.linalg.norm(like, axis=-1, keepdims=True)).reshape(shape)


def pairs(count: int) -> Int[np.ndarray, " slots"]:
    """All samples, each beside its companion, who is half the set away: most likely in another sequence.

    Slots 2 k and 2 k + 1 are a pair. Where the count is odd, sample 0 comes again as the last one's.
    """
    half = count // 2
    beside = np.stack([np.arange(half), np.arange(half, 2 * half)], -1).reshape(-1)
    return np.concatenate([beside, [count - 1, 0][: 2 * (count % 2)]]).astype(np.int64)


def other_moves(moves: Float[Array, "starts batch 82"]) -> Float[Array, "starts batch 82"]:
    """The moves of each sample's companion; the batch is even, and pairs are neighbours (`pairs`)."""
    starts, batch, size = moves.shape
    return moves.reshape(starts, batch // 2, 2, size)[:, :, ::-1].reshape(moves.shape)


def apply_moves(estimate: Pose, moves: Float[Array, "starts batch 82"]) -> Pose:
    """The estimate after each move; start 0 is the estimate itself, bit for bit."""
    shape = moves.shape[:1]
    same = jax.tree.map(lambda x: jnp.broadcast_to(x, (*shape, *x.shape)), estimate)
    return jax.tree.map(lambda a, b: a.at[0].set(b), map_fit.move(same, moves), estimate)
