"""What every writer needs: files that appear whole or not at all, names that stay in their folder, axis-angle."""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from diffjax.data import records

Which = Literal["estimate", "truth"]
"""Which body of an annotation set is written."""

_LONGEST_NAME = 100  # Characters, far below the 255 bytes of common file systems.


@contextlib.contextmanager
def whole_file(path: str | Path, suffixes: tuple[str, ...] = ()) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends, removed when it fails.

    The temporary name ends as `path` does. Other endings than `suffixes` are refused, if any are given.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"{path}: wanted a file name ending in {' or '.join(suffixes)}")
    if path.is_dir():
        raise ValueError(f"{path}: wanted a file to write, found a folder; name a file in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder, renamed to the new folder `path` when the block ends, removed when it fails."""
    path = Path(path)
    if path.exists():
        raise ValueError(f"{path}: already exists; choose a new folder, or remove it first")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def safe_name(text: str) -> str:
    """A file name (without ending) for any text: it cannot leave its folder.

    Letters, digits, `_`, `-` and inner dots stay. A text that had to be changed gets eight digits
    of its SHA-256, so that two texts never share a name.
    """
    text = str(text)
    kept = re.sub(r"[^A-Za-z0-9_.-]", "_", text).strip(".-")[:_LONGEST_NAME]
    if kept and kept == text:
        return kept
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept or 'unnamed'}-{digest}"


def axis_angle(matrices: np.ndarray) -> np.ndarray:
    """(..., 3) float64 radians, angles in [0, pi], from (..., 3, 3) rotations, first projected onto SO(3).

    By the quaternion's largest component, so that nothing is lost near pi. There the vector's sign
    is arbitrary (v and -v are the same rotation); the rotation is as exact as `matrices` are.
    """
    exact = np.asarray(matrices, np.float64)
    quaternion = _quaternion(_projected(exact.reshape(-1, 3, 3)))
    quaternion = np.where(quaternion[:, :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(quaternion[:, 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[:, :1])
    # angle / sin(angle / 2) tends to 2.
    scale = np.where(sine > 1e-150, angle / np.maximum(sine, 1e-150), 2.0)
    return (quaternion[:, 1:] * scale).reshape(exact.shape[:-1])


def _projected(matrices: np.ndarray) -> np.ndarray:
    """The nearest rotations (Frobenius norm)."""
    u, _, vt = np.linalg.svd(matrices)
    u[..., -1] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def _quaternion(r: np.ndarray) -> np.ndarray:
    """(N, 4) unit wxyz of (N, 3, 3): the column of 4 q q^T with the largest diagonal (Shepperd 1978)."""
    xx, yy, zz = r[:, 0, 0], r[:, 1, 1], r[:, 2, 2]
    wx, wy, wz = r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]
    xy, xz, yz = r[:, 0, 1] + r[:, 1, 0], r[:, 0, 2] + r[:, 2, 0], r[:, 1, 2] + r[:, 2, 1]
    outer = np.stack(
        (
            *(1 + xx + yy + zz, wx, wy, wz),
            *(wx, 1 + xx - yy - zz, xy, xz),
            *(wy, xy, 1 - xx + yy - zz, yz),
            *(wz, xz, yz, 1 - xx - yy + zz),
        ),
        -1,
    ).reshape(-1, 4, 4)
    largest = np.argmax(np.diagonal(outer, axis1=-2, axis2=-1), -1)
    column = outer[np.arange(len(r)), largest]
    return column / np.linalg.norm(column, axis=-1, keepdims=True)


def chosen(
    annotations: records.AnnotationSet, which: Which
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Rotations (N, 24, 3, 3), betas (N, 10) and translation (N, 3) or None, of the estimate or the truth."""
    if which not in ("estimate", "truth"):
        raise ValueError(f"which: wanted estimate or truth, got {which!r}")
    if which == "estimate":
        return annotations.pred_pose, annotations.pred_betas, annotations.pred_cam_t
    if annotations.pose is None or annotations.betas is None:
        missing = "pose" if annotations.pose is None else "betas"
        raise ValueError(
            f"field {missing}: wanted the truth, found an annotation set without it; "
            "write the estimate (--which estimate), or join the truth to the set first"
        )
    return annotations.pose, annotations.betas, annotations.cam_t
