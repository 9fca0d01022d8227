"""Annotation sets as SPIN-style `.npz`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import j24, to_humandata, writing
from diffjax.data import records


def convert(
    source: Path, out: Path, which: writing.Which = "estimate", enlarge: float = 1.0
) -> None:
    """Writes an annotation set as SPIN-style .npz, for training with SPIN's loaders.

    Args:
        source: An annotation set, .npz or a folder of shards.
        out: The file to write, .npz.
        which: Whose SMPL parameters: the estimate's or the truth's.
        enlarge: Of the boxes; SPIN has 1.2 about the person.
    """
    write_spin(out, records.read(source), which, enlarge)


def write_spin(
    path: str | Path,
    annotations: records.AnnotationSet,
    which: writing.Which = "estimate",
    enlarge: float = 1.0,
    say: Callable[[str], None] = print,
) -> None:
    """imgname, center, scale, pose, shape, has_smpl, gender, openpose, part and S, as far as known."""
    pose, betas, _ = writing.chosen(annotations, which)
    rows = len(pose)
    content: dict[str, Any] = {
        "imgname": _images(annotations, rows),
        "pose": writing.axis_angle(pose).reshape(rows, 72),
        "shape": betas,
        "has_smpl": np.ones(rows),
        **_boxes(annotations, enlarge, str(path), say),
        **_keypoints(annotations, str(path), say),
    }
    letters = to_humandata.gender_letters(annotations, which, str(path), say)
    if letters:
        content["gender"] = np.array(letters)
    records.save_arrays(path, content)
    say(f"{path}: {rows} people ({which})")


def _images(annotations: records.AnnotationSet, rows: int) -> np.ndarray:
    """The images; where they are unknown, names made of sequence and frame."""
    if annotations.image is not None:
        return annotations.image
    sequence = np.full(rows, "unknown") if annotations.sequence is None else annotations.sequence
    frame = np.arange(rows) if annotations.frame is None else annotations.frame
    return np.array([f"{s}/{f:06d}.jpg" for s, f in zip(sequence.tolist(), frame.tolist())])


def _boxes(
    annotations: records.AnnotationSet, enlarge: float, where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    if annotations.bbox_px is None:
        say(f"{where}: written without center and scale, which SPIN needs to crop images")
        return {}
    boxes = annotations.bbox_px.astype(np.float64)
    center = boxes[:, :2] + boxes[:, 2:] / 2
    return {"center": center, "scale": enlarge * boxes[:, 2:].max(-1) / 200}


def _keypoints(
    annotations: records.AnnotationSet, where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """openpose25 goes to openpose, other 2D sets to part (labels before detections), 3D to S."""
    content: dict[str, Any] = {}
    for field, target in (("labels2d", "part"), ("keypoints2d", "part"), ("keypoints3d", "S")):
        values, name = getattr(annotations, field), getattr(annotations, f"{field}_set")
        if values is None:
            continue
        if name == "openpose25" and target == "part" and "openpose" not in content:
            content["openpose"] = values
        elif name in j24.SLOTS and target not in content:
            content[target] = j24.scatter(values, name)
        else:
            say(f"{where}: {field} ({name}) has no place in SPIN's files and is left out")
    return content
