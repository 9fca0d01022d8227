"""What a file or folder is: the first row of the table that fits, or a dump, or the rows that nearly fit."""

import collections
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax.convert.inspection import contents, dumps, formats, known

_KINDS = ".npz .npy .pt .pth .pkl .pickle .json .mat .h5 .hdf5 .bvh .smpl"
_SUFFIXES = frozenset(_KINDS.split())
_MOST_FILES, _FEW_FILES, _MOST_BYTES = 400, 20, 1 << 28
"""Files of a folder that are read: many where they are small, few where all of them are larger than this."""
_MOST_LISTED = 100_000


class Look(NamedTuple):
    """A file or folder, read and recognised."""

    path: Path
    format: formats.Format | None
    container: str
    fields: dict[str, Any]
    bytes: int
    files: int
    """1, or those of the folder."""
    read: int
    """How many of them were read."""
    others: dict[str, int]
    """What else the files that were read are, by title."""
    first: Path
    """The file, or the first of the folder's."""
    each: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - never written to.
    """Fields of each file of a folder by its name."""
    like: tuple[Path, ...] = ()
    """The files of this format that were read."""
    unlike: tuple[Path, ...] = ()
    """Those of another, or of none."""


class Near(NamedTuple):
    """A format that was not found."""

    format: formats.Format
    missing: list[str]


def look(path: Path) -> Look:
    """Reads and recognises; ValueError for a file that cannot be read or a folder without data."""
    if not path.is_dir():
        found = contents.read(path)
        _check_some(found, path)
        kind = of(found)
        return Look(path, kind, *found, files=1, read=1, others={}, first=path, like=(path,))
    files = _files(path)
    size = sum(file.stat().st_size for file in files)
    most = _MOST_FILES if size <= _MOST_BYTES else _FEW_FILES
    chosen = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, most).astype(int))]
    parts = [contents.read(file) for file in chosen]
    kinds = [of(part) for part in parts]
    # Track folders hold as many OpenPose files as poses.
    best = max(kinds, key=lambda k: (kinds.count(k), k is not None and k.name == "slahmr"))
    mine = [part for part, kind in zip(parts, kinds) if kind == best]
    others = collections.Counter(
        kind.title if kind else "unknown" for kind in kinds if kind != best
    )
    each = {
        file.stem: part.fields for file, part, kind in zip(chosen, parts, kinds) if kind == best
    }
    fields = _stacked([part.fields for part in mine])
    first = next(file for file, kind in zip(chosen, kinds) if kind == best)
    read = (mine[0].container, fields, size, len(files), len(mine))
    like = tuple(file for file, kind in zip(chosen, kinds) if kind == best)
    unlike = tuple(f for f, kind in zip(chosen, kinds) if kind != best and not _as_good(kind, best))
    return Look(path, best, *read, dict(others), first, each, like, unlike)


def _as_good(kind: formats.Format | None, best: formats.Format | None) -> bool:
    """AMASS's releases differ, and one command takes both."""
    return kind is not None and best is not None and kind.name == best.name == "amass"


def _check_some(found: contents.Contents, path: Path) -> None:
    """ValueError for a list or object of nothing."""
    whole = found.fields.get("value")
    if len(found.fields) == 1 and isinstance(whole, list | tuple | dict) and not whole:
        what = "object" if isinstance(whole, dict) else "list"
        raise ValueError(f"{path}: wanted data, found an empty {what}; export it again")


def _files(folder: Path) -> list[Path]:
    found = (f for f in folder.rglob("*") if f.suffix.lower() in _SUFFIXES and f.is_file())
    files = sorted(file for file, _ in zip(found, range(_MOST_LISTED)) if file.name[0] != ".")
    if not files:
        raise ValueError(
            f"{folder}: wanted files that hold data ({_KINDS}), found none; "
            "give the folder they lie in"
        )
    return files


def _stacked(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One table of the tables of several files: a field's rows after each other."""
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part)
    whole = {name: _joined(name, [part[name] for part in parts if name in part]) for name in names}
    return {name: value for name, value in whole.items() if value is not None}


def _joined(name: str, values: list[Any]) -> Any:
    """Rows after each other; what a file has once (a number, the betas) becomes a row a file."""
    full = [value for value in values if np.size(value)] if _are_arrays(values) else values
    if _are_arrays(full) and len({(v.ndim, v.shape[1:], v.dtype.kind in "US") for v in full}) == 1:
        once = full[0].ndim == 0 or (full[0].ndim == 1 and dumps.is_betas(name))
        return np.stack(full) if once and len({v.shape for v in full}) == 1 else _after(full)
    return full[0] if full else values[0]


def _after(values: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.atleast_1d(value) for value in values])


def _are_arrays(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(value, np.ndarray) for value in values)


def of(found: contents.Contents) -> formats.Format | None:
    """The format of what was read; a dump with something like a pose is the last resort."""
    for row in known.TABLE:
        if (
            _may_be(row, found.container)
            and not missing(row, found.fields)
            and row.test(found.fields)
        ):
            return row
    return dumps.generic(found.fields)


def _may_be(row: formats.Format, container: str) -> bool:
    return not row.container or container in row.container.split()


def missing(row: formats.Format, fields: Mapping[str, Any]) -> list[str]:
    """What a format needs and the file lacks."""
    return [
        need
        for need in row.needs.split()
        if not any(paths(part, fields) for part in need.split("|"))
    ]


def paths(pattern: str, fields: Mapping[str, Any]) -> list[str]:
    """The fields that a path with `**` for anything names."""
    if "**" not in pattern:
        return [pattern] if pattern in fields else []
    wanted = re.compile(".*".join(map(re.escape, pattern.split("**"))))
    return [name for name in fields if wanted.fullmatch(name)]


def nearest(fields: Mapping[str, Any], container: str, count: int = 3) -> list[Near]:
    """The rows that need least more, best first; none where nothing is alike."""
    scored = []
    for row in known.TABLE:
        lacking = missing(row, fields)
        there = len(row.needs.split()) - len(lacking)
        close = sum(
            bool(difflib.get_close_matches(need, list(fields)[:200], 1, 0.8)) for need in lacking
        )
        score = (there + close / 2) / len(row.needs.split())
        scored.append((score * (1.0 if _may_be(row, container) else 0.5), row, lacking))
    best = sorted((entry for entry in scored if entry[0] >= 0.3), key=lambda entry: -entry[0])
    return [Near(row, lacking) for _, row, lacking in best[:count]]
