"""NeuralAnnot's json of SMPL pseudo-annotations: MSCOCO's layout, and those in world coordinates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import delivery, neuralannot_world, parsing, pose_layouts

_OTHERS = {
    "smplx_param": "SMPL-X bodies",
    "mano_param": "MANO hands",
    "flame_param": "FLAME heads",
    "body_pose": "SMPL-X bodies",
    "root_pose": "SMPL-X bodies",
    "right": "MANO hands",
    "left": "MANO hands",
    "expr": "FLAME heads",
}
"""Keys that tell which other release a file is of."""


def read_neuralannot(
    path: str | Path,
    *,
    coco: str | Path | None = None,
    cameras: str | Path | None = None,
    camera: str | None = None,
    body: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """`pose`, `betas`, `cam_t` and cameras; `subject` is the annotation id, or who was recorded.

    The layout of MSCOCO, MPII, CrowdPose and InstaVariety is in camera coordinates; `coco`, the
    annotations whose ids it names, adds images, boxes and labels. Human3.6M's and MPI-INF-3DHP's
    are in world coordinates: they need `cameras`, which `camera` of them, and for the translation
    the `body`.
    """
    where = str(path)
    content = parsing.read_json(path)
    if not isinstance(content, dict) or not content:
        raise ValueError(
            f"{where}: wanted NeuralAnnot's json, {{annotation id: ...}}, found others"
        )
    _refuse_others(content, where)
    if not any(isinstance(leaf, dict) and "smpl_param" in leaf for leaf in content.values()):
        if coco is not None:
            raise ValueError(f"{where}: holds no annotation ids; drop --coco")
        return neuralannot_world.read_world(content, where, cameras, camera, body, say)
    if cameras is not None:
        raise ValueError(f"{where}: is in camera coordinates already; drop --cameras")
    fields = _camera_frame(content, where)
    if coco is None:
        say(f"{where}: subject holds annotation ids; --coco adds the images they are of")
        return fields
    return fields | _coco_fields(fields["subject"], coco, where)


def _refuse_others(content: dict[str, Any], where: str) -> None:
    """SMPL-X, MANO and FLAME releases: their pose and shape are of other bodies."""
    leaf: Any = next(iter(content.values()))
    for _ in range(4):
        other = next((key for key in _OTHERS if isinstance(leaf, dict) and key in leaf), None)
        if other is not None:
            raise ValueError(
                f"{where}: field {other}: wanted smpl_param, found {_OTHERS[other]}; "
                "take NeuralAnnot's SMPL release"
            )
        leaf = next(iter(leaf.values())) if isinstance(leaf, dict) and leaf else None


def _camera_frame(content: dict[str, Any], where: str) -> dict[str, Any]:
    """{id: {"smpl_param": {pose, shape, trans}, "cam_param": {focal, princpt}}}."""
    columns: dict[str, list[Any]] = {key: [] for key in ("pose", "shape", "trans")}
    intrinsics: dict[str, list[Any]] = {key: [] for key in ("focal", "princpt")}
    for name, person in content.items():
        here = f"{where}: annotation {name}"
        smpl = parsing.field(person, "smpl_param", here, "NeuralAnnot's smpl_param and cam_param")
        for key, values in columns.items():
            values.append(parsing.field(smpl, key, here, "an SMPL parameter"))
        cam = parsing.field(person, "cam_param", here, "NeuralAnnot's smpl_param and cam_param")
        for key, values in intrinsics.items():
            values.append(parsing.field(cam, key, here, "intrinsics in pixels"))
    return {
        **neuralannot_world.parameters(columns, where),
        "focal_px": pose_layouts.numbers(intrinsics["focal"], "focal", (2,), where),
        "center_px": pose_layouts.numbers(intrinsics["princpt"], "princpt", (2,), where),
        "subject": parsing.texts(content),
    }


def _coco_fields(ids: np.ndarray, coco: str | Path, where: str) -> dict[str, Any]:
    """image, image_size_px, bbox_px and, where every person has them, labels2d of the ids' people."""
    other, content = str(coco), parsing.read_json(coco)
    annotations = _by_id(content, "annotations", other)
    images = _by_id(content, "images", other)
    absent = [name for name in ids.tolist() if name not in annotations]
    if absent:
        raise ValueError(
            f"{where}: {len(absent)} of {len(ids)} annotations are not in {other}, first "
            f"{absent[0]}; give the json whose ids NeuralAnnot uses"
        )
    people = [annotations[name] for name in ids.tolist()]
    pictures = [_image_of(person, images, other) for person in people]
    size = [
        [parsing.field(p, key, other, "an image's size") for key in ("width", "height")]
        for p in pictures
    ]
    boxes = [parsing.field(person, "bbox", other, "a box") for person in people]
    fields: dict[str, Any] = {
        "image": parsing.texts(parsing.field(p, "file_name", other, "an image") for p in pictures),
        "image_size_px": pose_layouts.numbers(size, "width, height", (2,), other),
        "bbox_px": pose_layouts.numbers(boxes, "bbox", (4,), other),
    }
    if all("keypoints" in person for person in people):
        flat = pose_layouts.numbers([p["keypoints"] for p in people], "keypoints", (51,), other)
        points = flat.reshape(-1, 17, 3)
        points[..., 2] = points[..., 2] > 0  # Flags: 1 hidden, 2 visible.
        fields |= {"labels2d": points * points[..., 2:], "labels2d_set": "coco17"}
    return fields


def _by_id(content: Any, key: str, where: str) -> dict[str, dict[str, Any]]:
    entries = parsing.field(content, key, where, "COCO's images and annotations")
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "id" in e for e in entries):
        raise ValueError(f"{where}: field {key}: wanted a list of dicts with ids, found others")
    return {str(entry["id"]): entry for entry in entries}


def _image_of(
    person: dict[str, Any], images: dict[str, dict[str, Any]], where: str
) -> dict[str, Any]:
    name = str(parsing.field(person, "image_id", where, "the image of an annotation"))
    return parsing.field(images, name, f"{where}: images", "the image of an annotation")


def convert(
    source: Path,
    out: Path,
    role: delivery.Role = "estimate",
    coco: Path | None = None,
    cameras: Path | None = None,
    camera: str | None = None,
    body: Path | None = None,
    estimates: Path | None = None,
) -> None:
    """NeuralAnnot's json of SMPL annotations, also in world coordinates.

    Args:
        source: MSCOCO_train_SMPL_NeuralAnnot.json, Human36M_subject1_SMPL_NeuralAnnot.json, ...
        out: The annotation set to write, .npz.
        role: Whether its poses are estimates or the truth.
        coco: The COCO json whose annotation ids the source names: adds images, boxes, labels.
        cameras: The cameras of a source in world coordinates (translations in millimetres).
        camera: Which of them.
        body: A clean body file: gives such a source its translation in camera coordinates.
        estimates: The annotation set that a truth belongs to.
    """
    found = read_neuralannot(source, coco=coco, cameras=cameras, camera=camera, body=body)
    delivery.deliver(out, delivery.in_role(found, role), str(source), estimates)
