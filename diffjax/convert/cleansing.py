"""Which annotated people are left out, by rules with names that say how many they leave out."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from diffjax.convert import coco_tables, overlap


class Rules(NamedTuple):
    """What people must be like to stay; None asks for nothing."""

    min_keypoints: int = 1
    """Confident keypoints."""
    max_people: int | None = None
    """Annotated people in the image, those without keypoints included."""
    max_overlap: float | None = None
    """IoU with any other box of the image."""
    min_height: float | None = None
    """Pixels of the box."""


LENIENT = Rules()
"""Everybody with a confident keypoint."""


def cleanse(
    found: coco_tables.People,
    keypoints: np.ndarray,
    rules: Rules,
    where: str,
    say: Callable[[str], None],
) -> np.ndarray:
    """Rows that stay. Each rule looks at everybody, and says how many it alone would leave out.

    `keypoints` (N, K, 3) have confidences.
    """
    left_out = {
        f"have fewer than {rules.min_keypoints} confident keypoints": _sparse(keypoints, rules)
    }
    left_out["have no box"] = ~np.isfinite(found.box).all(-1)
    if rules.max_people is not None:
        crowded = found.neighbours > rules.max_people
        left_out[f"are in images with more than {rules.max_people} people"] = crowded
    if rules.max_overlap is not None:
        covered = _largest_iou(found, where) > rules.max_overlap
        left_out[f"overlap another box by an IoU above {rules.max_overlap:g}"] = covered
    if rules.min_height is not None:
        left_out[f"are lower than {rules.min_height:g} px"] = found.box[:, 3] < rules.min_height
    stay = np.ones(len(keypoints), bool)
    for reason, out in left_out.items():
        stay &= ~out
        if out.any():
            say(f"{where}: {out.sum()} of {len(out)} people {reason}: left out")
    if not stay.any():
        reasons = ", ".join(reason for reason, out in left_out.items() if out.any())
        raise ValueError(
            f"{where}: wanted people that pass the rules, found none: they {reasons}; ask for less"
        )
    return np.flatnonzero(stay)


def persons(
    annotations: list[dict[str, Any]],
    content: dict[str, Any],
    where: str,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Annotations of single people: other categories and crowds are left out, said aloud."""
    categories = content.get("categories")
    categories = categories if isinstance(categories, list) else []
    person = [c.get("id") for c in categories if isinstance(c, dict) and c.get("name") == "person"]
    people = [a for a in annotations if a.get("category_id", 1) in (person or [1])]
    single = [a for a in people if a.get("iscrowd", 0) in (0, None)]
    for left, what in (
        (len(annotations) - len(people), "are not of people"),
        (len(people) - len(single), "are of crowds"),
    ):
        if left:
            say(f"{where}: {left} of {len(annotations)} annotations {what}: left out")
    if not single:
        raise ValueError(f"{where}: field annotations: wanted people, found none; see docs/data.md")
    return single


def with_points(
    people: list[dict[str, Any]], where: str, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """People with a list of keypoints; that of others is missing, null or a number."""
    listed = [a for a in people if isinstance(a.get("keypoints"), list) and a["keypoints"]]
    if not listed:
        raise ValueError(
            f"{where}: field keypoints: wanted lists of numbers, found none in {len(people)} people; "
            "is it the file of boxes or captions?"
        )
    if len(listed) < len(people):
        say(
            f"{where}: {len(people) - len(listed)} of {len(people)} people have no keypoints: left out"
        )
    return listed


def _sparse(keypoints: np.ndarray, rules: Rules) -> np.ndarray:
    return (keypoints[..., 2] > 0).sum(-1) < rules.min_keypoints


def _largest_iou(found: coco_tables.People, where: str) -> np.ndarray:
    """Largest IoU of each box with another one of its image."""
    image = coco_tables.image_ids(found)
    rows, others = overlap.image_pairs(image, image, where)
    rows, others = rows[rows != others], others[rows != others]
    largest = np.zeros(len(image))
    np.maximum.at(largest, rows, np.nan_to_num(overlap.iou(found.box[rows], found.box[others])))
    return largest
