"""Everything that a row says by itself, in one compiled function over the rows of a piece."""

from typing import Any

import jax.numpy as jnp

from diffjax import body, camera
from diffjax import rotations as so3
from diffjax.audit import in_time, measures


def numbers(
    batch: dict[str, Any],
    model: body.BodyModel,
    keypoints: body.KeypointModel | None,
    sides: measures.Sides,
) -> dict[str, Any]:
    """Everything that a row says by itself. Matrices that are no rotations count as the nearest one."""
    error = measures.rotation_error(batch["pose"])
    rotations, betas = so3.project_to_so3(batch["pose"]), batch["betas"]
    joints = body.pose_joints(model, rotations, betas)
    excess = measures.limit_excess_deg(rotations)
    found = _worst("not_a_rotation", error) | _worst("joint_limit", excess)
    found |= _worst("betas", jnp.abs(betas))
    found |= {"_joints": joints - joints[:, :1], "_limit_deg": excess}
    found["_limbs"] = in_time.limb_lengths(joints)
    place = batch.get("place")
    if place is not None:
        found["behind_camera"] = measures.nearest_depth_m(joints + place[:, None])
    if "keypoints" in batch:
        found["unseen"] = measures.seen_count(batch["keypoints"])
    if "focal_px" in batch and "center_px" in batch:
        view = _view(batch)
        if place is not None and "image_size_px" in batch:
            found["outside_image"] = measures.outside_share(view, joints + place[:, None])
        if keypoints is not None and "keypoints" in batch:
            points = body.pose_keypoints(keypoints, rotations, betas)
            found |= _reprojected(view, points, batch["keypoints"], place, sides)
    return found


def _view(batch) -> camera.Camera:
    size = batch.get("image_size_px", 2 * batch["center_px"])
    return camera.Camera(batch["focal_px"], batch["center_px"], size)


def _worst(name: str, values) -> dict[str, Any]:
    place = jnp.argmax(jnp.nan_to_num(values, nan=-1.0), -1)
    return {name: jnp.nanmax(values, -1), f"{name}_at": place.astype(jnp.int8)}


def _reprojected(view, points, seen, place, sides) -> dict[str, Any]:
    """How the body agrees with keypoints, put where it fits best; and what the set's own place adds."""
    side = camera.keypoint_box(seen)[1]
    best = camera.fit_translation(view, points, seen)
    there = camera.project(view, points + best[:, None])
    apart = measures.distances_px(there, seen)
    mean = measures.mean_distance_px(apart, seen)
    found = {
        "reprojection": mean / side,
        "reprojection_at": _worst("x", apart)["x_at"],
        "reprojection_px": mean,
        "swapped_keypoints": measures.swap_gain(there, seen, sides),
        "_apart_px": apart,
    }
    if place is not None:
        own = measures.distances_px(camera.project(view, points + place[:, None]), seen)
        found["misplaced"] = (measures.mean_distance_px(own, seen) - mean) / side
    return found
