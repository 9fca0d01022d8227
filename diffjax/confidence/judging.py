"""Calibrated on people whose truth is known: what error and gain to expect of others, and whom to leave alone."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from diffjax import config, evaluate
from diffjax.confidence import calibration, curves
from diffjax.confidence.files import Calibration, Origin
from diffjax.methods import gates, map_fit

Numbers = Float[np.ndarray, " people"]
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Of the way from the estimate to the fit: how far a gate may let people go."""
UNLIKE = 2.0
"""Standard deviations: sets of the calibration's kind had medians within 0.8, another estimator's people up to 13."""


class Worth(NamedTuple):
    """What is expected of refined people."""

    error_mm: Numbers
    """PA-MPJPE."""
    gain_mm: Numbers
    """By how much it fell."""
    error_score: Numbers
    """Ranks people as `error_mm` does, without its steps."""
    gain_score: Numbers


def calibrate(
    origin: Origin,
    signals: Mapping[str, Numbers],
    before_mm: Numbers,
    after_mm: Float[np.ndarray, "people shares"],
    groups: np.ndarray,
    errors: map_fit.ErrorModel,
    guidance: config.Guidance,
) -> Calibration:
    """What signals are worth, told by people whose PA-MPJPE is known before, and after each of `SHARES` of the way.

    NaN where it is not known.
    """
    whole = after_mm[:, SHARES.index(1.0)]
    error = calibration.fit_expectation(signals, whole, groups, positive=True)
    gain = calibration.fit_expectation(signals, before_mm - whole, groups, positive=False)
    known = np.isfinite(gain.held_out)
    change = np.asarray(after_mm - before_mm[:, None], np.float64)[known]
    return Calibration(
        origin,
        error.expectation,
        gain.expectation,
        gain.held_out[known],
        change,
        np.unique(groups[known], return_inverse=True)[1],
        np.array(SHARES),
        errors,
        guidance,
    )


def expect(told: Calibration, signals: Mapping[str, Numbers]) -> Worth:
    """What to expect of people of these signals."""
    scores = [calibration.predict(x, signals) for x in (told.error, told.gain)]
    mm = [calibration.expected_mm(*x) for x in zip((told.error, told.gain), scores)]
    return Worth(*mm, *scores)


def way(told: Calibration, worth: Worth, max_harm: float) -> Numbers:
    """How far of the way to the fit each goes so that at most this share of all people is harmed.

    Whoever is expected to gain more than a margin goes as far as the others; the rest stay where they are. The margin
    is the smallest that kept the promise on the people of the calibration with 95 % confidence, their sequences drawn
    again; the way the one with the largest mean gain there. Each is judged by models that did not see their sequence.
    """
    expected = told.held_out_gain, told.change_mm, told.shares
    chosen = gates.choose_gate(*expected, max_harm, evaluate.HARM_MM, told.sequence)
    score = worth.gain_score
    goes = np.asarray(gates.gate(score, np.zeros_like(score), chosen.margin))
    return np.where(goes, chosen.share, 0.0)


def unlike(told: Calibration, signals: Mapping[str, Numbers]) -> tuple[str, ...]:
    """Signals by which these people are not of the calibration's kind, the worst first: see `UNLIKE`.

    Their median is compared; of few people it may be further off.
    """
    scale = told.error.scale
    away = np.abs(np.median(calibration.standardised(scale, signals), 0))
    limit = UNLIKE + 3.0 / np.sqrt(max(len(next(iter(signals.values()))), 1))
    return tuple(scale.names[i] for i in np.argsort(-away) if away[i] > limit)


def quality(worth: Worth, before_mm: Numbers, after_mm: Numbers) -> dict[str, Any]:
    """How good the expectations are, judged by the truth."""
    risk = curves.risk_coverage(worth.error_score, after_mm)
    return {
        "spearman_error": curves.spearman(worth.error_score, after_mm),
        "spearman_gain": curves.spearman(worth.gain_score, before_mm - after_mm),
        "aurc_mm": risk.area,
        "aurc_random_mm": risk.random,
        "aurc_oracle_mm": risk.oracle,
        "aurc_share": risk.share,
        "regret_mm": curves.regret(worth.gain_mm > 0, before_mm, after_mm),
        "regret_ungated_mm": curves.regret(np.full(len(before_mm), True), before_mm, after_mm),
        "bias_mm": float(np.nanmean(worth.error_mm - after_mm)),
        "curve": risk.curve.tolist(),
    }
