"""HMR2's (4D-Humans') evaluation `.npz`: keypoints, crops and, for some data sets, SMPL truth."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax.convert import batched, crops, delivery, image_names, j24, row_numbers

Joints = Literal["auto", "j19"]
"""What 3D joints are taken: those of the body where there are some; or the 19 extra ones, ScoreHMR's truth."""


def convert(
    source: Path,
    out: Path,
    estimates: Path | None = None,
    scale_unit: crops.Unit = "auto",
    entries: batched.Entries | None = None,
    joints: Joints = "auto",
) -> None:
    """Reads an evaluation file of 4D-Humans (HMR2) or ScoreHMR.

    Args:
        source: data/datasets/3dpw_test.npz, coco_val.npz; 3dpw_test_video.pkl, mannequin.pkl, ...
        out: The annotation set to write, .npz.
        estimates: An annotation set whose people get what this file knows.
        scale_unit: What `scale` counts; auto goes by its values and says which.
        entries: What an entry of a batched .pkl is: a clip, or an instant seen by several cameras.
        joints: j19 takes the extra 3D joints, all 19, as the truth that ScoreHMR measures against.
    """
    fields = read_hmr2_evaluation(source, scale_unit, entries=entries, joints=joints)
    delivery.deliver(out, fields, str(source), estimates)


def read_hmr2_evaluation(
    path: str | Path,
    scale_unit: crops.Unit = "auto",
    say: Callable[[str], None] = print,
    *,
    entries: batched.Entries | None = None,
    joints: Joints = "auto",
) -> dict[str, Any]:
    """Truth, keypoints and boxes; body_pose holds the root first, `scale` is in pixels."""
    found, where = batched.load(path, entries, say), str(path)
    fields = fields_of(found.content, scale_unit, where, say) | found.names
    return protocol_joints(fields, found.content, where, say) if joints == "j19" else fields


def protocol_joints(
    fields: dict[str, Any], content: dict[str, Any], where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """The fields with the extra joints, all 19, as the only truth: joints that are stored, not posed."""
    name, rows = "extra_keypoints_3d", len(fields["image"])
    found = {}
    if name in content:
        points = row_numbers.points(content[name], name, (19, 4), where, rows)
        found = j24.select(points, ("j19",), "keypoints3d")
    if not found:
        raise ValueError(
            f"{where}: field {name}: wanted 19 joints, some of them seen, for --joints j19, found none; "
            "leave --joints out"
        )
    if "pose" in fields:
        say(f"{where}: pose and betas are left out: they would be judged in place of the joints")
    return {k: v for k, v in fields.items() if k not in ("pose", "betas")} | found


def names(content: dict[str, Any], where: str) -> list[Any]:
    """`imgname`, one a row."""
    found = content.get("imgname")
    listed = isinstance(found, list) or (isinstance(found, np.ndarray) and found.ndim == 1)
    if not listed or not len(found):
        raise ValueError(
            f"{where}: field imgname: wanted the name of every row's image, found "
            f"{', '.join(sorted(map(str, content))[:12]) or 'nothing'}; see docs/data.md"
        )
    return list(found)


def fields_of(
    content: dict[str, Any], scale_unit: crops.Unit, where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """The same of a file that has been read."""
    images = names(content, where)
    rows = len(images)
    fields: dict[str, Any] = _truth(content, where, rows, say)
    found = crops.read_crops(content, scale_unit, where, rows, say)
    if found is not None:
        fields["bbox_px"] = crops.boxes(found)
    flat, solid = (_keypoints(content, kind, where, rows) for kind in ("2d", "3d"))
    return fields | flat | solid | image_names.frame_fields(images, fields.get("betas"))


def _truth(
    content: dict[str, Any], where: str, rows: int, say: Callable[[str], None]
) -> dict[str, Any]:
    if "body_pose" not in content or "betas" not in content:
        return {}
    has = [
        (row_numbers.flat(content[key], key, where, rows) > 0).all()
        for key in ("has_body_pose", "has_betas")
        if key in content
    ]
    if not all(has):
        say(f"{where}: some rows have no SMPL truth, so pose and betas are left out")
        return {}
    return {
        "pose": row_numbers.rotations(content["body_pose"], "body_pose", where, rows),
        "betas": row_numbers.shapes(content["betas"], "betas", where, rows, say),
    }


def _keypoints(content: dict[str, Any], kind: str, where: str, rows: int) -> dict[str, Any]:
    """body_keypoints (openpose25) and extra_keypoints (the first 19 of J24), where any is seen.

    In the image the extra ones are a second set, labels2d; in space one of the two is taken.
    """
    fields: dict[str, Any] = {}
    body, extra = f"body_keypoints_{kind}", f"extra_keypoints_{kind}"
    size = int(kind[0]) + 1
    if body in content:
        points = row_numbers.points(content[body], body, (25, size), where, rows)
        if (points[..., -1] > 0).any():
            fields |= {f"keypoints{kind}": points, f"keypoints{kind}_set": "openpose25"}
    if extra in content:
        points = row_numbers.points(content[extra], extra, (19, size), where, rows)
        if kind == "2d":
            fields |= j24.select(points, ("lsp14",), "labels2d")
        elif not fields:
            fields |= j24.select(points, j24.SOLID, "keypoints3d")
    return fields
