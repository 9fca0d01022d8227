"""Fields of two files about the same people, as one: whose truth, whose keypoints, whose camera."""

from collections.abc import Callable
from typing import Any

import numpy as np

from diffjax.convert import overlap, pairing
from diffjax.data import checks

_KEYPOINTS = ("keypoints2d", "labels2d", "keypoints3d")
_TRUTH = ("pose", "betas", "cam_t", "gender")
_CAMERA = ("focal_px", "center_px", "image_size_px")
_ESTIMATE = ("pred_pose", "pred_betas", "pred_cam_t")


def check_sizes(
    here: dict[str, Any],
    there: dict[str, Any],
    where: str,
    allow_mismatch: bool,
    say: Callable[[str], None],
) -> None:
    """Pixels of both files are those of the same image."""
    sizes = [side["image_size_px"] for side in (here, there) if "image_size_px" in side]
    if len(sizes) < 2:
        return
    other = (np.abs(sizes[0].astype(np.float64) - sizes[1]) > 1).any(-1)
    if other.any():
        first = (sizes[0][other][0].tolist(), sizes[1][other][0].tolist())
        finding = (
            f"{where}: field image_size_px: {other.sum()} of {len(other)} images have another size, "
            f"first {first[1]} and in the estimates {first[0]}"
        )
        step = "wanted the same pixels; was one of them made on scaled images?"
        pairing.judge(False, finding, step, allow_mismatch, say)


def spread(
    there: dict[str, Any],
    rows: np.ndarray,
    estimates: dict[str, Any],
    where: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Keypoints in the rows of the estimates, confidence 0 elsewhere; other fields cannot be absent."""
    people, left = overlap.count(estimates), []
    spread: dict[str, Any] = {}
    for name, value in there.items():
        if name in checks.SETS:
            spread[name] = value
        elif name in _KEYPOINTS:
            spread[name] = np.zeros((people, *value.shape[1:]), np.float32)
            spread[name][rows] = value
        elif name not in estimates or name in (*_TRUTH, "focal_px"):
            left.append(name)
    if left:
        say(f"{where}: {', '.join(left)} left out, as kept people have none")
    return spread


def merge(
    here: dict[str, Any], there: dict[str, Any], where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Keypoints and truth of `there`, all else of `here` where both know it.

    The camera is that of `there` if it has a focal length.
    """
    if "pred_pose" in there:
        say(f"{where}: has estimates too; they are left out")
    there = {k: v for k, v in there.items() if k not in _ESTIMATE}
    if {"pose", "betas"} & set(there):
        here = {k: v for k, v in here.items() if k not in _TRUTH}  # One truth, of one body.
    if "focal_px" in there:
        here = _to_camera(here, there, where, say)
    if "view_rotation" in here:  # A place belongs to its own rotation.
        there = {k: v for k, v in there.items() if k != "view_translation"}
    wins = {*_KEYPOINTS, *_TRUTH, *checks.SETS}
    both = sorted(k for k in wins & set(here) & set(there) if k not in checks.SETS)
    if both:
        say(f"{where}: its {', '.join(both)} replace those of the estimates")
    return {**there, **here, **{k: v for k, v in there.items() if k in wins}}


def _to_camera(
    here: dict[str, Any], there: dict[str, Any], where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """The estimates without their camera, their translation at the evidence's.

    A person projects to the same place if depth grows as the focal length does: z' = z f' / f, and
    x' = x + (c - c') z' / f' where the centre moves.
    """
    kept = {k: v for k, v in here.items() if k not in _CAMERA or k not in there}
    if "focal_px" not in here:
        return kept
    focal, other = (side["focal_px"].astype(np.float64) for side in (here, there))
    if np.allclose(focal, other, rtol=1e-3):
        return kept
    text = f"{where}: focal_px {np.median(other):.6g} (median) replaces {np.median(focal):.6g}"
    if "pred_cam_t" in here:
        place = here["pred_cam_t"].astype(np.float64)
        depth = place[:, 2:] * (other / focal).mean(-1, keepdims=True)
        if "center_px" in here and "center_px" in there:
            move = here["center_px"].astype(np.float64) - there["center_px"]
            place[:, :2] += move * depth / other
        kept["pred_cam_t"] = np.concatenate([place[:, :2], depth], -1).astype(np.float32)
        text += "; pred_cam_t moved to it"
    say(text)
    return kept


def with_center(fields: dict[str, Any], where: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Fields with the image's middle as centre, where focal length and size are known and it is not."""
    if "center_px" in fields or not {"focal_px", "image_size_px"} <= set(fields):
        return fields
    say(f"{where}: no center_px, so it is the image's middle (half of image_size_px)")
    return {**fields, "center_px": np.asarray(fields["image_size_px"], np.float32) / 2}


_CAMERA_STEPS = {
    "focal_px": "convert the estimates with theirs, or give --focal (HMR's convention is 5000)",
    "center_px": "it is the image's middle where image sizes are known: give image_size_px to generic, "
    "--image-size to openpose, or center_px",
}


def say_camera(fields: dict[str, Any], where: str, say: Callable[[str], None]) -> None:
    """Says what 2D supervision still lacks."""
    lacking = [name for name in _CAMERA_STEPS if name not in fields]
    if lacking and {"keypoints2d", "labels2d"} & set(fields):
        steps = "; ".join(f"{name}: {_CAMERA_STEPS[name]}" for name in lacking)
        say(f"{where}: no {' and '.join(lacking)}, so 2D keypoints cannot be used yet; {steps}")
