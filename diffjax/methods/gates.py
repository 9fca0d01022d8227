"""Decisions without the truth: when to keep the input.

Fixed on validation people whose truth is known, applied to people whose truth is not. NumPy, float64. What the scores
are made of is in `confidence`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

Numbers = Float[Array | np.ndarray, " people"]


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
