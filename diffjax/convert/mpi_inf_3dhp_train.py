"""MPI-INF-3DHP's training annotations: 28 joints a frame in every video, of which the test's 17 are kept."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax import skeleton
from diffjax.convert import mat5, rows, videos

Skeleton = Literal["universal", "metric"]
ANNOTATIONS: dict[Skeleton, str] = {"universal": "univ_annot3", "metric": "annot3"}
"""What the files call the two skeletons."""
SIZE = (2048.0, 2048.0)
"""Of an image, here and for the test subjects 1 to 4."""
VIDEOS = (0, 1, 2, 4, 5, 6, 7, 8)
"""The cameras that SPIN and mmhuman3d take."""

_TRAIN28 = {
    "head_top": 7, "neck": 5, "right_shoulder": 14, "right_elbow": 15, "right_wrist": 16,
    "left_shoulder": 9, "left_elbow": 10, "left_wrist": 11, "right_hip": 23, "right_knee": 24,
    "right_ankle": 25, "left_hip": 18, "left_knee": 19, "left_ankle": 20, "pelvis": 4, "spine": 3,
    "head": 6,
}  # fmt: skip
"""Places of the test set's 17 joints among the 28 of the training set."""


@np.errstate(all="ignore")
def read_train(
    path: str | Path,
    *,
    numbers: Sequence[int] = VIDEOS,
    every: int = 10,
    joints: Skeleton = "metric",
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The training set: an annot.mat in S*/Seq*/, or a folder above.

    Every `every`-th frame of the videos `numbers`, whose joints are `metric` (annot3), as SPIN and mmhuman3d
    train on, or `universal` (univ_annot3).
    """
    if every < 1 or not numbers or not set(numbers) <= set(range(14)):
        raise ValueError(f"wanted videos 0 to 13 and every 1 or more, found {numbers} and {every}")
    root = Path(path)
    files = [root] if root.is_file() else sorted(root.glob("**/annot.mat"))
    if not files:
        raise FileNotFoundError(f"{path}: wanted annot.mat below it, found none; give mpi_inf_3dhp")
    parts = [part for file in files for part in _videos(file, numbers, every, joints)]
    if not parts:
        raise ValueError(f"{path}: field annot3: wanted frames, found none; get the files again")
    return rows.checked(videos.fields_of(parts, say), str(path))


def _videos(file: Path, numbers: Sequence[int], every: int, joints: Skeleton) -> list[videos.Video]:
    where, below = str(file), file.resolve().parts[-3:-1]
    if not re.fullmatch(r"S[1-8]/Seq[12]", "/".join(below)):
        raise ValueError(f"{where}: wanted it in folders S1 to S8, Seq1 or Seq2; keep the folders")
    names = ("annot2", "annot3", ANNOTATIONS[joints])
    stored = mat5.load(file, sorted(set(names)))
    chosen = [_TRAIN28[name] for name in skeleton.KEYPOINT_SETS["mpii3d17"]]
    parts = []
    for video in numbers:
        pixels, metric, points = (
            _cell(stored[name], name, video, size, where)[::every].reshape(-1, 28, size)[:, chosen]
            for name, size in zip(names, (2, 3, 3))
        )
        if not len(pixels) == len(metric) == len(points):
            raise ValueError(
                f"{where}: video {video}: wanted as many frames in 2D as in 3D; get the file again"
            )
        parts.append(
            videos.Video(
                name=f"{'/'.join(below)}/video_{video}",
                joints=points / 1000.0,
                metric=metric / 1000.0,
                pixels=pixels,
                index=every * np.arange(len(points)),
                image=f"{'/'.join(below)}/imageFrames/video_{video}/frame_{{:06d}}.jpg",
                size=SIZE,
            )
        )
    return [part for part in parts if len(part.index)]


def _cell(cells: Any, name: str, video: int, size: int, where: str) -> np.ndarray:
    """One video's (F, 28 * size) of a cell array with 14 entries."""
    if not (isinstance(cells, np.ndarray) and cells.dtype == object and cells.size == 14):
        raise ValueError(
            f"{where}: field {name}: wanted a cell of 14 videos, found {np.shape(cells)}; is it annot.mat?"
        )
    return rows.numbers(cells.ravel()[video], f"{name}[{video}]", (28 * size,), where)
