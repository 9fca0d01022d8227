"""Do the keypoints of a file come from its poses? Posed on a body that is given, and on what could be meant."""

from pathlib import Path

import numpy as np

from diffjax import body, skeleton
from diffjax.convert import pairing
from diffjax.convert.inspection import joints, roles
from diffjax.convert.inspection.verdict import Finding, number

_ROWS = 1000
_SAME_MM, _NEAR_MM = 1.0, 60.0


def findings(found: list[roles.Part], points: list[roles.Points], body_path: Path) -> list[Finding]:
    """Distance of the 3D keypoints to those of the body; the first set that can be compared."""
    pose = _pose(found)
    if pose is None:
        return [Finding("body", "look", "no poses and betas of SMPL that could be posed")]
    out = []
    for part in (part for part in points if part.part.role.partition("@")[0] in roles.POINTS_3D):
        matrices, betas = (pose[0], pose[1])
        if len(part.values) == len(matrices):
            out.append(_compare(part, matrices, betas, body_path))
    return out or [
        Finding("body", "look", "no 3D keypoints of as many people as poses: nothing to compare")
    ]


def _pose(found: list[roles.Part]) -> tuple[np.ndarray, np.ndarray] | None:
    """(N, 24, 3, 3) and (N, 10), of the truth where a set has both it and estimates."""
    poses = [part for part in found if part.role == "pose"]
    chosen = next((part for part in poses if part.path == "pose"), poses[0] if poses else None)
    matrices = _matrices(chosen) if chosen is not None else _joined(found)
    shapes = [part for part in found if part.role == "betas"]
    wanted = "betas" if chosen is None or chosen.path == "pose" else "pred_betas"
    betas = next((p for p in shapes if p.path == wanted), shapes[0] if shapes else None)
    if (
        matrices is None
        or betas is None
        or matrices.shape[1] != 24
        or betas.value.dtype.kind not in "fiu"
    ):
        return None
    flat = betas.value.reshape(-1, betas.value.shape[-1])[:, :10]
    if len(matrices) % len(flat) or flat.shape[1] != 10:
        return None
    return matrices, np.repeat(flat, len(matrices) // len(flat), 0)


def _matrices(part: roles.Part) -> np.ndarray | None:
    layout, values = roles.rotations_of(part)
    if layout == "matrices":
        return values.astype(np.float32)
    if layout == "axis-angle":
        return roles.matrices_of(values).astype(np.float32)
    return None


def _joined(found: list[roles.Part]) -> np.ndarray | None:
    root, rest = roles.one(found, "root"), roles.one(found, "body")
    if root is None or rest is None:
        return None
    both = _matrices(root), _matrices(rest)
    if both[0] is None or both[1] is None or len(both[0]) != len(both[1]):
        return None
    return np.concatenate([both[0][:, :1], both[1]], 1)


def _compare(
    points: roles.Points, matrices: np.ndarray, betas: np.ndarray, body_path: Path
) -> Finding:
    name = points.part.path
    try:
        regressor = body.load_regressor(body_path, points.set)
        model = body.fold_keypoints(body.load_body(body_path), regressor)
    except (ValueError, KeyError) as error:
        if points.set in skeleton.KEYPOINT_SETS and "regressor" not in str(error):
            raise
        text = f"{name}: {body_path.name} has no regressor for {points.set or 'such keypoints'}"
        return Finding("body", "look", text)
    rows = np.unique(np.linspace(0, len(matrices) - 1, _ROWS).astype(int))
    there = points.values[rows] / {"mm": 1000.0, "cm": 100.0}.get(joints.unit_of(points), 1.0)
    seen = (
        np.ones(there.shape[:2], bool) if points.confidence is None else points.confidence[rows] > 0
    )
    off = _alternatives(
        model, np.nan_to_num(matrices[rows]), np.nan_to_num(betas[rows]), there, seen, points.names
    )
    return _judged(name, off, body_path)


def _alternatives(model, matrices, betas, there, seen, names) -> dict[str, float]:
    """Mean distance in mm about the keypoints' mean, as the file is and as it could have been meant."""
    swap = list(skeleton.mirror_permutation(names))
    readings = {
        "as it is": matrices,
        "matrices transposed": np.swapaxes(matrices, -1, -2),
        "body before root": np.roll(matrices, 1, axis=1),
    }
    posed = {name: pairing.pose_rows(model, pose, betas) for name, pose in readings.items()}
    off = {name: _distance(points, there, seen) for name, points in posed.items()}
    off["left and right swapped"] = _distance(posed["as it is"][:, swap], there, seen)
    off["betas of zero"] = _distance(pairing.pose_rows(model, matrices, 0 * betas), there, seen)
    off["y and z turned round"] = _distance(posed["as it is"] * np.array([1, -1, -1]), there, seen)
    return off


def _distance(a: np.ndarray, b: np.ndarray, seen: np.ndarray) -> float:
    weight = seen[..., None] / np.maximum(seen.sum(1), 1)[:, None, None]
    b = np.where(seen[..., None], b, 0.0)
    apart = np.linalg.norm(
        (a - (a * weight).sum(1, keepdims=True)) - (b - (b * weight).sum(1, keepdims=True)), axis=-1
    )
    return float(1000 * apart[seen].mean()) if seen.any() else 0.0


def _judged(name: str, off: dict[str, float], body_path: Path) -> Finding:
    as_is, best = off["as it is"], min(off, key=lambda reading: off[reading])
    facts = {"mm": as_is, "alternatives_mm": off}
    text = f"{name}: {number(as_is)} mm from {body_path.name} in these poses (each about its mean)"
    if as_is <= _SAME_MM:
        return Finding("body", "ok", f"{text}: they are its keypoints", facts)
    if best != "as it is" and off[best] < 0.6 * as_is:
        return Finding("body", "wrong", f"{text}, but {number(off[best])} mm with {best}", facts)
    if as_is <= _NEAR_MM:
        return Finding(
            "body",
            "look",
            f"{text}: near, so another gender, version or regressor, or real labels",
            facts,
        )
    causes = "another gender or SMPL version, keypoints in another order, or rows of another file?"
    return Finding("body", "wrong", f"{text}: {causes}", facts)
