"""The same people under other conditions: keypoints simulated from their truth, fewer views, fewer frames a second.

What chance decides is drawn once for all values of a condition, so that curves are paired: each keypoint's error keeps
its direction and grows with the noise, and whatever is missing stays missing when more is.
"""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from diffjax import body, camera, config, fitting
from diffjax.data import records

SET = "coco17"
NOISE_PX, MISSING = 4.0, 0.05
"""Of a careful annotator: standard deviation of a coordinate, and the share of keypoints that are missing."""
NEEDED = ("pose", "betas", "cam_t", "focal_px", "center_px")
_CHUNK = 256
_NEAREST = 0.1
"""Metres before the camera. An unknown place is the camera's own."""


def simulated_labels(
    path: str, a: records.AnnotationSet, noise_px: float, missing: float, seed: int = 0
) -> records.AnnotationSet:
    """The set with labels2d that are the projection of its truth plus noise, by the body of a file.

    noise_px: standard deviation of a coordinate; missing: share of keypoints. Confidence is 1 or, where a keypoint is
    missing, behind the camera, or of somebody whose truth is not known, 0.
    """
    known = told_by_truth(a)
    model = body.load_body(config.locate(path))
    keypoints = body.fold_keypoints(model, body.load_regressor(config.locate(path), SET))
    pixels, ahead = true_pixels(keypoints, a)
    random = np.random.default_rng(seed)
    noise, chance = random.standard_normal(pixels.shape), random.random(pixels.shape[:2])
    seen = (chance >= missing) & ahead & np.isfinite(pixels).all(-1) & known[:, None]
    found = np.where(seen[..., None], pixels + noise_px * noise, 0.0)
    labels = np.concatenate([found, seen[..., None]], -1).astype(np.float32)
    return dataclasses.replace(a, labels2d=labels, labels2d_set=SET)


def told_by_truth(a: records.AnnotationSet) -> np.ndarray:
    """(N,) of whom keypoints can be simulated: see `seen_truly`. ValueError where of nobody."""
    absent = [name for name in NEEDED if getattr(a, name) is None]
    if absent:
        raise ValueError(
            f"field {absent[0]}: wanted by keypoints that are simulated from the truth, found nothing; it takes "
            f"{', '.join(NEEDED)}"
        )
    known = seen_truly(a)
    if not known.any():
        raise ValueError(
            "fields pose, betas, gender: wanted somebody's finite truth of the neutral body to simulate keypoints "
            "from, found nobody's"
        )
    return known


def seen_truly(a: records.AnnotationSet) -> np.ndarray:
    """(N,) whose true keypoints in the image are known: a finite truth, of the neutral body, and a camera."""
    known = np.full(records.count(a), True) if a.gender is None else a.gender == "neutral"
    for name in NEEDED:
        column = getattr(a, name)
        there = False if column is None else np.isfinite(column).reshape(len(known), -1).all(-1)
        known = known & there
    return known if a.cam_t is None else known & (a.cam_t[:, 2] > _NEAREST)


def true_pixels(
    keypoints: body.KeypointModel, a: records.AnnotationSet
) -> tuple[np.ndarray, np.ndarray]:
    """(N, K, 2) pixels of the true keypoints, and (N, K) which are before the camera."""
    columns = [np.asarray(getattr(a, name)) for name in NEEDED]
    found = []
    for start in range(0, len(columns[0]), _CHUNK):
        rows = np.minimum(np.arange(start, start + _CHUNK), len(columns[0]) - 1)
        found.append([np.asarray(x) for x in _project(keypoints, *(x[rows] for x in columns))])
    pixels, depth = (np.concatenate(parts)[: len(columns[0])] for parts in zip(*found))
    return pixels, depth > _NEAREST


@jax.jit
def _project(keypoints, rotations, betas, place, focal_px, center_px):
    points = body.pose_keypoints(keypoints, rotations, betas) + place[:, None]
    view = camera.Camera(focal_px, center_px, 2 * center_px)
    return camera.project(view, points), points[..., 2]


def first_views(a: records.AnnotationSet, count: int) -> records.AnnotationSet:
    """The rows of the first `count` cameras of each instant, in the order of their names."""
    groups = fitting.groups_of(a, "views")
    return records.take(a, np.sort(np.concatenate([rows[:count] for rows in groups])))


def most_views(a: records.AnnotationSet) -> int:
    """Of an instant."""
    return max(len(rows) for rows in fitting.groups_of(a, "views"))


def every(
    a: records.AnnotationSet, stride: int, strides: Sequence[int]
) -> tuple[records.AnnotationSet, np.ndarray]:
    """Every n-th frame of each track, and which of those are there at all `strides`: they are judged."""
    place = np.zeros(records.count(a), np.int64)
    for rows in fitting.groups_of(a, "video"):
        place[rows] = np.arange(len(rows))
    kept = np.flatnonzero(place % stride == 0)
    common = place[kept] % int(np.lcm.reduce(np.asarray(strides))) == 0
    return records.take(a, kept), common
