"""A dump of arrays by any program: `.npz`, `.npy`, `.pt` or `.pkl`, with the pose's field and layout named."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import camera, unpickle
from diffjax.convert import delivery, parsing, pose_layouts
from diffjax.data import checks

_POSES = (
    "pred_pose",
    "pred_rotmat",
    "pose",
    "poses",
    "smpl_pose",
    "thetas",
    "global_orient+body_pose",
)
"""Where the pose is looked for when nobody says."""

_FOCAL_PX = 5000.0  # What HMR, SPIN, HMR2 and ScoreHMR assume.
_BETAS = ("pred_betas", "betas", "shape", "pred_shape")


def read_generic(
    path: str | Path,
    *,
    pose_field: str | None = None,
    layout: pose_layouts.Layout | None = None,
    betas_field: str | None = None,
    cam_t_field: str | None = None,
    fields: Mapping[str, str] | None = None,
    project: bool = False,
    weak_camera: str | None = None,
    image_size: tuple[float, float] | None = None,
    focal: float | None = None,
    crop_scale: float = 1.0,
    allow_mismatch: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fields of a dump: `pose`, `betas`, `cam_t`, and those that `fields` (ours to theirs) names.

    Parts of a pose in several fields are joined with `+`: global_orient+body_pose. Names of nested
    dicts are joined with dots. `keypoints2d_set` and its like are given a set, not a field.
    `project` replaces matrices that are no rotations by the nearest ones. `weak_camera` names [s, tx, ty]
    of each person's crop, see `convert`. What the file has besides is said aloud.
    """
    content, where = _content(Path(path)), str(path)
    flat, name = _pose_numbers(content, pose_field, where)
    told = f"{where}: field {name}"
    pose = pose_layouts.rotations_of(flat, layout, told, project, say)
    pose_layouts.check_bends(flat, pose, layout, told, allow_mismatch, say)
    found = {"pose": pose, "betas": _betas(content, betas_field, len(pose), where, say)}
    if cam_t_field is not None:
        found["cam_t"] = _shaped(
            _named(content, cam_t_field, where), cam_t_field, ("people", 3), where
        )
    for ours, theirs in (fields or {}).items():
        found[ours] = _field(content, ours, theirs, len(pose), where, say)
    if weak_camera is not None:
        weak = _shaped(_named(content, weak_camera, where), weak_camera, ("people", 3), where)
        found |= _placed(found, weak, weak_camera, where, image_size, focal, crop_scale, say)
    elif image_size is not None or focal is not None or crop_scale != 1.0:
        raise ValueError("--image-size, --focal, --crop-scale: wanted --weak-camera beside them")
    used = {*name.split("+"), betas_field or _betas_name(content), cam_t_field, weak_camera}
    used |= {theirs for ours, theirs in (fields or {}).items() if ours not in checks.SETS}
    _say_unused(content, used, len(pose), "cam_t" in found, where, say)
    return found


def _named(content: dict[str, Any], name: str, where: str) -> Any:
    if name not in content:
        raise ValueError(f"{where}: the file has no field {name}; it has {_listed(content)}")
    return content[name]


def _listed(names: Any) -> str:
    names = sorted(map(str, names))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(names[:_MOST_NAMES]) + more) or "nothing"


def _say_unused(
    content: dict[str, Any],
    used: set[str | None],
    rows: int,
    placed: bool,
    where: str,
    say: Callable[[str], None],
) -> None:
    """What of the file is left behind, and how to take what looks like something known."""
    unused = {name: _shape(value) for name, value in content.items() if name not in used}
    if not unused:
        return
    say(f"{where}: not used: {_listed(f'{name} {shape}' for name, shape in unused.items())}")
    ours: dict[str, str] = {}
    for name, shape in unused.items():
        kind = _guess(name.rsplit(".", 1)[-1].lower(), shape, rows)
        if kind is not None and f"{rows}" in shape:
            ours.setdefault(kind, name)
    weak = ours.pop("weak camera", None)
    if ours:
        pairs = " ".join(f"{kind}={name}" for kind, name in ours.items())
        sets = " keypoints2d_set=coco17 (or whichever it is)" if "keypoints2d" in ours else ""
        box = " (bbox_px: left, top, width, height)" if "bbox_px" in ours else ""
        say(f"{where}: to take them: --fields {pairs}{sets}{box}")
    if weak is not None and not placed:
        say(
            f"{where}: is {weak} a translation in metres (--cam-t-field {weak}) or the crop's [s, tx, ty] "
            f"(--weak-camera {weak} --image-size W H)?"
        )


def _shape(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(value.shape)
    if isinstance(value, list | tuple):
        return f"({len(value)}, ...)" if value and not _single(value[0]) else f"({len(value)},)"
    return type(value).__name__


def _single(value: Any) -> bool:
    return np.ndim(value) == 0 if isinstance(value, np.ndarray) else not isinstance(value, list)


_WORDS = (
    ("keypoints2d", ("keypoints2d", "keypoints_2d", "joints2d", "joints_2d", "kp", "kpt")),
    ("bbox_px", ("bbox", "box")),
    ("focal_px", ("focal",)),
    ("image", ("image", "img", "filename")),
    ("frame", ("frame",)),
    ("sequence", ("sequence", "seq")),
    ("weak camera", ("cam", "trans")),
)
"""Parts of names that say what a field of another program is; the first that fits."""

_SHAPES = {
    "keypoints2d": (", 2)", ", 3)", ", ...)"),
    "bbox_px": (", 4)", ", ...)"),
    "weak camera": (", 3)", ", ...)"),
    "focal_px": (",)", ", 1)", ", 2)"),
}


def _guess(name: str, shape: str, rows: int) -> str | None:
    for kind, words in _WORDS:
        ends = _SHAPES.get(kind, (f"({rows},)",))
        if any(word in name for word in words) and shape.endswith(ends) and f"({rows}," in shape:
            return kind
    return None


def _placed(
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
        _shaped(value, key, (len(weak), 2), where)
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
    length = np.full((rows, 2), _FOCAL_PX if focal is None else focal, np.float32)
    if focal is None:
        length = np.asarray(found.get("focal_px", length), np.float32)
    center = np.asarray(found.get("center_px", size / 2), np.float32)
    return {"focal_px": length, "center_px": center, "image_size_px": size}


def _content(path: Path) -> dict[str, Any]:
    """Arrays by name; names of nested dicts are joined with dots, an array alone is `pose`."""
    if path.is_dir():
        inside = _listed(item.name for item in path.iterdir())
        raise ValueError(
            f"{path}: wanted one file, found a folder with {inside}; give a file of it"
        )
    if path.suffix == ".npz":
        content: Any = unpickle.load_npz(path)
    elif path.suffix == ".npy":
        content = unpickle.load_npy(path)
    elif path.suffix in (".pt", ".pth", ".ckpt"):
        content = unpickle.load_torch(path)
    elif path.suffix in (".pkl", ".pickle", ".joblib"):
        content = unpickle.load_pickle(path)
    else:
        raise ValueError(
            f"{path}: wanted a file name ending in .npz, .npy, .pt or .pkl, found {path.suffix!r}"
        )
    return dict(_flat(content, "")) if isinstance(content, dict) else {"pose": content}


def _flat(content: dict[Any, Any], prefix: str) -> list[tuple[str, Any]]:
    out = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        out += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return out


def _pose_numbers(content: dict[str, Any], name: str | None, where: str) -> tuple[np.ndarray, str]:
    """(N, numbers) of the pose, all its parts side by side, and its name."""
    if name is None:
        name = next((n for n in _POSES if all(part in content for part in n.split("+"))), None)
    if name is None:
        found = _listed(content)
        raise ValueError(
            f"{where}: field pose: wanted --pose-field for one of {found}; "
            "parts are joined with +, as in global_orient+body_pose"
        )
    parts = [_rows(_named(content, part, where), part, where) for part in name.split("+")]
    if len({len(part) for part in parts}) > 1:
        raise ValueError(
            f"{where}: field {name}: wanted parts of as many rows, found "
            f"{[len(part) for part in parts]}; they are of different people"
        )
    return np.concatenate(parts, -1), name


def _rows(values: Any, name: str, where: str) -> np.ndarray:
    """(N, numbers) float32, finite."""
    rank = max(np.ndim(values) if isinstance(values, np.ndarray) else _depth(values), 1)
    array = pose_layouts.numbers(values, name, (None,) * (rank - 1), where)
    if not array.size:
        raise ValueError(f"{where}: field {name}: wanted some rows, found {array.shape}")
    return array.reshape(len(array), -1)


def _depth(values: Any) -> int:
    """Axes of nested lists, by their first entries."""
    depth = 0
    while isinstance(values, list | tuple | np.ndarray) and len(values):
        depth, values = depth + 1, values[0]
        if isinstance(values, np.ndarray):
            return depth + values.ndim
    return depth


def _betas_name(content: dict[str, Any]) -> str | None:
    return next((n for n in _BETAS if n in content), None)


def _betas(
    content: dict[str, Any],
    name: str | None,
    rows: int,
    where: str,
    say: Callable[[str], None],
) -> np.ndarray:
    """(N, 10); one shape for all rows is repeated, absent ones are zero."""
    name = name or _betas_name(content)
    if name is None:
        say(f"{where}: no betas; they are set to 0 (--betas-field names theirs)")
        return np.zeros((rows, 10), np.float32)
    values = _rows(_named(content, name, where), name, where)
    if values.shape[1] == 1:  # One shape for all: (10,).
        values = values.T
    if values.shape[1] < 10 or len(values) not in (1, rows):
        raise ValueError(
            f"{where}: field {name}: wanted ({rows}, 10), found {values.shape}; "
            "are pose and betas of the same people?"
        )
    if values.shape[1] > 10:
        say(f"{where}: field {name}: the first 10 of {values.shape[1]} components are kept")
    return np.broadcast_to(values[:, :10], (rows, 10)).copy()


_MOST_NAMES = 24  # Of a file's fields, in one message.
_WIDTHS = {"keypoints2d": 3, "labels2d": 3, "keypoints3d": 4}


def _field(
    content: dict[str, Any],
    ours: str,
    theirs: str,
    rows: int,
    where: str,
    say: Callable[[str], None],
) -> Any:
    """A field of ours from one of theirs, with the shape that its kind asks for."""
    if ours in checks.SETS:
        return theirs
    if ours not in checks.FIELDS or checks.FIELDS[ours].kind == "rotation":
        known = [n for n in checks.FIELDS if checks.FIELDS[n].kind != "rotation"]
        names = ", ".join((*known, *checks.SETS))
        raise ValueError(f"--fields {ours}={theirs}: wanted one of {names}, got {ours!r}")
    value = _named(content, theirs, where)
    kind = checks.FIELDS[ours].kind
    if kind == "text":
        return _texts(value, ours, rows, f"{where}: field {theirs}")
    if ours in _WIDTHS:
        return _keypoints(value, _WIDTHS[ours], theirs, where, say)
    if kind == "whole":
        return _whole(value, theirs, where)
    return _sizes(value, checks.FIELDS[ours].shape == (2,), theirs, rows, where)


def _whole(value: Any, name: str, where: str) -> np.ndarray:
    """(N,) int64."""
    array = value if isinstance(value, np.ndarray) else np.array(value, dtype=object)
    if array.dtype.kind == "O" and all(isinstance(item, int) for item in array.flat):
        array = pose_layouts.numbers(array, name, (), where).astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{where}: field {name}: wanted (N,) whole numbers, found {array.dtype} {array.shape}"
        )
    return array.astype(np.int64)


def _sizes(value: Any, pair: bool, name: str, rows: int, where: str) -> np.ndarray:
    """(N, numbers); what has two axes may be one number for both, and one for all rows."""
    if pair and isinstance(value, int | float | np.number):
        value = np.full(rows, value)
    array = _rows(value, name, where)
    return np.repeat(array, 2, -1) if pair and array.shape == (rows, 1) else array


def _texts(value: Any, ours: str, rows: int, where: str) -> np.ndarray:
    """(N,) text; one for all rows is repeated."""
    listed = [value] * rows if isinstance(value, str | bytes) else value
    if not isinstance(listed, list | tuple | np.ndarray):
        raise ValueError(f"{where}: wanted {rows} texts, found a {type(value).__name__}")
    if ours == "gender":
        return np.array([parsing.gender(word, where) for word in listed], dtype=np.str_)
    return parsing.texts(listed)


def _shaped(value: Any, name: str, axes: tuple[str | int, ...], where: str) -> np.ndarray:
    """Finite float32 of these axes; keypoints may lack their confidence."""
    last = axes[-1]
    array = parsing.numbers(value, f"{where}: field {name}")
    allowed = (last, int(last) - 1) if "keypoints" in axes else (last,)
    rows = axes[0] if isinstance(axes[0], int) else len(array) if array.ndim else 0
    if array.shape[:1] != (rows,) or array.ndim != len(axes) or array.shape[-1] not in allowed:
        wanted = ", ".join(map(str, axes))
        raise ValueError(
            f"{where}: field {name}: wanted ({wanted}), found {array.shape}; is it another field?"
        )
    return pose_layouts.numbers(array, name, (None,) * (array.ndim - 1), where)


def _keypoints(
    value: Any, width: int, name: str, where: str, say: Callable[[str], None]
) -> np.ndarray:
    """(N, K, width), the last number a confidence: 1 where the file has none."""
    array = _shaped(value, name, ("people", "keypoints", width), where)
    if array.shape[-1] == width - 1:
        say(f"{where}: field {name}: no confidence, so it is 1 everywhere")
        array = np.concatenate([array, np.ones((*array.shape[:2], 1), np.float32)], -1)
    return array


def convert(
    source: Path,
    out: Path,
    role: delivery.Role = "estimate",
    pose_field: str | None = None,
    layout: pose_layouts.Layout | None = None,
    betas_field: str | None = None,
    cam_t_field: str | None = None,
    fields: tuple[str, ...] = (),
    project: bool = False,
    weak_camera: str | None = None,
    image_size: tuple[float, float] | None = None,
    focal: float | None = None,
    crop_scale: float = 1.0,
    estimates: Path | None = None,
    allow_mismatch: bool = False,
) -> None:
    """A dump of arrays (.npz, .npy, .pt, .pkl); its 6D layout is never guessed.

    Args:
        source: The dump.
        out: The annotation set to write, .npz.
        role: Whether its poses are estimates or the truth.
        pose_field: Name of the pose; parts are joined as in global_orient+body_pose.
        layout: How rotations are stored; 144 numbers a row need it.
        betas_field: Name of the shape.
        cam_t_field: Name of the translation (metres, camera frame).
        fields: Further fields, OURS=THEIRS: keypoints2d=kp keypoints2d_set=coco17. bbox_px is left, top,
            width, height in pixels of the full image.
        project: Replace matrices that are no rotations by the nearest ones.
        weak_camera: Name of the crop's weak-perspective camera s, tx, ty (HMR, SPIN, HMR2): x of the crop,
            from -1 to 1 over its side, is s (X + tx) of metres X; depth is 2 focal / (s side). The crop is a
            square about the middle of bbox_px, its side the longer one.
        image_size: Width and height of the images in pixels, for weak_camera; or --fields image_size_px=NAME.
        focal: Focal length in pixels, for weak_camera; 5000 without it or a field focal_px.
        crop_scale: The crop's side in longer sides of the box.
        estimates: The annotation set that a truth belongs to.
        allow_mismatch: Go on where knees and elbows say that it is another layout.
    """
    for pair in fields:
        if "=" not in pair:
            raise ValueError(f"--fields: wanted OURS=THEIRS, got {pair!r}")
    found = read_generic(
        source,
        pose_field=pose_field,
        layout=layout,
        betas_field=betas_field,
        cam_t_field=cam_t_field,
        fields=dict(pair.split("=", 1) for pair in fields),
        project=project,
        weak_camera=weak_camera,
        image_size=image_size,
        focal=focal,
        crop_scale=crop_scale,
        allow_mismatch=allow_mismatch,
    )
    delivery.deliver(out, delivery.in_role(found, role), str(source), estimates)
