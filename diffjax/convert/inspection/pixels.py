"""2D keypoints: pixels or something smaller, confidence or flags, inside the image or not, which side is left."""

import numpy as np

from diffjax.convert.inspection import roles
from diffjax.convert.inspection.verdict import Finding, share, span

_FACE = ("nose", "left_eye", "right_eye")


def findings(points: roles.Points, size: np.ndarray | None) -> list[Finding]:
    """Of one set of 2D keypoints; `size` (N, 2) or (1, 2) is width and height of the images, if known."""
    finite = np.isfinite(points.values).all(-1)
    seen = finite & (points.confidence > 0) if points.confidence is not None else finite
    out = [_set(points)]
    if not seen.any():
        return [
            *out,
            Finding("pixels", "look", f"{points.part.path}: no keypoint has a confidence above 0"),
        ]
    out += [_units(points, seen), *_confidence(points, seen), *_faces(points, seen)]
    if size is not None and len(size) in (1, len(points.values)):
        out.append(_inside(points, seen, size))
    return out


def _set(points: roles.Points) -> Finding:
    text = f"{points.part.path}: {points.values.shape[1]} keypoints a person"
    facts = {"keypoints": points.values.shape[1], "set": points.set}
    if points.set:
        return Finding("keypoint set", "ok", f"{text}, taken for {points.set}", facts)
    return Finding("keypoint set", "look", f"{text}: no set with so many is known", facts)


def _units(points: roles.Points, seen: np.ndarray) -> Finding:
    largest = float(np.abs(points.values[seen]).max())
    facts = {"largest": largest, "smallest": float(points.values[seen].min())}
    text = f"{points.part.path}: {span(points.values[seen])}"
    if largest <= 2.5:
        return Finding(
            "pixels",
            "wrong",
            f"{text}: not pixels but shares of the image or crop; multiply",
            facts,
        )
    return Finding("pixels", "ok", f"{text}: pixels", facts)


def _confidence(points: roles.Points, seen: np.ndarray) -> list[Finding]:
    if points.confidence is None:
        return [
            Finding(
                "confidence",
                "look",
                f"{points.part.path}: none stored, every keypoint counts as seen",
            )
        ]
    values = points.confidence[np.isfinite(points.confidence)]
    facts = {
        "smallest": float(values.min()),
        "largest": float(values.max()),
        "seen": float(seen.mean()),
    }
    text = f"{points.part.path}: {span(values)}, {share(facts['seen'])} above 0"
    if facts["smallest"] < 0 or facts["largest"] > 2:
        return [
            Finding("confidence", "wrong", f"{text}: is the third number something else?", facts)
        ]
    flags = set(np.unique(values)) <= {0, 1, 2} and facts["largest"] == 2
    return [
        Finding(
            "confidence",
            "ok",
            f"{text}{': COCO flags, 1 and 2 both count' if flags else ''}",
            facts,
        )
    ]


def _faces(points: roles.Points, seen: np.ndarray) -> list[Finding]:
    """Who shows nose and both eyes looks at us: their left eye is on the right of the image.

    Says nothing where every keypoint is always there, as in projected ones.
    """
    if not set(_FACE) <= set(points.names) or seen.mean() > 0.97:
        return []
    nose, left, right = (points.names.index(name) for name in _FACE)
    rows = seen[:, [nose, left, right]].all(-1)
    if rows.sum() < 3:
        return []
    as_is = float((points.values[rows, left, 0] > points.values[rows, right, 0]).mean())
    facts = {"share": as_is, "share_swapped": 1 - as_is, "faces": int(rows.sum())}
    text = f"{points.part.path}: of {rows.sum():,} faces, {share(as_is)} have the left eye on the image's right"
    if as_is > 0.15:  # Many turn away, and detectors see eyes that are hidden.
        return [Finding("left/right", "ok", text, facts)]
    cause = "left and right are swapped, or images mirrored"
    return [Finding("left/right", "wrong", f"{text}: {cause}", facts)]


def _inside(points: roles.Points, seen: np.ndarray, size: np.ndarray) -> Finding:
    out = (points.values < 0) | (points.values > size[:, None])
    outside = float(np.mean(np.asarray(out.any(-1))[seen]))
    text = f"{points.part.path}: {share(outside)} of the seen keypoints lie outside the image"
    return Finding("inside", "ok" if outside < 0.1 else "look", text, {"share_outside": outside})


def agreement(flat: roles.Points, solid: roles.Points) -> list[Finding]:
    """Left and right shoulders and hips lie on the same sides in 2D and in 3D (camera axes)."""
    if len(flat.values) != len(solid.values):
        return []
    same = total = 0
    for joint in ("shoulder", "hip"):
        names = (f"left_{joint}", f"right_{joint}")
        if set(names) <= set(flat.names) and set(names) <= set(solid.names):
            (a, b), (c, d) = ([p.names.index(n) for n in names] for p in (flat, solid))
            in_2d = flat.values[:, a, 0] - flat.values[:, b, 0]
            in_3d = solid.values[:, c, 0] - solid.values[:, d, 0]
            rows = (np.abs(in_3d) > np.median(np.abs(in_3d)) / 2) & np.isfinite(in_2d)
            if flat.confidence is not None:
                rows &= (flat.confidence[:, [a, b]] > 0).all(-1)
            same, total = same + int((in_2d * in_3d > 0)[rows].sum()), total + int(rows.sum())
    if total < 6:
        return []
    part = same / total
    text = f"{flat.part.path} and {solid.part.path} agree on which side is left"
    text += f" in {share(part)} of {total:,} pairs"
    if part > 0.6:
        return [Finding("2D and 3D", "ok" if part > 0.85 else "look", text, {"share": part})]
    text += ": one of them has its sides swapped, or 3D is not in camera axes"
    return [Finding("2D and 3D", "wrong" if part < 0.3 else "look", text, {"share": part})]
