"""MPI-INF-3DHP's test annotations: 17 joints in the camera frame, and their pixels."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax.convert import delivery, mat73, mpi_inf_3dhp_train, order, rows, videos

Frames = Literal["valid", "inside", "inside_image"]
Skeleton = mpi_inf_3dhp_train.Skeleton
Say = Callable[[str], None]

_SIZES = {5: (1920.0, 1080.0), 6: (1920.0, 1080.0)}  # Of the test subjects; the others are square.


@np.errstate(all="ignore")
def read_test(
    path: str | Path,
    *,
    joints: Skeleton = "universal",
    frames: Frames = "valid",
    say: Say = print,
) -> dict[str, Any]:
    """The test set (TS1 to TS6): an annot_data.mat, a TS folder, or the folder of all.

    `joints`: `universal` (univ_annot3: rescaled to one height; SPIN, mmhuman3d and the paper) or `metric`
    (annot3; mmpose). `frames`: `valid` (all with valid_frame: 2,929), `inside` (of these, all joints inside
    2048 x 2048) or `inside_image` (inside the image of that subject, which is SPIN's rule).
    """
    files = _test_files(Path(path))
    parts = [_test_part(file, subject, joints) for subject, file in files]
    kept = [_inside(part, frames) for part in parts]
    before, after = (sum(len(part.index) for part in some) for some in (parts, kept))
    if not after:
        raise ValueError(
            f"{path}: field valid_frame: wanted valid frames, found none; get the file again"
        )
    name = mpi_inf_3dhp_train.ANNOTATIONS[joints]
    say(f"{path}: {after} of {before} valid frames ({frames}); joints of {name}")
    if len(files) == 6 and after not in (2929, 2875):
        say(f"{path}: published counts are 2929 (SPIN, HMR) and 2875 (DiffAnnot)")
    filled = [part for part in kept if len(part.index)]
    return rows.checked(videos.fields_of(filled, say), str(path))


def _test_files(path: Path) -> list[tuple[int, Path]]:
    """(subject, annot_data.mat), by subject."""
    below = (p for at in ("", "TS*/", "*/TS*/") for p in path.glob(f"{at}annot_data.mat"))
    found = [path] if path.is_file() else list(below)
    if not found:
        raise FileNotFoundError(
            f"{path}: wanted annot_data.mat below it, found none; give mpi_inf_3dhp_test_set"
        )
    named = [(re.fullmatch(r"TS([1-6])", file.resolve().parent.name), file) for file in found]
    unknown = [file for match, file in named if match is None]
    if unknown:
        raise ValueError(
            f"{unknown[0]}: wanted it in a folder TS1 to TS6, which names the subject; keep the folders"
        )
    return sorted((int(match[1]), file) for match, file in named if match)


def _test_part(file: Path, subject: int, joints: Skeleton) -> videos.Video:
    where = str(file)
    stored = mat73.load(file, ("annot2", "annot3", "univ_annot3", "valid_frame"))
    valid = rows.numbers(stored["valid_frame"], "valid_frame", (1,), where)[:, 0]
    shapes = {"annot2": (1, 17, 2), "annot3": (1, 17, 3), "univ_annot3": (1, 17, 3)}
    index = np.flatnonzero(valid > 0)
    arrays = {
        name: rows.numbers(stored[name], name, shape, where, len(valid))[index, 0]
        for name, shape in shapes.items()
    }
    return videos.Video(
        name=f"TS{subject}",
        joints=arrays[mpi_inf_3dhp_train.ANNOTATIONS[joints]] / 1000.0,
        metric=arrays["annot3"] / 1000.0,
        pixels=arrays["annot2"],
        index=index,
        image=f"mpi_inf_3dhp_test_set/TS{subject}/imageSequence/img_{{:06d}}.jpg",
        size=_SIZES.get(subject, mpi_inf_3dhp_train.SIZE),
    )


def _inside(part: videos.Video, frames: Frames) -> videos.Video:
    """The frames whose joints are all inside; all of them for `valid`."""
    if frames == "valid":
        return part
    size = np.array(mpi_inf_3dhp_train.SIZE if frames == "inside" else part.size, np.float32)
    return _at(part, ((part.pixels >= 0) & (part.pixels < size)).all((1, 2)))


def _at(part: videos.Video, index: np.ndarray | slice) -> videos.Video:
    names = ("joints", "metric", "pixels", "index")
    return part._replace(**{name: getattr(part, name)[index] for name in names})


def convert(
    source: Path,
    out: Path,
    estimates: Path | None = None,
    split: Literal["test", "train"] = "test",
    joints: Skeleton | None = None,
    frames: Frames = "valid",
    cameras: tuple[int, ...] = mpi_inf_3dhp_train.VIDEOS,
    every: int = 10,
    order_like: Path | None = None,
) -> None:
    """Reads MPI-INF-3DHP's annotations: 3D joints, 2D keypoints, cameras.

    Args:
        source: mpi_inf_3dhp_test_set (split test), mpi_inf_3dhp (split train), or one .mat.
        out: The set to write, .npz.
        estimates: An annotation set whose people are given this evidence.
        split: Which of its two formats.
        joints: universal: rescaled to one height (unless given, for test, as SPIN and mmhuman3d); metric:
            as measured (unless given, for train; mmpose for both).
        frames: Test: all valid ones, or those with all joints inside 2048 x 2048 or the image.
        cameras: Train: the videos.
        every: Train: keep every n-th frame.
        order_like: Take the rows of this HumanData, SPIN or annotation .npz, in its order.
    """
    if split == "test":
        fields = read_test(source, joints=joints or "universal", frames=frames)
    else:
        how: dict[str, Any] = {"every": every, "joints": joints or "metric"}
        fields = mpi_inf_3dhp_train.read_train(source, numbers=cameras, **how)
    if order_like is not None:
        fields = order.order_like(fields, order_like, str(source))
    delivery.deliver(out, fields, str(source), estimates)
