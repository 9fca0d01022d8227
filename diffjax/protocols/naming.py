"""What the name of a sequence tells of Human3.6M: S9/Walking 1/54138969, or S9_Walking_1.54138969."""

import re
from typing import NamedTuple

import numpy as np

_NAME = re.compile(
    r"(?P<subject>S\d+)[/_](?P<action>[A-Za-z]+)(?P<trial>[ _]\d)?(?:[/._](?P<camera>\d{8}))?"
)


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
