"""Decisions without the truth: when to keep the input, and what error to expect.

Fixed on validation people whose truth is known, applied to people whose truth is not. NumPy, float64.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

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


class Quality(NamedTuple):
    """A ridge regression of an error on truth-free signals."""

    names: tuple[str, ...]
    scale: Float[np.ndarray, " signals"]
    """Signals well above it count by their logarithm; below, and through zero, as they are."""
    mean: Float[np.ndarray, " signals"]
    std: Float[np.ndarray, " signals"]
    weights: Float[np.ndarray, " signals"]
    """Of standardised logarithms: comparable with each other."""
    intercept: float
    spread: float
    """Standard deviation of what is left on the people it was fitted to, in the target's logarithm."""
    log_target: bool


def ridge_quality(
    signals: Mapping[str, Numbers], target: Numbers, *, ridge: float = 1.0, log_target: bool = True
) -> Quality:
    """Expected error from signals: their logarithms, standardised, then ridge regression.

    argmin_w |y - mean(y) - X w|^2 + ridge |w|^2 with y = log(target), or the target itself (a gain, which has a sign)
    without `log_target`. People whose target is not finite (or not positive) are left out.
    """
    names = tuple(sorted(signals))
    raw, y = _columns(names, signals), np.asarray(target, np.float64)
    told = np.isfinite(y) & ((y > 0) | (not log_target))
    if told.sum() < 2:
        raise ValueError(
            f"quality: wanted at least 2 people with a usable target, found {told.sum()}"
        )
    y, raw = (np.log(y[told]) if log_target else y[told]), raw[told]
    size = np.abs(np.where(np.isfinite(raw), raw, 0.0))
    scale = np.maximum(0.1 * np.median(size, 0), 1e-12)
    logs = _logarithm(raw, scale)
    with np.errstate(invalid="ignore"):
        count = np.maximum(np.isfinite(logs).sum(0), 1)
        mean = np.nansum(logs, 0) / count
        std = np.maximum(np.sqrt(np.nansum((logs - mean) ** 2, 0) / count), 1e-9)
    x = _standardised(logs, mean, std)
    gram = x.T @ x + ridge * np.eye(len(names))
    weights = np.linalg.solve(gram, x.T @ (y - y.mean()))
    spread = float(np.std(y - y.mean() - x @ weights))
    return Quality(names, scale, mean, std, weights, float(y.mean()), spread, log_target)


def expected_error(
    quality: Quality, signals: Mapping[str, Numbers]
) -> Float[np.ndarray, " people"]:
    """What the regression expects, in the units of its target.

    From a logarithm it is the mean of a log-normal, exp(prediction + spread^2 / 2). A signal that is not finite tells
    nothing; one that is missing is a ValueError.
    """
    logs = _logarithm(_columns(quality.names, signals), quality.scale)
    x = _standardised(logs, quality.mean, quality.std)
    found = quality.intercept + x @ quality.weights
    return np.exp(found + 0.5 * quality.spread**2) if quality.log_target else found


def _columns(names: tuple[str, ...], signals: Mapping[str, Numbers]) -> np.ndarray:
    missing = sorted(set(names) - set(signals))
    if missing or not names:
        raise ValueError(f"quality signals: wanted {list(names)}, missing {missing}")
    return np.stack([np.asarray(signals[name], np.float64) for name in names], -1)


def _logarithm(raw: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """asinh(raw / scale): the logarithm of large magnitudes, with their sign; NaN where not finite."""
    return np.arcsinh(np.where(np.isfinite(raw), raw, np.nan) / scale)


def _standardised(logs: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Unknown signals are the mean."""
    return np.nan_to_num((logs - mean) / std)
