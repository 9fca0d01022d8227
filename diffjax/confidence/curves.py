"""How good a score of quality is, judged by the truth: rank correlation, risk against coverage, regret. NumPy, float64.

A score is an expected error: less is better. Of people whose score or error is not finite nothing is said.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

Numbers = Float[np.ndarray, " people"]
POINTS = 20
"""Of a curve that is kept."""


class RiskCoverage(NamedTuple):
    """Mean error of the people of best score, against how many they are (Geifman & El-Yaniv 2017)."""

    curve: Float[np.ndarray, "points 2"]
    """Coverage, and the mean error of so many."""
    area: float
    """Mean over all coverages (AURC), in the unit of the errors."""
    random: float
    """The area of a score that knows nothing: the mean error."""
    oracle: float
    """The area of the errors themselves as score."""

    @property
    def share(self) -> float:
        """How much of the way from random to oracle; NaN where all errors are equal."""
        way = self.random - self.oracle
        return (self.random - self.area) / way if way > 0 else float("nan")


def spearman(score: Numbers, truth: Numbers) -> float:
    """Rank correlation; NaN where one of the two is the same for everybody."""
    score, truth = _known(score, truth)
    if len(score) < 2 or np.ptp(score) == 0 or np.ptp(truth) == 0:
        return float("nan")
    return float(stats.spearmanr(score, truth)[0])  # pyright: ignore[reportArgumentType]


def risk_coverage(score: Numbers, error: Numbers) -> RiskCoverage:
    """The curve of a score. People of one score come in any order: each counts as their mean."""
    score, error = _known(score, error)
    if not len(score):
        nan = float("nan")
        return RiskCoverage(np.zeros((0, 2)), nan, nan, nan)
    risks = _risks(score, error)
    places = np.unique(np.linspace(0, len(risks) - 1, POINTS).round().astype(int))
    curve = np.stack([(places + 1) / len(risks), risks[places]], -1)
    oracle = float(_risks(error, error).mean())
    return RiskCoverage(curve, float(risks.mean()), float(error.mean()), oracle)


def _risks(score: Numbers, error: Numbers) -> Numbers:
    """Mean error of the first 1, 2, 3 ... people in the order of a score."""
    _, tie = np.unique(score, return_inverse=True)
    mean = np.bincount(tie, error) / np.bincount(tie)
    ordered = mean[np.sort(tie)]
    return np.cumsum(ordered) / np.arange(1, len(ordered) + 1)


def regret(accepted: Bool[np.ndarray, " people"], before: Numbers, after: Numbers) -> float:
    """By how much the mean error exceeds that of whoever picks the better of the two for each person."""
    known = np.isfinite(before) & np.isfinite(after)
    chosen = np.where(accepted, after, before)[known]
    return float(np.mean(chosen - np.minimum(before, after)[known])) if known.any() else np.nan


def _known(score: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both of the people of whom both are known."""
    score, truth = np.asarray(score, np.float64), np.asarray(truth, np.float64)
    known = np.isfinite(score) & np.isfinite(truth)
    return score[known], truth[known]
