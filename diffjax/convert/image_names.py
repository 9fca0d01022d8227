"""Sequence, frame and person of every row, from the names of its images."""

import re
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from diffjax.convert import parsing

_FOLDERS = ("imageFiles", "imageSequence", "images")
_LONGEST = 18  # Digits that fit int64.


class Frames(NamedTuple):
    """Where each row comes from."""

    image: np.ndarray
    sequence: np.ndarray
    frame: np.ndarray | None
    """Number in the image's name; None where some image has none."""


def frames(images: Any) -> Frames:
    """Image, sequence (its folder) and frame number of every row.

    3DPW numbers images by their place in the sequence, MPI-INF-3DHP from 1.
    """
    paths = [PurePosixPath(parsing.text(image).replace("\\", "/")) for image in images]
    folders = [[part for part in path.parts[:-1] if part not in _FOLDERS] for path in paths]
    numbers = [(re.findall(r"\d+", path.stem) or [""])[-1] for path in paths]
    numbered = all(0 < len(number) <= _LONGEST for number in numbers)
    return Frames(
        image=np.array([str(path) for path in paths], dtype=np.str_),
        sequence=np.array([folder[-1] if folder else "" for folder in folders], dtype=np.str_),
        frame=np.array([int(number) for number in numbers]) if numbered else None,
    )


def subjects(sequence: np.ndarray, betas: np.ndarray | None) -> np.ndarray:
    """A name for every person of a sequence, told apart by the true betas, which never change.

    Without betas the sequence stands for its person.
    """
    if betas is None:
        return sequence
    seen: dict[tuple[str, bytes], str] = {}
    counts: dict[str, int] = {}
    for name, shape in zip(sequence.tolist(), np.asarray(betas, np.float32)):
        key = (name, shape.tobytes())
        if key not in seen:
            seen[key] = f"{name}:{counts.get(name, 0)}"
            counts[name] = counts.get(name, 0) + 1
    rows = zip(sequence.tolist(), np.asarray(betas, np.float32))
    return np.array([seen[name, shape.tobytes()] for name, shape in rows], dtype=np.str_)


def frame_fields(images: Any, betas: np.ndarray | None) -> dict[str, Any]:
    """image, sequence, subject and, where every image is numbered, frame."""
    if images is None:
        return {}
    found = frames(images)
    fields = {"image": found.image, "sequence": found.sequence}
    fields["subject"] = subjects(found.sequence, betas)
    return fields if found.frame is None else {**fields, "frame": found.frame}
