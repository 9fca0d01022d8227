"""What the name of a sequence tells: Human3.6M's S9/Walking 1/54138969 or S9_Walking_1.54138969, MPI-INF-3DHP's TS1."""

import re
from typing import NamedTuple

import numpy as np

_NAME = re.compile(
    r"(?P<subject>S\d+)[/_](?P<action>[A-Za-z]+)(?P<trial>[ _]\d)?(?:[/._](?P<camera>\d{8}))?"
)

_SCENES = {
    "1": "green screen (TS1, TS2)",
    "2": "green screen (TS1, TS2)",
    "3": "no green screen (TS3, TS4)",
    "4": "no green screen (TS3, TS4)",
    "5": "outdoors (TS5, TS6)",
    "6": "outdoors (TS5, TS6)",
}
"""Of the test set, as Mehta et al. 2017 list them."""


class Recording(NamedTuple):
    """Columns of text, one a row; '' where the name does not tell."""

    subject: np.ndarray
    action: np.ndarray
    trial: np.ndarray
    """Subject, action and number: what all cameras see at once."""
    camera: np.ndarray


def recordings(sequence: np.ndarray | None, count: int) -> Recording:
    """Of every row."""
    if sequence is None:
        return Recording(*np.full((4, count), ""))
    names, place = np.unique(sequence.astype(str), return_inverse=True)
    return Recording(*np.array([_parts(name) for name in names.tolist()]).T[:, place])


def _parts(name: str) -> tuple[str, str, str, str]:
    found = _NAME.search(name)
    if found is None:
        return "", "", "", ""
    subject, action = found["subject"], found["action"]
    trial = f"{subject} {action} {(found['trial'] or ' ')[1:]}".strip()
    return subject, action, trial, found["camera"] or ""


def scenes(sequence: np.ndarray) -> np.ndarray:
    """(N,) the scene that each of MPI-INF-3DHP's test sequences is in; '' for others."""
    names, place = np.unique(sequence.astype(str), return_inverse=True)
    found = [re.fullmatch(r"TS([1-6])", name) for name in names.tolist()]
    return np.array([_SCENES[match[1]] if match else "" for match in found])[place]
