"""Places in the full image from the weak-perspective cameras of crops."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import camera
from diffjax.convert import dump_fields

FOCAL_PX = 5000.0  # What HMR, SPIN, HMR2 and ScoreHMR assume.


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
