"""What of a dump is left behind, and how to take it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from diffjax.convert import dump_fields


def say_unused(
    content: dict[str, Any],
    used: set[str | None],
    rows: int,
    placed: bool,
    where: str,
    say: Callable[[str], None],
) -> None:
    """What of the file is left behind, and how to take what looks like something known."""
    unused = {name: _shape(value) for name, value in content.items() if name not in used}
    if not unused:
        return
    say(
        f"{where}: not used: {dump_fields.listed(f'{name} {shape}' for name, shape in unused.items())}"
    )
    ours: dict[str, str] = {}
    for name, shape in unused.items():
        kind = _guess(name.rsplit(".", 1)[-1].lower(), shape, rows)
        if kind is not None and f"{rows}" in shape:
            if kind == "focal_px" and "scaled" in name:
                ours[kind] = name  # HMR2's other one is that of the crop.
            ours.setdefault(kind, name)
    weak, place = ours.pop("weak camera", None), ours.pop("cam_t", None)
    if ours:
        pairs = " ".join(f"{kind}={name}" for kind, name in ours.items())
        sets = " keypoints2d_set=coco17 (or whichever it is)" if "keypoints2d" in ours else ""
        box = " (bbox_px: left, top, width, height)" if "bbox_px" in ours else ""
        say(f"{where}: to take them: --fields {pairs}{sets}{box}")
    if place is not None and not placed:
        say(f"{where}: is {place} a translation in metres? to take it: --cam-t-field {place}")
    elif weak is not None and not placed:
        say(
            f"{where}: is {weak} a translation in metres (--cam-t-field {weak}) or the crop's [s, tx, ty] "
            f"(--weak-camera {weak} --image-size W H)?"
        )


def _shape(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(value.shape)
    if isinstance(value, list | tuple):
        return f"({len(value)}, ...)" if value and not _single(value[0]) else f"({len(value)},)"
    return type(value).__name__


def _single(value: Any) -> bool:
    return np.ndim(value) == 0 if isinstance(value, np.ndarray) else not isinstance(value, list)


_WORDS = (
    ("keypoints2d", ("keypoints2d", "keypoints_2d", "joints2d", "joints_2d", "kp", "kpt")),
    ("bbox_px", ("bbox", "box")),
    ("focal_px", ("focal",)),
    ("image_size_px", ("img_size", "image_size", "imgsize")),
    ("image", ("image", "img", "filename")),
    ("frame", ("frame",)),
    ("sequence", ("sequence", "seq")),
    ("view", ("view",)),
    ("cam_t", ("cam_t_full",)),
    ("weak camera", ("cam", "trans")),
)
"""Parts of names that say what a field of another program is; the first that fits."""

_SHAPES = {
    "keypoints2d": (", 2)", ", 3)", ", ...)"),
    "bbox_px": (", 4)", ", ...)"),
    "weak camera": (", 3)", ", ...)"),
    "cam_t": (", 3)", ", ...)"),
    "image_size_px": (", 2)", ", ...)"),
    "focal_px": (",)", ", 1)", ", 2)"),
}


def _guess(name: str, shape: str, rows: int) -> str | None:
    for kind, words in _WORDS:
        ends = _SHAPES.get(kind, (f"({rows},)",))
        if any(word in name for word in words) and shape.endswith(ends) and f"({rows}," in shape:
            return kind
    return None
