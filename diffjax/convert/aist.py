"""AIST++ dance motion: SMPL poses of a body that is scaled to the cameras' unit.

A file's vertices are `smpl_scaling` * SMPL(`smpl_poses`) + `smpl_trans`, of the male body with mean
shape, 60 frames a second, y up. Divided by the scaling, the translation is in metres.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax import unpickle
from diffjax.convert import finite, motion, parsing
from diffjax.data import amass

_FPS = 60.0


def read_aist(path: str | Path, *, up: Literal["y", "z"] = "y", fps: float = _FPS) -> amass.Motion:
    """The motion in one `.pkl`, in metres, y up."""
    content, where = unpickle.load_pickle(path), str(path)
    names = ("smpl_poses", "smpl_scaling", "smpl_trans")
    poses, scaling, trans = (parsing.field(content, name, where, "AIST++ motion") for name in names)
    scale = _scale(scaling, where)
    shape = (None, 24, 3) if getattr(poses, "ndim", 2) == 3 else (None, 72)
    poses = finite.array(poses, "smpl_poses", shape, where)
    arrays = {
        "poses": poses.reshape(len(poses), 72),
        "trans": finite.array(trans, "smpl_trans", (None, 3), where) / scale,
        "gender": "male",
        "mocap_framerate": fps,
    }
    return amass.motion_from_arrays(arrays, where, up=up)


def _scale(scaling: Any, where: str) -> float:
    """Camera units a metre; centimetres make it about 93."""
    alone = isinstance(scaling, float | int | np.number)
    scale = finite.array([scaling] if alone else scaling, "smpl_scaling", (1,), where)
    if not scale[0] > 1e-3:
        raise ValueError(
            f"{where}: field smpl_scaling: wanted a number above 0, found {scale[0]:g}; "
            "is it the motion of another data set?"
        )
    return float(scale[0])


def convert(
    source: Path,
    out: Path,
    up: Literal["y", "z"] = "y",
    fps: float | None = None,
    source_fps: float = _FPS,
) -> list[Path]:
    """Turns AIST++ motion .pkl files into 24-joint SMPL motion, metres, y up.

    Args:
        source: A motion .pkl or the folder of them.
        out: Folder to write to; or a name ending in .npz, for one file.
        up: The vertical axis of the source; AIST++ has y.
        fps: Frames a second to keep; all without it.
        source_fps: The rate of the source; AIST++ has 60.
    """

    def read(path: Path) -> amass.Motion:
        return read_aist(path, up=up, fps=source_fps)

    return motion.convert_files(source, out, ".pkl", read, fps=fps)
