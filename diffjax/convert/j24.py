"""SPIN's 24 keypoints (J24) as our sets, and back.

MPI-INF-3DHP's head and top of the head lie in other slots (17, 18) than those of Human3.6M (17, 13).
"""

from typing import Any

import numpy as np

LENGTH = 24
SLOTS: dict[str, tuple[int, ...]] = {
    "h36m17": (14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 13, 9, 10, 11, 8, 7, 6),
    "mpii3d17": (18, 12, 8, 7, 6, 9, 10, 11, 2, 1, 0, 3, 4, 5, 14, 16, 17),
    "coco17": (19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0),
    "h36m14": tuple(range(14)),
    "lsp14": tuple(range(14)),
    "j19": tuple(range(19)),
}
"""Slot of each keypoint of our sets."""

FLAT, SOLID = ("lsp14", "coco17"), ("h36m14", "h36m17", "mpii3d17")
"""The sets that labels in an image, and joints in space, are looked for as."""


def select(values: np.ndarray, sets: tuple[str, ...], field: str) -> dict[str, Any]:
    """`field` and its set: the one of `sets` that shows most keypoints; empty where none does."""
    full = np.zeros((len(values), LENGTH, values.shape[2]), np.float32)
    full[:, : values.shape[1]] = values
    seen = (full[..., -1] > 0).sum(0)
    name = max(sets, key=lambda name: seen[list(SLOTS[name])].sum())
    if not seen[list(SLOTS[name])].any():
        return {}
    return {field: full[:, list(SLOTS[name])], f"{field}_set": name}


def scatter(values: np.ndarray, name: str) -> np.ndarray:
    """(N, 24, C) of keypoints of one of `SLOTS`."""
    out = np.zeros((len(values), LENGTH, values.shape[2]), np.float32)
    out[:, list(SLOTS[name])] = values
    return out
