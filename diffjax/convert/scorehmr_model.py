"""ScoreHMR's checkpoint as a model: its weights, with the statistics that its authors keep in files beside it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import checkpoint, config, pose, unpickle
from diffjax.convert import finite, scorehmr_weights
from diffjax.denoisers import conditioned

_SHAPE_BLOCKS = 2
"""Of the network of betas: `conditioned.TwoBranches` has no other."""
_PARE = ("pose_feats", "cam_shape_feats")


class Widths(NamedTuple):
    """Image features that the network sees."""

    pose: int
    shape: int
    """Those that are the betas' alone; 0 where there are none, or where both see the same."""


def model_of(
    content: Any,
    where: str,
    *,
    stats: str | Path | None = None,
    betas_stats: str | Path | None = None,
    raw_features: bool = False,
) -> checkpoint.Model:
    """A checkpoint (`unpickle.load_torch`) as a model over raw poses, cosine schedule, eps.

    `stats` standardises features: pare_feat_stats.npz or prohmr_feat_stats.npz; `raw_features` takes them as they
    are. `betas_stats` (betas_stats_*.npz) takes betas to [-1, 1], where the network diffuses them.
    """
    arrays = scorehmr_weights.arrays_of(content, where)
    facts = json.loads(str(arrays["facts"]))
    _check_sizes(facts, where)
    widths = _widths(facts)
    features = _features(widths, stats, raw_features, where)
    normaliser, two = pose.identity_normaliser(144), "shape" in facts
    if two:
        normaliser = _with_betas(betas_stats, where)
    elif betas_stats is not None:
        raise ValueError(
            f"{where}: wanted a network of betas too, found one of poses; leave --betas-stats out"
        )
    run = config.Run("scorehmr", model=_model(facts, widths), diffusion=_diffusion(facts, two))
    branches = {name: conditioned.params_of(arrays, name) for name in ("pose", "shape")}
    params = branches if two else branches["pose"]
    return checkpoint.make_model(run, params, normaliser, features=features)


def _check_sizes(facts: dict[str, Any], where: str) -> None:
    found = {name: facts[name]["size"] for name in ("pose", "shape") if name in facts}
    wanted = {"pose": 144, "shape": 10}
    if found != {name: wanted[name] for name in found}:
        raise ValueError(
            f"{where}: field init_mlp.weight: wanted a network of 24 x 6 numbers of a pose (and 10 betas), found "
            f"{found}; only checkpoints over 6D rotations can be used"
        )
    shape = facts.get("shape")
    alike = shape is None or shape["hidden"] == facts["pose"]["hidden"]
    if shape is not None and not (alike and shape["depth"] == _SHAPE_BLOCKS):
        raise ValueError(
            f"{where}: field blocks_betas: wanted {_SHAPE_BLOCKS} blocks as wide as the pose's, found "
            f"{shape['depth']} of {shape['hidden']}; networks of other sizes have no converter"
        )


def _widths(facts: dict[str, Any]) -> Widths:
    first = facts["pose"]["condition_size"]
    second = facts.get("shape", {}).get("condition_size", 0)
    return Widths(first, 0 if second == first else second)


def _model(facts: dict[str, Any], widths: Widths) -> config.Model:
    two = "shape" in facts
    return config.Model(
        kind="scorehmr",
        width=facts["pose"]["hidden"],
        depth=facts["pose"]["depth"],
        vector="sixd154" if two else "sixd144",
        condition=("features",) if widths.pose else (),
        branches="separate" if two else "joint",
        shape_features=widths.shape,
    )


def _diffusion(facts: dict[str, Any], two: bool) -> config.Diffusion:
    """Poses raw; a bare state dict does not say its schedule, which is the authors' then."""
    return config.Diffusion(
        schedule=facts.get("schedule", "cosine"),
        steps=facts.get("steps", 1000),
        standardise=False,
        betas="min_max" if two else "same",
    )


def _features(
    widths: Widths, stats: str | Path | None, raw: bool, where: str
) -> pose.Normaliser | None:
    count = sum(widths)
    if raw == (stats is not None) and count:
        found = "both" if raw else "neither"
        raise ValueError(
            f"{where}: wanted the statistics of its {count} features, --stats pare_feat_stats.npz (or "
            f"prohmr_feat_stats.npz), or --raw-features for features that are standardised already, found {found}"
        )
    if not count:
        if stats is not None:
            raise ValueError(
                f"{where}: wanted a network that sees features, found one that sees none; leave --stats out"
            )
        return None
    return pose.identity_normaliser(count) if stats is None else _read_features(stats, widths)


def _read_features(path: str | Path, widths: Widths) -> pose.Normaliser:
    """Of PARE's features (pose, then shape, each channel by channel), or of ProHMR's."""
    arrays, where = unpickle.load_npz(path), str(path)
    if "mean" in arrays:
        parts = [("mean", "std", sum(widths))]
    else:
        parts = [(f"{name}_mean", f"{name}_std", n) for name, n in zip(_PARE, widths) if n]
    mean, std = (
        np.concatenate([_numbers(arrays, part[i], part[2], where) for part in parts])
        for i in (0, 1)
    )
    if not (std > 0).all():
        raise ValueError(
            f"{where}: field {parts[0][1]}: wanted standard deviations above 0, found {std.min():.3g}"
        )
    return pose.Normaliser(mean, std)


def _with_betas(path: str | Path | None, where: str) -> pose.Normaliser:
    if path is None:
        raise ValueError(
            f"{where}: wanted the range of the betas that it diffuses, found none; give --betas-stats "
            "betas_stats_eft_fits.npz"
        )
    arrays = unpickle.load_npz(path)
    low, high = (_numbers(arrays, f"betas_{end}", 10, str(path)) for end in ("min", "max"))
    if not (low < high).all():
        raise ValueError(
            f"{path}: field betas_max: wanted more than betas_min, found less; make it again"
        )
    return pose.with_betas_range(pose.identity_normaliser(154), low, high, "sixd154", floor=0.0)


def _numbers(arrays: dict[str, Any], name: str, count: int, where: str) -> np.ndarray:
    """(count,) float32 of a field of any shape."""
    if name not in arrays:
        raise ValueError(
            f"{where}: field {name}: wanted ScoreHMR's statistics, found {', '.join(sorted(arrays)[:12])}; "
            "see docs/methods.md"
        )
    found = np.asarray(arrays[name])
    if found.dtype.kind not in "fiu" or found.size != count:
        raise ValueError(
            f"{where}: field {name}: wanted {count} numbers, as the network has, found {found.dtype} "
            f"{found.shape}; are they of other features?"
        )
    return finite.array(found.ravel(), name, (None,), where).astype(np.float32)
