"""The diffusion of D3PRefiner (2024): from the truth to a lifter's estimate, and back.

The noise of the forward process is the noisy pose y~ = x_0 + e~ itself, with e~ of `conditional_noise`:
x_t = a_t x_0 + b_t y~ = (a_t + b_t) x_0 + b_t e~ (8), a = sqrt(alpha_bar), b = sqrt(1 - alpha_bar). At
the last step x_t is a lifter's estimate, so that the reverse process starts at one: x_T := y. The
network predicts the error, f(x_t, p, t) -> normalised e.

In units of a + b this is a bridge from x_0 to y~: x_t / (a_t + b_t) = x_0 + g_t e~, g = b / (a + b).
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from diffjax import schedule as noising
from diffjax.methods import conditional_noise, error_normaliser

Predict = Callable[[Array, Array, Array], Array]
"""(x_t "*batch time J 3", p "*batch time J 2", t "*batch") -> normalised error "*batch time J 3"."""

Init = Literal["paper", "scaled"]
"""x_T := y as the paper has it, or (a_T + b_T) y, which does not shrink the pose by 0.1 %."""


Loss = Literal["square", "distance"]
"""(7), or the mean distance of the joints in metres, which is what MPJPE counts."""


class Process(NamedTuple):
    """What training and refining must agree on, beside the network."""

    schedule: noising.Schedule
    normaliser: error_normaliser.Normaliser
    precondition: bool | Array | np.ndarray = False
    """Whether the network is shown x_t / (a_t + b_t), whose size does not change with t."""


def total(schedule: noising.Schedule) -> Float[Array | np.ndarray, " steps"]:
    """a_t + b_t: the size of x_t; up to 1.414 in the middle."""
    return schedule.signal + schedule.noise


def share(schedule: noising.Schedule) -> Float[Array | np.ndarray, " steps"]:
    """g_t = b_t / (a_t + b_t): how far x_t has come from the truth to the estimate."""
    return schedule.noise / total(schedule)


def _at(table: Float[Array | np.ndarray, " rows"], t: noising.Step, x: Array) -> Array:
    """Row t of a table, ready to multiply "*batch time J 3"."""
    return jnp.asarray(table, x.dtype)[t][..., None, None, None]


def forward(
    schedule: noising.Schedule,
    x_0: Float[Array, "*batch time J 3"],
    error: Float[Array, "*batch time J 3"],
    t: noising.Step,
) -> Float[Array, "*batch time J 3"]:
    """x_t of (8)."""
    return _at(total(schedule), t, x_0) * x_0 + _at(schedule.noise, t, x_0) * error


def bridge(
    schedule: noising.Schedule,
    x_0: Float[Array, "*batch time J 3"],
    error: Float[Array, "*batch time J 3"],
    t: noising.Step,
) -> Float[Array, "*batch time J 3"]:
    """x_t / (a_t + b_t) = x_0 + g_t e~."""
    return x_0 + _at(share(schedule), t, x_0) * error


def shown(process: Process, x_t: Float[Array, "*batch time J 3"], t: noising.Step) -> Array:
    """x_t as the network sees it."""
    size = _at(total(process.schedule), t, x_t)
    return x_t / jnp.where(jnp.asarray(process.precondition), size, jnp.ones_like(size))


def loss(
    predict: Predict,
    process: Process,
    x_0: Float[Array, "*batch time J 3"],
    error: Float[Array, "*batch time J 3"],
    p: Float[Array, "*batch time J 2"],
    t: Int[Array, "*batch"],
    weight: Float[Array, "*batch time"] | None = None,
    kind: Loss = "square",
) -> Float[Array, "*batch"]:
    """(7): mean squared error of the network's normalised error, over the coordinates that err.

    `t` is uniform on 0 .. steps - 1. Frames of weight 0 (padding) do not count.
    """
    x_t = shown(process, forward(process.schedule, x_0, error, t), t)
    said = predict(x_t, p, _network_time(process.schedule, t))
    if kind == "distance":
        return _distance(error_normaliser.denormalise(process.normaliser, said) - error, weight)
    errs = (jnp.asarray(process.normaliser.scale) > 0).astype(x_0.dtype)
    counted = jnp.broadcast_to(errs, x_0.shape)
    if weight is not None:
        counted = counted * weight[..., None, None]
    square = counted * (said - error_normaliser.normalise(process.normaliser, error)) ** 2
    axes = (-1, -2, -3)
    return jnp.sum(square, axes) / jnp.maximum(jnp.sum(counted, axes), 1e-6)


def _distance(
    off: Float[Array, "*batch time J 3"], weight: Float[Array, "*batch time"] | None
) -> Float[Array, "*batch"]:
    """Mean over the frames that count. A joint that is not off at all has gradient zero."""
    each = jnp.mean(jnp.sqrt(jnp.sum(off**2, -1) + 1e-10), -1)
    counted = jnp.ones_like(each) if weight is None else weight
    return jnp.sum(counted * each, -1) / jnp.maximum(jnp.sum(counted, -1), 1e-6)


def _network_time(schedule: noising.Schedule, t: Any) -> Array:
    return jnp.asarray(schedule.network_time, jnp.int32)[t]


def step(
    schedule: noising.Schedule,
    x_t: Float[Array, "*batch time J 3"],
    error: Float[Array, "*batch time J 3"],
    t: noising.Step,
    t_next: noising.Step,
) -> Float[Array, "*batch time J 3"]:
    """x at t_next by deterministic DDIM (9); t_next = -1 is x_0 itself."""
    x_0 = (x_t - _at(schedule.noise, t, x_t) * error) / _at(total(schedule), t, x_t)
    # A row before the first: no noise.
    sizes, noises = (
        jnp.pad(jnp.asarray(a, x_t.dtype), (1, 0), constant_values=value)
        for a, value in ((total(schedule), 1.0), (schedule.noise, 0.0))
    )
    at_next = jnp.asarray(t_next) + 1
    return _at(sizes, at_next, x_t) * x_0 + _at(noises, at_next, x_t) * error


def timesteps(start: int, iterations: int) -> tuple[int, ...]:
    """The times that a chain of `start` reverse steps visits in `iterations`: 50 in 2 is 49, 24, -1.

    Spread evenly and cut to whole numbers, as D3DP does; the paper does not say.
    """
    if not 1 <= iterations <= start:
        raise ValueError(f"iterations: wanted 1 to {start} (the steps), got {iterations}")
    return tuple(int(t) for t in np.linspace(-1, start - 1, iterations + 1)[::-1])


def chain(
    predict: Predict,
    process: Process,
    x: Float[Array, "*batch time J 3"],
    p: Float[Array, "*batch time J 2"],
    times: Sequence[int],
) -> Float[Array, "*batch time J 3"]:
    """The state at times[-1]: x, the state at times[0], moved by DDIM; the network runs at all but the last."""
    levels = jnp.asarray(times, jnp.int32)
    batch = x.shape[:-3]

    def move(x_t: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        t, t_next = pair
        told = jnp.broadcast_to(_network_time(process.schedule, t), batch)
        error = error_normaliser.denormalise(
            process.normaliser, predict(shown(process, x_t, t), p, told)
        )
        return step(process.schedule, x_t, error, t, t_next), None

    return lax.scan(move, x, (levels[:-1], levels[1:]))[0]


def refine(
    predict: Predict,
    process: Process,
    y: Float[Array, "*batch time J 3"],
    p: Float[Array, "*batch time J 2"],
    *,
    iterations: int = 2,
    init: Init = "paper",
) -> Float[Array, "*batch time J 3"]:
    """The estimate y, refined: root-relative metres in, the same out. Nothing is drawn."""
    if init not in ("paper", "scaled"):
        raise ValueError(f"init: wanted 'paper' or 'scaled', got {init!r}")
    steps = len(process.schedule.signal)
    x = y if init == "paper" else _at(total(process.schedule), steps - 1, y) * y
    return chain(predict, process, x, p, timesteps(steps, iterations))


def state_of_estimate(
    schedule: noising.Schedule,
    y: Float[Array, "*batch time J 3"],
    error: Float[Array, "*batch time J 3"],
    t: noising.Step,
) -> Float[Array, "*batch time J 3"]:
    """x_t where y is the estimate and `error` its error: (8) with x_0 = y - error."""
    return forward(schedule, y - error, error, t)


def ensemble(
    key: PRNGKeyArray,
    predict: Predict,
    process: Process,
    noise: conditional_noise.NoiseModel,
    y: Float[Array, "*batch time J 3"],
    p: Float[Array, "*batch time J 2"],
    *,
    members: int = 8,
    start: int = 25,
    iterations: int = 1,
    time: conditional_noise.Time = "ar1",
) -> Float[Array, "members *batch time J 3"]:
    """Refinements that start from sampled errors, at the state of `start` reverse steps: average them.

    Not in the paper. At the last step all starts are the estimate; half way down they differ by half
    of what the noise model leaves open.
    """
    estimates, points = (jnp.broadcast_to(a, (members, *a.shape)) for a in (y, p))
    error = conditional_noise.sample(key, noise, points, estimates, time)
    x = state_of_estimate(process.schedule, estimates, error, start - 1)
    return chain(predict, process, x, points, timesteps(start, iterations))
