"""SMPLify (Bogo et al. 2016) from an estimate: keypoints, a prior of poses, joint limits, small betas.

    E = E_keypoints + weights.pose E_pose + weights.limits E_limits + weights.betas |betas|^2 / 2

E_pose is a Gaussian mixture (`methods.mixture`, the paper's), or what a diffusion prior would change of a pose
(`methods.denoised`). Descended by `methods.plain`, in standardised 6D vectors.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffjax import energies, joint_limits
from diffjax.pose import Evidence, Pose


class Weights(NamedTuple):
    """Of what is known without looking; may be traced."""

    pose: Float[Array, ""] | float = 1.0
    limits: Float[Array, ""] | float = 10.0
    """Of squared radians beyond what joints allow."""
    betas: Float[Array, ""] | float = 1.0


def total(keypoints: energies.Energy, prior: energies.Energy, weights: Weights) -> energies.Energy:
    """E, of a keypoint energy and an energy of poses."""

    def energy(people: Pose, evidence: Evidence | Any) -> Float[Array, "*batch"]:
        return (
            keypoints(people, evidence)
            + weights.pose * prior(people, evidence)
            + weights.limits * joint_limits.joint_limits(people.rotations)
            + 0.5 * weights.betas * jnp.sum(people.betas**2, -1)
        )

    return energy
