"""Places in the full image from the weak-perspective cameras of crops."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import camera
from diffjax.convert import dump_fields, pairing

FOCAL_PX = 5000.0  # What HMR, SPIN, HMR2 and ScoreHMR assume.
_FEW = 0.1  # Of the people, who may be behind the camera.
_NEAR = 0.3
"""Median depth in metres below which nobody films people."""
_TALL = 1.6
_SIZES = (0.4, 5.0)
"""Such a person in sides of boxes: crops are up to 2.5 times the person, people sit and are cut off."""


def placed(
    found: dict[str, Any],
    weak: np.ndarray,
    name: str,
    where: str,
    image_size: tuple[float, float] | None,
    focal: float | None,
    crop_scale: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """cam_t and the full image's camera, of [s, tx, ty] in square crops about the boxes."""
    if "cam_t" in found:
        raise ValueError("--weak-camera: wanted it or --cam-t-field, got both; leave one out")
    if "bbox_px" not in found or (image_size is None and "image_size_px" not in found):
        lacks = (
            "bbox_px=NAME" if "bbox_px" not in found else "image_size_px=NAME, or --image-size W H"
        )
        raise ValueError(
            f"{where}: field {name}: wanted the crop of each person and the size of its image for "
            f"--weak-camera, found none; give --fields {lacks}"
        )
    given = (*(image_size or ()), 1.0 if focal is None else focal, crop_scale)
    if not (np.isfinite(given).all() and min(given) > 0):
        raise ValueError(f"--image-size, --focal, --crop-scale: wanted above 0, got {given}")
    bad = ~(weak[:, 0] > 1e-3)
    if bad.any():
        raise ValueError(
            f"{where}: field {name}: wanted [s, tx, ty] with s above 0, found {weak[bad][0].tolist()} and "
            f"{bad.sum() - 1} more; are they in another order?"
        )
    box = np.asarray(found["bbox_px"], np.float64)
    if box.shape != (len(weak), 4):
        raise ValueError(
            f"{where}: field {name}: wanted a box (left, top, width, height) for each of {len(weak)} "
            f"people, found {box.shape}; are they of the same people?"
        )
    out = _camera_of(found, len(weak), image_size, focal)
    for key, value in out.items():
        dump_fields.shaped(value, key, (len(weak), 2), where)
    _say_corners(box, out["image_size_px"], where, say)
    view = camera.Camera(
        jnp.asarray(out["focal_px"]),
        jnp.asarray(out["center_px"]),
        jnp.asarray(out["image_size_px"]),
    )
    middle, side = box[:, :2] + box[:, 2:] / 2, crop_scale * box[:, 2:].max(-1)
    crop, middle, side = (jnp.asarray(array, jnp.float32) for array in (weak, middle, side))
    out["cam_t"] = np.asarray(camera.full_translation_from_crop(crop, middle, side, view))
    depth, length = np.median(out["cam_t"][:, 2]), np.median(out["focal_px"])
    say(
        f"{where}: {name} taken as the crop's [s, tx, ty]; at a focal length of {length:.6g} px people are "
        f"{depth:.3g} m away (median)"
    )
    return out


def say_focal(content: dict[str, Any], where: str, say: Callable[[str], None]) -> None:
    """Says that HMR's focal length is taken though the file has one."""
    names = [name for name in content if "focal" in name.rsplit(".", 1)[-1].lower()]
    if names:
        say(
            f"{where}: WARNING: the file has {' and '.join(names)}, but {FOCAL_PX:g} px is taken; give "
            f"--fields focal_px={max(names, key=lambda n: 'scaled' in n)}, or --focal {FOCAL_PX:g} where that is meant"
        )


def check_place(
    found: dict[str, Any],
    name: str,
    where: str,
    allow_mismatch: bool,
    say: Callable[[str], None],
) -> None:
    """Places are metres before the camera, where the boxes are; not [s, tx, ty] of crops."""
    depth = found["cam_t"][:, 2]
    if not len(depth):
        return
    behind, middle = int((depth <= 0).sum()), float(np.median(depth))
    if behind > _FEW * len(depth) or middle < _NEAR:
        finding = (
            f"{where}: field {name}: people are {depth.min():.3g} to {depth.max():.3g} m before the camera "
            f"(z; median {middle:.3g}, {behind} of {len(depth)} behind it)"
        )
        step = (
            f"wanted metres in the camera's frame; the crop's [s, tx, ty] (HMR, SPIN, HMR2) are read by "
            f"--weak-camera {name} in place of --cam-t-field"
        )
        pairing.judge(False, finding, step, allow_mismatch, say)
    else:
        _say_beside(found, name, where, say)


def _say_beside(found: dict[str, Any], name: str, where: str, say: Callable[[str], None]) -> None:
    """Most people stand outside of their boxes, or are far from as tall: another focal length's places."""
    size = found.get("image_size_px")
    center = found.get("center_px", None if size is None else np.asarray(size) / 2)
    shapes = [np.shape(found.get(key, ())) for key in ("focal_px", "bbox_px")]
    rows = len(found["cam_t"])
    if center is None or shapes != [(rows, 2), (rows, 4)] or np.shape(center) != (rows, 2):
        return
    focal, box = (np.asarray(found[key], np.float64) for key in ("focal_px", "bbox_px"))
    depth = np.maximum(found["cam_t"][:, 2:].astype(np.float64), 1e-3)
    middle = focal * found["cam_t"][:, :2] / depth + center
    off = np.abs(middle - box[:, :2] - box[:, 2:] / 2)
    outside = float((off > box[:, 2:] / 2).any(-1).mean())
    tall = float(np.median(_TALL * focal[:, 1] / depth[:, 0] / np.maximum(box[:, 2:].max(-1), 1)))
    if outside > 0.5 or not _SIZES[0] < tall < _SIZES[1]:
        say(
            f"{where}: WARNING: by {name} and the focal length, {outside:.0%} of the people stand outside of "
            f"their boxes, and a person of {_TALL:g} m is {tall:.2g} times a box (median): are these the "
            "places, the boxes (left, top, width, height), the sizes (width, height) and the focal length "
            "of the full image? HMR2's for pred_cam_t_full is 5000 / 256 times the longer side"
        )


def _say_corners(box: np.ndarray, size: np.ndarray, where: str, say: Callable[[str], None]) -> None:
    """Boxes that mostly end outside of the image, and inside of it if they are corners."""
    far = (box[:, :2] + box[:, 2:] > 1.05 * size).any(-1)
    inside = (box[:, 2:] > box[:, :2]).all(-1) & (box[:, 2:] <= 1.05 * size).all(-1)
    if far.mean() > 0.5 and inside.all():
        say(
            f"{where}: WARNING: {far.mean():.0%} of the boxes end outside of the image: are they corners "
            "(x1 y1 x2 y2)? wanted left, top, width, height"
        )


def _camera_of(
    found: dict[str, Any], rows: int, image_size: tuple[float, float] | None, focal: float | None
) -> dict[str, Any]:
    """Of the full image: what fields or options say, else HMR's focal length and the image's middle."""
    size = found.get("image_size_px") if image_size is None else np.tile(image_size, (rows, 1))
    size = np.asarray(size, np.float32)
    length = np.full((rows, 2), FOCAL_PX if focal is None else focal, np.float32)
    if focal is None:
        length = np.asarray(found.get("focal_px", length), np.float32)
    center = np.asarray(found.get("center_px", size / 2), np.float32)
    return {"focal_px": length, "center_px": center, "image_size_px": size}
