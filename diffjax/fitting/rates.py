"""Settings of tracks at another frame rate."""

import dataclasses

from diffjax import config, smoothing

_WINDOWS = ("smooth_before", "smooth_after")
_IN_TIME = {
    "velocity": 2,
    "camera_velocity": 2,
    "acceleration": 4,
    "camera_acceleration": 4,
}
"""Weights of squared differences from frame to frame: by which power of the rate they go."""


def at_rate(fit: config.Fit, fps: float) -> config.Fit:
    """Settings of tracks at another rate: windows of the same seconds, steps penalised at the same speed."""
    share = checked(fps) / smoothing.RATE
    changes = {name: smoothing.window_at(fps, getattr(fit, name)) for name in _WINDOWS}
    changes |= {name: getattr(fit, name) * share**power for name, power in _IN_TIME.items()}
    return dataclasses.replace(fit, **changes)


def checked(fps: float) -> float:
    """The rate; ValueError for what is none."""
    if not 0.0 < fps < float("inf"):
        raise ValueError(f"--fps: wanted frames a second, more than 0, got {fps}")
    return fps
