"""Whole motions before four cameras at rest: simulated videos for lifters, in place of recorded ones.

The cameras stand around the middle of the motion, about a quarter turn apart, as in Human3.6M. What
their detector says is simulated: errors of two sizes that last in time, and missing keypoints.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from diffjax import body, camera, rotations, skeleton
from diffjax.data import amass, motion, pose_sequences, synthetic

CAMERAS = ("0", "1", "2", "3")
SET = "h36m17"
_NEAREST = 2.0  # Metres before a camera: nobody walks into one.
_CHUNK = 256


class Detector(NamedTuple):
    """How a simulated detector errs; frame by frame this holds whatever rho is."""

    usual_px: float = 4.0
    """Standard deviation of a coordinate."""
    large_px: float = 20.0
    large: float = 0.1
    """Share of keypoints whose error is of the large kind."""
    missing: float = 0.03
    rho: float = 0.8
    """Correlation, from one frame to the next, of everything that chance decides."""


PERFECT = Detector(0.0, 0.0, 0.0, 0.0, 0.0)
"""True 2D."""


def film(
    clips: Sequence[motion.Clip],
    keypoints: body.KeypointModel,
    *,
    seed: int = 0,
    fps: float = 50.0,
    detector: Detector = Detector(),  # noqa: B008 - immutable.
) -> list[pose_sequences.PoseSequence]:
    """Four videos of every clip; `keypoints` are those of `SET`. A missing keypoint is NaN.

    A clip is filmed alike whatever others there are. Slower clips keep their rate.
    """
    videos = []
    for clip in clips:
        random = np.random.default_rng([seed, *clip.name.encode()])
        moves = amass.resample(clip.motion, min(fps, clip.motion.fps))
        videos += _film(clip, _joints(moves, keypoints), random, detector)
    return videos


def takes(clips: Sequence[motion.Clip], count: int = 1, *, seed: int = 0) -> list[motion.Clip]:
    """Each clip `count` times, to be filmed by other cameras each time; the first keeps its name.

    Betas of zero are not known: they are drawn, for a subject the same throughout a take.
    """
    return [
        clip._replace(
            motion=clip.motion._replace(betas=_betas(clip, seed, take)),
            name=f"{clip.name}_take{take}" if take else clip.name,
        )
        for take in range(count)
        for clip in clips
    ]


def _betas(clip: motion.Clip, seed: int, take: int) -> Float[np.ndarray, " betas"]:
    known = clip.motion.betas
    random = np.random.default_rng([seed, take, *clip.subject.encode()])
    drawn = synthetic.SHAPE_SPREAD * random.normal(size=known.shape)
    return known if known.any() else drawn.astype(known.dtype)


def _joints(moves: amass.Motion, keypoints: body.KeypointModel) -> Float[np.ndarray, "time 17 3"]:
    """World metres, y up."""
    found = _in_chunks(lambda poses: _pose(keypoints, poses, moves.betas), moves.poses)
    return found + moves.trans[:, None]


def _in_chunks(function: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:
    """function(x) by pieces of one length: one compilation for clips of any length."""
    count = len(x)
    pieces = [
        np.asarray(function(x[np.minimum(np.arange(start, start + _CHUNK), count - 1)]))
        for start in range(0, count, _CHUNK)
    ]
    return np.concatenate(pieces)[:count]


@jax.jit
def _pose(keypoints, poses, betas):
    matrices = rotations.matrix_from_axis_angle(poses)
    return body.pose_keypoints(keypoints, matrices, jnp.broadcast_to(betas, (len(poses), 10)))


@jax.jit
def _project(joints):
    return camera.project(synthetic.fixed_camera(()), joints)


def _film(clip, world, random, detector: Detector) -> list[pose_sequences.PoseSequence]:
    view, place = _cameras(random)
    middle = world.mean((0, 1))
    size = np.array([synthetic.WIDTH_PX, synthetic.HEIGHT_PX])
    videos = []
    for name, turn, away in zip(CAMERAS, view, place):
        joints = (world - middle) @ turn.T + away
        joints[..., 2] += max(_NEAREST - joints[..., 2].min(), 0.0)
        pixels = _in_chunks(_project, joints.astype(np.float32))
        pixels, seen = detect(random, pixels, detector)
        p = pose_sequences.normalised(pixels, np.broadcast_to(size, (len(pixels), 2)))
        root = joints[:, skeleton.keypoint_set(SET).index("pelvis")]
        videos.append(
            pose_sequences.PoseSequence(
                p=np.where(seen[..., None], p, np.nan).astype(np.float32),
                x=(joints - root[:, None]).astype(np.float32),
                root_cam=root.astype(np.float32),
                frame=np.arange(len(p)),
                name=clip.name,
                subject=clip.subject,
                action=clip.name,
                camera=name,
            )
        )
    return videos


def _cameras(random) -> tuple[np.ndarray, np.ndarray]:
    """(4, 3, 3) world to camera, and (4, 3) the middle of the motion before each camera, in metres."""
    quarter = math.pi / 2 * np.arange(4) + np.deg2rad(10.0) * random.normal(size=4)
    yaw = jnp.asarray(random.uniform(0, 2 * math.pi) + quarter, jnp.float32)
    key = jax.random.key(int(random.integers(2**31)))
    view, place = synthetic.random_views(key, 4, yaw)
    return np.asarray(view), np.asarray(place)


def detect(
    random: np.random.Generator, pixels: Float[np.ndarray, "time K 2"], detector: Detector
) -> tuple[Float[np.ndarray, "time K 2"], Bool[np.ndarray, "time K"]]:
    """Pixels with errors, and which keypoints are seen."""
    shape, rho = pixels.shape[:2], detector.rho
    large = _lasting(random, shape, rho) < _below(detector.large)
    scale = np.where(large, detector.large_px, detector.usual_px)[..., None]
    seen = _lasting(random, shape, rho) >= _below(detector.missing)
    return pixels + scale * _lasting(random, pixels.shape, rho), seen


def _lasting(random, shape: tuple[int, ...], rho: float) -> np.ndarray:
    """Standard normal AR(1) along the first axis."""
    z = random.normal(size=shape)
    for t in range(1, len(z)):
        z[t] = rho * z[t - 1] + math.sqrt(1.0 - rho**2) * z[t]
    return z


def _below(share: float) -> float:
    """The number under which a standard normal lies so often: Phi^-1."""
    return statistics.NormalDist().inv_cdf(share) if share > 0 else -math.inf
