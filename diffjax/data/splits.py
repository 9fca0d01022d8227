"""Motion split by subject into train, val and test, and which moments of it are looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from diffjax.data import amass, motion

_SEED = 2


class Clips(NamedTuple):
    """Motion split by subject."""

    train: list[motion.Clip]
    val: list[motion.Clip]
    test: list[motion.Clip]


class Sampling(NamedTuple):
    """Which frames are taken: every n-th, at most so many of one subject; and how many windows."""

    train_every: int = 4
    val_every: int = 6
    test_every: int = 6
    cap: int = 650
    val_windows: int = 16
    test_windows: int = 30


def read_clips(directory: str | Path) -> list[motion.Clip]:
    """All `.npz` motions of a directory; a clip's subject is its file name before the first '_'."""
    paths = sorted(Path(directory).glob("*.npz"))
    if not paths:
        raise FileNotFoundError(
            f"{directory}: wanted motion files (.npz, AMASS's layout), found none; "
            "give a directory with train/, val/ and test/, or --motion generated"
        )
    return [motion.Clip(amass.read_motion(p), p.stem, p.stem.split("_")[0]) for p in paths]


def read_split(directory: str | Path, parts: Sequence[str] = Clips._fields) -> Clips:
    """Motion in train/, val/ and test/ below a directory. No subject may be in two of them.

    What is not in `parts` is left empty.
    """
    there = {part: read_clips(Path(directory) / part) for part in parts}
    clips = Clips(*(there.get(part, []) for part in Clips._fields))
    subjects = [{clip.subject for clip in part} for part in clips]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        if shared := subjects[i] & subjects[j]:
            raise ValueError(
                f"{directory}: wanted subjects in one split only, found {sorted(shared)} in "
                f"{Clips._fields[i]} and {Clips._fields[j]}; move their files to one of the two"
            )
    return clips


_GENERATED = {"train": (range(60), 8), "val": (range(60, 72), 3), "test": (range(72, 84), 3)}
GENERATED_SAMPLING = Sampling(train_every=6, val_every=12, test_every=12, cap=25)


def generated_clips(part: str) -> list[motion.Clip]:
    """Generated motion of one split: 60 training subjects with 8 clips, 12 held-out ones with 3."""
    subjects, clips = _GENERATED[part]
    return motion.generate(_SEED, subjects, clips)


def generated_split(parts: Sequence[str] = Clips._fields) -> Clips:
    """Generated motion, split by subject. What is not in `parts` is left empty."""
    return Clips(*(generated_clips(part) if part in parts else [] for part in Clips._fields))
