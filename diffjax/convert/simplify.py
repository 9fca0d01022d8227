"""A closed symmetric mesh with fewer vertices, still closed and symmetric.

Half-edge collapses in the order of the quadric error (Garland & Heckbert 1997). A collapse keeps
one end where it is, so the vertices left are a subset of those given and keep their skin and shape.
Each collapse passes the link condition, so the surface stays a closed manifold, and each is done
together with its mirror image.
"""

import heapq

import numpy as np


def triangulate(quads: np.ndarray, vertices: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """(2F, 3) triangles: every quad cut along its shorter diagonal, the mirrored quad alike."""
    triangles = []
    for a, b, c, d in quads.tolist():
        first, second = (_diagonal(p, q, vertices, mirror) for p, q in ((a, c), (b, d)))
        triangles += [(a, b, c), (a, c, d)] if first <= second else [(b, c, d), (b, d, a)]
    return np.array(triangles)


def _diagonal(p: int, q: int, vertices: np.ndarray, mirror: np.ndarray):
    """Sorts diagonals by length, and equal ones the same on both sides."""
    length = round(float(np.linalg.norm(vertices[p] - vertices[q])), 6)
    return length, sorted((min(p, mirror[p]), min(q, mirror[q])))


def _quadrics(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 4, 4) area-weighted sum of squared distances to the planes of the faces around."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1)
    normal = cross / np.maximum(area, 1e-12)[:, None]
    plane = np.concatenate([normal, -np.sum(normal * a, 1, keepdims=True)], 1)
    error = area[:, None, None] * plane[:, :, None] * plane[:, None, :]
    out = np.zeros((len(vertices), 4, 4))
    for k in range(3):
        np.add.at(out, faces[:, k], error)
    return out


_Face = tuple[int, ...]


class _Mesh:
    """Faces around each vertex, with the one operation that changes them."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray):
        self.points = [tuple(map(float, p)) for p in vertices]
        self.around: list[set[_Face]] = [set() for _ in vertices]
        for face in faces.tolist():
            for v in face:
                self.around[v].add(tuple(face))

    def neighbours(self, v: int) -> set[int]:
        return {w for face in self.around[v] for w in face} - {v}

    def moved(self, u: int, v: int) -> list[tuple[_Face, _Face]]:
        """Faces around u that survive u -> v, before and after."""
        kept = [face for face in self.around[u] if v not in face]
        return [(face, tuple(v if w == u else w for w in face)) for face in kept]

    def allows(self, u: int, v: int) -> bool:
        """The link condition, a bounded valence, and no face that flips or becomes a sliver."""
        near_u, near_v = self.neighbours(u), self.neighbours(v)
        if v not in near_u or len(near_u & near_v) != 2 or len(near_u | near_v) > 14:
            return False
        return all(self._keeps_shape(old, new) for old, new in self.moved(u, v))

    def _keeps_shape(self, old, new) -> bool:
        n_old, _ = self._normal(old)
        n_new, round_new = self._normal(new)
        return round_new > 0.08 and sum(x * y for x, y in zip(n_old, n_new)) > 0.3

    def _normal(self, face) -> tuple[tuple[float, float, float], float]:
        """Unit normal, and a roundness that is 1 for an equilateral triangle and 0 for a sliver."""
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (self.points[v] for v in face)
        ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        size = max((x * x + y * y + z * z) ** 0.5, 1e-15)
        edges = ux * ux + uy * uy + uz * uz + vx * vx + vy * vy + vz * vz
        edges += (vx - ux) ** 2 + (vy - uy) ** 2 + (vz - uz) ** 2
        return (x / size, y / size, z / size), 3.4641 * size / max(edges, 1e-15)

    def collapse(self, u: int, v: int) -> None:
        for old, new in self.moved(u, v):
            for w in old:
                self.around[w].discard(old)
            for w in new:
                self.around[w].add(new)
        for face in list(self.around[u]):
            for w in face:
                self.around[w].discard(face)


def _mirrors_cleanly(mesh: _Mesh, u: int, v: int, mirror: np.ndarray) -> bool:
    """Whether u -> v and its mirror image can be done one after the other."""
    mu, mv = int(mirror[u]), int(mirror[v])
    if mu == u:
        return mv == v  # A midline vertex stays on the midline.
    if mu == v or mu in mesh.neighbours(u) or (mv != v and (mu in mesh.neighbours(v))):
        return False
    shared = mesh.neighbours(u) & mesh.neighbours(mu) - {v}
    return mv != v or shared <= mesh.neighbours(v)


def simplify(
    vertices: np.ndarray, faces: np.ndarray, mirror: np.ndarray, skin: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of about `count` kept vertices, and the triangles over them.

    Collapsing across a change of skin costs extra, so that elbows and knees keep their rings.
    """
    mesh, quadrics = _Mesh(vertices, faces), _quadrics(vertices, faces)
    homogeneous = np.concatenate([vertices, np.ones((len(vertices), 1))], 1)
    area, stamp = np.trace(quadrics[:, :3, :3], axis1=1, axis2=2), [0] * len(vertices)

    def cost(u: int, v: int):
        shape = homogeneous[v] @ (quadrics[u] + quadrics[v]) @ homogeneous[v]
        length = np.sum((vertices[u] - vertices[v]) ** 2)
        bend = np.sum((skin[u] - skin[v]) ** 2)
        price = shape + area[u] * (2e-3 * length + 1e-5 * bend)
        # The mirror image costs the same up to rounding: equal prices must not depend on it.
        return round(float(price) * 1e12), min(u, int(mirror[u])), u, v, stamp[u], stamp[v]

    heap = [cost(u, v) for u in range(len(vertices)) for v in sorted(mesh.neighbours(u))]
    heapq.heapify(heap)
    left = len(vertices)
    while left > count and heap:
        *_, u, v, stamp_u, stamp_v = heapq.heappop(heap)
        if (stamp_u, stamp_v) != (stamp[u], stamp[v]) or not mesh.around[u]:
            continue
        if not mesh.allows(u, v) or not _mirrors_cleanly(mesh, u, v, mirror):
            continue
        for a, b in {(u, v), (int(mirror[u]), int(mirror[v]))}:
            mesh.collapse(a, b)
            quadrics[b] += quadrics[a]
            area[b] += area[a]
            stamp[a], stamp[b], left = stamp[a] + 1, stamp[b] + 1, left - 1
        for b in {v, int(mirror[v])}:
            for w in sorted(mesh.neighbours(b)):
                heapq.heappush(heap, cost(b, w))
                heapq.heappush(heap, cost(w, b))
    return _compact(mesh)


def _compact(mesh: _Mesh) -> tuple[np.ndarray, np.ndarray]:
    kept = np.array([v for v, faces in enumerate(mesh.around) if faces])
    # Start every face at its smallest corner: one order whatever the history.
    faces = {
        tuple(np.roll(f, -int(np.argmin(f))).tolist()) for around in mesh.around for f in around
    }
    return kept, np.searchsorted(kept, np.array(sorted(faces)))
