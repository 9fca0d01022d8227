"""BVH motion: a skeleton (offsets and channels of each joint), then one line of numbers a frame.

A joint's channels are applied in the order in which they are named, so `Zrotation Xrotation
Yrotation` is R = Rz Rx Ry, in degrees. Position channels stand in for the joint's offset.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from diffjax.convert import bvh_retarget, motion
from diffjax.convert.finite import LARGEST
from diffjax.data import amass
from diffjax.unpickle import stream

_LARGEST_FILE = 256 << 20  # Bytes: 20 minutes of 70 joints at 120 frames a second.
_LONGEST_SKELETON = 1 << 20
_MOST_JOINTS = 1000
_CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}


class Recording(NamedTuple):
    """What a file holds, in its own units and axes."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    """-1 for the root, which comes first; parents come before children."""
    offsets: np.ndarray
    """(joints, 3)"""
    channels: tuple[tuple[str, ...], ...]
    values: np.ndarray
    """(frames, channels of all joints in order)"""
    fps: float


def read_bvh(
    path: str | Path,
    *,
    up: Literal["y", "z"] = "y",
    unit: float | None = None,
    rest_frame: int | None = None,
    drop: tuple[str, ...] = (),
    say: Callable[[str], None] = print,
) -> amass.Motion:
    """The motion of one `.bvh` on SMPL's 24 joints, metres, y up; `bvh_retarget` says how exactly.

    `unit` is metres a unit, else told by the length of the legs. `rest_frame` is a frame in which the
    person stands upright with the arms out or down, for skeletons whose zero pose is none. `drop`
    names joints to leave out.
    """
    where = str(path)
    recording = read_recording(path)
    poses, trans = bvh_retarget.smpl_motion(
        recording, where, up=up, unit=unit, rest_frame=rest_frame, drop=drop, say=say
    )
    arrays = {"poses": poses.reshape(-1, 72), "trans": trans, "mocap_framerate": recording.fps}
    return amass.motion_from_arrays(arrays, where)


def convert(
    source: Path,
    out: Path,
    up: Literal["y", "z"] = "y",
    fps: float | None = None,
    unit: float | None = None,
    rest_frame: int | None = None,
    drop: tuple[str, ...] = (),
) -> list[Path]:
    """Turns BVH motion into 24-joint SMPL motion, metres, y up (approximate).

    Args:
        source: A .bvh or a folder of them: CMU, Mixamo, LAFAN1 or SMPL joint names.
        out: Folder to write to; or a name ending in .npz, for one file.
        up: The vertical axis of the source.
        fps: Frames a second to keep; all without it.
        unit: Metres a unit of the file; told by the length of the legs without it.
        rest_frame: A frame of an upright T- or A-pose, where zero rotations are none (LAFAN1).
        drop: Joints to leave out that are not known.
    """

    def read(path: Path) -> amass.Motion:
        return read_bvh(path, up=up, unit=unit, rest_frame=rest_frame, drop=drop)

    return motion.convert_files(source, out, ".bvh", read, fps=fps)


def read_recording(path: str | Path) -> Recording:
    """The skeleton and the numbers of a file, checked against each other."""
    text = stream.packed_bytes(path, _LARGEST_FILE).decode("utf-8-sig", "replace")
    skeleton, mark, rest = text.partition("MOTION")
    if not skeleton.lstrip().upper().startswith("HIERARCHY") or not mark:
        raise ValueError(
            f"{path}: wanted BVH (HIERARCHY ... MOTION ...), found {text[:40]!r}; export again"
        )
    if len(skeleton) > _LONGEST_SKELETON:
        raise ValueError(
            f"{path}: wanted a skeleton of at most {_LONGEST_SKELETON} letters, found {len(skeleton)}"
        )
    names, parents, offsets, channels = _skeleton(skeleton, str(path))
    values, fps = _frames(rest, sum(map(len, channels)), str(path))
    return Recording(names, parents, offsets, channels, values, fps)


def _skeleton(text: str, where: str):
    """Names, parents, offsets and channels, in the order of the file; end sites are left out."""
    words = iter(text.replace("{", " { ").replace("}", " } ").split()[1:])
    names: list[str] = []
    parents: list[int] = []
    offsets: dict[int, list[float]] = {}
    channels: dict[int, tuple[str, ...]] = {}
    open_joints: list[int] = []  # From the root to where we are; -1 for an end site.
    try:
        for word in words:
            if word in ("ROOT", "JOINT", "End"):
                name = " ".join(iter(lambda: next(words), "{"))
                _place(word, name, open_joints, names, parents, where)
            elif word == "OFFSET":
                numbers = [float(next(words)) for _ in range(3)]
                offsets.setdefault(open_joints[-1], numbers)
            elif word == "CHANNELS":
                listed = tuple(next(words) for _ in range(min(int(next(words)), 7)))
                channels.setdefault(open_joints[-1], listed)
            elif word == "}":
                open_joints.pop()
            else:
                raise ValueError(f"the word {word[:40]!r}")
    except (StopIteration, RuntimeError, IndexError, ValueError) as error:
        if str(error).startswith(where):
            raise
        raise ValueError(
            f"{where}: wanted a BVH skeleton, found it broken near joint "
            f"{names[-1][:40] if names else 'ROOT'!r} ({error or 'it ends early'}); export again"
        ) from error
    for index, name in enumerate(names):
        _check_joint(name, offsets.get(index), channels.get(index, ()), where)
    if open_joints or not names:
        raise ValueError(
            f"{where}: wanted a closed BVH skeleton, found a brace missing; export again"
        )
    return (
        tuple(names),
        tuple(parents),
        np.array([offsets[i] for i in range(len(names))]),
        tuple(channels.get(i, ()) for i in range(len(names))),
    )


def _place(
    word: str,
    name: str,
    open_joints: list[int],
    names: list[str],
    parents: list[int],
    where: str,
) -> None:
    """Opens a joint below the one that is open."""
    if word == "End":
        open_joints[-1]  # IndexError outside a joint.
        open_joints.append(-1)
        return
    if (word == "ROOT") != (not names) or (names and (not open_joints or open_joints[-1] < 0)):
        raise ValueError(
            f"{where}: joint {name[:40]!r}: wanted one ROOT and JOINTs inside it, found "
            f"a {word} here; split a file of several people"
        )
    if len(names) >= _MOST_JOINTS or name in names:
        found = "it twice" if name in names else f"more than {_MOST_JOINTS} joints"
        raise ValueError(f"{where}: joint {name[:40]!r}: wanted a skeleton, found {found}")
    parents.append(open_joints[-1] if names else -1)
    open_joints.append(len(names))
    names.append(name)


def _check_joint(
    name: str, offset: list[float] | None, channels: tuple[str, ...], where: str
) -> None:
    unknown = [word for word in channels if word not in _CHANNELS]
    if unknown or len(set(channels)) != len(channels):
        raise ValueError(
            f"{where}: joint {name[:40]!r}: wanted channels such as Xposition and Zrotation, each "
            f"once, found {' '.join(channels)[:80]!r}; export again"
        )
    if offset is None or not (np.abs(offset) < LARGEST).all():
        raise ValueError(
            f"{where}: joint {name[:40]!r}: wanted an OFFSET of finite numbers, found {offset}"
        )


def _frames(text: str, channels: int, where: str) -> tuple[np.ndarray, float]:
    """Numbers of all frames, and frames a second."""
    lines = text.lstrip().split("\n", 2)
    heads = [line.partition(":") for line in lines[:2]]
    if [head[0].strip().lower() for head in heads] != ["frames", "frame time"]:
        raise ValueError(
            f"{where}: wanted 'Frames: N' and 'Frame Time: s' after MOTION, found "
            f"{text.strip()[:60]!r}; export again"
        )
    try:
        count, seconds = int(heads[0][2]), float(heads[1][2])
        body = lines[2] if len(lines) > 2 else ""
        if not body.strip():
            raise ValueError("no frames")
        values = np.loadtxt(io.StringIO(body), np.float64, comments=None, ndmin=2)
    except ValueError as error:
        raise ValueError(
            f"{where}: wanted one line of numbers a frame, found {str(error)[:120]}; export again"
        ) from error
    if values.shape != (count, channels):
        raise ValueError(
            f"{where}: wanted {count} frames of {channels} channels, as its head says, found "
            f"{values.shape[0]} of {values.shape[1]}; is the file complete?"
        )
    if not (np.abs(values) < LARGEST).all():  # NaN is not.
        row = int(np.argmin((np.abs(values) < LARGEST).all(-1)))
        raise ValueError(
            f"{where}: wanted finite numbers, found NaN or infinity in frame {row}; cut it out"
        )
    if not 1e-4 < seconds < 10:
        raise ValueError(
            f"{where}: Frame Time: wanted seconds a frame, found {seconds:g}; correct the file"
        )
    # 0.0333333 s is 30 frames a second, cut off.
    return values, round(1 / seconds, 2)
