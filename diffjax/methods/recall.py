"""Known poses that look like that: an empirical posterior of a person behind 2D keypoints, and its mean.

Poses of real motion, some of those that a prior was trained on, are seen from all around. Each view of each is laid
over the keypoints (scale, place, a small roll), and weighed by how well it explains them. No network takes part. The
mean is an estimate of its own; how far the weighed poses lie from a fit says what the keypoints leave open.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.spatial import KDTree

from diffjax import body, rotations
from diffjax.methods import keypoint_noise
from diffjax.methods.keypoint_noise import ASSUMED, Errors, Noise
from diffjax.pose import Pose

# All constants here were chosen on validation people, whose keypoints are simulated with good and bad errors.
KEPT = 16384
"""Known poses."""
VIEWS = 24
"""Of each, about the vertical of the camera that saw it."""
DISTANCE_M = 5.5
"""From the cameras of these views: perspective as of an ordinary photograph."""
SCREENED, TOP = 500, 200
"""Views that are looked at closely, and of these the likeliest."""
ROLL = 0.15
"""Radians, at most."""
SEEN = 6
"""Keypoints without which nothing is recalled."""
_SAME = 1e-2
"""Between matrices of all joints of two poses that are one: two neighbours of a motion are not."""
_LAYINGS, _TOGETHER = 3, 16
"""How often a view is laid over the keypoints, each time trusting them as the last one says; people at a time."""


class Bank(NamedTuple):
    """Known poses, and how they look."""

    rotations: Float[Array, "poses joints 3 3"]
    """The root is as some camera saw it: x right, y down."""
    looks: Float[Array, "2 K views"]
    """Every view of every pose: keypoints about their middle, the longer side of their box 1."""
    turns: Float[Array, "turns 3 3"]
    """Of the views of a pose, which stand beside each other."""


class Recalled(NamedTuple):
    """The known poses that explain a person's keypoints best."""

    weight: Float[Array, "*batch top"]
    """Sums to 1."""
    row: Int[Array, "*batch top"]
    turn: Float[Array, "*batch top 3 3"]
    """From the bank's root to this person's camera."""
    misfit: Float[Array, "*batch"]
    """-log of the likelihood of the best, a keypoint of full confidence."""


def some(count: int, kept: int = KEPT) -> Int[np.ndarray, " kept"]:
    """Rows to know, of so many: all, or some that are drawn with a fixed seed."""
    return np.sort(np.random.default_rng(0).permutation(count)[:kept])


def among(
    poses: Float[np.ndarray, "some joints 3 3"], known: Float[np.ndarray, "poses joints 3 3"]
) -> Bool[np.ndarray, " some"]:
    """Which of them are known, but for rounding and whichever way they are turned; not what is not a number."""
    finite = np.isfinite(poses).all((1, 2, 3))
    one, other = (np.nan_to_num(x[:, 1:]).reshape(len(x), -1) for x in (poses, known))
    distance, _ = KDTree(other).query(one, distance_upper_bound=_SAME)
    return finite & np.isfinite(distance)


def make_bank(
    known: Float[Array | np.ndarray, "poses joints 3 3"], image: body.KeypointModel
) -> Bank:
    """Known poses as the evidence would see them: `image` has its keypoints."""
    known = jnp.asarray(known)
    angles = jnp.arange(VIEWS, dtype=jnp.float32) * (2 * np.pi / VIEWS)
    turns = rotations.matrix_from_axis_angle(angles[:, None] * jnp.array([0.0, 1.0, 0.0]))
    return Bank(known, jax.jit(_looks)(known, turns, image), turns)


def _looks(known, turns, image):
    points = body.pose_keypoints(image, known, jnp.zeros(image.joint_dirs.shape[-1]))
    points = points - jnp.mean(points, -2, keepdims=True)
    x, y, z = jnp.einsum("vij,pkj->ikpv", turns, points)
    near = 1.0 + z / DISTANCE_M
    seen = jnp.stack([x / near, y / near]).reshape(2, points.shape[-2], -1)
    seen = seen - jnp.mean(seen, 1, keepdims=True)
    return seen / jnp.max(jnp.max(seen, 1) - jnp.min(seen, 1), 0)


def recall(bank: Bank, keypoints2d: Float[Array, "batch K 3"], noise: Noise = ASSUMED) -> Recalled:
    """What explains each person's keypoints (pixels and confidence, 0 is missing), which err as `noise` says.

    Noise without pixels, as `keypoint_noise.ASSUMED`, takes keypoints of any unit.
    """
    together = min(_TOGETHER, len(keypoints2d))
    return jax.lax.map(lambda seen: _recall(bank, seen, noise), keypoints2d, batch_size=together)


def _recall(bank: Bank, keypoints2d: Float[Array, "K 3"], noise: Noise) -> Recalled:
    points, side = _in_box(keypoints2d)
    errors = keypoint_noise.expected(noise, keypoints2d[:, 2], side)
    score = _rough(bank.looks, points, keypoint_noise.precision(errors))
    views = _screened(score, len(bank.turns))
    log_likelihood, roll = _close(bank.looks[:, :, views], points, errors)
    best, kept = jax.lax.top_k(log_likelihood, min(TOP, len(views)))
    row, turn = jnp.divmod(views[kept], len(bank.turns))
    zero = jnp.zeros_like(roll)
    upright = rotations.matrix_from_axis_angle(jnp.stack([zero, zero, roll], -1)[kept])
    weight = jax.nn.softmax(best / noise.temperature)
    misfit = -best[0] / jnp.maximum(jnp.sum(errors.weight), 1e-6)
    return Recalled(weight, row, upright @ bank.turns[turn], misfit)


def _in_box(keypoints2d: Float[Array, "K 3"]) -> tuple[Float[Array, "K 2"], Float[Array, ""]]:
    """In longer sides of the box of what is seen, 0 where missing; and that side."""
    seen = keypoints2d[:, 2:] > 0
    low, high = (
        end(jnp.where(seen, keypoints2d[:, :2], far), axis=0)
        for end, far in ((jnp.min, jnp.inf), (jnp.max, -jnp.inf))
    )
    side = jnp.max(high - low)
    side = jnp.where(jnp.isfinite(side) & (side > 0), side, 1.0)
    points = jnp.where(seen, (keypoints2d[:, :2] - jnp.where(seen, low, 0.0)) / side, 0.0)
    return points, side


def _rough(looks, points, confidence) -> Float[Array, " views"]:
    """How much less is left of the keypoints' squares under the best scale and place of each view."""
    weight = confidence / jnp.maximum(jnp.sum(confidence), 1e-6)
    x, y = looks
    centred = weight[:, None] * (points - weight @ points)
    cross = centred[:, 0] @ x + centred[:, 1] @ y
    size = weight @ (x * x + y * y) - (weight @ x) ** 2 - (weight @ y) ** 2
    scale = jnp.maximum(cross / size, 1e-3)
    return scale * (2.0 * cross - scale * size)


def _screened(score: Float[Array, " views"], turns: int) -> Int[Array, " screened"]:
    """The best views: all are of the poses whose best view is among as many best, so that few need sorting."""
    each = score.reshape(-1, turns)
    poses = jax.lax.top_k(jnp.max(each, -1), min(SCREENED, len(each)))[1]
    inside = each[poses].reshape(-1)
    pose, turn = jnp.divmod(jax.lax.top_k(inside, min(SCREENED, len(inside)))[1], turns)
    return poses[pose] * turns + turn


def _close(looks, points, errors: Errors):
    """(views,) log likelihoods, and the roll, radians."""
    trust = jnp.broadcast_to(keypoint_noise.precision(errors)[:, None], looks.shape[1:])
    squares, roll = _laid(looks, points, trust)
    for _ in range(_LAYINGS - 1):
        squares, roll = _laid(looks, points, keypoint_noise.trust(errors, squares))
    return keypoint_noise.log_likelihood(errors, squares), roll


def _laid(looks, points, trust):
    """(K, views) squared distances under the best place and scale of each view, and the nearest roll that is allowed
    to the best one (with the scale of the best); (views,) that roll."""
    total = jnp.maximum(jnp.sum(trust, 0), 1e-9)
    middle, place = jnp.sum(trust * looks, 1) / total, points.T @ trust / total
    a, b = looks - middle[:, None], points.T[:, :, None] - place[:, None]
    size = jnp.maximum(jnp.sum(trust * jnp.sum(a * a, 0), 0), 1e-12)
    along = jnp.sum(trust * jnp.sum(a * b, 0), 0) / size
    across = jnp.sum(trust * (a[0] * b[1] - a[1] * b[0]), 0) / size
    roll, scale = jnp.clip(jnp.arctan2(across, along), -ROLL, ROLL), jnp.hypot(along, across)
    c, s = scale * jnp.cos(roll), scale * jnp.sin(roll)
    return (b[0] - c * a[0] + s * a[1]) ** 2 + (b[1] - c * a[1] - s * a[0]) ** 2, roll


def posed(bank: Bank, recalled: Recalled) -> Float[Array, "*batch top joints 3 3"]:
    """The recalled poses before the person's camera."""
    found = bank.rotations[recalled.row]
    return found.at[..., 0, :, :].set(recalled.turn @ found[..., 0, :, :])


def mean_rotations(bank: Bank, recalled: Recalled) -> Float[Array, "*batch joints 3 3"]:
    """Their weighed mean, matrix by matrix: not rotations any more, the shorter the less is sure."""
    return jnp.einsum("...n,...njab->...jab", recalled.weight, posed(bank, recalled))


def toward(
    estimate: Pose,
    bank: Bank,
    keypoints2d: Float[Array, "batch K 3"],
    share: Float[Array, ""] | float,
) -> Pose:
    """The estimate so far on the way to what is recalled; as it came where fewer than `SEEN` keypoints are seen.

    Rotations are averaged as matrices and put back onto SO(3), so that what the recalled poses disagree about stays
    nearer to the estimate. Shapes stay.
    """
    recalled = recall(bank, keypoints2d)
    mean = mean_rotations(bank, recalled)
    moved = rotations.project_to_so3((1.0 - share) * estimate.rotations + share * mean)
    moves = (enough(keypoints2d) & (share > 0))[:, None, None, None]
    return estimate._replace(rotations=jnp.where(moves, moved, estimate.rotations))


def enough(keypoints2d: Float[Array, "*batch K 3"]) -> Bool[Array, "*batch"]:
    """Whether so many keypoints are seen that something can be recalled."""
    return jnp.sum(keypoints2d[..., 2] > 0, -1) >= SEEN
