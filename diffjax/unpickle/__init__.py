"""Plain values from pickles and archives, without ever running what the file asks for.

A pickle is a small program: it names classes and functions, and the ordinary reader calls them.
Here every name maps to an inert stand-in that only records what it was given (`stand_ins`); a name
without a stand-in is refused before anything is built. The program runs on a machine of our own
(`machine`, `operations`), which allocates nothing on a mere claim of the file. What comes out is dict, list, tuple,
set, str, bytes, numbers, None and `np.ndarray`; every failure is a ValueError that names the file, or
FileNotFoundError.

Known: NumPy arrays and scalars (`numpy.core` and `numpy._core`, Python 2 and 3), SciPy csc and csr
matrices (made dense), chumpy leaves (`chumpy.ch.Ch`) and selections (`chumpy.reordering.Select`),
joblib's files (zlib, gzip, bz2, xz, lzma; lz4 where that package is there), torch's `.pt` archives.
None of these packages is needed.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.unpickle import archive, bounds, finishing, npy, operations, stream, tensors

SMPL_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
"""What a body needs of an SMPL file; the rest of the file is left alone."""

_LEGACY_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


def load_pickle(path: str | Path) -> Any:
    """The value in a pickle file of Python or joblib, as plain Python and NumPy values.

    Text of Python 2 is latin1, and keys that are bytes become text.
    """
    left, packed = _program(path)
    with bounds.refusals(str(path), "a pickle of arrays"):
        return finishing.finish(left, packed)


def load_smpl_pickle(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an official SMPL `.pkl`, under their own names (`SMPL_KEYS`), as stored.

    The root of `kintree_table` is still what the file says (4294967295 in official ones), and
    `shapedirs` has all its components. `posedirs` may be absent: no pose correctives.
    """
    content, packed = _program(path)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: wanted an SMPL file (a dict of arrays), found a {type(content).__name__}"
        )
    content = {_text(key): value for key, value in content.items()}
    missing = [key for key in SMPL_KEYS if key not in content and key != "posedirs"]
    if missing:
        found = bounds.shown(", ".join(sorted(map(str, content))[:12]))
        raise ValueError(f"{path}: not an SMPL file: {', '.join(missing)} missing, found {found}")
    # Only what is needed is finished: other keys may hold chumpy expressions that nobody asks for.
    return {
        key: _smpl_array(content[key], packed, f"{path}: field {key}")
        for key in SMPL_KEYS
        if key in content
    }


def load_torch(path: str | Path) -> Any:
    """What was given to torch.save, with arrays for tensors; bfloat16 becomes float32."""
    if stream.start(path, 2) != b"PK":
        raise ValueError(f"{path}: wanted {tensors.WANTED}, found {_kind(path)}")
    with archive.opened(path, tensors.WANTED) as opened:
        return tensors.content(opened)


def load_npz(
    path: str | Path, names: Collection[str] | None = None, objects: bool = True
) -> dict[str, Any]:
    """The content of an `.npz`, by name (all, or those of `names` that are there).

    Object arrays go through the restricted reader, or are refused without `objects`. An array
    without axes comes as its item.
    """
    result = {}
    with archive.opened(path, "an .npz archive") as opened:
        for name, member in _arrays_in(opened).items():
            if names is None or name in names:
                info = opened.members[member]
                with _field(path, name), opened.open(member) as file:
                    result[name] = npy.read_array(file, info.file_size, info.compress_size, objects)
    return result


def check_npz(path: str | Path, objects: bool = False) -> dict[str, npy.Header]:
    """What each array of an `.npz` is, without reading its numbers; ValueError unless all can be read.

    With `objects` arrays of objects may be there, which `load_npz` reads and `np.load` must not.
    """
    headers = {}
    with archive.opened(path, "an .npz archive") as opened:
        for name, member in _arrays_in(opened).items():
            with _field(path, name), opened.open(member) as file:
                size = opened.members[member].file_size
                headers[name] = npy.read_header(file, size, objects)
    return headers


def load_npy(path: str | Path) -> Any:
    """The array in a `.npy` file, one of objects through the restricted reader."""
    data = stream.packed_bytes(path)
    with bounds.refusals(str(path), "a .npy file"):
        return npy.read_bytes(data)


def _program(path: str | Path) -> tuple[Any, int]:
    """What the pickle in a file leaves behind, stand-ins included, and the size of the file."""
    data = stream.packed_bytes(path)
    with bounds.refusals(str(path), "a pickle of arrays"):
        if data[:4] == b"PK\x03\x04" or data.startswith(_LEGACY_TORCH):
            raise ValueError(f"wanted a pickle, found {_kind(path)}")
        return operations.run(stream.unpacked(data), len(data)), len(data)


def _kind(path: str | Path) -> str:
    """What a file is that was taken for another, and what to do with it."""
    start = stream.start(path, len(_LEGACY_TORCH))
    if start == _LEGACY_TORCH:
        return "the format of torch before 1.6; load it with torch and torch.save it again (>= 1.6)"
    if start[:4] == b"PK\x03\x04":
        return "a zip archive; is it an .npz, or a .pt of torch?"
    return f"other bytes ({bounds.shown(start[:8])}); is it the right file, and complete?"


def _arrays_in(opened: archive.Archive) -> dict[str, str]:
    """The member of each array."""
    found = {name.removesuffix(".npy"): name for name in opened.members if name.endswith(".npy")}
    if not found:
        names = ", ".join(bounds.shown(name) for name in list(opened.members)[:5]) or "nothing"
        raise ValueError(f"wanted an .npz archive of arrays, found a zip of {names}")
    return found


def _field(path: str | Path, name: str) -> Any:
    return bounds.refusals(f"{path}: field {bounds.shown(name)}", "an array")


def _text(key: Any) -> Any:
    return key.decode("latin1") if isinstance(key, bytes) else key


def _smpl_array(value: Any, packed: int, where: str) -> np.ndarray:
    with bounds.refusals(where, "an array"):
        return np.asarray(finishing.finish(value, packed))
