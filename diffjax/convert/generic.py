"""A dump of arrays by any program: `.npz`, `.npy`, `.pt` or `.pkl`, with the pose's field and layout named."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import delivery, dump_fields, dump_unused, larger_poses, pose_layouts
from diffjax.convert import weak_camera as placing
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

_ONE_PERSON = {(24, 3, 3), (24, 3), (24, 6), (72,), (144,), (216,)} | larger_poses.SHAPES
"""Shapes of a whole pose without rows."""
_BETAS = ("pred_betas", "betas", "shape", "pred_shape")
_PARTS = ("body_pose", "pose_body")


def read_generic(
    path: str | Path,
    *,
    pose_field: str | None = None,
    layout: pose_layouts.Layout | None = None,
    betas_field: str | None = None,
    cam_t_field: str | None = None,
    fields: Mapping[str, str] | None = None,
    project: bool = False,
    weak_camera: str | None = None,
    image_size: tuple[float, float] | None = None,
    focal: float | None = None,
    crop_scale: float = 1.0,
    allow_mismatch: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fields of a dump: `pose`, `betas`, `cam_t`, and those that `fields` (ours to theirs) names.

    Parts of a pose in several fields are joined with `+`: global_orient+body_pose. Names of nested
    dicts are joined with dots. `keypoints2d_set` and its like are given a set, not a field.
    `project` replaces matrices that are no rotations by the nearest ones. `weak_camera` names [s, tx, ty]
    of each person's crop, see `convert`. What the file has besides is said aloud.
    """
    content, where = _content(Path(path)), str(path)
    name = _pose_name(content, pose_field, where)
    content = _in_rows(content, name)
    told = f"{where}: field {name}"
    flat = larger_poses.as_smpl(_pose_numbers(content, name, where), layout, told, say)
    pose = pose_layouts.rotations_of(flat, layout, told, project, say)
    pose_layouts.check_bends(flat, pose, layout, told, allow_mismatch, say)
    found = {"pose": pose, "betas": _betas(content, betas_field, len(pose), where, say)}
    if cam_t_field is not None:
        found["cam_t"] = dump_fields.shaped(
            dump_fields.named(content, cam_t_field, where), cam_t_field, ("people", 3), where
        )
    for ours, theirs in (fields or {}).items():
        found[ours] = dump_fields.take(content, ours, theirs, len(pose), where, say)
    if cam_t_field is not None and weak_camera is None:
        placing.check_place(found, cam_t_field, where, allow_mismatch, say)
    if weak_camera is not None:
        if focal is None and "focal_px" not in found:
            placing.say_focal(content, where, say)
        weak = dump_fields.shaped(
            dump_fields.named(content, weak_camera, where), weak_camera, ("people", 3), where
        )
        found |= placing.placed(found, weak, weak_camera, where, image_size, focal, crop_scale, say)
    elif image_size is not None or focal is not None or crop_scale != 1.0:
        raise ValueError("--image-size, --focal, --crop-scale: wanted --weak-camera beside them")
    used = {*name.split("+"), betas_field or _betas_name(content), cam_t_field, weak_camera}
    named = [theirs for ours, theirs in (fields or {}).items() if ours not in checks.SETS]
    used |= {part for theirs in named for part in (theirs, *theirs.split("+"))}
    dump_unused.say_unused(content, used, len(pose), "cam_t" in found, where, say)
    return found


def _content(path: Path) -> dict[str, Any]:
    """Arrays by name; names of nested dicts are joined with dots, an array alone is `pose`."""
    if path.is_dir():
        inside = dump_fields.listed(item.name for item in path.iterdir())
        raise ValueError(
            f"{path}: wanted one file, found a folder with {inside}; give a file of it"
        )
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


def _in_rows(content: dict[str, Any], name: str) -> dict[str, Any]:
    """The arrays of a dump of one person with the axis of rows that its pose lacks."""
    pose = content.get(name)
    if not isinstance(pose, np.ndarray) or pose.shape not in _ONE_PERSON:
        return content
    beside = [np.shape(content[n]) for n in content if n in _BETAS or n.endswith(_PARTS)]
    if any(len(shape) > 1 and shape[0] == len(pose) for shape in beside):
        return content  # As many people as a body has joints.
    return {k: v[None] if isinstance(v, np.ndarray) else v for k, v in content.items()}


def _flat(content: dict[Any, Any], prefix: str) -> list[tuple[str, Any]]:
    out = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        out += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return out


def _pose_name(content: dict[str, Any], name: str | None, where: str) -> str:
    """Of the field, or of the fields joined with +, that hold the pose."""
    if name is None:
        name = next((n for n in _POSES if all(part in content for part in n.split("+"))), None)
    if name is None:
        found = dump_fields.listed(content)
        raise ValueError(
            f"{where}: field pose: wanted --pose-field for one of {found}; "
            "parts are joined with +, as in global_orient+body_pose"
        )
    return name


def _pose_numbers(content: dict[str, Any], name: str, where: str) -> np.ndarray:
    """(N, numbers) of the pose, all its parts side by side."""
    parts = [
        dump_fields.as_rows(dump_fields.named(content, part, where), part, where)
        for part in name.split("+")
    ]
    if len({len(part) for part in parts}) > 1:
        raise ValueError(
            f"{where}: field {name}: wanted parts of as many rows, found "
            f"{[len(part) for part in parts]}; they are of different people"
        )
    return np.concatenate(parts, -1)


def _betas_name(content: dict[str, Any]) -> str | None:
    return next((n for n in _BETAS if n in content), None)


def _betas(
    content: dict[str, Any],
    name: str | None,
    rows: int,
    where: str,
    say: Callable[[str], None],
) -> np.ndarray:
    """(N, 10); one shape for all rows is repeated, absent ones are zero."""
    name = name or _betas_name(content)
    if name is None:
        say(f"{where}: no betas; they are set to 0 (--betas-field names theirs)")
        return np.zeros((rows, 10), np.float32)
    values = dump_fields.as_rows(dump_fields.named(content, name, where), name, where)
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
    weak_camera: str | None = None,
    image_size: tuple[float, float] | None = None,
    focal: float | None = None,
    crop_scale: float = 1.0,
    estimates: Path | None = None,
    allow_mismatch: bool = False,
) -> None:
    """A dump of arrays (.npz, .npy, .pt, .pkl); its 6D layout is never guessed.

    Args:
        source: The dump.
        out: The annotation set to write, .npz.
        role: Whether its poses are estimates or the truth.
        pose_field: Name of the pose; parts are joined as in global_orient+body_pose.
        layout: How rotations are stored; 144 numbers a row need it.
        betas_field: Name of the shape.
        cam_t_field: Name of the translation (metres, camera frame): HMR2's pred_cam_t_full, not pred_cam.
        fields: Further fields, OURS=THEIRS: keypoints2d=kp keypoints2d_set=coco17. bbox_px is left, top,
            width, height in pixels of the full image, or MIDDLE+SIDE as in bbox_px=box_center+box_size.
        project: Replace matrices that are no rotations by the nearest ones.
        weak_camera: Name of the crop's weak-perspective camera s, tx, ty (HMR, SPIN, HMR2): x of the crop,
            from -1 to 1 over its side, is s (X + tx) of metres X; depth is 2 focal / (s side). The crop is a
            square about the middle of bbox_px, its side the longer one.
        image_size: Width and height of the images in pixels, for weak_camera; or --fields image_size_px=NAME.
        focal: Focal length in pixels, for weak_camera; 5000 without it or a field focal_px.
        crop_scale: The crop's side in longer sides of the box.
        estimates: The annotation set that a truth belongs to.
        allow_mismatch: Go on where knees and elbows say that it is another layout.
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
        weak_camera=weak_camera,
        image_size=image_size,
        focal=focal,
        crop_scale=crop_scale,
        allow_mismatch=allow_mismatch,
    )
    delivery.deliver(out, delivery.in_role(found, role), str(source), estimates)
