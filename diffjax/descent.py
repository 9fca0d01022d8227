"""Minimisers for batches in which every sample has its own problem: Adam and L-BFGS, a fixed number of gradients.

Nothing waits for the host, and no sample waits for another. What is not finite never moves a sample.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

Objective = Callable[[Float[Array, "*batch d"]], Float[Array, "*batch"]]
"""One number a sample; samples do not interact."""

_DECREASE = 1e-4  # Armijo's: the share of the promised decrease that a step must bring.


def descend_adam(
    objective: Objective,
    x: Float[Array, "*batch d"],
    *,
    iterations: int,
    learning_rate: Float[Array, ""] | float,
) -> Float[Array, "*batch d"]:
    """Adam (Kingma & Ba 2015), its rate falling on a cosine; a gradient that is not finite counts as zero."""
    optimiser = optax.scale_by_adam()

    def step(carry, place):
        x, state = carry
        gradient = jax.grad(lambda x: jnp.sum(objective(x)))(x)
        gradient = jnp.where(jnp.isfinite(gradient).all(-1, keepdims=True), gradient, 0.0)
        update: Any
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its counters with floats.
            update, state = optimiser.update(gradient, state)
        rate = learning_rate * 0.5 * (1.0 + jnp.cos(jnp.pi * place / iterations))
        return (x - rate.astype(x.dtype) * update, state), None

    places = jnp.arange(iterations, dtype=x.dtype)
    (x, _), _ = jax.lax.scan(step, (x, optimiser.init(x)), places)
    return x


class _Descent(NamedTuple):
    """Where each sample is, and the step that it tries next."""

    x: Float[Array, "*batch d"]
    value: Float[Array, "*batch"]
    gradient: Float[Array, "*batch d"]
    direction: Float[Array, "*batch d"]
    length: Float[Array, "*batch"]
    """Of the step to try, in directions."""
    gamma: Float[Array, "*batch"]
    """The inverse Hessian is this times the identity before its pairs are heard."""
    moves: Float[Array, "memory *batch d"]
    turns: Float[Array, "memory *batch d"]
    """What the gradient changed by, over each move."""
    weights: Float[Array, "memory *batch"]
    """1 / (move . turn); 0 for no pair."""


def descend_lbfgs(
    objective: Objective, x: Float[Array, "*batch d"], *, iterations: int, memory: int = 10
) -> Float[Array, "*batch d"]:
    """L-BFGS (Liu & Nocedal 1989) with backtracking, each sample its own line search, all in lockstep.

    There is no inner loop of line searches that the batch must wait for: every turn is one gradient for all, and a
    sample whose step was too long tries a shorter one while others go on. The objective never rises.
    """
    evaluate = jax.value_and_grad(lambda x: (lambda v: (jnp.sum(v), v))(objective(x)), has_aux=True)

    def step(state: _Descent, place: Array) -> tuple[_Descent, None]:
        trial = state.x + state.length[..., None] * state.direction
        (_, value), gradient = evaluate(trial)
        accepted, length = _line_search(state, value, gradient)
        state = _remember(state, accepted, trial, gradient, place % memory)
        direction = _direction(state, place % memory)
        return state._replace(
            value=jnp.where(accepted, value, state.value), direction=direction, length=length
        ), None

    if iterations < 1:
        return x
    state = _begin(x, *evaluate(x), memory)
    return jax.lax.scan(step, state, jnp.arange(iterations - 1))[0].x


def _dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, -1)


def _begin(x: Array, value: Any, gradient: Array, memory: int) -> _Descent:
    """The first step goes down the gradient, by at most 1. A sample that is not finite never moves."""
    gradient = jnp.where(jnp.isfinite(gradient).all(-1, keepdims=True), gradient, 0.0)
    gamma = 1.0 / jnp.maximum(jnp.sqrt(_dot(gradient, gradient)), 1.0)
    pairs = jnp.zeros((memory, *x.shape), x.dtype)
    return _Descent(
        x=x,
        value=value[1],
        gradient=gradient,
        direction=-gamma[..., None] * gradient,
        length=jnp.ones_like(gamma),
        gamma=gamma,
        moves=pairs,
        turns=pairs,
        weights=pairs[..., 0],
    )


def _line_search(
    state: _Descent, value: Array, gradient: Array
) -> tuple[Bool[Array, "..."], Array]:
    """Whether the step goes down enough (Armijo 1966), and the length to try next.

    After a refusal: the minimum of the parabola through both values and the first slope, within [0.1, 0.5] of what
    was tried; the shortest where the value was not finite.
    """
    slope = _dot(state.gradient, state.direction)
    finite = jnp.isfinite(value) & jnp.isfinite(gradient).all(-1)
    accepted = finite & (value <= state.value + _DECREASE * state.length * slope) & (slope < 0)
    rise = jnp.where(finite, value - state.value, jnp.inf) - state.length * slope
    share = -0.5 * state.length * slope / jnp.maximum(rise, 1e-30)
    return accepted, jnp.where(accepted, 1.0, state.length * jnp.clip(share, 0.1, 0.5))


def _remember(state: _Descent, accepted, trial, gradient, slot) -> _Descent:
    """Moves those that may, and keeps the pair (move, turn) where the curvature along the move is positive."""
    move, turn = trial - state.x, gradient - state.gradient
    bend, size = _dot(move, turn), _dot(turn, turn)
    kept = accepted & (bend > 1e-10 * size) & (bend > 0)
    safe = jnp.where(kept, bend, 1.0)
    mine = kept[..., None]
    return state._replace(
        x=jnp.where(accepted[..., None], trial, state.x),
        gradient=jnp.where(accepted[..., None], gradient, state.gradient),
        gamma=jnp.where(kept, safe / jnp.where(kept, size, 1.0), state.gamma),
        # A slot without a pair has weight 0: the oldest pair is forgotten also where nothing is learnt.
        moves=state.moves.at[slot].set(jnp.where(mine, move, 0.0)),
        turns=state.turns.at[slot].set(jnp.where(mine, turn, 0.0)),
        weights=state.weights.at[slot].set(jnp.where(kept, 1.0 / safe, 0.0)),
    )


def _direction(state: _Descent, newest) -> Array:
    """-H gradient by the two loops over the pairs, newest first and back (Nocedal 1980)."""
    memory = len(state.moves)
    slots = [(newest - i) % memory for i in range(memory)]
    q, shares = state.gradient, []
    for slot in slots:
        share = state.weights[slot] * _dot(state.moves[slot], q)
        q = q - share[..., None] * state.turns[slot]
        shares.append(share)
    q = state.gamma[..., None] * q
    for slot, share in zip(slots[::-1], shares[::-1]):
        back = state.weights[slot] * _dot(state.turns[slot], q)
        q = q + (share - back)[..., None] * state.moves[slot]
    return -q
