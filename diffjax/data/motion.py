"""People in motion, drawn from formulas: no recording, no licence, any number of subjects.

A clip is an activity: leg, trunk and arm angles move between key poses (minimum jerk), or cycle
with a gait; then come the subject's own posture and amplitude, slow sway, and anatomical limits.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import rotations
from diffjax.data import activities, amass, anatomy


class Clip(NamedTuple):
    """A motion and whose it is."""

    motion: amass.Motion
    name: str
    """Of the sequence, unique in a data set."""
    subject: str


class Style(NamedTuple):
    """How one subject moves."""

    posture: np.ndarray
    """(angles,) constant offsets, degrees."""
    vigour: float
    """Scales every deviation from standing."""
    tempo: float
    """Scales every speed."""
    betas: np.ndarray
    """(10,) body shape."""


def _draw(random, key: activities.Key, mirror: bool = False) -> np.ndarray:
    """(angles,) a key pose with its spread; mirrored, left and right change places."""
    track = np.zeros(len(anatomy.ANGLES))
    for name, (mean, spread) in key.items():
        value = mean + spread * random.normal()
        if mirror:
            swap = {"left": "right", "right": "left"}
            side, _, rest = name.partition("_")
            value = (
                -value
                if name.endswith(("_side", "_twist", "_roll")) and side not in swap
                else value
            )
            name = f"{swap[side]}_{rest}" if side in swap else name
        track[anatomy.INDEX[name]] = value
    return track


def _between_keys(times: np.ndarray, values: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """Minimum-jerk interpolation (Flash & Hogan 1985): u^3 (10 - 15 u + 6 u^2) between keys."""
    i = np.clip(np.searchsorted(times, clock, side="right") - 1, 0, len(times) - 2)
    u = np.clip((clock - times[i]) / (times[i + 1] - times[i]), 0.0, 1.0)
    blend = u**3 * (10.0 - 15.0 * u + 6.0 * u * u)
    return values[i] + blend[:, None] * (values[i + 1] - values[i])


def _key_track(random, clock, seconds, draw) -> np.ndarray:
    """Keys from `draw()` at random times, joined smoothly, each held for a moment."""
    times, values = [-random.uniform(*seconds)], [draw()]
    while times[-1] < clock[-1]:
        moved = times[-1] + random.uniform(*seconds)
        held = moved + random.uniform(0.0, 0.4) * (moved - times[-1])
        key = draw()
        times, values = [*times, moved, held + 1e-3], [*values, key, key]
    return _between_keys(np.array(times), np.stack(values), clock)


def _arm(random, side: str, name: str) -> np.ndarray:
    key = activities.ARM_KEYS[name]
    return _draw(random, {f"{side}_{angle}": value for angle, value in key.items()})


def _both_arms(random, activity: activities.Activity) -> np.ndarray:
    left = right = random.choice(activity.arms.split())
    if random.random() >= activity.together:
        right = random.choice(activity.arms.split())
    return _arm(random, "left", left) + _arm(random, "right", right)


def _trunk_and_head(random, activity: activities.Activity) -> np.ndarray:
    """Twists, side bends, the look of the head, and where the person faces next."""
    t = activity.twist
    key = {"trunk_twist": (0.0, t), "trunk_side": (0.0, 0.6 * t), "trunk_flexion": (0.0, 0.5 * t)}
    key |= {"head_twist": (0.0, 24.0), "head_flexion": (4.0, 14.0), "head_side": (0.0, 7.0)}
    return _draw(random, key | {"heading": (0.0, activity.heading)})


def _act(random, activity: activities.Activity, clock: np.ndarray) -> np.ndarray:
    """(time, angles) of an activity made of key poses; each body part keeps its own clock."""

    def legs():
        name = random.choice(activity.legs.split())
        return _draw(random, activities.LEG_KEYS[name], mirror=random.random() < 0.5)

    def track(draw):
        return _key_track(random, clock, activity.seconds, draw)

    arms, trunk = (
        (lambda: _both_arms(random, activity)),
        (lambda: _trunk_and_head(random, activity)),
    )
    return track(legs) + track(arms) + track(trunk)


def _bump(phase, centre: float, sharpness: float) -> np.ndarray:
    """A periodic bell of height 1 at `centre`, given as a share of the cycle."""
    return np.exp(sharpness * (np.cos(phase - 2 * np.pi * centre) - 1.0))


def _gait(random, kind: str, clock: np.ndarray) -> np.ndarray:
    """(time, angles) of a gait: the curves of clinical gait analysis as bells; heel strike at 0."""
    rate, swing, offset, stance, knee, lean, arm, elbow = (
        random.uniform(*r) for r in activities.GAIT_RANGES[kind]
    )
    track = np.zeros((len(clock), len(anatomy.ANGLES)))
    start, outwards = random.uniform(0, 2 * np.pi), random.uniform(4, 14)

    def put(name, value):
        track[:, anatomy.INDEX[name]] += value

    for side, shift in (("left", 0.0), ("right", np.pi)):
        phase = 2 * np.pi * rate * clock + start + shift
        put(f"{side}_hip_flexion", offset + swing * np.cos(phase + 0.2))
        put(f"{side}_hip_abduction", 2.0 + 4.0 * _bump(phase, 0.75, 2.0))
        put(f"{side}_hip_turnout", 4.0)
        put(
            f"{side}_knee_flexion",
            stance * (0.4 + _bump(phase, 0.13, 6.0)) + knee * _bump(phase, 0.72, 3.5),
        )
        put(
            f"{side}_ankle_lift",
            0.5 * stance * _bump(phase, 0.4, 3.0) - 18.0 * _bump(phase, 0.62, 8.0),
        )
        put(f"{side}_shoulder_flexion", 0.1 * elbow - arm * np.cos(phase))
        put(f"{side}_shoulder_abduction", outwards + 0.06 * elbow)
        put(f"{side}_shoulder_twist", 10.0 + 0.15 * elbow)
        put(f"{side}_elbow_flexion", elbow + 0.4 * arm * (1.0 - np.cos(phase)) * 0.5)
        put(f"{side}_toe_lift", 20.0 * _bump(phase, 0.58, 8.0))
    phase = 2 * np.pi * rate * clock + start
    put("heading", 0.2 * swing * np.sin(phase - np.pi / 2) + random.normal(0, 14) * clock)
    put("trunk_twist", 0.4 * swing * np.cos(phase))
    put("pelvis_roll", 4.0 * np.sin(phase))
    put("trunk_side", -4.0 * np.sin(phase))
    put("pelvis_pitch", 0.4 * lean)
    put("trunk_flexion", 0.6 * lean + 2.0 * np.cos(2 * phase))
    return track


_BUSY = ("carry", "hang", "face", "gesture", "front", "up", "crossed", "wave")
_LOOK = activities.Activity("", "", twist=5.0, heading=10.0)


def _busy_gait(random, kind: str, clock: np.ndarray) -> np.ndarray:
    """A gait; every third arm does something else meanwhile, and the head looks around."""
    track, seconds = _gait(random, kind, clock), (0.8, 2.0)
    for side in ("left", "right"):
        if random.random() < 0.35:
            first, last = (
                anatomy.INDEX[f"{side}_{x}"] for x in ("collar_forward", "wrist_flexion")
            )
            keys = _key_track(
                random, clock, seconds, lambda s=side: _arm(random, s, random.choice(_BUSY))
            )
            track[:, first : last + 1] = keys[:, first : last + 1]
    return track + _key_track(random, clock, seconds, lambda: _trunk_and_head(random, _LOOK))


def _sway(random, clock: np.ndarray, size: float) -> np.ndarray:
    """(time, angles) slow random movement of every angle, degrees: four sines of 0.15 to 1.2 Hz."""
    shape = (4, 1, len(anatomy.ANGLES))
    rate, phase = random.uniform(0.15, 1.2, shape), random.uniform(0, 2 * np.pi, shape)
    amplitude = size * random.normal(size=shape) / 2.0
    return np.sum(amplitude * np.sin(2 * np.pi * rate * clock[:, None] + phase), 0)


def draw_style(random) -> Style:
    """One subject."""
    return Style(
        posture=3.0 * random.normal(size=len(anatomy.ANGLES)),
        vigour=float(0.86 * np.exp(0.1 * random.normal())),
        tempo=float(np.exp(0.15 * random.normal())),
        betas=np.clip(0.7 * random.normal(size=10), -2.0, 2.0),
    )


def draw_track(random, style: Style, name: str, clock: np.ndarray) -> np.ndarray:
    """(time, angles) in degrees of one clip of the activity or gait `name`, inside the limits."""
    clock = clock * style.tempo
    track = (
        _busy_gait(random, name, clock)
        if name in activities.GAIT_RANGES
        else _act(random, activities.ACTIVITIES[name], clock)
    )
    track = style.vigour * track + style.posture + _sway(random, clock, 2.0)
    track[:, anatomy.INDEX["heading"]] += random.uniform(0.0, 360.0)
    return anatomy.limit(track)


_THIGH, _SHIN, _FOOT, _HIP = 0.41, 0.42, (0.0, -0.06, 0.12), 0.1


def _feet(matrices: np.ndarray) -> np.ndarray:
    """(time, 2, 3) balls of the feet relative to the pelvis (m, y up), for an average adult."""
    feet = []
    for hip, knee, ankle, side in ((1, 4, 7, 1.0), (2, 5, 8, -1.0)):
        thigh = matrices[:, 0] @ matrices[:, hip]
        shin = thigh @ matrices[:, knee]
        foot = shin @ matrices[:, ankle]
        start = matrices[:, 0] @ np.array([side * _HIP, -0.08, 0.0])
        feet.append(start - _THIGH * thigh[..., 1] - _SHIN * shin[..., 1] + foot @ np.array(_FOOT))
    return np.stack(feet, 1)


def _root_path(matrices: np.ndarray) -> np.ndarray:
    """(time, 3) pelvis in metres, y up: the lower foot stands on the ground and does not slide."""
    feet = _feet(matrices)
    height = feet[..., 1] - feet[..., 1].min(1, keepdims=True)
    share = np.exp(-height / 0.02)
    share /= share.sum(1, keepdims=True)
    step = -np.sum(share[1:, :, None] * np.diff(feet, axis=0), 1)
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(step, 0)])
    path[:, 1] = -np.sum(share * feet[..., 1], 1)
    return path


_axis_angle = jax.jit(rotations.axis_angle_from_matrix)
NAMES = (*activities.ACTIVITIES, *activities.GAIT_RANGES, "walk", "run", "stand", "gesture")
"""Activities and gaits in the order in which `generate` deals them out; common ones come twice."""


def draw_clip(
    seed: int, subject: int, clip: int, name: str, seconds: float = 4.0, fps: float = 30.0
) -> Clip:
    """Clip number `clip` of subject number `subject` doing `name`: a function of its arguments."""
    style = draw_style(np.random.default_rng((seed, subject)))
    random = np.random.default_rng((seed, subject, clip + 1))
    track = draw_track(random, style, name, np.arange(round(seconds * fps)) / fps)
    matrices = anatomy.rotations_from_track(track)
    axis_angle = _axis_angle(jnp.asarray(matrices, jnp.float32))
    motion = amass.Motion(
        poses=np.asarray(axis_angle),
        trans=_root_path(matrices).astype(np.float32),
        betas=style.betas.astype(np.float32),
        fps=fps,
        gender="neutral",
    )
    return Clip(motion, f"g{subject:03d}_{clip:02d}_{name}", f"g{subject:03d}")


def generate(seed: int, subjects: range, clips: int, seconds: float = 4.0) -> list[Clip]:
    """`clips` clips of each subject, so that any run of subjects does a bit of everything.

    The same subject number is the same person under one seed.
    """
    return [
        draw_clip(seed, s, c, NAMES[(s * clips + c) % len(NAMES)], seconds)
        for s in subjects
        for c in range(clips)
    ]
