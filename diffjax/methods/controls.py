"""Moves that know nothing, for judging choosers: an oracle gains from any spread of candidates."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from diffjax.methods import baselines
from diffjax.pose import Pose


def candidate_moves(estimate: Pose, candidates: Pose) -> Float[Array, "starts batch 82"]:
    """What each candidate did to the estimate, as residuals."""
    shape = candidates.betas.shape[:1]
    same = jax.tree.map(lambda x: jnp.broadcast_to(x, (*shape, *x.shape)), estimate)
    return baselines.residual(same, candidates)


def same_size_moves(
    key: PRNGKeyArray, moves: Float[Array, "starts batch 82"]
) -> Float[Array, "starts batch 82"]:
    """Every joint turns by its own angle, but about a random axis; betas move by their length, anywhere."""
    direction = jax.random.normal(key, moves.shape, moves.dtype)
    joints = _resize(direction[..., :72], moves[..., :72], 24)
    return jnp.concatenate([joints, _resize(direction[..., 72:], moves[..., 72:], 1)], -1)


def _resize(direction, like, parts):
    shape = direction.shape
    direction, like = (x.reshape(*shape[:-1], parts, -1) for x in (direction, like))
    unit = direction / jnp.linalg.norm(direction, axis=-1, keepdims=True)
    return (unit * jnp.linalg.norm(like, axis=-1, keepdims=True)).reshape(shape)


def other_moves(moves: Float[Array, "starts batch 82"]) -> Float[Array, "starts batch 82"]:
    """The moves of another sample of the batch (half a batch away: another sequence)."""
    return jnp.roll(moves, moves.shape[1] // 2, axis=1)


def apply_moves(estimate: Pose, moves: Float[Array, "starts batch 82"]) -> Pose:
    """The estimate after each move; start 0 is the estimate itself, bit for bit."""
    shape = moves.shape[:1]
    same = jax.tree.map(lambda x: jnp.broadcast_to(x, (*shape, *x.shape)), estimate)
    return jax.tree.map(lambda a, b: a.at[0].set(b), baselines.move(same, moves), estimate)
