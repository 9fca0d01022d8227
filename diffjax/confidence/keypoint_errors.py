"""How keypoints err, learned from people whose truth is known: how far, how many of them badly, at what confidence."""

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from diffjax.methods.keypoint_noise import ASSUMED, Noise

FEWEST, MOST = 200, 20_000
"""Keypoints without which nothing is learned; of more, so many are drawn with a fixed seed."""
# With known noise a keypoint counts the same whatever its confidence. Both chosen on validation people.
SIDE = 0.02
"""Of the box: how far the nearest known pose's keypoints are."""
TEMPERATURE = 1.5
_STEPS = 100
_LEAST_PX = 0.1
_RIDGE = 1e-2
"""On the slope of the log odds: where all confidences are one it stays 0."""


def learn(errors_px: Float[np.ndarray, "n 2"], confidence: Float[np.ndarray, " n"]) -> Noise:
    """Expectation maximisation of two isotropic Gaussians, which of them as the confidence says (logistic regression).

    errors_px: from the true pixels; all of them seen. `ASSUMED` where they are fewer than `FEWEST`.
    """
    if len(errors_px) < FEWEST:
        return ASSUMED
    some = np.random.default_rng(0).permutation(len(errors_px))[:MOST]
    squares = np.sum(np.asarray(errors_px, np.float64)[some] ** 2, -1)
    sure = np.asarray(confidence, np.float64)[some]
    variance = (np.median(squares) + _LEAST_PX**2) * np.array([0.5, 8.0])
    doubt = np.array([np.log(0.2 / 0.8), 0.0])
    for _ in range(_STEPS):
        odds = doubt[0] - doubt[1] * sure
        odds = (
            odds + 0.5 * squares * np.subtract(*1.0 / variance) - np.log(variance[1] / variance[0])
        )
        shares = np.stack([expit(-odds), expit(odds)])
        variance = 0.5 * shares @ squares / np.maximum(shares.sum(1), 1e-9) + _LEAST_PX**2
        doubt = _newton(doubt, sure, shares[1])
    if variance[0] > variance[1]:
        variance, doubt = variance[::-1], -doubt
    sides = np.full(2, SIDE, np.float32)
    px = np.sqrt(variance).astype(np.float32)
    return Noise(sides, px, doubt.astype(np.float32), power=0.0, temperature=TEMPERATURE)


def _newton(
    doubt: Float[np.ndarray, "2"], sure: Float[np.ndarray, " n"], bad: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "2"]:
    """A step of the logistic regression of who is bad on the confidence."""
    said = expit(doubt[0] - doubt[1] * sure)
    design = np.stack([np.ones_like(sure), -sure])
    ridge = np.array([0.0, _RIDGE])
    slope = design @ (bad - said) - ridge * doubt
    curvature = design * np.maximum(said * (1.0 - said), 1e-6) @ design.T + np.diag(ridge)
    return doubt + np.clip(np.linalg.solve(curvature + 1e-9 * np.eye(2), slope), -2.0, 2.0)
