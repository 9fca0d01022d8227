"""Do the numbers of a pose turn a body as people move? Rotations, which way is up, which side is left, betas."""

import numpy as np

from diffjax.convert.inspection import roles
from diffjax.convert.inspection.verdict import Finding, count, number, share

_FAR = 1e-2
"""|R R^T - I| above which a matrix is no rotation: the limit of annotation sets."""
_BENDS = ((4, 0, 1), (5, 0, 1), (18, 1, -1), (19, 1, 1))
"""(joint, axis, sign): SMPL's knees bend forward and its elbows too, which the sides tell apart."""
_BENT = 0.2  # Radians above which a joint counts as bent.
_FEWEST, _ENOUGH = 8, 40  # Bent joints from which on a guess is made, and a judgement.
_UP = {
    "-y": ("camera axes, y down", "camera"),
    "+y": ("a world with y up", "world"),
    "+z": ("a world with z up", "world"),
}


def findings(found: list[roles.Part], axes: str = "") -> list[Finding]:
    """All that poses and betas say of themselves; `axes` is where such files have them: camera or world."""
    out: list[Finding] = []
    for part in (part for part in found if part.role in ("pose", "root", "body")):
        layout, values = roles.rotations_of(part)
        out += _of_layout(part.path, layout, values)
    joined = whole(found)
    if joined is not None:
        out += [*_bends(joined[0]), *_up(joined[1], axes)]
    for part in (part for part in found if part.role == "betas"):
        out.append(_betas(part))
    return out


def _of_layout(path: str, layout: str, values: np.ndarray) -> list[Finding]:
    if layout == "matrices":
        return [_matrices(path, values)]
    if layout == "axis-angle":
        return [_axis_angle(path, values), *_root_last(path, values)]
    if layout == "6d":
        return [_six(path, values)]
    return [
        Finding("rotations", "look", f"{path}: shape {values.shape} is no rotation that is known")
    ]


def _matrices(path: str, values: np.ndarray) -> Finding:
    """Orthonormality of every matrix."""
    exact = values.astype(np.float64)
    with np.errstate(all="ignore"):
        residual = np.linalg.norm(exact @ np.swapaxes(exact, -1, -2) - np.eye(3), axis=(-1, -2))
        mirrored = np.linalg.det(exact) < 0
    residual = np.where(np.isfinite(residual), residual, np.inf)
    far, worst = residual > _FAR, float(residual.max(initial=0.0))
    facts = {
        "worst": worst,
        "share_far": float(far.mean()),
        "share_mirrored": float(mirrored.mean()),
    }
    if not (far | mirrored).any():
        text = f"{path}: {residual.size:,} matrices, |RRᵀ - I| at most {worst:.1e}, none mirrored"
        return Finding("rotations", "ok", text, facts)
    row = int(np.argwhere(far | mirrored)[0][0])
    text = f"{path}: {share(facts['share_far'])} of {residual.size:,} matrices are no rotations"
    text += f" (|RRᵀ - I| up to {worst:.2g}), {share(facts['share_mirrored'])} mirrored; first in row {row}."
    text += " Project them (--project of `generic`), or is it another layout?"
    return Finding("rotations", "wrong", text, facts)


def _axis_angle(path: str, values: np.ndarray) -> Finding:
    angles = np.linalg.norm(np.nan_to_num(values.astype(float)), axis=-1)
    largest = float(angles.max(initial=0.0))
    text = f"{path}: axis-angle, {count(values.shape[1], 'rotation')} a row, largest {number(largest)} rad"
    facts = {"largest_rad": largest}
    if largest > 4 * np.pi:
        return Finding("rotations", "wrong", f"{text}: degrees, or another layout?", facts)
    if largest == 0:
        return Finding("rotations", "look", f"{text}: every pose is the rest pose", facts)
    return Finding("rotations", "look" if largest > 2 * np.pi else "ok", text, facts)


def _root_last(path: str, values: np.ndarray) -> list[Finding]:
    """Some programs store the body before the root."""
    if values.shape[1] != 24:
        return []
    angles = np.median(np.linalg.norm(np.nan_to_num(values), axis=-1), 0)
    if not (angles[23] > 1.5 and angles[0] < 1.0):
        return []
    text = f"{path}: the last rotation is the large one ({angles[23]:.1f} rad, the first {angles[0]:.1f}): "
    return [
        Finding(
            "root",
            "wrong",
            f"{text}body before root? Root comes first",
            {"median_rad": angles.tolist()},
        )
    ]


def _six(path: str, values: np.ndarray) -> Finding:
    """6D is never guessed; what the lengths say is said."""
    pairs = np.nan_to_num(values.reshape(-1, 6).astype(float))
    apart = {
        "6d-columns or 6d-rows": (pairs[:, :3], pairs[:, 3:]),
        "6d-interleaved": (pairs[:, 0::2], pairs[:, 1::2]),
    }
    off = {name: _off(*vectors) for name, vectors in apart.items()}
    best = min(off, key=lambda name: off[name])
    text = f"{path}: 144 numbers a row are 6D; no file says which layout. "
    known = off[best] < 0.02 < max(off.values()) / 3
    text += (
        f"Two unit vectors at right angles are found as {best}: still, ask the program that wrote it"
        if known
        else "Lengths fit none better than another: ask the program that wrote it"
    )
    return Finding("rotations", "look", text, {"layout": best if known else "", "off": off})


def _off(a: np.ndarray, b: np.ndarray) -> float:
    """How far two vectors are from being unit and at right angles, in the median."""
    lengths = np.abs(np.linalg.norm(a, axis=-1) - 1) + np.abs(np.linalg.norm(b, axis=-1) - 1)
    return float(np.median(lengths + np.abs((a * b).sum(-1))))


def whole(found: list[roles.Part]) -> tuple[np.ndarray, np.ndarray] | None:
    """Turns (N, J, 3) of all joints, root first, as rotation vectors or sin(angle) times their axes, and
    root matrices (N, 3, 3). None where the file has no root and body of a known layout."""
    pose, root, body = (roles.one(found, role) for role in ("pose", "root", "body"))
    if pose is not None:
        layout, values = roles.rotations_of(pose)
    elif root is not None and body is not None:
        (layout, first), (other, rest) = roles.rotations_of(root), roles.rotations_of(body)
        if layout != other or len(first) != len(rest) or first.shape[2:] != rest.shape[2:]:
            return None
        values = np.concatenate([first[:, :1], rest], 1)
    else:
        return None
    if layout not in ("matrices", "axis-angle") or values.shape[1] < 20:
        return None
    values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    if layout == "matrices":
        return _vee(values), values[:, 0]
    return values, roles.matrices_of(values[:, 0])


def _vee(matrices: np.ndarray) -> np.ndarray:
    """sin(angle) times the axis: the signs of the rotation vector."""
    m = matrices
    lower = [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]]
    return np.stack(lower, -1) / 2


def _bends(turns: np.ndarray) -> list[Finding]:
    """Knees and elbows bend one way; the other way says transposed, mirrored, or sides swapped."""
    right = total = 0
    elbows = [0, 0]
    for joint, axis, sign in _BENDS:
        bent = turns[np.abs(turns[:, joint, axis]) > _BENT, joint, axis]
        good = int((bent * sign > 0).sum())
        right, total = right + good, total + len(bent)
        if joint >= 18:
            elbows = [elbows[0] + good, elbows[1] + len(bent)]
    if total < _FEWEST:
        return []
    as_is, at_elbows = right / total, elbows[0] / max(elbows[1], 1)
    swapped = (right - elbows[0] + elbows[1] - elbows[0]) / total
    facts = {"share": as_is, "share_swapped": swapped, "bent": total}
    text = f"knees and elbows bend the way people's do in {share(as_is)} of {total:,} bent joints"
    if as_is >= 0.8:
        return [Finding("left/right", "ok", text, facts)]
    if swapped >= 0.7 and at_elbows < 0.5:
        return [
            Finding(
                "left/right",
                "wrong",
                f"{text}; {share(swapped)} with the sides swapped: left is right",
                facts,
            )
        ]
    cause = (
        "transposed matrices, another joint order or layout?"
        if as_is < 0.6
        else "hard poses, or noise?"
    )
    mark = "wrong" if as_is < 0.6 and total >= _ENOUGH else "look"
    return [Finding("left/right", mark, f"{text}: {cause}", facts)]


def _up(root: np.ndarray, axes: str) -> list[Finding]:
    """Which axis the bodies stand along: it tells camera axes (y down) from a world's."""
    up = root[:, :, 1]
    shares = {
        f"{sign}{name}": float((up[:, axis] * factor > 0.7).mean())
        for axis, name in enumerate("xyz")
        for sign, factor in (("+", 1), ("-", -1))
    }
    best = max(shares, key=lambda name: shares[name])
    if shares[best] < 0.5:
        text = "bodies stand along no one axis: lying people, or a tilted world"
        return [Finding("axes", "look", text, {"up": shares})]
    what, found = _UP.get(best, ("no usual axes", "none"))
    text = f"{share(shares[best])} of the bodies stand along {best}: {what}"
    if found == "camera":
        text += f"; {share(float((root[:, 2, 2] < 0).mean()))} face the camera"
    if axes in ("", found):
        return [Finding("axes", "look" if found == "none" else "ok", text, {"up": shares})]
    return [Finding("axes", "look", f"{text}; such files are in {axes} axes", {"up": shares})]


def _betas(part: roles.Part) -> Finding:
    values = (
        np.nan_to_num(part.value.astype(float))
        if part.value.dtype.kind in "fiu"
        else np.zeros((1, 1))
    )
    values = np.atleast_2d(values).reshape(-1, values.shape[-1] if values.ndim else 1)
    largest, size = np.abs(values[:, :10]).max(1), values.shape[1]
    rows, worst = int((largest > 5).sum()), float(largest.max(initial=0.0))
    text = f"{part.path}: {size} a person, |beta| up to {number(worst)}"
    facts = {"components": size, "largest": worst, "rows_above_5": rows}
    if size > 10:
        text += "; only the first 10 are SMPL's and are kept"
    if rows:
        text += f"; above 5 in {rows:,} of {len(values):,} rows: a broken fit, or no betas?"
    elif worst == 0.0:
        text += ": all are the mean body"
    mark = "wrong" if worst > 20 else "look" if rows or size < 10 else "ok"
    return Finding("betas", mark, text, facts)
