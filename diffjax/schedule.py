"""The noise schedule: how much of x_0 and how much noise is in x_t, at every step t.

x_t = signal_t x_0 + noise_t eps, with signal = sqrt(alpha_bar) and noise = sqrt(1 - alpha_bar) (Ho
et al. 2020, eq. 4). Tables are made once in NumPy float64 and rounded once, to the type of the x
they meet. Step t counts rows of the tables: 0 is the least noisy, and after respacing the network
is called with `network_time[t]` instead.
"""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

MeanType = Literal["epsilon", "x_start", "v", "previous_x"]
"""What a network outputs: eps, x_0, v = signal eps - noise x_0, or the mean of x_{t-1}."""

Step = int | np.integer | Int[Array | np.ndarray, "*#batch"]
"""A row of the schedule: one for all samples, or one each."""


class Schedule(NamedTuple):
    """What a diffusion step needs to know about t: a row per step, float64 NumPy until traced."""

    betas: Float[Array | np.ndarray, " steps"]
    alpha_bar: Float[Array | np.ndarray, " steps"]
    alpha_bar_prev: Float[Array | np.ndarray, " steps"]
    """alpha_bar of the step before; 1 for the first."""
    signal: Float[Array | np.ndarray, " steps"]
    noise: Float[Array | np.ndarray, " steps"]
    posterior_variance: Float[Array | np.ndarray, " steps"]
    """Of q(x_{t-1} | x_t, x_0); 0 at t = 0."""
    posterior_log_variance_clipped: Float[Array | np.ndarray, " steps"]
    """Its logarithm, with the second row's value in the first, where the variance is 0."""
    posterior_mean_coef1: Float[Array | np.ndarray, " steps"]
    """Of x_0."""
    posterior_mean_coef2: Float[Array | np.ndarray, " steps"]
    """Of x_t."""
    network_time: Int[Array | np.ndarray, " steps"]
    """The step before respacing, ascending: what the network was trained to be told."""


def make_schedule(name: Literal["linear", "cosine"], steps: int, respacing: str = "") -> Schedule:
    """The schedule of a name, or of the steps of it that `respacing` keeps (see `kept_steps`)."""
    if steps < 1:
        raise ValueError(f"diffusion steps: wanted at least 1, got {steps}")
    makers = {"linear": _linear_betas, "cosine": _cosine_betas}
    if name not in makers:
        raise ValueError(f"noise schedule: wanted one of {sorted(makers)}, got {name!r}")
    betas, kept = makers[name](steps), kept_steps(steps, respacing)
    if respacing:
        # Between kept steps the process is again Gaussian, with the betas of the same alpha_bar.
        alpha_bar = np.cumprod(1.0 - betas)[kept]
        betas = 1.0 - alpha_bar / np.append(1.0, alpha_bar[:-1])
    return _tables(betas, kept)


def _linear_betas(steps: int) -> np.ndarray:
    """Ho et al. 2020: 1e-4 to 0.02 at 1000 steps, scaled to end as noisy with fewer or more."""
    if steps <= 20:
        raise ValueError(f"linear schedule: wanted more than 20 steps (beta < 1), got {steps}")
    return np.linspace(0.1 / steps, 20.0 / steps, steps)


def _cosine_betas(steps: int, offset: float = 0.008) -> np.ndarray:
    """Nichol & Dhariwal 2021, eq. 17: alpha_bar falls as a squared cosine; beta <= 0.999."""
    u = (np.arange(steps + 1) / steps + offset) / (1.0 + offset)
    alpha_bar = np.cos(u * np.pi / 2.0) ** 2
    return np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], 0.999)


def _tables(betas: np.ndarray, network_time: np.ndarray) -> Schedule:
    """Ho et al. 2020, eq. 4 (alpha_bar) and eq. 7 (the posterior)."""
    alpha_bar = np.cumprod(1.0 - betas)
    previous = np.append(1.0, alpha_bar[:-1])
    variance = betas * (1.0 - previous) / (1.0 - alpha_bar)
    first = variance[1] if len(betas) > 1 else betas[0]
    return Schedule(
        betas=betas,
        alpha_bar=alpha_bar,
        alpha_bar_prev=previous,
        signal=np.sqrt(alpha_bar),
        noise=np.sqrt(1.0 - alpha_bar),
        posterior_variance=variance,
        posterior_log_variance_clipped=np.log(np.append(first, variance[1:])),
        posterior_mean_coef1=betas * np.sqrt(previous) / (1.0 - alpha_bar),
        posterior_mean_coef2=(1.0 - previous) * np.sqrt(1.0 - betas) / (1.0 - alpha_bar),
        network_time=network_time.astype(np.int32),
    )


def kept_steps(steps: int, respacing: str) -> np.ndarray:
    """The steps, ascending, that a respacing string keeps, as Improved DDPM reads it.

    "" keeps all. "ddimN" keeps N at an even whole stride from 0 (Song et al. 2021). "a,b,c" cuts
    the steps into that many sections of equal length and keeps a, b, c of them, spread from end to
    end of each; "250" is one section.
    """
    if not respacing:
        return np.arange(steps)
    if respacing.startswith("ddim"):
        return _strided_steps(steps, respacing)
    counts = [_count(part, respacing) for part in respacing.split(",")]
    sizes = [len(part) for part in np.array_split(np.arange(steps), len(counts))]
    if any(count > size for count, size in zip(counts, sizes)):
        raise ValueError(f"respacing {respacing!r}: wanted at most {sizes} of {steps} steps")
    starts = np.cumsum([0, *sizes[:-1]])
    spread = [_spread_steps(count, size) for count, size in zip(counts, sizes)]
    return np.concatenate([start + part for start, part in zip(starts, spread)])


def _strided_steps(steps: int, respacing: str) -> np.ndarray:
    wanted = _count(respacing.removeprefix("ddim"), respacing)
    for stride in range(1, steps + 1):
        if len(range(0, steps, stride)) == wanted:
            return np.arange(0, steps, stride)
    raise ValueError(f"respacing {respacing!r}: no whole stride keeps {wanted} of {steps} steps")


def _spread_steps(count: int, size: int) -> np.ndarray:
    """`count` of the steps 0 .. size - 1, both ends among them; the first where count is 1."""
    stride = (size - 1) / (count - 1) if count > 1 else 1.0
    # Added up rather than multiplied: the reference's rounding of halves depends on it.
    places = np.cumsum([0.0] + [stride] * (count - 1))
    return np.round(places).astype(int)


def _count(text: str, respacing: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise ValueError(
            f"respacing {respacing!r}: wanted 'ddimN', 'N' or 'N,N,...' with N >= 1, got {text!r}"
        )
    return int(text)


def at(
    table: Float[Array | np.ndarray, " rows"], t: Step, x: Float[Array, "*batch d"]
) -> Float[Array, "*#batch 1"]:
    """Row t of a table, rounded to the type of x and ready to multiply it."""
    return jnp.asarray(table, x.dtype)[t][..., None]


def add_noise(
    schedule: Schedule, x_0: Float[Array, "*batch d"], t: Step, eps: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """x_t, drawn from q(x_t | x_0) when eps is standard normal."""
    return at(schedule.signal, t, x_0) * x_0 + at(schedule.noise, t, x_0) * eps


def x0_from_eps(
    schedule: Schedule, x_t: Float[Array, "*batch d"], t: Step, eps: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """x_0 of x_t where eps is its noise."""
    return (x_t - at(schedule.noise, t, x_t) * eps) / at(schedule.signal, t, x_t)


def eps_from_x0(
    schedule: Schedule, x_t: Float[Array, "*batch d"], t: Step, x_0: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """The noise of x_t where x_0 is its sample."""
    return (x_t - at(schedule.signal, t, x_t) * x_0) / at(schedule.noise, t, x_t)


def v_from_x0_and_eps(
    schedule: Schedule, x_0: Float[Array, "*batch d"], t: Step, eps: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """v = signal eps - noise x_0 (Salimans & Ho 2022): x_t turned by a quarter of a circle."""
    return at(schedule.signal, t, x_0) * eps - at(schedule.noise, t, x_0) * x_0


def v_from_x0(
    schedule: Schedule, x_t: Float[Array, "*batch d"], t: Step, x_0: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """v of x_t where x_0 is its sample."""
    return (at(schedule.signal, t, x_t) * x_t - x_0) / at(schedule.noise, t, x_t)


def v_from_eps(
    schedule: Schedule, x_t: Float[Array, "*batch d"], t: Step, eps: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """v of x_t where eps is its noise."""
    return (eps - at(schedule.noise, t, x_t) * x_t) / at(schedule.signal, t, x_t)


def x0_from_v(
    schedule: Schedule, x_t: Float[Array, "*batch d"], t: Step, v: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """x_0 of x_t where v is its velocity; divides by nothing, so it is exact at any noise."""
    return at(schedule.signal, t, x_t) * x_t - at(schedule.noise, t, x_t) * v


def eps_from_v(
    schedule: Schedule, x_t: Float[Array, "*batch d"], t: Step, v: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """The noise of x_t where v is its velocity."""
    return at(schedule.noise, t, x_t) * x_t + at(schedule.signal, t, x_t) * v


def posterior_mean(
    schedule: Schedule, x_t: Float[Array, "*batch d"], t: Step, x_0: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """The mean of q(x_{t-1} | x_t, x_0) (Ho et al. 2020, eq. 7); x_0 itself at t = 0."""
    of_x0 = at(schedule.posterior_mean_coef1, t, x_t) * x_0
    return of_x0 + at(schedule.posterior_mean_coef2, t, x_t) * x_t


def x0_from_previous(
    schedule: Schedule, x_t: Float[Array, "*batch d"], t: Step, previous: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """The x_0 whose posterior mean is `previous`."""
    of_xt = at(schedule.posterior_mean_coef2, t, x_t) * x_t
    return (previous - of_xt) / at(schedule.posterior_mean_coef1, t, x_t)


def x0_from_output(
    schedule: Schedule,
    x_t: Float[Array, "*batch d"],
    t: Step,
    output: Float[Array, "*batch d"],
    mean_type: MeanType,
) -> Float[Array, "*batch d"]:
    """x_0 as a network's output implies it: what turns a network into a denoiser."""
    if mean_type == "x_start":
        return output
    convert = {"epsilon": x0_from_eps, "v": x0_from_v, "previous_x": x0_from_previous}
    return convert[mean_type](schedule, x_t, t, output)
