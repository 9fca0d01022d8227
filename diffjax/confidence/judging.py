"""Calibrated on people whose truth is known: what error and gain to expect of others, and whom to leave alone."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from diffjax import config, evaluate
from diffjax.confidence import calibration, curves
from diffjax.confidence.files import Calibration, Origin
from diffjax.data import records
from diffjax.methods import gates, map_fit
from diffjax.pose import Pose, Refined

Numbers = Float[np.ndarray, " people"]


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
    after_mm: Numbers,
    groups: np.ndarray,
    errors: map_fit.ErrorModel,
    guidance: config.Guidance,
) -> Calibration:
    """What signals are worth, told by people whose PA-MPJPE is known before and after; NaN where it is not."""
    error = calibration.fit_expectation(signals, after_mm, groups, positive=True)
    gain = calibration.fit_expectation(signals, before_mm - after_mm, groups, positive=False)
    known = np.isfinite(gain.held_out)
    change = np.asarray(after_mm - before_mm, np.float64)[known]
    return Calibration(
        origin,
        error.expectation,
        gain.expectation,
        gain.held_out[known],
        change,
        errors,
        guidance,
    )


def expect(told: Calibration, signals: Mapping[str, Numbers]) -> Worth:
    """What to expect of people of these signals."""
    scores = [calibration.predict(x, signals) for x in (told.error, told.gain)]
    mm = [calibration.expected_mm(*x) for x in zip((told.error, told.gain), scores)]
    return Worth(*mm, *scores)


def accepted(told: Calibration, worth: Worth, max_harm: float) -> Bool[np.ndarray, " people"]:
    """Whom to refine so that at most this share of all people is harmed: those who are expected to gain most.

    The threshold is the smallest that kept the promise on the people of the calibration, each judged by models that
    did not see their sequence.
    """
    harmed = told.change_mm > evaluate.HARM_MM
    margin = gates.choose_margin(told.held_out_gain, harmed, max_harm)
    return np.asarray(gates.gate(worth.gain_score, np.zeros_like(worth.gain_score), margin))


def sent_back(
    people: records.AnnotationSet, refined: Refined, kept: Bool[np.ndarray, " people"]
) -> Refined:
    """The refined people where they are kept, elsewhere what came in, to the bit."""

    def choose(came: Any, found: Any) -> np.ndarray:
        return np.where(kept.reshape(-1, *[1] * (np.ndim(came) - 1)), np.asarray(found), came)

    pose = Pose(
        choose(people.pred_pose, refined.pose.rotations),
        choose(people.pred_betas, refined.pose.betas),
    )
    place = refined.translation
    if people.pred_cam_t is not None:
        place = choose(people.pred_cam_t, place)
    return refined._replace(pose=pose, translation=place)


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
