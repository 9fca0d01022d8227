"""Folders of AMASS-layout motion as plain 24-joint SMPL motion, y up."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from diffjax.data import amass, records


def convert_motion(
    source: str | Path,
    out: str | Path,
    *,
    up: Literal["y", "z"],
    fps: float | None = None,
    source_fps: float | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Writes each motion below `source` (a file or a folder) to the same place below `out`.

    `fps` lowers the frame rate; `source_fps` stands in where a file names none. AMASS's
    shape.npz (one a subject, no motion) is left out. All files are read before any is written.
    """
    source, out = Path(source), Path(out)
    files = [source] if source.is_file() else sorted(source.rglob("*.npz"))
    files = [file for file in files if file.name != "shape.npz"]
    if not files:
        raise FileNotFoundError(f"{source}: wanted motion .npz files, found none; check the path")
    root = source.parent if source.is_file() else source
    motions = {
        out / file.relative_to(root): amass.read_motion(file, up=up, fps=source_fps)
        for file in files
    }
    for path, motion in motions.items():
        write_motion(path, motion if fps is None else amass.resample(motion, min(fps, motion.fps)))
    frames = sum(len(motion.poses) for motion in motions.values())
    say(f"{out}: {len(motions)} motions, {frames} frames read")
    return list(motions)


def write_motion(path: str | Path, motion: amass.Motion) -> None:
    """One motion in AMASS's field names, 72 numbers a frame; `amass.read_motion` reads it."""
    arrays = {
        "poses": motion.poses.reshape(len(motion.poses), 72),
        "trans": motion.trans,
        "betas": motion.betas,
        "mocap_framerate": motion.fps,
        "gender": motion.gender,
    }
    records.save_arrays(path, arrays)
