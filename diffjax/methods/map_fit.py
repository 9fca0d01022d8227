"""Refinement without a network: the MAP fit under a Gaussian of the frontend's own errors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from diffjax import energies, rotations
from diffjax.pose import Evidence, Pose

RESIDUAL_SIZE = 24 * 3 + 10
"""A residual is 24 right-multiplied rotation vectors (rad), then 10 beta differences."""


class ErrorModel(NamedTuple):
    """Zero-mean Gaussian of a frontend's residuals: residual = factor z, z standard normal."""

    factor: Float[Array | np.ndarray, "82 82"]


def residual(pred: Pose, true: Pose) -> Float[Array, "*batch 82"]:
    """What must be applied to pred to reach true: log(R_pred^T R_true) of each joint, then betas."""
    turn = jnp.swapaxes(pred.rotations, -1, -2) @ true.rotations
    v = rotations.axis_angle_from_matrix(turn)
    return jnp.concatenate([v.reshape(*v.shape[:-2], 72), true.betas - pred.betas], -1)


def move(pose: Pose, delta: Float[Array, "*batch 82"]) -> Pose:
    """The pose after a residual: inverse of `residual`."""
    v = delta[..., :72].reshape(*delta.shape[:-1], 24, 3)
    turned = pose.rotations @ rotations.matrix_from_axis_angle(v)
    return Pose(turned, pose.betas + delta[..., 72:])


def whitener(error_model: ErrorModel) -> np.ndarray:
    """(82, 82) what takes residuals to z: the inverse of the factor."""
    return np.linalg.inv(np.asarray(error_model.factor, np.float64)).astype(np.float32)


def surprise(
    whitener: Float[Array | np.ndarray, "82 82"], before: Pose, after: Pose
) -> Float[Array, "*batch"]:
    """|z|^2 of the move between two poses: twice its negative log-likelihood among the frontend's errors."""
    z = residual(before, after) @ jnp.asarray(whitener).T
    return jnp.sum(z**2, -1)


def residual_covariance(pred: Pose, true: Pose) -> np.ndarray:
    """(82, 82) second moment of cross-fitted residuals about zero, in float64.

    About zero, not about the mean: the bias of a cross-fitted frontend does not carry over to new
    people, its covariance does.
    """
    samples = np.asarray(jax.jit(residual)(pred, true), np.float64)
    return samples.T @ samples / len(samples)


def error_model_from_covariance(covariance: np.ndarray, ridge: float = 1e-4) -> ErrorModel:
    """The error model of a (82, 82) covariance; the ridge keeps joints that never err (0.6 deg) in play."""
    covariance = np.asarray(covariance, np.float64) + ridge * np.eye(RESIDUAL_SIZE)
    return ErrorModel(np.linalg.cholesky(covariance).astype(np.float32))


def fit_map(
    estimate: Pose,
    evidence: Evidence,
    error_model: ErrorModel,
    energy: energies.Energy,
    *,
    prior_weight: Float[Array, ""] | float,
    iterations: int = 60,
    learning_rate: float = 0.08,
) -> Pose:
    """argmin_z energy(move(estimate, factor z)) + prior_weight / 2 |z|^2, by Adam on a cosine.

    In whitened z the prior is isotropic: directions in which the frontend errs move first.
    """
    factor = jnp.asarray(error_model.factor)

    def pose_of(z):
        return move(estimate, z @ factor.T)

    def loss(z):
        fit = energy(pose_of(z), evidence)
        return jnp.sum(fit + 0.5 * prior_weight * jnp.sum(z * z, -1))

    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, iterations))

    def step(carry, _):
        z, state = carry
        gradient = jax.grad(loss)(z)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its counters with floats.
            updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(z, updates), state), None

    z = jnp.zeros((*estimate.betas.shape[:-1], RESIDUAL_SIZE), jnp.float32)
    (z, _), _ = jax.lax.scan(step, (z, optimiser.init(z)), None, length=iterations)
    return pose_of(z)
