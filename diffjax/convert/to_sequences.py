"""Annotation sets with tracks as sequence sets, for refiners of sequences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax import body as bodies
from diffjax import config
from diffjax.data import people_sequences, records, sequence_checks, sequence_sets

Evidence = Literal["labels", "detections"]
_FIELDS: dict[str, people_sequences.Field] = {"labels": "labels2d", "detections": "keypoints2d"}


def convert(
    source: Path,
    out: Path,
    body: Path = Path("converted_weights/open_body.npz"),
    evidence: tuple[Evidence, ...] = ("detections",),
    joints: str = "h36m17",
    fps: float = 30.0,
) -> None:
    """Writes the tracks of an annotation set as a sequence set, for D3PRefiner.

    Args:
        source: Annotation set with frame numbers and 2D keypoints, .npz or a folder of shards.
        out: The sequence set to write, .npz.
        body: SMPL, .npz, with regressors of the joints and of the keypoints.
        evidence: Which 2D keypoints; of two kinds, every video comes twice.
        joints: The joints of the poses, with a pelvis.
        fps: Frames a second.
    """
    a = records.read(source)
    sets = [read_people(a, str(source), body, kind, joints, fps) for kind in evidence]
    if len(sets) > 1:
        sets = [named(videos, kind) for videos, kind in zip(sets, evidence)]
    whole = joined(sets, str(source))
    sequence_sets.write(out, whole)
    truth = "with" if whole.truth3d is not None else "without"
    frames, videos = sequence_sets.count(whole), len(sequence_sets.lengths(whole))
    print(f"{out}: {frames} frames of {videos} videos, {truth} the truth")


def read_people(
    a: records.AnnotationSet, where: str, body: Path, kind: Evidence, joints: str, fps: float
) -> sequence_sets.SequenceSet:
    """The tracks of a set as one kind of evidence sees them."""
    field = _FIELDS[kind]
    if getattr(a, field) is None:
        raise ValueError(
            f"{where}: field {field}: wanted {kind}, found nothing; choose another --evidence"
        )
    model = bodies.load_body(config.locate(body))
    keypoints = getattr(a, f"{field}_set")
    looks = people_sequences.looks_of(str(body), model, joints, keypoints)
    videos = people_sequences.of_people(a, looks, joints, field, where).videos
    return sequence_sets.from_arrays(_arrays(videos) | {"fps": fps}, where)


def named(videos: sequence_sets.SequenceSet, kind: str) -> sequence_sets.SequenceSet:
    """The videos, with the evidence in the camera's name."""
    arrays = _arrays(videos)
    view = arrays.get("view", np.full(len(videos.frame), ""))
    arrays["view"] = np.char.lstrip(np.char.add(view, f" {kind}"))
    return sequence_sets.from_arrays(arrays, kind)


def joined(sets: Sequence[sequence_sets.SequenceSet], where: str) -> sequence_sets.SequenceSet:
    """One set of all videos; all sets have the same fields."""
    parts = [_arrays(videos) for videos in sets]
    columns = {
        name: np.concatenate([part[name] for part in parts])
        for name in sequence_checks.FIELDS
        if name in parts[0]
    }
    return sequence_sets.from_arrays(parts[0] | columns, where)


def _arrays(videos: sequence_sets.SequenceSet) -> dict[str, Any]:
    return {name: value for name, value in vars(videos).items() if value is not None}
