"""Any file as a flat table of arrays: what is nested is named by its path, what repeats is stacked.

`smpl/body_pose` is an entry of a dict in a dict, `annotations[]/bbox` the entry `bbox` of all items of a
list, `*/pose` the entry `pose` of all values of a dict whose keys are ids or file names.
"""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from diffjax.convert import parsing

_DEEPEST = 6
"""Levels that are named; what is deeper stays whole."""
_MOST_NAMES = 2000
_ID = re.compile(r"\d(?![dD](_|\b))")
"""Numbers, S9, 000001.jpg, but not positions_3d."""


def flat(content: Any) -> dict[str, Any]:
    """Arrays by path."""
    fields: dict[str, Any] = {}
    _flatten(content, "", fields, 0)
    return fields


def _flatten(value: Any, path: str, fields: dict[str, Any], depth: int) -> None:
    if len(fields) >= _MOST_NAMES:
        return
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.item() if value.ndim == 0 else value.ravel().tolist()
    if depth >= _DEEPEST or not isinstance(value, dict | list | tuple) or not value:
        fields[path or "value"] = regular(value)
    elif isinstance(value, dict):
        _flatten_dict(value, path, fields, depth)
    elif all(isinstance(item, dict) for item in value):
        _flatten_table(value, f"{path}[]", fields, depth)
    elif all(_is_list_of_dicts(item) for item in value) and any(len(item) for item in value):
        _flatten_table([row for item in value for row in item], f"{path}[]", fields, depth)
    else:
        fields[path or "value"] = regular(value)


def _flatten_dict(value: dict, path: str, fields: dict[str, Any], depth: int) -> None:
    rows = list(value.values())
    if all(isinstance(row, dict) for row in rows) and all(map(_is_id, value)):
        _flatten_table(rows, f"{path}/*" if path else "*", fields, depth)
        return
    for key, item in value.items():
        name = parsing.text(key)
        _flatten(item, f"{path}/{name}" if path else name, fields, depth + 1)


def _flatten_table(rows: list[dict], path: str, fields: dict[str, Any], depth: int) -> None:
    """Each key's values over all rows that have it, as one value."""
    columns: dict[str, list[Any]] = {}
    for row in rows:
        for key, item in row.items():
            columns.setdefault(parsing.text(key), []).append(item)
    if columns and all(map(_is_id, columns)) and all(_are_dicts(c) for c in columns.values()):
        inner = [item for column in columns.values() for item in column]
        _flatten_table(inner, f"{path}/*", fields, depth + 1)
        return
    for name, column in columns.items():
        whole = column if len(column) > 1 or not _is_list_of_dicts(column[0]) else column[0]
        if _are_dicts(column):
            _flatten_table(column, f"{path}/{name}", fields, depth + 1)
        elif depth < _DEEPEST and any(map(_is_list_of_dicts, column)) and _fully(column):
            inner = [item for part in column for item in part]
            _flatten_table(inner, f"{path}/{name}[]", fields, depth + 1)
        else:
            fields[f"{path}/{name}"] = regular(whole)


def _fully(column: Iterable[Any]) -> bool:
    return all(_is_list_of_dicts(item) or (isinstance(item, list) and not item) for item in column)


def _are_dicts(column: list[Any]) -> bool:
    return all(isinstance(item, dict) for item in column)


def _is_list_of_dicts(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and isinstance(value[0], dict) and _are_dicts(value)
    )


def _is_id(key: Any) -> bool:
    return isinstance(key, int | np.integer) or bool(_ID.search(parsing.text(key)))


def regular(value: Any) -> Any:
    """An array of numbers or text, where `value` is one; lists of arrays of one width are joined."""
    if isinstance(value, np.ndarray | np.generic):
        return _words(np.asarray(value))
    if isinstance(value, str | bytes | bool | int | float):
        return np.asarray(value)
    if not isinstance(value, list | tuple) or not len(value):
        return value
    array = _array(value)
    if array is None:
        array = _joined(value)
    return value if array is None else _words(array)


def _words(array: np.ndarray) -> Any:
    return array.tolist() if array.dtype == object else array


def _array(value: Any) -> np.ndarray | None:
    """As one array; None where it is ragged, or numbers and text are mixed."""
    try:
        array = np.array(value)
    except (ValueError, TypeError, OverflowError):
        return None
    mixed = array.dtype.kind in "US" and not all(
        isinstance(item, str | bytes) for item in _leaves(value)
    )
    return None if array.dtype.kind not in "biufUS" or mixed else array


def _leaves(value: Any) -> Iterable[Any]:
    """The items of a list, or of its lists."""
    if isinstance(value, np.ndarray | np.generic):
        return value.ravel().tolist()
    if isinstance(value, list | tuple):
        return (leaf for item in value for leaf in _leaves(item))
    return (value,)


def _joined(value: Any) -> np.ndarray | None:
    """(rows, width) of parts (rows_i, width), empty parts left out: one person's rows after another's."""
    parts = [part for part in map(_array, value) if part is not None and part.size]
    kinds = {(part.ndim, part.shape[1:], part.dtype.kind in "US") for part in parts}
    some = sum(not _is_empty(item) for item in value)
    if len(kinds) != 1 or len(parts) < some or parts[0].ndim < 1:
        return None
    return np.concatenate(parts)


def _is_empty(value: Any) -> bool:
    return value is None or (
        isinstance(value, list | tuple | np.ndarray) and not np.size(np.asarray(value, object))
    )
