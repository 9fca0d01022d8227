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


def with_estimates(videos: SequenceSet, path: str | Path) -> SequenceSet:
    """Human3.6M's videos with the estimates of another's lifter.

    The file is laid out as VideoPose3D's 2D files are: `positions_3d`, subject -> action -> a list of four cameras of
    (F, 17, 3), in metres and the camera's axes. Videos may run longer than the set's, and are cut.
    """
    where = str(path)
    people = parsing.field(unpickle.load_npz(path), "positions_3d", where, "estimates by subject")
    root = sequence_sets.root_index(videos)
    parts = []
    ends = np.cumsum(sequence_sets.lengths(videos))
    for rows in np.split(np.arange(ends[-1]), ends[:-1]):
        subject, action, camera = str(videos.sequence[rows[0]]).split("/")
        said = h36m.of_camera(people, "positions_3d", subject, action, camera, where)
        last = videos.frame[rows[-1]]
        if said.shape[2] != 3 or len(said) <= last:
            raise ValueError(
                f"{where}: field positions_3d.{subject}.{action}: wanted ({last + 1} or more, 17, 3), found "
                f"{said.shape}; write the estimate of every frame"
            )
        said = said[videos.frame[rows]]
        parts.append(said - said[:, [root]])
    estimate = np.concatenate(parts).astype(np.float32)
    return sequence_sets.from_arrays(_fields(videos) | {"estimate3d": estimate}, where)


def _fields(videos: SequenceSet) -> dict[str, Any]:
    return {name: x for name, x in vars(videos).items() if x is not None}
