"""What cameras saw of people whose joints are known: frames of videos as fields, and the cameras they imply."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from diffjax.convert import rows

Say = Callable[[str], None]

_FAR_PX = 2.0  # A fitted camera that misses by more than this (median) is not one.


class Video(NamedTuple):
    """The frames of one camera."""

    name: str
    joints: np.ndarray
    """(F, 17, 3) metres: what is delivered."""
    metric: np.ndarray
    """(F, 17, 3) metres, camera frame: what the pixels are projections of."""
    pixels: np.ndarray
    """(F, 17, 2)"""
    index: np.ndarray
    """(F,) number of the frame, from 0."""
    image: str
    """Its images' names, with a place for index + 1."""
    size: tuple[float, float]


def fields_of(videos: list[Video], say: Say) -> dict[str, Any]:
    """A row a frame, video by video."""
    fields: dict[str, Any] = {
        "keypoints3d": rows.with_confidence(np.concatenate([video.joints for video in videos])),
        "keypoints2d": rows.with_confidence(np.concatenate([video.pixels for video in videos])),
        "keypoints3d_set": "mpii3d17",
        "keypoints2d_set": "mpii3d17",
        "frame": np.concatenate([video.index + 1 for video in videos]),
        "image": np.array(
            [video.image.format(i + 1) for video in videos for i in video.index.tolist()]
        ),
        "sequence": np.repeat(
            [video.name for video in videos], [len(video.index) for video in videos]
        ),
    }
    fields["subject"] = np.array([name.split("/")[0] for name in fields["sequence"].tolist()])
    sizes = [np.tile(video.size, (len(video.index), 1)) for video in videos]
    fields["image_size_px"] = np.concatenate(sizes).astype(np.float32)
    found = rows.boxes(fields["keypoints2d"])
    return fields | ({} if found is None else {"bbox_px": found}) | _cameras(videos, say)


def _cameras(videos: list[Video], say: Say) -> dict[str, np.ndarray]:
    """focal_px and center_px of every row, where every part's pixels tell them; else nothing."""
    cameras = [fit_camera(video.metric, video.pixels) for video in videos]
    worst = max(cameras, key=lambda found: found[2])
    if not worst[2] <= _FAR_PX:
        say(
            f"annot2 and annot3 imply no camera ({worst[2]:.3g} px off, median): focal_px is left out"
        )
        return {}
    say(f"cameras fitted to annot2 and annot3: within {worst[2]:.2g} px (median of the worst)")
    counts = [len(video.index) for video in videos]
    focal, center = (np.repeat(np.array([c[i] for c in cameras]), counts, 0) for i in (0, 1))
    return {"focal_px": focal.astype(np.float32), "center_px": center.astype(np.float32)}


def fit_camera(points: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(focal, center, median distance), px, of the pinhole that takes camera-frame points to pixels.

    Least squares of pixel = focal X / Z + center, each axis for itself; the distance is inf without a fit.
    """
    rays = (points[..., :2] / points[..., 2:]).reshape(-1, 2).astype(np.float64)
    seen, flat = points[..., 2].ravel() > 0.1, pixels.reshape(-1, 2).astype(np.float64)
    seen &= np.isfinite(rays).all(-1) & np.isfinite(flat).all(-1) & (np.abs(flat) < 1e5).all(-1)
    rays, flat = rays[seen], flat[seen]
    spread = rays.var(0) if len(rays) > 2 else np.zeros(2)
    if not (spread > 1e-8).all():
        return np.ones(2), np.zeros(2), np.inf
    means = rays.mean(0), flat.mean(0)
    focal = ((rays - means[0]) * (flat - means[1])).mean(0) / spread
    center = means[1] - focal * means[0]
    distance = float(np.median(np.linalg.norm(rays * focal + center - flat, axis=-1)))
    return focal, center, distance if (focal > 0).all() else np.inf
