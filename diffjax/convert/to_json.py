"""SMPL parameters of an annotation set as JSON: one object a person, for whatever reads no NumPy."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import body as bodies
from diffjax import skeleton
from diffjax.convert import to_csv, writing
from diffjax.data import records

_NAMES = ("sequence", "subject", "view", "frame", "image", "gender")
_CAMERA = ("focal_px", "center_px", "image_size_px", "bbox_px")


def write_json(
    path: str | Path,
    annotations: records.AnnotationSet,
    which: writing.Which = "estimate",
    *,
    body_file: str | Path | None = None,
    where: str = "annotations",
) -> None:
    """An object with `joints` (names), `format` and `people`, in the order of the set.

    Of a person: global_orient (3,) and body_pose (23, 3) in axis-angle, betas (10,), cam_t (3,) where it is known,
    names, camera, and with a body `joints3d` (24, 3): metres, camera axes, placed by cam_t where it is known.
    """
    try:
        rotations, betas, translation = writing.chosen(annotations, which)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    turns = writing.axis_angle(rotations)
    columns: dict[str, Any] = {name: getattr(annotations, name) for name in (*_NAMES, *_CAMERA)}
    columns |= {"global_orient": turns[:, 0], "body_pose": turns[:, 1:]}
    columns |= {"betas": betas, "cam_t": translation}
    if body_file is not None:
        joints = to_csv.joints_of(bodies.load_body(body_file), rotations, betas)
        columns["joints3d"] = joints if translation is None else joints + translation[:, None]
    known = {name: _plain(column) for name, column in columns.items() if column is not None}
    people = [dict(zip(known, row)) for row in zip(*known.values())]
    content = {"format": "diffjax smpl 1", "joints": skeleton.SMPL24, "people": people}
    with (
        writing.whole_file(path, (".json",)) as temporary,
        temporary.open("w", encoding="utf-8") as stream,
    ):
        json.dump(content, stream, separators=(",", ":"))


def convert(
    source: Path, out: Path, which: writing.Which = "estimate", body: Path | None = None
) -> None:
    """Writes SMPL parameters, cameras and joints as JSON, one object a person.

    Args:
        source: Annotation set, .npz or a folder of shards.
        out: The file to write, .json.
        which: Whose SMPL parameters: the estimate's or the truth's.
        body: SMPL, .pkl or .npz: adds its 24 joints in metres.
    """
    annotations = records.read(source)
    write_json(out, annotations, which, body_file=body, where=str(source))
    print(f"{out}: {records.count(annotations)} people ({which})")


def _plain(column: np.ndarray) -> list[Any]:
    """Lists of Python's numbers, of seven digits."""
    if column.dtype.kind != "f":
        return column.tolist()
    exact = np.asarray(column, np.float64)
    return np.char.mod("%.7g", exact).astype(np.float64).tolist()
