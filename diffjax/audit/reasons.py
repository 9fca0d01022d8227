"""Why a row is flagged: each reason's number, its bound, and one sentence that says it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from diffjax import skeleton
from diffjax.audit import in_time
from diffjax.audit.bounds import Bounds, bound_of


class Reason(NamedTuple):
    """One way in which a row may be wrong."""

    name: str
    title: str
    """Of its histogram and its line in tables."""
    sentence: str
    """About a flagged row: {value}, {bound} and {part} are filled in."""
    shown: Callable[[float], str]
    """A value with its unit."""
    needs: str
    """What the set must hold for it, in words."""
    below: bool = False
    """Flagged where the number is below its bound."""


def _share(x: float) -> str:
    return f"{100 * x:.1f} %" if abs(x) < 1 else f"{100 * x:.4g} %"


def _mm(x: float) -> str:
    return f"{x:.3g} mm" if abs(x) < 1 else f"{x:.0f} mm"


def _count(x: float) -> str:
    return f"{x:.0f}"


def _plain(x: float) -> str:
    return f"{x:.2g}"


_EYE = "keypoints2d or labels2d that the body's file knows, focal_px, center_px"
_TRACK = "sequence, frame (and subject, view where several share them)"
REASONS = {
    reason.name: reason
    for reason in (
        Reason("not_finite", "Numbers that are NaN or infinite",
               "{value} of its numbers are NaN or infinite (bound {bound}); nothing else was checked.",
               _count, "pred_pose"),
        Reason("not_a_rotation", "Impossible rotations",
               "The matrix of {part} is {value} from the nearest rotation (bound {bound}; a reflection is 2).",
               _plain, "pred_pose"),
        Reason("joint_limit", "Beyond the joints' limits",
               "{part} is turned {value} beyond what a body can do (bound {bound}).",
               lambda x: f"{x:.0f}°", "pred_pose"),
        Reason("betas", "Implausible shape",
               "Shape coefficient {part} is {value} standard deviations from the mean person (bound {bound}).",
               lambda x: f"{x:.1f}", "pred_betas"),
        Reason("behind_camera", "Behind the camera: depth of the nearest joint",
               "Its nearest joint is {value} before the camera (at least {bound} is wanted; below 0 is behind).",
               lambda x: f"{x:.2f} m", "pred_cam_t", True),
        Reason("outside_image", "Joints outside the image",
               "The camera has {value} of its joints outside the image (bound {bound}).",
               _share, "pred_cam_t, focal_px, center_px, image_size_px"),
        Reason("unseen", "Too few keypoints with confidence",
               "Only {value} of its keypoints have any confidence (at least {bound} are wanted).",
               _count, "keypoints2d or labels2d", True),
        Reason("reprojection", "Distance from the keypoints, share of their box",
               "Put where it fits best, it misses its keypoints by {value} of their box (bound {bound}), {part} most.",
               _share, _EYE),
        Reason("misplaced", "Keypoints missed for the translation alone",
               "Standing where the set has it, it misses its keypoints by {value} more of their box (bound {bound}).",
               _share, f"pred_cam_t, {_EYE}"),
        Reason("swapped_keypoints", "Gain of exchanging left and right keypoints",
               "With left and right exchanged, its keypoints lie nearer by {value} of the box (bound {bound}).",
               _share, _EYE),
        Reason("limb_length", "Limbs that change length in a track",
               "{part} is {value} longer or shorter than its median in the track (bound {bound}).",
               _share, _TRACK),
        Reason("jump", "Jump from the neighbouring frames",
               "Its joints lie {value} from the median of the five frames around it (bound {bound}).",
               _mm, _TRACK),
        Reason("shake", "Shake (jerk over thirteen frames)",
               "The track shakes: the jerk of three frames in four around it is over {value} (bound {bound}).",
               _mm, _TRACK),
        Reason("swapped_in_time", "Left and right exchanged against the frame before",
               "The frame before is nearer by {value} when its left and right are exchanged (bound {bound}).",
               _mm, _TRACK),
        Reason("frozen", "Frozen frames: movement since the frame before",
               "The same pose again: its joints have moved {value} since the frame before (at least {bound}).",
               _mm, _TRACK, True),
        Reason("frame_twice", "Frames that are there twice",
               "Its track has this frame in {value} earlier rows (bound {bound}).",
               _count, _TRACK),
        Reason("moved", "Far from before: farthest joint",
               "Its {part} has moved {value} from where it was before (bound {bound}).",
               _mm, "the set before (before=...)"),
        Reason("worse", "Worse than before: distance from the keypoints",
               "It misses its keypoints by {value} of their box more than before (bound {bound}).",
               _share, f"the set before, {_EYE}"),
    )
}  # fmt: skip


class Numbers(NamedTuple):
    """What was measured of a set."""

    values: dict[str, np.ndarray]
    """A number a row for each reason that could be checked; NaN where it could not."""
    more: dict[str, np.ndarray]
    """Other numbers a row, and `NAME_at`: which joint, keypoint, limb or coefficient a value belongs to."""
    image: np.ndarray | None
    """The file of each row's photo, where the set names it."""
    columns: dict[str, np.ndarray | None]
    """sequence, subject, view and frame of the rows, where known."""
    track: np.ndarray
    """Number of the track of each row; -1: none."""
    keypoints: tuple[str, ...]
    """Names of the keypoints."""
    by_keypoint_px: np.ndarray
    """Mean distance at each of them."""
    by_joint: dict[str, np.ndarray]
    """A number for each of the 24 joints."""
    missing: dict[str, str]
    """Reason -> why it could not be checked."""
    notes: tuple[str, ...]


class Flags(NamedTuple):
    """Numbers and what is wrong with them."""

    numbers: Numbers
    bounds: dict[str, float]
    flagged: dict[str, np.ndarray]
    """Reason -> whether each row is flagged for it."""


def flags_of(numbers: Numbers, settings: Bounds) -> Flags:
    """Every number against its bound. NaN is never flagged."""
    bounds, flagged, values = {}, {}, dict(numbers.values)
    for name, reason in REASONS.items():
        if name in values:
            bounds[name] = bound_of(getattr(settings, name), values[name], settings.spreads)
            if name == "swapped_in_time":
                values[name] = _exchanged(numbers, values[name], bounds[name])
            with np.errstate(invalid="ignore"):
                beyond = np.less if reason.below else np.greater
                flagged[name] = beyond(values[name], bounds[name])
    return Flags(numbers._replace(values=values), bounds, flagged)


def _exchanged(numbers: Numbers, flips: np.ndarray, bound: float) -> np.ndarray:
    found = flips.copy()
    for rows in rows_of_tracks(numbers):
        found[rows] = in_time.exchanged(flips[rows], bound)
    return found


def rows_of_tracks(numbers: Numbers) -> list[np.ndarray]:
    """The rows of each track in the order of frames."""
    frame = numbers.columns["frame"]
    if frame is None or not (numbers.track >= 0).any():
        return []
    order = np.lexsort((frame, numbers.track))
    order = order[numbers.track[order] >= 0]
    return np.split(order, np.flatnonzero(np.diff(numbers.track[order])) + 1)


def any_flag(flags: Flags) -> np.ndarray:
    """Whether each row is flagged for anything."""
    return np.any(list(flags.flagged.values()), 0)


def sentences(flags: Flags, row: int) -> list[str]:
    """What is wrong with a row, a sentence a reason."""
    return [
        REASONS[name].sentence.format(
            value=REASONS[name].shown(float(flags.numbers.values[name][row])),
            bound=REASONS[name].shown(flags.bounds[name]),
            part=part_of(flags.numbers, name, row).replace("_", " "),
        )
        for name, flagged in flags.flagged.items()
        if flagged[row]
    ]


def part_of(numbers: Numbers, name: str, row: int) -> str:
    """The joint, keypoint, limb or coefficient that a value belongs to; nothing for most reasons."""
    place = numbers.more.get(f"{name}_at")
    if place is None or place[row] < 0:
        return ""
    limbs = tuple(limb[0] for limb in in_time.LIMBS)
    names = {"reprojection": numbers.keypoints, "limb_length": limbs}
    names |= {"betas": tuple(map(str, range(10)))}
    return names.get(name, skeleton.SMPL24)[place[row]]
