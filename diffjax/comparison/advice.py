"""A row of the table as the command line that does the same to one's own data."""

import dataclasses
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

from diffjax import config


class Files(NamedTuple):
    """The config files of the runs, as a command line names them."""

    run: str
    loop: str


MATTERS = ("mode", "guided", "scorehmr", "parts", "data")
"""Fields of a run that scripts/refine.py looks at."""
_OF_PARTS = {
    "guided": ("prior",),
    "fast": ("residuals",),
    "combined": ("prior", "residuals"),
    "recall": ("poses",),
    "recall+combined": ("poses", "prior", "residuals"),
    "scorehmr": ("prior",),
}


def command(run: config.Run, kind: str | None, files: Files, data: str = "YOUR.npz") -> str:
    """The call of scripts/refine.py that refines by this run: what differs from its config is said."""
    file = files.loop if run.mode == "scorehmr" else files.run
    own = config.load(file)
    said = [f"--config {shlex.quote(file)}", f"--data {data}", f"--evidence {kind}"]
    if own.mode != run.mode:
        said.append(f"--mode {run.mode}")
    if own.data.body != run.data.body:
        said.append(f"--data.body {shlex.quote(run.data.body)}")
    for part in _OF_PARTS[run.mode]:
        value = getattr(run.parts, part)
        if value != getattr(own.parts, part):
            said.append(f"--parts.{part} {shlex.quote(value)}")
        elif part == "poses" and not value and run.data.train != own.data.train:
            said.append(f"--data.train {shlex.quote(run.data.train)}")
    section = "scorehmr" if run.mode == "scorehmr" else "guided"
    said += flags(getattr(own, section), getattr(run, section), section)
    return f"python scripts/refine.py {' '.join(said)} --out better.npz"


def flags(own: Any, wanted: Any, name: str) -> Iterator[str]:
    """The fields of a record that are others than those of `own`, as flags of the command line."""
    for field in dataclasses.fields(wanted):
        a, b = getattr(own, field.name), getattr(wanted, field.name)
        path = f"{name}.{field.name}"
        if dataclasses.is_dataclass(b):
            yield from flags(a, b, path)
        elif a != b and isinstance(b, bool):
            yield f"--{path}" if b else f"--{name}.no-{field.name.replace('_', '-')}"
        elif a != b:
            yield f"--{path} {b}"
