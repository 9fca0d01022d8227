"""What the table's numbers, kinds of evidence and columns are called, for the terminal and for the page."""

import math
from collections.abc import Sequence
from typing import Any

KIND = {
    "labels": "2D keypoints that the estimator did not see: an annotator's, or another detector's (field labels2d)",
    "detections": "only the 2D keypoints that the estimator saw itself (field keypoints2d)",
    "joints3d": "3D joints: of sensors, markers, or several cameras (field keypoints3d)",
    "": "nothing but the estimates",
}
"""Evidence in a reader's words; '' is none."""
SHORT = {
    "labels": "2D labels",
    "detections": "2D detections",
    "joints3d": "3D joints",
    "": "no evidence",
}
COLUMNS = (
    ("PA-MPJPE", "mm, mean distance of the joints after the best rotation, scale and shift"),
    ("change", "of PA-MPJPE against the estimate, mm; below it its 95 % interval, a bootstrap over sequences: "
               "one that holds 0 shows nothing"),
    ("rotations", "degrees, mean error of the joints' local rotations without the root; no chooser sees it, and luck "
                  "hardly lowers it"),
    ("harmed", "share of people whose PA-MPJPE rises by more than 1 mm"),
    ("better", "share of people whose PA-MPJPE falls by more than 0.01 mm"),
    ("MPJPE", "mm, mean distance of the joints, root on root"),
    ("PVE", "mm, mean distance of the vertices, pelvis on pelvis"),
    ("2D", "pixels, mean distance from the 2D keypoints; low is not right, for depth is free"),
    ("worst 5 %", "mm, the PA-MPJPE that one person in twenty exceeds"),
    ("ms", "milliseconds a person on the device named below, after compilation"),
    ("acceleration", "of tracks: mean error of the joints' accelerations, mm a frame squared"),
    ("oracle", "chooses by the truth that judges it: a bound, not a method"),
    ("gated", "leaves those alone of whom too little gain is expected; its aim is the harm on validation people, "
              "`harmed` what it did to these"),
    ("control", "gives the same oracle moves that know nothing: what an oracle gains beyond it is the method's"),
)  # fmt: skip


MASKED = {
    "joints_not_finite": "with 3D joints that are not numbers and do not count",
    "place_not_finite": "whose true place is not a number",
}
"""Counts of rows of which some of the truth is missing."""


def judged(counts: Sequence[int | None]) -> str:
    """How many people a sweep judged at each of its values."""
    known = [count for count in counts if count is not None]
    if len(set(known)) < 2:
        return f"{known[0]:,} people" if known else "nobody"
    each = ", ".join("-" if count is None else f"{count:,}" for count in counts)
    return f"{each} people, value by value: not the same everywhere"


def kind_of(row: dict[str, Any]) -> str:
    """The evidence that a row of the table saw, '' for none."""
    kind = row["evidence"] or row["sees"]
    return kind if kind in KIND else ""


def number(x: Any, digits: int = 1, sign: str = "") -> str:
    """A number in words; a dash for one that is not known."""
    known = isinstance(x, (int, float)) and math.isfinite(x)
    return f"{x:{sign}.{digits}f}" if known else "-"


def share(x: Any) -> str:
    """A share as percent."""
    known = isinstance(x, (int, float)) and math.isfinite(x)
    return f"{100 * x:.0f} %" if known else "-"


def interval(pair: Any, digits: int = 1) -> str:
    """(low, high) as text; '' where it is not known or says nothing."""
    low, high = pair or (None, None)
    told = number(low, digits, "+"), number(high, digits, "+")
    return "" if "-" in told or low == high == 0.0 else f"{told[0]} to {told[1]}"
