"""Sequence sets on disk: videos as normalised 2D, a lifter's 3D and, where it is known, the true 3D.

One `.npz` without pickle, a row a frame, the frames of a video one after another. Everything is checked at this
door, on the way in and on the way out.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from diffjax import skeleton, tracks, unpickle, windows
from diffjax.data import pose_sequences, records, sequence_checks
from diffjax.data.pose_sequences import PoseSequence

_MAKE = "make one with scripts/make_sequences.py, or see docs/methods.md"


@dataclasses.dataclass(frozen=True)
class SequenceSet:
    """N frames, one a row, named as on disk. Fields that are None are not known."""

    poses2d: Float32[np.ndarray, "rows J 2"]
    """`pose_sequences.normalised`: the width of the image is -1 .. 1."""
    joint_set: str
    """A set of `skeleton` that has a pelvis."""
    sequence: Shaped[np.ndarray, " rows"]
    """Of the video; with `subject` and `view` it tells videos apart."""
    frame: Int64[np.ndarray, " rows"]
    estimate3d: Float32[np.ndarray, "rows J 3"] | None = None
    """A lifter's: metres, camera axes, the pelvis at 0."""
    truth3d: Float32[np.ndarray, "rows J 3"] | None = None
    """The same of the truth."""
    subject: Shaped[np.ndarray, " rows"] | None = None
    action: Shaped[np.ndarray, " rows"] | None = None
    view: Shaped[np.ndarray, " rows"] | None = None
    """The camera's name."""
    fps: float = 50.0


def count(videos: SequenceSet) -> int:
    """Frames."""
    return len(videos.frame)


def lengths(videos: SequenceSet) -> list[int]:
    """Frames of each video in the order of rows; missing frames part a video."""
    parts = _tracks(dataclasses.asdict(videos), "sequence set")
    return [len(rows) for rows in parts]


def video_ids(videos: SequenceSet) -> Int64[np.ndarray, " rows"]:
    """The place of each row's video in `lengths`."""
    sizes = lengths(videos)
    return np.repeat(np.arange(len(sizes)), sizes)


def root_index(videos: SequenceSet) -> int:
    """The pelvis among the joints."""
    return pose_sequences.root_index(videos.joint_set)


def read(path: str | Path, gaps: windows.Gaps = "refuse") -> SequenceSet:
    """The sequence set in an `.npz`. NaN in 2D or in the estimate: refused, or filled from the neighbours.

    In place of `poses2d` there may be `keypoints2d` (pixels, confidence) and `image_size_px`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such sequence set; {_MAKE}")
    try:
        arrays = unpickle.load_npz(path, objects=False)
    except ValueError as error:
        raise ValueError(
            f"{path}: wanted an .npz of plain arrays, found something else ({error}); {_MAKE}"
        ) from error
    return from_arrays(arrays, str(path), gaps)


def from_arrays(arrays: dict[str, Any], where: str, gaps: windows.Gaps = "refuse") -> SequenceSet:
    """A checked set from fields by name."""
    arrays = {k: str(np.asarray(v)) if k.endswith("_set") else v for k, v in arrays.items()}
    sequence_checks.refuse_annotations(arrays, where)
    arrays = sequence_checks.with_normalised(arrays, where)
    sequence_checks.check(arrays, where)
    sizes = [len(rows) for rows in _tracks(arrays, where)]
    for name in ("poses2d", "estimate3d"):
        if name in arrays:
            said = f"{where}: field {name}"
            arrays[name] = windows.fill_gaps(np.asarray(arrays[name]), sizes, gaps, said)[0]
    return SequenceSet(**{name: _as_kept(name, value) for name, value in arrays.items()})


def _as_kept(name: str, value: Any) -> Any:
    kind = sequence_checks.FIELDS.get(name)
    if name == "fps":
        return float(value)
    return value.astype(np.float32) if kind is not None and kind.coordinates else value


def _tracks(arrays: dict[str, Any], where: str) -> list[np.ndarray]:
    """The rows of each video; ValueError unless they follow one another."""
    sequence, subject, view = (arrays.get(name) for name in ("sequence", "subject", "view"))
    found = tracks.tracks(sequence, subject, view, arrays["frame"], where)
    order = np.concatenate(found)
    if (order != np.arange(len(order))).any():
        row = int((order != np.arange(len(order))).argmax())
        raise ValueError(
            f"{where}: field frame: wanted the frames of a video one after another, found row {row} out of "
            "its order; sort the rows by sequence, subject, view and frame"
        )
    return found


def write(path: str | Path, videos: SequenceSet) -> None:
    """Checks the set, then writes it to one `.npz` that appears whole or not at all."""
    arrays = {k: v for k, v in dataclasses.asdict(videos).items() if v is not None}
    from_arrays(dict(arrays), str(path))
    records.save_arrays(path, arrays)


def take(videos: SequenceSet, rows: Any) -> SequenceSet:
    """The frames at `rows` (a mask, a slice or integers in order)."""
    parts = {name: getattr(videos, name) for name in sequence_checks.FIELDS}
    return dataclasses.replace(
        videos, **{name: x[rows] for name, x in parts.items() if x is not None}
    )


def in_order_of(joint_set: str, videos: SequenceSet, where: str) -> SequenceSet:
    """The set with its joints in the order of another set of the same joints; ValueError for other joints."""
    if set(skeleton.keypoint_set(joint_set)) != set(skeleton.keypoint_set(videos.joint_set)):
        raise ValueError(
            f"{where}: field joint_set: wanted the joints of {videos.joint_set} as in the sequences, found "
            f"those of {joint_set}; bring sequences of these joints, or train on yours"
        )
    order = list(skeleton.keypoint_map(videos.joint_set, joint_set))
    points = {name: getattr(videos, name) for name in ("poses2d", "estimate3d", "truth3d")}
    moved = {name: x[:, order] for name, x in points.items() if x is not None}
    return dataclasses.replace(videos, joint_set=joint_set, **moved)


def of_videos(
    videos: Sequence[PoseSequence], joint_set: str, where: str, fps: float = 50.0
) -> SequenceSet:
    """A set of videos, without estimates; what their detector missed is filled from the neighbours."""
    if not videos:
        raise ValueError(f"{where}: wanted a video or more, found none; {_MAKE}")
    sizes = [len(video.frame) for video in videos]
    names = {"sequence": "name", "subject": "subject", "action": "action", "view": "camera"}
    arrays: dict[str, Any] = {
        field: np.repeat([getattr(video, name) for video in videos], sizes)
        for field, name in names.items()
    }
    for field, name in (("poses2d", "p"), ("truth3d", "x"), ("frame", "frame")):
        arrays[field] = np.concatenate([getattr(video, name) for video in videos])
    return from_arrays(arrays | {"joint_set": joint_set, "fps": fps}, where, "fill")
