"""Beyond which number a row is flagged: fixed bounds, and bounds that follow the set within fixed ones."""

import dataclasses

import numpy as np

_MAD = 1.4826  # Makes the median absolute deviation of a Gaussian its standard deviation.


Range = tuple[float, float]
"""Least and most of a bound that follows the set: median + spreads * 1.4826 * MAD of its own numbers between them.

Below the least is no fault, even where the rest of the set is better still; above the most is one, even where the
whole set has it.
"""


@dataclasses.dataclass(frozen=True)
class Bounds:
    """When a row is flagged. Names are those of the reasons in flags.csv; pairs are ranges (see `Range`)."""

    not_finite: float = 0.0
    """Numbers of a row that are NaN or infinite."""
    not_a_rotation: float = 1e-2
    """Distance (Frobenius) of a local matrix from the nearest rotation; a reflection has 2."""
    joint_limit: float = 25.0
    """Degrees beyond what `joint_limits` allows, which is wide already."""
    betas: float = 5.0
    """Standard deviations of a shape coefficient."""
    behind_camera: float = 0.1
    """Metres before the camera of the joint that is nearest to it: flagged below."""
    outside_image: float = 0.75
    """Share of the joints that the camera has outside its image."""
    unseen: float = 3.0
    """Keypoints with confidence above 0: flagged below."""
    reprojection: Range = (0.05, 0.15)
    """Mean distance from the keypoints, in shares of their box, the translation solved."""
    misplaced: Range = (0.03, 0.15)
    """By how much that is larger where the set has the person stand."""
    swapped_keypoints: Range = (0.05, 0.12)
    """By how much it falls when left and right keypoints (all, the arms', the legs') are exchanged."""
    limb_length: Range = (0.05, 0.15)
    """Share by which a limb is longer or shorter than its median in the track."""
    jump: Range = (60.0, 250.0)
    """mm between a frame's joints, pelvis on pelvis, and the median of the five frames around it."""
    shake: Range = (40.0, 400.0)
    """mm a frame cubed: lower quartile over thirteen frames of the joints' third difference (jerk)."""
    swapped_in_time: float = 100.0
    """mm by which the frame before is nearer when its left and right (all, arms, legs) are exchanged."""
    far_apart: float = 200.0
    """No reason: tracks whose joints move by more mm a frame (median) are too sparse for the three above."""
    frozen: float = 1e-3
    """mm that the joints have moved since the frame before: flagged below."""
    frame_twice: float = 0.0
    """Earlier rows of the same track and frame."""
    moved: Range = (150.0, 500.0)
    """mm, the joint that is farthest from where it was before, pelvis on pelvis."""
    worse: float = 0.02
    """By how much the reprojection (shares of the box) is larger than before."""
    spreads: float = 6.0
    """Robust standard deviations above the median, of bounds that follow the set."""


def bound_of(setting: float | Range, values: np.ndarray, spreads: float) -> float:
    """The bound for these numbers; NaN among them do not count."""
    if not isinstance(setting, tuple):
        return float(setting)
    least, most = setting
    values = values[np.isfinite(values)]
    if not len(values):
        return most
    middle = float(np.median(values))
    spread = _MAD * float(np.median(np.abs(values - middle)))
    return float(np.clip(middle + spreads * spread, least, most))
