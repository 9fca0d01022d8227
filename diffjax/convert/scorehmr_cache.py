"""ScoreHMR's caches of HMR2's and PARE's predictions as annotation sets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import batched, crops, hmr2_evaluation, image_features, pairing, row_numbers
from diffjax.data import records

_SHAPES = {"pred_pose": (24, 3, 3), "pred_betas": (10,), "pred_cam": (3,), "pred_cam_t": (3,)}
_OPTIONAL = ("pred_cam", "pred_cam_t")
"""PARE's cache has no translation."""


def convert(
    cache: Path,
    out: Path,
    evaluation: Path | None = None,
    image_size: tuple[float, float] | None = None,
    features: Path | None = None,
    shape_features: bool = False,
    allow_mismatch: bool = False,
    entries: batched.Entries | None = None,
    joints: hmr2_evaluation.Joints = "auto",
) -> None:
    """Reads ScoreHMR's cached HMR2 predictions, and PARE's features beside them.

    Args:
        cache: cache/hmr2b/3dpw_test.npz, mannequin.pkl; or PARE's of a training set, cache/pare/h36m_train_mosh.npz.
        out: The annotation set to write, .npz.
        evaluation: data/datasets/3dpw_test.npz, whose rows the cache follows.
        image_size: Width and height, where all images share them.
        features: cache/pare/3dpw_test.npz of the same rows: its image features; PARE's own cache needs none.
        shape_features: PARE's features of the shape too (4608 instead of 3072), for a network of betas.
        allow_mismatch: Go on where a check fails.
        entries: What an entry of a batched .pkl is: a clip, or an instant seen by several cameras.
        joints: j19 takes the evaluation's extra 3D joints, all 19, as the truth that ScoreHMR measures against.
    """
    how: dict[str, Any] = {"features": features, "shape_features": shape_features}
    how |= {"entries": entries, "joints": joints}
    annotations = from_scorehmr(
        cache, evaluation, image_size_px=image_size, allow_mismatch=allow_mismatch, **how
    )
    records.write(out, annotations)
    seen = annotations.features
    more = "" if seen is None else f", {seen.shape[1]} image features each"
    print(f"{out}: {records.count(annotations)} people{more}")


def from_scorehmr(
    cache: str | Path,
    evaluation: str | Path | None = None,
    *,
    image_size_px: tuple[float, float] | None = None,
    features: str | Path | None = None,
    shape_features: bool = False,
    allow_mismatch: bool = False,
    entries: batched.Entries | None = None,
    joints: hmr2_evaluation.Joints = "auto",
    say: Callable[[str], None] = print,
) -> records.AnnotationSet:
    """ScoreHMR's cache of predictions, with the evaluation file whose rows it follows, both `.npz` or both lists.

    `pred_cam_t` is the full-image translation at focal length 5000. The image size is recovered
    from crop camera, full camera and box centre, which also proves that the rows belong together.
    Image features are those of the file `features`, or of a cache of PARE's itself.
    """
    loaded, where = batched.load(cache, None, say), str(cache)
    arrays, cached = loaded.content, _cached(loaded.content, where)
    fields: dict[str, Any] = {k: v for k, v in cached.items() if k != "pred_cam"} | loaded.names
    rows, size, found = len(cached["pred_pose"]), None, {}
    if evaluation is not None:
        judged, other = batched.load(evaluation, entries, say), str(evaluation)
        found = judged.content
        pairing.check_count(rows, len(hmr2_evaluation.names(found, other)), where, other)
        _check_entries(loaded.counts, judged.counts, where, other)
        if len(cached) == len(_SHAPES):
            size = _image_size(cached, found, where, other, allow_mismatch, say)
        fields |= hmr2_evaluation.fields_of(found, "auto", other, say) | judged.names
        if "pose" in fields:
            both = f"{cache} with {evaluation}"
            pairing.check_roots(fields["pred_pose"], fields["pose"], allow_mismatch, both, say)
        if joints == "j19":
            fields = hmr2_evaluation.protocol_joints(fields, found, other, say)
    fields |= _camera(cached, size, image_size_px, found, where, say)
    if features is not None:
        how: dict[str, Any] = {"allow_mismatch": allow_mismatch, "say": say}
        fields["features"] = image_features.read_features(
            features, cached["pred_pose"], shape_features=shape_features, **how
        )
    elif image_features.has_features(arrays):
        fields["features"] = image_features.features_of(arrays, where, rows, shape_features)
    elif shape_features:
        raise ValueError(f"{where}: field pose_feats: wanted them; give --features PARE_CACHE.npz")
    return records.from_arrays(fields, where)


def _check_entries(
    found: list[int] | None, wanted: list[int] | None, where: str, other: str
) -> None:
    """Batched files go together entry by entry."""
    if found != wanted:
        raise ValueError(
            f"{where}: wanted the entries of {other}, found other lengths of them; give the very file "
            "that it was made from"
        )


def _camera(
    cached: dict[str, np.ndarray],
    size: np.ndarray | None,
    given: tuple[float, float] | None,
    evaluation: dict[str, Any],
    where: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Focal length and image; where people stand too, if the cache only knows their crops."""
    rows = len(cached["pred_pose"])
    if "pred_cam_t" not in cached:
        if "pred_cam" not in cached:
            return {}
        squares = crops.read_crops(evaluation, "auto", where, rows, lambda _: None)
        placed = crops.place(cached["pred_cam"], squares, given, crops.FOCAL_PX, where, say)
        return {"pred_cam_t" if name == "cam_t" else name: v for name, v in placed.items()}
    size = size if given is None else np.tile(given, (rows, 1))
    focal = {"focal_px": np.full((rows, 2), crops.FOCAL_PX, np.float32)}
    if size is None:
        say(f"{where}: image size unknown; give --image-size or the evaluation .npz for a camera")
        return focal
    return focal | {"image_size_px": size, "center_px": size / 2}


def _cached(arrays: dict[str, Any], where: str) -> dict[str, np.ndarray]:
    for name in _SHAPES:
        if name not in arrays and name not in _OPTIONAL:
            raise ValueError(
                f"{where}: field {name}: wanted ScoreHMR's prediction cache, "
                f"found {', '.join(sorted(arrays)[:12])}; make it with cache_hmr2_preds.py"
            )
    cached = {
        name: row_numbers.array(arrays[name], name, shape, where)
        for name, shape in _SHAPES.items()
        if name in arrays
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
