"""What sequence sets are to be made of: a value that says it, and what of it makes no sense together."""

import dataclasses
from pathlib import Path
from typing import Any

from diffjax.frontends import stcformer


@dataclasses.dataclass(frozen=True)
class Film:
    """Motion before four simulated cameras."""

    motion: str = "generated"
    """Made up ("generated"), or a directory with train/, val/ and test/ of AMASS-layout .npz files split by subject
    (the part of a file name before the first "_")."""
    body: Path = Path("converted_weights/open_body.npz")
    """SMPL-format body with a h36m17 regressor."""
    fps: float = 50.0
    """Frames a second, at most."""
    takes: int = 1
    """Training motion is filmed so often, each time by other cameras; where the shape of a body is not known, also as
    another body."""
    true_2d: bool = False
    """A detector that makes no errors."""


@dataclasses.dataclass(frozen=True)
class H36M:
    """Human3.6M in place of motion: trains on S1, S5, S6, S7 and S8 less --val, tests on S9 and S11."""

    h36m3d: Path | None = None
    """VideoPose3D's data_3d_h36m.npz."""
    h36m2d: Path | None = None
    """A data_2d_h36m_*.npz beside it."""
    h36m_estimates: Path | None = None
    """What another's lifter (MixSTE, VideoPose3D, ...) says of these videos, laid out as in h36m2d:
    positions_3d[subject][action] is a list of four cameras, (frames, 17, 3) metres in the camera's axes, every frame at
    50 Hz. Of training subjects it must be out of fold."""
    val: tuple[str, ...] = ("S8",)
    """Training subjects to choose on."""


@dataclasses.dataclass(frozen=True)
class Training:
    """Lifters that are trained: cross-fitted for train, and on all of train for val and test."""

    average: int = 1
    """An estimate is the mean of so many lifters, which differ in their seed; each is cross-fitted."""
    folds: int = 4
    """Lifters to cross-fit with; fewer subjects are their own folds."""
    network: stcformer.Network = "frames"
    """With a token a frame, which a CPU trains well in a minute or two, or STCFormer's."""
    window: int | None = None
    """Frames that the lifter sees (27, or 9 of stcformer)."""
    width: int | None = None
    """Of the network (128, or 64; STCFormer's own is 256)."""
    depth: int | None = None
    """Its blocks (4, or 2; STCFormer's own is 6)."""
    steps: int | None = None
    """Training steps of each of the lifters, a multiple of 25 (3000, or 600)."""
    batch: int | None = None
    """Windows a step (32, or 48)."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that sequence sets are made of."""

    film: Film = Film()
    h36m: H36M = H36M()
    lifter: tuple[Path, ...] = ()
    """A lifter to lift everything with, in place of training some (scripts/convert.py stcformer); of several the mean.
    If it was trained on the people of train, a refiner learns from errors that are too small."""
    training: Training = Training()
    seed: int = 0
    """Of weights, cameras and noise."""


def settings_of(training: Training) -> stcformer.Settings:
    """Of a lifter: those of its network, but for what is told."""
    told = {
        name: getattr(training, name) for name in ("window", "width", "depth", "steps", "batch")
    }
    own = stcformer.LIGHT if training.network == "frames" else stcformer.Settings()
    return own._replace(**{name: value for name, value in told.items() if value is not None})


def check(recipe: Recipe) -> None:
    """ValueError where something is told that cannot be done, or would have no effect."""
    h36m, training = recipe.h36m, recipe.training
    pair = [file is not None for file in (h36m.h36m3d, h36m.h36m2d)]
    if any(pair) != all(pair) or (h36m.h36m_estimates and not all(pair)):
        raise ValueError("--h36m3d, --h36m2d: wanted both files, found fewer; pass the other too")
    if h36m.h36m_estimates and recipe.lifter:
        raise ValueError("--h36m-estimates, --lifter: wanted one, found both; leave one out")
    for name, least in (("average", 1), ("folds", 2)):
        if (value := getattr(training, name)) < least:
            raise ValueError(f"--{name}: wanted {least} or more, found {value}")
    _check_idle(recipe)
    stcformer.check(settings_of(training))


def _check_idle(recipe: Recipe) -> None:
    """ValueError where something is told that something else leaves without effect."""
    if recipe.h36m.h36m3d:
        _refuse_told(recipe.film, "nothing beside --h36m3d, which is filmed already")
    else:
        _refuse_told(recipe.h36m, "it beside --h36m3d and --h36m2d only")
    if recipe.lifter:
        _refuse_told(recipe.training, "nothing beside --lifter, which is trained already")
    if recipe.h36m.h36m_estimates:
        _refuse_told(recipe.training, "nothing beside --h36m-estimates, which is lifted already")


def _refuse_told(told: Any, wanted: str) -> None:
    """ValueError where any of these fields is not its default."""
    for field in dataclasses.fields(told):
        if (value := getattr(told, field.name)) != field.default:
            name = field.name.replace("_", "-")
            raise ValueError(f"--{name}: wanted {wanted}, found {value}; leave one out")
