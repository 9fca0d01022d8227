"""COCO's keypoints: annotations of people, and the results of detectors (AlphaPose's too)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax.convert import cleansing, coco_tables, delivery, join, parsing

_LAYOUTS = {17: ("coco17", 17), 26: ("halpe26", 26), 136: ("halpe26", 26)}
"""Set, and how many of the points are its, by the number of points in a results file."""

Field = Literal["labels2d", "keypoints2d"]


def read_coco(
    path: str | Path,
    *,
    images: str | Path | None = None,
    rules: cleansing.Rules = cleansing.LENIENT,
    min_person_score: float = 0.0,
    field: Field | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fields of the people of an annotation file (labels2d) or of a results file (keypoints2d).

    Annotations have flags: 0 is absent, 1 (hidden) and 2 (visible) are both labelled, confidence 1.
    Results have scores, and ids of the images of the annotation file `images`; people with a score
    below `min_person_score` are left out.
    """
    where, content = str(path), parsing.read_json(path)
    if isinstance(content, list):
        found, keypoints, names = _results(content, images, min_person_score, where, say)
    else:
        found, keypoints, names = _annotations(content, where, say)
    chosen = field or ("keypoints2d" if isinstance(content, list) else "labels2d")
    found = coco_tables.with_boxes(found, keypoints)
    stay = cleansing.cleanse(found, keypoints, rules, where, say)
    found, keypoints = coco_tables.take(found, stay), keypoints[stay]
    return coco_tables.fields(found, keypoints, chosen, names, where, say)


def convert(
    source: Path,
    out: Path,
    estimates: Path | None = None,
    images: Path | None = None,
    field: Field | None = None,
    min_person_score: float = 0.0,
    min_keypoints: int = 1,
    max_people: int | None = None,
    max_overlap: float | None = None,
    min_height: float | None = None,
    focal: float | None = None,
) -> None:
    """Reads COCO keypoints: annotations, or results of a detector.

    Args:
        source: person_keypoints_val2017.json, or a list of detections with keypoints (AlphaPose's too).
        out: The annotation set to write, .npz.
        estimates: Annotation set of a frontend on these images, with image and bbox_px, to join to.
        images: The annotation file whose images the detections' ids are of.
        field: Labels of people (labels2d) or detections (keypoints2d); by the kind of file without it.
        min_person_score: Leave out detected people with a lower score.
        min_keypoints: Leave out people with fewer confident keypoints.
        max_people: Leave out images with more people.
        max_overlap: Leave out people whose box overlaps another one's by a higher IoU.
        min_height: Leave out people whose box is lower, pixels.
        focal: Focal length in pixels where the estimates have no camera; HMR's convention is 5000.
    """
    rules = cleansing.Rules(min_keypoints, max_people, max_overlap, min_height)
    fields = read_coco(
        source, images=images, rules=rules, min_person_score=min_person_score, field=field
    )
    fields = fields if focal is None else join.with_focal(fields, focal)
    delivery.deliver(out, fields, str(source), estimates)


def _annotations(
    content: Any, where: str, say: Callable[[str], None]
) -> tuple[coco_tables.People, np.ndarray, str]:
    wanted = "COCO's annotations (an object) or results (a list)"
    images = coco_tables.read_images(parsing.field(content, "images", where, wanted), where)
    listed = parsing.field(content, "annotations", where, wanted)
    people = cleansing.persons(
        coco_tables.entries(listed, "annotations", where), content, where, say
    )
    labelled = cleansing.with_points(people, where, say)
    _check_points(labelled, (17,), where)
    found = coco_tables.people(labelled, people, images, 17, where)
    flags = found.keypoints[..., 2]
    if not np.isin(flags, (0, 1, 2)).all():
        odd = flags[~np.isin(flags, (0, 1, 2))][0]
        raise ValueError(
            f"{where}: field keypoints: wanted COCO's flags 0, 1 and 2, found {odd:.3g}; if these are "
            "scores, give the list of detections alone"
        )
    return found, coco_tables.scored(found.keypoints), "coco17"


def _results(
    content: list[Any],
    images: str | Path | None,
    min_person_score: float,
    where: str,
    say: Callable[[str], None],
) -> tuple[coco_tables.People, np.ndarray, str]:
    people = cleansing.persons(coco_tables.entries(content, "(list)", where), {}, where, say)
    if not any("keypoints" in person for person in people):
        raise ValueError(
            f"{where}: field keypoints: wanted people with keypoints, found boxes alone, of a detector "
            "of people; give the results of the pose estimator that ran on these boxes"
        )
    labelled = cleansing.with_points(people, where, say)
    names, points = _LAYOUTS[_check_points(labelled, tuple(_LAYOUTS), where)]
    found = coco_tables.people(labelled, people, _images_of(images), points, where)
    if images is None:
        say(
            f"{where}: images are named by their ids; --images ANNOTATIONS.json has names and sizes"
        )
    sure = found.score >= min_person_score
    if not sure.all():
        say(
            f"{where}: {(~sure).sum()} of {len(sure)} people have a score below {min_person_score:g}: left out"
        )
    if not sure.any():
        raise ValueError(
            f"{where}: field score: wanted people of at least {min_person_score:g}, found at most "
            f"{found.score.max():.3g}; lower --min-person-score"
        )
    found = coco_tables.take(found, np.flatnonzero(sure))
    return found, coco_tables.scored(found.keypoints), names


def _images_of(path: str | Path | None) -> coco_tables.Images | None:
    if path is None:
        return None
    content = parsing.read_json(path)
    listed = parsing.field(content, "images", str(path), "COCO's annotation file")
    return coco_tables.read_images(listed, str(path))


def _check_points(people: list[dict[str, Any]], known: tuple[int, ...], where: str) -> int:
    """The number of keypoints that all people have, one of those that are known."""
    sizes = {len(person["keypoints"]) for person in people}
    if len(sizes) == 1 and min(sizes) in {3 * points for points in known}:
        return min(sizes) // 3
    wanted = " or ".join(f"3 x {points}" for points in known)
    raise ValueError(
        f"{where}: field keypoints: wanted {wanted} numbers, as many for everyone, found "
        f"{sorted(sizes)[:5]}; Halpe's 136 labelled ones are read by scripts/convert.py halpe"
    )
