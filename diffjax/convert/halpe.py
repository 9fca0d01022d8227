"""Halpe-FullBody's annotations: 26 body keypoints of people in HICO-DET and COCO images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from diffjax.convert import cleansing, coco_tables, delivery, join, parsing

_BODY, _WHOLE = 26, 136

Field = Literal["labels2d", "keypoints2d"]


def read_halpe(
    path: str | Path,
    *,
    rules: cleansing.Rules = cleansing.LENIENT,
    min_score: float = 0.6,
    field: Field = "labels2d",
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fields of the people of halpe_train_v1.json or halpe_val_v1.json whose body is annotated.

    The third number of a keypoint is a score, not COCO's flag: up to `min_score` the keypoint is absent.
    Of 136 keypoints the first 26 are the body's (set halpe26).
    """
    where, content = str(path), parsing.read_json(path)
    wanted = "Halpe's annotation file"
    images = coco_tables.read_images(parsing.field(content, "images", where, wanted), where)
    listed = parsing.field(content, "annotations", where, wanted)
    listed = coco_tables.entries(listed, "annotations", where)
    people = cleansing.persons(listed, content, where, say)
    annotated = cleansing.with_points(people, where, say)
    _check_points(annotated, where)
    found = coco_tables.people(annotated, people, images, _BODY, where)
    keypoints = coco_tables.scored(found.keypoints, min_score)
    found = coco_tables.with_boxes(found, keypoints)
    stay = cleansing.cleanse(found, keypoints, rules, where, say)
    found, keypoints = coco_tables.take(found, stay), keypoints[stay]
    return coco_tables.fields(found, keypoints, field, "halpe26", where, say)


def convert(
    source: Path,
    out: Path,
    estimates: Path | None = None,
    min_score: float = 0.6,
    min_keypoints: int = 1,
    max_people: int | None = None,
    max_overlap: float | None = None,
    min_height: float | None = None,
    field: Field = "labels2d",
    focal: float | None = None,
) -> None:
    """Reads Halpe-FullBody's 26 body keypoints.

    Args:
        source: halpe_train_v1.json or halpe_val_v1.json.
        out: The annotation set to write, .npz.
        estimates: Annotation set of a frontend on these images, with image and bbox_px, to join to.
        min_score: Keypoints with a score up to this are absent; Halpe's own viewer has 0.6.
        min_keypoints: Leave out people with fewer confident body keypoints.
        max_people: Leave out images with more annotated people.
        max_overlap: Leave out people whose box overlaps another one's by a higher IoU.
        min_height: Leave out people whose box is lower, pixels.
        field: Human labels (labels2d), or the place of a detector's keypoints (keypoints2d).
        focal: Focal length in pixels where the estimates have no camera; HMR's convention is 5000.
    """
    rules = cleansing.Rules(min_keypoints, max_people, max_overlap, min_height)
    fields = read_halpe(source, rules=rules, min_score=min_score, field=field)
    fields = fields if focal is None else join.with_focal(fields, focal)
    delivery.deliver(out, fields, str(source), estimates)


def _check_points(people: list[dict[str, Any]], where: str) -> None:
    sizes = {len(person["keypoints"]) for person in people}
    if len(sizes) != 1 or not sizes <= {3 * _WHOLE, 3 * _BODY}:
        raise ValueError(
            f"{where}: field keypoints: wanted 3 x {_WHOLE} numbers (or 3 x {_BODY}), as many for "
            f"everyone, found {sorted(sizes)[:5]}; COCO's 17 are read by scripts/convert.py coco"
        )
