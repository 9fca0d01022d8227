"""A dump of arrays by any program: `.npz`, `.npy`, `.pt` or `.pkl`, with the pose's field and layout named."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import delivery, parsing, pose_layouts
from diffjax.data import checks

_POSES = (
    "pred_pose",
    "pred_rotmat",
    "pose",
    "poses",
    "smpl_pose",
    "thetas",
    "global_orient+body_pose",
)
"""Where the pose is looked for when nobody says."""

_BETAS = ("pred_betas", "betas", "shape", "pred_shape")


def read_generic(
    path: str | Path,
    *,
    pose_field: str | None = None,
    layout: pose_layouts.Layout | None = None,
    betas_field: str | None = None,
    cam_t_field: str | None = None,
    fields: Mapping[str, str] | None = None,
    project: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fields of a dump: `pose`, `betas`, `cam_t`, and those that `fields` (ours to theirs) names.

    Parts of a pose in several fields are joined with `+`: global_orient+body_pose. Names of nested
    dicts are joined with dots. `keypoints2d_set` and its like are given a set, not a field.
    `project` replaces matrices that are no rotations by the nearest ones.
    """
    content, where = _content(Path(path)), str(path)
    flat, name = _pose_numbers(content, pose_field, where)
    pose = pose_layouts.rotations_of(flat, layout, f"{where}: field {name}", project, say)
    found = {"pose": pose, "betas": _betas(content, betas_field, len(pose), where, say)}
    if cam_t_field is not None:
        found["cam_t"] = pose_layouts.numbers(
            parsing.field(content, cam_t_field, where, "the translation"), cam_t_field, (3,), where
        )
    for ours, theirs in (fields or {}).items():
        found[ours] = _field(content, ours, theirs, len(pose), where, say)
    return found


def _content(path: Path) -> dict[str, Any]:
    """Arrays by name; names of nested dicts are joined with dots, an array alone is `pose`."""
    if path.suffix == ".npz":
        content: Any = unpickle.load_npz(path)
    elif path.suffix == ".npy":
        content = unpickle.load_npy(path)
    elif path.suffix in (".pt", ".pth", ".ckpt"):
        content = unpickle.load_torch(path)
    elif path.suffix in (".pkl", ".pickle", ".joblib"):
        content = unpickle.load_pickle(path)
    else:
        raise ValueError(
            f"{path}: wanted a file name ending in .npz, .npy, .pt or .pkl, found {path.suffix!r}"
        )
    return dict(_flat(content, "")) if isinstance(content, dict) else {"pose": content}


def _flat(content: dict[Any, Any], prefix: str) -> list[tuple[str, Any]]:
    out = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        out += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return out


def _pose_numbers(content: dict[str, Any], name: str | None, where: str) -> tuple[np.ndarray, str]:
    """(N, numbers) of the pose, all its parts side by side, and its name."""
    if name is None:
        name = next((n for n in _POSES if all(part in content for part in n.split("+"))), None)
    if name is None:
        found = ", ".join(sorted(content)[:12]) or "nothing"
        raise ValueError(
            f"{where}: field pose: wanted --pose-field for one of {found}; "
            "parts are joined with +, as in global_orient+body_pose"
        )
    parts = [
        _rows(parsing.field(content, part, where, "rotations"), part, where)
        for part in name.split("+")
    ]
    if len({len(part) for part in parts}) > 1:
        raise ValueError(
            f"{where}: field {name}: wanted parts of as many rows, found "
            f"{[len(part) for part in parts]}; they are of different people"
        )
    return np.concatenate(parts, -1), name


def _rows(values: Any, name: str, where: str) -> np.ndarray:
    """(N, numbers) float32, finite."""
    rank = max(np.ndim(values) if isinstance(values, np.ndarray) else _depth(values), 1)
    array = pose_layouts.numbers(values, name, (None,) * (rank - 1), where)
    if not array.size:
        raise ValueError(f"{where}: field {name}: wanted some rows, found {array.shape}")
    return array.reshape(len(array), -1)


def _depth(values: Any) -> int:
    """Axes of nested lists, by their first entries."""
    depth = 0
    while isinstance(values, list | tuple | np.ndarray) and len(values):
        depth, values = depth + 1, values[0]
        if isinstance(values, np.ndarray):
            return depth + values.ndim
    return depth


def _betas(
    content: dict[str, Any],
    name: str | None,
    rows: int,
    where: str,
    say: Callable[[str], None],
) -> np.ndarray:
    """(N, 10); one shape for all rows is repeated, absent ones are zero."""
    name = name or next((n for n in _BETAS if n in content), None)
    if name is None:
        say(f"{where}: no betas; they are set to 0 (--betas-field names theirs)")
        return np.zeros((rows, 10), np.float32)
    values = _rows(parsing.field(content, name, where, "betas"), name, where)
    if values.shape[1] == 1:  # One shape for all: (10,).
        values = values.T
    if values.shape[1] < 10 or len(values) not in (1, rows):
        raise ValueError(
            f"{where}: field {name}: wanted ({rows}, 10), found {values.shape}; "
            "are pose and betas of the same people?"
        )
    if values.shape[1] > 10:
        say(f"{where}: field {name}: the first 10 of {values.shape[1]} components are kept")
    return np.broadcast_to(values[:, :10], (rows, 10)).copy()


_WIDTHS = {"keypoints2d": 3, "labels2d": 3, "keypoints3d": 4}


def _field(
    content: dict[str, Any],
    ours: str,
    theirs: str,
    rows: int,
    where: str,
    say: Callable[[str], None],
) -> Any:
    """A field of ours from one of theirs, with the shape that its kind asks for."""
    if ours in checks.SETS:
        return theirs
    if ours not in checks.FIELDS or checks.FIELDS[ours].kind == "rotation":
        known = [n for n in checks.FIELDS if checks.FIELDS[n].kind != "rotation"]
        raise ValueError(f"--fields {ours}={theirs}: wanted one of {known}, got {ours!r}")
    value = parsing.field(content, theirs, where, ours)
    kind = checks.FIELDS[ours].kind
    if kind == "text":
        return _texts(value, ours, rows, f"{where}: field {theirs}")
    if ours in _WIDTHS:
        return _keypoints(value, _WIDTHS[ours], theirs, where, say)
    if kind == "whole":
        return _whole(value, theirs, where)
    return _sizes(value, checks.FIELDS[ours].shape == (2,), theirs, rows, where)


def _whole(value: Any, name: str, where: str) -> np.ndarray:
    """(N,) int64."""
    array = value if isinstance(value, np.ndarray) else np.array(value, dtype=object)
    if array.dtype.kind == "O" and all(isinstance(item, int) for item in array.flat):
        array = pose_layouts.numbers(array, name, (), where).astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{where}: field {name}: wanted (N,) whole numbers, found {array.dtype} {array.shape}"
        )
    return array.astype(np.int64)


def _sizes(value: Any, pair: bool, name: str, rows: int, where: str) -> np.ndarray:
    """(N, numbers); what has two axes may be one number for both, and one for all rows."""
    if pair and isinstance(value, int | float | np.number):
        value = np.full(rows, value)
    array = _rows(value, name, where)
    return np.repeat(array, 2, -1) if pair and array.shape == (rows, 1) else array


def _texts(value: Any, ours: str, rows: int, where: str) -> np.ndarray:
    """(N,) text; one for all rows is repeated."""
    listed = [value] * rows if isinstance(value, str | bytes) else value
    if not isinstance(listed, list | tuple | np.ndarray):
        raise ValueError(f"{where}: wanted {rows} texts, found a {type(value).__name__}")
    if ours == "gender":
        return np.array([parsing.gender(word, where) for word in listed], dtype=np.str_)
    return parsing.texts(listed)


def _keypoints(
    value: Any, width: int, name: str, where: str, say: Callable[[str], None]
) -> np.ndarray:
    """(N, K, width), the last number a confidence: 1 where the file has none."""
    array = pose_layouts.numbers(value, name, (None, None), where)
    if array.shape[-1] == width - 1:
        say(f"{where}: field {name}: no confidence, so it is 1 everywhere")
        array = np.concatenate([array, np.ones((*array.shape[:2], 1), np.float32)], -1)
    return array


def convert(
    source: Path,
    out: Path,
    role: delivery.Role = "estimate",
    pose_field: str | None = None,
    layout: pose_layouts.Layout | None = None,
    betas_field: str | None = None,
    cam_t_field: str | None = None,
    fields: tuple[str, ...] = (),
    project: bool = False,
    estimates: Path | None = None,
) -> None:
    """A dump of arrays (.npz, .npy, .pt, .pkl); its 6D layout is never guessed.

    Args:
        source: The dump.
        out: The annotation set to write, .npz.
        role: Whether its poses are estimates or the truth.
        pose_field: Name of the pose; parts are joined as in global_orient+body_pose.
        layout: How rotations are stored; 144 numbers a row need it.
        betas_field: Name of the shape.
        cam_t_field: Name of the translation (metres, camera frame).
        fields: Further fields, OURS=THEIRS: keypoints2d=kp keypoints2d_set=coco17.
        project: Replace matrices that are no rotations by the nearest ones.
        estimates: The annotation set that a truth belongs to.
    """
    for pair in fields:
        if "=" not in pair:
            raise ValueError(f"--fields: wanted OURS=THEIRS, got {pair!r}")
    found = read_generic(
        source,
        pose_field=pose_field,
        layout=layout,
        betas_field=betas_field,
        cam_t_field=cam_t_field,
        fields=dict(pair.split("=", 1) for pair in fields),
        project=project,
    )
    delivery.deliver(out, delivery.in_role(found, role), str(source), estimates)
