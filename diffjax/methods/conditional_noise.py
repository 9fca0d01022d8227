"""The error of a lifter, as a Gaussian given what it saw and what it said: noise whose mean is not zero.

D3PRefiner (2024): y = x_0 + e (4), and [p, y, e] jointly Gaussian, so that with A = e and
B = [p, y] the error is N(mu_A + S_AB S_BB^-1 (B - mu_B), S_AA - S_AB S_BB^-1 S_BA) (5, 6). Its mean is
ordinary least squares with intercept, its covariance that of the residuals.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from diffjax.methods import error_statistics

Time = Literal["iid", "shared", "ar1"]
"""The noise of a frame: its own, that of its whole sequence, or tied to the frame before."""


class NoiseModel(NamedTuple):
    """e given B = [2D, estimate]: N(offset + (B - center) gain, factor factor^T), flattened over joints.

    What belongs to the root's error is zero. rho ties neighbours in time.
    """

    center: Float[Array | np.ndarray, " inputs"]
    gain: Float[Array | np.ndarray, "inputs errors"]
    offset: Float[Array | np.ndarray, " errors"]
    factor: Float[Array | np.ndarray, "errors errors"]
    """Lower triangular."""
    rho: Float[Array | np.ndarray, ""]
    """Autocorrelation of the residual from frame to frame, weighted by variance."""


def fit(stats: error_statistics.Statistics, *, root: int = 0, ridge: float = 1e-6) -> NoiseModel:
    """The conditional Gaussian (5, 6); `ridge` is a share of the mean variance, on both covariances."""
    frames, size = error_statistics.count(stats), len(stats.magnitude)
    if frames < 2:
        raise ValueError(f"noise model: wanted two frames or more, found {frames:.0f}")
    keep = error_statistics.moving(stats, root)
    if not len(keep):
        raise ValueError("noise model: wanted two joints or more, found the root alone")
    points = 2 * size // 3
    inputs = np.concatenate([np.arange(points), points + keep])
    middle = stats.products[0, 1:] / frames
    covariance = stats.products[1:, 1:] / frames - np.outer(middle, middle)
    e = points + size + keep
    s_bb = covariance[np.ix_(inputs, inputs)]
    s_be = covariance[np.ix_(inputs, e)]
    gain = _solve(s_bb, s_be, ridge)
    # Of residuals e - mu, whatever the gain: equals (6) where the ridge is 0.
    project = np.zeros((len(middle), len(keep)))
    project[e, np.arange(len(keep))] = 1.0
    project[inputs] = -gain
    residual = project.T @ covariance @ project
    gains = np.zeros((points + size, size))
    gains[np.ix_(inputs, keep)] = gain
    factor = np.zeros((size, size))
    factor[np.ix_(keep, keep)] = _factor(residual, ridge)
    offset = np.zeros(size)
    offset[keep] = middle[e]
    rho = _autocorrelation(stats, middle, project)
    return NoiseModel(middle[: points + size], gains, offset, factor, np.asarray(rho))


def _solve(matrix: np.ndarray, right: np.ndarray, ridge: float) -> np.ndarray:
    """matrix^-1 right by Cholesky; zero where the matrix is."""
    root = _factor(matrix, ridge)
    if not root.any():
        return np.zeros_like(right)
    return np.linalg.solve(root.T, np.linalg.solve(root, right))


def _factor(matrix: np.ndarray, ridge: float) -> np.ndarray:
    """The Cholesky factor of a covariance with its ridge; zero for no covariance at all."""
    level = np.trace(matrix) / len(matrix)
    if level <= 1e-16:  # (10 nm)^2: rounding of what never moves.
        return np.zeros_like(matrix)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    values = np.maximum(values, 0.0) + ridge * level  # Below zero is rounding.
    try:
        return np.linalg.cholesky((vectors * values) @ vectors.T)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"noise model: wanted a covariance that a ridge of {ridge:g} makes regular, found none; "
            "fit on more frames or with a larger ridge"
        ) from None


def _autocorrelation(
    stats: error_statistics.Statistics, middle: np.ndarray, project: np.ndarray
) -> float:
    """rho of neighbours' residuals, all coordinates together: sum r_t r_{t+1} / sum of r^2 per frame."""
    # Residuals are linear in a row, and their mean is zero.
    turn = np.concatenate([-(middle @ project)[None], project])
    pairs = stats.following[0, 0]
    together = np.trace(turn.T @ stats.following @ turn)
    alone = np.trace(turn.T @ stats.products @ turn) / error_statistics.count(stats)
    if pairs == 0 or alone <= 1e-16:
        return 0.0
    return float(np.clip(together / pairs / alone, -0.999, 0.999))


def mean(
    model: NoiseModel, p: Float[Array, "*batch J 2"], y: Float[Array, "*batch J 3"]
) -> Float[Array, "*batch J 3"]:
    """mu of (5): the error to expect, in metres; zero at the root."""
    seen = jnp.concatenate([a.reshape(*a.shape[:-2], -1) for a in (p, y)], -1)
    center, gain, offset = (
        jnp.asarray(a, y.dtype) for a in (model.center, model.gain, model.offset)
    )
    flat = jnp.matmul(seen - center, gain, precision=jax.lax.Precision.HIGHEST)
    return (offset + flat).reshape(y.shape)


def sample(
    key: PRNGKeyArray,
    model: NoiseModel,
    p: Float[Array, "*batch time J 2"],
    y: Float[Array, "*batch time J 3"],
    time: Time = "iid",
) -> Float[Array, "*batch time J 3"]:
    """e~ of N(mu, Sigma) (5, 6), in metres. Each frame has this distribution, however time ties them."""
    if time not in ("iid", "shared", "ar1"):
        raise ValueError(f"noise in time: wanted 'iid', 'shared' or 'ar1', got {time!r}")
    *batch, frames, joints, _ = y.shape
    drawn = 1 if time == "shared" else frames
    z = jax.random.normal(key, (*batch, drawn, 3 * joints), y.dtype)
    if time == "ar1":
        z = _tied(z, jnp.asarray(model.rho, y.dtype))
    spread = z @ jnp.asarray(model.factor, y.dtype).T
    return mean(model, p, y) + spread.reshape(*batch, drawn, joints, 3)


def _tied(z: Float[Array, "*batch time d"], rho: Float[Array, ""]) -> Float[Array, "*batch time d"]:
    """z_t := rho z_{t-1} + sqrt(1 - rho^2) z_t, as one product: still standard normal in every frame."""
    frames = z.shape[-2]
    powers = jnp.cumprod(jnp.full(frames, rho).at[0].set(1.0))
    lag = jnp.arange(frames)[:, None] - jnp.arange(frames)
    of_first = jnp.where(jnp.arange(frames) == 0, jnp.ones_like(rho), jnp.sqrt(1.0 - rho**2))
    return jnp.where(lag >= 0, powers[lag] * of_first, 0.0) @ z


def model_from_arrays(arrays: dict[str, Any], where: str = "noise model") -> NoiseModel:
    """What `model._asdict()` saved; ValueError names the field that does not fit the others."""
    size = np.size(arrays.get("offset", ()))
    inputs = 5 * size // 3
    wanted = {
        "center": (inputs,),
        "gain": (inputs, size),
        "offset": (size,),
        "factor": (size, size),
        "rho": (),
    }
    for name, shape in wanted.items():
        found = np.shape(arrays[name]) if name in arrays else "no such field"
        if found != shape or size == 0 or size % 3:
            raise ValueError(
                f"{where}: field {name}: wanted {shape}, found {found}; fit the noise model again"
            )
        if not np.isfinite(arrays[name]).all():
            raise ValueError(
                f"{where}: field {name}: wanted finite numbers, found others; fit it again"
            )
    return NoiseModel(**{name: np.asarray(arrays[name]) for name in wanted})
