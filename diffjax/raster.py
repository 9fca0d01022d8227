"""Triangles as pixels: which face is in front, and how the light falls on it. Plain NumPy.

Pixel (row i, column j) is the square from (j, i) to (j + 1, i + 1); its middle decides.
"""

import numpy as np
from jaxtyping import Float, Int

_AT_ONCE = 1 << 20
"""Pixels tested at once."""


def front_faces(
    corners: Float[np.ndarray, "faces 3 2"],
    nearness: Float[np.ndarray, "faces 3"],
    size: tuple[int, int],
) -> Int[np.ndarray, "height width"]:
    """The face in front at every pixel of a picture of `size` (width, height); -1 where there is none.

    Corners are in pixels. `nearness` grows towards the viewer and must be linear in the picture: 1 / z before a
    camera, -z in a parallel view.
    """
    low = np.clip(np.floor(corners.min(1)), 0, size).astype(np.int64)
    high = np.clip(np.ceil(corners.max(1)), 0, size).astype(np.int64)
    face, pixel, near = _hits(corners, nearness, low, high, size)
    order = np.argsort(near, kind="stable")  # The last one written stays.
    front = np.full(size[0] * size[1], -1)
    front[pixel[order]] = face[order]
    return front.reshape(size[::-1])


def _hits(corners, nearness, low, high, size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Face, pixel and nearness wherever the middle of a pixel lies in a face.

    Faces with boxes of like size are tested together, all pixels of all boxes at once.
    """
    inside = np.flatnonzero((high > low).all(1))
    box = (high - low)[inside]
    box = np.where(box > 8, 1 << np.ceil(np.log2(np.maximum(box, 1))).astype(int), box)
    edges = _edges(corners)
    kinds, kind = np.unique(box, axis=0, return_inverse=True)
    found = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for number, (width, height) in enumerate(kinds):
        some = inside[kind.ravel() == number]
        for part in np.array_split(some, -(-len(some) * width * height // _AT_ONCE)):
            across, down = (
                axis.ravel() for axis in np.meshgrid(np.arange(width), np.arange(height))
            )
            x, y = low[part, :1] + across, low[part, 1:] + down
            row, place, near = _inside(edges[..., part], nearness[part], x, y, size)
            found.append((part[row], place, near))
    face, pixel, near = (np.concatenate(column) for column in zip(*found))
    return face, pixel, near


def _edges(corners) -> Float[np.ndarray, "3 3 faces"]:
    """a, b, c of each corner's weight a x + b y + c (barycentric coordinates); NaN in faces without an area."""
    p, q = corners[:, (1, 2, 0)], corners[:, (2, 0, 1)]  # The other two corners of each.
    a, b = p[..., 1] - q[..., 1], q[..., 0] - p[..., 0]
    c = p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]
    area = c.sum(1)
    return np.stack([a, b, c]).transpose(2, 0, 1) / np.where(area == 0, np.nan, area)


def _inside(edges, nearness, x, y, size):
    weights = [a[:, None] * (x + 0.5) + b[:, None] * (y + 0.5) + c[:, None] for a, b, c in edges]
    seen = (weights[0] >= 0) & (weights[1] >= 0) & (weights[2] >= 0)
    row, column = np.nonzero(seen & (x < size[0]) & (y < size[1]))
    near = sum(weight[row, column] * nearness[row, k] for k, weight in enumerate(weights))
    return row, (y * size[0] + x)[row, column], near


def shade(
    normals: Float[np.ndarray, "faces 3"], faces: Int[np.ndarray, "faces 3"], verts: int
) -> Float[np.ndarray, " faces"]:
    """Light of each face, about 0.3 to 1: Lambert's cosine under key light, fill light and sky.

    Normals (x right, y up, z towards the viewer; any length) are smoothed over neighbours.
    """
    smooth = np.zeros((verts, 3))
    for corner in faces.T:
        np.add.at(smooth, corner, normals)
    mean = smooth[faces].sum(axis=1)
    mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
    key, fill = np.array([-0.45, 0.55, 0.70]), np.array([0.80, 0.05, 0.60])
    return 0.36 + 0.07 * mean[:, 1] + 0.60 * (mean @ key).clip(0) + 0.16 * (mean @ fill).clip(0)
