"""From signals to an expected error or gain in mm: ridge regression on their logarithms, then isotonic regression.

Fitted with scikit-learn on people whose truth is known, applied with NumPy to people whose truth is not. What is
said of the fitted people themselves is said by models that did not see their sequence.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Numbers = Float[np.ndarray, " people"]
RIDGES = (1.0, 10.0, 100.0, 1000.0, 10000.0)
"""Tried, against standardised signals."""
FOLDS = 5


class Scale(NamedTuple):
    """How signals become comparable numbers."""

    names: tuple[str, ...]
    size: Float[np.ndarray, " signals"]
    """Signals well above it count by their logarithm; below, and through zero, as they are."""
    mean: Float[np.ndarray, " signals"]
    std: Float[np.ndarray, " signals"]


class Expectation(NamedTuple):
    """What people of these signals are to be expected to be, of one thing."""

    scale: Scale
    weights: Float[np.ndarray, " signals"]
    """Of standardised logarithms: comparable with each other."""
    intercept: float
    knots: Float[np.ndarray, "knots 2"]
    """What the regression predicts, rising, and about what such people were on average (mm); flat beyond the ends."""


class Fitted(NamedTuple):
    """An expectation, and what models that did not see their sequence predict of the people behind it."""

    expectation: Expectation
    held_out: Numbers


def fit_scale(signals: Mapping[str, Numbers]) -> Scale:
    """The median size, then mean and standard deviation of the logarithms; signals that are NaN count nowhere."""
    names = tuple(sorted(signals))
    raw = _columns(names, signals)
    size = np.maximum(0.1 * np.median(np.abs(np.nan_to_num(raw)), 0), 1e-12)
    logs = np.arcsinh(raw / size)
    count = np.maximum(np.isfinite(logs).sum(0), 1)
    mean = np.nansum(logs, 0) / count
    std = np.sqrt(np.nansum((logs - mean) ** 2, 0) / count)
    return Scale(names, size, mean, np.maximum(std, 1e-9))


def standardised(
    scale: Scale, signals: Mapping[str, Numbers]
) -> Float[np.ndarray, "people signals"]:
    """asinh(signal / size), the logarithm of large magnitudes with their sign, standardised; unknown is the mean."""
    logs = np.arcsinh(_columns(scale.names, signals) / scale.size)
    return np.nan_to_num((logs - scale.mean) / scale.std)


def fit_expectation(
    signals: Mapping[str, Numbers], target_mm: Numbers, groups: np.ndarray, *, positive: bool
) -> Fitted:
    """Ridge on log(target) where it is `positive` (an error), on the target where it has a sign (a gain).

    Its strength is the one that predicts `groups` (sequences) left out best, and isotonic regression is fitted to
    those predictions. People whose target is not finite (or not positive) are left out, and predicted NaN.
    """
    from sklearn.isotonic import IsotonicRegression  # Only fitting needs it.

    target_mm = np.asarray(target_mm, np.float64)
    known = np.isfinite(target_mm) & ((target_mm > 0) | (not positive))
    if known.sum() < 2:
        raise ValueError(
            f"quality: wanted at least 2 people with a usable target, found {known.sum()}"
        )
    told = {name: np.asarray(x, np.float64)[known] for name, x in signals.items()}
    scale = fit_scale(told)
    x, y = standardised(scale, told), np.log(target_mm[known]) if positive else target_mm[known]
    ridge, predicted = _held_out(x, y, np.asarray(groups)[known])
    weights, intercept = _ridge(x, y, ridge)
    levels = IsotonicRegression().fit_transform(predicted, target_mm[known])
    knots = _centres(predicted, levels)
    held_out = np.full(len(target_mm), np.nan)
    held_out[known] = predicted
    return Fitted(Expectation(scale, weights, intercept, knots), held_out)


def _centres(predicted: Numbers, levels: Numbers) -> Float[np.ndarray, "knots 2"]:
    """The middles of an isotonic regression's steps, between which nobody ties; right on average again."""
    level, group = np.unique(levels, return_inverse=True)
    middle = np.bincount(group, predicted) / np.bincount(group)
    off = levels.mean() - np.interp(predicted, middle, level).mean()
    return np.stack([middle, level + off], -1)


def predict(expectation: Expectation, signals: Mapping[str, Numbers]) -> Numbers:
    """What the regression predicts: a score, by which people can be ranked finely."""
    x = standardised(expectation.scale, signals)
    return expectation.intercept + x @ expectation.weights


def expected_mm(expectation: Expectation, predicted: Numbers) -> Numbers:
    """About what people of such a prediction were on average, in mm; never falls as the prediction rises."""
    return np.interp(predicted, *expectation.knots.T)


def _held_out(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> tuple[float, np.ndarray]:
    """The best ridge, and its predictions of every group by models that did not see it."""
    folds = _folds(groups)

    def tried(ridge: float) -> np.ndarray:
        found = np.full(len(y), y.mean())
        for fold in np.unique(folds) if folds.any() else ():
            weights, intercept = _ridge(x[folds != fold], y[folds != fold], ridge)
            found[folds == fold] = intercept + x[folds == fold] @ weights
        return found

    guesses = {ridge: tried(ridge) for ridge in RIDGES}
    best = min(RIDGES, key=lambda ridge: float(np.mean((guesses[ridge] - y) ** 2)))
    return best, guesses[best]


def _folds(groups: np.ndarray) -> np.ndarray:
    """(people,) of 5 even folds of whole groups; people themselves are dealt where there is one group."""
    from sklearn.model_selection import GroupKFold

    names, index = np.unique(groups, return_inverse=True)
    index = index if len(names) > 1 else np.arange(len(groups))
    splits = GroupKFold(min(FOLDS, len(np.unique(index)))).split(index, groups=index)
    folds = np.zeros(len(groups), int)
    for fold, (_, out) in enumerate(splits):
        folds[out] = fold
    return folds


def _ridge(x: np.ndarray, y: np.ndarray, ridge: float) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import Ridge

    found = Ridge(alpha=ridge).fit(x, y)
    return np.asarray(found.coef_, np.float64), float(found.intercept_)


def _columns(names: tuple[str, ...], signals: Mapping[str, Numbers]) -> np.ndarray:
    """(people, signals); NaN where a signal is not finite."""
    missing = sorted(set(names) - set(signals))
    if missing or not names:
        raise ValueError(f"quality signals: wanted {list(names)}, missing {missing}")
    raw = np.stack([np.asarray(signals[name], np.float64) for name in names], -1)
    return np.where(np.isfinite(raw), raw, np.nan)
