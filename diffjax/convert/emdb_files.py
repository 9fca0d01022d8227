"""EMDB's sequence files as stored: the good frames, in world coordinates."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax import unpickle
from diffjax.convert import parsing, pw3d_files, rows

Part = Literal["emdb1", "emdb2", "all"]
"""EMDB 1 is what methods are compared on; EMDB 2 is for trajectories in the world."""
_DICT = "an EMDB sequence: pickled dict"
_ENDING = "_data.pkl"


def sequence_files(path: Path) -> list[Path]:
    """A file, or all files of a folder by name."""
    files = [path] if path.is_file() else sorted(path.rglob(f"*{_ENDING}"))
    if not files:
        raise FileNotFoundError(
            f"{path}: wanted EMDB's *{_ENDING}, found none; give the folder of P0 to P9"
        )
    return files


def good_frames(file: Path, part: Part) -> dict[str, np.ndarray] | None:
    """The good frames of a file, the body still in world coordinates; None where it is not of the part."""
    where, stored = str(file), unpickle.load_pickle(file)

    def value(name: str) -> Any:
        found = stored
        for key in name.split("/"):
            found = parsing.field(found, key, where, _DICT)
        return found

    if part != "all" and not _one(value(part), part, where):
        return None
    count = int(_one(value("n_frames"), "n_frames", where))

    def each(name: str, *shape: int) -> np.ndarray:
        return rows.numbers(value(name), name, shape, where, count)

    frame = np.flatnonzero(each("good_frames_mask") > 0)
    camera, name = (
        each("camera/extrinsics", 4, 4)[frame],
        rows.name_of(value("name"), "name", where),
    )
    pw3d_files.check_rotations(camera[:, :3, :3], "camera/extrinsics", where)
    betas = rows.numbers([value("smpl/betas")], "smpl/betas", (10,), where)
    shared = _view(
        value("camera/intrinsics"), [value("camera/width"), value("camera/height")], where
    )
    shared |= {"betas": betas[0]}
    people = {
        "frame": frame,
        "root": each("smpl/poses_root", 3)[frame],
        "body": each("smpl/poses_body", 69)[frame],
        "trans": each("smpl/trans", 3)[frame],
        "turn": camera[:, :3, :3],
        "origin": camera[:, :3, 3],
        "kp2d": each("kp2d", 24, 2)[frame],
        "corners": each("bboxes/bboxes", 4)[frame],
        "gender": np.full(len(frame), parsing.gender(value("gender"), where)),
        "sequence": np.full(len(frame), name),
        **{key: np.tile(row, (len(frame), 1)) for key, row in shared.items()},
    }
    return people if len(frame) else None


def _one(value: Any, name: str, where: str) -> float:
    """A number or truth value."""
    found = parsing.numbers(value, f"{where}: field {name}")
    if found.size != 1 or not 0 <= found.item() < 1e9:
        raise ValueError(
            f"{where}: field {name}: wanted one number, found {found.tolist()!s:.40}; get the file again"
        )
    return found.item()


def _view(intrinsics: Any, size: list[Any], where: str) -> dict[str, np.ndarray]:
    """The camera of a sequence; width comes before height."""
    matrix = rows.numbers(intrinsics, "camera/intrinsics", (3,), where, 3)
    pixels = rows.numbers(size, "camera/width, height", (), where, 2)
    focal, center = matrix[[0, 1], [0, 1]], matrix[:2, 2]
    if not (
        (focal > 0).all() and (pixels > 0).all() and (center > 0).all() and (center < pixels).all()
    ):
        raise ValueError(
            f"{where}: field camera/intrinsics: wanted the camera of an image of {pixels.tolist()} px, found "
            f"{matrix.tolist()}; get the file again"
        )
    return {"focal_px": focal, "center_px": center, "image_size_px": pixels}
