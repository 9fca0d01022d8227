"""What the rows of a HumanData file say, as fields of annotation sets."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from diffjax.convert import humandata_keypoints, image_names, parsing, row_numbers

AGAIN = "make the file again"


def fields_of(
    data: dict[str, Any],
    keypoint_set: str | None,
    where: str,
    say: Callable[[str], None],
    smpl_only: bool = False,
) -> dict[str, Any]:
    """Everything that is known of the rows, named as in annotation sets; SMPL as the truth.

    Where some rows lack SMPL (has_smpl 0) it is left out of all, or with `smpl_only` they are.
    """
    rows = np.arange(data["length"])
    kept = rows[_has_smpl(data, where)] if smpl_only else rows
    whole = len(kept) == len(rows) and _has_smpl(data, where).all()
    fields: dict[str, Any] = {**cameras(data, where), **_boxes(data, where, say)}
    if whole or smpl_only:
        fields |= _smpl(data, where, say)
    elif data.get("smpl"):
        say(f"{where}: some rows have no SMPL truth (has_smpl 0), so pose and betas are left out")
    for key in ("keypoints2d", "keypoints3d"):
        stored = next((k for k in humandata_keypoints.KEYS if k.startswith(key) and k in data), key)
        found = humandata_keypoints.select(data, stored, keypoint_set, where)
        if found is None and stored in data:
            say(f"{where}: {stored} fill none of our keypoint sets and are left out")
        if found is not None:
            fields |= {key: found.values, f"{key}_set": found.name}
            if stored != key:
                say(f"{where}: {key} are the file's {stored}")
    gender = genders(data, where)
    if gender is not None:
        fields["gender"] = gender
    fields |= image_names.frame_fields(data.get("image_path"), fields.get("betas"))
    fields |= _people(data, where)
    return {name: v if name.endswith("_set") else v[kept] for name, v in fields.items()}


def _people(data: dict[str, Any], where: str) -> dict[str, Any]:
    """subject, frame and sequence of files that name them; person_id is a tracker's number."""
    fields: dict[str, Any] = {}
    for key, name in (("person_id", "subject"), ("sequence", "sequence")):
        if key in data:
            fields[name] = parsing.texts(data[key])
    if "frame_id" in data:
        numbers = row_numbers.exact(data["frame_id"], "frame_id", (), where)
        if (numbers != np.round(numbers)).any() or (np.abs(numbers) > 1e9).any():
            raise ValueError(f"{where}: field frame_id: wanted whole numbers; {AGAIN}")
        fields["frame"] = numbers.astype(np.int64)
    return fields


def _has_smpl(data: dict[str, Any], where: str) -> np.ndarray:
    """(N,) of each row; all of them where the file does not say."""
    if "has_smpl" not in data:
        return np.full(data["length"], bool(data.get("smpl")))
    return row_numbers.array(data["has_smpl"], "has_smpl", (), where) > 0


def _smpl(data: dict[str, Any], where: str, say: Callable[[str], None]) -> dict[str, Any]:
    """pose, betas and cam_t of the `smpl` dict, by name: its order of insertion means nothing."""
    stored, rows = data.get("smpl"), data["length"]
    if not stored:
        return {}
    parts = {}
    for name, size in (("global_orient", 3), ("body_pose", 69)):
        value = parsing.field(stored, name, f"{where}: field smpl", f"{rows} rows of {size}")
        parts[name] = row_numbers.flat(value, f"smpl.{name}", where, rows)
        if parts[name].shape[1] != size:
            raise ValueError(
                f"{where}: field smpl.{name}: wanted {rows} rows of {size} numbers, "
                f"found {parts[name].shape[1]}; {AGAIN}"
            )
    pose = np.concatenate([parts["global_orient"], parts["body_pose"]], -1)
    betas = parsing.field(stored, "betas", f"{where}: field smpl", f"{rows} rows of 10")
    fields = {
        "pose": row_numbers.rotations(pose, "smpl", where, rows),
        "betas": row_numbers.shapes(betas, "smpl.betas", where, rows, say),
    }
    return fields | _translation(stored, rows, where, say)


def _translation(
    stored: dict[str, Any], rows: int, where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    if stored.get("transl") is None:
        return {}
    places = row_numbers.array(stored["transl"], "smpl.transl", (3,), where)
    if len(places) != rows or not (places[:, 2] > 0).all():
        say(f"{where}: transl is not in front of a camera in every row, so it is left out")
        return {}
    return {"cam_t": places}


def _boxes(data: dict[str, Any], where: str, say: Callable[[str], None]) -> dict[str, Any]:
    if "bbox_xywh" not in data:
        return {}
    boxes = row_numbers.array(data["bbox_xywh"], "bbox_xywh", (None,), where)[:, :4]
    if boxes.shape[1] < 4 or not (boxes[:, 2:] > 0).all():
        say(f"{where}: some rows have no bbox_xywh, so bbox_px is left out")
        return {}
    say(f"{where}: bbox_px is mmhuman3d's box, which its converters had enlarged by 1.2")
    return {"bbox_px": boxes}


def genders(data: dict[str, Any], where: str) -> np.ndarray | None:
    """'male', 'female' or 'neutral' for every row."""
    meta = data.get("meta")
    stored = meta.get("gender") if isinstance(meta, dict) else None
    if stored is None:
        return None
    if row_numbers.count(stored) != data["length"]:
        raise ValueError(
            f"{where}: field meta.gender: wanted m or f in {data['length']} rows, "
            f"found {row_numbers.count(stored)}; {AGAIN}"
        )
    return np.array([parsing.gender(word, f"{where}: field meta") for word in stored], np.str_)


def cameras(data: dict[str, Any], where: str) -> dict[str, np.ndarray]:
    """`focal_px`, `center_px` and `image_size_px` (N, 2) from `cam_param`; empty without it."""
    if "cam_param" not in data:
        return {}
    rows = data["length"]
    matrix = _of_cameras(data, ("in_mat", "intrinsic"), where)
    if matrix.shape[1] not in (9, 16):
        raise ValueError(
            f"{where}: field cam_param: wanted in_mat of 3 x 3 or 4 x 4 in every row, "
            f"found {matrix.shape[1]} numbers; {AGAIN}"
        )
    matrix = matrix.reshape(rows, *2 * (math.isqrt(matrix.shape[1]),))
    sizes = [_of_cameras(data, names, where) for names in (("W", "width"), ("H", "height"))]
    return {
        "focal_px": np.stack([matrix[:, 0, 0], matrix[:, 1, 1]], -1),
        "center_px": matrix[:, :2, 2],
        "image_size_px": np.concatenate(sizes, -1),
    }


def _of_cameras(data: dict[str, Any], names: tuple[str, str], where: str) -> np.ndarray:
    """(N, numbers) of the key of `cam_param` that has one of two names."""
    try:
        found = [_either(row, *names) for row in data["cam_param"]]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(
            f"{where}: field cam_param: wanted in_mat (3, 3), H and W in every row, "
            f"found {error}; {AGAIN}"
        ) from error
    return row_numbers.flat(found, f"cam_param.{names[0]}", where, data["length"])


def _either(row: dict[str, Any], *names: str) -> Any:
    for name in names:
        if name in row:
            return row[name]
    raise KeyError(f"no {' or '.join(names)}")
