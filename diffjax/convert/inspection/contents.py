"""Any file, by what its first bytes say it is, as a flat table of arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from diffjax import unpickle
from diffjax.convert import parsing
from diffjax.convert.inspection import flatten, formless


class Contents(NamedTuple):
    """What was read of one file."""

    container: str
    """npz, npy, torch, pickle, json, hdf5, matlab or bvh."""
    fields: dict[str, Any]
    """Arrays by path; anything that is no regular array stays as it was found."""
    bytes: int


def read(path: Path) -> Contents:
    """The content of one file, by what its first bytes say it is; ValueError where that is nothing known."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    container = container_of(path)
    try:
        fields = flatten.flat(_READERS[container](path))
    except RecursionError as error:
        raise ValueError(f"{path}: wanted data, found it nested beyond reason") from error
    except MemoryError as error:
        raise ValueError(f"{path}: wanted data that fits into memory, found more") from error
    return Contents(container, fields, path.stat().st_size)


def container_of(path: Path) -> str:
    """The kind of file; the name counts only for text."""
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        raise ValueError(f"{path}: wanted data, found an empty file; copy or export it again")
    if head.startswith(b"PK"):
        return formless.zip_kind(path)
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        return "json"
    if text.startswith(b"HIERARCHY"):
        return "bvh"
    if path.suffix in (".pkl", ".pickle") and head[:1] in b"(c}]l":
        return "pickle"
    raise ValueError(
        f"{path}: wanted .npz, .npy, .pt, a pickle, JSON, HDF5, MATLAB or BVH, found a file that begins "
        f"with {head[:8]!r}; see docs/data.md for what can be read"
    )


_MAGIC = {
    b"\x93NUMPY": "npy",
    b"\x89HDF": "hdf5",
    b"MATLAB 7.3": "hdf5",
    b"MATLAB 5.0": "matlab",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": "torch",
    **{b"\x80" + bytes([protocol]): "pickle" for protocol in range(1, 6)},
    b"x\x01": "pickle",  # joblib: zlib, at its levels
    b"x\x5e": "pickle",
    b"x\x9c": "pickle",
    b"x\xda": "pickle",
    b"\x1f\x8b": "pickle",
    b"BZh": "pickle",
    b"\xfd7zXZ": "pickle",
    b"]\x00\x00": "pickle",
    b"\x04\x22\x4d\x18": "pickle",
    b"ZF": "pickle",
}
"""First bytes of each kind; a compressed file is taken for a joblib pickle."""

_READERS: dict[str, Callable[[Path], Any]] = {
    "npz": unpickle.load_npz,
    "npy": lambda path: {"array": unpickle.load_npy(path)},
    "torch": lambda path: unpickle.load_torch(path),
    "pickle": unpickle.load_pickle,
    "json": parsing.read_json,
    "hdf5": formless.read_hdf5,
    "matlab": formless.read_matlab,
    "bvh": formless.read_bvh,
}
