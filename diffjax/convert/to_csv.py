"""Joints and keypoints of an annotation set as CSV, one row a joint or one a person."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from diffjax import body, skeleton
from diffjax.convert import writing
from diffjax.data import records

What = Literal["joints", "keypoints3d", "keypoints2d", "labels2d"]
_CHUNK = 4096
_AXES = {
    "joints": ("x_m", "y_m", "z_m"),
    "keypoints3d": ("x_m", "y_m", "z_m", "confidence"),
    "keypoints2d": ("x_px", "y_px", "confidence"),
    "labels2d": ("x_px", "y_px", "confidence"),
}
_NAMES = ("sequence", "subject", "frame", "image")


def write_csv(
    path: str | Path,
    annotations: records.AnnotationSet,
    which: writing.Which = "estimate",
    *,
    what: What = "joints",
    body_file: str | Path | None = None,
    wide: bool = False,
    where: str = "annotations",
) -> None:
    """Writes `what` with seven digits: SMPL's 24 joints (metres, camera axes, needs a body), or what is cached.

    Joints are placed by the translation where it is known, else about the model's origin.
    """
    names, points = _points(annotations, which, what, body_file, where)
    labels = {name: getattr(annotations, name) for name in _NAMES}
    labels = {name: values.tolist() for name, values in labels.items() if values is not None}
    axes = _AXES[what]
    head = ["row", *labels]
    head += [f"{n}_{a}" for n in names for a in axes] if wide else ["joint", *axes]
    lines = _lines(list(zip(*labels.values())), names, points, wide)
    with (
        writing.whole_file(path, (".csv",)) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        csv.writer(stream).writerows(itertools.chain([head], lines))


def convert(
    source: Path,
    out: Path,
    which: writing.Which = "estimate",
    what: What = "joints",
    body: Path | None = None,
    wide: bool = False,
) -> None:
    """Writes joints or keypoints of an annotation set as CSV.

    Args:
        source: Annotation set, .npz or a folder of shards.
        out: The file to write, .csv.
        which: The joints of the estimate or of the truth.
        what: joints of the body, or a keypoint field of the set.
        body: SMPL, .pkl or .npz, for joints.
        wide: One row a person instead of one a joint.
    """
    annotations = records.read(source)
    options: dict[str, Any] = {"what": what, "body_file": body, "wide": wide}
    write_csv(out, annotations, which, where=str(source), **options)
    print(f"{out}: {what} of {records.count(annotations)} people")


def _points(
    annotations: records.AnnotationSet,
    which: writing.Which,
    what: What,
    body_file: str | Path | None,
    where: str,
) -> tuple[tuple[str, ...], np.ndarray]:
    if what != "joints":
        points, keypoint_set = getattr(annotations, what), getattr(annotations, f"{what}_set")
        if points is None:
            raise ValueError(
                f"{where}: field {what}: wanted it to write, found nothing; see --what"
            )
        return skeleton.keypoint_set(keypoint_set), points
    if body_file is None:
        raise ValueError(f"{where}: joints need a body: give --body, or --what keypoints3d")
    try:
        rotations, betas, translation = writing.chosen(annotations, which)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    joints = joints_of(body.load_body(body_file), rotations, betas)
    return skeleton.SMPL24, joints if translation is None else joints + translation[:, None]


def joints_of(model: body.BodyModel, rotations: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(N, 24, 3) metres about the model's origin, in pieces."""
    chunks = [slice(start, start + _CHUNK) for start in range(0, len(rotations), _CHUNK)]
    parts = [
        body.pose_joints(model, jnp.asarray(rotations[c]), jnp.asarray(betas[c])) for c in chunks
    ]
    return np.concatenate([np.asarray(part) for part in parts])


def _lines(
    labels: list[tuple[Any, ...]], names: tuple[str, ...], points: np.ndarray, wide: bool
) -> Iterator[tuple[Any, ...]]:
    """Rows of cells, formatted by the chunk."""
    for start in range(0, len(points), _CHUNK):
        cells = np.char.mod("%.7g", points[start : start + _CHUNK]).tolist()
        for row, person in enumerate(cells, start):
            own = (row, *(labels[row] if labels else ()))
            if wide:
                yield (*own, *itertools.chain.from_iterable(person))
            else:
                yield from ((*own, name, *joint) for name, joint in zip(names, person))
