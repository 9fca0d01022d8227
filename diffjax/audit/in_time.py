"""Numbers of a row and its neighbours in a track: jumps, jerk, limbs that change length or side, frozen frames."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from diffjax import skeleton
from diffjax.audit import measures

HALO = 6
"""Rows of a track on either side that a row's numbers look at."""
_SPELL = 10
"""Frames after which exchanged sides must have changed back, or only the first of them is flagged."""
LIMBS = tuple(
    (f"{side}_{name}", skeleton.SMPL24.index(f"{side}_{a}"), skeleton.SMPL24.index(f"{side}_{b}"))
    for name, a, b in (
        ("thigh", "hip", "knee"),
        ("shin", "knee", "ankle"),
        ("upper_arm", "shoulder", "elbow"),
        ("forearm", "elbow", "wrist"),
    )
    for side in ("left", "right")
)
"""Name and two joints of each."""
SIDES = measures.sides_of(skeleton.SMPL24)


def limb_lengths(joints: Float[Array, "*batch 24 3"]) -> Float[Array, "*batch limbs"]:
    """Metres from joint to joint, in the order of LIMBS."""
    _, first, second = zip(*LIMBS)
    ends = (joints[..., np.asarray(x), :] for x in (first, second))
    return jnp.linalg.norm(jnp.subtract(*ends), axis=-1)


def moved_mm(
    first: Float[Array, "*batch joints 3"], second: Float[Array, "*batch joints 3"]
) -> Float[Array, "*batch joints"]:
    """Millimetres between the joints of two poses."""
    return 1e3 * jnp.linalg.norm(second - first, axis=-1)


def jump_mm(window: Float[Array, "*batch 5 joints 3"]) -> Float[Array, "*batch"]:
    """Mean mm between the joints of the middle frame and the median of the five (Hampel's identifier).

    A lone bad frame moves no median: its neighbours stay clean.
    """
    return jnp.mean(moved_mm(jnp.median(window, -3), window[..., 2, :, :]), -1)


def shake_mm(window: Float[Array, "*batch 13 joints 3"]) -> Float[Array, "*batch"]:
    """mm a frame cubed: the lower quartile in time of the joints' mean third difference (jerk).

    A few bad frames do not count.
    """
    jerk = jnp.linalg.norm(jnp.diff(window, n=3, axis=-3), axis=-1)
    return 1e3 * jnp.quantile(jnp.mean(jerk, -1), 0.25, -1)


def flip_mm(
    before: Float[Array, "*batch 24 3"], now: Float[Array, "*batch 24 3"]
) -> Float[Array, "*batch"]:
    """By how many mm the frame before is nearer when its left and right are exchanged.

    Mean over all sided joints, over the arms' or over the legs', whichever says more. Negative in ordinary motion.
    """
    groups = jnp.asarray(SIDES.groups)
    gain = moved_mm(before, now) - moved_mm(before[..., jnp.asarray(SIDES.partner), :], now)
    return jnp.max(jnp.sum(groups * gain[..., None, :], -1) / jnp.sum(groups, -1), -1)


def numbers(
    joints: Float[Array, "rows 24 3"], ids: Int[Array, " rows"]
) -> dict[str, Float[Array, " rows"]]:
    """jump, shake, flip and step (mm since the frame before) of rows that follow each other in tracks.

    Joints are pelvis on pelvis. Rows of id -1 belong to nobody; NaN where a track is too short on one side.
    """

    def windowed(function, low, high):
        return _within(function(_windows(joints, low, high)), ids, low, high)

    return {
        "jump": windowed(jump_mm, -2, 2),
        "shake": windowed(shake_mm, -6, 6),
        "flip": windowed(lambda w: flip_mm(w[:, 0], w[:, 1]), -1, 0),
        "step": windowed(lambda w: jnp.mean(moved_mm(w[:, 0], w[:, 1]), -1), -1, 0),
    }


def _windows(x: Float[Array, "rows joints 3"], low: int, high: int):
    """Rows n + low to n + high for every n; at the ends they run over to the other end."""
    return jnp.stack([jnp.roll(x, -offset, 0) for offset in range(low, high + 1)], 1)


def _within(values: Float[Array, " rows"], ids: Int[Array, " rows"], low: int, high: int):
    """The values whose whole window is of one track, else NaN. Rows of a track lie beside each other."""
    place = jnp.arange(len(ids))
    ends = jnp.roll(ids, -low), jnp.roll(ids, -high)
    same = (ends[0] == ids) & (ends[1] == ids) & (ids >= 0)
    same &= (place + low >= 0) & (place + high < len(ids))
    return jnp.where(same, values, jnp.nan)


compiled = jax.jit(numbers)


def drift(lengths: Float[np.ndarray, "rows limbs"]) -> Float[np.ndarray, "rows limbs"]:
    """Share by which each limb of a track departs from its median; NaN in tracks below three rows."""
    if len(lengths) < 3:
        return np.full_like(lengths, np.nan)
    return np.abs(lengths / np.maximum(np.median(lengths, 0), 1e-6) - 1)


def exchanged(flips: Float[np.ndarray, " rows"], bound: float) -> Float[np.ndarray, " rows"]:
    """Of a track: `flips` where sides are exchanged, else at most the bound.

    From a flip up to the flip back, if that comes soon; else the first row of the flip alone.
    """
    found = np.where(flips > bound, bound, flips)
    waiting = np.flatnonzero(flips > bound).tolist()
    pairs = itertools.pairwise([*waiting, len(flips) + _SPELL + 1])
    closed = -1
    for first, second in pairs:
        if first == closed:
            continue
        closed = second if second - first <= _SPELL else -1
        last = second if closed == second else first + 1
        found[first:last] = flips[first]
    return found
