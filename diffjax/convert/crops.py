"""Square crops of people in the full image, and the cameras of networks that saw the crop."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from diffjax import camera
from diffjax.convert import row_numbers

Unit = Literal["auto", "box200", "px"]
"""What `scale` counts: sides of 200 pixels (SPIN) or pixels (HMR2); auto tells them apart by value."""

FOCAL_PX = 5000.0
"""What SPIN, HMR2 and ScoreHMR assume."""
_BETWEEN = 15.0  # 3000 pixels as box/200; 15 pixels as pixels.


class Crops(NamedTuple):
    """One square a row."""

    center_px: np.ndarray
    side_px: np.ndarray


def read_crops(
    content: dict[str, Any], unit: Unit, where: str, rows: int, say: Callable[[str], None]
) -> Crops | None:
    """From `center` and `scale`; None where the file lacks one."""
    if "center" not in content or "scale" not in content:
        return None
    center = row_numbers.array(content["center"], "center", (2,), where, rows)
    scale = row_numbers.flat(content["scale"], "scale", where, rows)
    if scale.shape[1] not in (1, 2) or not (scale > 0).all():
        raise ValueError(
            f"{where}: field scale: wanted one or two numbers above 0 a row, found shape "
            f"{scale.shape}, smallest {scale.min(initial=np.inf):.3g}; make the file again"
        )
    largest = scale.max(-1)
    return Crops(center, largest * _pixels(largest, unit, where, say))


def _pixels(scale: np.ndarray, unit: Unit, where: str, say: Callable[[str], None]) -> float:
    """Pixels in one unit of `scale`."""
    if unit == "auto":
        low, high = float(scale.min()), float(scale.max())
        if low <= _BETWEEN < high:
            raise ValueError(
                f"{where}: field scale: wanted box/200 (at most {_BETWEEN:g}) or pixels, found "
                f"{low:.3g} to {high:.3g}; say which with --scale-unit box200 or --scale-unit px"
            )
        unit = "box200" if high <= _BETWEEN else "px"
        say(f"{where}: scale is {low:.3g} to {high:.3g}, taken as {_MEANING[unit]}")
    return 200.0 if unit == "box200" else 1.0


_MEANING = {"box200": "the crop's side / 200", "px": "the crop's side in pixels"}


def boxes(crops: Crops) -> np.ndarray:
    """(N, 4) left, top, width, height."""
    side = np.repeat(crops.side_px[:, None], 2, -1)
    return np.concatenate([crops.center_px - side / 2, side], -1).astype(np.float32)


def place(
    weak: np.ndarray,
    crops: Crops | None,
    image_size_px: tuple[float, float] | None,
    focal_px: float,
    where: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """cam_t and the full image's camera, from weak-perspective [s, tx, ty] of the crop.

    The depth belongs to the focal length, which is written beside it.
    """
    if image_size_px is None or crops is None:
        missing = "image size; give --image-size" if crops is not None else "crop of each person"
        say(f"{where}: no place in the full image without the {missing}")
        return {}
    if min(image_size_px) <= 0 or focal_px <= 0:
        raise ValueError(
            f"--image-size, --focal-px: wanted pixels above 0, got {image_size_px}, {focal_px}"
        )
    if not (weak[:, 0] > 1e-3).all():
        say(f"{where}: some cameras have no positive scale, so places are left out")
        return {}
    size = np.tile(np.asarray(image_size_px, np.float32), (len(weak), 1))
    focal = np.full((len(weak), 2), focal_px, np.float32)
    view = camera.Camera(*(jnp.asarray(array) for array in (focal, size / 2, size)))
    center, side, camera_of_crop = (
        jnp.asarray(array, jnp.float32) for array in (crops.center_px, crops.side_px, weak)
    )
    cam_t = np.asarray(camera.full_translation_from_crop(camera_of_crop, center, side, view))
    say(f"{where}: placed in the full image at a focal length of {focal_px:g} px")
    return {"cam_t": cam_t, "focal_px": focal, "center_px": size / 2, "image_size_px": size}
