"""Pockets of a closed mesh (inside of the mouth, eye sockets), spanned by a membrane.

MakeHuman's skin runs into the mouth and behind the eyes. Nobody sees it there, it costs vertices
and it folds through itself, so each pocket becomes the smooth patch over its rim. The surface stays
closed.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph, linalg

_CELL = 0.0025
"""Pixel of the depth maps, metres; the slack in depth is twice this."""
_EYES = 128
"""Directions on the whole sphere to look from."""


def _sphere(count: int) -> np.ndarray:
    """(count, 3) directions spread evenly (Fibonacci)."""
    k = np.arange(count)
    z, angle = 1 - (2 * k + 1) / count, k * np.pi * (3 - 5**0.5)
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], 1)


def ball(points: np.ndarray) -> np.ndarray:
    """(4000, 3) points on the sphere around a group of vertices, an eyeball."""
    centre = 0.5 * (points.min(0) + points.max(0))
    radius = np.median(np.linalg.norm(points - centre, axis=1))
    return centre + radius * _sphere(4000)


def _covered(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Points all over the triangles, close enough together to leave no pixel empty."""
    steps = 4
    grid = [(i, j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    corners = np.array([(steps - i - j, i, j) for i, j in grid]) / steps
    return np.einsum("pk,fkc->fpc", corners, vertices[faces]).reshape(-1, 3)


def visibility(
    vertices: np.ndarray, faces: np.ndarray, extra: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Share of directions from which each vertex asked for is seen past faces and `extra` points.

    The mesh is a head cut at the neck: not looked at from below, nor from straight behind.
    """
    solid = np.concatenate([_covered(vertices, faces), extra])
    seen = np.zeros(len(asked))
    directions = [d for d in _sphere(_EYES) if d[1] > -0.35 and d[2] > -0.6]
    for direction in directions:
        axes = np.linalg.svd(direction[None])[2]
        low, size = (
            (solid @ axes[1:].T).min(0),
            int(np.ptp(solid @ axes[1:].T, axis=0).max() / _CELL) + 3,
        )
        depth = np.full((size, size), -np.inf)
        np.maximum.at(depth, _pixels(solid, axes, low), solid @ direction)
        near = depth[_pixels(vertices[asked], axes, low)]
        seen += vertices[asked] @ direction >= near - 2 * _CELL
    return seen / len(directions)


def _pixels(points: np.ndarray, axes: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(((points @ axes[1:].T - low) / _CELL).astype(int).T)


def _adjacency(faces: np.ndarray, count: int) -> sparse.csr_array:
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    links = sparse.coo_array((np.ones(len(a)), (a, b)), (count, count)).tocsr()
    return ((links + links.T) > 0).astype(float)


def pocket_vertices(hidden: np.ndarray, faces: np.ndarray, least: int = 12) -> np.ndarray:
    """(V,) mask of the pockets: all but the largest patch of seen vertices, `least` or more each.

    What hidden vertices cut off from the outside is inside too, though a ray may have got there.
    """
    links = _adjacency(faces, len(hidden))
    outside = _patches(links, ~hidden)
    inside = outside != np.argmax(np.bincount(outside[outside >= 0]))
    patch = _patches(links, inside)
    return inside & (np.bincount(patch[inside])[patch] >= least)


def _patches(links: sparse.csr_array, mask: np.ndarray) -> np.ndarray:
    """(V,) number of the connected patch of each vertex in the mask, -1 outside it."""
    ids, out = np.flatnonzero(mask), np.full(len(mask), -1)
    out[ids] = csgraph.connected_components(links[ids][:, ids], directed=False)[1]
    return out


def membrane(pocket: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inside, rim and matrix (inside, rim): positions inside = matrix @ positions on the rim.

    Each inside vertex is the mean of its neighbours: linear, so it holds for shape targets too.
    """
    links = _adjacency(faces, len(pocket))
    inside = np.flatnonzero(pocket)
    rim = np.flatnonzero((links @ pocket > 0) & ~pocket)
    degree = sparse.diags_array(links.sum(1)[inside])
    laplacian = (degree - links[inside][:, inside]).tocsc()
    return inside, rim, linalg.splu(laplacian).solve(links[inside][:, rim].toarray())
