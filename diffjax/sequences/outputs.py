"""Where sequence sets may be written: over no input, and over nothing else that was not given up."""

from collections.abc import Sequence
from pathlib import Path


def check_file(out: Path, *inputs: str | Path) -> None:
    """ValueError unless a set can be written to `out` without the loss of what it is made from."""
    if out.suffix != ".npz":
        raise ValueError(f"{out}: wanted a name ending in .npz; choose another --out")
    for file in inputs:
        if out.resolve() == Path(file).resolve():
            raise ValueError(
                f"{out}: wanted another file than the input {file}; choose another --out"
            )


def refuse_existing(out: Path) -> None:
    """ValueError where a file is there already."""
    if out.exists():
        raise ValueError(f"{out}: already exists; choose another --out, or pass --overwrite")


def check_directory(out: Path, names: Sequence[str]) -> None:
    """ValueError unless `out` is, or can become, a directory without files of these names."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: wanted a directory, found a file; choose another --out")
    for name in names:
        if (out / name).exists():
            raise ValueError(f"{out}: already holds {name}; choose a new --out, or remove it")
