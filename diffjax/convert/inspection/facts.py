"""What was found, as one object of plain values: numbers, text, lists and dicts of them."""

from typing import Any

import numpy as np

from diffjax.convert.inspection import advice, recognise
from diffjax.convert.inspection.verdict import Finding, number


def of(
    look: recognise.Look, findings: list[Finding], sequences: dict[str, int], rows: int | None
) -> dict[str, Any]:
    """Everything that is said, with keys that stay."""
    row = look.format
    near = [] if row else recognise.nearest(look.fields, look.container)
    command, note = advice.of(look, findings)
    found = {
        "file": str(look.path),
        "format": row.name if row else None,
        "title": row.title if row else "nothing that is known",
        "container": look.container,
        "bytes": look.bytes,
        "files": look.files,
        "files_read": look.read,
        "files_otherwise": look.others,
        "rows": rows,
        "fields": [_field(name, value) for name, value in look.fields.items()],
        "findings": [finding._asdict() for finding in findings],
        "sequences": sequences,
        "note": note,
        "command": command,
        "nearest": [{"title": n.format.title, "missing": n.missing} for n in near],
    }
    return _plain(found)


def _plain(value: Any) -> Any:
    """Numbers as JSON has them: no NumPy, no NaN."""
    if isinstance(value, dict):
        return {_printable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return _printable(value)
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _field(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, np.ndarray):
        shape = [len(value)] if isinstance(value, list | tuple | dict | str) else []
        return {
            "name": name,
            "shape": shape,
            "dtype": type(value).__name__,
            "holds": _example(value),
        }
    dtype = {"U": "text", "S": "bytes"}.get(value.dtype.kind, str(value.dtype))
    return {"name": name, "shape": list(value.shape), "dtype": dtype, "holds": _holds(value)}


def _holds(array: np.ndarray) -> str:
    """Range of numbers, or the first text."""
    if not array.size:
        return ""
    if array.dtype.kind in "US":
        return _example(array.ravel()[0])
    if array.dtype.kind == "f":
        array = array[np.isfinite(array)]
    if not array.size or array.dtype.kind not in "fiub":
        return ""
    low, high = float(array.min()), float(array.max())
    return number(low) if low == high else f"{number(low)} .. {number(high)}"


def _example(value: Any) -> str:
    if value is None or isinstance(value, dict | list | tuple):
        return "" if value is None else "irregular" if len(value) else "empty"
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return _printable(text[:60])


def _printable(text: str) -> str:
    """Without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "." for letter in text)
