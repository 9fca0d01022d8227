"""VIBE's video output: a joblib pickle of one dictionary a track.

`orig_cam` [sx, sy, tx, ty] is a weak-perspective camera of the full image, in half widths and half
heights: u = W/2 (1 + sx (X + tx)). Hence tz = 2 f / (W sx), with tx and ty as they are. `pred_cam` and
`bboxes` say how large the image was, where that is not told: W = s h / sx and H = s h / sy.

Left out: `joints3d` and `verts`, which are the estimate again, and `joints2d`, the tracker's own.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import delivery, finite, parsing

_FOCAL = 5000.0


def read_vibe(
    path: str | Path,
    *,
    image_size: tuple[int, int] | None = None,
    focal: float = _FOCAL,
    sequence: str | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The people of all tracks, by track and then by frame.

    `image_size` is width, height; without it, it is computed from the cameras if they agree on one.
    `focal` (px) is what `cam_t` is for: VIBE's camera is weak-perspective and fits any.
    """
    tracks, where = unpickle.load_pickle(path), str(path)
    if not isinstance(tracks, dict) or not tracks:
        raise ValueError(
            f"{where}: wanted a dictionary of tracks, found {type(tracks).__name__}; "
            "give vibe_output.pkl"
        )
    names = sorted(tracks, key=lambda name: (len(str(name)), str(name)))
    parts = [_track(tracks[name], f"{where}: track {str(name)[:40]!r}") for name in names]
    columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    subject = np.repeat([str(name) for name in names], [len(part["frame_ids"]) for part in parts])
    if not len(subject):
        raise ValueError(f"{where}: wanted tracked people, found none in {len(names)} tracks")
    fields = {
        "pose": parsing.rotation_matrices(columns["pose"], where),
        "betas": columns["betas"].astype(np.float32),
        "bbox_px": _corner(columns["bboxes"]).astype(np.float32),
        "frame": columns["frame_ids"].astype(np.int64),
        "subject": subject,
        "sequence": np.full(len(subject), sequence or _video(Path(path))),
    }
    return fields | _camera(columns, image_size, focal, where, say)


def convert(
    source: Path,
    out: Path,
    image_size: tuple[int, int] | None = None,
    focal: float = _FOCAL,
    sequence: str | None = None,
    role: delivery.Role = "estimate",
    estimates: Path | None = None,
) -> None:
    """Reads VIBE's vibe_output.pkl (joblib).

    Args:
        source: output/VIDEO/vibe_output.pkl.
        out: The annotation set to write, .npz.
        image_size: Width and height of the video, where the file does not tell.
        focal: Focal length in pixels of the translation.
        sequence: Name of the video, instead of its folder's.
        role: Whether the poses are what is refined or what is compared with.
        estimates: Annotation set whose people these are.
    """
    fields = read_vibe(source, image_size=image_size, focal=focal, sequence=sequence)
    delivery.deliver(out, delivery.in_role(fields, role), str(source), estimates)


def _track(track: Any, where: str) -> dict[str, np.ndarray]:
    """The numbers of one track, in the order of its frames."""
    shapes = {"pose": (72,), "betas": (10,), "bboxes": (4,), "orig_cam": (4,), "pred_cam": (3,)}
    frames = parsing.field(track, "frame_ids", where, "VIBE's output of a track")
    frames = finite.array(frames, "frame_ids", (None,), where)
    rows = {"frame_ids": frames}
    for name, shape in shapes.items():
        value = parsing.field(track, name, where, "VIBE's output of a track")
        rows[name] = finite.array(value, name, (len(frames), *shape), where)
    order = np.argsort(frames, kind="stable")
    return {name: value[order] for name, value in rows.items()}


def _camera(
    columns: dict[str, np.ndarray],
    image_size: tuple[int, int] | None,
    focal: float,
    where: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Translation at `focal` with its camera; nothing where the image's size is not known."""
    camera, people = columns["orig_cam"], len(columns["orig_cam"])
    if not 0 < focal < finite.LARGEST:
        raise ValueError(f"--focal: wanted pixels above 0, got {focal:g}")
    if not (camera[:, :2] > 1e-6).all():
        raise ValueError(
            f"{where}: field orig_cam: wanted scales above 0, found {camera[:, :2].min():g}; "
            "leave these frames out"
        )
    size = np.array(image_size, float) if image_size else _image_size(columns)
    if size is None:
        say(
            f"{where}: the cameras do not agree on an image size, so no translation was made; "
            "give it with --image-size WIDTH HEIGHT"
        )
        return {}
    if not (size >= 1).all():
        raise ValueError(f"--image-size: wanted pixels above 0, got {size[0]:g} {size[1]:g}")
    say(f"{where}: images of {size[0]:g} x {size[1]:g} px; translation at focal {focal:g} px")
    depth = 2 * focal / (size[0] * camera[:, 0])
    fields = {
        "cam_t": np.concatenate([camera[:, 2:], depth[:, None]], -1),
        "focal_px": np.full((people, 2), focal),
        "center_px": np.tile(size / 2, (people, 1)),
        "image_size_px": np.tile(size, (people, 1)),
    }
    return {name: value.astype(np.float32) for name, value in fields.items()}


def _image_size(columns: dict[str, np.ndarray]) -> np.ndarray | None:
    """Whole pixels, width and height, if the rows agree to a tenth of a percent."""
    box = columns["pred_cam"][:, :1] * columns["bboxes"][:, 2:3]
    sizes = box / columns["orig_cam"][:, :2]
    size = np.round(np.median(sizes, 0))
    agree = (size >= 1).all() and (np.abs(sizes - size) <= np.maximum(1e-3 * size, 0.5)).all()
    return size if agree else None


def _corner(boxes: np.ndarray) -> np.ndarray:
    """Left, top, width, height of centre, width, height."""
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], -1)


def _video(path: Path) -> str:
    return path.resolve().parent.name if path.stem == "vibe_output" else path.stem
