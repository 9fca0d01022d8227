"""Rotations of 24 joints as rows of numbers: axis-angle, matrices, and the three layouts called 6D."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import jax.numpy as jnp
import numpy as np

from diffjax import rotations
from diffjax.convert import finite, pairing, parsing
from diffjax.convert.inspection import poses, roles

Layout = Literal["axis-angle", "matrices", "6d-columns", "6d-interleaved", "6d-rows"]
"""How 24 rotations are stored: 72, 216 or, in 6D, 144 numbers."""

_NUMBERS: dict[Layout, int] = {
    "axis-angle": 72,
    "matrices": 216,
    "6d-columns": 144,
    "6d-interleaved": 144,
    "6d-rows": 144,
}
_SIX = (
    "wanted --layout for 144 numbers a row, which may be 6d-columns (first column, then second: "
    "4D-Humans, ScoreHMR), 6d-interleaved (the columns' numbers take turns: SPIN, mmhuman3d, VIBE) or "
    "6d-rows (the first two rows: PyTorch3D), found none; ask the program that wrote them"
)
_SURE = 20  # Bent knees and elbows from which on they are believed, not only mentioned.
_FEW, _FEWER = (
    0.25,
    0.15,
)  # Share of them that bends as people's do, of many and of some: chance has half.
_LOOKED_AT = 4096  # Rows whose knees and elbows are looked at.
_FAR = 1e-2
"""|R R^T - I| above which a matrix is no rotation: the limit of annotation sets."""


def numbers(values: Any, name: str, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    """Finite float32 (N, *shape); ValueError names the field and what is there."""
    return finite.array(values, name, (None, *shape), where).astype(np.float32)


def rotations_of(
    flat: np.ndarray,
    layout: Layout | None,
    where: str,
    project: bool,
    say: Callable[[str], None],
) -> np.ndarray:
    """(N, 24, 3, 3) of rows in some layout."""
    size = flat.shape[1]
    layout = layout or _layout_of(size, where)
    if layout not in get_args(Layout):
        raise ValueError(f"{where}: wanted --layout {', '.join(get_args(Layout))}, got {layout!r}")
    if size != _NUMBERS[layout]:
        raise ValueError(
            f"{where}: wanted {_NUMBERS[layout]} numbers a row (24 joints of SMPL, {layout}), found "
            f"{size}; without the root? join it: --pose-field global_orient+body_pose"
        )
    if layout == "axis-angle":
        return parsing.rotation_matrices(flat, where)
    if layout == "matrices":
        return orthonormal(flat.reshape(-1, 24, 3, 3), where, project, say)
    _check_six(flat, layout, where)
    return _from_six(flat, layout)


def _layout_of(size: int, where: str) -> Layout:
    """72 and 216 numbers can only be one thing; the layouts of 144 cannot be told apart."""
    if size == 144:
        raise ValueError(f"{where}: {_SIX}")
    known: dict[int, Layout] = {72: "axis-angle", 216: "matrices"}
    if size not in known:
        raise ValueError(
            f"{where}: wanted 72 (axis-angle), 144 (6D) or 216 (matrices) numbers a row for the 24 "
            f"joints of SMPL, or as many for 22, 52 or 55 joints of SMPL-H and SMPL-X, found {size}; a body "
            "without its root? --pose-field global_orient+body_pose joins two fields"
        )
    return known[size]


def _from_six(flat: np.ndarray, layout: Layout) -> np.ndarray:
    six = jnp.asarray(flat.reshape(-1, 24, 6))
    if layout == "6d-interleaved":
        return np.asarray(rotations.matrix_from_6d_interleaved(six))
    matrix = np.asarray(rotations.matrix_from_6d_columns(six))
    return np.swapaxes(matrix, -1, -2) if layout == "6d-rows" else matrix


def _check_six(flat: np.ndarray, layout: Layout, where: str) -> None:
    """Refuses a layout that contradicts the numbers: exact rotations in the other one, far off in this."""
    errors = {}
    for name, shape, axis in (("6d-columns", (2, 3), -1), ("6d-interleaved", (3, 2), -2)):
        pairs = np.swapaxes(flat.reshape(-1, *shape), axis, -1).astype(np.float64)
        gram = pairs @ np.swapaxes(pairs, -1, -2)
        errors[name] = float(np.abs(gram - np.eye(2)).max(axis=(-1, -2)).mean())
    mine = errors.pop("6d-columns" if layout == "6d-rows" else layout)
    (other, theirs), *_ = errors.items()
    if theirs < 1e-3 and mine > 0.05:
        raise ValueError(
            f"{where}: wanted pairs of unit vectors in the layout {layout}, found a mean error of "
            f"{mine:.2g}, but of {theirs:.1g} in the layout {other}; give --layout {other}"
        )


def check_bends(
    flat: np.ndarray,
    pose: np.ndarray,
    layout: Layout | None,
    where: str,
    allow_mismatch: bool,
    say: Callable[[str], None],
) -> None:
    """Refuses poses whose knees and elbows bend backwards where another layout bends them as people's do.

    Of few bent joints it is only said.
    """
    rows = np.unique(np.linspace(0, len(pose) - 1, min(len(pose), _LOOKED_AT)).astype(int))
    mine, bent = _bends(pose[rows])
    few = _FEW if bent >= 2 * _SURE else _FEWER
    if mine > few or not bent:
        return
    if flat.shape[1] == 144:
        names: list[Layout] = ["6d-columns", "6d-rows", "6d-interleaved"]
        others = {n: _bends(_from_six(flat[rows], n))[0] for n in names if n != layout}
        step = "give --layout {}"
    else:
        others = {"transposed": _bends(np.swapaxes(pose[rows], -1, -2))[0]}
        step = "are all rotations {}?"
    best = max(others, key=lambda name: others[name])
    if others[best] < 1 - few:
        return
    finding = (
        f"{where}: knees and elbows bend the way people's do in {mine:.0%} of {bent} bent joints, but in "
        f"{others[best]:.0%} as {best}"
    )
    if bent < _SURE:
        say(f"{finding}: WARNING: {step.format(best)}")
    else:
        pairing.judge(False, finding, step.format(best), allow_mismatch, say)


def _bends(pose: np.ndarray) -> tuple[float, int]:
    """Share of bent knees and elbows that bend as people's do, and their number; 0 where they are few."""
    for finding in poses.findings([roles.Part("pose", "pose", pose)]):
        if finding.name == "left/right":
            return float(finding.values["share"]), int(finding.values["bent"])
    return 0.0, 0


def orthonormal(
    matrices: np.ndarray, where: str, project: bool, say: Callable[[str], None]
) -> np.ndarray:
    """The matrices, refused (or with `project` replaced by the nearest rotations) if they are none."""
    exact = matrices.astype(np.float64)
    far = np.linalg.norm(exact @ np.swapaxes(exact, -1, -2) - np.eye(3), axis=(-1, -2))
    bad = (far > _FAR) | (np.linalg.det(exact) < 0)
    if not bad.any():
        return matrices
    row, joint = (int(i) for i in np.argwhere(bad)[0])
    found = f"{bad.sum()} of {bad.size} are none (largest |R R^T - I| {far.max():.3g})"
    if not project:
        raise ValueError(
            f"{where}: wanted rotation matrices, found that {found}, first at row {row}, joint "
            f"{joint}; --project takes the nearest rotations"
        )
    say(f"{where}: {found}: all matrices are replaced by the nearest rotations")
    return np.asarray(rotations.project_to_so3(jnp.asarray(matrices)))
