"""Smoothing in time, track by track: Savitzky-Golay filters and the One Euro filter, on the CPU.

Rows of a track follow each other, one frame apart. Rows of id -1 belong to nobody, and rows that are not finite
end a track: both stay as they are.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy import signal

from diffjax import rotations
from diffjax.pose import Pose

Ids = Int[Array | np.ndarray, " rows"]


def runs(ids: Ids) -> list[slice]:
    """The rows of each track, one slice a run of equal ids; none for -1."""
    ids = np.asarray(ids)
    borders = np.flatnonzero(np.diff(ids)) + 1
    edges = [0, *borders.tolist(), len(ids)]
    return [slice(a, b) for a, b in itertools.pairwise(edges) if b > a and ids[a] >= 0]


RATE = 30.0
"""Frames a second that windows are meant for."""


def window_at(fps: float, window: int) -> int:
    """The odd window that lasts as long as one of so many frames at `RATE`, at least 3; 0 and 1, for none, stay."""
    if window in (0, 1):
        return window
    return max(2 * round((window * fps / RATE - 1) / 2) + 1, 3)


def savitzky_golay(
    x: Float[Array | np.ndarray, "rows d"], ids: Ids, window: int, order: int = 2
) -> Float[np.ndarray, "rows d"]:
    """Each value from a polynomial through the `window` frames around it (Savitzky & Golay 1964).

    The ends of a track lie on the polynomial of its first or last window. Shorter tracks get the longest odd window
    that fits; those of fewer than order + 2 rows stay as they are. A window of 0 or 1 changes nothing.
    """
    smooth = np.array(x)
    if window in (0, 1):
        return smooth
    if window % 2 == 0 or window <= order or order < 0:
        raise ValueError(
            f"smoothing window: wanted 0, or an odd number of frames above the order {order}, "
            f"got {window}"
        )
    for rows in runs(_finite(smooth, ids)):
        length = rows.stop - rows.start
        if length >= order + 2:
            fitting = min(window, length - 1 + length % 2)
            part = smooth[rows].astype(np.float64)
            smooth[rows] = signal.savgol_filter(part, fitting, order, axis=0, mode="interp")
    return smooth


def smooth_poses(pose: Pose, ids: Ids, window: int, order: int = 2) -> Pose:
    """Rotations smoothed as 6D (`savitzky_golay`) and put back on SO(3); betas are their track's mean."""
    if window in (0, 1):
        return pose
    sixd = np.asarray(rotations.sixd_columns_from_matrix(jnp.asarray(pose.rotations)))
    flat, betas = sixd.reshape(len(sixd), -1), np.array(pose.betas)
    ids = _finite(np.concatenate([flat, betas], -1), ids)
    smooth = savitzky_golay(flat, ids, window, order)
    for rows in runs(ids):
        betas[rows] = betas[rows].mean(0)
    matrices = rotations.matrix_from_6d_columns(jnp.asarray(smooth.reshape(sixd.shape)))
    same = jnp.asarray((smooth == flat).reshape(sixd.shape).all(-1))[..., None, None]
    return Pose(jnp.where(same, pose.rotations, matrices), jnp.asarray(betas))


def one_euro(
    x: Float[Array | np.ndarray, "rows d"],
    ids: Ids,
    fps: float,
    min_cutoff: float = 1.0,
    beta: float = 0.0,
    speed_cutoff: float = 1.0,
) -> Float[np.ndarray, "rows d"]:
    """A low-pass filter whose cutoff rises with speed (Casiez, Roussel & Vogel 2012); it sees no future.

    Cutoffs in Hz; `beta` in Hz a unit of speed (units of x a second). All tracks advance together.
    """
    smooth = np.array(x)
    ids = _finite(smooth, ids)
    tracks = runs(ids)
    if not tracks:
        return smooth
    time = np.concatenate([np.arange(rows.stop - rows.start) for rows in tracks])
    track = np.repeat(np.arange(len(tracks)), [rows.stop - rows.start for rows in tracks])
    padded = np.zeros((time.max() + 1, len(tracks), smooth.shape[1]), smooth.dtype)
    padded[time, track] = smooth[np.asarray(ids) >= 0]
    filtered = _low_pass(padded, *np.asarray([fps, min_cutoff, beta, speed_cutoff], padded.dtype))
    smooth[np.asarray(ids) >= 0] = np.asarray(filtered)[time, track]
    return smooth


@jax.jit
def _low_pass(
    x: Float[Array | np.ndarray, "time tracks d"], fps, min_cutoff, beta, speed_cutoff
) -> Float[Array, "time tracks d"]:
    """One Euro along time; every track begins at time 0."""

    def weight(cutoff):
        """Of the new value, in an exponential average."""
        turn = 2.0 * jnp.pi * cutoff / fps
        return turn / (turn + 1.0)

    def step(carry, now):
        value, speed = carry
        a = weight(speed_cutoff)
        speed = a * (now - value) * fps + (1.0 - a) * speed
        a = weight(min_cutoff + beta * jnp.abs(speed))
        value = a * now + (1.0 - a) * value
        return (value, speed), value

    first = jnp.asarray(x[0])
    return jax.lax.scan(step, (first, jnp.zeros_like(first)), jnp.asarray(x))[1]


def _finite(x: np.ndarray, ids: Ids) -> np.ndarray:
    """The ids, -1 where a row is not finite."""
    return np.where(np.isfinite(x).all(-1), np.asarray(ids), -1)
