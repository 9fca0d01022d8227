"""A Gaussian mixture of body poses: SMPLify's pose prior (Bogo et al. 2016, Eq. 6), as an energy.

In their space: the rotation vectors of the 23 joints below the root. Their code takes the likeliest component for the
sum over all; here the sum is exact, so that the energy is smooth where two components are equally likely.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax import energies, rotations
from diffjax.pose import Evidence, Pose

SIZE = 23 * 3
"""Numbers of a body pose."""
COMPONENTS = 8
"""SMPLify's."""
RIDGE = 1e-3
"""Of every variance, rad^2: joints that never move in the poses (1.8 degrees) can follow the evidence."""
MOST = 10_000
"""Poses that a mixture is fitted to; more are thinned evenly."""


class Mixture(NamedTuple):
    """sum_j weight_j N(mean_j, covariance_j)."""

    log_scales: Float[Array | np.ndarray, " components"]
    """log weight_j, with the normaliser of the Gaussian but for (2 pi)^(-d / 2)."""
    means: Float[Array | np.ndarray, "components d"]
    whiteners: Float[Array | np.ndarray, "components d d"]
    """W with W^T W = covariance^-1; lower triangles."""


def body_numbers(people: Pose) -> Float[Array, "*batch 69"]:
    """Rotation vectors of the joints below the root, rad."""
    vectors = rotations.axis_angle_from_matrix(people.rotations[..., 1:, :, :])
    return vectors.reshape(*vectors.shape[:-2], SIZE)


def from_moments(
    weights: Float[np.ndarray, " components"],
    means: Float[np.ndarray, "components d"],
    covariances: Float[np.ndarray, "components d d"],
) -> Mixture:
    """The mixture of these moments, computed in float64."""
    factors = np.linalg.cholesky(np.asarray(covariances, np.float64))
    whiteners = np.linalg.solve(factors, np.broadcast_to(np.eye(factors.shape[-1]), factors.shape))
    half_log_det = np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(-1)
    log_scales = np.log(weights) - half_log_det
    return Mixture(*(np.asarray(x, np.float32) for x in (log_scales, means, whiteners)))


def fit_mixture(
    poses: Float[np.ndarray, "n d"], components: int = COMPONENTS, seed: int = 0
) -> Mixture:
    """The mixture of some poses, by scikit-learn's expectation maximisation."""
    from sklearn import mixture as peer  # Only fitting needs it.

    if len(poses) < 2 * components or not np.isfinite(poses).all():
        raise ValueError(
            f"mixture of poses: wanted at least {2 * components} finite poses, found {len(poses)}, "
            f"{int((~np.isfinite(poses)).any(-1).sum())} of them not finite"
        )
    thin = poses[np.linspace(0, len(poses) - 1, min(len(poses), MOST)).round().astype(int)]
    found = peer.GaussianMixture(components, reg_covar=RIDGE, random_state=seed)
    found.fit(np.asarray(thin, np.float64))
    return from_moments(found.weights_, found.means_, found.covariances_)


def surprise(mixture: Mixture, x: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
    """-log of the density, less its least possible value over the components (a constant): near 0 at a likely mean."""
    scales, means, whiteners = (jnp.asarray(part, x.dtype) for part in mixture)
    z = jnp.einsum("kij,...kj->...ki", whiteners, x[..., None, :] - means)
    logs = scales - jnp.max(scales) - 0.5 * jnp.sum(z**2, -1)
    return -jax.nn.logsumexp(logs, -1)


def energy(mixture: Mixture) -> energies.Energy:
    """How unlikely a body pose is, whatever was seen."""

    def of(people: Pose, evidence: Evidence | Any) -> Float[Array, "*batch"]:
        return surprise(mixture, body_numbers(people))

    return of
