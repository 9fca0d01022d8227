"""Track folders of ScoreHMR's and SLAHMR's demos: TRACK/FRAME_smpl.json with FRAME_keypoints.json beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import crops, delivery, finite, image_names, parsing

_SMPL, _KEYPOINTS = "_smpl.json", "_keypoints.json"
_SIZES = {
    **{"betas": (10,), "body_pose": (23, 3), "global_orient": (3,), "cam_trans": (3,)},
    **{"box_center": (2,), "box_scale": (2,), "cam_bbox": (3,)},
}


def read_slahmr(
    path: str | Path,
    shots: str | Path | None = None,
    *,
    image_size: tuple[float, float] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """People of a video by track, then by frame; `cam_t` is at focal length 5000.

    `shots` is shot_idcs/VIDEO.json: every shot becomes a sequence, so that no track runs through a cut.
    """
    path, where = Path(path), str(path)
    files = [path] if path.is_file() else sorted(path.rglob(f"*{_SMPL}"))
    if not files or not all(file.name.endswith(_SMPL) for file in files):
        raise FileNotFoundError(
            f"{path}: wanted TRACK/FRAME{_SMPL}, found none; give track_preds/VIDEO"
        )
    people = [_person(file) for file in files]
    of = {name: np.stack([person[name] for person in people]) for name in _SIZES}
    size = _image_size(of, where) if image_size is None else np.asarray(image_size, float)
    angles = np.concatenate([of["global_orient"][:, None], of["body_pose"]], 1)
    focal = np.full((len(files), 2), crops.FOCAL_PX, np.float32)
    fields = {
        "pose": parsing.rotation_matrices(angles, where),
        "betas": of["betas"].astype(np.float32),
        "cam_t": of["cam_trans"].astype(np.float32),
        "focal_px": focal,
        "center_px": np.tile(size / 2, (len(files), 1)),
        "image_size_px": np.tile(size, (len(files), 1)),
        "bbox_px": np.concatenate([of["box_center"] - of["box_scale"] / 2, of["box_scale"]], -1),
    }
    return fields | _names(files, shots, where) | _keypoints(files)


def _person(file: Path) -> dict[str, np.ndarray]:
    content, where = parsing.read_json(file), str(file)
    wanted = "a person of a demo's track folder"
    return {
        name: finite.array(parsing.field(content, name, where, wanted), name, shape, where)
        for name, shape in _SIZES.items()
    }


def _image_size(of: dict[str, np.ndarray], where: str) -> np.ndarray:
    """Whole (width, height), one for all, from t_xy = cam_xy + (box centre - size / 2) t_z / f."""
    place = of["cam_trans"]
    depth = np.where(place[:, 2:] > 0, place[:, 2:], np.nan)
    sizes = 2 * (of["box_center"] - (place[:, :2] - of["cam_bbox"][:, 1:]) * crops.FOCAL_PX / depth)
    size = np.round(np.median(sizes, 0))
    if not (size > 0).all() or not (np.quantile(np.abs(sizes - size), 0.9) < 0.1):
        raise ValueError(
            f"{where}: field cam_trans: wanted places at a focal length of 5000 px that give one image size, found "
            f"{size.tolist()} (median); give --image-size WIDTH HEIGHT"
        )
    return size


def _names(files: list[Path], shots: str | Path | None, where: str) -> dict[str, np.ndarray]:
    """The video's folder and shot, the track's folder, the frame's number, the image."""
    stems = [file.name.removesuffix(_SMPL) for file in files]
    folders = [file.resolve().parent for file in files]
    images = {stem: f"{stem}.jpg" for stem in stems}
    cut: dict[str, int] = {}
    if shots is not None:
        told = _shots(shots)
        images |= {Path(image).stem: image for image in told}
        cut = {Path(image).stem: shot for image, shot in told.items()}
        missing = sorted(set(stems) - set(cut))
        if missing:
            raise ValueError(
                f"{shots}: wanted every frame's shot, found none of {missing[0]}; is it of another video?"
            )
    frame = image_names.frames(images[stem] for stem in stems).frame
    if frame is None:
        raise ValueError(
            f"{where}: wanted a number in the name of every FRAME{_SMPL}, found one without; rename it"
        )
    several = len(set(cut.values())) > 1
    ends = [f"_shot{cut[stem]}" if several else "" for stem in stems]
    return {
        "sequence": np.array([f"{folder.parent.name}{end}" for folder, end in zip(folders, ends)]),
        "subject": np.array([folder.name for folder in folders]),
        "frame": frame,
        "image": np.array([images[stem] for stem in stems]),
    }


def _shots(path: str | Path) -> dict[str, int]:
    """The shot of every image of the video."""
    content = parsing.read_json(path)
    if not isinstance(content, dict) or not all(isinstance(shot, int) for shot in content.values()):
        raise ValueError(
            f"{path}: wanted a number for each image, found other things; give shot_idcs/VIDEO.json"
        )
    return content


def _keypoints(files: list[Path]) -> dict[str, Any]:
    """openpose25 of the files beside; of a frame without one, nothing is seen."""
    points = np.stack(
        [_seen(file.with_name(file.name.removesuffix(_SMPL) + _KEYPOINTS)) for file in files]
    )
    if not (points[..., 2] > 0).any():
        return {}
    # ViTPose's scores exceed 1 at times.
    points[..., 2] = np.clip(points[..., 2], 0, 1)
    shown = np.where(points[..., 2:] > 0, points, 0).astype(np.float32)
    return {"keypoints2d": shown, "keypoints2d_set": "openpose25"}


def _seen(file: Path) -> np.ndarray:
    if not file.is_file():
        return np.zeros((25, 3))
    where = str(file)
    people = parsing.field(parsing.read_json(file), "people", where, "one person's keypoints")
    if not isinstance(people, list) or len(people) != 1:
        raise ValueError(
            f"{where}: field people: wanted one person, as in a track's folder, found another number"
        )
    name = "pose_keypoints_2d"
    found = parsing.field(people[0], name, where, "25 keypoints")
    return finite.array(found, name, (25, 3), where)


def convert(
    source: Path,
    out: Path,
    shots: Path | None = None,
    image_size: tuple[float, float] | None = None,
    role: delivery.Role = "estimate",
) -> None:
    """Reads track folders of ScoreHMR's or SLAHMR's video demo.

    Args:
        source: demo_out/videos/track_preds/VIDEO, a track's folder in it, or one FRAME_smpl.json.
        out: The annotation set to write, .npz.
        shots: shot_idcs/VIDEO.json, which parts tracks at cuts.
        image_size: Width and height; else they are recovered from boxes and cameras.
        role: Whether the poses are what is refined or what is compared with.
    """
    fields = read_slahmr(source, shots, image_size=image_size)
    delivery.deliver(out, delivery.in_role(fields, role), str(source))
