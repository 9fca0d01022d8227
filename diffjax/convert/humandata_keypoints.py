"""The 190 keypoints of mmhuman3d's HUMAN_DATA, to ours and back."""

from typing import Any, NamedTuple

import numpy as np

from diffjax import skeleton

LENGTH = 190
"""Names of the HUMAN_DATA convention; older lists are shorter and ordered otherwise."""

INDICES: dict[str, tuple[int, ...]] = {
    "openpose25": tuple(range(153, 178)),
    "smpl24": (*range(22), 188, 189),
    "openpose18": (55, 146, 17, 19, 21, 16, 18, 20, 144, 5, 8, 145, 4, 7, 56, 57, 58, 59),
    "mpii3d17": (147, 146, 17, 19, 21, 16, 18, 20, 144, 5, 8, 145, 4, 7, 148, 150, 152),
    "h36m17": (148, 145, 4, 7, 144, 5, 8, 150, 146, 152, 147, 16, 18, 20, 17, 19, 21),
    "coco17": (55, 57, 56, 59, 58, 16, 17, 18, 19, 20, 21, 145, 144, 4, 5, 7, 8),
    "lsp14": (8, 5, 144, 145, 4, 7, 21, 19, 17, 16, 18, 20, 146, 147),
    "h36m14": (8, 5, 144, 145, 4, 7, 21, 19, 17, 16, 18, 20, 146, 147),
}
"""Place of each keypoint of our sets among the 190 names; the larger set is preferred."""

KEYS = tuple(
    f"{key}{origin}"
    for key in ("keypoints2d", "keypoints3d")
    for origin in ("", "_original", "_smpl", "_smplx", "_gta")
)
"""Newer files have several keypoints: as annotated, or of a fitted body."""


class Keypoints(NamedTuple):
    """Keypoints of one of our sets."""

    values: np.ndarray
    """(N, K, 3) x, y, confidence or (N, K, 4) x, y, z, confidence."""
    name: str


def spread(values: Any, mask: Any, channels: int, where: str) -> np.ndarray:
    """(N, 190, channels) from all columns, or the mask's alone, as compressed files have them.

    The last number is the confidence; where it is 0, so are the coordinates.
    """
    mask = _mask(mask, where)
    try:
        with np.errstate(over="ignore"):  # Infinity is refused with the set.
            values = np.asarray(values).astype(np.float32, casting="same_kind")
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{where}: wanted numbers, found {error}; make the file again") from error
    present = np.flatnonzero(mask)
    fits = values.ndim == 3 and values.shape[2] == channels
    if not fits or values.shape[1] not in (len(present), LENGTH):
        raise ValueError(
            f"{where}: wanted (N, {len(present)} or {LENGTH}, {channels}), found {values.shape}; "
            "values and mask are of different files"
        )
    out = np.zeros((len(values), LENGTH, channels), np.float32)
    out[:, present] = values if values.shape[1] == len(present) else values[:, present]
    return np.where(out[..., -1:] == 0, np.float32(0), out)


def _mask(mask: Any, where: str) -> np.ndarray:
    found = np.asarray(mask)
    if found.shape != (LENGTH,):
        raise ValueError(
            f"{where}: wanted a mask of {LENGTH} keypoints, found {found.shape}; "
            "an older HUMAN_DATA list, make the file again with mmhuman3d 0.4 or newer"
        )
    if found.dtype.kind not in "biuf" or not np.isin(found, (0, 1)).all():
        raise ValueError(f"{where}: wanted a mask of 0 and 1, found others; make the file again")
    return found.astype(bool)


def select(data: dict[str, Any], key: str, name: str | None, where: str) -> Keypoints | None:
    """data[key] as set `name`, or as the largest set that the file fills; None where it fills none."""
    if key not in data:
        return None
    mask = np.asarray(data.get(f"{key}_mask", np.ones(LENGTH)))
    filled = [known for known, index in INDICES.items() if mask[list(index)].all()]
    if name is not None:
        skeleton.keypoint_set(name)
    # The same joints twice: 14 labels in an image, 14 joints of the 3DPW protocol in space.
    other = "lsp14" if key.startswith("keypoints3d") else "h36m14"
    default = next((known for known in filled if known != other), None)
    if name is None and default is None:
        return None
    if name is not None and name not in filled:
        raise ValueError(
            f"{where}: field {key}: wanted {name}, "
            f"found {', '.join(filled) or 'no complete one'}; name one that it has"
        )
    chosen = str(name or default)
    return Keypoints(np.asarray(data[key])[:, list(INDICES[chosen])], chosen)


def scatter(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(N, 190, C) and the mask (190,) of keypoints of one of `INDICES`."""
    out = np.zeros((len(values), LENGTH, values.shape[-1]), np.float32)
    mask = np.zeros(LENGTH, np.uint8)
    out[:, list(INDICES[name])], mask[list(INDICES[name])] = values, 1
    return out, mask
