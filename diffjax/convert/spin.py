"""SPIN-style `.npz`: annotations of a data set, without pickles. What a key is absent for is unknown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import crops, delivery, hmr2_evaluation, image_names, j24, parsing, row_numbers


def convert(
    source: Path,
    out: Path,
    estimates: Path | None = None,
    role: delivery.Role = "truth",
    scale_unit: crops.Unit = "auto",
    smpl_only: bool = False,
) -> None:
    """Reads a SPIN-style .npz (dataset_extras): keypoints, SMPL, boxes.

    Args:
        source: 3dpw_test.npz, mpi_inf_3dhp_valid.npz, coco_2014_train.npz, ...
        out: The annotation set to write, .npz.
        estimates: An annotation set whose people get what this file knows.
        role: Whether pose and shape are the truth or an estimate (fits).
        scale_unit: What `scale` counts; auto goes by its values and says which.
        smpl_only: Keep only the people whose has_smpl is 1.
    """
    fields = read_spin(source, role, scale_unit, smpl_only)
    delivery.deliver(out, fields, str(source), estimates)


def read_spin(
    path: str | Path,
    role: delivery.Role = "truth",
    scale_unit: crops.Unit = "auto",
    smpl_only: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The fields of an annotation set that a SPIN-style file knows."""
    content, where = unpickle.load_npz(path), str(path)
    if "body_keypoints_2d" in content:
        raise ValueError(
            f"{where}: field body_keypoints_2d: wanted a SPIN-style file, found an evaluation file "
            "of 4D-Humans; use the command hmr2"
        )
    images = hmr2_evaluation.names(content, where)
    rows = len(images)
    fields, has_smpl = _smpl(content, where, rows, say)
    if role == "estimate" and not fields:
        raise ValueError(f"{where}: field pose: wanted pose and shape as estimates, found none")
    kept = np.flatnonzero(has_smpl) if smpl_only else np.arange(rows)
    if fields and not has_smpl[kept].all():
        if role == "estimate":
            raise ValueError(
                f"{where}: field has_smpl: wanted 1 in every row, found 0 in "
                f"{rows - has_smpl.sum()}; give --smpl-only to keep the others"
            )
        say(f"{where}: some rows have no SMPL (has_smpl 0), so pose and betas are left out")
        fields = {}
    found = crops.read_crops(content, scale_unit, where, rows, say)
    if found is not None:
        fields["bbox_px"] = crops.boxes(found)
        say(f"{where}: bbox_px is the square crop, which SPIN had enlarged by 1.2")
    fields |= _evidence(content, where, rows)
    if "gender" in content:
        fields["gender"] = genders(content["gender"], where, rows)
    fields |= image_names.frame_fields(images, fields.get("betas"))
    fields = {name: v if name.endswith("_set") else v[kept] for name, v in fields.items()}
    return delivery.in_role(fields, role)


def _smpl(
    content: dict[str, Any], where: str, rows: int, say: Callable[[str], None]
) -> tuple[dict[str, Any], np.ndarray]:
    """pose and betas, and which rows have them: all, where the file has poses and does not say."""
    if "pose" not in content or "shape" not in content:
        return {}, np.zeros(rows, bool)
    has = np.ones(rows, bool)
    if "has_smpl" in content:
        has = row_numbers.array(content["has_smpl"], "has_smpl", (), where, rows) > 0
    fields = {
        "pose": row_numbers.rotations(content["pose"], "pose", where, rows),
        "betas": row_numbers.shapes(content["shape"], "shape", where, rows, say),
    }
    return fields, has


def _evidence(content: dict[str, Any], where: str, rows: int) -> dict[str, Any]:
    """openpose are detections; part are labels; S are joints in metres about the root."""
    fields: dict[str, Any] = {}
    if "openpose" in content:
        points = row_numbers.points(content["openpose"], "openpose", (25, 3), where, rows)
        if (points[..., 2] > 0).any():
            fields |= {"keypoints2d": points, "keypoints2d_set": "openpose25"}
    if "part" in content:
        points = row_numbers.points(content["part"], "part", (j24.LENGTH, 3), where, rows)
        fields |= j24.select(points, j24.FLAT, "labels2d")
    if "S" in content:
        points = row_numbers.points(content["S"], "S", (j24.LENGTH, 4), where, rows)
        fields |= j24.select(points, j24.SOLID, "keypoints3d")
    return fields


def genders(stored: Any, where: str, rows: int) -> np.ndarray:
    """'male', 'female' or 'neutral', also from bytes: str(b"m") would make everybody female."""
    found = np.asarray(stored)
    if found.shape != (rows,):
        raise ValueError(
            f"{where}: field gender: wanted m or f in {rows} rows, found shape {found.shape}; "
            "make the file again"
        )
    return np.array([parsing.gender(word, where) for word in found.tolist()], np.str_)
