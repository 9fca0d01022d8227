"""Motion before simulated cameras, as sequence sets split by subject."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from diffjax import body, config
from diffjax.data import filmed, motion, sequence_sets, splits
from diffjax.data.sequence_sets import SequenceSet

_EVERY = {"train": 3, "val": 3, "test": 1}
"""Of the generated clips every n-th: more than enough for a lifter of this size."""


class Videos(NamedTuple):
    """Sets split by subject."""

    train: SequenceSet
    val: SequenceSet
    test: SequenceSet


def film(
    source: str,
    body_path: str,
    *,
    seed: int = 0,
    fps: float = 50.0,
    takes: int = 1,
    detector: filmed.Detector = filmed.Detector(),  # noqa: B008 - immutable.
) -> Videos:
    """Motion, `generated` or a directory with train/, val/ and test/, before four cameras; no estimates yet.

    Training motion is filmed `takes` times.
    """
    if takes < 1 or not fps > 0:
        raise ValueError(
            f"film: wanted --takes of 1 or more and --fps above 0, got {takes} and {fps}"
        )
    where = config.locate(body_path)
    keypoints = body.fold_keypoints(body.load_body(where), body.load_regressor(where, filmed.SET))
    sets = []
    for part in splits.Clips._fields:
        clips = filmed.takes(_clips(source, part), takes if part == "train" else 1, seed=seed)
        rate = min(fps, *(clip.motion.fps for clip in clips))
        videos = filmed.film(clips, keypoints, seed=seed, fps=rate, detector=detector)
        sets.append(sequence_sets.of_videos(videos, filmed.SET, f"{source}, {part}", rate))
    return _apart(Videos(*sets), source)


def _clips(source: str, part: str) -> Sequence[motion.Clip]:
    if source == "generated":
        return splits.generated_clips(part)[:: _EVERY[part]]
    return getattr(splits.read_split(source, (part,)), part)


def _apart(videos: Videos, where: str) -> Videos:
    """ValueError where a subject is in two of the sets."""
    subjects = [set(np.asarray(part.subject).tolist()) for part in videos]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        if shared := subjects[i] & subjects[j]:
            raise ValueError(
                f"{where}: field subject: wanted subjects in one split only, found {sorted(shared)} in "
                f"{Videos._fields[i]} and {Videos._fields[j]}; move their files to one of the two"
            )
    return videos
