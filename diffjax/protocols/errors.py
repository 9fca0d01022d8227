"""Every person's numbers under a protocol."""

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp

from diffjax import body, camera, energies, metrics, skeleton
from diffjax.pose import Evidence, Pose
from diffjax.protocols.protocol import Protocol

_MM, _DEG, _PERCENT = "mm", "deg", "%"
UNITS = {
    "mpjpe": _MM, "pa_mpjpe": _MM, "n_mpjpe": _MM, "pve": _MM, "pa_pve": _MM,
    "rotation": _DEG, "root": _DEG, "mpjae": _DEG, "pa_mpjae": _DEG,
    "pck": _PERCENT, "auc": _PERCENT, "pa_pck": _PERCENT, "pa_auc": _PERCENT,
    "acceleration_error": "mm/frame^2", "acceleration_error_s": "mm/s^2", "jerk": "mm/frame^3", "jitter": "10 m/s^3",
    "px": "px", "box": "% of box", "pck2d_05": _PERCENT, "pck2d_10": _PERCENT, "pckh": _PERCENT,
    "harm": _PERCENT,
}  # fmt: skip
"""Of every measure there is."""
IN_TIME = ("acceleration_error", "acceleration_error_s", "jerk", "jitter")
"""Measures that need neighbours: `in_time` has them."""


class Rows(NamedTuple):
    """People of one true body."""

    pred: Pose
    place: Any
    """(n, 3) translation of the prediction, metres, camera frame."""
    true: Pose
    joints: Any
    """(n, J, 4)"""
    posed: Any
    """(n,) whether `true` on this body is the truth."""
    turned: Any
    """(n,) whether its rotations are."""
    image: Evidence | None


class Models(NamedTuple):
    """Of predictions, and of their truth."""

    model: body.BodyModel
    joints: body.KeypointModel
    image: body.KeypointModel | None
    true_model: body.BodyModel


class Settings(NamedTuple):
    """What a program is compiled for."""

    protocol: Protocol
    moving: tuple[int, ...]
    """Joints whose local rotations are judged."""
    placed: bool
    image_names: tuple[str, ...]
    posed: bool
    """Whether the true joints of those whose mesh is known were posed with it."""


@functools.cache
def work_of(settings: Settings):
    """(rows, models) -> numbers by measure, with `points` (centred) and `raw` joints for measures in time."""
    wanted = {column.measure for column in settings.protocol.columns} | {"pa_mpjpe"}

    def work(rows: Rows, models: Models) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if settings.protocol.truth != "image":
            at = _stand(settings.protocol, rows, models)
            found |= _of_points(settings, at) | _of_turns(settings, rows, at)
            if wanted & {"pve", "pa_pve"}:
                found |= _of_meshes(settings, rows, models, at)
        if rows.image is not None and models.image is not None:
            found |= _of_image(settings, rows, rows.image, models.image)
        kept = wanted | ({"points", "raw", "sure"} if wanted & set(IN_TIME) else set())
        return {name: value for name, value in found.items() if name in kept}

    return work


class _Standing(NamedTuple):
    """Joints, and how the predicted ones are laid on the true ones."""

    points: Any
    true: Any
    weight: Any
    """(n, J) of the joints that count."""
    near: Any
    """(n, J) of those that PCK counts."""
    our_root: Any
    their_root: Any
    rooted: Any
    """(n, 1) whether the truth has a root."""
    enough: Any
    """(n, 1) whether it has three joints, which an alignment needs."""
    by: metrics.Similarity


def _stand(protocol: Protocol, rows: Rows, models: Models) -> _Standing:
    points = body.pose_keypoints(models.joints, rows.pred.rotations, rows.pred.betas)
    true, weight = rows.joints[..., :3], _weights(protocol, rows.joints, protocol.counted)
    near = _weights(protocol, rows.joints, protocol.near.joints)
    roots = _middles(protocol, points, rows.joints)
    enough = jnp.sum(weight > 0, -1, keepdims=True) > 2
    by = metrics.similarity(points, true, weight)
    return _Standing(points, true, weight, near, *roots, enough, by)


def _at(names: tuple[str, ...], among: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(among.index(name) for name in names)


def _weights(protocol: Protocol, joints, of: tuple[str, ...]):
    """Of the truth, at the joints that count."""
    names = skeleton.keypoint_set(protocol.joints)
    return joints[..., 3] * jnp.asarray([float(name in of) for name in names], joints.dtype)


def _middles(protocol: Protocol, points, joints):
    """(n, 1, 3) roots of the predictions and of the truth, and (n, 1) whether the truth has one."""
    names = skeleton.keypoint_set(protocol.joints)
    ours = theirs = jnp.zeros_like(points[..., :1, :])
    known = jnp.zeros((*points.shape[:-2], 1), bool)
    for root in reversed(protocol.root):
        index = jnp.asarray(_at(root, names))
        sure = jnp.all(joints[..., index, 3] > 0, -1)
        known |= sure[..., None]
        sure = sure[..., None, None]
        ours = jnp.where(sure, jnp.mean(points[..., index, :], -2, keepdims=True), ours)
        theirs = jnp.where(sure, jnp.mean(joints[..., index, :3], -2, keepdims=True), theirs)
    return ours, theirs, known


def _of_points(settings: Settings, at: _Standing) -> dict[str, Any]:
    protocol = settings.protocol
    ours, theirs = at.points - at.our_root, at.true - at.their_root
    laid = metrics.moved(at.points, at.by)
    centred, enough = (jnp.where(sure, at.weight, 0.0) for sure in (at.rooted, at.enough))
    found = {
        "mpjpe": metrics.known(metrics.mpjpe_mm(ours, theirs, at.weight), centred),
        "n_mpjpe": metrics.known(metrics.n_mpjpe_mm(ours, theirs, at.weight), centred),
        "pa_mpjpe": metrics.known(metrics.mpjpe_mm(laid, at.true, at.weight), enough),
        "points": ours - theirs,
        "raw": at.points,
        "sure": centred,
    }
    found |= _near("", protocol, (ours, theirs), jnp.where(at.rooted, at.near, 0.0))
    return found | _near("pa_", protocol, (laid, at.true), jnp.where(at.enough, at.near, 0.0))


def _near(start: str, protocol: Protocol, pair, near) -> dict[str, Any]:
    """PCK and AUC in percent."""
    pred, true = pair
    if protocol.near.area_mm:
        area = metrics.area_under_pck(pred, true, near, protocol.near.area_mm)
    else:
        area = metrics.auc(pred, true, near)
    share = metrics.pck(pred, true, protocol.near.threshold_mm, near)
    return {
        f"{start}pck": 100 * metrics.known(share, near),
        f"{start}auc": 100 * metrics.known(area, near),
    }


def _of_turns(settings: Settings, rows: Rows, at: _Standing) -> dict[str, Any]:
    pred, true = rows.pred.rotations, rows.true.rotations
    aligned = metrics.orientation_error_deg(pred, true, at.by.rotation)
    found = {
        "rotation": metrics.rotation_error_deg(pred, true, settings.moving),
        "root": metrics.rotation_error_deg(pred, true, (0,)),
        "mpjae": metrics.orientation_error_deg(pred, true),
        "pa_mpjae": jnp.where(at.enough[..., 0], aligned, jnp.nan),
    }
    return {name: jnp.where(rows.turned, error, jnp.nan) for name, error in found.items()}


def _of_meshes(settings: Settings, rows: Rows, models: Models, at: _Standing) -> dict[str, Any]:
    """The table's meshes stand pelvis on pelvis, a protocol's root on root; both are aligned by the joints."""
    pairs = (rows.pred, models.model), (rows.true, models.true_model)
    ours, theirs = (body.pose_body(model, p.rotations, p.betas) for p, model in pairs)
    roots = at.our_root, at.their_root
    if settings.protocol.truth == "table":
        roots = ours.joints[..., :1, :], theirs.joints[..., :1, :]
    found = {
        "pve": metrics.vertex_error_mm(ours.vertices - roots[0], theirs.vertices - roots[1]),
        "pa_pve": metrics.vertex_error_mm(metrics.moved(ours.vertices, at.by), theirs.vertices),
    }
    if not settings.posed:
        found["pa_pve"] = jnp.full_like(found["pve"], jnp.nan)
    return {name: jnp.where(rows.posed, error, jnp.nan) for name, error in found.items()}


def _of_image(
    settings: Settings, rows: Rows, image: Evidence, model: body.KeypointModel
) -> dict[str, Any]:
    seen = body.pose_keypoints(model, rows.pred.rotations, rows.pred.betas)
    place = rows.place if settings.placed else energies.place(seen, image, 0.1)
    pixels = camera.project(image.camera, seen + place[..., None, :])
    labels, names = image.keypoints2d, settings.image_names
    error, box = metrics.image_error_px(pixels, labels), metrics.box_px(labels)
    found = {
        "px": error,
        "box": 100 * error / box,
        "pck2d_05": 100 * metrics.image_pck(pixels, labels, box, 0.05),
        "pck2d_10": 100 * metrics.image_pck(pixels, labels, box, 0.1),
    }
    unknown = jnp.full_like(error, jnp.nan)
    if not {"head_top", "neck"} <= set(names):
        return found | {"pckh": unknown}
    head = metrics.head_px(labels, *_at(("head_top", "neck"), names))
    return found | {"pckh": 100 * metrics.image_pck(pixels, labels, head, 0.5)}
