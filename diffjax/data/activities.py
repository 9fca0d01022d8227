"""What people do: key poses of legs and arms in degrees, and activities that move between them."""

from typing import NamedTuple

Key = dict[str, tuple[float, float]]
"""A key pose: angle name -> (mean, spread) in degrees. Angles that are not named are zero."""


def _legs(hip=0.0, knee=0.0, ankle=0.0, abduction=4.0, spread=6.0, **more: float) -> Key:
    """Both legs alike; `more` overrides by full name."""
    key: Key = {}
    for side in ("left", "right"):
        key[f"{side}_hip_flexion"] = (hip, spread)
        key[f"{side}_hip_abduction"] = (abduction, 4.0)
        key[f"{side}_hip_turnout"] = (6.0, 7.0)
        key[f"{side}_knee_flexion"] = (knee, spread)
        key[f"{side}_ankle_lift"] = (ankle, 4.0)
    return key | {name: (value, spread) for name, value in more.items()}


LEG_KEYS: dict[str, Key] = {
    "stand": _legs(spread=3.0),
    "wide": _legs(abduction=16.0, knee=6.0, trunk_flexion=4.0),
    "weight_left": _legs(
        pelvis_roll=-5.0, right_knee_flexion=22.0, right_hip_flexion=14.0, trunk_side=5.0
    ),
    "half_squat": _legs(52.0, 62.0, 24.0, 9.0, 10.0, pelvis_pitch=14.0, trunk_flexion=12.0),
    "squat": _legs(112.0, 120.0, 24.0, 15.0, 9.0, pelvis_pitch=16.0, trunk_flexion=20.0),
    "sit": _legs(84.0, 84.0, 0.0, 8.0, 9.0, pelvis_pitch=-4.0, trunk_flexion=6.0),
    "sit_forward": _legs(104.0, 86.0, 4.0, 8.0, 9.0, pelvis_pitch=22.0, trunk_flexion=22.0),
    "sit_crossed": _legs(
        84.0,
        80.0,
        left_hip_flexion=100.0,
        left_hip_abduction=-12.0,
        left_knee_flexion=76.0,
        pelvis_pitch=-8.0,
    ),
    "sit_floor": _legs(104.0, 70.0, -8.0, 12.0, 16.0, pelvis_pitch=-10.0, trunk_flexion=20.0),
    "lunge": _legs(
        spread=9.0,
        left_hip_flexion=66.0,
        left_knee_flexion=78.0,
        left_ankle_lift=12.0,
        right_hip_flexion=-14.0,
        right_knee_flexion=44.0,
        right_ankle_lift=14.0,
        trunk_flexion=6.0,
    ),
    "side_lunge": _legs(
        spread=8.0,
        left_hip_flexion=58.0,
        left_knee_flexion=72.0,
        left_hip_abduction=26.0,
        right_hip_abduction=26.0,
        pelvis_pitch=14.0,
        trunk_flexion=12.0,
    ),
    "kneel": _legs(
        spread=7.0,
        left_hip_flexion=86.0,
        left_knee_flexion=88.0,
        right_hip_flexion=4.0,
        right_knee_flexion=98.0,
        right_ankle_lift=-25.0,
        trunk_flexion=8.0,
    ),
    "bend": _legs(
        46.0, 12.0, 6.0, 6.0, 8.0, pelvis_pitch=40.0, trunk_flexion=46.0, head_flexion=8.0
    ),
    "pick_up": _legs(96.0, 76.0, 24.0, 10.0, 12.0, pelvis_pitch=44.0, trunk_flexion=34.0),
    "tiptoe": _legs(0.0, 2.0, -28.0, 4.0, 4.0, trunk_flexion=-6.0, head_flexion=-14.0),
    "crouch": _legs(76.0, 78.0, 24.0, 6.0, 9.0, pelvis_pitch=22.0, trunk_flexion=18.0),
    "kick": _legs(
        spread=10.0,
        left_hip_flexion=72.0,
        left_knee_flexion=18.0,
        right_knee_flexion=14.0,
        trunk_flexion=4.0,
        pelvis_pitch=-10.0,
    ),
    "chamber": _legs(
        spread=10.0, left_hip_flexion=-8.0, left_knee_flexion=74.0, right_knee_flexion=12.0
    ),
    "knee_up": _legs(
        spread=9.0, left_hip_flexion=82.0, left_knee_flexion=94.0, right_knee_flexion=6.0
    ),
}


def _arm(flexion, abduction, twist, elbow, wrist=0.0, collar=0.0, spread=9.0) -> Key:
    """Angles of one arm, without side."""
    return {
        "collar_lift": (collar, 3.0),
        "collar_forward": (2.0, 4.0),
        "shoulder_flexion": (flexion, spread),
        "shoulder_abduction": (abduction, spread),
        "shoulder_twist": (twist, spread),
        "elbow_flexion": (elbow, spread),
        "wrist_twist": (wrist, 14.0),
        "wrist_flexion": (0.0, 10.0),
    }


ARM_KEYS: dict[str, Key] = {
    "hang": _arm(2.0, 9.0, 10.0, 16.0, spread=6.0),
    "on_hip": _arm(-18.0, 42.0, 42.0, 92.0),
    "crossed": _arm(34.0, 2.0, 62.0, 98.0),
    "behind": _arm(-30.0, 14.0, 62.0, 52.0),
    "front": _arm(82.0, 4.0, 4.0, 14.0, collar=4.0, spread=14.0),
    "front_low": _arm(44.0, 6.0, 8.0, 40.0, spread=14.0),
    "carry": _arm(26.0, 10.0, 16.0, 84.0, spread=12.0),
    "side": _arm(6.0, 84.0, 0.0, 14.0, collar=6.0, spread=14.0),
    "up": _arm(152.0, 14.0, 0.0, 18.0, collar=16.0, spread=13.0),
    "across": _arm(66.0, -32.0, 22.0, 42.0, spread=12.0),
    "face": _arm(48.0, 18.0, 24.0, 128.0),
    "head": _arm(118.0, 52.0, 12.0, 118.0, collar=12.0),
    "wave": _arm(58.0, 62.0, -48.0, 96.0, collar=8.0),
    "wave_out": _arm(58.0, 82.0, -58.0, 58.0, collar=8.0),
    "guard": _arm(42.0, 14.0, 14.0, 122.0),
    "punch": _arm(86.0, -6.0, 22.0, 10.0, collar=6.0),
    "lap": _arm(22.0, 10.0, 18.0, 66.0),
    "down": _arm(58.0, 6.0, 6.0, 14.0, spread=14.0),
    "swing_back": _arm(-40.0, 14.0, 0.0, 22.0),
    "gesture": _arm(28.0, 20.0, -14.0, 78.0, spread=22.0),
}


class Activity(NamedTuple):
    """Which key poses a clip moves between, and how fast."""

    legs: str
    """Names of leg keys; one named twice comes twice as often."""
    arms: str
    seconds: tuple[float, float] = (0.5, 1.2)
    """Range of the time from one key to the next."""
    together: float = 0.5
    """Chance that both arms take the same key."""
    twist: float = 12.0
    """Spread of trunk twist and side bend, degrees."""
    heading: float = 20.0
    """Spread of the turn between keys, degrees."""


_ANY_ARM = " ".join(ARM_KEYS)
ACTIVITIES: dict[str, Activity] = {
    "stand": Activity("stand weight_left wide", _ANY_ARM, seconds=(0.9, 2.0)),
    "gesture": Activity("stand weight_left", "gesture carry front_low hang", together=0.4),
    "wave": Activity(
        "stand wide", "wave wave_out", seconds=(0.25, 0.45), together=0.3, twist=6.0, heading=6.0
    ),
    "reach": Activity(
        "stand wide lunge tiptoe half_squat",
        "front front_low up side across down hang head",
        together=0.3,
        twist=22.0,
    ),
    "squat": Activity(
        "stand half_squat squat",
        "front hang guard crossed on_hip",
        seconds=(0.6, 1.4),
        together=0.9,
        twist=5.0,
        heading=6.0,
    ),
    "sit": Activity(
        "sit sit_forward sit_crossed",
        "lap gesture face crossed front_low behind head hang",
        seconds=(0.8, 1.8),
    ),
    "sit_floor": Activity(
        "sit_floor sit_floor sit_crossed",
        "lap swing_back front_low face gesture",
        seconds=(0.8, 1.8),
    ),
    "sit_down": Activity(
        "stand half_squat sit sit_forward", "lap hang front_low down", seconds=(0.5, 1.0)
    ),
    "bend": Activity(
        "stand bend pick_up half_squat",
        "down hang carry front_low",
        seconds=(0.6, 1.3),
        together=0.7,
    ),
    "lift": Activity(
        "pick_up bend stand tiptoe", "down carry up front", seconds=(0.6, 1.2), together=0.9
    ),
    "lunge": Activity(
        "stand lunge side_lunge", "on_hip guard hang front side", seconds=(0.6, 1.2), together=0.7
    ),
    "kneel": Activity(
        "kneel kneel half_squat crouch", "down front_low gesture lap front", seconds=(0.8, 1.6)
    ),
    "kick": Activity(
        "stand chamber kick knee_up", "guard side swing_back hang gesture", seconds=(0.3, 0.6)
    ),
    "jump": Activity(
        "crouch tiptoe crouch tiptoe stand",
        "swing_back up front hang",
        seconds=(0.3, 0.55),
        together=0.95,
        twist=6.0,
    ),
    "box": Activity(
        "wide lunge half_squat",
        "guard punch guard across",
        seconds=(0.25, 0.5),
        together=0.1,
        twist=22.0,
    ),
    "stretch": Activity(
        "stand wide side_lunge bend",
        "up side head across behind on_hip",
        seconds=(0.9, 1.7),
        together=0.6,
        twist=20.0,
    ),
    "turn": Activity(
        "stand knee_up stand weight_left",
        "hang gesture carry",
        seconds=(0.3, 0.6),
        twist=18.0,
        heading=75.0,
    ),
    "climb": Activity(
        "knee_up lunge half_squat tiptoe", "up front side head", seconds=(0.5, 0.9), together=0.2
    ),
    "dance": Activity(
        "wide weight_left knee_up half_squat side_lunge",
        _ANY_ARM,
        seconds=(0.35, 0.7),
        together=0.4,
        twist=22.0,
        heading=45.0,
    ),
}
GAIT_RANGES = {
    # cycles a second, hip swing, hip offset, stance knee, swing knee, trunk lean, arm swing, elbow
    "walk": ((0.7, 1.1), (16, 26), (6, 12), (8, 18), (50, 66), (-3, 8), (8, 28), (10, 35)),
    "run": ((1.2, 1.6), (28, 44), (14, 24), (22, 36), (76, 115), (6, 18), (26, 48), (70, 105)),
    "stairs": ((0.5, 0.8), (24, 32), (26, 38), (18, 30), (74, 98), (4, 16), (6, 20), (15, 50)),
    "sneak": ((0.4, 0.7), (16, 26), (28, 42), (36, 56), (56, 74), (14, 32), (4, 14), (50, 100)),
    "march": ((0.8, 1.1), (34, 44), (26, 34), (4, 12), (70, 95), (-4, 4), (30, 50), (8, 80)),
}
