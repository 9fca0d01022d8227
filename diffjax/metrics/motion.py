"""How points move: differences in time, and their errors. Frames follow each other along the first axis.

`ids` say which rows are one track (see `segments`); -1 is a frame that does not count.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffjax import segments
from diffjax.metrics import points, sums


def acceleration_error(
    pred: Float[Array, "*batch time J 3"],
    true: Float[Array, "*batch time J 3"],
    fps: float,
    weight: Float[Array, "*batch time J"] | None = None,
) -> Float[Array, "*batch"]:
    """Mean difference of joint accelerations in m/s^2 (second differences times fps^2).

    With `weight`, of joints that are known in three frames; NaN where there are none.
    """
    acceleration = jnp.diff(pred - true, n=2, axis=-3) * fps**2
    length = sums.distance(acceleration, jnp.zeros_like(acceleration))
    seen = _throughout(sums.weights(true, weight), 2, -2)
    total = jnp.sum(seen, (-1, -2))
    mean = jnp.sum(length * seen, (-1, -2)) / jnp.maximum(total, 1.0)
    return jnp.where(total > 0, mean, jnp.nan)


def differences_mm(
    moving: Float[Array, "rows J 3"],
    ids: Int[Array, " rows"],
    order: int,
    weight: Float[Array, "rows J"] | None = None,
) -> Float[Array, " steps"]:
    """Mean length over joints of the differences of an order, mm per frame^order; steps = rows - order.

    Of the order 1: speed, 2: acceleration, 3: jerk; of pred - true: their errors. NaN across tracks, and where no
    joint is known in all frames of a difference.
    """
    if len(moving) <= order:
        return jnp.zeros_like(moving[:0, 0, 0])
    steps = jnp.diff(moving, n=order, axis=0)
    seen = _throughout(sums.weights(moving, weight), order, 0)
    length = points.mpjpe_mm(steps, jnp.zeros_like(steps), seen)
    return jnp.where(segments.joined(ids, order), points.known(length, seen), jnp.nan)


def _throughout(weight, order: int, axis: int):
    """1 where a joint has weight in all frames of a difference, else 0."""
    count = weight.shape[axis] - order
    frames = (jnp.arange(i, i + count) for i in range(order + 1))
    seen = jnp.stack([jnp.take(weight, index, axis) > 0 for index in frames])
    return jnp.all(seen, 0).astype(weight.dtype)


def velocity_error_mm(
    pred: Float[Array, "rows J 3"], true: Float[Array, "rows J 3"], ids: Int[Array, " rows"]
) -> Float[Array, " pairs"]:
    """MPJVE: mean error of joint steps in mm per frame, from each row to the next; pairs = rows - 1.

    0 between sequences (`ids` as in `segments`): average over `segments.joined(ids)`.
    """
    return _mean_length_mm(segments.velocities(_flat(pred - true), ids))


def acceleration_error_mm(
    pred: Float[Array, "rows J 3"], true: Float[Array, "rows J 3"], ids: Int[Array, " rows"]
) -> Float[Array, " triples"]:
    """Mean error of second differences in mm per frame^2; triples = rows - 2.

    0 across sequences: average over `segments.joined(ids, 2)`.
    """
    return _mean_length_mm(segments.accelerations(_flat(pred - true), ids))


def _flat(rows: Float[Array, "rows J 3"]) -> Float[Array, "rows d"]:
    return rows.reshape(len(rows), 3 * rows.shape[1])


def _mean_length_mm(flat: Float[Array, "rows d"]) -> Float[Array, " rows"]:
    flat_points = flat.reshape(len(flat), flat.shape[-1] // 3, 3)
    return points.mpjpe_mm(flat_points, jnp.zeros_like(flat_points))
