"""Recorded motion of several formats as plain 24-joint SMPL motion in AMASS's layout, y up."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from diffjax.data import amass, records


def convert(
    source: Path,
    out: Path,
    up: Literal["y", "z"] = "z",
    fps: float | None = None,
    source_fps: float | None = None,
) -> None:
    """Turns AMASS-layout motion into 24-joint SMPL motion, y up.

    Args:
        source: A motion .npz or a folder of them.
        out: Folder to write to; or a name ending in .npz, for one file.
        up: The vertical axis of the source; AMASS has z.
        fps: Frames a second to keep; all without it.
        source_fps: The rate of files that name none.
    """
    convert_motion(source, out, up=up, fps=fps, source_fps=source_fps)


def convert_motion(
    source: str | Path,
    out: str | Path,
    *,
    up: Literal["y", "z"],
    fps: float | None = None,
    source_fps: float | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """`convert_files` of AMASS's layout; its shape.npz (one a subject, no motion) is left out.

    `source_fps` stands in where a file names no frame rate.
    """

    def read(path: Path) -> amass.Motion:
        return amass.read_motion(path, up=up, fps=source_fps)

    return convert_files(source, out, ".npz", read, fps=fps, say=say)


def convert_files(
    source: str | Path,
    out: str | Path,
    suffix: str,
    read: Callable[[Path], amass.Motion],
    *,
    fps: float | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Writes each motion below `source` (a file or a folder) to the same place below `out`, as .npz.

    A single file goes to `out` itself where that ends in .npz. `fps` lowers the frame rate. All files are
    read before any is written.
    """
    source, out = Path(source), Path(out)
    if fps is not None and not fps > 0:
        raise ValueError(f"--fps: wanted frames a second above 0, got {fps:g}")
    files = [source] if source.is_file() else sorted(source.rglob(f"*{suffix}"))
    files = [file for file in files if file.name != "shape.npz"]
    if not files:
        raise FileNotFoundError(
            f"{source}: wanted motion {suffix} files, found none; check the path"
        )
    root = source.parent if source.is_file() else source
    places = {file: (out / file.relative_to(root)).with_suffix(".npz") for file in files}
    if source.is_file() and out.suffix == ".npz":
        places = {source: out}
    for file, place in places.items():
        if place.resolve() == file.resolve():
            raise ValueError(f"{place}: would replace what is read; choose another folder")
    motions = {place: read(file) for file, place in places.items()}
    for place, motion in motions.items():
        write_motion(place, motion if fps is None else amass.resample(motion, min(fps, motion.fps)))
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
