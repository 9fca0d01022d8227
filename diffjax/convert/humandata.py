"""mmhuman3d's HumanData `.npz`, read without running its pickles."""

import re
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from diffjax import skeleton, unpickle

_LENGTH = 190  # Names of the HUMAN_DATA convention; older lists are shorter and ordered otherwise.
_INDICES: dict[str, tuple[int, ...]] = {
    "openpose25": tuple(range(153, 178)),
    "smpl24": (*range(22), 188, 189),
    "openpose18": (55, 146, 17, 19, 21, 16, 18, 20, 144, 5, 8, 145, 4, 7, 56, 57, 58, 59),
    "mpii3d17": (147, 146, 17, 19, 21, 16, 18, 20, 144, 5, 8, 145, 4, 7, 148, 150, 152),
    "h36m17": (148, 145, 4, 7, 144, 5, 8, 150, 146, 152, 147, 16, 18, 20, 17, 19, 21),
    "coco17": (55, 57, 56, 59, 58, 16, 17, 18, 19, 20, 21, 145, 144, 4, 5, 7, 8),
    "lsp14": (8, 5, 144, 145, 4, 7, 21, 19, 17, 16, 18, 20, 146, 147),
}
"""Place of each keypoint of our sets among the 190 names; the larger set is preferred."""

_FOLDERS = ("imageFiles", "imageSequence", "images")


class Keypoints(NamedTuple):
    """Keypoints of one of our sets."""

    values: np.ndarray
    """(N, K, 3) x, y, confidence or (N, K, 4) x, y, z, confidence."""
    name: str


class Frames(NamedTuple):
    """Where each row comes from."""

    image: np.ndarray
    sequence: np.ndarray
    frame: np.ndarray | None
    """Number in the image's name; None where some image has none."""


def read_human_data(path: str | Path) -> dict[str, Any]:
    """The content by key, with `length` (N), and keypoints spread over all 190 columns.

    Both `__data_len__` and the older `__temporal_len__` are understood.
    """
    data = unpickle.load_npz(path)
    where = str(path)
    data["length"] = _length(data, where)
    for key in [key for key in data if "keypoints" in key and f"{key}_mask" in data]:
        data[key] = _spread(
            np.asarray(data[key]), np.asarray(data[f"{key}_mask"]), f"{where}: field {key}"
        )
    for key in ("image_path", "keypoints2d", "keypoints3d", "cam_param"):
        if key in data and len(data[key]) != data["length"]:
            raise ValueError(
                f"{where}: field {key}: wanted {data['length']} rows, found {len(data[key])}; "
                "make the file again"
            )
    return data


def _length(data: dict[str, Any], where: str) -> int:
    for key in ("__data_len__", "__temporal_len__"):
        if key in data:
            return int(data[key])
    raise ValueError(
        f"{where}: field __data_len__: wanted a HumanData file of mmhuman3d, "
        f"found {', '.join(sorted(data)[:12])}; see docs/data.md"
    )


def _spread(values: np.ndarray, mask: np.ndarray, where: str) -> np.ndarray:
    """Compressed files keep only the columns whose mask is 1."""
    if mask.shape != (_LENGTH,):
        raise ValueError(
            f"{where}: wanted a mask of {_LENGTH} keypoints, found {mask.shape}; "
            "an older HUMAN_DATA list, make the file again with mmhuman3d 0.4 or newer"
        )
    present = np.flatnonzero(mask)
    if values.ndim != 3 or values.shape[1] not in (len(present), _LENGTH):
        raise ValueError(
            f"{where}: wanted (N, {len(present)} or {_LENGTH}, 3 or 4), found {values.shape}; "
            "values and mask are of different files"
        )
    out = np.zeros((len(values), _LENGTH, values.shape[2]), np.float32)
    out[:, present] = values if values.shape[1] == len(present) else values[:, present]
    return out


def keypoints(data: dict[str, Any], key: str, name: str | None, where: str) -> Keypoints | None:
    """`keypoints2d` or `keypoints3d` as set `name`, or the largest set that the file fills."""
    if key not in data:
        return None
    mask = np.asarray(data.get(f"{key}_mask", np.ones(_LENGTH)))
    filled = [known for known, index in _INDICES.items() if mask[list(index)].all()]
    if name is not None:
        skeleton.keypoint_set(name)
    if not filled or (name is not None and name not in filled):
        raise ValueError(
            f"{where}: field {key}: wanted {name or 'a known keypoint set'}, "
            f"found {', '.join(filled) or 'no complete one'}; name one that it has"
        )
    chosen = name or filled[0]
    return Keypoints(np.asarray(data[key])[:, list(_INDICES[chosen])], chosen)


def frames(images: Any) -> Frames:
    """Image, sequence (its folder) and frame number of every row.

    3DPW numbers images by their place in the sequence, MPI-INF-3DHP from 1.
    """
    paths = [PurePosixPath(_text(image).replace("\\", "/")) for image in images]
    folders = [[part for part in path.parts[:-1] if part not in _FOLDERS] for path in paths]
    numbers = [re.findall(r"\d+", path.stem) for path in paths]
    return Frames(
        image=np.array([str(path) for path in paths], dtype=np.str_),
        sequence=np.array([folder[-1] if folder else "" for folder in folders], dtype=np.str_),
        frame=np.array([int(found[-1]) for found in numbers]) if all(numbers) else None,
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


def genders(data: dict[str, Any], where: str) -> np.ndarray | None:
    """'male', 'female' or 'neutral' for every row."""
    stored = (data.get("meta") or {}).get("gender")
    if stored is None:
        return None
    names = {"m": "male", "f": "female", "n": "neutral"}
    words = [_text(word).lower() for word in np.asarray(stored).ravel().tolist()]
    words = [names.get(word, word) for word in words]
    if len(words) != data["length"] or set(words) - set(names.values()):
        raise ValueError(
            f"{where}: field meta.gender: wanted m or f in {data['length']} rows, "
            f"found {len(words)} rows of {sorted(set(words))[:5]}; make the file again"
        )
    return np.array(words, dtype=np.str_)


def cameras(data: dict[str, Any], where: str) -> dict[str, np.ndarray]:
    """`focal_px`, `center_px` and `image_size_px` (N, 2) from `cam_param`; empty without it."""
    if not len(data.get("cam_param", ())):
        return {}
    try:
        matrix = np.array([_either(row, "in_mat", "intrinsic") for row in data["cam_param"]], float)
        width, height = (
            np.array([_either(row, short, long) for row in data["cam_param"]], float)
            for short, long in (("W", "width"), ("H", "height"))
        )
        focal = np.stack([matrix[:, 0, 0], matrix[:, 1, 1]], -1)
        return {
            "focal_px": focal,
            "center_px": matrix[:, :2, 2],
            "image_size_px": np.stack([width, height], -1),
        }
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: field cam_param: wanted in_mat (3, 3), H and W in every row, "
            f"found {error}; make the file again"
        ) from error


def _either(row: dict[str, Any], *names: str) -> Any:
    for name in names:
        if name in row:
            return row[name]
    raise KeyError(f"no {' or '.join(names)}")


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
