"""3DPW's sequence files as stored: every actor's frames with a valid camera, in world coordinates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax import unpickle
from diffjax.convert import parsing, rows

Split = Literal["train", "validation", "test", "all"]

_SPLITS = ("train", "validation", "test")
_SIDES = (1080.0, 1920.0)  # Of all of 3DPW's images, upright or lying.
_PEOPLE = ("poses", "trans", "betas", "genders", "campose_valid", "poses2d", "jointPositions")
"""Lists with an entry for each actor."""


def sequence_files(path: Path, split: Split | None = None) -> list[Path]:
    """The .pkl of a file, a folder, or of the folders of a split, by name."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such file or folder; give 3DPW's sequenceFiles")
    root = path / "sequenceFiles" if (path / "sequenceFiles").is_dir() else path
    folders = [root / name for name in _SPLITS if (root / name).is_dir()]
    if split is None and folders:
        raise ValueError(
            f"{path}: wanted one split, found {', '.join(f.name for f in folders)}; "
            "choose with --split train, validation, test or all"
        )
    if split is not None and root.name != split:
        wanted = _SPLITS if split == "all" else (split,)
        folders = [root / name for name in wanted]
    files = [file for folder in folders or [root] for file in sorted(folder.glob("*.pkl"))]
    empty = [folder for folder in folders or [root] if not any(folder.glob("*.pkl"))]
    if empty:
        raise FileNotFoundError(f"{empty[0]}: wanted 3DPW's .pkl files, found none; check --split")
    return files


def actors(file: Path) -> list[dict[str, np.ndarray]]:
    """Every actor's frames with a valid camera, still in world coordinates."""
    where = str(file)
    stored = unpickle.load_pickle(file)
    wanted = "a 3DPW sequence: pickled dict"
    if isinstance(stored, dict):  # Keys are bytes where Python 3 has read them as such.
        stored = {parsing.text(key): value for key, value in stored.items()}
    lists = {
        name: _list(parsing.field(stored, name, where, wanted), name, where) for name in _PEOPLE
    }
    counts = {name: len(entries) for name, entries in lists.items()}
    if len(set(counts.values())) != 1 or not counts["poses"]:
        raise ValueError(
            f"{where}: field poses: wanted one entry per actor in every list, found {counts}; "
            "get the file again"
        )
    sequence = rows.name_of(parsing.field(stored, "sequence", where, wanted), "sequence", where)
    shared = _cameras(stored, where)
    people = range(counts["poses"])
    found = [_actor(lists, shared, p, f"{sequence}:{p}", where) for p in people]
    found = [part for part in found if len(part["frame"])]
    if not found:
        raise ValueError(
            f"{where}: field campose_valid: wanted a frame with a camera, found none; leave it out"
        )
    return [part | {"sequence": np.full(len(part["frame"]), sequence)} for part in found]


def _list(value: Any, name: str, where: str) -> list[Any]:
    if (isinstance(value, np.ndarray) and value.ndim == 0) or not isinstance(
        value, list | tuple | np.ndarray
    ):
        raise ValueError(
            f"{where}: field {name}: wanted a list with an entry per actor, found a "
            f"{type(value).__name__}; get the file again"
        )
    return list(value)


def _cameras(stored: dict[str, Any], where: str) -> dict[str, np.ndarray]:
    """World to camera (N, 4, 4) of every frame, and the intrinsics of the sequence."""
    wanted = "a 3DPW sequence: pickled dict"
    poses = rows.numbers(
        parsing.field(stored, "cam_poses", where, wanted), "cam_poses", (4, 4), where
    )
    matrix = parsing.field(stored, "cam_intrinsics", where, wanted)
    matrix = rows.numbers(matrix, "cam_intrinsics", (3,), where, 3)
    focal, center = matrix[[0, 1], [0, 1]], matrix[:2, 2]
    size = np.array(_SIDES if center[1] > center[0] else _SIDES[::-1], np.float32)
    if (
        not (np.isfinite(matrix).all() and (focal > 0).all() and (center > 0).all())
        or (center >= size).any()
    ):
        raise ValueError(
            f"{where}: field cam_intrinsics: wanted the camera of a 1080x1920 or 1920x1080 image, "
            f"found {matrix.tolist()}; get the file again"
        )
    return {"cam_poses": poses, "focal_px": focal, "center_px": center, "image_size_px": size}


def _actor(
    lists: Mapping[str, list[Any]],
    shared: dict[str, np.ndarray],
    person: int,
    subject: str,
    where: str,
) -> dict[str, np.ndarray]:
    """One row a frame in which this actor's camera is valid."""
    count = len(shared["cam_poses"])

    def entry(name: str, *shape: int) -> np.ndarray:
        return rows.numbers(lists[name][person], f"{name}[{person}]", shape, where, count)

    frame = np.flatnonzero(entry("campose_valid") > 0)
    camera = shared["cam_poses"][frame]
    check_rotations(camera[:, :3, :3], "cam_poses", where)
    betas = rows.numbers([lists["betas"][person]], f"betas[{person}]", (None,), where)
    if betas.shape[1] < 10:
        raise ValueError(
            f"{where}: field betas[{person}]: wanted 10 or more, found {betas.shape[1]}; "
            "get the file again"
        )
    turn, origin = camera[:, :3, :3], camera[:, :3, 3]
    joints = entry("jointPositions", 72)[frame].reshape(-1, 24, 3)
    return {
        "frame": frame,
        "axis_angle": entry("poses", 72)[frame],
        "betas": np.repeat(betas[:, :10], len(frame), 0),
        "components": np.full(len(frame), betas.shape[1]),
        "gender": np.full(len(frame), parsing.gender(lists["genders"][person], where)),
        "turn": turn,
        "place": turned(turn, entry("trans", 3)[frame]) + origin,
        "keypoints2d": _detections(entry("poses2d", 3, 18)[frame]),
        "joints": np.einsum("fij,fkj->fki", turn, joints) + origin[:, None],
        "subject": np.full(len(frame), subject),
        **{
            k: np.tile(shared[k], (len(frame), 1))
            for k in ("focal_px", "center_px", "image_size_px")
        },
    }


def turned(turn: np.ndarray, points: np.ndarray) -> np.ndarray:
    """R p for every row."""
    return np.einsum("fij,fj->fi", turn, points)


def check_rotations(turn: np.ndarray, name: str, where: str) -> None:
    """World-to-camera rotations (N, 3, 3) of the frames that are kept."""
    residual = np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max((1, 2), initial=0.0)
    if not (residual < 1e-3).all() or (np.linalg.det(turn) < 0).any():
        raise ValueError(
            f"{where}: field {name}: wanted rotations in every frame that is valid, found |R R^T - I| up to "
            f"{residual.max():.2g}; get the file again"
        )


def _detections(poses2d: np.ndarray) -> np.ndarray:
    """(N, 18, 3) of the channel-first (N, 3, 18): x, y, confidence; coordinates 0 where nothing is seen."""
    points = poses2d.transpose(0, 2, 1)
    return np.where(points[..., 2:] > 0, points, 0.0)
