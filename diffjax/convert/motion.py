"""Recorded motion of several formats as plain 24-joint SMPL motion in AMASS's layout, y up."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from diffjax.convert import pairing
from diffjax.convert.inspection import poses, roles
from diffjax.data import amass, records

_Up = Literal["y", "z"]
_BEFORE = {
    "y": {},
    "z": {"+y": "+z", "-y": "-z", "+z": "-y", "-z": "+y"},
}
"""Axes of motion that was made y up, as the source had them, by the axis that was said to be up."""

_ENOUGH = 20  # Frames from which on the way that bodies stand is believed.
_LOOKED_AT = 4096  # Frames that are looked at.


def convert(
    source: Path,
    out: Path,
    up: Literal["y", "z"] = "z",
    fps: float | None = None,
    source_fps: float | None = None,
    allow_mismatch: bool = False,
) -> None:
    """Turns AMASS-layout motion into 24-joint SMPL motion, y up.

    Args:
        source: A motion .npz or a folder of them.
        out: Folder to write to; or a name ending in .npz, for one file.
        up: The vertical axis of the source; AMASS has z. Refused where bodies stand along another one.
        fps: Frames a second to keep; all without it.
        source_fps: The rate of files that name none.
        allow_mismatch: Go on where bodies stand along another axis: all of them lie, or hang.
    """
    convert_motion(
        source, out, up=up, fps=fps, source_fps=source_fps, allow_mismatch=allow_mismatch
    )


def convert_motion(
    source: str | Path,
    out: str | Path,
    *,
    up: _Up,
    fps: float | None = None,
    source_fps: float | None = None,
    allow_mismatch: bool = False,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """`convert_files` of AMASS's layout; its shape.npz (one a subject, no motion) is left out.

    `source_fps` stands in where a file names no frame rate. Bodies must stand along `up`, unless most stand
    along no axis.
    """

    def read(path: Path) -> amass.Motion:
        return amass.read_motion(path, up=up, fps=source_fps)

    def check(motions: dict[Path, amass.Motion]) -> None:
        check_up(motions, up, str(source), allow_mismatch, say)

    return convert_files(source, out, ".npz", read, fps=fps, check=check, say=say)


def check_up(
    motions: dict[Path, amass.Motion],
    up: _Up,
    where: str,
    allow_mismatch: bool,
    say: Callable[[str], None],
) -> None:
    """Bodies of motion that was made y up stand along +y; else the source has another axis up than said."""
    roots = {path: motion.poses[:, 0] for path, motion in motions.items()}
    wrong = _stand_along(np.concatenate(list(roots.values())), up)
    if wrong is None:
        odd = [
            "/".join(path.parts[-2:])
            for path, root in roots.items()
            if _stand_along(root, up) is not None
        ]
        if odd:
            names = ", ".join(odd[:5]) + (f" and {len(odd) - 5} more" if len(odd) > 5 else "")
            say(f"{where}: bodies do not stand along +{up} in {names}: lying, or another axis up?")
        return
    step = f"give --up {wrong[1]}" if wrong in ("+y", "+z") else "turn them first"
    finding = f"{where}: the bodies stand along {wrong}, and +{up} was said to be up"
    if sum(map(len, roots.values())) < _ENOUGH:
        say(f"{finding}: WARNING: {step}")
    else:
        pairing.judge(False, finding, step, allow_mismatch, say)


def _stand_along(root: np.ndarray, up: _Up) -> str | None:
    """The source's axis that most bodies stand along (root turns (T, 3), y up), if not the one said."""
    some = np.unique(np.linspace(0, len(root) - 1, min(len(root), _LOOKED_AT)).astype(int))
    pose = np.zeros((len(some), 24, 3), np.float32)
    pose[:, 0] = root[some]
    for finding in poses.findings([roles.Part("pose", "pose", pose)]):
        if "up" in finding.values:
            shares = finding.values["up"]
            best = max(shares, key=lambda name: shares[name])
            right = shares[best] < 0.5 or best == "+y"
            return None if right else _BEFORE[up].get(best, best)
    return None


def convert_files(
    source: str | Path,
    out: str | Path,
    suffix: str,
    read: Callable[[Path], amass.Motion],
    *,
    fps: float | None = None,
    check: Callable[[dict[Path, amass.Motion]], None] | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Writes each motion below `source` (a file or a folder) to the same place below `out`, as .npz.

    A single file goes to `out` itself where that ends in .npz. `fps` lowers the frame rate. All files are
    read, and given to `check` by where they come from, before any is written.
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
    if check is not None:
        check({file: motions[place] for file, place in places.items()})
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
