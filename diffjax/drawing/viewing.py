"""From metres before the camera to places in a picture: as the camera sees it, from the front, from the side."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from diffjax import camera as cameras
from diffjax import raster

_NEAREST = 0.1
"""Metres: what is nearer to the camera is not in the picture."""
_FINER = 2
"""Pixels computed for each one shown, along an axis."""


class View(NamedTuple):
    """Points as one sees them."""

    flat: Float[np.ndarray, "points 2"]
    """x right, y down: pixels of the camera, or metres."""
    nearness: Float[np.ndarray, " points"]
    """Grows towards the viewer, linear in the picture; NaN where a point cannot be seen."""
    facing: Float[np.ndarray, "points 3"]
    """Metres: x right, y up, z towards the viewer."""


class Window(NamedTuple):
    """The piece of a view that a panel shows."""

    corner: Float[np.ndarray, " 2"]
    """Upper left, in the view's units."""
    scale: float
    """Pixels of the panel a unit."""

    def places(self, flat: Float[np.ndarray, "*points 2"]) -> Float[np.ndarray, "*points 2"]:
        """Where places of the view are in the panel, in its pixels."""
        return (flat - self.corner) * self.scale


def from_camera(camera: cameras.Camera, points_cam: Float[np.ndarray, "points 3"]) -> View:
    """Points as the camera sees them, in pixels of the full image."""
    focal, center = (np.asarray(x, float) for x in (camera.focal_px, camera.center_px))
    points = np.asarray(points_cam, float)
    depth = np.where(points[:, 2] > _NEAREST, points[:, 2], np.nan)
    flat = focal * points[:, :2] / depth[:, None] + center
    return View(flat, 1 / depth, points * (1, -1, -1))


def from_front(points_cam: Float[np.ndarray, "points 3"]) -> View:
    """Points along the camera's axis, without perspective, in metres."""
    points = np.asarray(points_cam, float)
    return View(points[:, :2], -points[:, 2], points * (1, -1, -1))


def from_side(points_cam: Float[np.ndarray, "points 3"]) -> View:
    """Points from the camera's right hand, in metres: the camera itself stands to the left."""
    points = np.asarray(points_cam, float)
    return View(points[:, (2, 1)], points[:, 0], points[:, (2, 1, 0)] * (1, -1, 1))


def window_of(places: Float[np.ndarray, "points 2"], size: tuple[int, int]) -> Window:
    """The least window of a panel's shape that holds all places, with a margin around them."""
    seen = places[np.isfinite(places).all(-1)]
    seen = seen if len(seen) else np.array([[0.0, 0.0], [1.0, 1.0]])
    low, high = seen.min(0), seen.max(0)
    span = np.maximum(high - low, 1e-6) * 1.12
    scale = float((np.asarray(size) / span).min())
    return Window((low + high) / 2 - np.asarray(size) / (2 * scale), scale)


def body_picture(
    view: View, faces: np.ndarray, window: Window, size: tuple[int, int]
) -> tuple[Float[np.ndarray, "height width"], Float[np.ndarray, "height width"]]:
    """Light and cover, in [0, 1], of a body's faces in a panel of `size` (width, height)."""
    seen = faces[np.isfinite(view.nearness[faces]).all(-1)]
    fine = (size[0] * _FINER, size[1] * _FINER)
    corners = window.places(view.flat)[seen] * _FINER
    front = raster.front_faces(corners, view.nearness[seen], fine)
    a, b, c = (view.facing[seen[:, i]] for i in range(3))
    light = np.append(raster.shade(np.cross(b - a, c - a), seen, len(view.flat)), 0.0)
    cover = _coarse((front >= 0).astype(float))
    return (_coarse(light[front]) / np.maximum(cover, 1e-6)).clip(0, 1), cover


def _coarse(fine: np.ndarray) -> np.ndarray:
    height, width = (side // _FINER for side in fine.shape)
    return fine.reshape(height, _FINER, width, _FINER).mean((1, 3))
