"""Human3.6M in VideoPose3D's files as videos for lifters and refiners."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import h36m, parsing
from diffjax.data import pose_sequences, sequence_sets
from diffjax.data.sequence_sets import SequenceSet

TRAIN = ("S1", "S5", "S6", "S7", "S8")
TEST = ("S9", "S11")
_LONGER, _TAIL = 1.5, 50
"""A video may run longer than the motion capture by half of it, or by a second: what is longer is of another rate."""


def read_sequences(
    path: str | Path,
    keypoints2d: str | Path,
    subjects: Sequence[str] = TRAIN,
    *,
    cameras: Sequence[str] = (),
    stride: int = 1,
    say: Callable[[str], None] = print,
) -> list[pose_sequences.PoseSequence]:
    """`data_3d_h36m.npz` and a `data_2d_h36m_*.npz` of its 17 joints (CPN or ground truth).

    Every take of every camera, at 50 / stride Hz; subjects in the order of the file.
    """
    fields = h36m.read_h36m(
        path, keypoints2d, subjects=subjects, cameras=cameras, stride=stride, say=say
    )
    return pose_sequences.sequences_from_fields(fields, str(keypoints2d))


def read_split(
    path: str | Path,
    keypoints2d: str | Path,
    val: Sequence[str] = ("S8",),
    *,
    say: Callable[[str], None] = print,
) -> list[SequenceSet]:
    """Train, val and test at 50 Hz, without estimates: `TRAIN` less `val`, `val`, and `TEST`."""
    train = [subject for subject in TRAIN if subject not in val]
    if not val or not train or not set(val) <= set(TRAIN):
        raise ValueError(
            f"--val: wanted some of {', '.join(TRAIN)}, but not all, found {', '.join(val) or 'none'}; "
            "choose on subjects that nobody trains on or tests on"
        )
    return [
        sequence_sets.of_videos(
            read_sequences(path, keypoints2d, subjects, say=say), "h36m17_native", str(path)
        )
        for subjects in (train, val, TEST)
    ]


def with_estimates(videos: SequenceSet, path: str | Path) -> SequenceSet:
    """Human3.6M's videos with the estimates of another's lifter.

    The file is laid out as VideoPose3D's 2D files are: `positions_3d`, subject -> action -> a list of four cameras of
    (F, 17, 3), in metres and the camera's axes, a row for every frame at 50 Hz, also where the set has every n-th.
    Videos may run a little longer than the set's, and are cut.
    """
    where = str(path)
    people = parsing.field(unpickle.load_npz(path), "positions_3d", where, "estimates by subject")
    root = sequence_sets.root_index(videos)
    ends = np.flatnonzero(videos.sequence[1:] != videos.sequence[:-1]) + 1
    said = np.concatenate(
        [
            _estimates(people, str(videos.sequence[rows[0]]), videos.frame[rows], where)
            for rows in np.split(np.arange(len(videos.frame)), ends)
        ]
    )
    estimate = (said - said[:, [root]]).astype(np.float32)
    return sequence_sets.from_arrays(_fields(videos) | {"estimate3d": estimate}, where)


def _estimates(people: Any, video: str, frame: np.ndarray, where: str) -> np.ndarray:
    """(frames, 17, 3) metres, camera axes, of a video like 'S1/Walking 1/54138969'."""
    subject, action, camera = video.split("/")
    said = h36m.of_camera(people, "positions_3d", subject, action, camera, where)
    least = int(frame[-1]) + 1
    most = max(int(_LONGER * least), least + _TAIL)
    if said.shape[2] != 3 or not least <= len(said) <= most:
        raise ValueError(
            f"{where}: field positions_3d.{subject}.{action}: wanted ({least} to {most}, 17, 3), found "
            f"{said.shape}; write the estimate of every frame at 50 Hz, as in the 3D file"
        )
    return said[frame]


def _fields(videos: SequenceSet) -> dict[str, Any]:
    return {name: x for name, x in vars(videos).items() if x is not None}
