"""Posed bodies of an annotation set as OBJ, PLY or glTF (through trimesh): one file a person."""

from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np

from diffjax import body
from diffjax.convert import parsing, writing
from diffjax.data import records

Kind = Literal["obj", "ply", "glb"]
_CHUNK = 64
_UP = np.array([1.0, -1.0, -1.0])


def write_meshes(
    path: str | Path,
    annotations: records.AnnotationSet,
    body_file: str | Path,
    which: writing.Which = "estimate",
    *,
    rows: np.ndarray | None = None,
    kind: Kind = "obj",
    up: Literal["camera", "y"] = "camera",
    where: str = "annotations",
) -> list[Path]:
    """Writes people `rows` (all without it) to files of the new folder `path`, or the only one to `path`.

    Metres, placed by the translation where it is known. `camera` is x right, y down, z ahead, as the set;
    `y` is y up, z back, as glTF viewers want it.
    """
    path = Path(path)
    try:
        chosen = writing.chosen(annotations, which)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    rows = np.arange(records.count(annotations)) if rows is None else rows
    model, faces = body.load_body(body_file), body.load_faces(body_file)
    if path.suffix.lower() in (".obj", ".ply", ".glb"):
        if len(rows) != 1:
            raise ValueError(f"{path}: wanted a folder for {len(rows)} people, got a file name")
        with writing.whole_file(path) as temporary:
            _write(temporary, _vertices(model, chosen, rows, up)[0], faces)
        return [path]
    names = [f"{name}.{kind}" for name in _names(annotations, rows)]
    with writing.whole_folder(path) as folder:
        for start in range(0, len(rows), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            # The last chunk is filled up with its last person: one size is compiled once.
            picked = np.pad(
                rows[chunk], (0, max(0, min(_CHUNK, len(rows)) - len(rows[chunk]))), "edge"
            )
            for name, vertices in zip(names[chunk], _vertices(model, chosen, picked, up)):
                _write(folder / name, vertices, faces)
    return [path / name for name in names]


def convert(
    source: Path,
    out: Path,
    body: Path,
    which: writing.Which = "estimate",
    rows: str = ":",
    kind: Kind = "obj",
    up: Literal["camera", "y"] = "camera",
) -> None:
    """Writes posed bodies of an annotation set as meshes (OBJ, PLY, glTF).

    Args:
        source: Annotation set, .npz or a folder of shards.
        out: New folder for a file a person; or a name ending in .obj, .ply or .glb, for one person.
        body: SMPL, .pkl or .npz, of the gender that the parameters are for.
        which: The estimate or the truth.
        rows: Which people, by row: 7, or 0:100, or 0:100:10, or several of these with commas.
        kind: What to write into a folder.
        up: camera leaves the axes (y down); y turns that axis up.
    """
    annotations = records.read(source)
    index = rows_of(rows, records.count(annotations))
    if which == "truth" and annotations.gender is not None:
        genders = ", ".join(sorted(set(annotations.gender[index].tolist())))
        print(f"{source}: the truth is of {genders} bodies; all are posed with {body}")
    files = write_meshes(
        out, annotations, body, which, rows=index, kind=kind, up=up, where=str(source)
    )
    print(f"{out}: {len(files)} meshes")


def rows_of(text: str, count: int) -> np.ndarray:
    """Row numbers of 7, 0:100, 0:100:10 and comma-separated lists of them."""
    try:
        parts = [[int(p) if p else None for p in part.split(":")] for part in text.split(",")]
        picked = [
            np.arange(count)[slice(*p)] if len(p) > 1 else np.array([range(count)[p[0]]])  # type: ignore[index]
            for p in parts
        ]
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"--rows: wanted rows of {count} people such as 7 or 0:100:10, got {text[:80]!r}"
        ) from error
    rows = np.unique(np.concatenate(picked))
    if not len(rows):
        raise ValueError(f"--rows: wanted at least one of {count} people, got {text[:80]!r}")
    return rows


def _names(annotations: records.AnnotationSet, rows: np.ndarray) -> list[str]:
    """Row number first: it makes every name its own, and sorts."""
    known = [
        x for x in (annotations.sequence, annotations.subject, annotations.frame) if x is not None
    ]
    width = len(str(records.count(annotations) - 1))
    return [
        "_".join([f"{row:0{width}d}", *(writing.safe_name(str(x[row])) for x in known)])
        for row in rows.tolist()
    ]


def _vertices(
    model: body.BodyModel,
    chosen: tuple[np.ndarray, np.ndarray, np.ndarray | None],
    rows: np.ndarray,
    up: str,
) -> np.ndarray:
    rotations, betas, translation = (None if x is None else jnp.asarray(x[rows]) for x in chosen)
    assert rotations is not None
    assert betas is not None
    vertices = np.asarray(body.pose_body(model, rotations, betas, translation).vertices)
    return vertices * _UP.astype(np.float32) if up == "y" else vertices


def _write(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    trimesh = parsing.needed("trimesh")
    # process=True would merge and reorder vertices, which everybody counts on.
    trimesh.Trimesh(vertices, faces, process=False).export(path, file_type=path.suffix[1:].lower())
