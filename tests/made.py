"""What a test module that writes files of some format tells of them: `CASES` in tests/files_*.py."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Case(NamedTuple):
    """A valid input of a converter, which the hostile tests then break."""

    convert: Callable[[Path], None]
    """Converts to the path it is given, in silence; raises ValueError on bad input and writes nothing."""
    files: list[Path]
    """The inputs that may be damaged."""
