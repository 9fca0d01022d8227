"""Reverse steps: from x_t towards x_0, one at a time or as a chain, and DDIM backwards.

Every function works on any leading axes and knows a denoiser only as `(x_t, t, context) -> x_0`,
where t is a row of the schedule. Time -1 is the clean sample, alpha_bar = 1. Nothing clips x_0
unless asked: see `clipped`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

# Renamed because `schedule` is what every function here calls the tables.
from diffjax import schedule as noising

Denoiser = Callable[[Array, Any, Any], Array]
"""(x_t, t, context) -> x_0; t is a row of the schedule, one or one a sample.

The context is a pytree with the leading axes of x, or None."""

VarianceType = Literal["fixed_small", "fixed_large", "learned", "learned_range"]
"""Of a reverse step: the posterior's, beta, the network's, or its choice between the first two."""

Times = Sequence[int] | Int[Array | np.ndarray, " levels"]
"""Rows of the schedule that a DDIM chain visits, the first of them being where x is."""


class Reverse(NamedTuple):
    """p(x_{t-1} | x_t) of a network: a diagonal Gaussian."""

    mean: Float[Array, "*batch d"]
    log_variance: Float[Array, "*#batch #d"]
    """One number for all of d where the variance is fixed. At t = 0 no noise is drawn from it."""
    x_0: Float[Array, "*batch d"]


def reverse_distribution(
    schedule: noising.Schedule,
    x_t: Float[Array, "*batch d"],
    t: noising.Step,
    output: Float[Array, "*batch out"],
    *,
    mean_type: noising.MeanType,
    variance_type: VarianceType,
    clip: float | None = None,
) -> Reverse:
    """p(x_{t-1} | x_t) as a network's output states it; `clip` bounds |x_0|.

    out = d, or 2 d where the variance is learned: the second half is then about the variance. An
    output of type `previous_x` is the mean itself, which clipping x_0 does not change.
    """
    learned = variance_type in ("learned", "learned_range")
    _check_width(x_t, output, variance_type, learned)
    output, values = jnp.split(output, 2, -1) if learned else (output, None)
    x_0 = noising.x0_from_output(schedule, x_t, t, output, mean_type)
    x_0 = x_0 if clip is None else jnp.clip(x_0, -clip, clip)
    is_mean = mean_type == "previous_x"
    mean = output if is_mean else noising.posterior_mean(schedule, x_t, t, x_0)
    return Reverse(mean, log_variance(schedule, x_t, t, variance_type, values), x_0)


def _check_width(x_t: Array, output: Array, variance_type: str, learned: bool) -> None:
    wanted = x_t.shape[-1] * (2 if learned else 1)
    if output.shape[-1] != wanted:
        raise ValueError(
            f"network output: wanted {wanted} numbers for a vector of {x_t.shape[-1]} with "
            f"{variance_type} variance, got {output.shape[-1]}"
        )


def log_variance(
    schedule: noising.Schedule,
    x_t: Float[Array, "*batch d"],
    t: noising.Step,
    variance_type: VarianceType,
    values: Float[Array, "*batch d"] | None = None,
) -> Float[Array, "*#batch #d"]:
    """The logarithm of a reverse step's variance; `values` are the network's, where it is learned.

    A value of `learned_range` is -1 at the posterior's variance and 1 at beta (Nichol & Dhariwal
    2021, eq. 15).
    """
    if variance_type == "learned":
        return _given(values)
    posterior = schedule.posterior_log_variance_clipped
    small = noising.at(posterior, t, x_t)
    if variance_type == "fixed_small":
        return small
    large = jnp.log(noising.at(schedule.betas, t, x_t))
    if variance_type == "fixed_large":
        return jnp.where(_column(t) > 0, large, small)
    return small + (_given(values) + 1.0) / 2.0 * (large - small)


def _given(values: Array | None) -> Array:
    if values is None:
        raise ValueError("log_variance: a learned variance needs the network's values, got None")
    return values


def draw_previous(
    reverse: Reverse, t: noising.Step, noise: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """x_{t-1} by standard normal noise; the mean at t = 0."""
    moved = reverse.mean + jnp.exp(0.5 * reverse.log_variance) * noise
    return jnp.where(_column(t) > 0, moved, reverse.mean)


def _column(t: noising.Step) -> Int[Array, "*#batch 1"]:
    return jnp.asarray(t)[..., None]


def ddpm_step(
    schedule: noising.Schedule,
    x_t: Float[Array, "*batch d"],
    x_0: Float[Array, "*batch d"],
    t: noising.Step,
    noise: Float[Array, "*batch d"],
    *,
    log_variance: Float[Array, "*#batch #d"] | None = None,
) -> Float[Array, "*batch d"]:
    """x_{t-1} by ancestral sampling (Ho et al. 2020, algorithm 2); x_0 itself at t = 0.

    The variance is the posterior's (`fixed_small`) unless its logarithm is given.
    """
    if log_variance is None:
        log_variance = noising.at(schedule.posterior_log_variance_clipped, t, x_t)
    mean = noising.posterior_mean(schedule, x_t, t, x_0)
    return draw_previous(Reverse(mean, log_variance, x_0), t, noise)


def ddim_step(
    schedule: noising.Schedule,
    x_t: Float[Array, "*batch d"],
    x_0: Float[Array, "*batch d"],
    t: noising.Step,
    t_next: noising.Step,
    *,
    eta: float | Float[Array, ""] = 0.0,
    noise: Float[Array, "*batch d"] | None = None,
) -> Float[Array, "*batch d"]:
    """x at t_next by DDIM (Song et al. 2021, eq. 12), forwards or backwards in time.

    t_next = -1 is the clean sample and gives x_0. eta = 1 adds as much noise as ancestral sampling
    does, and only makes sense towards smaller t.
    """
    eps = noising.eps_from_x0(schedule, x_t, t, x_0)
    # A row before the first, pure signal, and one after the last, pure noise.
    signals = jnp.pad(jnp.asarray(schedule.signal, x_t.dtype), 1, constant_values=(1.0, 0.0))
    noises = jnp.pad(jnp.asarray(schedule.noise, x_t.dtype), 1, constant_values=(0.0, 1.0))
    signal_next = noising.at(signals, t_next + 1, x_t)
    noise_next = noising.at(noises, t_next + 1, x_t)
    if noise is None:
        if not isinstance(eta, float | int) or eta != 0:
            raise ValueError(f"ddim_step: eta {eta} needs noise; pass noise=... or eta=0.0")
        return signal_next * x_0 + noise_next * eps
    # sigma = noise_next * share, so that nothing is divided by noise_next = 0.
    noise_t = noising.at(schedule.noise, t, x_t)
    # 1 - alpha_bar_t / alpha_bar_next, by a difference of squares that cancels less.
    lost = (noise_t - noise_next) * (noise_t + noise_next) / signal_next**2
    share = jnp.asarray(eta, x_t.dtype) * jnp.sqrt(jnp.maximum(lost, 0.0)) / noise_t
    kept = jnp.sqrt(jnp.maximum(1.0 - share**2, 0.0))
    return signal_next * x_0 + noise_next * (kept * eps + share * noise)


def clipped(denoiser: Denoiser, limit: float) -> Denoiser:
    """The denoiser with |x_0| <= limit; eps follows, since every step takes it from x_0."""

    def clip(x_t, t, context):
        return jnp.clip(denoiser(x_t, t, context), -limit, limit)

    return clip


def step_noise(
    key: PRNGKeyArray, ids: Int[Array, "*batch"], t: int | Int[Array, "*#batch"], d: int
) -> Float[Array, "*batch d"]:
    """Standard normal noise that depends on the key, a sample's id and t alone.

    So never on the batch around it: true of JAX's default (threefry) keys; rbg keys do not keep it.
    """

    def draw(sample, step):
        return jax.random.normal(jax.random.fold_in(jax.random.fold_in(key, sample), step), (d,))

    steps = jnp.broadcast_to(jnp.asarray(t), ids.shape).reshape(-1)
    return jax.vmap(draw)(ids.reshape(-1), steps).reshape(*ids.shape, d)


def descend(
    step: Callable[[Array, Array], Array],
    x: Float[Array, "*batch d"],
    start: int | Int[Array, "*#batch"],
) -> Float[Array, "*batch d"]:
    """x after `start` reverse steps `(x, t) -> x at t - 1`, at t = start - 1 .. 0.

    Start 0 gives x, bit for bit.

    Samples with starts of their own join when their time comes. An int start, known when traced,
    can be differentiated.
    """
    longest = start if isinstance(start, int) else jnp.max(start)

    def reverse(i, x):
        t = jnp.asarray(longest - 1 - i, jnp.int32)
        return jnp.where((t < jnp.asarray(start))[..., None], step(x, t), x)

    return lax.fori_loop(0, longest, reverse, x)


def chain(
    denoiser: Denoiser,
    schedule: noising.Schedule,
    x: Float[Array, "*batch d"],
    start: int | Int[Array, "*#batch"],
    context: PyTree = None,
    *,
    sampler: Literal["ddpm", "ddim"] = "ddpm",
    key: PRNGKeyArray | None = None,
    eta: float = 0.0,
    ids: Int[Array, "*batch"] | None = None,
    variance_type: Literal["fixed_small", "fixed_large"] = "fixed_small",
) -> Float[Array, "*batch d"]:
    """What `start` reverse steps make of x, taken as the state at time start - 1.

    Start 0 is x, bit for bit; the step from time 0 gives the denoiser's x_0.

    Args:
      key: with `ids`, all that the noise depends on; None where nothing is drawn (ddim with eta 0).
      eta: of ddim; 0 draws nothing.
      ids: a sample's name to the noise; its place in the flattened batch where not given.
      variance_type: of ddpm. For a learned variance hand `descend` a step made of
        `reverse_distribution`.
    """
    draws = sampler == "ddpm" or eta != 0.0
    _check_chain(len(schedule.betas), start, sampler, draws, key)
    batch = x.shape[:-1]
    names = jnp.arange(math.prod(batch)).reshape(batch) if ids is None else ids

    def step(x: Array, t: Array) -> Array:
        x_0 = denoiser(x, t, context)
        noise = None
        if draws and key is not None:
            noise = step_noise(key, names, t, x.shape[-1]).astype(x.dtype)
        if sampler == "ddim" or noise is None:
            return ddim_step(schedule, x, x_0, t, t - 1, eta=eta, noise=noise)
        spread = log_variance(schedule, x, t, variance_type)
        return ddpm_step(schedule, x, x_0, t, noise, log_variance=spread)

    return descend(step, x, start)


def _check_chain(steps: int, start: Any, sampler: str, draws: bool, key: Any) -> None:
    """Refuses what would be traced into a wrong answer."""
    if isinstance(start, int) and not 0 <= start <= steps:
        raise ValueError(f"start: wanted 0 to {steps} (the schedule's steps), got {start}")
    if sampler not in ("ddpm", "ddim"):
        raise ValueError(f"sampler: wanted 'ddpm' or 'ddim', got {sampler!r}")
    if draws and key is None:
        raise ValueError("key: wanted a random key for the noise of this chain, got None")


def ddim_chain(
    denoiser: Denoiser,
    schedule: noising.Schedule,
    x: Float[Array, "*batch d"],
    context: PyTree,
    times: Times,
) -> Float[Array, "*batch d"]:
    """The state at times[-1]: x, the state at times[0], moved from time to time by DDIM (eta 0).

    Descending times denoise, and may end in -1, the clean sample. The denoiser is called at every
    time but the last.
    """
    levels = jnp.asarray(times, jnp.int32)

    def move(x: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        t, t_next = pair
        return ddim_step(schedule, x, denoiser(x, t, context), t, t_next), None

    return lax.scan(move, x, (levels[:-1], levels[1:]))[0]


def ddim_invert(
    denoiser: Denoiser,
    schedule: noising.Schedule,
    x: Float[Array, "*batch d"],
    context: PyTree,
    times: Times,
    corrections: int = 0,
) -> Float[Array, "*batch d"]:
    """x, the state at times[0], taken up to the noise of times[-1]: DDIM with ascending times.

    A clean sample is put in as the state at times[0] = 0, as ScoreHMR does: at time -1 there is no
    noise to predict. `ddim_chain` over the same times reversed undoes it as far as the denoiser's
    eps is constant between two times; with `corrections`, each a denoiser call more a time, to rounding:
    a step's eps is then that of where it ends, found as a fixed point.
    """
    if not corrections:
        return ddim_chain(denoiser, schedule, x, context, times)
    levels = jnp.asarray(times, jnp.int32)

    def move(x: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        t, t_next = pair

        def again(_: Any, y: Array) -> Array:
            eps = noising.eps_from_x0(schedule, y, t_next, denoiser(y, t_next, context))
            return ddim_step(schedule, x, noising.x0_from_eps(schedule, x, t, eps), t, t_next)

        first = ddim_step(schedule, x, denoiser(x, t, context), t, t_next)
        return lax.fori_loop(0, corrections, again, first), None

    return lax.scan(move, x, (levels[:-1], levels[1:]))[0]
