"""Anatomical joint angles (flexion, abduction, twist, in degrees) and the SMPL rotations they mean.

Zero is a person standing upright, arms hanging. A track is an array (time, angles); `INDEX` names
its columns.
"""

from typing import NamedTuple

import numpy as np


class Angle(NamedTuple):
    """One degree of freedom: a rotation about a body axis, shared by a chain of SMPL joints."""

    name: str
    joints: tuple[int, ...]
    """SMPL joints that share the angle equally."""
    axis: int
    """0 x (the person's left), 1 y (up), 2 z (forward), in the parent's rest frame."""
    sign: float
    low: float
    high: float
    """Anatomical limits in degrees."""
    rest: float = 0.0
    """Added before rotating: the T-pose's arms are 90 degrees from hanging."""


# Rotations of one joint multiply in this order. Ranges: rounded values of clinical goniometry.
_MIDDLE = (
    Angle("heading", (0,), 1, 1.0, -np.inf, np.inf),
    Angle("pelvis_pitch", (0,), 0, 1.0, -60.0, 80.0),
    Angle("pelvis_roll", (0,), 2, -1.0, -30.0, 30.0),
    Angle("trunk_flexion", (3, 6, 9), 0, 1.0, -25.0, 70.0),
    Angle("trunk_side", (3, 6, 9), 2, -1.0, -32.0, 32.0),
    Angle("trunk_twist", (3, 6, 9), 1, 1.0, -42.0, 42.0),
    Angle("head_flexion", (12, 15), 0, 1.0, -45.0, 50.0),
    Angle("head_side", (12, 15), 2, -1.0, -35.0, 35.0),
    Angle("head_twist", (12, 15), 1, 1.0, -70.0, 70.0),
)
_LEFT = (
    Angle("hip_flexion", (1,), 0, -1.0, -25.0, 120.0),
    Angle("hip_abduction", (1,), 2, 1.0, -25.0, 45.0),
    Angle("hip_turnout", (1,), 1, 1.0, -35.0, 42.0),
    Angle("knee_flexion", (4,), 0, 1.0, 0.0, 145.0),
    Angle("ankle_lift", (7,), 0, -1.0, -45.0, 25.0),
    Angle("toe_lift", (10,), 0, -1.0, -10.0, 40.0),
    Angle("collar_forward", (13,), 1, -1.0, -15.0, 22.0),
    Angle("collar_lift", (13,), 2, 1.0, -5.0, 28.0),
    Angle("shoulder_flexion", (16,), 0, -1.0, -50.0, 170.0),
    Angle("shoulder_abduction", (16,), 2, 1.0, -45.0, 130.0, -90.0),
    Angle("shoulder_twist", (16,), 0, 1.0, -70.0, 80.0),
    Angle("elbow_flexion", (18,), 1, -1.0, 0.0, 145.0),
    Angle("wrist_twist", (20,), 0, 1.0, -70.0, 70.0),
    Angle("wrist_flexion", (20,), 2, -1.0, -55.0, 60.0),
)
# The right partner of every joint above is the next index. Mirroring in x flips the y and z axes.
_SIDES = tuple(
    angle._replace(
        name=f"{side}_{angle.name}",
        joints=tuple(j + shift for j in angle.joints),
        sign=angle.sign * (1.0 if side == "left" or angle.axis == 0 else -1.0),
    )
    for side, shift in (("left", 0), ("right", 1))
    for angle in _LEFT
)
ANGLES = _MIDDLE + _SIDES
INDEX = {angle.name: i for i, angle in enumerate(ANGLES)}
"""Column of each angle in a track."""
_LOW = np.array([angle.low for angle in ANGLES])
_HIGH = np.array([angle.high for angle in ANGLES])


def limit(track: np.ndarray, margin: float = 6.0) -> np.ndarray:
    """The track inside anatomical limits; the last `margin` degrees are approached smoothly."""

    def below(x, bound):
        over = np.maximum(x - bound + margin, 0.0)
        return x - over + margin * (1.0 - np.exp(-over / margin))

    return -below(-below(track, _HIGH), -_LOW)


def _axis_rotations(radians: np.ndarray, axis: int) -> np.ndarray:
    """(time, 3, 3) rotations about one coordinate axis."""
    matrix = np.zeros((len(radians), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, axis, axis] = 1.0
    matrix[:, i, i] = matrix[:, j, j] = np.cos(radians)
    matrix[:, j, i] = np.sin(radians)
    matrix[:, i, j] = -matrix[:, j, i]
    return matrix


def rotations_from_track(track: np.ndarray) -> np.ndarray:
    """(time, 24, 3, 3) local SMPL rotations of a track (time, angles) in degrees."""
    matrices = np.tile(np.eye(3), (len(track), 24, 1, 1))
    for angle, degrees in zip(ANGLES, track.T):
        share = np.deg2rad(angle.sign * (degrees + angle.rest)) / len(angle.joints)
        rotation = _axis_rotations(share, angle.axis)
        for joint in angle.joints:
            matrices[:, joint] = matrices[:, joint] @ rotation
    return matrices
