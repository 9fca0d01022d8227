"""ScoreHMR's cache of HMR2 predictions as an annotation set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import humandata, pairing, parsing
from diffjax.data import records

_FOCAL = 5000.0


def from_scorehmr(
    cache: str | Path,
    evaluation: str | Path | None = None,
    *,
    image_size_px: tuple[float, float] | None = None,
    allow_mismatch: bool = False,
    say: Callable[[str], None] = print,
) -> records.AnnotationSet:
    """ScoreHMR's cache of HMR2 predictions, with the evaluation `.npz` whose rows it follows.

    `pred_cam_t` is the full-image translation at focal length 5000. The image size is recovered
    from crop camera, full camera and box centre, which also proves that the rows belong together.
    """
    cached = _read_cache(str(cache))
    fields: dict[str, Any] = {k: v for k, v in cached.items() if k != "pred_cam"}
    rows, size = len(cached["pred_pose"]), None
    fields["focal_px"] = np.full((rows, 2), _FOCAL, np.float32)
    if evaluation is not None:
        found = unpickle.load_npz(evaluation)
        pairing.check_count(rows, len(found.get("imgname", ())), str(cache), str(evaluation))
        size = _image_size(cached, found, str(cache), str(evaluation), allow_mismatch, say)
        fields |= _evaluation_fields(found, str(evaluation), say)
        if "pose" in fields:
            where = f"{cache} with {evaluation}"
            pairing.check_roots(fields["pred_pose"], fields["pose"], allow_mismatch, where, say)
    if image_size_px is not None:
        size = np.tile(image_size_px, (rows, 1))
    if size is None:
        say(f"{cache}: image size unknown; give --image-size or the evaluation .npz for a camera")
    else:
        fields |= {"image_size_px": size, "center_px": size / 2}
    return records.from_arrays(fields, str(cache))


def _read_cache(where: str) -> dict[str, np.ndarray]:
    arrays = unpickle.load_npz(where)
    wanted = {"pred_pose": (24, 3, 3), "pred_betas": (10,), "pred_cam": (3,), "pred_cam_t": (3,)}
    for name in wanted:
        if name not in arrays:
            raise ValueError(
                f"{where}: field {name}: wanted ScoreHMR's prediction cache, "
                f"found {', '.join(sorted(arrays))}; make it with cache_hmr2_preds.py"
            )
    return {
        name: parsing.number_array(arrays[name], name, shape, where)
        for name, shape in wanted.items()
    }


def _image_size(
    cached: dict[str, np.ndarray],
    evaluation: dict[str, Any],
    where: str,
    other: str,
    allow_mismatch: bool,
    say: Callable[[str], None],
) -> np.ndarray | None:
    """Whole (width, height) from t_xy = cam_xy + (box centre - size / 2) t_z / f, or None."""
    if "center" not in evaluation:
        raise ValueError(
            f"{other}: field center: wanted box centres (N, 2), found none; see docs/data.md"
        )
    center = parsing.number_array(evaluation["center"], "center", (2,), other).astype(np.float64)
    cam, full = (cached[name].astype(np.float64) for name in ("pred_cam", "pred_cam_t"))
    size = 2 * (center - (full[:, :2] - cam[:, 1:]) * _FOCAL / full[:, 2:])
    off = float(np.median(np.abs(size - np.round(size))))
    finding = (
        f"{where}: with box centres of {other}, image sizes are {off:.2g} px from whole (median)"
    )
    good = off < 0.1 and bool((size > 1).all())
    pairing.judge(
        good, finding, "wanted below 0.1: give the file it was made from", allow_mismatch, say
    )
    return np.round(size) if good else None


def _evaluation_fields(
    evaluation: dict[str, Any], where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Truth and keypoints of an HMR2 evaluation file; its body_pose holds the root first."""
    fields: dict[str, Any] = {}
    if "body_pose" in evaluation and "betas" in evaluation:
        if np.all(evaluation.get("has_body_pose", 1)) and np.all(evaluation.get("has_betas", 1)):
            fields["pose"] = parsing.rotation_matrices(
                evaluation["body_pose"], f"{where}: field body_pose"
            )
            fields["betas"] = parsing.number_array(evaluation["betas"], "betas", (None,), where)[
                :, :10
            ]
        else:
            say(f"{where}: some rows have no SMPL truth, so pose and betas are left out")
    for name, channels in (("keypoints2d", 3), ("keypoints3d", 4)):
        key = f"body_keypoints_{name[-2:]}"
        if key in evaluation and np.any(np.asarray(evaluation[key])[..., -1] > 0):
            fields[name] = parsing.number_array(evaluation[key], key, (25, channels), where)
            fields[f"{name}_set"] = "openpose25"
    return fields | humandata.frame_fields(evaluation["imgname"], fields.get("betas"))
