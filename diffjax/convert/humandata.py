"""mmhuman3d's HumanData `.npz`, read without running its pickles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import delivery, humandata_fields, humandata_keypoints, parsing, row_numbers

_LENGTHS = ("__data_len__", "__temporal_len__")
_BY_ROW = (
    *("image_path", "cam_param", "bbox_xywh", "has_smpl", "person_id", "frame_id", "sequence"),
    *humandata_keypoints.KEYS,
)
_MASKS = tuple(f"{key}_mask" for key in humandata_keypoints.KEYS)
_CONVENTIONS = tuple(f"{key}_convention" for key in humandata_keypoints.KEYS)
_READ = (*_LENGTHS, *_BY_ROW, *_MASKS, *_CONVENTIONS, "smpl", "meta")


def convert(
    source: Path,
    out: Path,
    estimates: Path | None = None,
    role: delivery.Role = "truth",
    keypoint_set: str | None = None,
    smpl_only: bool = False,
) -> None:
    """Reads mmhuman3d's HumanData .npz: keypoints, SMPL, boxes, cameras.

    Args:
        source: pw3d_test.npz, mpi_inf_3dhp_test.npz, coco_2014_train.npz, ...
        out: The annotation set to write, .npz.
        estimates: An annotation set whose people get what this file knows.
        role: Whether the SMPL parameters are the truth or an estimate.
        keypoint_set: Which keypoints to take where the file fills several sets.
        smpl_only: Keep only the people whose has_smpl is 1.
    """
    fields = read_humandata(source, role, keypoint_set, smpl_only)
    delivery.deliver(out, fields, str(source), estimates)


def read_humandata(
    path: str | Path,
    role: delivery.Role = "truth",
    keypoint_set: str | None = None,
    smpl_only: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The fields of an annotation set that a HumanData file knows."""
    data = load(path)
    fields = humandata_fields.fields_of(data, keypoint_set, str(path), say, smpl_only)
    if role == "estimate" and "pose" not in fields:
        raise ValueError(
            f"{path}: field smpl: wanted SMPL parameters of every row as estimates, found rows "
            "without; give --smpl-only, or --role truth for its keypoints"
        )
    return delivery.in_role(fields, role)


def load(path: str | Path, further: tuple[str, ...] = ()) -> dict[str, Any]:
    """What is of use, by key, with `length` (N), and keypoints spread over all 190 columns.

    Both `__data_len__` and the older `__temporal_len__` are understood. Meshes (`verts`) stay unread.
    """
    data, where = unpickle.load_npz(path, (*_READ, *further)), str(path)
    data = {key: value for key, value in data.items() if value is not None}  # As mmhuman3d does.
    data["length"] = _length(data, path)
    if not isinstance(data.get("smpl", {}), dict):
        raise ValueError(
            f"{where}: field smpl: wanted a dict, found a {type(data['smpl']).__name__}; {humandata_fields.AGAIN}"
        )
    for key in humandata_keypoints.KEYS:
        if key in data:
            _check_convention(data.get(f"{key}_convention"), f"{where}: field {key}")
            mask = data.get(f"{key}_mask", np.ones(humandata_keypoints.LENGTH))
            channels = 3 if key.startswith("keypoints2d") else 4
            data[key] = humandata_keypoints.spread(
                data[key], mask, channels, f"{where}: field {key}"
            )
    for key in _BY_ROW:
        if key in data and row_numbers.count(data[key]) != data["length"]:
            raise ValueError(
                f"{where}: field {key}: wanted {data['length']} rows, found {row_numbers.count(data[key])}; "
                f"{humandata_fields.AGAIN}"
            )
    return data


def _check_convention(name: Any, where: str) -> None:
    if name is not None and parsing.text(name) != "human_data":
        raise ValueError(
            f"{where}: wanted the convention human_data, found {parsing.text(name)[:40]}; "
            "convert it with mmhuman3d's convert_kps"
        )


def _length(data: dict[str, Any], path: str | Path) -> int:
    where = str(path)
    for key in _LENGTHS:
        if key in data:
            found = data[key]
            if isinstance(found, int | np.integer) and found > 0:
                return int(found)
            raise ValueError(
                f"{where}: field {key}: wanted a count, found {found!r:.40}; {humandata_fields.AGAIN}"
            )
    found = ", ".join(sorted(unpickle.check_npz(path, objects=True))[:12]) or "nothing"
    raise ValueError(
        f"{where}: field __data_len__: wanted a HumanData file of mmhuman3d, found {found}; "
        "see docs/data.md"
    )
