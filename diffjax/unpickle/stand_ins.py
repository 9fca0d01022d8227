"""What a pickle's names mean here: inert stand-ins, and nothing for any name that is not listed.

A stand-in only records what it was given. NumPy's own `dtype` and `ndarray` have stand-ins too,
because their pickled state can forge object pointers.
"""

import copyreg
import re
from collections.abc import Callable
from typing import Any

from diffjax.unpickle import bounds


class Kind:
    """A class that is not loaded: its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Node:
    """An object of such a class: what it was made from, and the state it was given."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...] = (), state: Any = None) -> None:
        self.name = name
        self.arguments = arguments
        self.state = state


class Call:
    """A function of ours that the file may call; nothing can be set on it."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


ARRAY, SCALAR, DTYPE = "numpy.ndarray", "numpy scalar", "numpy.dtype"
JOBLIB = "joblib.numpy_pickle.NumpyArrayWrapper"
STORAGE, TENSOR = "torch storage", "torch tensor"


def check_key(value: Any) -> None:
    """ValueError unless `value` can be a key: hashing must neither recurse nor run code."""
    plain = str | bytes | int | float | Node | None
    if isinstance(value, tuple) and len(value) <= 8:
        simple = all(isinstance(item, plain) for item in value)
    else:
        simple = isinstance(value, plain)
    if not simple:
        raise ValueError(f"a key or set item is a {type(value).__name__}; wanted text or numbers")


def _checked_set(items: Any = ()) -> set[Any]:
    for item in items:
        check_key(item)
    return set(items)


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    """An OrderedDict; Python 2 gives its items as a list of pairs."""
    result = {}
    for key, value in pairs.items() if isinstance(pairs, dict) else pairs:
        check_key(key)
        result[key] = value
    return result


def _new_array(*_: Any) -> Node:
    return Node(ARRAY)


def _array_from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> Node:
    if axes is not None:
        raise ValueError("an array with permuted axes; save it again with numpy.ascontiguousarray")
    return Node(ARRAY, state=(1, shape, dtype, order == "F", buffer))


def _scalar(dtype: Any, data: Any = b"") -> Node:
    return Node(SCALAR, state=(1, (), dtype, False, data))


def _reconstruct(kind: Any, *_: Any) -> Node:
    if not isinstance(kind, Kind):
        raise ValueError("the file builds an object of no class")
    return Node(kind.name)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Bytes, as Python 3 writes them in the old protocols."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise ValueError(f"the file encodes text as {bounds.shown(encoding)}; wanted latin1")
    return text.encode("latin1")


def _complex(real: Any, imaginary: Any) -> complex:
    if not (isinstance(real, float) and isinstance(imaginary, float)):
        raise ValueError("a complex number of other than two numbers")
    return complex(real, imaginary)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Node:
    return Node(TENSOR, state=(storage, offset, size, stride))


_ARRAY_NAMES: dict[str, Any] = {
    "ndarray": Kind(ARRAY),
    "matrix": Kind(ARRAY),
    "memmap": Kind(ARRAY),
    "dtype": Kind(DTYPE),
    "_reconstruct": Call(_new_array),
    "_frombuffer": Call(_array_from_buffer),
    "scalar": Call(_scalar),
}
_NUMPY_MODULES = ["numpy", "numpy.matrixlib.defmatrix", "numpy.matrixlib"]
_NUMPY_MODULES += [
    f"numpy.{core}.{module}"
    for core in ("core", "_core")
    for module in ("multiarray", "numeric", "memmap")
]
_NAMES: dict[tuple[str, str], Any] = {
    ("copyreg", "_reconstructor"): Call(_reconstruct),
    ("_codecs", "encode"): Call(_encode),
    ("collections", "OrderedDict"): Call(_ordered),
    ("collections", "defaultdict"): Call(lambda *_: {}),  # Its factory is dropped, never called.
    ("builtins", "object"): None,
    ("builtins", "bytes"): Call(lambda: b""),
    ("builtins", "set"): Call(_checked_set),
    ("builtins", "frozenset"): Call(lambda items=(): frozenset(_checked_set(items))),
    ("builtins", "complex"): Call(_complex),
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): Kind(JOBLIB),
}
# Factories of a defaultdict: named, and no more.
_NAMES |= {("builtins", name): Kind(name) for name in ("list", "dict", "int", "float", "str")}
_NAMES |= {(module, name): kind for module in _NUMPY_MODULES for name, kind in _ARRAY_NAMES.items()}
_NAMES |= {
    (f"scipy.sparse{module}", f"{kind}_{form}"): Kind(f"scipy.sparse.{kind}_{form}")
    for kind in ("csc", "csr")
    for form in ("matrix", "array")
    for module in ("", f".{kind}", f"._{kind}")
}
_CODES = {
    "Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": "bfloat16", "Long": "i8", "Int": "i4",
    "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "b1", "ComplexFloat": "c8",
    "ComplexDouble": "c16",
}  # fmt: skip
_DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8"]
_DTYPES += ["uint8", "bool", "complex64", "complex128"]
_TORCH_NAMES: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): Call(_tensor),
    ("torch._utils", "_rebuild_parameter"): Call(lambda data, *_: data),
    ("torch", "Size"): Call(lambda sizes=(): tuple(sizes)),
    ("torch", "device"): Call(lambda *parts: ":".join(str(part)[:40] for part in parts)),
}
_TORCH_NAMES |= {("torch", f"{name}Storage"): Kind(code) for name, code in _CODES.items()}
_TORCH_NAMES |= {("torch", name): f"torch.{name}" for name in _DTYPES}
_PYTHON_2 = {"copy_reg": "copyreg", "__builtin__": "builtins"}
_CHUMPY = re.compile(r"chumpy(\.[a-z_]{1,40}){0,3}:[A-Za-z_]{1,40}")


def meaning(module: Any, name: Any, torch: bool = False) -> Any:
    """The stand-in for a class or function; nothing is ever imported, what is unknown is refused."""
    if not (isinstance(module, str) and isinstance(name, str)):
        raise ValueError("the pickle asks for something that has no name; it is damaged")
    module = _PYTHON_2.get(module, module)
    if (module, name) in _NAMES:
        return _NAMES[module, name]
    if torch and (module, name) in _TORCH_NAMES:
        return _TORCH_NAMES[module, name]
    if _CHUMPY.fullmatch(f"{module}:{name}"):
        return Kind(f"{module}.{name}")
    raise ValueError(_refusal(module, name))


def meaning_of_extension(code: int) -> Any:
    """Registered codes name a class without naming it in the file: refused like any other name."""
    registered = getattr(copyreg, "_inverted_registry", {}).get(code)
    if registered is None:
        raise ValueError(f"the pickle uses the extension code {code}, which no data file does")
    return meaning(*registered)


def _refusal(module: str, name: str) -> str:
    what = (
        f"the pickle asks for {bounds.shown(f'{module}.{name}')}, which this reader does not load"
    )
    if module.split(".")[0] == "torch":
        advice = (
            "It holds torch objects: in torch >= 1.6 save plain tensors with torch.save, or arrays "
            "(tensor.numpy()) with numpy.savez"
        )
    elif module == "joblib.numpy_pickle":
        advice = "Load it with that old joblib and save it again with joblib >= 0.10"
    else:
        advice = (
            "If you trust the file, open it where it was made and save its arrays with numpy.savez"
        )
    return f"{what} (nothing was run). {advice}"
