"""Dumps of arrays: something like a pose, and the options of `generic` that name it."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from diffjax.convert import larger_poses
from diffjax.convert.inspection import formats

_BARE = ("array", "value")
"""What an array without a name is called here."""
_TURNS = re.compile(r"pose|theta|rot|orient|^array$|^value$")
POSE_SIZES = {72: "axis-angle", 216: "matrices", 144: ""}
"""Numbers a row that look like 24 rotations, and their layout; 6D has several and no file says which."""
_JOINTS = [(24,), *((joints,) for joints in larger_poses.NAMES)]
_CHOOSE = (
    "the layout must be chosen, 6d-columns, 6d-interleaved or 6d-rows: "
    "it is in no file, ask the program that wrote it"
)
_CORNERS = "bbox_px are left, top, width, height: leave theirs out if they are corners"
_FIELDS = {
    "bbox_px": "bbox_px bbox bboxes box boxes bbox_xywh pred_bbox pred_bboxes",
    "image": "image images imgname imgnames img_name img_names img_path image_path image_paths "
    "image_name image_names file_name filename filenames",
    "sequence": "sequence sequences seq_name sequence_name",
    "frame": "frame frames frame_id frame_ids",
    "view": "view views view_name camera_name",
    "focal_px": "scaled_focal_length focal_px focal_length focal_lengths focal",
    "image_size_px": "image_size_px img_size img_sizes image_size image_sizes",
}
"""Names under which dumps hold fields of ours, the surest first."""
_SQUARES = ("box_center", "box_size")
"""HMR2's crop, where there are no boxes."""
_PLACES = "pred_cam_t_full cam_t_full cam_t"
_CROPS = "pred_cam pred_cams pred_camera"
_SIZES = "image_size_px are width, height: exchange theirs if they are not"
_WIDE = "box_center and box_size are wider than people: join with a lower --min-iou"


def generic(fields: Mapping[str, Any]) -> formats.Format | None:
    """A row for a dump whose pose is found by its size."""
    poses = {
        name: layout for name in fields if (layout := layout_of(name, fields[name])) is not None
    }
    if not any(_TURNS.search(name.lower()) for name in poses):
        parts = _in_parts(fields)
        if parts or not poses:
            return parts
    name = max(poses, key=lambda name: ("pred" in name, "pose" in name.lower(), -len(name)))
    layout = poses[name] or "{six}"
    betas = next((name for name in fields if is_betas(name)), "")
    options = f"--pose-field {_dotted(name)} " if name not in _BARE else ""
    options += f"--layout {layout}"
    more, mind = _further(fields, len(fields[name]), betas)
    notes = [*([] if poses[name] else [_CHOOSE]), *mind]
    return formats.Format(
        "generic",
        "dump of arrays with poses",
        name,
        f"pose={name} betas={betas}" if betas else f"pose={name}",
        f"generic --source {{path}} {options}{more} --out {{out}}",
        "; ".join(notes),
    )


def _in_parts(fields: Mapping[str, Any]) -> formats.Format | None:
    """A dump whose root and body are two fields."""
    roots = [name for name in fields if name.endswith(("global_orient", "root_orient"))]
    bodies = [name for name in fields if name.endswith(("body_pose", "pose_body"))]
    betas = next((name for name in fields if is_betas(name)), "")
    if not roots or not bodies:
        return None
    joined = f"{_dotted(roots[0])}+{_dotted(bodies[0])}"
    matrices = np.shape(fields[bodies[0]])[-2:] == (3, 3)
    more, mind = _further(fields, len(np.atleast_1d(fields[bodies[0]])), betas)
    return formats.Format(
        "generic",
        "dump of arrays with poses in two parts",
        f"{roots[0]} {bodies[0]}",
        f"root={roots[0]} body={bodies[0]}" + (f" betas={betas}" if betas else ""),
        f"generic --source {{path}} --pose-field {joined} --layout "
        f"{'matrices' if matrices else 'axis-angle'}{more} --out {{out}}",
        "; ".join(mind),
    )


def layout_of(name: str, value: Any) -> str | None:
    """Layout of something like 24 rotations a row, or those of SMPL-H and SMPL-X; None for anything else, ""
    where it is not known."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.size:
        return None
    named = _TURNS.search(name.lower()) and "joint" not in name.lower()
    if name.endswith("orient"):  # Of as many people as a body has joints it looks like one pose.
        return None
    if value.shape[-2:] == (3, 3) and value.shape[-3:-2] in _JOINTS:
        return "matrices" if named or value.shape[-3] == 24 else None
    if value.shape[-2:] == (24, 6):
        return ""
    if value.shape[-1:] == (3,) and value.shape[-2:-1] in _JOINTS:
        return "axis-angle" if named else None
    if value.ndim not in (1, 2):
        return None
    larger = named and value.shape[-1] in [3 * joints for joints in larger_poses.NAMES]
    return "axis-angle" if larger else POSE_SIZES.get(value.shape[-1])


def is_betas(name: str) -> bool:
    return name.split("/")[-1] in (
        "pred_betas",
        "betas",
        "shape",
        "pred_shape",
        "smpl_betas",
        "pred_smpl_betas",
    )


def _further(fields: Mapping[str, Any], rows: int, betas: str) -> tuple[str, list[str]]:
    """Options for what is no pose, and what to mind of them."""
    more = _more(fields, rows)
    options = f" --betas-field {_dotted(betas)}" if betas else ""
    options += _place(fields, rows, {pair.partition("=")[0] for pair in more})
    options += f" --fields {' '.join(more)}" if more else ""
    box = next((pair for pair in more if pair.startswith("bbox_px=")), "")
    size = any(pair.startswith("image_size_px=") for pair in more)
    notes = [_WIDE if "+" in box else _CORNERS] if box else []
    return options, [*notes, *([_SIZES] if size else [])]


def _place(fields: Mapping[str, Any], rows: int, more: set[str]) -> str:
    """The option for where people stand: metres, else the camera of crops that are known."""
    place = _first(fields, _PLACES, "place", rows)
    if place:
        return f" --cam-t-field {_dotted(place)}"
    weak = _first(fields, _CROPS, "weak", rows)
    known = {"bbox_px", "image_size_px"} <= more
    return f" --weak-camera {_dotted(weak)}" if weak and known else ""


def _first(fields: Mapping[str, Any], names: str, kind: str, rows: int) -> str:
    """The field with the first of these names that fits; "" without one."""
    fitting = [name for name in fields if _fits(kind, fields[name], rows)]
    return next((n for want in names.split() for n in fitting if _last(n) == want), "")


def _last(name: str) -> str:
    return name.split("/")[-1].lower()


def _more(fields: Mapping[str, Any], rows: int) -> list[str]:
    """OURS=THEIRS of what looks like boxes, images, sequences, frames and cameras of these people."""
    found = {ours: _first(fields, names, ours, rows) for ours, names in _FIELDS.items()}
    if not found["bbox_px"]:
        parts = [_first(fields, part, part, rows) for part in _SQUARES]
        found["bbox_px"] = "+".join(parts) if all(parts) else ""
    return [f"{ours}={_dotted(name)}" for ours, name in found.items() if name]


_WIDTHS = {
    "focal_px": ((), (1,), (2,)),
    "image_size_px": ((2,),),
    "place": ((3,),),
    "weak": ((3,),),
    "box_center": ((2,),),
    "box_size": ((), (1,), (2,)),
}
"""Numbers a person of what is a number."""
_POSITIVE = {"place": slice(2, 3), "weak": slice(1), "box_center": slice(0)}
"""Which of them are above 0; all of the others."""


def _fits(ours: str, value: Any, rows: int) -> bool:
    if not isinstance(value, np.ndarray) or value.shape[:1] != (rows,) or not rows:
        return False
    if ours == "bbox_px":
        box = value.shape == (rows, 4) and value.dtype.kind in "fiu"
        return box and bool((value[:, 2:] > 0).all() and np.isfinite(value).all())
    if ours in _WIDTHS:
        if value.dtype.kind not in "fiu" or value.shape[1:] not in _WIDTHS[ours]:
            return False
        table = value.reshape(rows, -1)[:, _POSITIVE.get(ours, slice(None))]
        return bool(np.isfinite(value).all() and (table <= 0).sum() <= 0.1 * rows)
    return value.ndim == 1 and value.dtype.kind in ("iu" if ours == "frame" else "US")


def _dotted(name: str) -> str:
    """As `generic` names it, in a line that is yet to be filled in."""
    return shlex.quote(name.replace("/", ".")).replace("{", "{{").replace("}", "}}")
