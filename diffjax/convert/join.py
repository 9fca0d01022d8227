"""Estimates of one file with the evidence of another: cached poses, and keypoints or truth beside them."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import matching, merging, overlap, pairing
from diffjax.convert.matching import By
from diffjax.data import checks, records

_FAR = 0.1  # Median IoU below which people joined by name or row are others.
_LEAST = 0.5  # Of the people of the smaller file; more must match.


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
    again: str = "",
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fields of the people of `estimates`, in their order, with what `evidence` knows of them.

    Keypoints and truth are the evidence's where both have them, names and boxes the estimates'. A camera
    with a focal length of the evidence wins, and `pred_cam_t` is moved to it. `again` is said where a
    refusal asks for other options: the command to add them to, by default that of these two files.
    """
    checks.check(estimates, estimates_name)
    checks.check(evidence, evidence_name, estimate=False)
    estimates, evidence = _plain(estimates), _plain(evidence)
    _check_corners(estimates, evidence, estimates_name, evidence_name, allow_mismatch, say)
    again = again or line(estimates_name, evidence_name, "JOINED.npz")
    names = (estimates_name, evidence_name)
    match = _choose(estimates, evidence, *names, by, min_iou, allow_mismatch, again)
    if by == "auto" and match.how == "by row":
        say(_unproven(estimates, evidence, evidence_name))
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
    merged = merging.with_center(merged, estimates_name, say)
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
        by: row (same order), frame (sequence, frame, subject), box (same image, overlapping boxes);
            auto takes rows only where names or boxes of both agree, or neither file has any.
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


def line(estimates: str, evidence: str, out: str) -> str:
    """The command that joins two files."""
    paths = (shlex.quote(path) for path in (estimates, evidence, out))
    return "python scripts/convert.py join --estimates {} --evidence {} --out {}".format(*paths)


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


def _check_corners(
    estimates: dict[str, Any],
    evidence: dict[str, Any],
    estimates_name: str,
    evidence_name: str,
    allow_mismatch: bool,
    say: Callable[[str], None],
) -> None:
    found = matching.corner_side(estimates, evidence, evidence_name)
    if found is None:
        return
    side, as_is, other = found
    name = (estimates_name, evidence_name)[side]
    finding = (
        f"{name}: field bbox_px: are the boxes corners (x1 y1 x2 y2)? Taken so, they overlap the other "
        f"file's by {other:.2f} (median IoU), as they are by {as_is:.2f}"
    )
    pairing.judge(False, finding, "wanted left, top, width, height", allow_mismatch, say)


def _unproven(estimates: dict[str, Any], evidence: dict[str, Any], where: str) -> str:
    """What is said of rows that nobody asked for."""
    if matching.identity(estimates) and matching.identity(evidence):
        several = " (people of one image by their order)" if "image" in evidence else ""
        return f"{where}: the names or boxes of every row agree, so rows are joined{several}"
    text = f"{where}: WARNING: joined by row, and nothing proves it: neither file has image, frame or bbox_px"
    if "keypoints2d" in evidence or "labels2d" in evidence:
        text += "; keypoints of other people would pull every estimate astray"
    return text


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
    again: str,
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
    lacking = _lacking(estimates, evidence, estimates_name, evidence_name, again)
    lacking += _nameless(estimates, evidence, evidence_name)
    where = "" if again in lacking else f", options of: {again}"
    counts = f"{overlap.count(estimates)} people there and {overlap.count(evidence)} here"
    known = f"{_known(estimates)} there and {_known(evidence)} here"
    raise ValueError(
        f"{evidence_name}: wanted the people of {estimates_name}, found "
        f"{'; '.join(problems) or f'nothing unique to join by ({by}; {counts}; {known})'}; {lacking}see "
        f"scripts/convert.py join --help for --by, --min-iou and --allow-mismatch{where}"
    )


def _lacking(
    estimates: dict[str, Any],
    evidence: dict[str, Any],
    estimates_name: str,
    evidence_name: str,
    again: str,
) -> str:
    """What one file does not know of its people and the other does."""
    bare = [not {"image", "bbox_px", "frame"} & set(side) for side in (estimates, evidence)]
    if bare[0] == bare[1]:
        return ""
    what, name = (("estimates", estimates_name), ("evidence", evidence_name))[bare[1]]
    verb = "have" if bare[0] else "has"
    return (
        f"the {what} ({name}) {verb} no image or bbox_px; give them (generic --fields image=... "
        f"bbox_px=...){_by_row(estimates, evidence, again)}; "
    )


def _nameless(estimates: dict[str, Any], evidence: dict[str, Any], where: str) -> str:
    """What gives names to images that the evidence knows by COCO's ids alone."""
    if "image" not in estimates or "image" not in evidence:
        return ""
    ids = set(evidence["image"].tolist())
    names = {Path(name).stem for name in estimates["image"].tolist()}
    if ids & names or not all(name.isdigit() for name in ids):
        return ""
    return (
        f"{where} has ids for images (the first is {evidence['image'][0]}); those of a detector's results "
        "get their names by coco --images ANNOTATIONS.json, the annotation file they ran on; else "
    )


def _by_row(estimates: dict[str, Any], evidence: dict[str, Any], again: str) -> str:
    """The command that takes rows as they are, where there are as many on both sides."""
    sizes = overlap.count(estimates), overlap.count(evidence)
    if sizes[0] != sizes[1]:
        return f" (rows cannot be taken as they are: {sizes[0]} there and {sizes[1]} here)"
    return f", or, if row n of both is the same person, run {again} --by row"


def _problem(
    match: matching.Match, estimates: dict[str, Any], evidence: dict[str, Any], min_iou: float
) -> str | None:
    fewer, matched = min(map(overlap.count, (estimates, evidence))), len(match.rows)
    if matched <= _LEAST * fewer:
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
