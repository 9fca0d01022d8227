"""NeuralAnnot's Human3.6M and MPI-INF-3DHP: one body a frame in world coordinates, several cameras."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import body as bodies
from diffjax.convert import parsing, pose_layouts

_LEAST_MM = 50.0
"""A camera nearer than this to the world's origin is taken for one in metres."""


class _Frame(NamedTuple):
    """Where a body is in the file: [action][subaction][frame] or [subject][sequence][frame]."""

    first: str
    second: str
    frame: str


def parameters(columns: dict[str, list[Any]], where: str) -> dict[str, Any]:
    """pose, betas and cam_t of lists of pose (72), shape (10) and trans (3)."""
    pose = pose_layouts.numbers(columns["pose"], "pose", (72,), where)
    return {
        "pose": parsing.rotation_matrices(pose, f"{where}: field pose"),
        "betas": pose_layouts.numbers(columns["shape"], "shape", (10,), where),
        "cam_t": pose_layouts.numbers(columns["trans"], "trans", (3,), where),
    }


def read_world(
    content: dict[str, Any],
    where: str,
    cameras: str | Path | None,
    camera: str | None,
    body: str | Path | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Fields in the coordinates of one camera of `cameras`: {camera: ...} or [subject][sequence]."""
    if cameras is None or camera is None:
        raise ValueError(
            f"{where}: is in world coordinates; wanted the cameras beside it and one of them "
            "(--cameras Human36M_subject1_camera.json --camera 1), found "
            f"{'no cameras' if cameras is None else 'no name of a camera'}"
        )
    frames, columns = _frames(content, where)
    fields, tree = parameters(columns, where), parsing.read_json(cameras)
    takes = {take: i for i, take in enumerate(dict.fromkeys(frame[:2] for frame in frames))}
    found = [_camera(tree, take, camera, str(cameras)) for take in takes]
    row = np.array([takes[frame[:2]] for frame in frames])
    view = {
        name: pose_layouts.numbers([leaf[name] for leaf in found], name, shape, str(cameras))[row]
        for name, shape in (("R", (3, 3)), ("t", (3,)), ("focal", (2,)), ("princpt", (2,)))
    }
    _check(view, str(cameras))
    placed = _in_camera(fields, view, body, where, say)
    by_subject = _inner(tree, frames[0][:2]) is not tree
    return {**fields, **placed, **_names(frames, where, by_subject)}


def _frames(content: Any, where: str) -> tuple[list[_Frame], dict[str, list[Any]]]:
    """The frames of a file in its order, and their parameters by name."""
    frames: list[_Frame] = []
    columns: dict[str, list[Any]] = {key: [] for key in ("pose", "shape", "trans")}
    for first, inner in _items(content, where):
        for second, people in _items(inner, f"{where}: {first}"):
            for frame, person in _items(people, f"{where}: {first}/{second}"):
                for key, values in columns.items():
                    here = f"{where}: {first}/{second}/{frame}"
                    values.append(parsing.field(person, key, here, "an SMPL parameter"))
                frames.append(_Frame(first, second, frame))
    if not frames:
        raise ValueError(f"{where}: wanted at least one frame, found none")
    return frames, columns


def _items(node: Any, where: str) -> Any:
    if not isinstance(node, dict):
        raise ValueError(
            f"{where}: wanted NeuralAnnot's SMPL parameters by annotation id, or by take and frame, "
            f"found a {type(node).__name__}; see docs/data.md"
        )
    return node.items()


def _inner(tree: Any, take: tuple[str, ...]) -> Any:
    """The cameras of a take: those under its names, or all where cameras are the same for every take."""
    node = tree
    for key in take:
        below = node.get(key) if isinstance(node, dict) else None
        if not isinstance(below, dict) or "R" in below:
            return tree
        node = below
    return node


def _camera(tree: Any, take: tuple[str, ...], name: str, where: str) -> dict[str, Any]:
    """R, t, focal and princpt of a camera; Human3.6M's file calls the last two f and c."""
    here = f"{where}: camera {name} of {'/'.join(take)}"
    leaf = parsing.field(_inner(tree, take), name, here, "a camera")
    either = {"R": "R", "t": "t", "focal": "f", "princpt": "c"}
    return {
        ours: parsing.field(
            leaf, short if isinstance(leaf, dict) and short in leaf else ours, here, "R, t, f and c"
        )
        for ours, short in either.items()
    }


def _check(view: dict[str, np.ndarray], where: str) -> None:
    turn, place = view["R"].astype(np.float64), np.linalg.norm(view["t"], axis=-1)
    far = np.abs(turn @ np.swapaxes(turn, -1, -2) - np.eye(3)).max()
    if not far < 1e-3 or (np.linalg.det(turn) < 0).any():
        raise ValueError(f"{where}: field R: wanted rotation matrices, found others; export again")
    if not np.median(place) > _LEAST_MM:
        raise ValueError(
            f"{where}: field t: wanted millimetres, found a distance of {np.median(place):.3g}; "
            "metres? multiply by 1000"
        )


def _in_camera(
    fields: dict[str, Any],
    view: dict[str, np.ndarray],
    body: str | Path | None,
    where: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """pose, cam_t and intrinsics. A body turns about its pelvis J0, not about its origin, so that
    t' = R t + T + (R - I) J0."""
    turn = view["R"].astype(np.float64)
    pose = fields["pose"].copy()
    pose[:, 0] = turn @ pose[:, 0]
    placed: dict[str, Any] = {
        "pose": pose,
        "focal_px": view["focal"],
        "center_px": view["princpt"],
    }
    world = fields.pop("cam_t").astype(np.float64)
    if body is None:
        say(f"{where}: the translation in camera coordinates needs --body, so cam_t is left out")
        return placed
    pelvis = _pelvis(body, fields["betas"])
    moved = np.einsum("nij,nj->ni", turn, world + pelvis) - pelvis + view["t"] / 1000.0
    return {**placed, "cam_t": moved.astype(np.float32)}


def _pelvis(path: str | Path, betas: np.ndarray) -> np.ndarray:
    """(N, 3) the root joint of the body at rest."""
    model = bodies.load_body(path)
    rest = np.asarray(model.joint_template[0], np.float64)
    directions = np.asarray(model.joint_dirs[0], np.float64)
    if directions.shape[1] != betas.shape[1]:
        raise ValueError(
            f"{path}: wanted a body of {betas.shape[1]} betas, found {directions.shape[1]}; "
            "convert SMPL's own file"
        )
    return rest + betas.astype(np.float64) @ directions.T


def _names(frames: list[_Frame], where: str, by_subject: bool) -> dict[str, np.ndarray]:
    """sequence, frame, and subject: of the file's levels, or of its name."""
    named = re.search(r"subject(\d+)", Path(where).name)
    if by_subject:
        subject = [f"S{frame.first}" for frame in frames]
    else:
        subject = [f"S{named[1]}" if named else Path(where).stem] * len(frames)
    takes = [f"{frame.first}/{frame.second}" for frame in frames]
    names = {"subject": np.array(subject), "sequence": np.array(takes)}
    if all(
        frame.frame.isascii() and frame.frame.isdigit() and len(frame.frame) < 18
        for frame in frames
    ):
        names["frame"] = np.array([int(frame.frame) for frame in frames])
    return names
