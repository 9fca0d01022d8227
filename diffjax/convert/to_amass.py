"""Annotation sets as motion in AMASS's layout: one `.npz` a track."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax import body
from diffjax.convert import track, writing
from diffjax.data import records

_TURNS = {
    "camera": np.eye(3),
    "y": np.diag([1.0, -1.0, -1.0]),
    "z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
}
"""From the camera's axes (x right, y down, z ahead) to y up (z back) and to z up (y ahead)."""


def write_amass(
    path: str | Path,
    annotations: records.AnnotationSet,
    which: writing.Which = "estimate",
    *,
    fps: float = 30.0,
    up: Literal["camera", "y", "z"] = "camera",
    layout: Literal["smplh", "smpl"] = "smplh",
    pelvis: Callable[[np.ndarray], np.ndarray] | None = None,
    where: str = "annotations",
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Writes each track to a file of the new folder `path`, or the only one to the file `path`.npz.

    `smplh` has 156 numbers a frame, fingers zero, and no place for SMPL's two hand joints. `up` turns
    the camera's axes; with `pelvis` (betas -> rest pelvis, metres) exactly, else each track is off by a
    constant below 0.5 m. A set without translations gets zeros.
    """
    path = Path(path)
    if not 0 < fps < 10_000:
        raise ValueError(f"--fps: wanted frames a second above 0, got {fps:g}")
    files = {
        t.name: _arrays(t, fps, _TURNS[up], layout, pelvis, say)
        for t in track.tracks(annotations, which, where, say)
    }
    if up == "camera":
        say("axes are the camera's, y down; --up y or --up z turns them")
    if path.suffix == ".npz":
        if len(files) > 1:
            raise ValueError(f"{path}: wanted a folder for {len(files)} tracks, got a file name")
        records.save_arrays(path, next(iter(files.values())))
        return [path]
    with writing.whole_folder(path) as folder:
        for name, arrays in files.items():
            records.save_arrays(folder / f"{name}.npz", arrays)
    return [path / f"{name}.npz" for name in files]


def convert(
    source: Path,
    out: Path,
    which: writing.Which = "estimate",
    fps: float = 30.0,
    up: Literal["camera", "y", "z"] = "camera",
    layout: Literal["smplh", "smpl"] = "smplh",
    body: Path | None = None,
) -> None:
    """Writes an annotation set's tracks as AMASS-layout motion.

    Args:
        source: Annotation set, .npz or a folder of shards.
        out: New folder for a file a track; or a name ending in .npz, for one track.
        which: The estimate or the truth.
        fps: Frames a second of the video.
        up: camera leaves the axes (y down); y or z turns that axis up, as AMASS has z.
        layout: smplh has 156 numbers a frame, as AMASS; smpl has 72.
        body: SMPL, .pkl or .npz: makes the turned translation exact.
    """
    pelvis = None if body is None else pelvis_of(body)
    annotations = records.read(source)
    options: dict[str, Any] = {"fps": fps, "up": up, "layout": layout, "pelvis": pelvis}
    files = write_amass(out, annotations, which, where=str(source), **options)
    print(f"{out}: {len(files)} tracks, {records.count(annotations)} frames")


def pelvis_of(body_file: str | Path) -> Callable[[np.ndarray], np.ndarray]:
    """The rest pelvis (3,) of a body with betas (10,)."""
    model = body.load_body(body_file)
    template = np.asarray(model.joint_template, np.float64)[0]
    directions = np.asarray(model.joint_dirs, np.float64)[0]
    return lambda betas: template + directions @ betas


def _arrays(
    t: track.Track,
    fps: float,
    turn: np.ndarray,
    layout: str,
    pelvis: Callable[[np.ndarray], np.ndarray] | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    count = len(t.rows)
    poses, trans = t.poses, np.zeros((count, 3))
    if t.translation is None:
        say(f"{t.name}: no translation is known, zeros were written")
    else:
        trans = t.translation
    if not np.array_equal(turn, np.eye(3)):
        center = np.zeros(3) if pelvis is None else pelvis(t.betas)
        root, trans = track.turned(_matrices(poses[:, 0]), trans, turn, center)
        poses = np.concatenate([writing.axis_angle(root)[:, None], poses[:, 1:]], 1)
    flat = poses.reshape(count, 72)
    if layout == "smplh":
        if np.abs(flat[:, 66:]).max() > 1e-3:
            say(f"{t.name}: SMPL's hand joints are turned, which SMPL-H has no place for")
        flat = np.concatenate([flat[:, :66], np.zeros((count, 90))], 1)
    arrays = {"poses": flat, "trans": trans, "betas": np.pad(t.betas, (0, 6))}
    arrays |= {"dmpls": np.zeros((count, 8)), "gender": t.gender, "mocap_framerate": float(fps)}
    return arrays if t.frames is None else arrays | {"frame": t.frames}


def _matrices(vectors: np.ndarray) -> np.ndarray:
    """Rodrigues' formula in float64."""
    angle = np.linalg.norm(vectors, axis=-1)[:, None, None]
    x, y, z = (vectors / np.maximum(angle[:, 0], 1e-300)).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
