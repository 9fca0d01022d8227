"""Rows of one file in the order of another: matched by image, then by person.

3DPW converted on two machines has two row orders, and what is joined by row must follow one of them.
"""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from diffjax import unpickle
from diffjax.convert import parsing, rows

_IMAGES = ("image_path", "imgname", "image")  # HumanData; SPIN and HMR2; annotation sets.
_FOLDERS = {"imageFiles", "imageSequence", "imageFrames", "images"}  # Some programs leave them out.
_MOST = 64  # People in one image.
_SAME = 0.02
"""Largest difference of betas and of rotation entries between two copies of one truth."""


class _Truth(NamedTuple):
    """What tells two people of one image apart; the root depends on the camera and is left out."""

    pose: np.ndarray
    """(N, 23, 3, 3)"""
    betas: np.ndarray


@np.errstate(all="ignore")
def order_like(
    fields: dict[str, Any],
    path: str | Path,
    where: str,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """`fields` with the rows of the file at `path`, in its order; refuses where one cannot be found.

    HumanData, SPIN, HMR2 and annotation-set `.npz` are understood. Where both have a truth, it tells the
    people of an image apart; elsewhere their order does.
    """
    if "image" not in fields:
        raise ValueError(f"{where}: field image: wanted image names to order by, found none")
    stored = unpickle.load_npz(path)
    images = _images(stored, str(path))
    mine, theirs = _keys(fields["image"].tolist(), images, where, str(path))
    candidates = _candidates(mine, theirs, where)
    truth = _truth_in(stored, len(images), str(path))
    if truth is not None and "pose" in fields:
        own = _Truth(np.asarray(fields["pose"])[:, 1:], np.asarray(fields["betas"]))
        chosen = _nearest(own, truth, candidates)
    else:
        chosen = _by_occurrence(mine, theirs, candidates)
        several = len(theirs) - len(set(theirs))
        if several:
            say(
                f"{path}: {several} rows share an image with another and are matched by their order"
            )
    _check_all(chosen, candidates, where, str(path))
    say(f"{where}: {len(chosen)} of {len(mine)} rows, in the order of {path}")
    return rows.take(fields, chosen)


def _images(stored: dict[str, Any], where: str) -> list[str]:
    for name in _IMAGES:
        if isinstance(stored.get(name), np.ndarray | list | tuple) and len(stored[name]):
            return [parsing.text(value) for value in stored[name]]
    raise ValueError(
        f"{where}: field image: wanted {', '.join(_IMAGES)}, found {', '.join(sorted(stored)[:12])}; "
        "give HumanData, a SPIN file or an annotation set"
    )


def _keys(
    mine: list[str], theirs: list[str], where: str, other: str
) -> tuple[list[Any], list[Any]]:
    """The tails of the paths, as long as both files tell them."""
    parts = [[_parts(image) for image in images] for images in (mine, theirs)]
    depth = min(len(part) for images in parts for part in images)
    if depth < 2:
        raise ValueError(
            f"{other}: field image: wanted folder and file, as in {mine[0]} of {where}, found "
            f"{min(theirs, key=len)!r}; file names alone are not unique"
        )
    first, second = ([part[-depth:] for part in images] for images in parts)
    return first, second


def _parts(image: str) -> tuple[str, ...]:
    path = PurePosixPath(image.replace("\\", "/"))
    return tuple(part for part in path.parts if part not in _FOLDERS)


def _candidates(mine: list[Any], theirs: list[Any], where: str) -> np.ndarray:
    """(their rows, most people of an image) my rows with the same image, in order; -1 beyond them."""
    people: dict[Any, list[int]] = {}
    for row, key in enumerate(mine):
        people.setdefault(key, []).append(row)
    most = max(map(len, people.values()))
    if most > _MOST:
        raise ValueError(
            f"{where}: field image: wanted at most {_MOST} people in one, found {most}"
        )
    return np.array([(people.get(key, []) + [-1] * most)[:most] for key in theirs])


def _by_occurrence(mine: list[Any], theirs: list[Any], candidates: np.ndarray) -> np.ndarray:
    """The k-th of an image is the k-th there too, where both files have as many of it; else -1."""
    seen: dict[Any, int] = {}
    places = []
    for key in theirs:
        places.append(seen.get(key, 0))
        seen[key] = places[-1] + 1
    alike = (candidates >= 0).sum(1) == [seen[key] for key in theirs]
    place = np.minimum(places, candidates.shape[1] - 1)
    return np.where(alike, candidates[np.arange(len(theirs)), place], -1)


def _nearest(own: _Truth, truth: _Truth, candidates: np.ndarray) -> np.ndarray:
    """The candidate whose truth is the same; -1 where none is."""
    far = np.full(candidates.shape, np.inf)
    for place, index in enumerate(candidates.T):
        at = np.maximum(index, 0)
        pose = np.abs(own.pose[at] - truth.pose).max((1, 2, 3))
        betas = np.abs(own.betas[at] - truth.betas).max(1)
        far[:, place] = np.where(index >= 0, np.maximum(pose, betas), np.inf)
    best = far.argmin(1)
    every = np.arange(len(far))
    return np.where(far[every, best] < _SAME, candidates[every, best], -1)


def _truth_in(stored: dict[str, Any], count: int, where: str) -> _Truth | None:
    """The true parameters of a file, in any of the four layouts."""
    smpl = stored.get("smpl")
    if isinstance(smpl, dict) and {"body_pose", "betas"} <= set(smpl):
        body_pose = rows.numbers(_flat(smpl["body_pose"]), "body_pose", (69,), where, count)
        return _from_axis_angle(body_pose, smpl["betas"], where, count)
    if {"pose", "betas"} <= set(stored):
        pose = rows.numbers(stored["pose"], "pose", (24, 3, 3), where, count)
        return _Truth(pose[:, 1:], rows.numbers(stored["betas"], "betas", (10,), where, count))
    for pose, betas in (("pose", "shape"), ("body_pose", "betas")):
        if {pose, betas} <= set(stored):
            axis = rows.numbers(_flat(stored[pose]), pose, (72,), where, count)[:, 3:]
            return _from_axis_angle(axis, stored[betas], where, count)
    return None


def _flat(values: Any) -> Any:
    deep = isinstance(values, np.ndarray) and values.ndim > 2
    return values.reshape(len(values), -1) if deep else values


def _from_axis_angle(body_pose: np.ndarray, betas: Any, where: str, count: int) -> _Truth:
    whole = np.concatenate([np.zeros((count, 3), np.float32), body_pose], -1)
    pose = parsing.rotation_matrices(whole, f"{where}: body pose")
    shapes = rows.numbers(betas, "betas", (None,), where, count)
    if shapes.shape[1] < 10:
        raise ValueError(f"{where}: field betas: wanted 10 or more, found {shapes.shape[1]}")
    return _Truth(pose[:, 1:], shapes[:, :10])


def _check_all(chosen: np.ndarray, candidates: np.ndarray, where: str, other: str) -> None:
    missing = (candidates < 0).all(1)
    lost = (chosen < 0) & ~missing
    kept = chosen[chosen >= 0]
    double = len(kept) - len(np.unique(kept))
    if missing.any() or lost.any() or double:
        raise ValueError(
            f"{other}: {missing.sum()} of {len(chosen)} rows are of images that {where} lacks (first row "
            f"{int(missing.argmax())}), {lost.sum()} find nobody in their image, {double} the same person "
            "as another; is it the same split, with the same rows dropped?"
        )
