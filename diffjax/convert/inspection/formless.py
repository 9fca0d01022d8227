"""Files that are no Python data: HDF5, MATLAB 5, BVH text, and archives that may be two things."""

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import mat5, parsing

_LARGEST = 1 << 28
"""Bytes that are read of one file."""
_MATLAB = ("annot2", "annot3", "univ_annot2", "univ_annot3", "valid_frame", "cameras", "frames")


def zip_kind(path: Path) -> str:
    """`npz` or `torch`, which both are zip archives."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError) as error:
        raise ValueError(
            f"{path}: wanted a whole archive, found a broken one ({error}); copy it again"
        ) from error
    if any(name.split("/")[-1] == "data.pkl" for name in names):
        return "torch"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    raise ValueError(
        f"{path}: wanted .npz or .pt, found an archive of {', '.join(names[:5]) or 'nothing'}; "
        "unpack it and inspect what is inside"
    )


def read_hdf5(path: Path) -> dict[str, Any]:
    """The arrays of an HDF5 file by path, with the axes as HDF5 has them; large ones are only named."""
    h5py = parsing.needed("h5py")
    fields: dict[str, Any] = {}
    left = _LARGEST

    def visit(name: str, item: Any) -> None:
        nonlocal left
        plain = isinstance(item, h5py.Dataset) and item.dtype.kind in "biufS"
        if not plain or name.startswith("#"):
            return
        left -= (size := item.size * item.dtype.itemsize)
        fields[name] = item[()] if left >= 0 else f"{item.dtype} {item.shape}, not read"
        left += size if left < 0 else 0

    try:
        with h5py.File(path, "r", locking=False) as file:
            file.visititems(visit)
    except Exception as error:  # A broken file raises nearly anything.
        raise ValueError(
            f"{path}: wanted HDF5, found it broken ({error}); copy it again"
        ) from error
    return fields


def read_matlab(path: Path) -> dict[str, Any]:
    """The known variables of a MATLAB 5 file, and the names of all; cells become lists."""
    try:
        held = parsing.needed("scipy.io").whosmat(str(path))
    except Exception as error:  # As above.
        raise ValueError(
            f"{path}: wanted a MATLAB file, found it broken ({error}); copy it again"
        ) from error
    fields = {str(name): f"{kind} {shape}, not read" for name, shape, kind in held}
    return {**fields, **mat5.load(path, [name for name in fields if name in _MATLAB])}


def read_bvh(path: Path) -> dict[str, Any]:
    """Joints, channels, frames and rate of BVH motion; the numbers themselves stay in the file."""
    text = path.read_bytes()[:_LARGEST].decode("utf-8", "replace")
    head, found, motion = text.partition("MOTION")
    frames = re.search(r"Frames:\s*(\d+)", motion)
    seconds = re.search(r"Frame Time:\s*([0-9.eE+-]+)", motion)
    joints = re.findall(r"^\s*(?:ROOT|JOINT)\s+(\S+)", head, re.MULTILINE)
    if not (found and frames and seconds and joints):
        raise ValueError(f"{path}: wanted BVH, found no joints or no motion; is it complete?")
    return {
        "joints": np.array(joints),
        "channels": np.asarray(sum(map(int, re.findall(r"CHANNELS\s+(\d+)", head)))),
        "offsets": _offsets(head),
        "frames": np.asarray(min(int(frames[1]), 1 << 40)),
        "frame_time": np.asarray(_number(seconds[1])),
    }


def _offsets(head: str) -> np.ndarray:
    rows = re.findall(r"OFFSET\s+(\S+)\s+(\S+)\s+(\S+)", head)
    return np.array([[_number(word) for word in row] for row in rows]).reshape(-1, 3)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")
