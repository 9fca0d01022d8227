"""Image features that ScoreHMR's scripts cached, PARE's or ProHMR's, as the field `features`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import pairing, parsing, row_numbers

_JOINTS = 24
_KNOWN = ("pose_feats", "img_feats")


def has_features(arrays: dict[str, Any]) -> bool:
    """Whether a cache holds image features."""
    return any(name in arrays for name in _KNOWN)


def read_features(
    path: str | Path,
    estimates: np.ndarray,
    *,
    shape_features: bool = False,
    allow_mismatch: bool = False,
    say: Callable[[str], None] = print,
) -> np.ndarray:
    """(N, F) of the file's rows, which must be those of `estimates` (N, 24, 3, 3).

    Where the file has poses too (PARE's caches do), their roots prove it.
    """
    arrays, where = unpickle.load_npz(path), str(path)
    found = features_of(arrays, where, len(estimates), shape_features)
    if "pred_pose" in arrays:
        name, count = "pred_pose", len(estimates)
        own = row_numbers.array(arrays[name], name, (_JOINTS, 3, 3), where, count)
        pairing.check_roots(estimates, own, allow_mismatch, f"{where}: its own estimates", say)
    else:
        say(f"{where}: rows are joined by their order, and nothing in the file proves it")
    return found


def features_of(
    arrays: dict[str, Any], where: str, rows: int, shape_features: bool = False
) -> np.ndarray:
    """PARE's (N, 128, 24), channel by channel, and with `shape_features` those of the shape behind; or ProHMR's."""
    if not has_features(arrays):
        raise ValueError(
            f"{where}: field pose_feats: wanted PARE's cached features (or ProHMR's img_feats), found "
            f"{', '.join(sorted(arrays)[:12])}; make them with cache_pare_preds.py"
        )
    names = ("pose_feats", "cam_shape_feats") if "pose_feats" in arrays else ("img_feats",)
    names = names[: 1 + (shape_features and len(names) > 1)]
    parts = [
        _flat(parsing.field(arrays, n, where, "PARE's features"), n, where, rows) for n in names
    ]
    return np.concatenate(parts, -1).astype(np.float32)


def _flat(values: Any, name: str, where: str, rows: int) -> np.ndarray:
    shape = values.shape if isinstance(values, np.ndarray) else ()
    if name != "img_feats" and shape[2:] not in ((), (_JOINTS,)):
        raise ValueError(
            f"{where}: field {name}: wanted (N, channels, {_JOINTS}), found {shape}; swap its axes"
        )
    return row_numbers.flat(values, name, where, rows)
