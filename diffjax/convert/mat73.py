"""Named arrays of MATLAB 7.3 files (HDF5), read as data only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import parsing

_LARGEST = (
    1 << 28
)  # Numbers in one array, and bytes in a file of the older kind's cells, times four.


def load(path: str | Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays by name; their axes come reversed, as h5py gives them."""
    h5py = parsing.needed("h5py")
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    try:
        with h5py.File(path, "r", locking=False) as file:
            return {name: _dataset(h5py, file, name, str(path)) for name in names}
    except Exception as error:  # HDF5 has an exception for everything; all mean the same here.
        message = str(error)
        if isinstance(error, ValueError) and message.startswith(str(path)):
            raise
        raise ValueError(
            f"{path}: wanted a MATLAB 7.3 file (HDF5), could not read it ({type(error).__name__}: "
            f"{message[:120]}); get the file again"
        ) from error


def _dataset(h5py: Any, file: Any, name: str, where: str) -> np.ndarray:
    """One plain array; nothing that points out of the file."""
    if name not in file:
        found = ", ".join(list(file)[:12]) or "nothing"
        raise ValueError(f"{where}: field {name}: wanted an array, found {found}; see docs/data.md")
    link, data = file.get(name, getlink=True), file[name]
    inside = isinstance(link, h5py.HardLink) and isinstance(data, h5py.Dataset)
    if not inside or data.external or data.is_virtual or data.dtype.kind not in "fiub":
        raise ValueError(
            f"{where}: field {name}: wanted an array of numbers in the file itself, found "
            f"{type(link).__name__} to {data!r}; get the file again"
        )
    if data.size is None or data.size > _LARGEST:
        raise ValueError(
            f"{where}: field {name}: wanted at most {_LARGEST} numbers, found shape {data.shape}; "
            "get the file again"
        )
    return data[()]
