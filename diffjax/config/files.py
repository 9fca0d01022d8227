"""Runs in files: config files, and the text in checkpoints."""

import dataclasses
import difflib
import json
import pathlib
import runpy
from typing import Any

from diffjax.config.run import Run

ROOT = pathlib.Path(__file__).resolve().parents[2]
"""The repository: relative paths that are not in the working directory are looked up here."""


def load(path: str | pathlib.Path) -> Run:
    """The value of `get_config()` in a config file, run by path."""
    file = locate(path)
    if not file.is_file():
        there = [other.name for other in locate(file.parent).glob("*.py")]
        near = difflib.get_close_matches(file.name, there, 1)
        hint = f"did you mean {near[0]}?" if near else "configs/demo.py needs no data"
        raise FileNotFoundError(f"{path}: no config here; {hint}")
    run = runpy.run_path(str(file)).get("get_config", lambda: None)()
    if not isinstance(run, Run):
        raise ValueError(f"{path}: wanted get_config() -> config.Run, got {type(run).__name__}")
    return run


def locate(path: str | pathlib.Path) -> pathlib.Path:
    """The path itself; a relative one that is not in the working directory, in the repository."""
    path = pathlib.Path(path)
    in_repository = ROOT / path
    return in_repository if not path.exists() and in_repository.exists() else path


def to_json(run: Run) -> str:
    """The run as text, for checkpoints."""
    return json.dumps(dataclasses.asdict(run), indent=1)


def from_json(text: str) -> Run:
    """The run of `to_json`. An unknown field is refused: it means another version."""
    return _record(Run, json.loads(text), "run")


def _record(kind: Any, values: dict[str, Any], where: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"config {where}: unknown fields {unknown}; written by another version?")
    return kind(**{name: _value(fields[name].type, v, where) for name, v in values.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, f"{where}.{getattr(kind, '__name__', kind)}")
    return tuple(value) if isinstance(value, list) else value
