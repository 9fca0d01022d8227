"""All findings about one file, in the order in which they are read."""

from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert.inspection import (
    agreement,
    folders,
    joints,
    models,
    people,
    pixels,
    poses,
    recognise,
    roles,
    sequences,
    sets,
)
from diffjax.convert.inspection.verdict import Finding, count

_ONCE = ("betas", "gender", "mocap_framerate", "mocap_frame_rate", "dmpls", "smpl/betas")
"""Fields that need not have a row a person."""


def of(look: recognise.Look, body: Path | None) -> tuple[list[Finding], dict[str, int], int | None]:
    """Findings, people of each sequence, and rows where the file has rows."""
    with np.errstate(all="ignore"):  # A broken file holds any number.
        return _of(look, body)


def _of(
    look: recognise.Look, body: Path | None
) -> tuple[list[Finding], dict[str, int], int | None]:
    if look.format is None:
        return _numbers(look.fields), {}, None
    found = roles.parts(look.fields, look.format)
    points = [kept for part in found if (kept := _points(part, look.fields)) is not None]
    rows = _rows(found, points, look.fields)
    out = [*_numbers(look.fields), *_counts(look, rows), *_absent(look)]
    out += [*folders.findings(look), *sets.findings(look)]
    out += [
        *poses.findings(found, look.format.axes),
        *sets.in_metres(_keypoints(points, found), look),
    ]
    out += [*people.findings(found, look.fields), *models.findings(look.fields)]
    if body is not None:
        out += agreement.findings(found, points, body)
    return out, sequences.counts(found) or _files(look), rows


def _files(look: recognise.Look) -> dict[str, int]:
    """People in each file, where a file is a sequence."""
    if look.format is None or look.container == "json":
        return {}
    counts = {}
    for name, fields in look.each.items():
        found = roles.parts(fields, look.format)
        points = [kept for part in found if (kept := _points(part, fields)) is not None]
        counts[name] = _rows(found, points, fields) or 0
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def _points(part: roles.Part, fields: dict[str, Any]) -> roles.Points | None:
    wanted = part.role.partition("@")[0] in (*roles.POINTS_2D, *roles.POINTS_3D)
    return roles.points(part, fields) if wanted else None


def _rows(
    found: list[roles.Part], points: list[roles.Points], fields: dict[str, Any]
) -> int | None:
    """People in the file."""
    for part in (part for part in found if part.role in ("pose", "body")):
        layout, values = roles.rotations_of(part)
        if layout != "unknown":
            return len(values)
    if points:
        return len(points[0].values)
    if fields.get("people") == []:
        return 0
    frames = fields.get("frames")
    boxes = roles.one(found, "box", "corners")
    if isinstance(frames, np.ndarray) and frames.size == 1 and "channels" in fields:
        return int(frames.ravel()[0])
    return len(boxes.value) if boxes is not None and boxes.value.ndim == 2 else None


def _numbers(fields: dict[str, Any]) -> list[Finding]:
    """NaN and infinity, wherever."""
    floats = {k: v for k, v in fields.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"}
    bad = {name: int((~np.isfinite(value)).sum()) for name, value in floats.items()}
    bad = {name: number for name, number in bad.items() if number}
    if not floats:
        return []
    if not bad:
        return [Finding("numbers", "ok", "all are finite", {"not_finite": {}})]
    text = ", ".join(f"{name} {number:,}" for name, number in list(bad.items())[:6])
    return [Finding("numbers", "wrong", f"NaN or infinity in {text}", {"not_finite": bad})]


def _counts(look: recognise.Look, rows: int | None) -> list[Finding]:
    """Fields of flat files have one row a person."""
    if rows is None or look.container != "npz" or any("/" in name for name in look.fields):
        return []
    arrays = {
        k: v
        for k, v in look.fields.items()
        if isinstance(v, np.ndarray) and v.ndim and k not in _ONCE
    }
    other = {name: len(value) for name, value in arrays.items() if len(value) != rows}
    other = {name: size for name, size in other.items() if not name.endswith("_mask") and rows != 1}
    if not other:
        return [
            Finding(
                "rows", "ok", f"{count(rows, 'row')} in every field", {"rows": rows, "other": {}}
            )
        ]
    text = ", ".join(f"{name} {size:,}" for name, size in list(other.items())[:6])
    return [
        Finding(
            "rows", "look", f"{rows:,}, but other lengths in {text}", {"rows": rows, "other": other}
        )
    ]


def _absent(look: recognise.Look) -> list[Finding]:
    """Keypoints that some annotations lack, or have as something else: Halpe has such."""
    assert look.format is not None
    patterns = [entry.partition("=") for entry in look.format.parts.split()]
    out = []
    for path in (path for role, _, path in patterns if role.startswith("flat")):
        people = look.fields.get(path)
        if isinstance(people, list) and people:
            bad = sum(not isinstance(person, list | tuple) or not len(person) for person in people)
            text = f"{path}: {bad:,} of {len(people):,} are no list of numbers and are left out"
            out.append(Finding("absent", "look", text, {"absent": bad, "people": len(people)}))
    return out


def _keypoints(points: list[roles.Points], found: list[roles.Part]) -> list[Finding]:
    flat = [p for p in points if p.part.role.partition("@")[0] in roles.POINTS_2D]
    solid = [p for p in points if p.part.role.partition("@")[0] in roles.POINTS_3D]
    size = roles.one(found, "size")
    out = [finding for p in solid for finding in joints.findings(p)]
    images = None if size is None or size.value.ndim != 2 else size.value.astype(float)
    out += [finding for p in flat for finding in pixels.findings(p, images)]
    in_camera = [p for p in solid if not p.part.role.startswith("world")]
    if flat and in_camera:
        out += pixels.agreement(flat[0], in_camera[0])
    return out
