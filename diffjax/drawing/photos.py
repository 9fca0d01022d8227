"""The photo of a row, found by its name below a folder; or a word on why there is none."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np


def photo_of(name: str, folder: Path | None, beside: Path, size: Any) -> tuple[Any, str]:
    """Pillow's image of the file `name`, turned upright, and a note; None and a note if there is none.

    Args:
      name: of the set's field `image`: a path below the folder, or its last part.
      folder: where images are; None looks beside the set, and says nothing if none is there.
      beside: the folder of the set.
      size: width and height that the camera knows. A photo of another shape is refused.
    """
    root = folder or beside
    file = next((file for file in _places(name, root) if file.is_file()), None)
    if file is None:
        return None, f"no image {Path(name).name}" if folder else ""
    photo = _opened(file)
    if photo is None:
        return None, f"{file.name} cannot be read"
    wanted = float(size[0]) / float(size[1])
    if abs(np.log(photo.width / photo.height / wanted)) > 0.02:
        found, asked = f"{photo.width} x {photo.height}", f"{size[0]:.0f} x {size[1]:.0f}"
        return None, f"{file.name} is {found}, the camera's image {asked}"
    return photo, ""


def _places(name: str, root: Path) -> list[Path]:
    """The whole name, then its last part; never outside the folder."""
    if not name:
        return []
    files = (root / name, root / Path(name).name)
    return [file for file in files if file.resolve().is_relative_to(root.resolve())]


def _opened(file: Path) -> Any:
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as photo:
                return ImageOps.exif_transpose(photo).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    except Image.DecompressionBombWarning:
        return None
