"""Fits to the evidence with no prior (SMPLify without its priors; Bogo et al. 2016): Adam and L-BFGS.

Baselines of everything that claims a prior: the same energy, in the same standardised 6D vectors as the guided
loop, by two optimisers. The translation is solved inside the energy.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffjax import descent, energies, pose
from diffjax.pose import Normaliser, Pose


def fit_adam(
    estimate: Pose,
    evidence: Any,
    energy: energies.Energy,
    normaliser: Normaliser,
    *,
    layout: pose.Layout = "sixd154",
    pull: Float[Array, ""] | float = 0.0,
    iterations: int = 60,
    learning_rate: Float[Array, ""] | float = 0.05,
) -> Pose:
    """The pose after `iterations` steps of Adam on a cosine, one gradient each.

    argmin_z energy(z) + pull / 2 |z - z_estimate|^2 over standardised vectors z. A sample whose fit does not move or
    is not finite is the estimate, bit for bit.
    """

    def minimise(objective, z):
        return descent.descend_adam(
            objective, z, iterations=iterations, learning_rate=learning_rate
        )

    return _fit(minimise, estimate, evidence, energy, normaliser, layout, pull)


def fit_lbfgs(
    estimate: Pose,
    evidence: Any,
    energy: energies.Energy,
    normaliser: Normaliser,
    *,
    layout: pose.Layout = "sixd154",
    pull: Float[Array, ""] | float = 0.0,
    iterations: int = 60,
    memory: int = 10,
) -> Pose:
    """As `fit_adam`, by L-BFGS with `iterations` gradients, those of rejected steps among them."""

    def minimise(objective, z):
        return descent.descend_lbfgs(objective, z, iterations=iterations, memory=memory)

    return _fit(minimise, estimate, evidence, energy, normaliser, layout, pull)


def _fit(
    minimise: Callable[[descent.Objective, Array], Array],
    estimate: Pose,
    evidence: Any,
    energy: energies.Energy,
    normaliser: Normaliser,
    layout: pose.Layout,
    pull: Float[Array, ""] | float,
) -> Pose:
    start = pose.standardise(normaliser, pose.vector_from_pose(estimate, layout))

    def decode(z):
        return pose.pose_from_vector(pose.unstandardise(normaliser, z), layout, estimate.betas)

    def objective(z):
        return energy(decode(z), evidence) + 0.5 * pull * jnp.sum((z - start) ** 2, -1)

    z = minimise(objective, start)
    fitted = decode(z)
    moved = (z != start).any(-1) & jnp.isfinite(z).all(-1)
    return Pose(
        jnp.where(moved[..., None, None, None], fitted.rotations, estimate.rotations),
        jnp.where(moved[..., None], fitted.betas, estimate.betas),
    )
