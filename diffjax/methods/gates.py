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
CONFIDENCE, DRAWS = 0.95, 1000
"""Of a promise to people of other sequences, and how often sequences are drawn for it."""
TRIED = 500
"""Margins, evenly spread over those of all people, where sequences are drawn."""


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
    gain: Numbers,
    harmed: Bool[Array | np.ndarray, " people"],
    max_harm: float,
    groups: np.ndarray | None = None,
) -> float:
    """The smallest margin at which accepting people with more gain harms at most this share of all people.

    gain: by how much the score fell; harmed: whether accepting them is harm (worse by more than 1 mm, say). People who
    are not accepted keep their input and are not harmed. groups: the sequences that people are of; then the share is
    the upper end of its one-sided interval of `CONFIDENCE`, for a promise to people of other sequences. -inf where no
    gate is needed.
    """
    if not 0.0 <= max_harm <= 1.0:
        raise ValueError(f"max_harm: wanted a share from 0 to 1, got {max_harm}")
    gain, harmed = np.asarray(gain, np.float64), np.asarray(harmed, bool)
    margins = np.concatenate([[-np.inf], np.unique(gain[~np.isnan(gain)])])
    if groups is None:
        (above,) = _harmed_above(margins, gain, harmed, np.zeros(len(gain), int))
        share = above / max(len(gain), 1)
    else:
        margins = margins[np.linspace(0, len(margins) - 1, min(len(margins), TRIED)).astype(int)]
        share = _at_most(margins, gain, harmed, groups)
    return float(margins[np.argmax(share <= max_harm)])


def _harmed_above(
    margins: np.ndarray, gain: np.ndarray, harmed: np.ndarray, group: np.ndarray
) -> Float[np.ndarray, "groups margins"]:
    """How many of a group each margin lets be harmed; a gain of NaN exceeds none."""
    known = ~np.isnan(gain)
    counts = np.zeros((group.max(initial=0) + 1, len(margins) + 1))
    exceeded = np.searchsorted(margins, gain[known], "left")
    np.add.at(counts, (group[known], exceeded), harmed[known])
    return np.cumsum(counts[:, :0:-1], 1)[:, ::-1]


def _at_most(
    margins: np.ndarray, gain: np.ndarray, harmed: np.ndarray, groups: np.ndarray
) -> Float[np.ndarray, " margins"]:
    """The share harmed at each margin, which `CONFIDENCE` of the draws of groups do not exceed."""
    names, group = np.unique(groups, return_inverse=True)
    group = group if len(names) > 1 else np.arange(len(gain))  # Of one sequence, people are drawn.
    people, count = np.bincount(group), group.max() + 1
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    shares = drawn @ _harmed_above(margins, gain, harmed, group) / (drawn @ people)[:, None]
    return np.quantile(shares, CONFIDENCE, axis=0)


def choose_gate(
    gain: Numbers,
    change: Float[Array | np.ndarray, "people shares"],
    shares: Float[Array | np.ndarray, " shares"],
    max_harm: float,
    harm: float,
    groups: np.ndarray | None = None,
) -> Gate:
    """The share of the way by which the error falls most, each with the smallest margin that harms at most so many.

    gain: what is expected; change: by how much the error rises at each share of the way, harm where it is by more than
    `harm`. A shorter way harms fewer, so that more people may go it. Nobody goes (margin inf) where the mean error
    rises at every share.
    """
    change = np.asarray(change, np.float64)
    margins = [choose_margin(gain, column > harm, max_harm, groups) for column in change.T]
    means = [
        np.where(gate(gain, np.zeros_like(gain), margin), column, 0.0).mean()
        for margin, column in zip(margins, change.T)
    ]
    best = int(np.argmin(means))
    if means[best] > 0:
        return Gate(float("inf"), float(shares[best]))
    return Gate(margins[best], float(shares[best]))
