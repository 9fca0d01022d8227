"""OpenPose's folders of JSON files, one for each frame."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from diffjax import skeleton
from diffjax.convert import coco_tables, delivery, join, parsing

Layout = Literal["body25", "body25b", "coco18"]

_SETS = {"body25": "openpose25", "body25b": "openpose25b", "coco18": "openpose18"}
_DELIVERED = {"openpose25b": "halpe26"}
"""Sets that no body has a regressor for, as one that has: the upper neck is left out."""
_OFF = {"body25": (0.0, 0.08), "body25b": (0.03, np.inf)}
"""Range of `_middle_off_hips` that a layout may have."""
_ENDING = "_keypoints"
_MANY = 1000  # Files that are read without a progress bar; in log files (None) there is none.


class _Name(NamedTuple):
    """What the name of a file says."""

    image: str
    folder: str
    prefix: str
    frame: int | None


def read_openpose(
    path: str | Path,
    layout: Layout,
    *,
    min_score: float = 0.0,
    image_size: tuple[float, float] | None = None,
    frame_offset: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fields of the people of a file or of all `*_keypoints.json` below a folder, in order of frames.

    Missing points are (0, 0, 0). BODY_25 and BODY_25B both have 25 points, in other orders: the file does
    not say which, so `layout` must. BODY_25B comes out as halpe26 without neck and pelvis.
    """
    where, files = str(path), _files(Path(path))
    people, names, tracks = [], [], []
    for file, name in tqdm(
        files, desc=f"reading {where}", leave=False, disable=len(files) < _MANY or None
    ):
        found = _people(parsing.read_json(file), str(file))
        people += [_points(person, layout, str(file)) for person in found]
        tracks += [_track(person.get("person_id"), str(file)) for person in found]
        names += [name] * len(found)
    rows = [row for row, points in enumerate(people) if points]
    if not rows:
        raise ValueError(
            f"{where}: field people: wanted people, found none in {len(files)} files; see docs/data.md"
        )
    values = coco_tables.numbers([people[row] for row in rows], "pose_keypoints_2d", where)
    keypoints = coco_tables.scored(values.reshape(len(rows), -1, 3), min_score)
    seen = (keypoints[..., 2] > 0).any(-1)
    if seen.sum() < len(people):
        say(
            f"{where}: {len(people) - seen.sum()} of {len(people)} people have no keypoints: left out"
        )
    if not seen.any():
        raise ValueError(f"{where}: wanted confident keypoints, found none; lower --min-score")
    kept = [row for row, good in zip(rows, seen) if good]
    fields = _keypoint_fields(keypoints[seen], layout, where)
    fields |= _frame_fields([names[row] for row in kept], where, say)
    if "frame" in fields:
        fields["frame"] = fields["frame"] + frame_offset
    fields |= _subjects([tracks[row] for row in kept], where, say)
    return fields if image_size is None else fields | _sizes(image_size, len(kept))


def convert(
    source: Path,
    out: Path,
    layout: Layout,
    estimates: Path | None = None,
    image_size: tuple[float, float] | None = None,
    min_score: float = 0.0,
    frame_offset: int = 0,
    focal: float | None = None,
) -> None:
    """Reads OpenPose's JSON files, 18 or 25 keypoints.

    Args:
        source: Folder of NAME_keypoints.json (also in folders below it), or one file.
        out: The annotation set to write, .npz.
        layout: --model_pose: BODY_25 (its default), BODY_25B (another order) or COCO, 18 keypoints.
        estimates: Annotation set of the same frames to join to.
        image_size: Width and height, pixels.
        min_score: Keypoints with a score up to this are absent.
        frame_offset: Added to the numbers of frames: of a video OpenPose counts from 0, ffmpeg's images from 1.
        focal: Focal length in pixels where the estimates have no camera; HMR's convention is 5000.
    """
    how: dict[str, Any] = {"min_score": min_score, "frame_offset": frame_offset}
    fields = read_openpose(source, layout, image_size=image_size, **how)
    fields = fields if focal is None else join.with_focal(fields, focal)
    delivery.deliver(out, fields, str(source), estimates)


def _files(path: Path) -> list[tuple[Path, _Name]]:
    """Files by folder, what their names begin with, frame and name."""
    if path.is_dir():
        named = [(file, _name(file, path)) for file in path.rglob(f"*{_ENDING}.json")]
        if not named:
            raise FileNotFoundError(
                f"{path}: wanted files named FRAME{_ENDING}.json, found none; give OpenPose's --write_json"
            )
        return sorted(named, key=lambda pair: (*pair[1][1:3], pair[1].frame or 0, pair[1].image))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file or folder; check the path")
    return [(path, _name(path, path.parent))]


def _name(file: Path, root: Path) -> _Name:
    """`walk_000000000012_keypoints.json` is frame 12 of `walk`."""
    stem, folder = file.stem.removesuffix(_ENDING), file.parent.relative_to(root).as_posix()
    number = re.search(r"(\d{1,18})$", stem)
    prefix = (stem[: number.start()] if number else stem).rstrip("_-. ")
    name = root.resolve().name if folder == "." else folder
    image = stem if folder == "." else f"{folder}/{stem}"
    return _Name(image, name, prefix, int(number[1]) if number else None)


def _people(content: Any, where: str) -> list[dict[str, Any]]:
    people = parsing.field(content, "people", where, "OpenPose's people")
    return coco_tables.entries(people, "people", where) if people != [] else []


def _points(person: dict[str, Any], layout: Layout, where: str) -> list[Any]:
    """The numbers of a person; older files have `pose_keypoints`."""
    points = person.get("pose_keypoints_2d", person.get("pose_keypoints"))
    wanted = 3 * len(skeleton.keypoint_set(_SETS[layout]))
    if isinstance(points, list) and len(points) in (0, wanted):
        return points
    found = f"{len(points)}" if isinstance(points, list) else f"a {type(points).__name__}"
    raise ValueError(
        f"{where}: field pose_keypoints_2d: wanted {wanted} numbers of layout {layout}, found {found}; "
        "75 are body25 or body25b, 54 are coco18: give --layout"
    )


def _track(value: Any, where: str) -> int:
    """The tracker's number of a person; -1 where nobody tracked."""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if value is None or value == []:
        return -1
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(
        f"{where}: field person_id: wanted a whole number, found {str(value)[:40]!r}; export again"
    )


def _keypoint_fields(keypoints: np.ndarray, layout: Layout, where: str) -> dict[str, Any]:
    off = _middle_off_hips(keypoints) if layout != "coco18" else None
    if off is not None and not _OFF[layout][0] <= off <= _OFF[layout][1]:
        other = "body25" if layout == "body25b" else "body25b"
        raise ValueError(
            f"{where}: field pose_keypoints_2d: wanted layout {layout}, found point 8 at {off:.2f} of a "
            f"person's size from the middle of points 9 and 12, as in {other}; give --layout {other}"
        )
    names = _SETS[layout]
    target = _DELIVERED.get(names, names)
    index = np.array(skeleton.keypoint_map(names, target))
    mapped = np.where(index[:, None] >= 0, keypoints[:, np.maximum(index, 0)], np.float32(0))
    return {"keypoints2d": mapped, "keypoints2d_set": target}


def _middle_off_hips(keypoints: np.ndarray) -> float | None:
    """Median distance of point 8 from the middle of points 9 and 12 (BODY_25: the hips), in people's sizes.

    None if nobody shows it.
    """
    xy, seen = keypoints[..., :2], keypoints[..., 2:] > 0
    low, high = np.where(seen, xy, np.inf).min(1), np.where(seen, xy, -np.inf).max(1)
    off = np.linalg.norm(xy[:, 8] - 0.5 * (xy[:, 9] + xy[:, 12]), axis=-1)
    size = (high - low).max(-1)
    known = seen[:, [8, 9, 12], 0].all(-1) & (size > 0)
    return float(np.median(off[known] / size[known])) if known.any() else None


def _frame_fields(names: list[_Name], where: str, say: Callable[[str], None]) -> dict[str, Any]:
    """image, sequence (the folder, and what names begin with where that differs in it) and frame."""
    prefixes: dict[str, set[str]] = {}
    for name in names:
        prefixes.setdefault(name.folder, set()).add(name.prefix)
    sequence = [
        f"{name.folder}/{name.prefix}" if len(prefixes[name.folder]) > 1 else name.folder
        for name in names
    ]
    fields = {"image": [name.image for name in names], "sequence": sequence}
    out: dict[str, Any] = {key: np.array(value, np.str_) for key, value in fields.items()}
    if all(name.frame is not None for name in names):
        return out | {"frame": np.array([name.frame for name in names], np.int64)}
    say(f"{where}: some names end in no number, so frames are unknown")
    return out


def _subjects(tracks: list[int], where: str, say: Callable[[str], None]) -> dict[str, Any]:
    """subject, if everyone was tracked."""
    tracked = sum(track >= 0 for track in tracks)
    if tracked == len(tracks):
        return {"subject": np.array([str(track) for track in tracks], np.str_)}
    if tracked:
        say(f"{where}: {tracked} of {len(tracks)} people have a person_id, so it is left out")
    return {}


def _sizes(image_size: tuple[float, float], rows: int) -> dict[str, Any]:
    if not all(0 < side < np.inf for side in image_size):
        raise ValueError(f"--image-size: wanted pixels above 0, got {image_size}")
    size = np.tile(np.array(image_size, np.float32), (rows, 1))
    return {"image_size_px": size, "center_px": size / 2}
