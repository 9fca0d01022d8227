"""People of a COCO-shaped JSON file as columns: its images, and boxes and keypoints of annotations."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from diffjax.convert import overlap

_LARGEST_PX = 1e6
_LONGEST = 512  # Characters of a name: text arrays are as wide as their longest.


class Images(NamedTuple):
    """Images by id."""

    row: dict[int | str, int]
    name: np.ndarray
    size: np.ndarray
    """(N, 2) width, height in pixels; NaN where unknown."""


class People(NamedTuple):
    """Annotated people, one a row."""

    keypoints: np.ndarray
    """(N, K, 3) x, y, and what the file has as third number, float64."""
    box: np.ndarray
    """(N, 4) left, top, width, height; NaN where the file has none or one without area."""
    image: np.ndarray
    size: np.ndarray
    """(N, 2) of the image; NaN where unknown."""
    name: np.ndarray | None
    """The annotation's id, where all have one."""
    score: np.ndarray
    """Of the person; 1 where there is none."""
    neighbours: np.ndarray
    """People in the image, this one too."""


def entries(values: Any, name: str, where: str) -> list[dict[str, Any]]:
    """`values`, which should be a list of objects."""
    if isinstance(values, list) and values and all(isinstance(value, dict) for value in values):
        return values
    found = f"a {type(values).__name__}"
    if isinstance(values, list):
        wrong = {type(value).__name__ for value in values} - {"dict"}
        found = f"{', '.join(sorted(wrong))} in it" if wrong else "an empty one"
    raise ValueError(
        f"{where}: field {name}: wanted a list of objects, found {found}; get the file again"
    )


def read_images(values: Any, where: str) -> Images:
    """The table of images: id, file_name, and width and height where it has them."""
    found = entries(values, "images", where)
    row: dict[int | str, int] = {}
    names, sizes = [], []
    for image in found:
        key, name = _id(image.get("id"), "images.id", where), image.get("file_name")
        if not isinstance(name, str) or not name.strip("\0 ") or len(name) > _LONGEST:
            raise ValueError(
                f"{where}: field images.file_name: wanted a name, found {str(name)[:40]!r} (image "
                f"{key}); get the file again"
            )
        if row.setdefault(key, len(names)) != len(names) and names[row[key]] != name:
            raise ValueError(
                f"{where}: field images.id: wanted one image for each id, found {key} twice; "
                "were two files merged? give every image an id of its own"
            )
        names.append(name)
        sizes.append([image.get("width"), image.get("height")])
    return Images(row, np.array(names, np.str_), _positive(sizes, 2))


def people(
    annotations: list[dict[str, Any]],
    everyone: list[dict[str, Any]],
    images: Images | None,
    points: int,
    where: str,
) -> People:
    """Columns of annotations whose `keypoints` are lists, of which the first `points` are taken.

    `everyone` is who counts as a person of an image.
    """
    keypoints = numbers([a["keypoints"][: 3 * points] for a in annotations], "keypoints", where)
    boxes = [a.get("bbox", a.get("box")) for a in annotations]
    ids = [_id(a.get("image_id"), "annotations.image_id", where) for a in annotations]
    counts = Counter(str(a.get("image_id")) for a in everyone)
    labels = [a.get("id") for a in annotations]
    image, size = _places(ids, images, where)
    named = all(_is_label(label) for label in labels)
    scores = [a.get("score", 1.0) for a in annotations]
    return People(
        keypoints=keypoints.reshape(len(annotations), points, 3),
        box=_positive([box if _is_row(box, 4) else [None] * 4 for box in boxes], 4),
        image=image,
        size=size,
        name=np.array([str(label) for label in labels], np.str_) if named else None,
        score=numbers([[score] for score in scores], "score", where)[:, 0],
        neighbours=np.array([counts[str(key)] for key in ids]),
    )


def fields(
    found: People,
    keypoints: np.ndarray,
    field: str,
    names: str,
    where: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The fields of an annotation set; the image's size only where it is known of all."""
    out: dict[str, Any] = {field: keypoints.astype(np.float32), f"{field}_set": names}
    out |= {"bbox_px": found.box.astype(np.float32), "image": found.image}
    if found.name is not None:
        out["subject"] = found.name
    unknown = ~np.isfinite(found.size).all(-1)
    if unknown.any():
        say(f"{where}: the size of {unknown.sum()} of {len(unknown)} people's images is unknown")
        return out
    size = found.size.astype(np.float32)
    return out | {"image_size_px": size, "center_px": size / 2}


def numbers(values: list[Any], name: str, where: str) -> np.ndarray:
    """(N, M) float64: rows of one length of finite numbers that are no larger than pixels can be."""
    try:
        stored = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{where}: field {name}: wanted rows of numbers, found {error}; get the file again"
        ) from error
    if stored.ndim != 2 or stored.dtype.kind not in "fiu":
        found = f"shape {stored.shape}" if stored.ndim != 2 else f"dtype {stored.dtype}"
        raise ValueError(
            f"{where}: field {name}: wanted rows of numbers, found {found}; get the file again"
        )
    array = stored.astype(np.float64)
    wrong = array[np.isnan(array) | (np.abs(array) > _LARGEST_PX)]
    if wrong.size:
        raise ValueError(
            f"{where}: field {name}: wanted finite numbers up to {_LARGEST_PX:.0e}, found "
            f"{wrong[0]:.3g}; get the file again"
        )
    return array


def take(found: People, index: np.ndarray) -> People:
    """The people at `index`."""
    return People(*(None if column is None else column[index] for column in found))


def image_ids(found: People) -> np.ndarray:
    """A number for the image of each."""
    return np.unique(found.image, return_inverse=True)[1].ravel()


def scored(keypoints: np.ndarray, min_score: float = 0.0) -> np.ndarray:
    """(N, K, 3) float32: the third number as confidence in [0, 1]; up to `min_score` all three are 0."""
    seen = keypoints[..., 2:] > max(min_score, 0.0)
    confidence = np.clip(keypoints[..., 2:], 0.0, 1.0)
    kept = np.concatenate([keypoints[..., :2], confidence], -1)
    return np.where(seen, kept, 0.0).astype(np.float32)


def with_boxes(found: People, keypoints: np.ndarray) -> People:
    """Unknown boxes replaced by those around confident keypoints (N, K, 3)."""
    known = np.isfinite(found.box).all(-1, keepdims=True)
    return found._replace(box=np.where(known, found.box, overlap.keypoint_boxes(keypoints)))


def _places(
    ids: list[int | str], images: Images | None, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Name and size of the image of each annotation; without a table of images, ids stand for names."""
    if images is None:
        return np.array([str(key) for key in ids], np.str_), np.full((len(ids), 2), np.nan)
    lost = [key for key in ids if key not in images.row]
    if lost:
        raise ValueError(
            f"{where}: field annotations.image_id: wanted ids of the images, found {lost[0]!r} and "
            f"{len(lost) - 1} others that are not among them; give the file the images belong to"
        )
    index = np.array([images.row[key] for key in ids])
    return images.name[index], images.size[index]


def _id(value: Any, name: str, where: str) -> int | str:
    if _is_label(value):
        return value
    raise ValueError(
        f"{where}: field {name}: wanted a number or a name, found {str(value)[:40]!r}; "
        "get the file again"
    )


def _is_label(value: Any) -> bool:
    text = isinstance(value, str) and 0 < len(value) <= _LONGEST
    return text or (isinstance(value, int) and not isinstance(value, bool))


def _positive(values: list[Any], width: int) -> np.ndarray:
    """(N, width) float64, NaN in rows that are not numbers or whose last two are not above 0."""
    clean = [v if _is_row(v, width) else [np.nan] * width for v in values]
    array = np.array(clean, np.float64).reshape(len(values), width)
    good = np.asarray((np.abs(array) <= _LARGEST_PX).all(-1) & (array[:, -2:] > 0).all(-1))
    return np.where(good[:, None], array, np.nan)


def _is_row(value: Any, width: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == width
        and all(isinstance(x, int | float) and abs(x) <= _LARGEST_PX for x in value)
    )
