"""How 2D keypoints err: some a little, some a lot, and their confidence partly tells which."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_FLOOR = 1e-3
"""Of a keypoint's density: some are of nobody."""


class Noise(NamedTuple):
    """A mixture of good and bad keypoints, as known poses meet them: none of these is the very pose of a person."""

    sides: Float[Array | np.ndarray, "2"]
    """Standard deviations of good and bad, in sides of the box of what is seen: the distance to the nearest pose."""
    px: Float[Array | np.ndarray, "2"]
    """And of the detector or the annotator: a coordinate, pixels."""
    doubt: Float[Array | np.ndarray, "2"]
    """Log odds of being bad: at no confidence, and by how much less they are at confidence 1."""
    power: Float[Array, ""] | float
    """A keypoint counts confidence ** power times."""
    temperature: Float[Array, ""] | float
    """Of the posterior: keypoints err together."""


ASSUMED = Noise(
    np.array([0.035, 0.085], np.float32),
    np.zeros(2, np.float32),
    np.array([np.log(0.22 / 0.78), 0.0], np.float32),
    power=1.0,
    temperature=0.7,
)
"""Of keypoints of which nothing is known. Chosen on validation people, whose keypoints are simulated."""


class Errors(NamedTuple):
    """What to expect of the errors of one person's keypoints, in sides of their box."""

    weight: Float[Array, "K 1"]
    bad: Float[Array, "K 1"]
    """Probability."""
    narrow: Float[Array, "K 1"]
    wide: Float[Array, "K 1"]


def expected(
    noise: Noise, confidence: Float[Array, " K"], side_px: Float[Array, ""] | float
) -> Errors:
    """Of keypoints of these confidences (0 is missing, and weighs nothing) in a box of this size."""
    seen = confidence > 0
    weight = jnp.where(seen, jnp.where(seen, confidence, 1.0) ** noise.power, 0.0)
    bad = jax.nn.sigmoid(noise.doubt[0] - noise.doubt[1] * confidence)
    narrow, wide = jnp.hypot(jnp.asarray(noise.sides), noise.px / side_px)
    whole = jnp.ones_like(confidence)
    return Errors(*(x[:, None] for x in (weight, bad, narrow * whole, wide * whole)))


def precision(errors: Errors) -> Float[Array, " K"]:
    """What a keypoint weighs in least squares before its residual is known."""
    narrow, wide = (1.0 - errors.bad) / errors.narrow**2, errors.bad / errors.wide**2
    return (errors.weight * (narrow + wide))[:, 0]


def log_likelihood(errors: Errors, squares: Float[Array, "K views"]) -> Float[Array, " views"]:
    """Of all keypoints at these squared distances."""
    good, bad = _densities(errors, squares)
    return errors.weight[:, 0] @ jnp.log(good + bad + _FLOOR)


def trust(errors: Errors, squares: Float[Array, "K views"]) -> Float[Array, "K views"]:
    """What keypoints weigh in the least squares that climb the likelihood: -2 times its slope in their squares."""
    good, bad = _densities(errors, squares)
    weighed = good / errors.narrow**2 + bad / errors.wide**2
    return errors.weight * weighed / (good + bad + _FLOOR)


def _densities(errors, squares):
    """Of good and of bad keypoints, up to the same factor."""
    share = 1.0 - errors.bad, errors.bad
    widths = errors.narrow**2, errors.wide**2
    return (p * jnp.exp(-0.5 * squares / v) / v for p, v in zip(share, widths))
