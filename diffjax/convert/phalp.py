"""Tracks of PHALP and of 4D-Humans' track.py: a joblib pickle of one dictionary a frame.

Everything in a frame is a list aligned with `tid`, which also names ghosts: people who are not seen
in this frame and repeat an earlier pose. `tracked_ids` names those who are. The first frames of a
track are appended late, so the rows are put in order here.

`camera` is in a padded square at render resolution and is not read: the translation is computed from
the crop's own `camera_bbox` [s, tx, ty]. Left out as well are `2d_joints` and `3d_joints`, which are the
estimate again and no evidence. ViTPose keypoints in `extra_data` (ScoreHMR's and SLAHMR's trackers) are read.
"""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import delivery, finite, parsing

_FOCAL = 5000.0 / 256.0  # Of the longer side of the image.
_FOLDERS = ("img", "images", "frames", "imageFiles", "_TMP")
_KEYPOINTS = (25, 3)


_ITEMS = {"camera_bbox": 3, "center": 2, "scale": 2, "size": 2, "bbox": 4}
"""Numbers of a person: the crop's s, tx, ty; its centre; the box's width and height, of which the larger is
the crop's side; the image's HEIGHT and WIDTH; the box's left, top, width, height."""
_SMPL = {"global_orient": 9, "body_pose": 207, "betas": 10}


def read_phalp(
    path: str | Path,
    *,
    focal: float | None = None,
    sequence: str | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The seen people of all frames, by track and then by frame.

    `focal` is what `cam_t` is for, in pixels; without it 5000 / 256 of the image's longer side, as in
    4D-Humans' demo. `sequence` names the video instead of its folder.
    """
    frames, where = unpickle.load_pickle(path), str(path)
    if not isinstance(frames, dict) or not frames:
        raise ValueError(
            f"{where}: wanted a dictionary of frames, found {type(frames).__name__}; "
            "give results/*.pkl of PHALP or of 4D-Humans' track.py"
        )
    people, ghosts = [], 0
    for name, frame in frames.items():
        seen = _people(name, frame, where)
        people.extend(seen)
        ghosts += len(frame["tid"]) - len(seen)
    if not people:
        raise ValueError(f"{where}: wanted tracked people, found none in {len(frames)} frames")
    say(f"{where}: {len(people)} people, {ghosts} ghosts (tracks not seen in a frame) left out")
    fields = _fields(people, focal, where)
    fields["sequence"] = np.full(len(people), sequence or _video(people[0]["image"], Path(path)))
    order = np.lexsort((fields["frame"], fields.pop("_track")))
    return {k: v if k.endswith("_set") else v[order] for k, v in fields.items()}


def convert(
    source: Path,
    out: Path,
    focal: float | None = None,
    sequence: str | None = None,
    role: delivery.Role = "estimate",
    estimates: Path | None = None,
) -> None:
    """Reads tracks of PHALP / 4D-Humans track.py (joblib .pkl).

    Args:
        source: outputs/results/demo_VIDEO.pkl.
        out: The annotation set to write, .npz.
        focal: Focal length in pixels of the translation; 5000 / 256 * the longer side without it.
        sequence: Name of the video, instead of its folder's.
        role: Whether the poses are what is refined or what is compared with.
        estimates: Annotation set whose people these are.
    """
    fields = read_phalp(source, focal=focal, sequence=sequence)
    delivery.deliver(out, delivery.in_role(fields, role), str(source), estimates)


def _people(name: Any, frame: Any, where: str) -> list[dict[str, Any]]:
    """Those of a frame whose track is in `tracked_ids`."""
    where = f"{where}: frame {str(name)[-60:]!r}"
    tracks = [_whole(track, "tid", where) for track in _list(frame, "tid", where)]
    seen = {_whole(track, "tracked_ids", where) for track in _list(frame, "tracked_ids", where)}
    lists = {key: _list(frame, key, where, len(tracks)) for key in ("smpl", *_ITEMS)}
    extra = frame.get("extra_data")
    if not isinstance(extra, list) or len(extra) != len(tracks):
        extra = [None] * len(tracks)
    place = {
        "frame": _frame_number(name, frame, where),
        "image": name if isinstance(name, str) else "",
    }
    return [
        place
        | {"track": track, "keypoints": _keypoints(extra[i], where)}
        | _numbers({key: values[i] for key, values in lists.items()}, where)
        for i, track in enumerate(tracks)
        if track in seen
    ]


def _numbers(row: dict[str, Any], where: str) -> dict[str, np.ndarray]:
    values = {
        name: parsing.field(row["smpl"], name, where, "SMPL parameters of a person")
        for name in _SMPL
    }
    return {
        name: _flat((values | row)[name], name, size, where)
        for name, size in {**_SMPL, **_ITEMS}.items()
    }


def _fields(people: list[dict[str, Any]], focal: float | None, where: str) -> dict[str, Any]:
    columns = {name: np.stack([person[name] for person in people]) for name in (*_SMPL, *_ITEMS)}
    size = columns["size"][:, ::-1]
    focal_px = np.full(len(people), focal) if focal is not None else _FOCAL * size.max(1)
    if not (size >= 1).all() or not (focal_px > 0).all():
        raise ValueError(
            f"{where}: field size: wanted [height, width] and a focal length above 0, found "
            f"{size.min():g} and {focal_px.min():g}; give --focal, or track the video again"
        )
    pose = np.concatenate([columns["global_orient"], columns["body_pose"]], 1)
    fields = {
        "pose": pose.reshape(-1, 24, 3, 3),
        "betas": columns["betas"],
        "cam_t": _translation(columns, size, focal_px, where),
        "focal_px": np.stack([focal_px, focal_px], -1),
        "center_px": size / 2,
        "image_size_px": size,
        "bbox_px": columns["bbox"],
    }
    fields = {name: value.astype(np.float32) for name, value in fields.items()}
    return fields | _evidence(people) | _names(people)


def _evidence(people: list[dict[str, Any]]) -> dict[str, Any]:
    keypoints = [person["keypoints"] for person in people]
    if all(k is None for k in keypoints):
        return {}
    rows = [np.zeros(_KEYPOINTS) if k is None else k for k in keypoints]
    return {"keypoints2d": np.stack(rows).astype(np.float32), "keypoints2d_set": "openpose25"}


def _names(people: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    tracks = np.array([person["track"] for person in people], np.int64)
    return {
        "subject": tracks.astype(np.str_),
        "frame": np.array([person["frame"] for person in people], np.int64),
        "image": np.array([person["image"] for person in people], np.str_),
        "_track": tracks,
    }


def _translation(
    columns: dict[str, np.ndarray], size: np.ndarray, focal_px: np.ndarray, where: str
) -> np.ndarray:
    """tz = 2 f / (s box), tx += 2 (cx - W / 2) / (s box), ty likewise: 4D-Humans' cam_crop_to_full."""
    weak, center = columns["camera_bbox"], columns["center"]
    box = columns["scale"].max(1) * weak[:, 0]
    if not (box > 1e-3).all():
        raise ValueError(
            f"{where}: field camera_bbox: wanted a crop's scale s above 0, found s * box = "
            f"{box.min():g} px; track the video again"
        )
    xy = weak[:, 1:] + (2 * center - size) / box[:, None]
    return np.concatenate([xy, (2 * focal_px / box)[:, None]], -1)


def _keypoints(value: Any, where: str) -> np.ndarray | None:
    """ViTPose's keypoints in the places of 25 OpenPose names; None where there are none."""
    if not isinstance(value, np.ndarray) or value.shape != _KEYPOINTS:
        return None
    found = finite.array(value, "extra_data", _KEYPOINTS, where)
    found[:, 2] = np.clip(found[:, 2], 0.0, 1.0)
    return np.where(found[:, 2:] > 0, found, 0.0)


def _list(frame: Any, name: str, where: str, count: int | None = None) -> Any:
    values = parsing.field(frame, name, where, "a list of the frame's tracks")
    if isinstance(values, np.ndarray) and values.ndim:
        values = list(values)
    if not isinstance(values, list | tuple) or (count is not None and len(values) != count):
        found = f"{len(values)}" if isinstance(values, list | tuple) else type(values).__name__
        raise ValueError(
            f"{where}: field {name}: wanted a list with an entry for each of the frame's "
            f"{'' if count is None else f'{count} '}tracks, found {found}; track the video again"
        )
    return values


def _flat(value: Any, name: str, size: int, where: str) -> np.ndarray:
    """`size` numbers without the axes of length 1 that some versions keep."""
    try:
        flat = np.asarray(value).reshape(-1)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: field {name}: wanted {size} numbers, found {error}") from error
    return finite.array(flat, name, (size,), where)


def _whole(value: Any, name: str, where: str) -> int:
    whole = isinstance(value, np.integer | int) and not isinstance(value, bool)
    if not whole or abs(int(value)) > 1 << 53:
        raise ValueError(
            f"{where}: field {name}: wanted a whole number, found {str(value)[:40]!r}; "
            "track the video again"
        )
    return int(value)


def _frame_number(name: Any, frame: dict[str, Any], where: str) -> int:
    """The digits that end the frame's file name; else its `time`, counted from 0."""
    digits = re.search(r"(\d{1,15})$", PurePosixPath(name).stem) if isinstance(name, str) else None
    if digits:
        return int(digits[1])
    time = parsing.field(frame, "time", where, "the index of a frame whose name has no number")
    return _whole(time, "time", where)


def _video(image: str, path: Path) -> str:
    """The folder of the frames, without the one that is always called img; else the result's name."""
    folders = [part for part in PurePosixPath(image).parts[:-1] if part not in (*_FOLDERS, "/")]
    return folders[-1] if folders else path.stem
