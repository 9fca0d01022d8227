"""Decisions without the truth: when to keep the input.

Fixed on validation people whose truth is known, applied to people whose truth is not. NumPy, float64. What the scores
are made of is in `confidence`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

Numbers = Float[Array | np.ndarray, " people"]


class Gate(NamedTuple):
    """Who is refined, and how far."""

    margin: float
    """The gain that must be exceeded."""
    share: float
    """Of the way from the input to the fit; whoever is not refined goes nowhere."""


def gate(
    score_before: Float[Array | np.ndarray, "*batch"],
    score_after: Float[Array | np.ndarray, "*batch"],
    margin: Float[Array, ""] | float,
) -> Bool[Array | np.ndarray, "*batch"]:
    """Whether a score (less is better) fell by more than the margin; never where it is NaN."""
    return score_before - score_after > margin


def keep_or_accept(accepted: Bool[Array | np.ndarray, "*batch"], before: Any, after: Any) -> Any:
    """The pytree `after` where it is accepted, bit for bit `before` elsewhere."""

    def choose(a, b):
        spread = jnp.reshape(accepted, accepted.shape + (1,) * (b.ndim - accepted.ndim))
        return jnp.where(spread, b, a)

    return jax.tree.map(choose, before, after)


def choose_margin(
    gain: Numbers, harmed: Bool[Array | np.ndarray, " people"], max_harm: float
) -> float:
    """The smallest margin at which accepting people with more gain harms at most this share of all people.

    gain: by how much the score fell; harmed: whether accepting them is harm (worse by more than 1 mm, say). People who
    are not accepted keep their input and are not harmed. -inf where no gate is needed.
    """
    if not 0.0 <= max_harm <= 1.0:
        raise ValueError(f"max_harm: wanted a share from 0 to 1, got {max_harm}")
    gain, harmed = np.asarray(gain, np.float64), np.asarray(harmed, bool)
    # A gain of NaN is never accepted.
    order = np.argsort(gain[~np.isnan(gain)])
    known, harms = gain[~np.isnan(gain)][order], harmed[~np.isnan(gain)][order]
    margins = np.concatenate([[-np.inf], np.unique(known)])
    refused = np.concatenate([[0], np.cumsum(harms)])[np.searchsorted(known, margins, "right")]
    share = (harms.sum() - refused) / max(len(gain), 1)
    return float(margins[np.argmax(share <= max_harm)])


def choose_gate(
    gain: Numbers,
    change: Float[Array | np.ndarray, "people shares"],
    shares: Float[Array | np.ndarray, " shares"],
    max_harm: float,
    harm: float,
) -> Gate:
    """The share of the way by which the error falls most, each with the smallest margin that harms at most so many.

    gain: what is expected; change: by how much the error rises at each share of the way, harm where it is by more than
    `harm`. A shorter way harms fewer, so that more people may go it. Nobody goes (margin inf) where the mean error
    rises at every share.
    """
    change = np.asarray(change, np.float64)
    margins = [choose_margin(gain, column > harm, max_harm) for column in change.T]
    means = [
        np.where(gate(gain, np.zeros_like(gain), margin), column, 0.0).mean()
        for margin, column in zip(margins, change.T)
    ]
    best = int(np.argmin(means))
    if means[best] > 0:
        return Gate(float("inf"), float(shares[best]))
    return Gate(margins[best], float(shares[best]))
