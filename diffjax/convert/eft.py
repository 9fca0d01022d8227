"""EFT's json: pseudo-annotations of COCO, MPII and LSPET people, one dict a person."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import camera
from diffjax.convert import delivery, j24, parsing, pose_layouts

OPENPOSE = 25
"""Of the 49 keypoints the first 25 are OpenPose's; SPIN's 24 follow."""

BOX_PX = 200.0
"""Pixels of a box of scale 1."""


def read_eft(
    path: str | Path,
    *,
    image_size_px: tuple[float, float] | None = None,
    focal_px: float = 5000.0,
    project: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """`pose`, `betas`, keypoints, boxes and names; `cam_t` where the images' (width, height) is given.

    The person's weak camera holds in the square box of side 200 bbox_scale around bbox_center.
    Keypoints 0-24 become `keypoints2d` (openpose25), the labels behind them `labels2d` (coco17, lsp14).
    """
    where = str(path)
    people = _people(parsing.read_json(path), where)
    pose = pose_layouts.numbers(_column(people, "parm_pose", where), "parm_pose", (24, 3, 3), where)
    fields: dict[str, Any] = {
        "pose": pose_layouts.orthonormal(pose, f"{where}: field parm_pose", project, say),
        "betas": pose_layouts.numbers(
            _column(people, "parm_shape", where), "parm_shape", (10,), where
        ),
    }
    fields |= _names(people) | _boxes(people, where) | _keypoints(people, where, say)
    return fields | _camera(people, fields, image_size_px, focal_px, where, say)


def _people(content: Any, where: str) -> list[dict[str, Any]]:
    people = parsing.field(content, "data", where, "EFT's json: ver and data")
    if not isinstance(people, list) or not all(isinstance(p, dict) for p in people) or not people:
        raise ValueError(f"{where}: field data: wanted a list of people, found something else")
    other = {str(p["smpltype"]) for p in people if p.get("smpltype", "smpl") != "smpl"}
    if other:
        raise ValueError(
            f"{where}: field smpltype: wanted smpl, found {sorted(other)[:3]}; bodies of SMPL-X have "
            "another shape space, take EFT's SMPL release"
        )
    return people


def _column(people: list[dict[str, Any]], key: str, where: str) -> list[Any]:
    absent = next((i for i, person in enumerate(people) if key not in person), None)
    if absent is not None:
        found = ", ".join(sorted(people[absent])[:12]) or "nothing"
        raise ValueError(
            f"{where}: field {key}: wanted it of every person, found {found} in {absent}"
        )
    return [person[key] for person in people]


def _names(people: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """image, and as subject the person's name: subjectId (videos), else annotId (COCO)."""
    names = {}
    if all("imageName" in person for person in people):
        names["image"] = parsing.texts(person["imageName"] for person in people)
    for key in ("subjectId", "annotId"):
        if all(key in person for person in people):
            # COCO's annotation ids pass through floats in some releases.
            ids = [_whole(person[key]) for person in people]
            return {**names, "subject": parsing.texts(ids)}
    return names


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _boxes(people: list[dict[str, Any]], where: str) -> dict[str, np.ndarray]:
    """The square box, (N, 4) left, top, width, height."""
    if not all("bbox_scale" in person and "bbox_center" in person for person in people):
        return {}
    scale = pose_layouts.numbers(_column(people, "bbox_scale", where), "bbox_scale", (), where)
    center = pose_layouts.numbers(_column(people, "bbox_center", where), "bbox_center", (2,), where)
    side = BOX_PX * np.repeat(scale[:, None], 2, -1)
    return {"bbox_px": np.concatenate([center - side / 2, side], -1)}


def _keypoints(
    people: list[dict[str, Any]], where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """What the file fills of OpenPose's 25 keypoints, and of COCO's or LSP's among SPIN's 24."""
    if not any("gt_keypoint_2d" in person for person in people):
        return {}
    listed = _column(people, "gt_keypoint_2d", where)
    points = pose_layouts.numbers(listed, "gt_keypoint_2d", (49, 3), where)
    points[..., 2] = np.clip(points[..., 2], 0.0, 1.0)  # COCO's flags 1 and 2 are both 1.
    points = np.where(points[..., 2:] > 0, points, np.float32(0))
    fields = j24.select(points[:, OPENPOSE:], j24.FLAT, "labels2d")
    if (points[:, :OPENPOSE, 2] > 0).any():
        fields |= {"keypoints2d": points[:, :OPENPOSE], "keypoints2d_set": "openpose25"}
    if "keypoints2d" not in fields:
        say(f"{where}: no OpenPose keypoints in gt_keypoint_2d, so keypoints2d is left out")
    return fields


def _camera(
    people: list[dict[str, Any]],
    fields: dict[str, Any],
    image_size_px: tuple[float, float] | None,
    focal_px: float,
    where: str,
    say: Callable[[str], None],
) -> dict[str, np.ndarray]:
    """Translation and intrinsics, from the weak cameras of boxes in images of a known size."""
    if image_size_px is None:
        say(f"{where}: image size unknown, so cam_t and the camera are left out; see --image-size")
        return {}
    if "bbox_px" not in fields:
        raise ValueError(f"{where}: field bbox_scale: wanted boxes for the cameras, found none")
    if not (min(image_size_px) > 0 and focal_px > 0):
        raise ValueError(f"--image-size, --focal: wanted above 0, got {image_size_px}, {focal_px}")
    weak = pose_layouts.numbers(_column(people, "parm_cam", where), "parm_cam", (3,), where)
    if not (weak[:, 0] > 0).all():
        row = int(np.argmin(weak[:, 0] > 0))
        raise ValueError(
            f"{where}: field parm_cam: wanted a scale above 0, found {weak[row, 0]} at row {row}"
        )
    rows = len(weak)
    size = np.tile(np.asarray(image_size_px, np.float32), (rows, 1))
    focal = np.full((rows, 2), focal_px, np.float32)
    box = fields["bbox_px"]
    full = camera.full_translation_from_crop(
        jnp.asarray(weak),
        jnp.asarray(box[:, :2] + box[:, 2:] / 2),
        jnp.asarray(box[:, 2]),
        camera.Camera(*(jnp.asarray(part) for part in (focal, size / 2, size))),
    )
    return {
        "cam_t": np.asarray(full),
        "focal_px": focal,
        "center_px": size / 2,
        "image_size_px": size,
    }


def convert(
    source: Path,
    out: Path,
    role: delivery.Role = "estimate",
    image_size: tuple[float, float] | None = None,
    focal: float = 5000.0,
    project: bool = False,
    estimates: Path | None = None,
) -> None:
    """EFT's json of SMPL annotations.

    Args:
        source: COCO2014-Part-ver01.json, MPII_ver01.json, ...
        out: The annotation set to write, .npz.
        role: Whether its poses are estimates or the truth.
        image_size: Width and height, where all images share them: adds the cameras.
        focal: Focal length of these cameras in pixels.
        project: Replace matrices that are no rotations by the nearest ones.
        estimates: The annotation set that a truth belongs to.
    """
    found = read_eft(source, image_size_px=image_size, focal_px=focal, project=project)
    delivery.deliver(out, delivery.in_role(found, role), str(source), estimates)
