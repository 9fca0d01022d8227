"""Poses drawn from a prior out of pure noise: what it holds to be likely, several for each condition.

DDIM as ScoreHMR's authors validate (start 950, stride 50: 19 calls of the network), with eta for more noise.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from diffjax import pose
from diffjax import schedule as noising
from diffjax.methods import diffannot


def draw(
    prior: diffannot.Prior,
    key: PRNGKeyArray,
    samples: int,
    rows: int,
    context: Any = None,
    *,
    start: int = 950,
    stride: int = 50,
    eta: float = 0.0,
    clip: float = 1.0,
) -> Float[Array, "samples rows d"]:
    """Vectors as a model has them before standardisation, `samples` for each of `rows` rows of the context.

    Noise is taken as the state at `start`; |x_0| is held below `clip` at every step, the noise in it is not taken
    anew (`jnp.inf` for none). What comes back is the x_0 of the last call, at time `stride`.
    """
    times = jnp.arange(start, 0, -stride)
    keys = jax.random.split(key, len(times) + 1)
    shape = (samples, rows, len(prior.normaliser.mean))
    noise = jax.random.normal(keys[0], shape)

    def step(x, now):
        t, own = now
        x_0 = prior.denoiser(x, t, context)
        eps = noising.eps_from_x0(prior.schedule, x, t, x_0)
        limited = jnp.clip(x_0, -clip, clip)
        drawn = jax.random.normal(own, shape)
        return _next(prior.schedule, limited, eps, drawn, t, t - stride, eta), limited

    _, found = jax.lax.scan(step, noise, (times, keys[1:]))
    return pose.unstandardise(prior.normaliser, found[-1])


def _next(schedule: noising.Schedule, x_0, eps, drawn, t, t_next, eta: float) -> Array:
    """Song et al. 2021, Eq. 12."""
    bar = jnp.asarray(schedule.alpha_bar, x_0.dtype)
    now, after = bar[t], bar[t_next]
    sigma = eta * jnp.sqrt((1.0 - after) / (1.0 - now) * (1.0 - now / after))
    return jnp.sqrt(after) * x_0 + jnp.sqrt(1.0 - after - sigma**2) * eps + sigma * drawn
