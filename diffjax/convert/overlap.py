"""How far boxes of people cover each other, and where the boxes come from."""

from typing import Any

import numpy as np

Fields = dict[str, Any]
"""Fields of people, named as in an annotation set."""

_MOST_PAIRS = 20_000_000


def count(fields: Fields) -> int:
    """Number of people."""
    return len(next(value for name, value in fields.items() if not name.endswith("_set")))


def boxes(fields: Fields) -> np.ndarray:
    """(N, 4) left, top, width, height in pixels: `bbox_px`, else around confident 2D keypoints.

    NaN where neither is known.
    """
    if "bbox_px" in fields:
        return np.asarray(fields["bbox_px"], np.float64)
    for name in ("labels2d", "keypoints2d"):
        if name in fields:
            return keypoint_boxes(np.asarray(fields[name], np.float64))
    return np.full((count(fields), 4), np.nan)


def keypoint_boxes(keypoints: np.ndarray) -> np.ndarray:
    """(N, 4) left, top, width, height around confident keypoints (N, K, 3); NaN without area."""
    seen = keypoints[..., 2:] > 0
    low = np.where(seen, keypoints[..., :2], np.inf).min(1, initial=np.inf)
    high = np.where(seen, keypoints[..., :2], -np.inf).max(1, initial=-np.inf)
    good = (high > low).all(-1, keepdims=True)
    low, high = np.where(good, low, np.nan), np.where(good, high, np.nan)
    return np.concatenate([low, high - low], -1)


def iou(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (..., 4) left, top, width, height; NaN of unknown boxes."""
    low = np.maximum(one[..., :2], two[..., :2])
    high = np.minimum(one[..., :2] + one[..., 2:], two[..., :2] + two[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), -1)
    return shared / (np.prod(one[..., 2:], -1) + np.prod(two[..., 2:], -1) - shared)


def alike(one: Fields, two: Fields) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of both; where all of one file are square crops, as frontends have them, the other's as squares."""
    first, second = boxes(one), boxes(two)
    if _square(first) == _square(second):
        return first, second
    return _squares(first), _squares(second)


def from_corners(fields: Fields) -> Fields | None:
    """The fields with `bbox_px` taken as x1, y1, x2, y2; None where that makes no boxes."""
    if "bbox_px" not in fields:
        return None
    box = np.asarray(fields["bbox_px"], np.float64)
    size = box[:, 2:] - box[:, :2]
    if not (size > 0).all(-1).mean() > 0.9:
        return None
    box = np.where(
        (size > 0).all(-1, keepdims=True), np.concatenate([box[:, :2], size], -1), np.nan
    )
    return {**fields, "bbox_px": box}


def _square(box: np.ndarray) -> bool:
    known = box[np.isfinite(box).all(-1), 2:]
    return bool((np.abs(known[:, 0] - known[:, 1]) <= 0.01 * known.max(-1)).all())


def _squares(box: np.ndarray) -> np.ndarray:
    """Squares about the same middle with the longer side."""
    side = box[:, 2:].max(-1, keepdims=True)
    return np.concatenate([box[:, :2] + 0.5 * (box[:, 2:] - side), side, side], -1)


def image_pairs(one: np.ndarray, two: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """All pairs (row, row) with the same id: the first ascending, the second ascending within it."""
    order = np.argsort(two, kind="stable")
    start, stop = (np.searchsorted(two[order], one, side) for side in ("left", "right"))
    number = stop - start
    if number.sum() > _MOST_PAIRS:
        raise ValueError(
            f"{where}: field image: wanted few people an image, found {number.sum()} pairs in the same image; "
            "is it the same in every row?"
        )
    rows = np.repeat(np.arange(len(one)), number)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(number) - number, number)
    return rows, order[np.repeat(start, number) + within]
