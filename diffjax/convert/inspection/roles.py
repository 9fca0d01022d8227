"""The arrays of a file by what they mean: poses as rotations, points with their names."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from diffjax import skeleton
from diffjax.convert import humandata_keypoints
from diffjax.convert.inspection import formats, recognise

_EXTRA10 = ("",) * 10
_LEGS = "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle"
_ARMS = "neck head_top left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist"
_H36M32: dict[int, str] = dict(
    zip(
        (0, 1, 2, 3, 6, 7, 8, 13, 15, 17, 18, 19, 25, 26, 27),
        f"{_LEGS} {_ARMS}".split(),
        strict=True,
    )
)
_SPIN24 = (*skeleton.KEYPOINT_SETS["lsp14"], *_EXTRA10)
_NAMES = {
    **skeleton.KEYPOINT_SETS,
    "spin24": _SPIN24,
    "spin49": (*skeleton.KEYPOINT_SETS["openpose25"], *_SPIN24),
    "hmr2_44": (*skeleton.KEYPOINT_SETS["openpose25"], *_SPIN24[:19]),
    "smpl45": (*skeleton.SMPL24, *("",) * 21),
    "h36m32": tuple(_H36M32.get(i, "") for i in range(32)),
    "halpe136": (*skeleton.KEYPOINT_SETS["halpe26"], *("",) * 110),
}
"""Names of the keypoints of every set; "" where a name is of no use here."""

_BY_COUNT = {
    "joints": {
        24: "smpl24",
        14: "lsp14",
        49: "spin49",
        44: "hmr2_44",
        45: "smpl45",
        32: "h36m32",
        25: "openpose25",
    },
    "pixels": {
        17: "coco17",
        18: "openpose18",
        25: "openpose25",
        26: "halpe26",
        136: "halpe136",
        49: "spin49",
        14: "lsp14",
    },
}
POINTS_3D, POINTS_2D = ("joints", "cached", "world"), ("pixels", "channel_first", "flat")


class Part(NamedTuple):
    """One array and what it means."""

    role: str
    path: str
    value: np.ndarray


class Points(NamedTuple):
    """Keypoints of people: (N, K, 3 or 4) or, in 2D, (N, K, 2 or 3)."""

    part: Part
    values: np.ndarray
    confidence: np.ndarray | None
    """(N, K); None where the file has none."""
    set: str
    """Name of the keypoint set; "" where it is not known."""
    names: tuple[str, ...]


def parts(fields: Mapping[str, Any], row: formats.Format) -> list[Part]:
    """Every array that the format gives a meaning."""
    found = []
    for entry in row.parts.split():
        role, _, pattern = entry.partition("=")
        for path in recognise.paths(pattern, fields):
            value = fields[path]
            if isinstance(value, list) and role.startswith(("flat", "pixels")):
                value = _common(value)
            if isinstance(value, np.ndarray) and value.size:
                found.append(Part(role, path, value))
    return _merged(found)


def _common(rows: list[Any]) -> np.ndarray | None:
    """The rows of the commonest length, where some people have none."""
    lists = [row for row in rows if isinstance(row, list) and row]
    lengths = [len(row) for row in lists]
    if not lengths:
        return None
    try:
        return np.array([r for r in lists if len(r) == max(set(lengths), key=lengths.count)], float)
    except (ValueError, TypeError):
        return None


def _merged(found: list[Part]) -> list[Part]:
    """Parts of one role that many paths name (one a sequence) as one."""
    merged: dict[tuple, list[Part]] = {}
    for part in found:
        many = "/" in part.path and part.value.ndim > 1
        key = (part.role, part.value.shape[1:] if many else part.path)
        merged.setdefault(key, []).append(part)
    return [
        group[0]._replace(value=np.concatenate([part.value for part in group]))
        if len(group) > 1
        else group[0]
        for group in merged.values()
    ]


def one(found: list[Part], *roles: str) -> Part | None:
    """A part with the first of these roles that any has."""
    named = {part.role.partition("@")[0]: part for part in reversed(found)}
    return next((named[role] for role in roles if role in named), None)


def points(part: Part, fields: Mapping[str, Any]) -> Points | None:
    """Keypoints with their names; None where the shape is none of keypoints."""
    role, _, declared = part.role.partition("@")
    values = _shaped(part.value, role, declared)
    if values is None or values.dtype.kind not in "fiu":
        return None
    if declared == "human_data":
        return _human_data(part, values, fields)
    flat_2d = role in POINTS_2D
    confidence = values[..., -1] if values.shape[-1] == (3 if flat_2d else 4) else None
    stored = fields.get(f"{part.path}_set")
    name = str(stored) if stored is not None else declared
    if declared == "openpose" and values.shape[1] == 25:
        name = "openpose25b" if _is_25b(values) else "openpose25"
    elif len(_NAMES.get(name, ())) != values.shape[1]:
        name = _BY_COUNT["pixels" if flat_2d else "joints"].get(values.shape[1], "")
    width = 2 if flat_2d else 3
    return Points(part, values[..., :width].astype(float), confidence, name, _NAMES.get(name, ()))


def _is_25b(values: np.ndarray) -> bool:
    """BODY_25 and BODY_25B are as long: eyes are 15, 16 of the one and 1, 2 of the other."""
    seen = values[:, [1, 2, 15, 16], 2] > 0
    pairs = values[seen.all(1)][:, [1, 2, 15, 16], :2]
    if not len(pairs):
        return False
    first, later = (np.linalg.norm(pairs[:, i] - pairs[:, i + 1], axis=-1) for i in (0, 2))
    return bool(np.median(first) < np.median(later))


def _shaped(value: np.ndarray, role: str, declared: str) -> np.ndarray | None:
    """(N, K, C) of what may be flat, or have the channels before the keypoints."""
    if role == "channel_first" and value.ndim >= 3:
        value = np.moveaxis(value, -2, -1)
    elif role == "flat" and value.ndim == 2 and value.shape[-1] % 3 == 0:
        value = value.reshape(len(value), -1, 3)
    elif role == "flat" and value.ndim == 2 and value.shape[-1] % 2 == 0:
        value = value.reshape(len(value), -1, 2)  # No confidence.
    elif declared == "smpl24" and value.shape[-1] == 72:
        value = value.reshape(-1, 24, 3)
    if value.ndim == 2 and value.shape[-1] in (3, 4) and value.shape[0] < 200:
        value = value[None]
    if value.ndim < 3 or value.shape[-1] not in (2, 3, 4):
        return None
    return value.reshape(-1, *value.shape[-2:])


def _human_data(part: Part, values: np.ndarray, fields: Mapping[str, Any]) -> Points | None:
    """The largest filled set among the 190 columns, of which a compressed file keeps some."""
    key, mask = part.path, fields.get(f"{part.path}_mask", np.ones(humandata_keypoints.LENGTH, int))
    try:
        whole = humandata_keypoints.spread(values, mask, values.shape[-1], key)
        found = humandata_keypoints.select({key: whole, f"{key}_mask": mask}, key, None, key)
    except ValueError:
        return None
    if found is None:
        return None
    points = found.values.astype(float)
    return Points(part, points[..., :-1], points[..., -1], found.name, _NAMES[found.name])


def rotations_of(part: Part) -> tuple[str, np.ndarray]:
    """Layout and values: ('matrices', (N, J, 3, 3)), ('axis-angle', (N, J, 3)) or ('6d', (N, 144))."""
    value = part.value
    if value.dtype.kind not in "fiu" or not value.ndim:
        return "unknown", value
    if value.shape[-2:] == (3, 3):
        joints = value.shape[-3] if value.ndim > 2 and value.shape[-3] < 60 else 1
        return "matrices", value.reshape(-1, joints, 3, 3)
    size = value.shape[-1] * (
        value.shape[-2] if value.ndim > 1 and value.shape[-1] in (3, 6) else 1
    )
    if size in (144,):
        return "6d", value.reshape(-1, 144)
    if size in (216, 207):
        return "matrices", value.reshape(-1, size // 9, 3, 3)
    if part.role == "root" and value.shape[-1] == 3:
        return "axis-angle", value.reshape(-1, 1, 3)
    if size % 3 == 0 and 60 <= size <= 165:
        return "axis-angle", value.reshape(-1, size // 3, 3)
    return "unknown", value


def matrices_of(turns: np.ndarray) -> np.ndarray:
    """(..., 3, 3) from axis-angle (..., 3), by Rodrigues; in NumPy, which need not compile for every shape."""
    angle = np.linalg.norm(turns, axis=-1, keepdims=True)
    axis = turns / np.maximum(angle, 1e-12)
    sin, cos = np.sin(angle)[..., None], np.cos(angle)[..., None]
    cross = np.cross(axis[..., None, :], np.eye(3))  # Row i: axis x e_i, the i-th column of [axis].
    return (
        cos * np.eye(3)
        + (1 - cos) * axis[..., None] * axis[..., None, :]
        + sin * np.swapaxes(cross, -1, -2)
    )
