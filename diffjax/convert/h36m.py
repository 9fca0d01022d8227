"""Human3.6M in VideoPose3D's two files: 3D joints in the frame of each camera, and their 2D keypoints."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import skeleton, unpickle
from diffjax.convert import delivery, h36m_cameras, parsing, rows

Say = Callable[[str], None]

_STATIC = (4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31)
_MOVING = np.setdiff1d(np.arange(32), _STATIC)
"""Human3.6M repeats some of its 32 joints and never moves others; these 17 remain."""
_SETS = ("h36m17_native", "coco17")


class _Keypoints2D(NamedTuple):
    """A 2D file: subject -> action -> a list of four (F, 17, 2 or 3)."""

    people: dict[str, Any]
    name: str
    """The keypoint set."""
    where: str


@np.errstate(all="ignore")
def read_h36m(
    path: str | Path,
    keypoints2d: str | Path | None = None,
    *,
    subjects: Sequence[str] = (),
    cameras: Sequence[str] = (),
    stride: int = 1,
    say: Say = print,
) -> dict[str, Any]:
    """`data_3d_h36m.npz`, and a `data_2d_h36m_*.npz` (CPN, ground truth, detectron) beside it.

    Videos in the order of the 3D file, camera by camera, frame by frame; `sequence` names the video
    ('S1/Walking 1/54138969'). Frames are at 50 Hz; every `stride`-th is kept.
    """
    if stride < 1 or not set(cameras) <= set(h36m_cameras.NAMES):
        raise ValueError(
            f"wanted --stride of 1 or more and --cameras of {h36m_cameras.NAMES}, "
            f"found {stride} and {tuple(cameras)}"
        )
    content = unpickle.load_npz(path)
    people = parsing.field(content, "positions_3d", str(path), "VideoPose3D's 3D file")
    chosen = _subjects(people, subjects, str(path), say)
    second = None if keypoints2d is None else _read_2d(Path(keypoints2d))
    views = tuple(cameras) or h36m_cameras.NAMES
    parts = [
        part
        for subject in chosen
        for action, world in _actions(people[subject], subject, str(path))
        for part in _videos(subject, action, world, views, second, stride)
    ]
    if not parts:
        raise ValueError(f"{path}: field positions_3d: wanted frames, found none; check --subjects")
    fields: dict[str, Any] = rows.concatenate(parts)
    fields["keypoints3d_set"] = "h36m17_native"
    if second is not None:
        fields["keypoints2d_set"] = second.name
    say(f"{path}: {len(parts)} videos of {', '.join(chosen)}; lens distortion is left out")
    return rows.checked(fields, str(path))


def _subjects(people: Any, wanted: Sequence[str], where: str, say: Say) -> list[str]:
    """The subjects to read, in the file's order; those without public cameras are left out, said aloud."""
    if not isinstance(people, dict) or not all(isinstance(name, str) for name in people):
        raise ValueError(
            f"{where}: field positions_3d: wanted subjects by name, found a {type(people).__name__}; "
            "make it with VideoPose3D's prepare_data_h36m.py"
        )
    missing = [name for name in wanted if name not in people]
    if missing:
        raise ValueError(
            f"{where}: field positions_3d: wanted {', '.join(missing)}, found {', '.join(people)[:200]}"
        )
    chosen = [name for name in people if name in (wanted or people)]
    blind = [name for name in chosen if name not in h36m_cameras.SUBJECTS]
    if blind:
        say(f"{where}: {', '.join(blind)[:200]} left out: their cameras are not public")
    return [name for name in chosen if name not in blind]


def _actions(actions: Any, subject: str, where: str) -> Iterator[tuple[str, np.ndarray]]:
    """(action, (F, 17, 3) world metres) of one subject."""
    if not isinstance(actions, dict):
        raise ValueError(
            f"{where}: field positions_3d.{subject}: wanted actions by name, found a "
            f"{type(actions).__name__}; make the file again"
        )
    for key, values in actions.items():
        action = rows.name_of(key, f"positions_3d.{subject}", where)
        name = f"positions_3d.{subject}.{action}"
        world = rows.numbers(values, name, (None, 3), where)
        if world.shape[1] not in (17, 32):
            raise ValueError(
                f"{where}: field {name}: wanted 32 joints, or the 17 that move, found {world.shape[1]}"
            )
        yield action, world if world.shape[1] == 17 else world[:, _MOVING]


def _videos(
    subject: str,
    action: str,
    world: np.ndarray,
    views: Sequence[str],
    second: _Keypoints2D | None,
    stride: int,
) -> Iterator[dict[str, np.ndarray]]:
    """The rows of one recording, a camera at a time."""
    frame = np.arange(0, len(world), stride)
    for name in views if len(frame) else ():
        view = h36m_cameras.view(subject, name)
        joints = rows.with_confidence(h36m_cameras.in_camera(view, world[frame]))
        video = {
            "keypoints3d": joints,
            "frame": frame,
            "sequence": np.full(len(frame), f"{subject}/{action}/{name}"),
            "subject": np.full(len(frame), subject),
            **{
                key: np.tile(np.array(getattr(view, key), np.float32), (len(frame), 1))
                for key in ("focal_px", "center_px", "image_size_px")
            },
        }
        if second is not None:
            video["keypoints2d"] = _pixels(second, subject, action, name, len(world))[frame]
        yield video


def _read_2d(path: Path) -> _Keypoints2D:
    """A 2D file, its set told by which of its keypoints are left and right."""
    where, content = str(path), unpickle.load_npz(path)
    wanted = "VideoPose3D's 2D file"
    people = parsing.field(content, "positions_2d", where, wanted)
    metadata = parsing.field(content, "metadata", where, wanted)
    symmetry = parsing.field(metadata, "keypoints_symmetry", where, "left and right keypoints")
    sides = {name: _sides(skeleton.KEYPOINT_SETS[name]) for name in _SETS}
    found = [name for name, both in sides.items() if both == _lists(symmetry)]
    if not found:
        raise ValueError(
            f"{where}: field metadata.keypoints_symmetry: wanted that of {' or '.join(_SETS)}, found "
            f"{str(symmetry)[:120]}; take the CPN, the ground truth or the detectron file"
        )
    return _Keypoints2D(people, found[0], where)


def _sides(names: Sequence[str]) -> list[list[int]]:
    return [[i for i, n in enumerate(names) if n.startswith(side)] for side in ("left", "right")]


def _lists(symmetry: Any) -> list[list[Any]] | None:
    """Plain lists of what may be tuples or arrays."""
    try:
        return [np.asarray(side).tolist() for side in symmetry]
    except (TypeError, ValueError):
        return None


def of_camera(
    people: Any, field: str, subject: str, action: str, camera: str, where: str
) -> np.ndarray:
    """(F, 17, d) of one camera in subject -> action -> a list of four."""
    name, wanted = f"{field}.{subject}.{action}", "the same recordings as in the 3D file"
    actions = parsing.field(people, subject, where, wanted)
    videos = parsing.field(actions, action, where, wanted)
    several = isinstance(videos, list | tuple) or (isinstance(videos, np.ndarray) and videos.ndim)
    if not several or len(videos) != len(h36m_cameras.NAMES):
        raise ValueError(
            f"{where}: field {name}: wanted a list of four cameras; make the file again"
        )
    return rows.numbers(videos[h36m_cameras.NAMES.index(camera)], name, (17, None), where)


def _pixels(second: _Keypoints2D, subject: str, action: str, camera: str, count: int) -> np.ndarray:
    """(count, 17, 3) of one video: videos may run longer than the motion capture, and are cut."""
    pixels = of_camera(second.people, "positions_2d", subject, action, camera, second.where)
    if pixels.shape[2] not in (2, 3) or len(pixels) < count:
        raise ValueError(
            f"{second.where}: field positions_2d.{subject}.{action}: wanted ({count} or more, 17, 2), found "
            f"{pixels.shape}; are the two files of the same motion?"
        )
    if pixels.shape[2] == 2:
        return rows.with_confidence(pixels[:count])
    return np.where(pixels[:count, :, 2:] > 0, pixels[:count], 0.0)


def convert(
    source: Path,
    out: Path,
    estimates: Path | None = None,
    keypoints2d: Path | None = None,
    subjects: tuple[str, ...] = (),
    cameras: tuple[str, ...] = (),
    stride: int = 1,
) -> None:
    """Reads Human3.6M in VideoPose3D's 3D and 2D files, cameras included.

    Args:
        source: data_3d_h36m.npz.
        out: The set to write, .npz.
        estimates: An annotation set whose people are given this evidence.
        keypoints2d: data_2d_h36m_cpn_ft_h36m_dbb.npz, data_2d_h36m_gt.npz, ...
        subjects: S1, S5, ...; all with public cameras unless given.
        cameras: 54138969, 55011271, 58860488, 60457274; all unless given.
        stride: Keep every n-th frame; they are at 50 Hz.
    """
    fields = read_h36m(source, keypoints2d, subjects=subjects, cameras=cameras, stride=stride)
    delivery.deliver(out, fields, str(source), estimates)
