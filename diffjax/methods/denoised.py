"""A diffusion prior as an energy of poses: regularisation by denoising (Romano, Elad and Milanfar 2017).

    E(Θ) = |x − x̂₀(√ᾱ_t x, t)|² / 2,        x̂₀ held fixed

for x the standardised vector of Θ: what the prior would change of a pose that it is told is noisy. DPoser (Lu et al.
2023) draws the noise that x is told to have; here there is none. On real motion drawn noise made fits worse, at any
weight, for what it finds changes with the draw.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffjax import energies, guidance, pose
from diffjax import schedule as noising
from diffjax.pose import Evidence, Normaliser, Pose


def energy(
    denoiser: guidance.Denoiser,
    schedule: noising.Schedule,
    normaliser: Normaliser,
    layout: pose.Layout,
    t: Int[Array, ""] | int = 200,
) -> energies.Energy:
    """Of poses, whatever was seen. x − x̂₀ is the gradient of no function: a line search has no use for it."""

    def of(people: Pose, evidence: Evidence | Any) -> Float[Array, "*batch"]:
        x = pose.standardise(normaliser, pose.vector_from_pose(people, layout))
        told = noising.at(schedule.signal, t, x) * x
        found = jax.lax.stop_gradient(denoiser(told, jnp.asarray(t), None))
        return 0.5 * jnp.sum((x - found) ** 2, -1)

    return of
