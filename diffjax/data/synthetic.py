"""People in front of cameras, and what a keypoint detector and an annotator would say of them.

Everything is a pure function of a key, so a training loop draws fresh views and noise inside jit.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from diffjax import body, camera, pose, rotations

FOCAL_PX, WIDTH_PX, HEIGHT_PX = 1681.0, 1920.0, 1080.0
"""One camera for all: people 4 to 8 m away are about 400 px tall."""
SHAPE_SPREAD = 0.7
"""Standard deviation of drawn betas."""
_LIMBS = ((7, 9), (8, 10), (13, 15), (14, 16))
"""coco17: forearms and lower legs, which go missing together."""
LIMBS = len(_LIMBS)
BAD, MISSING, LIMB_MISSING = 0.22, 0.08, 0.06
"""Shares of keypoints with large errors, of missing keypoints and of missing limbs."""


class Scene(NamedTuple):
    """A body and the two keypoint sets that are looked at: coco17 in pixels, h36m14 in metres."""

    model: body.BodyModel
    coco: body.KeypointModel
    both: body.KeypointModel
    """coco17 then h36m14, in one pass of the body."""
    eyesight: float | Float[Array, ""] = 1.0
    """Errors of what the frontend sees, as a share of the detector's; below 1 it sees more than keypoints tell."""


class Views(NamedTuple):
    """People as one camera sees them."""

    pose: pose.Pose
    """The root is in the camera frame (x right, y down, z forward)."""
    translation: Float[Array, "*batch 3"]
    """Metres, camera frame, of the model origin."""
    keypoints2d: Float[Array, "*batch 17 3"]
    """Detections, coco17: pixels and confidence, 0 where missing."""
    camera: camera.Camera


def load_scene(path: str) -> Scene:
    """A body file with regressors for coco17 and h36m14."""
    coco, joints14 = (body.load_regressor(path, name) for name in ("coco17", "h36m14"))
    return scene_of(body.load_body(path), coco, joints14)


def scene_of(model: body.BodyModel, coco: np.ndarray, joints14: np.ndarray) -> Scene:
    """A body with its (17, V) and (14, V) vertex regressors."""
    folded = (body.fold_keypoints(model, x) for x in (coco, np.concatenate([coco, joints14])))
    return Scene(model, *folded)


def fixed_camera(batch: tuple[int, ...]) -> camera.Camera:
    """The camera of every view, for a batch of this shape."""
    size = jnp.asarray([WIDTH_PX, HEIGHT_PX])
    return camera.Camera(
        focal_px=jnp.full((*batch, 2), FOCAL_PX),
        center_px=jnp.broadcast_to(0.5 * size, (*batch, 2)),
        image_size_px=jnp.broadcast_to(size, (*batch, 2)),
    )


def _turn(radians: Float[Array, " batch"], axis: int) -> Float[Array, "batch 3 3"]:
    return rotations.matrix_from_axis_angle(radians[:, None] * jnp.eye(3)[axis])


def random_views(
    key: PRNGKeyArray, batch: int, yaw: Float[Array, " batch"] | None = None
) -> tuple[Float[Array, "batch 3 3"], Float[Array, "batch 3"]]:
    """Rotations from the world (y up) to cameras, and the pelvis before each camera in metres.

    Yaw U(0, 360) deg unless given in radians, pitch N(0, 9.7), roll N(0, 2.9), distance U(4, 8) m,
    offset U(-.5, .5) m.
    """
    turn, place = jax.random.split(key)
    if yaw is None:
        yaw = jax.random.uniform(turn, (batch,), maxval=2 * np.pi)
    tilt = jax.random.normal(jax.random.fold_in(turn, 1), (2, batch))
    half_turn = jnp.asarray(np.diag([1.0, -1.0, -1.0]), jnp.float32)  # y up to y down
    view = _turn(math.radians(2.9) * tilt[1], 2) @ _turn(math.radians(9.7) * tilt[0], 0)
    view = view @ half_turn @ _turn(yaw, 1)
    low, high = jnp.asarray([-0.5, -0.5, 4.0]), jnp.asarray([0.5, 0.5, 8.0])
    return view, low + (high - low) * jax.random.uniform(place, (batch, 3))


def rest_pelvis(
    model: body.BodyModel | body.KeypointModel, betas: Float[Array, "batch 10"]
) -> Float[Array, "batch 3"]:
    """J_0(betas), about which SMPL turns: a pelvis at P means a translation of P - J_0."""
    return model.joint_template[0] + betas @ model.joint_dirs[0].T


def turned(view: Float[Array, "batch 3 3"], people: pose.Pose) -> pose.Pose:
    """People with the root in the camera frame."""
    seen = people.rotations.at[:, 0].set(view @ people.rotations[:, 0])
    return people._replace(rotations=seen)


def look_at(
    key: PRNGKeyArray, people: pose.Pose, model: body.BodyModel | body.KeypointModel
) -> tuple[pose.Pose, Float[Array, "batch 3"]]:
    """People (y up) seen by `random_views`: pose with the root in the camera frame, translation."""
    view, pelvis = random_views(key, people.betas.shape[0])
    return turned(view, people), pelvis - rest_pelvis(model, people.betas)


def detect(key: PRNGKeyArray, pixels: Float[Array, "batch 17 2"]) -> Float[Array, "batch 17 3"]:
    """Detector-like coco17 keypoints.

    Noise of 7.5 px (78 %) or 32 px (22 %) a coordinate (median error 10, 90th percentile 40 px, as
    OpenPose's), a confidence that partly tells the two apart, 8 % of keypoints and 6 % of limbs
    missing.
    """
    keys = jax.random.split(key, 5)
    shape = pixels.shape[:2]
    bad = jax.random.bernoulli(keys[0], BAD, shape)
    noise = jax.random.normal(keys[1], pixels.shape), jax.random.normal(keys[2], shape)
    seen = jax.random.bernoulli(keys[3], 1.0 - MISSING, shape)
    limbs = jax.random.bernoulli(keys[4], LIMB_MISSING, (shape[0], LIMBS))
    return detected(pixels, bad, *noise, seen, limbs)


def detected(pixels, bad, noise, doubt, seen, limbs) -> Float[Array, "batch 17 3"]:
    """What a detector says, from what chance decides for each keypoint.

    bad: its error is of the large kind; noise and doubt: of pixels and confidence, standard normal;
    seen: not missing; limbs: (batch, LIMBS), missing whole.
    """
    error = jnp.where(bad, 32.0, 7.5)[..., None] * noise
    level = jnp.where(bad, 0.55, 0.8) + jnp.where(bad, 0.2, 0.12) * doubt
    for i, limb in enumerate(_LIMBS):
        seen = seen.at[:, jnp.asarray(limb)].set(seen[:, jnp.asarray(limb)] & ~limbs[:, i, None])
    return _with_confidence(pixels + error, jnp.where(seen, jnp.clip(level, 0.05, 1.0), 0.0))


def label(key: PRNGKeyArray, pixels: Float[Array, "batch K 2"]) -> Float[Array, "batch K 3"]:
    """Annotator-like keypoints: 4 px a coordinate, 5 % missing, confidence 1."""
    noise_key, seen_key = jax.random.split(key)
    seen = jax.random.bernoulli(seen_key, 0.95, pixels.shape[:2])
    noisy = pixels + 4.0 * jax.random.normal(noise_key, pixels.shape)
    return _with_confidence(noisy, seen.astype(pixels.dtype))


def seen_by_frontend(
    eyesight: float | Float[Array, ""],
    detections: Float[Array, "*batch 17 3"],
    pixels: Float[Array, "*batch 17 2"],
) -> Float[Array, "*batch 17 3"]:
    """Detections with errors made smaller; what is missing stays so. With `eyesight` 1, the detections to the bit."""
    nearer = pixels + eyesight * (detections[..., :2] - pixels)
    nearer = jnp.where(eyesight == 1.0, detections[..., :2], nearer)
    return _with_confidence(nearer, detections[..., 2])


def _with_confidence(pixels, confidence):
    """Missing keypoints are zeros, as detectors write them."""
    xy = jnp.where(confidence[..., None] > 0, pixels, 0.0)
    return jnp.concatenate([xy, confidence[..., None]], -1)


def coco_pixels(coco: body.KeypointModel, people: pose.Pose, translation, view: camera.Camera):
    """True pixels of the coco17 keypoints, (*batch, 17, 2)."""
    points = body.pose_keypoints(coco, people.rotations, people.betas)
    return camera.project(view, points + translation[..., None, :])


def draw_views(
    key: PRNGKeyArray,
    coco: body.KeypointModel,
    pool: Float[Array, "poses 24 3 3"],
    index: Int[Array, " rows"],
    batch: int,
    eyesight: float = 1.0,
) -> Views:
    """A training batch: poses pool[index[random]] with fresh body shape, view and what the frontend sees."""
    keys = jax.random.split(key, 4)
    rows = index[jax.random.randint(keys[0], (batch,), 0, index.shape[0])]
    betas = SHAPE_SPREAD * jax.random.normal(keys[1], (batch, 10))
    people, translation = look_at(keys[2], pose.Pose(pool[rows], betas), coco)
    view = fixed_camera((batch,))
    pixels = coco_pixels(coco, people, translation, view)
    seen = seen_by_frontend(eyesight, detect(keys[3], pixels), pixels)
    return Views(people, translation, seen, view)
