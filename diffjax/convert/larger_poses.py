"""Poses of SMPL-H and SMPL-X as SMPL's: the 22 joints that all three share, and hands at rest."""

from collections.abc import Callable

import numpy as np

_SHARED = 22
NAMES = {22: "SMPL-H or SMPL-X without hands", 52: "SMPL-H", 55: "SMPL-X"}
"""Whose poses have so many joints. The root and 21 joints of the body come first in all of them."""

_REST: dict[str, tuple[int, ...]] = {
    "axis-angle": (0, 0, 0),
    "matrices": (1, 0, 0, 0, 1, 0, 0, 0, 1),
    "6d-columns": (1, 0, 0, 0, 1, 0),
    "6d-rows": (1, 0, 0, 0, 1, 0),
    "6d-interleaved": (1, 0, 0, 1, 0, 0),
}
"""No rotation, in every layout."""

SHAPES = {shape for j in NAMES for n in (3, 6, 9) for shape in ((j, n), (j * n,))}
SHAPES |= {(j, 3, 3) for j in NAMES}
"""Shapes of a whole pose without rows."""


def as_smpl(
    flat: np.ndarray, layout: str | None, where: str, say: Callable[[str], None]
) -> np.ndarray:
    """Rows of 24 joints for rows (N, numbers) of 22, 52 or 55; any others as they are.

    SMPL's joints 22 and 23 are hands, which those bodies do not have. Without a layout the size tells
    numbers a joint: no two of these are alike. Jaw, eyes and fingers are left out.
    """
    widths = {j * n: (j, n) for j in NAMES for n in (3, 6, 9)}
    joints, numbers = widths.get(flat.shape[1], (0, 0))
    if layout is None:
        layout = {3: "axis-angle", 9: "matrices"}.get(numbers, "6d-columns")
    rest = _REST.get(layout, ())
    if not joints or numbers != len(rest):
        return flat
    say(
        f"{where}: {joints} joints a row, as of {NAMES[joints]}: the first {_SHARED} are SMPL's and are kept, "
        "hands stay at rest. Betas fit only the body that they are of: convert that one (`smpl`), and use it"
    )
    hands = np.tile(np.asarray(rest, flat.dtype), (len(flat), 2))
    return np.concatenate([flat[:, : _SHARED * numbers], hands], -1)
