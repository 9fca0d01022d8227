"""What a camera is shown of motion: single frames, or windows of video."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import pose, rotations
from diffjax.data import amass, motion

WINDOW, RATE = 63, 30.0
"""Frames of a window and frames a second: 2.1 s."""


class Frames(NamedTuple):
    """Single poses of many clips, y up. Betas of zero are drawn anew for each view."""

    rotations: np.ndarray
    """(frames, 24, 3, 3)"""
    betas: np.ndarray
    sequence: np.ndarray
    subject: np.ndarray
    frame: np.ndarray
    """Index in the clip."""
    trans: np.ndarray
    """(frames, 3) metres, of the model origin."""


class Windows(NamedTuple):
    """Pieces of clips, y up, as video of one rate. Betas of zero are drawn anew for each window."""

    rotations: np.ndarray
    """(windows, time, 24, 3, 3)"""
    betas: np.ndarray
    """(windows, 10)"""
    sequence: np.ndarray
    """(windows,) the clip's name and the first frame: unique."""
    subject: np.ndarray
    frame: np.ndarray
    """(windows, time) counted at the video's rate from the beginning of the clip."""
    trans: np.ndarray
    """(windows, time, 3) metres, of the model origin."""


def gather(clips: Sequence[motion.Clip], every: int, cap: int | None = None) -> Frames:
    """Every n-th frame of the clips; of a subject with more than `cap`, evenly chosen ones."""
    parts = []
    for clip in clips:
        index = np.arange(0, len(clip.motion.poses), every)
        names = [np.full(len(index), text) for text in (clip.name, clip.subject)]
        shape = np.tile(clip.motion.betas, (len(index), 1))
        trans = clip.motion.trans[index]
        parts.append((clip.motion.poses[index], shape, *names, index, trans))
    poses, *rest = (np.concatenate(column) for column in zip(*parts))
    frames = Frames(np.asarray(_matrices(jnp.asarray(poses))), *rest)
    return frames if cap is None else take(frames, _capped(frames.subject, cap))


_matrices = jax.jit(rotations.matrix_from_axis_angle)


def _capped(subject: np.ndarray, cap: int) -> np.ndarray:
    rows = [np.flatnonzero(subject == name) for name in np.unique(subject)]
    keep = [r[_spread(len(r), min(cap, len(r)))] for r in rows]
    return np.sort(np.concatenate(keep))


def _spread(size: int, count: int) -> np.ndarray:
    """`count` of `size` places, evenly chosen."""
    return np.linspace(0, size - 1, count).round().astype(int)


def take(frames: Frames, index: np.ndarray) -> Frames:
    """The frames at `index`."""
    return Frames(*(column[index] for column in frames))


def joined(parts: Sequence[Frames]) -> Frames:
    """All frames in order."""
    return Frames(*(np.concatenate(column) for column in zip(*parts)))


def with_mirrors(frames: Frames) -> Frames:
    """The frames, then their left/right mirror images as sequences of their own."""
    people = pose.Pose(jnp.asarray(frames.rotations), jnp.asarray(frames.betas))
    mirrored = frames._replace(
        rotations=np.asarray(pose.mirror(people).rotations),
        sequence=np.char.add(frames.sequence, "_mirror"),
        trans=frames.trans * np.array([-1, 1, 1], frames.trans.dtype),
    )
    return joined([frames, mirrored])


def films(clips: Sequence[motion.Clip]) -> list[motion.Clip]:
    """The clips that give at least a window, at the video's rate."""
    fast = [clip for clip in clips if clip.motion.fps > 0.99 * RATE]
    video = [clip._replace(motion=amass.resample(clip.motion, RATE)) for clip in fast]
    return [clip for clip in video if len(clip.motion.poses) >= WINDOW]


def windows(clips: Sequence[motion.Clip], count: int) -> Windows:
    """At most `count` windows that do not overlap, dealt out evenly to as many clips as there are."""
    video = films(clips)
    if not video:
        seconds = max((len(c.motion.poses) / c.motion.fps for c in clips), default=0.0)
        raise ValueError(
            f"motion: wanted clips of at least {WINDOW / RATE:g} s at {RATE:g} or more frames a "
            f"second, found {len(clips)} clips of {seconds:.1f} s at most; give longer clips"
        )
    deal = _dealt(np.array([len(clip.motion.poses) // WINDOW for clip in video]), count)
    parts = [
        _window(clip, start)
        for clip, pieces in zip(video, deal.tolist())
        for start in _starts(len(clip.motion.poses), pieces).tolist()
    ]
    poses, *rest = (np.stack(column) for column in zip(*parts))
    return Windows(np.asarray(_matrices(jnp.asarray(poses))), *rest)


def _dealt(room: np.ndarray, count: int) -> np.ndarray:
    """How many windows each clip gives: one in each round while it has room."""
    given = np.zeros_like(room)
    while given.sum() < count and (given < room).any():
        free = np.flatnonzero(given < room)
        given[free[_spread(len(free), min(len(free), count - int(given.sum())))]] += 1
    return given


def _starts(frames: int, pieces: int) -> np.ndarray:
    """First frames of windows with equal gaps before, between and behind them."""
    index = np.arange(pieces)
    return index * WINDOW + (index + 1) * (frames - pieces * WINDOW) // (pieces + 1)


def _window(clip: motion.Clip, start: int) -> tuple:
    """One row of Windows, with the pose as axis-angle."""
    index = np.arange(start, start + WINDOW)
    poses, trans = clip.motion.poses[index], clip.motion.trans[index]
    return poses, clip.motion.betas, f"{clip.name}_{start:05d}", clip.subject, index, trans
