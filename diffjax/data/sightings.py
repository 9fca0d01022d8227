"""People before cameras, what is seen of them, and what a frontend says of that: batches under jit.

Each function takes some moments of motion and returns the fields of an annotation set. Leading axes are those of
the moments, then the rows that a moment gives.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body, camera, pose
from diffjax.data import in_time, synthetic
from diffjax.frontends import keypoint_hmr

VIEWS = 4
_NEAREST = 3.0  # Metres: a person who walks towards a camera stays so far away.


def in_batches(seed: int, size: int, columns: Sequence[np.ndarray], see: Callable) -> dict:
    """`see(key, *columns)` over all rows in batches of one size: one compilation serves every set."""
    parts, count = [], len(columns[0])
    for start in range(0, count, size):
        rows = np.arange(start, start + size) % count
        key = jax.random.fold_in(jax.random.key(seed), start)
        seen = see(key, *(jnp.asarray(column[rows]) for column in columns))
        parts.append({name: np.asarray(x)[: count - start] for name, x in seen.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _shapes(key, betas):
    """Known shapes as they are; where they are zero, drawn."""
    drawn = synthetic.SHAPE_SPREAD * jax.random.normal(key, betas.shape)
    return jnp.where(jnp.any(betas != 0, -1, keepdims=True), betas, drawn)


def _see(keys, params, scene, people, translation, detect):
    """Truth, detections, labels, 3D joints and the frontend's estimate of people before cameras."""
    view = synthetic.fixed_camera((len(people.betas),))
    points = body.pose_keypoints(scene.both, people.rotations, people.betas)
    points = points + translation[:, None]
    pixels, joints = camera.project(view, points[:, :17]), points[:, 17:]
    detections = detect(keys[0], pixels)
    looked = synthetic.seen_by_frontend(scene.eyesight, detections, pixels)
    guess = keypoint_hmr.predict(params, looked, view)
    noisy = joints + 0.01 * jax.random.normal(keys[2], joints.shape)
    return {
        "pred_pose": guess.pose.rotations,
        "pred_betas": guess.pose.betas,
        "pred_cam_t": guess.translation,
        "pose": people.rotations,
        "betas": people.betas,
        "cam_t": translation,
        "keypoints2d": detections,
        "labels2d": synthetic.label(keys[1], pixels),
        "keypoints3d": jnp.concatenate([noisy, jnp.ones_like(noisy[..., :1])], -1),
        "focal_px": view.focal_px,
        "center_px": view.center_px,
        "image_size_px": view.image_size_px,
    }


@jax.jit
def of_frames(key, params: Any, scene: synthetic.Scene, matrices, betas) -> dict[str, Any]:
    """One random view of each frame."""
    keys = jax.random.split(key, 5)
    people = pose.Pose(matrices, _shapes(keys[0], betas))
    people, translation = synthetic.look_at(keys[1], people, scene.coco)
    return _see(keys[2:], params, scene, people, translation, synthetic.detect)


@jax.jit
def of_windows(
    key, params: Any, scene: synthetic.Scene, weight, matrices, betas, trans
) -> dict[str, Any]:
    """Video of each window by one camera at rest: the pelvis is on average where `random_views` puts it.

    matrices (windows, time, 24, 3, 3), y up; betas (windows, 10); trans (windows, time, 3) metres;
    weight: `in_time.memory` of the detections' errors.
    """
    keys, (count, frames) = jax.random.split(key, 5), trans.shape[:2]
    betas = _shapes(keys[0], betas)
    view, middle = synthetic.random_views(keys[1], count)
    pelvis = middle[:, None] + _paths(view, trans)
    back = jnp.maximum(_NEAREST - jnp.min(pelvis[..., 2], 1), 0.0)
    pelvis = pelvis.at[..., 2].add(back[:, None])
    people = pose.Pose(matrices.reshape(-1, 24, 3, 3), jnp.repeat(betas, frames, 0))
    people = synthetic.turned(jnp.repeat(view, frames, 0), people)
    translation = pelvis.reshape(-1, 3) - synthetic.rest_pelvis(scene.coco, people.betas)

    def detect(key, pixels):
        found = in_time.detect(key, pixels.reshape(count, frames, 17, 2), weight)
        return found.reshape(-1, 17, 3)

    seen = _see(keys[2:], params, scene, people, translation, detect)
    return {name: x.reshape(count, frames, *x.shape[1:]) for name, x in seen.items()}


def _paths(view, trans):
    """(windows, time, 3) movement about its mean, in the camera's axes."""
    return jnp.einsum("wij,wtj->wti", view, trans - jnp.mean(trans, 1, keepdims=True))


@jax.jit
def of_instants(key, params: Any, scene: synthetic.Scene, matrices, betas, trans) -> dict[str, Any]:
    """Each frame by four cameras at once, about a quarter turn apart, and where the cameras are.

    Yaw U(0, 360) + 0, 90, 180, 270 + N(0, 10) deg; all else of a camera as in `random_views`.
    """
    keys, count = jax.random.split(key, 6), len(matrices)
    betas = _shapes(keys[0], betas)
    view, pelvis = synthetic.random_views(keys[1], count * VIEWS, _around(keys[5], count))
    repeat = functools.partial(jnp.repeat, repeats=VIEWS, axis=0)
    people = synthetic.turned(view, pose.Pose(repeat(matrices), repeat(betas)))
    rest = synthetic.rest_pelvis(scene.coco, people.betas)
    seen = _see(keys[2:5], params, scene, people, pelvis - rest, synthetic.detect)
    seen["view_rotation"] = view
    seen["view_translation"] = pelvis - jnp.einsum("rij,rj->ri", view, rest + repeat(trans))
    return {name: x.reshape(count, VIEWS, *x.shape[1:]) for name, x in seen.items()}


def _around(key, count: int):
    """(count * VIEWS,) yaw of the cameras about each person, radians."""
    first, off = jax.random.split(key)
    base = jax.random.uniform(first, (count, 1), maxval=2 * np.pi)
    spread = math.radians(10.0) * jax.random.normal(off, (count, VIEWS))
    return (base + 2 * np.pi / VIEWS * jnp.arange(VIEWS, dtype=jnp.float32) + spread).reshape(-1)
