"""Mean and spread of image features, and the range of betas, of sets of any size.

Sums are in float64 and merge piece by piece (Chan et al. 1979), so that memory is bounded.
"""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from diffjax import config, pose, unpickle
from diffjax.data import records, shards

PIECE = 2048
"""People looked at together."""
_CONSTANT = 1e-6
"""A dimension whose spread is below this share of its mean is a constant: it becomes 0."""
_MAKE = "make it with scripts/stats.py"


class Moments(NamedTuple):
    """Of the rows of an array, in float64."""

    count: int
    mean: Float[np.ndarray, " d"]
    squares: Float[np.ndarray, " d"]
    """Sum of squared distances from the mean."""
    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]


class Statistics(NamedTuple):
    """What training standardises by."""

    features: pose.Normaliser | None
    """None where the sets have no features."""
    betas_min: Float[np.ndarray, " 10"]
    betas_max: Float[np.ndarray, " 10"]


def moments(rows: np.ndarray) -> Moments:
    """The moments of (n, d) numbers, one row or more."""
    rows = np.asarray(rows, np.float64)
    mean = rows.mean(0)
    return Moments(len(rows), mean, ((rows - mean) ** 2).sum(0), rows.min(0), rows.max(0))


def merge(first: Moments, second: Moments) -> Moments:
    """The moments of both arrays' rows together."""
    count = first.count + second.count
    shift, share = second.mean - first.mean, second.count / count
    return Moments(
        count,
        first.mean + share * shift,
        first.squares + second.squares + shift**2 * (share * first.count),
        np.minimum(first.low, second.low),
        np.maximum(first.high, second.high),
    )


def standardiser(found: Moments) -> pose.Normaliser:
    """To mean 0 and variance 1; dimensions that never change become 0."""
    std = np.sqrt(found.squares / found.count)
    constant = std <= _CONSTANT * np.abs(found.mean)
    return pose.Normaliser(
        found.mean.astype(np.float32), np.where(constant, 1.0, std).astype(np.float32)
    )


def target_betas(annotations: records.AnnotationSet, target: str) -> np.ndarray:
    """(N, 10): the shape that x_0 has; the estimate's where the truth is not known."""
    known = annotations.betas if target == "annotation" else None
    return annotations.pred_betas if known is None else known


def of_pieces(
    pieces: Iterable[records.AnnotationSet], target: str = "annotation", where: str = "sets"
) -> Statistics:
    """The statistics of all people; `target` is that of training (`train.target`)."""
    betas, features = [], []
    for piece in pieces:
        betas = _with(betas, moments(target_betas(piece, target)))
        if piece.features is not None and piece.features.shape[1]:
            features = _with(features, moments(piece.features), where)
    if not betas:
        raise ValueError(f"{where}: wanted at least one person, found none; give another set")
    if features and features[0].count != betas[0].count:
        raise ValueError(
            f"{where}: field features: wanted for all {betas[0].count} people, found for "
            f"{features[0].count}; convert all sets with their features, or none"
        )
    scale = standardiser(features[0]) if features else None
    low, high = (np.asarray(x, np.float32) for x in (betas[0].low, betas[0].high))
    return Statistics(scale, low, high)


def _with(known: list[Moments], more: Moments, where: str = "") -> list[Moments]:
    if known and len(known[0].mean) != len(more.mean):
        raise ValueError(
            f"{where}: field features: wanted {len(known[0].mean)} numbers a person as in the first "
            f"set, found {len(more.mean)}; use features of one kind"
        )
    return [functools.reduce(merge, [*known, more])]


def of_set(annotations: records.AnnotationSet, target: str, where: str) -> Statistics:
    """The statistics of a set in memory."""
    starts = range(0, records.count(annotations), PIECE)
    slices = (slice(start, start + PIECE) for start in starts)
    return of_pieces((records.take(annotations, rows) for rows in slices), target, where)


def of_files(paths: Iterable[str | Path], target: str = "annotation") -> Statistics:
    """The statistics of sets on disk, a piece at a time in memory."""
    paths = [str(path) for path in paths]

    def pieces() -> Iterator[records.AnnotationSet]:
        for path in paths:
            yield from shards.pieces(config.locate(path), PIECE)

    return of_pieces(pieces(), target, ", ".join(paths))


def write(path: str | Path, statistics: Statistics) -> None:
    """One `.npz`: betas_min, betas_max and, where there are features, features_mean, features_std."""
    arrays: dict[str, Any] = {
        "betas_min": statistics.betas_min,
        "betas_max": statistics.betas_max,
    }
    if statistics.features is not None:
        arrays["features_mean"], arrays["features_std"] = statistics.features
    records.save_arrays(path, arrays)


def read(path: str | Path) -> Statistics:
    """The statistics that `write` wrote: ValueError (path, field, wanted, found, next step) else."""
    file = config.locate(path)
    if not file.is_file():
        raise FileNotFoundError(f"data.stats: {path} is missing; {_MAKE}")
    arrays = unpickle.load_npz(file, objects=False)
    low, high = (_numbers(arrays, name, path, 10) for name in ("betas_min", "betas_max"))
    if (low > high).any():
        raise ValueError(f"{path}: field betas_max: wanted betas_min or more, found less; {_MAKE}")
    if "features_mean" not in arrays:
        return Statistics(None, low, high)
    mean = _numbers(arrays, "features_mean", path)
    std = _numbers(arrays, "features_std", path, len(mean))
    if not (std > 0).all():
        raise ValueError(f"{path}: field features_std: wanted above 0, found {std.min()}; {_MAKE}")
    return Statistics(pose.Normaliser(mean, std), low, high)


def _numbers(
    arrays: dict[str, Any], name: str, path: str | Path, size: int | None = None
) -> np.ndarray:
    found = np.asarray(arrays.get(name, ()))
    whole = found.ndim == 1 and len(found) > 0 and found.dtype.kind in "fiu"
    if not whole or size not in (None, len(found)) or not np.isfinite(found).all():
        wanted = "a row of" if size is None else size
        there = found.shape if name in arrays else "nothing"
        raise ValueError(
            f"{path}: field {name}: wanted {wanted} finite numbers, found {there}; {_MAKE}"
        )
    return found.astype(np.float32)
