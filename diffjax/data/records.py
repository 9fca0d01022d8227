"""Annotation sets on disk: cached estimates with what is known beside them.

One `.npz` without pickle, or a directory of such shards. Everything is checked at this door, on the
way in and on the way out; inside, the arrays are trusted.
"""

import dataclasses
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from diffjax import unpickle
from diffjax.data import checks


@dataclasses.dataclass(frozen=True)
class AnnotationSet:
    """N people, one a row, named as on disk. Fields that are None are not known."""

    pred_pose: Float32[np.ndarray, "samples 24 3 3"]
    """The cached estimate: local rotations, root first, camera frame."""
    pred_betas: Float32[np.ndarray, "samples 10"]
    pred_cam_t: Float32[np.ndarray, "samples 3"] | None = None
    """Metres, camera frame, of the model origin, at `focal_px`."""
    pose: Float32[np.ndarray, "samples 24 3 3"] | None = None
    """The truth."""
    betas: Float32[np.ndarray, "samples 10"] | None = None
    """The truth, in the shape space of `gender`."""
    cam_t: Float32[np.ndarray, "samples 3"] | None = None
    keypoints2d: Float32[np.ndarray, "samples keypoints 3"] | None = None
    """x, y in pixels of the full image; confidence in [0, 1]."""
    keypoints2d_set: str | None = None
    labels2d: Float32[np.ndarray, "samples labels 3"] | None = None
    """A second, independent set of 2D keypoints (human labels beside detections)."""
    labels2d_set: str | None = None
    keypoints3d: Float32[np.ndarray, "samples joints 4"] | None = None
    """x, y, z in metres, camera axes, any origin; confidence in [0, 1]."""
    keypoints3d_set: str | None = None
    focal_px: Float32[np.ndarray, "samples 2"] | None = None
    center_px: Float32[np.ndarray, "samples 2"] | None = None
    image_size_px: Float32[np.ndarray, "samples 2"] | None = None
    """Width, height."""
    gender: Shaped[np.ndarray, " samples"] | None = None
    """'neutral', 'male' or 'female': the body of the truth."""
    sequence: Shaped[np.ndarray, " samples"] | None = None
    frame: Int64[np.ndarray, " samples"] | None = None
    subject: Shaped[np.ndarray, " samples"] | None = None
    image: Shaped[np.ndarray, " samples"] | None = None
    view: Shaped[np.ndarray, " samples"] | None = None
    """The camera's name: other views of one sequence, subject and frame are the same instant."""
    view_rotation: Float32[np.ndarray, "samples 3 3"] | None = None
    """World to camera: x_camera = view_rotation x_world + view_translation."""
    view_translation: Float32[np.ndarray, "samples 3"] | None = None
    """Metres, camera axes."""
    bbox_px: Float32[np.ndarray, "samples 4"] | None = None
    """Left, top, width, height of the person in the full image."""
    features: Float32[np.ndarray, "samples features"] | None = None


def count(annotations: AnnotationSet) -> int:
    """Number of people."""
    return len(annotations.pred_pose)


def read(path: str | Path) -> AnnotationSet:
    """The annotation set in an `.npz`, or in all shards of a directory, in the order of names."""
    path = Path(path)
    if not path.is_dir():
        return from_arrays(_load(path), str(path))
    shards = shards_of(path)
    return concatenate([read(shard) for shard in shards], [str(shard) for shard in shards])


def shards_of(directory: Path) -> list[Path]:
    """The shards of a directory in the order of names; all of them, where their names say how many."""
    shards = sorted(directory.glob("*.npz"))
    if not shards:
        raise FileNotFoundError(
            f"{directory}: wanted .npz shards in this directory, found none; {checks.CONVERT}"
        )
    wanted = {int(m[1]) for m in (re.search(r"-of-(\d+)\.npz$", s.name) for s in shards) if m}
    if len(wanted) == 1 and len(shards) < max(wanted):
        raise ValueError(
            f"{directory}: wanted {max(wanted)} shards, as their names say, found {len(shards)}; finish "
            "what writes them, or restore the others"
        )
    return shards


def shard_name(index: int, shards: int) -> str:
    """The file name of a shard, which says how many there are."""
    return f"shard-{index:05d}-of-{shards:05d}.npz"


def write(path: str | Path, annotations: AnnotationSet) -> None:
    """Checks the set, then writes it to one `.npz` that appears whole or not at all."""
    check(annotations, str(path))
    save_arrays(path, arrays_of(annotations))


def write_shards(directory: str | Path, annotations: AnnotationSet, rows: int = 8192) -> list[Path]:
    """Shards of at most `rows` people in a new directory, which appears whole or not at all."""
    directory = Path(directory)
    if directory.exists():
        raise ValueError(f"{directory}: already exists; choose a new directory, or remove it first")
    check(annotations, str(directory))
    starts = range(0, count(annotations), rows)
    names = [shard_name(i, len(starts)) for i in range(len(starts))]
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}.part")
    try:
        for name, start in zip(names, starts):
            write(temporary / name, take(annotations, slice(start, start + rows)))
        os.replace(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return [directory / name for name in names]


def save_arrays(path: str | Path, arrays: dict[str, Any]) -> None:
    """Writes an `.npz` under a temporary name and renames it: never half a file."""
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"{path}: wanted a file name ending in .npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_fields(path: str | Path) -> dict[str, Any]:
    """The fields of one `.npz` in an annotation set's layout, checked, with or without estimates."""
    arrays = _load(Path(path))
    arrays = {k: str(np.asarray(v)) if k in checks.SETS else v for k, v in arrays.items()}
    checks.check(arrays, str(path), estimate=False)
    return {name: _as_kept(name, value) for name, value in arrays.items()}


def write_fields(path: str | Path, fields: dict[str, Any]) -> None:
    """Writes fields that may lack the estimates: evidence or truth that is still to be joined to some."""
    checks.check(fields, str(path), estimate=False)
    save_arrays(path, {name: _as_kept(name, value) for name, value in fields.items()})


def take(annotations: AnnotationSet, index: Any) -> AnnotationSet:
    """The people at `index` (integers, a mask or a slice), in that order."""
    rows = {k: v for k, v in arrays_of(annotations).items() if k in checks.FIELDS}
    return dataclasses.replace(annotations, **{name: array[index] for name, array in rows.items()})


def concatenate(sets: Sequence[AnnotationSet], names: Sequence[str] | None = None) -> AnnotationSet:
    """One set of all people in order; all sets must have the same fields and keypoint sets.

    `names` says in messages which set is meant.
    """
    names = names or [f"set {i}" for i in range(len(sets))]
    if not sets:
        raise ValueError("wanted at least one annotation set to concatenate, found none")
    parts = [arrays_of(part) for part in sets]
    for name, part in zip(names, parts):
        _check_alike(parts[0], part, names[0], name)
    joined: dict[str, Any] = {
        key: np.concatenate([part[key] for part in parts])
        for key in parts[0]
        if key in checks.FIELDS
    }
    return dataclasses.replace(sets[0], **joined)


def _check_alike(first: dict[str, Any], other: dict[str, Any], first_name: str, name: str) -> None:
    different = sorted(set(first) ^ set(other))
    if different:
        raise ValueError(
            f"{name}: wanted the fields of {first_name}, found that only one of the two has "
            f"{', '.join(different)}; convert both the same way, or leave the field out of both"
        )
    for key, value in first.items():
        same = (
            value == other[key] if key in checks.SETS else value.shape[1:] == other[key].shape[1:]
        )
        if not same:
            wanted, found = (x if key in checks.SETS else x.shape[1:] for x in (value, other[key]))
            raise ValueError(
                f"{name}: field {key}: wanted {wanted} as in {first_name}, found {found}"
            )


def check(annotations: AnnotationSet, where: str) -> None:
    """ValueError (`where`, field, wanted, found, next step) unless every field is what it says."""
    checks.check(arrays_of(annotations), where)


def arrays_of(annotations: AnnotationSet) -> dict[str, Any]:
    """The fields that are known, by name."""
    fields = {
        field.name: getattr(annotations, field.name) for field in dataclasses.fields(annotations)
    }
    return {name: value for name, value in fields.items() if value is not None}


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such annotation set; {checks.CONVERT}")
    try:
        return unpickle.load_npz(path, objects=False)
    except ValueError as error:
        found = str(error).removeprefix(f"{path}: ")
        raise ValueError(
            f"{path}: wanted an .npz of plain arrays, whole and readable: {found}; copy it again if it was cut short, "
            f"or {checks.CONVERT}"
        ) from error


def from_arrays(arrays: dict[str, Any], where: str) -> AnnotationSet:
    """A checked set from fields by name; numbers become float32, frames int64.

    `where` is for messages.
    """
    arrays = {k: str(np.asarray(v)) if k in checks.SETS else v for k, v in arrays.items()}
    checks.check(arrays, where)
    return unchecked(arrays)


def unchecked(arrays: dict[str, Any]) -> AnnotationSet:
    """The set of fields that have been checked."""
    return AnnotationSet(**{name: _as_kept(name, value) for name, value in arrays.items()})


def _as_kept(name: str, value: Any) -> Any:
    if name in checks.SETS or checks.FIELDS[name].kind == "text":
        return value
    whole = checks.FIELDS[name].kind == "whole"
    return value.astype(np.int64 if whole else np.float32, copy=False)
