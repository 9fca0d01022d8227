"""Annotation sets as mmhuman3d's HumanData `.npz`."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import humandata_keypoints, writing
from diffjax.data import records

_LETTERS = {"male": "m", "female": "f", "neutral": "n"}


def convert(source: Path, out: Path, which: writing.Which = "estimate") -> None:
    """Writes an annotation set as mmhuman3d's HumanData .npz.

    Args:
        source: An annotation set, .npz or a folder of shards.
        out: The HumanData file to write, .npz.
        which: Whose SMPL parameters: the estimate's or the truth's.
    """
    write_humandata(out, records.read(source), which)


def write_humandata(
    path: str | Path,
    annotations: records.AnnotationSet,
    which: writing.Which = "estimate",
    say: Callable[[str], None] = print,
) -> None:
    """SMPL as axis-angle, keypoints in the 190 columns (compressed), boxes, cameras.

    Reads back with the command humandata, --role estimate where it is one.
    """
    pose, betas, place = writing.chosen(annotations, which)
    rows = len(pose)
    axis = writing.axis_angle(pose)
    smpl = {"global_orient": axis[:, 0], "body_pose": axis[:, 1:], "betas": betas}
    if place is not None:
        smpl["transl"] = place
    content: dict[str, Any] = {
        "__key_strict__": False,
        "__data_len__": rows,
        "__keypoints_compressed__": True,
        "config": "diffjax",
        "smpl": smpl,
        **_keypoints(annotations, str(path), say),
        **_identity(annotations),
    }
    letters = gender_letters(annotations, which, str(path), say)
    if letters:
        content["meta"] = {"gender": letters}
    if annotations.bbox_px is not None:
        content["bbox_xywh"] = np.concatenate([annotations.bbox_px, np.ones((rows, 1))], -1)
    else:
        say(f"{path}: written without bbox_xywh, which mmhuman3d needs to crop images")
    cameras = _cameras(annotations)
    if cameras is not None:
        content["cam_param"] = cameras
    _save(path, content)
    say(f"{path}: {rows} people ({which})")


def gender_letters(
    annotations: records.AnnotationSet, which: writing.Which, where: str, say: Callable[[str], None]
) -> list[str]:
    """m, f or n of every row; empty for neutral bodies, as every estimate's is.

    mmhuman3d and SPIN take whatever is not m for a woman, so neutral people are told by no gender at all.
    """
    if which == "estimate" or annotations.gender is None:
        return []
    found = [_LETTERS[gender] for gender in annotations.gender.tolist()]
    if "n" in found and set(found) != {"n"}:
        say(f"{where}: mmhuman3d and SPIN will take neutral people (n) for female")
    return [] if set(found) == {"n"} else found


def _keypoints(
    annotations: records.AnnotationSet, where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key in ("keypoints2d", "keypoints3d"):
        values, name = getattr(annotations, key), getattr(annotations, f"{key}_set")
        if values is None:
            continue
        if name not in humandata_keypoints.INDICES:
            say(f"{where}: HUMAN_DATA has no names for {name}, so {key} is left out")
            continue
        full, mask = humandata_keypoints.scatter(values, name)
        content |= {key: full[:, mask == 1], f"{key}_mask": mask}
        content[f"{key}_convention"] = "human_data"
    return content


def _identity(annotations: records.AnnotationSet) -> dict[str, Any]:
    """Images, and under keys of our own choice what else tells people apart."""
    found = {
        "image_path": annotations.image,
        "sequence": annotations.sequence,
        "person_id": annotations.subject,
        "frame_id": annotations.frame,
    }
    return {key: value for key, value in found.items() if value is not None}


def _cameras(annotations: records.AnnotationSet) -> np.ndarray | None:
    """One dict a row, as mmhuman3d's converter of 3DPW writes them."""
    focal, center, size = annotations.focal_px, annotations.center_px, annotations.image_size_px
    if focal is None or center is None or size is None:
        return None
    out = np.empty(len(focal), object)
    numbers = zip(focal.tolist(), center.tolist(), size.tolist())
    for row, ((fx, fy), (cx, cy), (width, height)) in enumerate(numbers):
        matrix = [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]
        out[row] = {"in_mat": matrix, "W": int(width), "H": int(height), "convention": "opencv"}
    return out


def _save(path: str | Path, content: dict[str, Any]) -> None:
    """As np.savez_compressed, with pickles that every NumPy reads."""
    with (
        writing.whole_file(path, (".npz",)) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, value in content.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(_npy(value))


def _npy(value: Any) -> bytes:
    array, stream = np.asarray(value), io.BytesIO()
    if array.dtype != object:
        np.lib.format.write_array(stream, array, allow_pickle=False)
        return stream.getvalue()
    header = {"descr": "|O", "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    # NumPy 2 names its own module differently; mmhuman3d's users have NumPy 1, which lacks that name.
    # Protocol 2 writes names as lines without a length, so one can stand for the other.
    old, new = b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"
    return stream.getvalue() + pickle.dumps(array, 2).replace(new, old)
