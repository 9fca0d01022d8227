"""3D keypoints: metres or millimetres, equal limbs on both sides, and which side is left."""

import numpy as np

from diffjax.convert.inspection import roles
from diffjax.convert.inspection.verdict import Finding, number, share

LIMBS = (
    ("hip", "knee"),
    ("knee", "ankle"),
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
)
_UNITS = {"m": 1.0, "cm": 100.0, "mm": 1000.0}
_WORDS = {"m": "metres", "cm": "centimetres", "mm": "millimetres"}
_THIGH = (0.2, 0.7)
"""Metres between which the mean of thigh and shin lies, children included."""
_SIZE = (0.5, 3.0)


def findings(points: roles.Points) -> list[Finding]:
    """Units, symmetry and sides of one set of 3D keypoints."""
    seen = _seen(points)
    if not seen.any():
        return [
            Finding("units", "look", f"{points.part.path}: no keypoint has a confidence above 0")
        ]
    return [_unit(points, seen), *_symmetry(points, seen), *_sides(points, seen)]


def _seen(points: roles.Points) -> np.ndarray:
    finite = np.isfinite(points.values).all(-1)
    if points.confidence is None:
        return finite & (np.abs(np.nan_to_num(points.values)).sum(-1) > 0) | (
            finite.all(-1, keepdims=True)
        )
    return finite & (points.confidence > 0)


def _index(points: roles.Points, *names: str) -> list[int] | None:
    return [points.names.index(n) for n in names] if set(names) <= set(points.names) else None


def lengths(points: roles.Points, seen: np.ndarray, limb: tuple[str, str], side: str) -> np.ndarray:
    """(rows,) of one limb, where both its ends are seen."""
    ends = _index(points, *(f"{side}_{name}" for name in limb))
    if ends is None:
        return np.zeros(0)
    both = seen[:, ends].all(-1)
    return np.linalg.norm(points.values[both, ends[0]] - points.values[both, ends[1]], axis=-1)


def unit_of(points: roles.Points) -> str:
    """'m', 'cm', 'mm', or '' where the sizes are nobody's."""
    return _judged_unit(points, _seen(points))[0]


def _judged_unit(points: roles.Points, seen: np.ndarray) -> tuple[str, float, str]:
    """Unit, the length it was judged by, and what that is of."""
    legs = [lengths(points, seen, limb, side) for limb in LIMBS[:2] for side in ("left", "right")]
    found = np.concatenate(legs)
    if len(found):
        length, (low, high), what = float(np.median(found)), _THIGH, "thighs and shins"
    else:
        length, (low, high), what = _extent(points.values, seen), _SIZE, "whole people"
    fits = [unit for unit, scale in _UNITS.items() if low <= length / scale <= high]
    return (fits[0] if fits else ""), length, what


def _extent(values: np.ndarray, seen: np.ndarray) -> float:
    """Median diagonal of the box around each person."""
    low = np.where(seen[..., None], values, np.inf).min(1)
    high = np.where(seen[..., None], values, -np.inf).max(1)
    some = seen.sum(1) > 1
    return float(np.median(np.linalg.norm(high - low, axis=-1)[some])) if some.any() else 0.0


def _unit(points: roles.Points, seen: np.ndarray) -> Finding:
    unit, length, what = _judged_unit(points, seen)
    facts = {"unit": unit, "length": length, "of": what}
    text = f"{points.part.path}: {what} of {number(length)} (median)"
    if unit:
        return Finding(
            "units",
            "ok",
            f"{text}: {_WORDS[unit]}",
            facts,
        )
    return Finding(
        "units", "wrong", f"{text}: neither metres nor millimetres; are it these keypoints?", facts
    )


def _symmetry(points: roles.Points, seen: np.ndarray) -> list[Finding]:
    """Left and right limbs are of one length, unless the names are of another set."""
    apart = []
    for limb in LIMBS:
        left, right = (lengths(points, seen, limb, side) for side in ("left", "right"))
        if len(left) and len(right):
            apart.append(
                abs(np.median(left) - np.median(right))
                / max(np.median(left), np.median(right), 1e-9)
            )
    if not apart:
        return []
    worst = float(max(apart))
    text = f"{points.part.path}: left and right limbs are "
    text += f"up to {share(worst)} apart in length" if worst > 0.001 else "of one length"
    mark = "ok" if worst < 0.1 else "look" if worst < 0.3 else "wrong"
    text += "" if mark == "ok" else f": are these {points.set or 'such'} keypoints?"
    return [Finding("limbs", mark, text, {"largest_difference": worst})]


def _sides(points: roles.Points, seen: np.ndarray) -> list[Finding]:
    """A person's left, up and front make a right-handed frame, and knees bend to the front.

    Front is left x up. Knees lie before the line from hip to ankle, elbows behind that from shoulder to
    wrist. With left and right exchanged, or one axis mirrored, both are the other way round.
    """
    frame = _index(points, "left_hip", "right_hip", "left_shoulder", "right_shoulder")
    if frame is None:
        return []
    left = points.values[:, frame[0]] - points.values[:, frame[1]]
    up = points.values[:, frame[2:]].mean(1) - points.values[:, frame[:2]].mean(1)
    front = np.cross(left, up)
    good = bent = 0
    for first, joint, end, sign in (
        ("hip", "knee", "ankle", 1),
        ("shoulder", "elbow", "wrist", -1),
    ):
        for side in ("left", "right"):
            index = _index(points, *(f"{side}_{name}" for name in (first, joint, end)))
            if index is not None:
                rows = seen[:, [*frame, *index]].all(-1)
                ahead = _ahead(points.values[rows][:, index], front[rows])
                good, bent = (
                    good + int((ahead * sign > 0.04).sum()),
                    bent + int((np.abs(ahead) > 0.04).sum()),
                )
    return _judged_sides(points, good, bent)


def _ahead(chain: np.ndarray, front: np.ndarray) -> np.ndarray:
    """How far the middle of three joints lies before the line between the others, as a share of that line."""
    middle = chain[:, 1] - (chain[:, 0] + chain[:, 2]) / 2
    length = np.linalg.norm(chain[:, 0] - chain[:, 1], axis=-1) + np.linalg.norm(
        chain[:, 2] - chain[:, 1], axis=-1
    )
    scale = np.maximum(np.linalg.norm(front, axis=-1) * length, 1e-12)
    return (middle * front).sum(-1) / scale


def _judged_sides(points: roles.Points, good: int, bent: int) -> list[Finding]:
    if bent < 6:
        return []
    as_is = good / bent
    facts = {"share": as_is, "share_swapped": 1 - as_is, "bent": bent}
    text = f"{points.part.path}: knees bend forward, elbows back in {share(as_is)} of {bent:,} bent limbs"
    if as_is >= 0.7:
        return [Finding("left/right", "ok", text, facts)]
    if as_is > 0.35:
        return [Finding("left/right", "look", f"{text}: noise, or another set's order?", facts)]
    text += f"; {share(1 - as_is)} with left and right swapped: the sides are swapped, or an axis is mirrored"
    return [Finding("left/right", "wrong", text, facts)]
