"""Detections of a video, whose errors may last: an AR(1) process behind everything that chance decides.

Each keypoint's noise, doubt, kind of error and absence, and each limb's absence, follow a standard normal
z_t = rho z_{t-1} + sqrt(1 - rho^2) n_t of their own. What is yes or no is z < Phi^-1(p) (a Gaussian copula),
so that a frame by itself is as one of `synthetic.detect`, whatever rho is.
"""

import statistics

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from diffjax.data import synthetic


def memory(frames: int, correlation: float) -> np.ndarray:
    """(time, time) M with z = M n: AR(1) of unit variance, lag-1 correlation `correlation`."""
    if not 0.0 <= correlation < 1.0:
        raise ValueError(
            f"correlation: wanted at least 0 (every frame anew) and below 1, got {correlation:g}"
        )
    lag = np.subtract.outer(np.arange(frames), np.arange(frames))
    weight = np.tril(correlation ** np.maximum(lag, 0).astype(float))
    weight[:, 1:] *= np.sqrt(1.0 - correlation**2)
    return weight.astype(np.float32)


def lasting(
    key: PRNGKeyArray, weight: Float[Array, "time time"], batch: int, shape: tuple[int, ...]
) -> Float[Array, "batch time ..."]:
    """Standard normal numbers of shape (batch, time, *shape) that follow `memory` in time."""
    fresh = jax.random.normal(key, (batch, len(weight), *shape))
    return jnp.einsum("ts,bs...->bt...", weight, fresh)


def detect(
    key: PRNGKeyArray, pixels: Float[Array, "batch time 17 2"], weight: Float[Array, "time time"]
) -> Float[Array, "batch time 17 3"]:
    """Detector-like coco17 keypoints of videos; `weight` is `memory`'s."""
    keys, (batch, frames) = jax.random.split(key, 5), pixels.shape[:2]

    def draw(i, *shape):
        z = lasting(keys[i], weight, batch, shape)
        return z.reshape(batch * frames, *shape)

    found = synthetic.detected(
        pixels.reshape(-1, 17, 2),
        draw(0, 17) < _below(synthetic.BAD),
        draw(1, 17, 2),
        draw(2, 17),
        draw(3, 17) > _below(synthetic.MISSING),
        draw(4, synthetic.LIMBS) < _below(synthetic.LIMB_MISSING),
    )
    return found.reshape(batch, frames, 17, 3)


def _below(share: float) -> float:
    """The number under which a standard normal lies so often: Phi^-1."""
    return statistics.NormalDist().inv_cdf(share)
