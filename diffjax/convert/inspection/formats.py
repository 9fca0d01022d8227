"""A row of the table of formats: by what it is recognised, what its fields mean, what converts it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Fields = Mapping[str, Any]


class Format(NamedTuple):
    """One row of the table."""

    name: str
    title: str
    needs: str
    """Paths that must be there, `a|b` for one of both; `**` stands for anything."""
    parts: str = ""
    """role[@keypoint set]=path of what can be judged; see `roles.py`."""
    command: str = ""
    """Options of `python scripts/convert.py`, or another program's line that starts with python."""
    note: str = ""
    """What goes wrong with these files most often."""
    test: Callable[[Fields], bool] = lambda fields: True
    """What the names do not say."""
    axes: str = ""
    """`camera` or `world`, where the poses of such files stand in one of them; see `poses.py`."""
    container: str = ""
    """Kinds of file it may be; any without it."""


def last(fields: Fields, *names: str) -> int:
    """Size of the last axis of the first field that is an array; 0 without one."""
    for name in names:
        if isinstance(value := fields.get(name), np.ndarray) and value.ndim:
            return value.shape[-1]
    return 0


def shape(fields: Fields, name: str) -> tuple[int, ...]:
    return np.shape(value) if isinstance(value := fields.get(name), np.ndarray) else ()


def width(fields: Fields, name: str) -> int:
    """Numbers a person, also where some people have none, or something that is no list."""
    value = fields.get(name)
    if isinstance(value, np.ndarray):
        return value.shape[-1] if value.ndim == 2 else 0
    lists = [len(item) for item in value if isinstance(item, list) and item] if value else []
    return max(set(lists), key=lists.count, default=0)
