"""Estimates of one file with the evidence of another: cached poses, and keypoints or truth beside them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import matching, merging, overlap, pairing
from diffjax.convert.matching import By
from diffjax.data import checks, records

_FAR = 0.1  # Median IoU below which people joined by name or row are others.
_LEAST = 0.5  # Of the people of the smaller file.


def join(
    estimates: dict[str, Any],
    evidence: dict[str, Any],
    estimates_name: str,
    evidence_name: str,
    *,
    by: By = "auto",
    min_iou: float = 0.5,
    allow_mismatch: bool = False,
    keep_unmatched: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fields of the people of `estimates`, in their order, with what `evidence` knows of them.

    Keypoints and truth are the evidence's where both have them, names and boxes the estimates'. A camera
    with a focal length of the evidence wins, and `pred_cam_t` is moved to it.
    """
    checks.check(estimates, estimates_name)
    checks.check(evidence, evidence_name, estimate=False)
    estimates, evidence = _plain(estimates), _plain(evidence)
    match = _choose(estimates, evidence, estimates_name, evidence_name, by, min_iou, allow_mismatch)
    say(_summary(match, estimates, evidence, estimates_name, evidence_name, keep_unmatched))
    here = _rows(estimates, match.rows)
    there = _rows(evidence, match.others)
    if "pose" in there:
        roots = here["pred_pose"], there["pose"]
        pairing.check_roots(*roots, allow_mismatch, evidence_name, say)
    merging.check_sizes(here, there, evidence_name, allow_mismatch, say)
    if keep_unmatched and len(match.rows) < overlap.count(estimates):
        here, there = estimates, merging.spread(there, match.rows, estimates, evidence_name, say)
    merged = merging.merge(here, there, evidence_name, say)
    merging.say_camera(merged, estimates_name, say)
    return merged


def convert(
    estimates: Path,
    evidence: Path,
    out: Path,
    by: By = "auto",
    min_iou: float = 0.5,
    focal: float | None = None,
    keep_unmatched: bool = False,
    allow_mismatch: bool = False,
) -> None:
    """Adds keypoints or truth of one file to the estimates of another.

    Args:
        estimates: Annotation set with pred_pose and pred_betas, .npz or a folder of shards.
        evidence: What another convert command wrote without estimates, .npz.
        out: The annotation set to write, .npz.
        by: row (same order), frame (sequence, frame, subject), box (same image, overlapping boxes).
        min_iou: Least overlap of boxes, intersection over union.
        focal: Focal length in pixels where the files have none; HMR's convention is 5000.
        keep_unmatched: Keep people without evidence, their keypoints with confidence 0.
        allow_mismatch: Go on where a check fails.
    """
    known = records.arrays_of(records.read(estimates))
    found = records.read_fields(evidence)
    names = (str(estimates), str(evidence))
    how: dict[str, Any] = {"by": by, "min_iou": min_iou, "allow_mismatch": allow_mismatch}
    if focal is not None and "focal_px" not in {**known, **found}:
        known = with_focal(known, focal, found)
    merged = join(known, found, *names, keep_unmatched=keep_unmatched, **how)
    annotations = records.from_arrays(merged, str(out))
    records.write(out, annotations)
    print(f"{out}: {records.count(annotations)} people")


def with_focal(
    fields: dict[str, Any], focal: float, other: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Fields with one focal length in pixels, and the image's middle as centre where that is known."""
    if not 0 < focal < np.inf:
        raise ValueError(f"--focal: wanted pixels above 0, got {focal:.6g}")
    fields = {**fields, "focal_px": np.full((overlap.count(fields), 2), focal, np.float32)}
    if "image_size_px" in fields and "center_px" not in {**fields, **(other or {})}:
        fields["center_px"] = np.asarray(fields["image_size_px"], np.float32) / 2
    return fields


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: str(v) if k in checks.SETS else np.asarray(v) for k, v in fields.items()}


def _rows(fields: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    return {k: v if k in checks.SETS else v[rows] for k, v in fields.items()}


def _choose(
    estimates: dict[str, Any],
    evidence: dict[str, Any],
    estimates_name: str,
    evidence_name: str,
    by: By,
    min_iou: float,
    allow_mismatch: bool,
) -> matching.Match:
    """The first way to match that has no problem; with `allow_mismatch`, the first that finds any."""
    problems, found = [], []
    for match in matching.matches(estimates, evidence, by, min_iou, evidence_name):
        problem = _problem(match, estimates, evidence, min_iou)
        if problem is None:
            return match
        problems.append(f"{match.how}: {problem}")
        found.append(match)
    for match in found:
        if allow_mismatch and len(match.rows):
            return match
    counts = f"{overlap.count(estimates)} people there and {overlap.count(evidence)} here"
    known = f"{_known(estimates)} there and {_known(evidence)} here"
    raise ValueError(
        f"{evidence_name}: wanted the people of {estimates_name}, found "
        f"{'; '.join(problems) or f'nothing unique to join by ({by}; {counts}; {known})'}; see "
        "scripts/convert.py join --help for --by, --min-iou and --allow-mismatch"
    )


def _problem(
    match: matching.Match, estimates: dict[str, Any], evidence: dict[str, Any], min_iou: float
) -> str | None:
    fewer, matched = min(map(overlap.count, (estimates, evidence))), len(match.rows)
    if matched < max(1, _LEAST * fewer):
        boxes = f" at an IoU of {min_iou:g} or more" if "box" in match.how else ""
        return f"{matched} of {fewer} people match{boxes}"
    shared = match.iou[np.isfinite(match.iou)]
    if len(shared) and np.median(shared) < _FAR:
        return f"the boxes are of other people (median IoU {np.median(shared):.2f})"
    if match.how == "by row":
        other = matching.other_places(estimates, evidence)
        return f"{other} of {matched} rows are of another image or frame" if other else None
    return None


def _known(fields: dict[str, Any]) -> str:
    names = ("sequence", "frame", "subject", "image", "bbox_px")
    return "/".join(name for name in names if name in fields) or "no names or boxes"


def _summary(
    match: matching.Match,
    estimates: dict[str, Any],
    evidence: dict[str, Any],
    estimates_name: str,
    evidence_name: str,
    keep: bool,
) -> str:
    matched = len(match.rows)
    people, found = overlap.count(estimates), overlap.count(evidence)
    shared = match.iou[np.isfinite(match.iou)]
    text = f"{evidence_name}: {matched} of {found} people joined to {estimates_name} {match.how}"
    text += f", median IoU {np.median(shared):.2f}" if len(shared) else ""
    if matched < people:
        done = "kept without" if keep else "dropped, they have no evidence"
        text += f"; {people - matched} of {people} estimates {done}"
    return text
