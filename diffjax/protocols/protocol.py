"""What a protocol is: all that has to be said to measure as a paper did."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from diffjax.data import records

Over = Literal["frames", "actions", "sequences"]
Check = Callable[[records.AnnotationSet], str]
"""What a set lacks to be the one that papers measure on, in words; '' where nothing is wrong."""


class Column(NamedTuple):
    """A number of the protocol."""

    title: str
    """As papers call it."""
    measure: str
    """Of `errors.UNITS`."""
    over: Over | None = None
    """Another mean than the protocol's."""


class Near(NamedTuple):
    """What PCK and AUC are counted at."""

    joints: tuple[str, ...]
    threshold_mm: float = 150.0
    area_mm: int = 0
    """AUC as the area below so many mm, not as a mean over 0, 5 .. 150 mm."""


class Protocol(NamedTuple):
    """One way to measure."""

    name: str
    joints: str
    """Keypoint set of the regressor that both meshes are seen through."""
    counted: tuple[str, ...]
    """Of these, the joints whose errors are counted."""
    root: tuple[tuple[str, ...], ...]
    """Joints whose mean is the root; the first that the truth has."""
    truth: Literal["body", "joints", "table", "image"]
    """`body`: posed on the body of its gender, else cached joints. `joints`: cached. `table`: as `evaluate` has it."""
    columns: tuple[Column, ...]
    cached: tuple[str, ...] = ()
    """Sets of 3D joints that are the same points."""
    average: Over = "frames"
    near: Near = Near(())
    recordings: bool = False
    """Whether sequences are named as Human3.6M's, with their action and camera."""
    listed: bool = False
    """Whether papers list actions, or sequences, too."""
    gaps: bool = True
    """Whether a track ends where frames are missing."""
    fps: float = 30.0
    placed: bool = False
    """Whether 2D errors are those at the estimate's own translation, where there is one; else it is solved."""
    checks: tuple[Check, ...] = ()
    beside: str = ""
    """Whose numbers it can stand beside."""
