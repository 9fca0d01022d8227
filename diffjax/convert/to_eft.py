"""Annotation sets as EFT's json."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import rotations, skeleton
from diffjax.convert import eft, j24, parsing, writing
from diffjax.data import records

_MARGIN = 1.2
"""Side of a box around keypoints, in longer sides of the keypoints' own box, as EFT takes it."""


def write_eft(
    path: str | Path,
    annotations: records.AnnotationSet,
    which: writing.Which = "estimate",
    *,
    say: Callable[[str], None] = print,
) -> None:
    """Writes {"ver", "data": [one dict a person]} with the keys of EFT's releases.

    The weak camera holds in the square around the box; without a box, a translation or a camera it
    is left out. Matrices are projected onto SO(3).
    """
    pose, betas, cam_t = writing.chosen(annotations, which)
    nearest = rotations.project_to_so3(jnp.asarray(pose))
    columns: dict[str, Any] = {"parm_pose": nearest, "parm_shape": betas}
    center, side = _square(annotations)
    if side is None:
        say(f"{path}: no boxes and no keypoints, so bbox_scale and bbox_center are left out")
    else:
        columns |= {"bbox_scale": side / eft.BOX_PX, "bbox_center": center}
    weak = _weak(annotations, cam_t, center, side)
    if weak is None:
        say(f"{path}: no translation, camera or box, so parm_cam is left out")
    else:
        columns["parm_cam"] = weak
    _save(path, columns | _keypoints(annotations) | _names(annotations))


def _save(path: str | Path, columns: dict[str, Any]) -> None:
    orjson = parsing.needed("orjson")
    lists = {name: np.asarray(values).tolist() for name, values in columns.items()}
    people = [dict(zip(lists, row)) | {"smpltype": "smpl"} for row in zip(*lists.values())]
    with writing.whole_file(path, (".json",)) as temporary:
        temporary.write_bytes(orjson.dumps({"ver": 0.1, "data": people}))


def _names(annotations: records.AnnotationSet) -> dict[str, Any]:
    """imageName, and subjectId; a subject that is a number is COCO's annotation id."""
    names: dict[str, Any] = {}
    if annotations.image is not None:
        names["imageName"] = annotations.image
    if annotations.subject is not None:
        subjects = annotations.subject.tolist()
        numbers = all(s.isascii() and s.isdigit() and len(s) < 16 for s in subjects)
        names["annotId" if numbers else "subjectId"] = (
            [int(s) for s in subjects] if numbers else subjects
        )
    return names


def _keypoints(annotations: records.AnnotationSet) -> dict[str, Any]:
    """gt_keypoint_2d, and which of OpenPose's 18 keypoints are there."""
    labels = annotations.labels2d if annotations.labels2d_set in j24.SLOTS else None
    if annotations.keypoints2d is None and labels is None:
        return {}
    points = np.zeros((records.count(annotations), 49, 3), np.float32)
    if annotations.keypoints2d is not None:
        source = np.array(skeleton.keypoint_map(str(annotations.keypoints2d_set), "openpose25"))
        there = np.flatnonzero(source >= 0)
        points[:, there] = annotations.keypoints2d[:, source[there]]
    if labels is not None:
        points[:, eft.OPENPOSE :] = j24.scatter(labels, str(annotations.labels2d_set))
    valid = points[:, list(skeleton.keypoint_map("openpose25", "openpose18")), 2] > 0
    return {"gt_keypoint_2d": points, "joint_validity_openpose18": valid}


def _square(annotations: records.AnnotationSet) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Centre (N, 2) and side (N,) of the square around the box, or around the keypoints; px."""
    if annotations.bbox_px is not None:
        box = annotations.bbox_px.astype(np.float64)
        return box[:, :2] + box[:, 2:] / 2, box[:, 2:].max(-1)
    points = (
        annotations.keypoints2d if annotations.keypoints2d is not None else annotations.labels2d
    )
    if points is None:
        return None, None
    seen = points[..., 2:] > 0
    low = np.where(seen, points[..., :2], np.inf).min(-2).astype(np.float64)
    high = np.where(seen, points[..., :2], -np.inf).max(-2).astype(np.float64)
    some = np.isfinite(low).all(-1, keepdims=True)
    low, high = np.where(some, low, 0.0), np.where(some, high, 0.0)
    return (low + high) / 2, np.maximum(_MARGIN * (high - low).max(-1), 1.0)


def _weak(
    annotations: records.AnnotationSet,
    cam_t: np.ndarray | None,
    center: np.ndarray | None,
    side: np.ndarray | None,
) -> np.ndarray | None:
    """[s, tx, ty]: what `camera.full_translation_from_crop` undoes."""
    focal, principal = annotations.focal_px, annotations.center_px
    if cam_t is None or focal is None or principal is None or center is None or side is None:
        return None
    if not (cam_t[:, 2] > 0).all():
        return None
    size = 2 * focal[:, 0].astype(np.float64) / cam_t[:, 2]
    xy = cam_t[:, :2] - 2 * (center - principal) / size[:, None]
    return np.concatenate([(size / side)[:, None], xy], -1)


def convert(source: Path, out: Path, which: writing.Which = "estimate") -> None:
    """An annotation set as EFT's json.

    Args:
        source: The annotation set, .npz.
        out: The file to write, .json.
        which: The estimate (also a refined one), or the truth.
    """
    annotations = records.read(source)
    write_eft(out, annotations, which)
    print(f"{out}: {records.count(annotations)} people")
