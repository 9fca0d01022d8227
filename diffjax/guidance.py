"""Guidance: a denoiser in, a denoiser out; and the loop of inversion and guided sampling around it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffjax import sampling
from diffjax.schedule import Schedule

Denoiser = Callable[..., Float[Array, "*batch d"]]
VectorEnergy = Callable[[Float[Array, "*batch d"], Any], Float[Array, "*batch"]]
"""(x_0, context) -> one number a sample."""

GRADIENT_CLIP = 20.0
"""Largest gradient per coordinate of a standardised vector."""


def guide(
    denoiser: Denoiser,
    schedule: Schedule,
    energy: VectorEnergy,
    strength: Float[Array, ""] | float,
    *,
    through_network: bool = True,
    clip: float = GRADIENT_CLIP,
) -> Denoiser:
    """Score guidance (Dhariwal & Nichol 2021, Alg. 2; Chung et al. 2023): eps + noise_t grad E, as an x_0.

    x_0' = x_0 - strength (1 - alpha_bar) / sqrt(alpha_bar) dE/dx_t. Without `through_network` eps is held
    fixed (ScoreHMR), so that dE/dx_t = dE/dx_0 / sqrt(alpha_bar). Samples do not interact.
    """

    def guided(x_t: Float[Array, "*batch d"], t: Int[Array, "*#batch"], context: Any):
        def frozen(x_0):
            return jnp.sum(energy(x_0, context))

        def through(x):
            x_0 = denoiser(x, t, context)
            return jnp.sum(energy(x_0, context)), x_0

        signal = jnp.asarray(schedule.signal, x_t.dtype)[t][..., None]
        noise = jnp.asarray(schedule.noise, x_t.dtype)[t][..., None]
        if through_network:
            gradient, x_0 = jax.grad(through, has_aux=True)(x_t)
        else:
            x_0 = denoiser(x_t, t, context)
            gradient = jax.grad(frozen)(x_0) / signal
        return x_0 - strength * noise**2 / signal * jnp.clip(gradient, -clip, clip)

    return guided


def levels(start: int, stride: int) -> tuple[int, ...]:
    """Times 0, stride, ..., start of the inversion."""
    if stride < 1 or start < stride or start % stride:
        raise ValueError(
            f"guidance: wanted start as a multiple of stride, got {start} and {stride}"
        )
    return tuple(range(0, start + 1, stride))


def invert_and_guide(
    denoiser: Denoiser,
    schedule: Schedule,
    energy: VectorEnergy,
    x: Float[Array, "*batch d"],
    context: Any,
    *,
    strength: Float[Array, ""] | float,
    rounds: Int[Array, ""] | int,
    start: int = 50,
    stride: int = 10,
    through_network: bool = True,
) -> Float[Array, "*batch d"]:
    """Rounds of DDIM inversion of x to time `start` and guided DDIM back (ScoreHMR, Alg. 1).

    strength and rounds may be traced: a sweep over them compiles once.
    """
    times = levels(start, stride)
    if start >= len(schedule.betas):
        raise ValueError(
            f"guidance: wanted start below the {len(schedule.betas)} steps of the schedule, got {start}"
        )
    guided = guide(denoiser, schedule, energy, strength, through_network=through_network)

    def one_round(_, x):
        noisy = sampling.ddim_invert(denoiser, schedule, x, context, times)
        return sampling.ddim_chain(guided, schedule, noisy, context, times[::-1])

    return jax.lax.fori_loop(0, rounds, one_round, x)
