"""ScoreHMR's cache of HMR2 predictions as an annotation set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import crops, hmr2_evaluation, pairing, row_numbers
from diffjax.data import records

_SHAPES = {"pred_pose": (24, 3, 3), "pred_betas": (10,), "pred_cam": (3,), "pred_cam_t": (3,)}


def convert(
    cache: Path,
    out: Path,
    evaluation: Path | None = None,
    image_size: tuple[float, float] | None = None,
    allow_mismatch: bool = False,
) -> None:
    """Reads ScoreHMR's cached HMR2 predictions.

    Args:
        cache: cache/hmr2b/3dpw_test.npz.
        out: The annotation set to write, .npz.
        evaluation: data/datasets/3dpw_test.npz, whose rows the cache follows.
        image_size: Width and height, where all images share them.
        allow_mismatch: Go on where a check fails.
    """
    annotations = from_scorehmr(
        cache, evaluation, image_size_px=image_size, allow_mismatch=allow_mismatch
    )
    records.write(out, annotations)
    print(f"{out}: {records.count(annotations)} people")


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
    fields["focal_px"] = np.full((rows, 2), crops.FOCAL_PX, np.float32)
    if evaluation is not None:
        found, where = unpickle.load_npz(evaluation), str(evaluation)
        pairing.check_count(rows, len(hmr2_evaluation.names(found, where)), str(cache), where)
        size = _image_size(cached, found, str(cache), where, allow_mismatch, say)
        fields |= hmr2_evaluation.fields_of(found, "auto", where, say)
        if "pose" in fields:
            both = f"{cache} with {evaluation}"
            pairing.check_roots(fields["pred_pose"], fields["pose"], allow_mismatch, both, say)
    if image_size_px is not None:
        size = np.tile(image_size_px, (rows, 1))
    if size is None:
        say(f"{cache}: image size unknown; give --image-size or the evaluation .npz for a camera")
    else:
        fields |= {"image_size_px": size, "center_px": size / 2}
    return records.from_arrays(fields, str(cache))


def _read_cache(where: str) -> dict[str, np.ndarray]:
    arrays = unpickle.load_npz(where)
    for name in _SHAPES:
        if name not in arrays:
            raise ValueError(
                f"{where}: field {name}: wanted ScoreHMR's prediction cache, "
                f"found {', '.join(sorted(arrays)[:12])}; make it with cache_hmr2_preds.py"
            )
    cached = {
        name: row_numbers.array(arrays[name], name, shape, where) for name, shape in _SHAPES.items()
    }
    rows = len(cached["pred_pose"])
    if any(len(array) != rows for array in cached.values()):
        counts = {name: len(array) for name, array in cached.items()}
        raise ValueError(f"{where}: wanted as many rows of each field, found {counts}")
    return cached


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
    rows = len(cached["pred_cam"])
    center = row_numbers.exact(evaluation["center"], "center", (2,), other, rows)
    cam, full = (cached[name].astype(np.float64) for name in ("pred_cam", "pred_cam_t"))
    if not (full[:, 2] > 0).all():
        raise ValueError(
            f"{where}: field pred_cam_t: wanted people in front of the camera, found depth "
            f"{full[:, 2].min():.3g}; make it with cache_hmr2_preds.py"
        )
    size = 2 * (center - (full[:, :2] - cam[:, 1:]) * crops.FOCAL_PX / full[:, 2:])
    off = float(np.quantile(np.abs(size - np.round(size)), 0.9))
    finding = (
        f"{where}: with box centres of {other}, image sizes are {off:.2g} px from whole (90 of 100)"
    )
    good = off < 0.1 and bool((size > 1).all())
    pairing.judge(
        good, finding, "wanted below 0.1: give the file it was made from", allow_mismatch, say
    )
    return np.round(size) if good else None
