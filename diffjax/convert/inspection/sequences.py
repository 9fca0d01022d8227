"""Which sequence and frame every row is of, and which frames are not there."""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np

from diffjax.convert import image_names, parsing
from diffjax.convert.inspection import roles
from diffjax.convert.inspection.verdict import Finding, count, number


def words(value: np.ndarray) -> np.ndarray:
    """Texts of an array of texts, bytes or numbers."""
    return parsing.texts(value.ravel().tolist())


def counts(found: list[roles.Part]) -> dict[str, int]:
    """Rows of each sequence, most first; by the images' folders where no field says."""
    names = _sequence_names(found)
    return {} if names is None else dict(collections.Counter(names.tolist()).most_common())


def _sequence_names(found: list[roles.Part]) -> np.ndarray | None:
    part, image = roles.one(found, "sequence"), roles.one(found, "image")
    if part is not None:
        return words(part.value)
    if image is None or image.value.dtype.kind not in "US":
        return None
    names = image_names.frames(words(image.value)).sequence
    return names if (names != "").any() else None


def _frame_numbers(found: list[roles.Part]) -> np.ndarray | None:
    part = roles.one(found, "frame")
    if part is None or part.value.dtype.kind not in "iuf":
        return None
    return np.nan_to_num(part.value.ravel()).astype(np.int64)


def frames(found: list[roles.Part], fields: Mapping[str, Any]) -> list[Finding]:
    """Steps between the frames of each sequence that are larger than the usual one."""
    names, frames = _sequence_names(found), _frame_numbers(found)
    if frames is None or len(frames) < 3:
        return _rate(fields)
    names = names if names is not None and len(names) == len(frames) else np.full(len(frames), "")
    pairs = np.unique(np.stack([np.unique(names, return_inverse=True)[1].ravel(), frames]), axis=1)
    steps = np.diff(pairs[1])[np.diff(pairs[0]) == 0]
    if not len(steps):
        return _rate(fields)
    usual = int(np.bincount(np.minimum(steps, 1000)).argmax())
    gaps = int((steps > usual).sum())
    text = f"a step of {usual} between frames, {count(gaps, 'gap')}"
    text += f" (longest {number(int(steps.max()))} frames)" if gaps else ""
    facts = {"step": usual, "gaps": gaps, "longest": int(steps.max())}
    return [
        Finding("frames", "ok" if gaps < 0.05 * len(steps) else "look", text, facts),
        *_rate(fields),
    ]


def _rate(fields: Mapping[str, Any]) -> list[Finding]:
    for name in ("mocap_framerate", "mocap_frame_rate", "frame_time"):
        value = fields.get(name)
        if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "fiu":
            rate = float(np.median(value))
            rate = 1 / rate if name == "frame_time" and rate else rate
            mark = "ok" if 5 <= rate <= 500 else "wrong"
            return [Finding("rate", mark, f"{number(rate)} frames a second", {"fps": rate})]
    return []
