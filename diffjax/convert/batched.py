"""ScoreHMR's batched `.pkl`: a list with a dict for every clip of one person, or every instant of several views.

Their evaluation loads `3dpw_test_video.pkl`, `h36m_val_multiview.pkl` and `mannequin.pkl` so, and caches estimates in
a list of the same lengths. Each dict has the keys of their `.npz`. Nothing in the file says what an entry is.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from diffjax import unpickle
from diffjax.convert import image_names, parsing

Entries = Literal["video", "views"]
"""What an entry of the list is: a person's clip, or one instant seen by several cameras."""

_BASE = ("imgname", "pred_pose")
"""What says how many rows an entry has: in annotations, in caches."""
_POINTS = tuple(f"{part}_keypoints_{kind}" for part in ("body", "extra") for kind in ("2d", "3d"))
_KEPT = (
    *("imgname", "center", "scale", "body_pose", "betas", "has_body_pose", "has_betas", *_POINTS),
    *("pred_pose", "pred_betas", "pred_cam", "pred_cam_t"),
    *("pose_feats", "cam_shape_feats", "img_feats"),
)
_H36M = re.compile(r"(?P<action>S\d+_.+)\.(?P<camera>\d+)_(?P<frame>\d{1,18})\.\w+")
"""S9_Directions_1.54138969_000001.jpg, as SPIN's and ProHMR's scripts name Human3.6M's images."""


class Loaded(NamedTuple):
    """A file, batched or not."""

    content: dict[str, Any]
    """As in an `.npz`: the rows of all entries, one after another."""
    counts: list[int] | None
    """Rows of each entry; None where the file is no list."""
    names: dict[str, np.ndarray]
    """sequence, subject, frame and view, as far as entries and names of images tell them."""


def load(
    path: str | Path, entries: Entries | None = None, say: Callable[[str], None] = print
) -> Loaded:
    """The content of an `.npz`, or of a list of dicts with the same keys."""
    if Path(path).suffix.lower() not in (".pkl", ".pickle"):
        if entries is not None:
            raise ValueError(f"--entries: wanted with a batched .pkl alone, found it with {path}")
        return Loaded(unpickle.load_npz(path), None, {})
    where, stored = str(path), unpickle.load_pickle(path)
    parts = (
        list(stored) if isinstance(stored, list | tuple | np.ndarray) and np.ndim(stored) else []
    )
    if not parts or not all(isinstance(part, dict) for part in parts):
        raise ValueError(
            f"{where}: wanted a list with a dict for each clip or set of views, found "
            f"{type(stored).__name__ if not parts else 'other entries'}; is it the file of another program?"
        )
    base = _BASE[0] if _BASE[0] in parts[0] else _BASE[1]
    counts = [_count(part, base, i, where) for i, part in enumerate(parts)]
    content = {}
    for name in _KEPT:
        if any(name in part for part in parts):
            column = _column(name, parts, counts, where, say)
            content |= {} if column is None else {name: column}
    return Loaded(content, counts, _names(content, counts, entries, where))


def _count(part: dict[str, Any], base: str, index: int, where: str) -> int:
    value = parsing.field(part, base, f"{where}: entry {index}", "ScoreHMR's keys")
    if not isinstance(value, list | tuple | np.ndarray) or not np.ndim(value) or not len(value):
        raise ValueError(
            f"{where}: entry {index}: field {base}: wanted a row for each image, found "
            f"{type(value).__name__}; leave empty entries out"
        )
    return len(value)


def _column(
    name: str, parts: list[dict], counts: list[int], where: str, say: Callable[[str], None]
) -> Any:
    """A field of all rows. Keypoints that an entry lacks are unseen; any other field has to be in all entries."""
    missing = sum(name not in part for part in parts)
    if missing and name not in _POINTS:
        say(f"{where}: {missing} of {len(parts)} entries have no {name}, so it is left out")
        return None
    pairs = [(part.get(name), count) for part, count in zip(parts, counts)]
    found = [_rows(v, name, n, i, where) for i, (v, n) in enumerate(pairs) if v is not None]
    if name == "imgname":
        return [image for images in found for image in images]
    shape = found[0].shape[1:]
    if any(array.shape[1:] != shape for array in found):
        shapes = sorted({array.shape[1:] for array in found})
        raise ValueError(
            f"{where}: field {name}: wanted one shape a row, found {shapes[:4]}; make the file again"
        )
    there = iter(found)
    return np.concatenate([np.zeros((n, *shape)) if v is None else next(there) for v, n in pairs])


def _rows(value: Any, name: str, count: int, index: int, where: str) -> Any:
    """One entry's rows of a field: texts, or numbers."""
    place = f"{where}: entry {index}: field {name}"
    rows = parsing.texts(value).tolist() if name == "imgname" else parsing.numbers(value, place)
    if not np.ndim(rows) or len(rows) != count:
        found = len(rows) if np.ndim(rows) else "one number"
        raise ValueError(f"{place}: wanted {count} rows, found {found}; make the file again")
    return rows


def _names(
    content: dict[str, Any], counts: list[int], entries: Entries | None, where: str
) -> dict[str, np.ndarray]:
    """What the list and the names of its images tell; a cache tells which rows are of one entry."""
    subject = np.repeat([f"{i:05d}" for i in range(len(counts))], counts)
    if "imgname" not in content:
        return {"subject": subject}
    if entries is None:
        raise ValueError(
            f"{where}: wanted to know what an entry of the list is, found nothing that says it; give "
            "--entries video (a person's clip, as in 3dpw_test_video.pkl) or --entries views (one instant "
            "seen by several cameras, as in h36m_val_multiview.pkl and mannequin.pkl)"
        )
    fields = _by_images(content["imgname"], subject, counts, entries)
    _check(fields, counts, entries, where)
    if entries == "video" and fields["view"] is fields.pop("image"):
        del fields["view"]
    return fields


def _by_images(
    images: list[str], subject: np.ndarray, counts: list[int], entries: Entries
) -> dict[str, Any]:
    """Human3.6M's names tell all four; of others the folder and, in a video, the number are taken."""
    names = np.array([image.replace("\\", "/") for image in images])
    bare = [str(name).rsplit("/", 1)[-1] for name in names]
    shots = [found for name in bare if (found := _H36M.fullmatch(name))]
    if len(shots) == len(names):
        people = {"subject": np.array([shot["action"].partition("_")[0] for shot in shots])}
        people |= {"sequence": np.array([shot["action"] for shot in shots])}
        people |= {"view": np.array([shot["camera"] for shot in shots]), "image": names}
        return people | {"frame": np.array([int(shot["frame"]) for shot in shots])}
    seen = image_names.frames(names)
    fields: dict[str, Any] = {"subject": subject, "sequence": seen.sequence, "frame": seen.frame}
    if entries == "views":  # The list says that images of an entry are one instant; names need not.
        first = np.repeat(np.cumsum(counts) - np.array(counts), counts)
        fields |= {"sequence": seen.sequence[first], "frame": np.zeros(len(names), np.int64)}
    return fields | {"view": names, "image": names}


def _check(fields: dict[str, Any], counts: list[int], entries: Entries, where: str) -> None:
    """Each entry is what `entries` says, as far as names show it."""
    if fields["frame"] is None:
        raise ValueError(
            f"{where}: field imgname: wanted a number in every image's name, found one without; "
            "rename the images, or give --entries views"
        )
    ends = np.cumsum(counts)
    for i, (start, end) in enumerate(zip(ends - counts, ends)):
        rows = {name: list(values[start:end]) for name, values in fields.items()}
        once = len(set(rows["sequence"])) == 1
        if entries == "video":
            once &= bool((np.diff(rows["frame"]) > 0).all())
        else:
            once &= len(set(rows["frame"])) == 1 and len(set(rows["view"])) == len(rows["view"])
        if not once:
            wanted, other = _WANTED[entries]
            raise ValueError(
                f"{where}: entry {i}: field imgname: wanted {wanted}, found {rows['image'][0]} to "
                f"{rows['image'][-1]}; is --entries {other} meant?"
            )


_WANTED: dict[Entries, tuple[str, str]] = {
    "video": ("one folder's images in the order of their numbers", "views"),
    "views": ("one instant, each camera once", "video"),
}
