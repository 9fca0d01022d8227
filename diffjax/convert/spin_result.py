"""SPIN's results as estimates: `eval.py --result_file`, and `static_fits`; row i is row i of the data set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import crops, hmr2_evaluation, pairing, row_numbers, spin
from diffjax.data import records


def convert(
    result: Path,
    dataset: Path,
    out: Path,
    body: Path | None = None,
    regressor: Path | None = None,
    image_size: tuple[float, float] | None = None,
    focal_px: float = crops.FOCAL_PX,
    allow_mismatch: bool = False,
) -> None:
    """Joins SPIN's eval.py --result_file, or static_fits, with its data set.

    Args:
        result: The .npz that eval.py --result_file wrote, or static_fits/*_fits.npz.
        dataset: data/dataset_extras/3dpw_test.npz, whose rows it follows.
        out: The annotation set to write, .npz.
        body: Neutral SMPL, .pkl or .npz: checks pred_joints.
        regressor: J_regressor_h36m.npy, unless the body file holds one.
        image_size: Width and height, where all images share them: places people.
        focal_px: The focal length that their depth is given at.
        allow_mismatch: Go on where a check fails.
    """
    annotations = from_spin(
        result,
        dataset,
        body_path=body,
        regressor=regressor,
        image_size_px=image_size,
        focal_px=focal_px,
        allow_mismatch=allow_mismatch,
    )
    records.write(out, annotations)
    print(f"{out}: {records.count(annotations)} people")


def from_spin(
    result: str | Path,
    dataset: str | Path,
    *,
    body_path: str | Path | None = None,
    regressor: str | Path | None = None,
    image_size_px: tuple[float, float] | None = None,
    focal_px: float = crops.FOCAL_PX,
    allow_mismatch: bool = False,
    say: Callable[[str], None] = print,
) -> records.AnnotationSet:
    """Estimates with what the data set knows of the same rows. Rows that have_smpl denies are left out."""
    where, other = str(result), str(dataset)
    found, content = unpickle.load_npz(result), unpickle.load_npz(dataset)
    images = hmr2_evaluation.names(content, other)
    pose, betas, kept = _parameters(found, where, say)
    pairing.check_count(len(pose), len(images), where, other)
    if body_path is not None:
        _check(found, pose, betas, body_path, regressor, allow_mismatch, where, say)
    elif "pred_joints" in found:
        say(f"{where}: not checked against a body; give the neutral one with --body")
    fields = spin.read_spin(dataset, say=say) | {"pred_pose": pose, "pred_betas": betas}
    if "camera" in found:
        weak = row_numbers.array(found["camera"], "camera", (3,), where, len(pose))
        crop = crops.read_crops(content, "auto", other, len(images), lambda _: None)
        placed = crops.place(weak, crop, image_size_px, focal_px, where, say)
        fields |= {{"cam_t": "pred_cam_t"}.get(name, name): v for name, v in placed.items()}
    if "pose" in fields:
        both = f"{where} with {other}"
        pairing.check_roots(pose[kept], fields["pose"][kept], allow_mismatch, both, say)
    fields = {name: v if name.endswith("_set") else v[kept] for name, v in fields.items()}
    return records.from_arrays(fields, where)


def _parameters(
    found: dict[str, Any], where: str, say: Callable[[str], None]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pose, betas and the rows that hold any."""
    shape = "betas" if "betas" in found else "shape"
    pose = found.get("pose")
    if shape not in found or not isinstance(pose, np.ndarray) or not pose.ndim or not len(pose):
        raise ValueError(
            f"{where}: field pose: wanted pose and betas (eval.py --result_file) or pose and shape "
            f"(static_fits), found {', '.join(sorted(found)[:12]) or 'nothing'}; see docs/data.md"
        )
    rows = len(pose)
    rotations = row_numbers.rotations(pose, "pose", where, rows)
    betas = row_numbers.shapes(found[shape], shape, where, rows, say)
    has = np.ones(rows, bool)
    if "has_smpl" in found:
        has = row_numbers.array(found["has_smpl"], "has_smpl", (), where, rows) > 0
        if not has.all():
            say(f"{where}: {rows - has.sum()} of {rows} rows have no fit and are left out")
    return rotations, betas, np.flatnonzero(has)


def _check(
    found: dict[str, Any],
    pose: np.ndarray,
    betas: np.ndarray,
    body_path: str | Path,
    regressor: str | Path | None,
    allow_mismatch: bool,
    where: str,
    say: Callable[[str], None],
) -> None:
    if "pred_joints" not in found:
        raise ValueError(
            f"{where}: field pred_joints: wanted joints to check the body, found none; "
            "leave the body out to go on unchecked"
        )
    joints = row_numbers.array(found["pred_joints"], "pred_joints", (None, 3), where, len(pose))
    cached = {"keypoints": joints, "poses": pose, "betas": betas}
    pairing.check_body(cached, body_path, regressor, allow_mismatch, where, say)
