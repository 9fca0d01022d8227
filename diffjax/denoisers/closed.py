"""Denoisers without a network: no prior at all, and a Gaussian of the poses in closed form.

What guidance reaches with these is the loop's own doing; what a network reaches beyond them is the prior's.
Both are pytrees: passed to jit as arguments, their tables are no constants of the compiled code.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax import schedule as noising


class Gaussian(NamedTuple):
    """N(mean, V diag(eigenvalues) V^T) of standardised vectors."""

    mean: Float[Array | np.ndarray, " d"]
    eigenvectors: Float[Array | np.ndarray, "d d"]
    """Columns."""
    eigenvalues: Float[Array | np.ndarray, " d"]


def no_prior(schedule: noising.Schedule) -> jax.tree_util.Partial:
    """The denoiser that never finds any noise: eps = 0, so x_0 = x_t / sqrt(alpha_bar_t)."""
    return jax.tree_util.Partial(_noiseless, schedule.signal)


def fit_gaussian(vectors: Float[np.ndarray, "n d"], ridge: float = 1e-4) -> Gaussian:
    """Mean and covariance of standardised vectors, in float64; the ridge is added to every eigenvalue.

    With it also directions that never vary (standard deviation sqrt(ridge)) can follow the evidence.
    """
    vectors = np.asarray(vectors, np.float64)
    if len(vectors) < 2 or not np.isfinite(vectors).all():
        raise ValueError(
            f"Gaussian prior: wanted at least 2 finite vectors, found {len(vectors)}, "
            f"{int((~np.isfinite(vectors)).any(-1).sum())} of them not finite"
        )
    mean = vectors.mean(0)
    offset = vectors - mean
    values, columns = np.linalg.eigh(offset.T @ offset / len(vectors))
    return Gaussian(mean, columns, np.maximum(values, 0.0) + ridge)


def gaussian_prior(schedule: noising.Schedule, gaussian: Gaussian) -> jax.tree_util.Partial:
    """The denoiser E[x_0 | x_t] where x_0 is Gaussian: linear in x_t, and exact."""
    return jax.tree_util.Partial(_posterior_mean, schedule.signal, schedule.noise, gaussian)


def _noiseless(
    signal: Any, x_t: Float[Array, "*batch d"], t: noising.Step, context: Any = None
) -> Float[Array, "*batch d"]:
    return x_t / noising.at(signal, t, x_t)


def _posterior_mean(
    signal: Any,
    noise: Any,
    gaussian: Gaussian,
    x_t: Float[Array, "*batch d"],
    t: noising.Step,
    context: Any = None,
) -> Float[Array, "*batch d"]:
    """mean + V diag(s l / (s^2 l + 1 - s^2)) V^T (x_t - s mean), with s^2 = alpha_bar and eigenvalues l."""
    mean, columns, values = (jnp.asarray(part, x_t.dtype) for part in gaussian)
    # 1 - s^2 is the square of the other table, which was rounded only once.
    s, spread = noising.at(signal, t, x_t), noising.at(noise, t, x_t) ** 2
    gain = s * values / (s**2 * values + spread)
    return mean + (gain * ((x_t - s * mean) @ columns)) @ columns.T
