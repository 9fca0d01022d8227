"""Plain values from pickles, without ever running what the file asks for.

A pickle is a small program: it names classes and functions, and the ordinary reader calls them.
Here every name maps to an inert stand-in of this module that only records what it was given; a
name without a stand-in is refused before anything is built. NumPy's own `dtype` and `ndarray` have
stand-ins too, because their pickled state can forge object pointers. What comes out is dict, list,
tuple, set, str, bytes, numbers, None and `np.ndarray`.

Known: NumPy arrays and scalars (`numpy.core` and `numpy._core`, Python 2 and 3), SciPy csc and csr
matrices (made dense), chumpy leaves (`chumpy.ch.Ch`) and selections (`chumpy.reordering.Select`).
None of these packages is needed.
"""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SMPL_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
"""What a body needs of an SMPL file; the rest of the file is left alone."""

_LARGEST_DENSE = 1 << 28  # Numbers in one matrix; a longer claim is a broken file, not a body.


def load_pickle(path: str | Path) -> Any:
    """The value in a pickle file, as plain Python and NumPy values."""
    return _finish(_parse(_bytes_of(path), str(path)), str(path))


def load_smpl_pickle(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an official SMPL `.pkl`, under their own names (`SMPL_KEYS`), as stored.

    The root of `kintree_table` is still what the file says (4294967295 in official ones), and
    `shapedirs` has all its components. `posedirs` may be absent: no pose correctives.
    """
    content = _parse(_bytes_of(path), str(path))
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: wanted an SMPL file (a dict of arrays), found a {type(content).__name__}"
        )
    missing = [key for key in SMPL_KEYS if key not in content and key != "posedirs"]
    if missing:
        found = ", ".join(sorted(map(str, content))[:12])
        raise ValueError(f"{path}: not an SMPL file: {', '.join(missing)} missing, found {found}")
    # Only what is needed is finished: other keys may hold chumpy expressions that nobody asks for.
    return {
        key: np.asarray(_finish(content[key], f"{path}: field {key}"))
        for key in SMPL_KEYS
        if key in content
    }


def load_npz(path: str | Path) -> dict[str, Any]:
    """The content of an `.npz`, by name; object arrays go through the restricted reader.

    An array without axes comes as its item.
    """
    path = Path(path)
    _bytes_of(path, only_check=True)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            return {
                name.removesuffix(".npy"): _array_from_npy(
                    archive.read(name), f"{path}: field {name[:-4]}"
                )
                for name in names
            }
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{path}: wanted an .npz archive, found something else ({error})"
        ) from error


def _bytes_of(path: str | Path, only_check: bool = False) -> bytes:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    return b"" if only_check else path.read_bytes()


def _array_from_npy(data: bytes, where: str) -> Any:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        _, _, dtype = header(stream)
        if dtype.hasobject:
            array = _finish(_parse(data[stream.tell() :], where), where)
        else:
            array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        message = str(error)
        raise ValueError(message if message.startswith(where) else f"{where}: {message}") from error
    return array.item() if isinstance(array, np.ndarray) and array.ndim == 0 else array


# --- reading: every name becomes a stand-in -------------------------------------------------------


class _Node:
    """An object of a class we do not load: its class name, and the state it was given."""

    name = ""

    def __init__(self, *_: Any) -> None:
        self.state: Any = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Dtype(_Node):
    name = "numpy.dtype"

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code
        self.state = ()


class _Array(_Node):
    name = "numpy.ndarray"


class _Scalar(_Array):
    name = "numpy scalar"


class _Call:
    """A function of ours that the file may call; nothing can be set on it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise ValueError("the file changes a function, which no data file does")

    def __setattr__(self, name: str, value: Any) -> None:
        raise ValueError("the file changes a function, which no data file does")


def _new_array(_: Any, __: Any, ___: Any = None) -> _Array:
    return _Array()


def _array_from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.state = (1, shape, dtype, order == "F", bytes(buffer))
    return array


def _scalar(dtype: Any, data: Any = b"") -> _Array:
    array = _Scalar()
    array.state = (1, (), dtype, False, data)
    return array


def _reconstruct(kind: Any, *_: Any) -> _Node:
    if not (isinstance(kind, type) and issubclass(kind, _Node)):
        raise ValueError("the file builds an object of no class")
    return kind()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Bytes, as Python 3 writes them in the old protocols."""
    if encoding != "latin1":
        raise ValueError(f"the file encodes text as {encoding!r}; wanted latin1")
    return text.encode("latin1")


_NUMPY_NAMES: dict[str, Any] = {
    "ndarray": _Array,
    "matrix": _Array,
    "dtype": _Dtype,
    "_reconstruct": _Call(_new_array),
    "_frombuffer": _Call(_array_from_buffer),
    "scalar": _Call(_scalar),
}
_NUMPY_MODULES = {"numpy", "numpy.matrixlib.defmatrix"} | {
    f"numpy.{core}.{module}" for core in ("core", "_core") for module in ("multiarray", "numeric")
}
_PYTHON_NAMES: dict[tuple[str, str], Any] = {
    ("copyreg", "_reconstructor"): _Call(_reconstruct),
    ("_codecs", "encode"): _Call(_encode),
    ("collections", "OrderedDict"): _Call(lambda *items: dict(*items)),
    ("builtins", "object"): object,
    ("builtins", "bytes"): _Call(lambda: b""),
    ("builtins", "set"): _Call(lambda *items: set(*items)),
    ("builtins", "frozenset"): _Call(lambda *items: frozenset(*items)),
}
_PYTHON_2 = {"copy_reg": "copyreg", "__builtin__": "builtins"}
_SPARSE = ("csc_matrix", "csr_matrix", "csc_array", "csr_array")


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes, where: str) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._where = where

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a class or function; nothing is ever imported."""
        module = _PYTHON_2.get(module, module)
        if module in _NUMPY_MODULES and name in _NUMPY_NAMES:
            return _NUMPY_NAMES[name]
        if (module, name) in _PYTHON_NAMES:
            return _PYTHON_NAMES[module, name]
        known = module.split(".")[0] == "chumpy" or (
            module.startswith("scipy.sparse") and name in _SPARSE
        )
        if known:
            return type(name, (_Node,), {"name": f"{module}.{name}"})
        raise ValueError(
            f"{self._where}: the pickle asks for {module}.{name}, which this reader does not load "
            "(nothing was run). If you trust the file, open it where it was made and save its "
            "arrays with numpy.savez"
        )


def _parse(data: bytes, where: str) -> Any:
    try:
        return _Reader(data, where).load()
    except ValueError as error:
        message = str(error)
        raise ValueError(message if message.startswith(where) else f"{where}: {message}") from error
    except (
        Exception
    ) as error:  # A broken stream can raise nearly anything; all of it means the same.
        raise ValueError(
            f"{where}: wanted a pickle of arrays, could not read it "
            f"({type(error).__name__}: {error}); is the file complete?"
        ) from error


# --- finishing: stand-ins become arrays -----------------------------------------------------------


def _finish(value: Any, where: str) -> Any:
    try:
        return _plain(value, {})
    except (RecursionError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{where}: damaged content ({type(error).__name__}: {error})") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """`value` with every stand-in replaced; `done` keeps shared parts shared."""
    if isinstance(value, str | bytes | int | float | complex | type(None)):
        return value
    if id(value) in done:
        if done[id(value)] is _Node:
            raise ValueError("the content refers to itself")
        return done[id(value)]
    done[id(value)] = _Node  # In progress.
    if isinstance(value, dict):
        result: Any = {_plain(key, done): _plain(item, done) for key, item in value.items()}
    elif isinstance(value, list | tuple | set | frozenset):
        result = type(value)(_plain(item, done) for item in value)
    elif isinstance(value, _Node):
        result = _array_from_node(value, done)
    else:
        raise ValueError(f"found a {type(value).__name__}, wanted data")
    done[id(value)] = result
    return result


def _array_from_node(node: _Node, done: dict[int, Any]) -> Any:
    if isinstance(node, _Array):
        return _array_from_state(node, done)
    if node.name == "chumpy.ch.Ch":
        return np.asarray(_plain(node.state["x"], done))
    if node.name == "chumpy.reordering.Select":
        return _selected(node.state, done)
    if node.name.startswith("scipy.sparse"):
        return _dense(node.name, {key: _plain(item, done) for key, item in node.state.items()})
    raise ValueError(
        f"found an unevaluated {node.name}: only chumpy.ch.Ch and chumpy.reordering.Select hold "
        "plain numbers. Use the original model file, not one saved after posing"
    )


def _selected(state: dict[str, Any], done: dict[int, Any]) -> np.ndarray:
    """chumpy's Select: entries `idxs` of the flattened `a`, in a new shape."""
    entries = np.asarray(_plain(state["a"], done)).ravel()[np.asarray(_plain(state["idxs"], done))]
    shape = _plain(state.get("preferred_shape"), done)
    return entries if shape is None else entries.reshape(tuple(int(size) for size in shape))


def _array_from_state(node: _Array, done: dict[int, Any]) -> Any:
    _, shape, dtype, fortran, data = node.state
    shape = tuple(int(size) for size in shape)
    order = "F" if fortran else "C"
    kind = _numpy_dtype(dtype)
    if kind.hasobject:
        if not isinstance(data, list):
            raise ValueError("an array of objects holds raw bytes; wanted a list of objects")
        flat = np.empty(len(data), dtype=object)
        for index, item in enumerate(data):
            flat[index] = _plain(item, done)
        return flat.reshape(shape, order=order)
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    array = np.frombuffer(raw, dtype=kind).reshape(shape, order=order)
    native = array.astype(kind.newbyteorder("="))  # A writable copy.
    return native[()] if isinstance(node, _Scalar) else native


def _numpy_dtype(stand_in: Any) -> np.dtype:
    """A plain dtype from its code and byte order; structured ones are refused."""
    if not isinstance(stand_in, _Dtype):
        raise ValueError("found an array without a dtype")
    code = (
        stand_in.code.decode("latin1") if isinstance(stand_in.code, bytes) else str(stand_in.code)
    )
    kind, order = code.lstrip("<>=|")[:1], str(stand_in.state[1]) if stand_in.state else "="
    if kind not in "biufcSUO" or order not in "<>=|":
        raise ValueError(f"found an array of dtype {code!r}; wanted numbers or text")
    return np.dtype(code) if kind == "O" else np.dtype(order + np.dtype(code).str[1:])


def _dense(name: str, state: dict[str, Any]) -> np.ndarray:
    """The full matrix of a compressed sparse one; repeated entries add, as in SciPy."""
    rows, columns = (int(size) for size in state["_shape"])
    by_column = name.rsplit(".", 1)[1].startswith("csc")
    major, minor = (columns, rows) if by_column else (rows, columns)
    pointers, indices = np.asarray(state["indptr"]), np.asarray(state["indices"])
    whole = pointers.shape == (major + 1,) and pointers[0] == 0 and pointers[-1] == len(indices)
    inside = not len(indices) or (indices.min() >= 0 and indices.max() < minor)
    if not (whole and inside) or rows * columns > _LARGEST_DENSE:
        raise ValueError(f"found a {name} of shape {(rows, columns)} whose indices do not fit it")
    matrix = np.zeros((major, minor), dtype=np.asarray(state["data"]).dtype)
    np.add.at(matrix, (np.repeat(np.arange(major), np.diff(pointers)), indices), state["data"])
    return np.ascontiguousarray(matrix.T) if by_column else matrix
