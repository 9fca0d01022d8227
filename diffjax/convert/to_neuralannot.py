"""Annotation sets as NeuralAnnot's json, in the layout of its MSCOCO release."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from diffjax.convert import parsing, writing
from diffjax.data import records


def write_neuralannot(
    path: str | Path,
    annotations: records.AnnotationSet,
    which: writing.Which = "estimate",
    *,
    say: Callable[[str], None] = print,
) -> None:
    """Writes {id: {"smpl_param": {pose, shape, trans}, "cam_param": {focal, princpt}}}.

    Axis-angle, camera coordinates, metres, pixels of the full image. The id is the subject's name
    where every row has its own (NeuralAnnot's annotation ids are read so), else the image's, else
    the row.
    """
    pose, betas, cam_t = writing.chosen(annotations, which)
    focal, principal = annotations.focal_px, annotations.center_px
    for name, value in (("translation", cam_t), ("focal_px", focal), ("center_px", principal)):
        if value is None:
            raise ValueError(
                f"{path}: wanted a {name}, which this format needs, found none; refine the set "
                "with a camera first, or write another format"
            )
    ids, of = _ids(annotations)
    say(f"{path}: annotation ids are {of}")
    axis_angle = writing.axis_angle(pose).reshape(len(ids), 72)
    columns = (axis_angle, betas, cam_t, focal, principal)
    rows = zip(ids, *(column.tolist() for column in columns if column is not None))
    content = {name: _person(*values) for name, *values in rows}
    orjson = parsing.needed("orjson")
    with writing.whole_file(path, (".json",)) as temporary:
        temporary.write_bytes(orjson.dumps(content))


def _person(pose: Any, shape: Any, trans: Any, focal: Any, principal: Any) -> dict[str, Any]:
    return {
        "smpl_param": {"pose": pose, "shape": shape, "trans": trans},
        "cam_param": {"focal": focal, "princpt": principal},
    }


def _ids(annotations: records.AnnotationSet) -> tuple[list[str], str]:
    """A name for every row that no other has, and what it is."""
    for kind in ("subject", "image"):
        names = getattr(annotations, kind)
        if names is not None and len(set(names.tolist())) == len(names):
            return names.tolist(), f"the names of field {kind}"
    return [str(row) for row in range(records.count(annotations))], "the rows' numbers, from 0"


def convert(source: Path, out: Path, which: writing.Which = "estimate") -> None:
    """An annotation set as NeuralAnnot's json.

    Args:
        source: The annotation set, .npz.
        out: The file to write, .json.
        which: The estimate (also a refined one), or the truth.
    """
    annotations = records.read(source)
    write_neuralannot(out, annotations, which)
    print(f"{out}: {records.count(annotations)} people")
