"""One person as a row of panels: each body over the keypoints, and from the side."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from diffjax import camera as cameras
from diffjax import skeleton
from diffjax.drawing import sheets, viewing

_MISS = 0.02
"""Keypoints that the body misses by less, in shares of the keypoints' box, get no line."""


class Body(NamedTuple):
    """One body of a person: the estimate, the refined one or the truth."""

    name: str
    vertices_cam: Float[np.ndarray, "verts 3"]
    """Metres, camera axes; the origin is the camera only if `placed`."""
    joints_cam: Float[np.ndarray, "24 3"]
    placed: bool
    keypoints_px: Float[np.ndarray, "K 2"] | None = None
    """Where the body has the keypoints; None where nobody knows."""
    error_px: float | None = None
    error_mm: float | None = None


class Person(NamedTuple):
    """All that a row of the picture shows."""

    title: str
    bodies: tuple[Body, ...]
    truth: Body | None
    camera: cameras.Camera | None
    evidence: Float[np.ndarray, "K 3"] | None
    """Keypoints in pixels of the full image, and confidence."""
    names: tuple[str, ...] = ()
    """Of the keypoints."""
    photo: Any = None
    """The image as Pillow has it, of any size in the shape of the camera's."""
    notes: tuple[str, ...] = ()


def draw(
    sheet: sheets.Sheet, person: Person, faces: np.ndarray | None, top: int, columns: int
) -> None:
    """Draws the row whose upper edge is at `top`; side views begin in the middle of the columns."""
    sheet.write(sheets.GAP, top + sheets.LABEL / 2, person.title)
    views = [_seen(person, body) for body in person.bodies]
    side = [_sideways(body) for body in (*person.bodies, *[person.truth] * bool(person.truth))]
    window = _camera_window(person, views)
    across = viewing.window_of(np.concatenate([view.flat for view in side]), sheets.PANEL)
    truth = _silhouette(side[-1], faces, across) if person.truth and faces is not None else None
    for number, body in enumerate(person.bodies):
        x = sheets.GAP + number * (sheets.PANEL[0] + sheets.GAP)
        panel = sheets.Panel(sheet, x, top + sheets.LABEL)
        _draw_ground(panel, person, window)
        _draw_body(panel, views[number], faces, window, 0.72 if person.photo else 1.0)
        _draw_keypoints(panel, person, body, window)
        panel.below(_told(person, body))
        panel = sheets.Panel(
            sheet, x + columns // 2 * (sheets.PANEL[0] + sheets.GAP), top + sheets.LABEL
        )
        _draw_body(panel, side[number], faces, across, 1.0)
        if truth is not None:
            panel.outline(truth)
        elif person.truth:
            _draw_bones(panel, across.places(side[-1].flat[:24]), sheets.INK, 2.0)
        panel.write(6, 16, "camera →", size=sheets.TEXT - 7, color="#5a6069")
        panel.below("" if body.error_mm is None else f"{body.error_mm:.0f} mm off")
    for number, note in enumerate(person.notes):
        y = top + sheets.LABEL + sheets.PANEL[1] + sheets.CAPTION + (number + 0.4) * sheets.NOTE
        sheet.write(sheets.GAP, y, f"! {note}", size=sheets.TEXT - 3)


def _told(person: Person, body: Body) -> str:
    if body.error_px is not None:
        return f"{body.error_px:.{1 if body.error_px < 100 else 0}f} px off"
    none = person.evidence is None or not (person.evidence[:, 2] > 0).any()
    return "no keypoints" if none else ""


def _seen(person: Person, body: Body) -> viewing.View:
    """Joints, then vertices, as the camera sees them, or from the front."""
    points = np.concatenate([body.joints_cam, body.vertices_cam])
    if person.camera is None or not _in_picture(person):
        return viewing.from_front(points - body.joints_cam[0])
    return viewing.from_camera(person.camera, points)


def _sideways(body: Body) -> viewing.View:
    """Joints, then vertices, from the side, with the pelvis in the middle."""
    points = np.concatenate([body.joints_cam, body.vertices_cam])
    return viewing.from_side(points - body.joints_cam[0])


def _camera_window(person: Person, views: list[viewing.View]) -> viewing.Window:
    """All bodies and keypoints; but no more than three of the keypoints' boxes, if a body is far off."""
    places, evidence = np.concatenate([view.flat for view in views]), person.evidence
    if evidence is not None and _in_picture(person) and (evidence[:, 2] > 0).any():
        known = evidence[evidence[:, 2] > 0, :2]
        low, high = known.min(0), known.max(0)
        room = max(*(high - low), 1.0)
        places = np.concatenate([np.clip(places, low - room, high + room), known])
    return viewing.window_of(places, sheets.PANEL)


def _in_picture(person: Person) -> bool:
    """Whether the camera's picture is drawn: it must be known where all bodies stand, to compare them."""
    return person.camera is not None and all(body.placed for body in person.bodies)


def _draw_ground(panel: sheets.Panel, person: Person, window: viewing.Window) -> None:
    """The photo, or a plain ground; darker outside the image."""
    if person.camera is None or not _in_picture(person):
        return
    corners = np.stack([np.zeros(2), np.asarray(person.camera.image_size_px)])
    low, high = np.clip(np.round(window.places(corners)), 0, sheets.PANEL).astype(int)
    panel.canvas[:] = sheets.OUTSIDE
    inside = panel.canvas[low[1] : high[1], low[0] : high[0]]
    if not inside.size:
        return
    inside[:] = sheets.GROUND
    if person.photo is not None:
        scale = np.asarray(person.photo.size) / corners[1]
        box = np.concatenate([x / window.scale + window.corner for x in (low, high)]) * (
            *scale,
            *scale,
        )
        limits = np.tile(person.photo.size, 2)
        shape = (inside.shape[1], inside.shape[0])
        piece = person.photo.convert("RGB").resize(shape, 4, tuple(np.clip(box, 0, limits)))
        inside[:] = 0.12 + 0.88 * np.asarray(piece) / 255


def _draw_body(
    panel: sheets.Panel,
    view: viewing.View,
    faces: np.ndarray | None,
    window: viewing.Window,
    alpha: float,
) -> None:
    if faces is None:
        return _draw_bones(panel, window.places(view.flat[:24]), "#4d6f94", 7.0)
    mesh = viewing.View(*(x[24:] for x in view))
    light, cover = viewing.body_picture(mesh, faces, window, sheets.PANEL)
    panel.tint(light[..., None] * sheets.SKIN, alpha * cover)
    return None


def _draw_bones(panel: sheets.Panel, places: np.ndarray, colour: str, width: sheets.Number) -> None:
    for joint, parent in enumerate(skeleton.SMPL_PARENTS):
        ends = places[[joint, parent]]
        if parent >= 0 and np.isfinite(ends).all():
            panel.line(ends, color=colour, linewidth=width, zorder=2)


def _silhouette(view: viewing.View, faces: np.ndarray, window: viewing.Window) -> np.ndarray:
    return viewing.body_picture(viewing.View(*(x[24:] for x in view)), faces, window, sheets.PANEL)[
        1
    ]


def _draw_keypoints(
    panel: sheets.Panel, person: Person, body: Body, window: viewing.Window
) -> None:
    """Keypoints, and a line to where the body has them, if that is elsewhere."""
    if person.evidence is None or person.camera is None or not _in_picture(person):
        return
    evidence = np.asarray(person.evidence, float)
    box = _side_of_box(evidence)
    places = window.places(evidence[:, :2])
    own = None if body.keypoints_px is None else window.places(body.keypoints_px)
    for k in np.flatnonzero(evidence[:, 2] > 0):
        if own is not None and np.isfinite(own[k]).all():
            _draw_miss(panel, places[k], own[k], _MISS * box * window.scale)
        _mark(panel, places[k], person.names[k], float(evidence[k, 2]))


def _side_of_box(evidence: np.ndarray) -> float:
    seen = evidence[evidence[:, 2] > 0, :2]
    return float(np.ptp(seen, axis=0).max(initial=1.0)) if len(seen) else 1.0


def _draw_miss(
    panel: sheets.Panel, keypoint: np.ndarray, own: np.ndarray, least: sheets.Number
) -> None:
    if np.linalg.norm(own - keypoint) > least:
        ends = np.stack([keypoint, own])
        panel.line(ends, color="white", linewidth=5.0, zorder=3)
        panel.line(ends, color=sheets.LINE, linewidth=2.6, zorder=4)


def _mark(panel: sheets.Panel, place: np.ndarray, name: str, sure: sheets.Number) -> None:
    """A keypoint: fainter and smaller where it is less sure; smaller in the face, where they are many."""
    marker, colour = sheets.SIDES[side_of(name)]
    sure = float(np.clip(sure, 0, 1))
    crowded = any(part in name for part in ("eye", "ear", "nose", "toe", "heel"))
    size = (5.0 + 4.0 * sure) * (0.7 if crowded else 1.0)
    how = {
        "marker": marker,
        "markersize": size,
        "markeredgecolor": sheets.INK,
        "markeredgewidth": 1.2,
    }
    panel.line(place[None], color=colour, alpha=0.35 + 0.65 * sure, zorder=5, **how)


def side_of(name: str) -> str:
    """left, right, or nothing for what lies in the middle."""
    return next((side for side in ("left", "right") if name.startswith(side)), "")
