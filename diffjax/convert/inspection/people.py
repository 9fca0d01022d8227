"""Who is in the rows: genders, sequences, frames, boxes, cameras, people that come twice."""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np

from diffjax.convert.inspection import roles, sequences
from diffjax.convert.inspection.verdict import Finding, count, number, span

_KINDS = {
    "box": "left, top, width, height",
    "corners": "corners",
    "middle": "centre, width, height",
}
"""What the four numbers of a box are, by role."""


def findings(found: list[roles.Part], fields: Mapping[str, Any]) -> list[Finding]:
    """Everything about rows that is no pose and no keypoint."""
    out = [
        *_genders(found),
        *_twice(found),
        *_boxes(found),
        *_cameras(found),
        *sequences.frames(found, fields),
    ]
    return [*out, *_scales(found), *_valid(found), *_ghosts(found)]


def _genders(found: list[roles.Part]) -> list[Finding]:
    part = roles.one(found, "gender")
    if part is None or part.value.dtype.kind not in "US":
        return []
    raw = sequences.words(part.value)
    known = {
        "m": "male",
        "f": "female",
        "n": "neutral",
        "male": "male",
        "female": "female",
        "neutral": "neutral",
    }
    counts = collections.Counter(known.get(word.strip().lower(), word) for word in raw.tolist())
    text = ", ".join(f"{name or 'empty'} {rows:,}" for name, rows in counts.most_common(5))
    facts: dict[str, Any] = {"counts": dict(counts.most_common(20))}
    if set(counts) - set(known.values()):
        return [Finding("gender", "look", f"{text}: some words are no gender", facts)]
    if part.value.dtype.kind == "S":
        text += "; stored as bytes: programs that take str(b'm') for a word read everyone as female"
        return [Finding("gender", "look", text, facts)]
    return [Finding("gender", "ok", text, facts)]


def _twice(found: list[roles.Part]) -> list[Finding]:
    """Rows whose poses (else 3D or 2D keypoints) are the same to the bit."""
    part = roles.one(found, "pose", "body", *roles.POINTS_3D, *roles.POINTS_2D)
    if part is None or part.value.ndim < 2 or part.value.dtype.kind not in "fiu":
        return []
    tail = 3 if part.value.shape[-2:] == (3, 3) else 2 if part.value.shape[-1] in (2, 3, 4) else 1
    if part.value.ndim <= tail:
        return []
    rows = np.ascontiguousarray(part.value.reshape(-1, int(np.prod(part.value.shape[-tail:]))))
    some = rows[np.nan_to_num(rows).any(-1)]
    if len(some) < 2:
        return []
    kinds = len(
        np.unique(
            np.ascontiguousarray(some).view(np.dtype((np.void, some.shape[1] * some.itemsize)))
        )
    )
    same = len(some) - kinds
    facts = {"duplicates": same, "empty": len(rows) - len(some)}
    text = (
        f"{part.path}: no row comes twice"
        if not same
        else f"{part.path}: {count(same, 'row repeats', 'rows repeat')} another"
    )
    if len(some) < len(rows):
        text += f", {count(len(rows) - len(some), 'row')} all zero"
    return [Finding("duplicates", "look" if same > 0.01 * len(some) else "ok", text, facts)]


def _boxes(found: list[roles.Part]) -> list[Finding]:
    out = []
    for part in (part for part in found if part.role in _KINDS):
        if part.value.dtype.kind not in "fiu" or part.value.shape[-1] not in (4, 5):
            out.append(Finding("boxes", "look", f"{part.path}: shape {part.value.shape} is no box"))
            continue
        values = part.value.reshape(-1, part.value.shape[-1])[:, :4].astype(float)
        extent = values[:, 2:] - values[:, :2] if part.role == "corners" else values[:, 2:]
        bad = ~(extent > 0).all(-1)
        kind = _KINDS[part.role]
        text = (
            f"{part.path}: {kind}; sizes {span(extent[~bad])} px"
            if (~bad).any()
            else f"{part.path}: {kind}"
        )
        facts = {"kind": kind, "without_area": int(bad.sum())}
        text += f"; {count(int(bad.sum()), 'box', 'boxes')} without an area" if bad.any() else ""
        out.append(Finding("boxes", "look" if bad.any() else "ok", text, facts))
    return out


def _cameras(found: list[roles.Part]) -> list[Finding]:
    focal, size = roles.one(found, "focal"), roles.one(found, "size")
    out = []
    if size is not None and size.value.ndim == 2 and size.value.dtype.kind in "fiu":
        kinds, rows = np.unique(size.value, axis=0, return_counts=True)
        order = np.argsort(-rows)[:3]
        text = ", ".join(f"{kinds[i][0]:.0f} x {kinds[i][1]:.0f} ({rows[i]:,})" for i in order)
        text += f" and {len(kinds) - 3} other sizes" if len(kinds) > 3 else ""
        out.append(
            Finding(
                "image size",
                "ok" if (size.value > 0).all() else "wrong",
                text,
                {"sizes": len(kinds)},
            )
        )
    if focal is None or focal.value.dtype.kind not in "fiu":
        return out
    values = focal.value.astype(float)
    text, facts = f"{focal.path}: {span(values)} px", {"median": float(np.median(values))}
    if (values == 5000).all():
        return [*out, Finding("focal", "look", f"{text}: HMR's stand-in, not the camera's", facts)]
    if size is None or len(size.value) != len(values):
        return [*out, Finding("focal", "ok" if (values > 0).all() else "wrong", text, facts)]
    with np.errstate(all="ignore"):
        ratio = np.median(values.reshape(len(values), -1).max(-1) / size.value.max(-1))
    text += f", {number(float(ratio))} times the longer side of the image"
    return [
        *out,
        Finding(
            "focal", "ok" if 0.4 < ratio < 4 else "look", text, {**facts, "ratio": float(ratio)}
        ),
    ]


def _scales(found: list[roles.Part]) -> list[Finding]:
    """SPIN stores the box in units of 200 pixels, HMR2 in pixels; the field has one name."""
    part = roles.one(found, "spin_scale", "pixel_scale")
    if part is None or part.value.dtype.kind not in "fiu":
        return []
    middle = float(np.median(part.value))
    pixels = part.role == "pixel_scale"
    text = (
        f"{part.path}: median {number(middle)}: {'box in pixels' if middle > 20 else 'box / 200'}"
    )
    if pixels == (middle > 20):
        return [Finding("scale", "ok", text, {"median": middle})]
    return [
        Finding(
            "scale",
            "look",
            f"{text}, but this format has {'pixels' if pixels else 'box / 200'}",
            {"median": middle},
        )
    ]


def _valid(found: list[roles.Part]) -> list[Finding]:
    part = roles.one(found, "valid")
    if part is None or part.value.dtype.kind not in "fiub":
        return []
    part_valid, total = float((part.value != 0).mean()), part.value.size
    text = f"{part.path}: {round(part_valid * total):,} of {total:,} rows are valid, the others are left out"
    return [Finding("valid", "ok" if part_valid > 0.5 else "look", text, {"share": part_valid})]


def _ghosts(found: list[roles.Part]) -> list[Finding]:
    """PHALP's tid also lists tracks that were not detected in the frame."""
    every, real = roles.one(found, "subject"), roles.one(found, "tracked")
    if every is None or real is None:
        return []
    ghosts = max(every.value.size - real.value.size, 0)
    text = f"{every.value.size:,} tracked people, {ghosts:,} of them ghosts, which are left out"
    return [
        Finding(
            "ghosts", "look" if ghosts else "ok", text, {"rows": every.value.size, "ghosts": ghosts}
        )
    ]
