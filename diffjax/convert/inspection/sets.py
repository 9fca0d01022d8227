"""Is an annotation set one that its reader takes, and what can refine it?"""

from typing import Any

from diffjax.convert.inspection import recognise
from diffjax.convert.inspection.verdict import Finding
from diffjax.data import records

NAMES = ("annotation-set", "evidence")
_FLAT, _SOLID = ("labels2d", "keypoints2d"), "keypoints3d"
_FOCAL = "focal_px (with join --focal)"
_MIDDLE = "center_px (join takes the image's middle)"


def findings(look: recognise.Look) -> list[Finding]:
    """What the reader says of it, and by which evidence it can be refined."""
    if look.format is None or look.format.name not in NAMES:
        return []
    refused = _refused(look)
    if refused:
        return [Finding("reader", "wrong", f"refused: {refused}", {"refused": refused})]
    taken = Finding("reader", "ok", "every field is what the reader wants", {"refused": ""})
    return [taken, *([_evidence(look)] if look.format.name == "annotation-set" else [])]


def _refused(look: recognise.Look) -> str:
    """The reader's own words; empty where it takes the set."""
    try:
        if look.path.is_dir() and look.first.parent == look.path:
            records.shards_of(look.path)
        for file in look.like:
            records.read_fields(file)
    except ValueError as error:
        return str(error).removeprefix(f"{look.path}: ")
    return ""


def _evidence(look: recognise.Look) -> Finding:
    """Refining takes the first of labels2d, keypoints2d and keypoints3d; 2D needs a camera."""
    fields: dict[str, Any] = look.fields
    flat = next((name for name in _FLAT if name in fields), "")
    lacking = _lacking(fields)
    if flat and not lacking:
        return Finding("evidence", "ok", f"{flat} and its camera can refine it", {"refine": True})
    if flat:
        text = f"{flat} without its camera refines nothing: add {' and '.join(lacking)}"
        if _SOLID in fields:
            facts = {"refine": True, "options": " --evidence joints3d"}
            return Finding("evidence", "look", f"{text}; {_SOLID} can", facts)
        joins_itself = set(lacking) <= {_FOCAL, _MIDDLE}
        facts = {"refine": False, "joins_itself": joins_itself, "focal": _FOCAL in lacking}
        return Finding("evidence", "look", text, facts)
    if _SOLID in fields:
        return Finding("evidence", "ok", f"{_SOLID} can refine it", {"refine": True})
    text = "no keypoints, so nothing refines it: join some, with --focal where no camera is known"
    return Finding("evidence", "look", text, {"refine": False})


def _lacking(fields: dict[str, Any]) -> list[str]:
    """What 2D keypoints need; `join` also puts the centre into the middle of the image."""
    focal, center = ("focal_px" in fields, "center_px" in fields)
    out = [] if focal else [_FOCAL]
    if not center and "image_size_px" not in fields:
        out.append("center_px (mostly half the image's size)")
    elif not center and focal:
        out.append(_MIDDLE)
    return out


def in_metres(findings: list[Finding], look: recognise.Look) -> list[Finding]:
    """Other programs' files may be in millimetres, annotation sets may not."""
    if look.format is None or look.format.name not in NAMES:
        return findings
    return [
        finding._replace(mark="wrong", text=f"{finding.text}, but sets are in metres")
        if finding.name == "units" and finding.values.get("unit") in ("cm", "mm")
        else finding
        for finding in findings
    ]
