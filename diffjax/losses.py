"""What a network is trained on: its losses, the steps to draw, the averages of its weights.

Improved DDPM (Nichol & Dhariwal 2021). `simple` is mse with a fixed variance; `hybrid` is mse with
a learned one, whose half of the output then learns from the bound; `variational` is kl. The bound
is in bits per dimension. Unlike the image code, whose likelihood at t = 0 is of 1/255 wide bins, x
here is continuous: a Gaussian log-density.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from diffjax import sampling
from diffjax import schedule as noising

LossType = Literal["mse", "rescaled_mse", "kl", "rescaled_kl"]
"""`rescaled_mse` weighs the bound beside the mse by steps / 1000, `rescaled_kl` all by steps."""


class Losses(NamedTuple):
    """One number a sample of each. `loss` is what to differentiate; the others are to look at."""

    loss: Float[Array, "*batch"]
    mse: Float[Array, "*batch"]
    vb: Float[Array, "*batch"]
    """The term of the variational bound at t, bits per dimension, unscaled."""


def training_losses(
    schedule: noising.Schedule,
    output: Float[Array, "*batch out"],
    x_0: Float[Array, "*batch d"],
    t: noising.Step,
    eps: Float[Array, "*batch d"],
    *,
    mean_type: noising.MeanType = "epsilon",
    variance_type: sampling.VarianceType = "fixed_small",
    loss_type: LossType = "mse",
) -> Losses:
    """The losses of a network's output at x_t = add_noise(schedule, x_0, t, eps).

    out = d, or 2 d where the variance is learned. With an mse the bound moves the variance only:
    its mean is held.
    """
    x_t = noising.add_noise(schedule, x_0, t, eps)
    d, steps = x_0.shape[-1], len(schedule.betas)
    target = _target(schedule, x_0, x_t, t, eps, mean_type)
    mse = jnp.mean((target - output[..., :d]) ** 2, -1)
    variational = loss_type in ("kl", "rescaled_kl")
    if not variational:
        held = jax.lax.stop_gradient(output[..., :d])
        output = jnp.concatenate([held, output[..., d:]], -1)
    vb = variational_term(
        schedule, output, x_0, x_t, t, mean_type=mean_type, variance_type=variance_type
    )
    if variational:
        return Losses(vb * float(steps) if loss_type == "rescaled_kl" else vb, mse, vb)
    if variance_type in ("fixed_small", "fixed_large"):
        return Losses(mse, mse, vb)
    return Losses(mse + vb * (steps / 1000 if loss_type == "rescaled_mse" else 1.0), mse, vb)


def _target(
    schedule: noising.Schedule,
    x_0: Array,
    x_t: Array,
    t: noising.Step,
    eps: Array,
    mean_type: noising.MeanType,
) -> Array:
    """What the mean half of the output should be."""
    if mean_type == "epsilon":
        return eps
    if mean_type == "x_start":
        return x_0
    if mean_type == "v":
        return noising.v_from_x0_and_eps(schedule, x_0, t, eps)
    return noising.posterior_mean(schedule, x_t, t, x_0)


def variational_term(
    schedule: noising.Schedule,
    output: Float[Array, "*batch out"],
    x_0: Float[Array, "*batch d"],
    x_t: Float[Array, "*batch d"],
    t: noising.Step,
    *,
    mean_type: noising.MeanType,
    variance_type: sampling.VarianceType,
) -> Float[Array, "*batch"]:
    """L_t of the variational bound (Ho et al. 2020, eq. 5), in bits per dimension.

    The divergence of the network's reverse step from the posterior; at t = 0 minus the log-density
    of x_0.
    """
    reverse = sampling.reverse_distribution(
        schedule, x_t, t, output, mean_type=mean_type, variance_type=variance_type
    )
    mean = noising.posterior_mean(schedule, x_t, t, x_0)
    spread = sampling.log_variance(schedule, x_t, t, "fixed_small")
    divergence = _gaussian_kl(mean, spread, reverse.mean, reverse.log_variance)
    density = _gaussian_nll(x_0, reverse.mean, reverse.log_variance)
    nats = jnp.where(jnp.asarray(t) == 0, jnp.mean(density, -1), jnp.mean(divergence, -1))
    return nats / jnp.log(jnp.asarray(2.0, nats.dtype))


def _gaussian_kl(mean_p: Array, log_var_p: Array, mean_q: Array, log_var_q: Array) -> Array:
    """KL(p || q) of diagonal Gaussians, nats."""
    ratio = log_var_p - log_var_q
    distance = (mean_p - mean_q) ** 2 * jnp.exp(-log_var_q)
    return 0.5 * (jnp.exp(ratio) - ratio - 1.0 + distance)


def _gaussian_nll(x: Array, mean: Array, log_var: Array) -> Array:
    """Minus the log-density, nats."""
    two_pi = jnp.asarray(2.0 * jnp.pi, x.dtype)
    return 0.5 * (jnp.log(two_pi) + log_var + (x - mean) ** 2 * jnp.exp(-log_var))


class Drawn(NamedTuple):
    """Steps to train on, and weights under which the mean loss is that of uniform steps."""

    t: Int[Array, "*batch"]
    weight: Float[Array, "*batch"]


def draw_steps(
    key: PRNGKeyArray, probabilities: Float[Array, " steps"], shape: tuple[int, ...]
) -> Drawn:
    """Steps drawn by their probabilities; weight 1 / (steps * probability)."""
    steps = probabilities.shape[0]
    t = jax.random.choice(key, steps, shape, p=probabilities)
    return Drawn(t, 1.0 / (float(steps) * probabilities[t]))


def uniform_probabilities(steps: int) -> Float[Array, " steps"]:
    """The uniform step sampler."""
    return jnp.full(steps, 1.0 / steps)


class StepHistory(NamedTuple):
    """The state of the loss-second-moment step sampler: arrays, for jit and checkpoints."""

    losses: Float[Array, "steps kept"]
    """The latest losses of every step, in a ring."""
    seen: Int[Array, " steps"]
    """How many losses of every step there have been."""


def new_history(steps: int, kept: int = 10) -> StepHistory:
    """No losses yet, and room for `kept` of every step."""
    return StepHistory(jnp.zeros((steps, kept)), jnp.zeros(steps, jnp.int32))


def step_probabilities(
    history: StepHistory, uniform: float | Float[Array, ""] = 0.001
) -> Float[Array, " steps"]:
    """Probabilities proportional to sqrt(E[loss^2]) (Nichol & Dhariwal 2021, eq. 18).

    The loss-second-moment step sampler. Mixed with `uniform` of the uniform one, and entirely
    uniform until every step has a full ring.
    """
    steps, kept = history.losses.shape
    moment = jnp.sqrt(jnp.mean(history.losses**2, -1))
    total = jnp.sum(moment)
    share = moment / jnp.where(total > 0.0, total, 1.0)
    mixed = (1.0 - uniform) * share + uniform / steps
    warm = jnp.all(history.seen >= kept) & (total > 0.0)
    return jnp.where(warm, mixed, uniform_probabilities(steps).astype(mixed.dtype))


def record_losses(
    history: StepHistory, t: Int[Array, "*batch"], loss: Float[Array, "*batch"]
) -> StepHistory:
    """The history with a batch's losses in it, unweighted; a step may be there many times."""
    steps, kept = history.losses.shape
    order = jnp.argsort(t.reshape(-1), stable=True)
    rows, values = t.reshape(-1)[order], loss.reshape(-1)[order].astype(history.losses.dtype)
    index = jnp.arange(rows.size)
    earlier = index - jnp.searchsorted(rows, rows, side="left")
    later = jnp.searchsorted(rows, rows, side="right") - 1 - index
    # Only the last `kept` of a step fit its ring. The others go to a row that is not there.
    row = jnp.where(later < kept, rows, steps)
    place = (history.seen[rows] + earlier) % kept
    losses = history.losses.at[row, place].set(values, mode="drop")
    return StepHistory(losses, history.seen.at[rows].add(1))


def ema_rate(
    rate: float, step: Int[Array, ""], every: int = 1, warm_up: bool = False
) -> float | Float[Array, ""]:
    """How much an average keeps of itself after optimiser step 1, 2, ... : `rate`, but 1 between updates.

    Updates come at steps 1, 1 + every, 1 + 2 every, ... With `warm_up` (ema-pytorch, of ScoreHMR's
    training) the first 101 steps are copied, and later ones keep at most 1 - (step - 100)^(-2/3).
    """
    if every == 1 and not warm_up:
        return rate
    since = jnp.maximum(step - 101, 0).astype(jnp.float32)
    kept = jnp.minimum(1.0 - (1.0 + since) ** (-2 / 3), rate) if warm_up else jnp.float32(rate)
    return jnp.where((step - 1) % every == 0, kept, 1.0)


def ema_update(
    rates: Sequence[float | Float[Array, ""]], averages: Sequence[PyTree], params: PyTree
) -> tuple[PyTree, ...]:
    """Exponential moving averages e <- r e + (1 - r) p, one a rate, begun as the parameters."""
    if len(rates) != len(averages):
        raise ValueError(f"averages: wanted one a rate, {len(rates)}, got {len(averages)}")
    return tuple(
        optax.incremental_update(params, average, 1.0 - rate)
        for rate, average in zip(rates, averages)
    )
