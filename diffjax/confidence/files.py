"""A calibration on disk: all that says what a refined row is worth, in one .npz that travels. No pickle."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import config, unpickle
from diffjax.confidence.calibration import Expectation, Scale
from diffjax.data import records
from diffjax.methods import map_fit
from diffjax.methods.keypoint_noise import ASSUMED, Noise

_FORMAT = 4
_MAKE = "make it with `python scripts/evaluate.py --quality cheap`"


class Origin(NamedTuple):
    """What a calibration is of: it says nothing of other methods, settings or evidence."""

    method: str
    kind: str
    use: str
    settings: str
    """As JSON."""
    much: config.Quality
    """Which signals it wants."""
    joints: str
    """Whose PA-MPJPE is expected."""


class Calibration(NamedTuple):
    """What a method's rows are worth, as people with truth have told."""

    origin: Origin
    error: Expectation
    """Of PA-MPJPE after the method, mm."""
    gain: Expectation
    """Of how much it fell, mm."""
    held_out_gain: np.ndarray
    """(people,) predicted of those who told it, by models that did not see their sequence."""
    change_mm: np.ndarray
    """(people, shares) of their PA-MPJPE at each share of the way from the estimate to the fit: below 0 is better."""
    sequence: np.ndarray
    """(people,) which sequence they are of."""
    shares: np.ndarray
    """(shares,) of the way."""
    errors: map_fit.ErrorModel
    """Of the frontend."""
    guidance: config.Guidance
    """How evidence is trusted where posteriors are computed and fits begin at known poses."""
    poses: str = ""
    """The fingerprint of the known poses behind the signals of `rivals`; empty where there were none."""
    noise: Noise = ASSUMED
    """Of the keypoints, for the same signals."""


def save(path: Path, told: Calibration) -> None:
    """Writes the file, whole or not at all."""
    arrays: dict[str, Any] = {
        "format": np.int64(_FORMAT),
        "origin": np.str_(json.dumps(told.origin._asdict())),
        "held_out_gain": told.held_out_gain,
        "change_mm": told.change_mm,
        "sequence": told.sequence,
        "shares": told.shares,
        "factor": told.errors.factor,
        "guidance": np.str_(json.dumps(dataclasses.asdict(told.guidance))),
    }
    for what in ("error", "gain"):
        found: Expectation = getattr(told, what)
        arrays[f"{what}/names"] = np.array(found.scale.names)
        for name in ("size", "mean", "std"):
            arrays[f"{what}/{name}"] = getattr(found.scale, name)
        for name in ("weights", "intercept", "knots"):
            arrays[f"{what}/{name}"] = np.asarray(getattr(found, name), np.float64)
    arrays["poses"] = np.str_(told.poses)
    arrays["noise"] = np.hstack(told.noise)
    records.save_arrays(path, arrays)


def load(path: str | Path) -> Calibration:
    """The calibration of a file. ValueError for anything else, with what to do."""
    arrays = unpickle.load_npz(path, objects=False)
    origin = _origin(path, arrays)
    factor = _numbers(path, arrays, "factor", (82, 82))
    text = str(_there(path, arrays, "guidance"))
    guidance = _checked(path, "guidance", lambda: config.Guidance(**json.loads(text)))
    held_out, shares = (_numbers(path, arrays, name, (-1,)) for name in ("held_out_gain", "shares"))
    change = _numbers(path, arrays, "change_mm", (len(held_out), len(shares)))
    sequence = _numbers(path, arrays, "sequence", (len(held_out),))
    if not len(shares) or not ((shares > 0) & (shares <= 1)).all():
        raise ValueError(
            f"{path}: field shares: wanted shares of the way above 0 and up to 1, found {shares.tolist()}; {_MAKE}"
        )
    error, gain = (_expectation(path, arrays, what) for what in ("error", "gain"))
    errors = map_fit.ErrorModel(factor.astype(np.float32))
    told = origin, error, gain, held_out, change, sequence, shares, errors, guidance
    return Calibration(*told, str(_there(path, arrays, "poses")), _noise(path, arrays))


def _origin(path: Any, arrays: dict[str, Any]) -> Origin:
    text = str(_there(path, arrays, "origin"))
    found = _checked(path, "origin", lambda: json.loads(text))
    names = set(found) if isinstance(found, dict) else set()
    if names != set(Origin._fields) or found["much"] not in ("cheap", "full"):
        raise ValueError(
            f"{path}: field origin: wanted {', '.join(Origin._fields)}, found {text[:80]!r}; {_MAKE}"
        )
    return Origin(**found)


def _noise(path: Any, arrays: dict[str, Any]) -> Noise:
    found = _numbers(path, arrays, "noise", (8,)).astype(np.float32)
    if (found[:4] < 0).any() or not (found[:2] + found[2:4] > 0).all() or found[7] <= 0:
        raise ValueError(
            f"{path}: field noise: wanted positive deviations and a positive temperature, found {found}; {_MAKE}"
        )
    return Noise(found[:2], found[2:4], found[4:6], float(found[6]), float(found[7]))


def _expectation(path: Any, arrays: dict[str, Any], what: str) -> Expectation:
    names = tuple(str(name) for name in np.atleast_1d(_there(path, arrays, f"{what}/names")))
    count = (len(names),)
    size, mean, std, weights = (
        _numbers(path, arrays, f"{what}/{name}", count)
        for name in ("size", "mean", "std", "weights")
    )
    knots = _numbers(path, arrays, f"{what}/knots", (-1, 2))
    rising = len(knots) > 0 and bool((np.diff(knots, axis=0) >= 0).all())
    if not rising or not (size > 0).all() or not (std > 0).all():
        raise ValueError(
            f"{path}: field {what}: wanted positive scales and rising knots, found others; {_MAKE}"
        )
    intercept = float(_numbers(path, arrays, f"{what}/intercept", ()))
    return Expectation(Scale(names, size, mean, std), weights, intercept, knots)


def _there(path: Any, arrays: dict[str, Any], name: str) -> np.ndarray:
    if name not in arrays:
        raise ValueError(
            f"{path}: field {name}: wanted a calibration of quality, found none; {_MAKE}"
        )
    return np.asarray(arrays[name])


def _numbers(path: Any, arrays: dict[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Finite float64 of a shape; -1 is any length."""
    found = _there(path, arrays, name)
    fits = found.ndim == len(shape) and all(w in (-1, n) for w, n in zip(shape, found.shape))
    if not fits or found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise ValueError(
            f"{path}: field {name}: wanted finite numbers of shape {shape}, found {found.dtype} of "
            f"{found.shape}; {_MAKE}"
        )
    return found.astype(np.float64)


def _checked(path: Any, name: str, make: Any) -> Any:
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: field {name}: {error}; {_MAKE}") from error
