"""Human3.6M in VideoPose3D's files as videos for lifters and refiners."""

from collections.abc import Callable, Sequence
from pathlib import Path

from diffjax.convert import h36m
from diffjax.data import pose_sequences

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
