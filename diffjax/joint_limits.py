"""How far joints are turned beyond what a body can do.

Limits are on the rotation vector of each local SMPL rotation, one range an axis of the parent's rest frame (x the
person's left, y up, z forward, T-pose at zero). For a hinge that is the hinge's angle; unlike Euler angles it has no
order and no gimbal, and unlike swing and twist it has one formula for every joint, smooth up to half a turn.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax import rotations as so3
from diffjax import skeleton

# Degrees: x, y, z of the joint, or of the left of two. Ranges of clinical goniometry, widened by 10 to 30 degrees, the
# more the freer the joint: a rotation vector mixes axes, and conversions of motion capture divide a spine's bend, or a
# forearm's twist, between neighbours in their own ways.
_LIMITS = {
    "spine1": ((-35, 65), (-45, 45), (-40, 40)),
    "spine2": ((-35, 45), (-40, 40), (-40, 40)),
    "spine3": ((-35, 45), (-40, 40), (-40, 40)),
    "neck": ((-55, 75), (-50, 50), (-55, 55)),
    "head": ((-75, 55), (-55, 55), (-50, 50)),
    "left_hip": ((-135, 40), (-55, 60), (-45, 65)),
    "left_knee": ((-10, 160), (-35, 35), (-25, 25)),
    "left_ankle": ((-50, 65), (-50, 50), (-35, 35)),
    "left_foot": ((-65, 45), (-30, 30), (-30, 30)),
    "left_collar": ((-35, 35), (-50, 40), (-35, 50)),
    "left_shoulder": ((-125, 125), (-150, 85), (-140, 125)),
    "left_elbow": ((-95, 95), (-165, 10), (-90, 90)),
    "left_wrist": ((-125, 105), (-60, 60), (-90, 90)),
    "left_hand": ((-45, 45), (-45, 45), (-45, 45)),
}


def _ranges() -> np.ndarray:
    """(24, 3, 2) low and high in radians; the root may turn as it likes."""
    table = np.full((24, 3, 2), (-np.inf, np.inf))
    for name, limits in _LIMITS.items():
        low, high = np.deg2rad(np.asarray(limits, float)).T
        table[skeleton.SMPL24.index(name)] = np.stack([low, high], -1)
        if name.startswith("left_"):
            # Mirrored in x, a rotation vector keeps x, and its y and z change sign.
            other = np.array([[low[0], high[0]], [-high[1], -low[1]], [-high[2], -low[2]]])
            table[skeleton.SMPL24.index(name.replace("left", "right"))] = other
    return table


RANGES = _ranges()


def excess(rotations: Float[Array, "*batch 24 3 3"]) -> Float[Array, "*batch 24 3"]:
    """Radians by which each coordinate of each joint's rotation vector leaves its range; 0 inside."""
    vector = so3.axis_angle_from_matrix(rotations)
    low, high = (jnp.asarray(RANGES[..., i], vector.dtype) for i in range(2))
    return jnp.maximum(vector - high, 0.0) + jnp.maximum(low - vector, 0.0)


def joint_limits(rotations: Float[Array, "*batch 24 3 3"]) -> Float[Array, "*batch"]:
    """The sum of squared excesses (rad^2). Its gradient vanishes inside the limits and is finite everywhere."""
    return jnp.sum(excess(rotations) ** 2, (-1, -2))
