"""Plain values from what a pickle left: stand-ins become arrays, and nothing repeats without end."""

from collections.abc import Callable
from typing import Any

import numpy as np

from diffjax.unpickle import arrays, bounds, machine, stand_ins
from diffjax.unpickle.stand_ins import Node

_DEEPEST = 100
_LARGEST_DENSE = 1 << 25  # Numbers in one matrix that was sparse.
_ITEM = 40  # Bytes of a number in a list, about.
_IN_PROGRESS = object()


def finish(
    value: Any, packed: int, tensor: Callable[[Node, bounds.Budget], np.ndarray] | None = None
) -> Any:
    """`value` with every stand-in replaced; `packed` is the size of its file."""
    return Finisher(bounds.expansion(packed), tensor).plain(value)


class Finisher:
    """One pass: what it has made, and how much more it may make.

    A part that is shared is made once, but paid for wherever it stands: who walks the result
    walks all of it.
    """

    def __init__(
        self,
        budget: bounds.Budget,
        tensor: Callable[[Node, bounds.Budget], np.ndarray] | None = None,
    ) -> None:
        self.budget, self.tensor = budget, tensor
        self.done: dict[int, tuple[Any, int]] = {}

    def plain(self, value: Any, depth: int = 0) -> Any:
        """`value` without stand-ins."""
        self.budget.spend(_ITEM)
        if isinstance(value, str | bytes | memoryview):
            self.budget.spend(len(value))
            return bytes(value) if isinstance(value, memoryview) else value
        if isinstance(value, int | float | complex | None):
            return value
        if id(value) in self.done:
            result, weight = self.done[id(value)]
            if result is _IN_PROGRESS:
                raise ValueError("the content refers to itself")
            self.budget.spend(weight)
            return result
        if depth > _DEEPEST:
            raise ValueError(f"damaged content: nested more than {_DEEPEST} deep")
        self.done[id(value)] = _IN_PROGRESS, 0
        before = self.budget.left
        result = self._made(value, depth + 1)
        self.done[id(value)] = result, before - self.budget.left
        return result

    def _made(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return self._dict(value, depth)
        if isinstance(value, list | tuple):
            return type(value)([self.plain(item, depth) for item in value])
        if isinstance(value, set | frozenset):
            return type(value)([self._key(item, depth) for item in value])
        if isinstance(value, Node):
            return self._node(value, depth)
        raise ValueError(f"found a {type(value).__name__}, wanted data")

    def _dict(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        result = {}
        for key, item in value.items():
            name = self._key(key, depth)
            # Python 2 kept text as bytes, and readers differ in what they make of it.
            name = name.decode("latin1") if isinstance(name, bytes) else name
            if name in result:
                raise ValueError(f"two keys are {bounds.shown(name)}")
            result[name] = self.plain(item, depth)
        return result

    def _key(self, key: Any, depth: int) -> Any:
        key = self.plain(key, depth)
        parts = key if isinstance(key, tuple) else (key,)
        if not all(
            isinstance(part, str | bytes | int | float | np.number | None) for part in parts
        ):
            raise ValueError(f"a key is a {type(key).__name__}; wanted text or a number")
        return key

    def _node(self, node: Node, depth: int) -> Any:
        if node.name in (stand_ins.ARRAY, stand_ins.SCALAR, stand_ins.JOBLIB):
            return self._array(node, depth)
        if node.name == stand_ins.TENSOR and self.tensor:
            return self.tensor(node, self.budget)
        if node.name == "chumpy.ch.Ch":
            return np.asarray(self.plain(_of(node, "x"), depth))
        if node.name == "chumpy.reordering.Select":
            return self._selected(node, depth)
        if node.name.startswith("scipy.sparse"):
            return self._dense(node, depth)
        advice = "Use the original model file, not one saved after posing"
        raise ValueError(
            f"found an unevaluated {bounds.shown(node.name)}: only chumpy.ch.Ch and "
            f"chumpy.reordering.Select hold plain numbers. {advice}"
        )

    def _array(self, node: Node, depth: int) -> Any:
        if not isinstance(node.state, tuple) or len(node.state) != 5:
            raise ValueError("found an array without content: damaged content")
        _, shape, code, fortran, data = node.state
        shape, kind = self.plain(shape, depth), machine.dtype_of(code)
        if kind.hasobject:
            return self._objects(shape, fortran is True or fortran == 1, data, depth)
        raw = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(raw, bytes | memoryview):
            raise ValueError(f"an array of numbers holds a {type(data).__name__}")
        self.budget.spend(len(raw))
        array = arrays.array_of(raw, kind, shape, fortran is True or fortran == 1)
        return array[()] if node.name == stand_ins.SCALAR else array

    def _objects(self, shape: Any, fortran: bool, data: Any, depth: int) -> np.ndarray:
        if not isinstance(data, list):
            raise ValueError("an array of objects holds raw bytes; wanted a list of objects")
        shape = arrays.check_shape(shape, np.dtype(object), len(data))
        flat = np.empty(len(data), dtype=object)
        for index, item in enumerate(data):
            flat[index] = self.plain(item, depth)
        return flat.reshape(shape, order="F" if fortran else "C")

    def _selected(self, node: Node, depth: int) -> np.ndarray:
        """chumpy's Select: entries `idxs` of the flattened `a`, in a new shape."""
        whole = np.asarray(self.plain(_of(node, "a"), depth)).ravel()
        chosen = np.asarray(self.plain(_of(node, "idxs"), depth))
        shape = self.plain(node.state.get("preferred_shape"), depth)
        if chosen.dtype.kind not in "iu" or (chosen.size and chosen.max() >= whole.size):
            raise ValueError("a selection of chumpy takes numbers that are not there")
        self.budget.spend(chosen.size * whole.itemsize)
        entries = whole[chosen]
        return entries if shape is None else entries.reshape(tuple(int(size) for size in shape))

    def _dense(self, node: Node, depth: int) -> np.ndarray:
        """The full matrix of a compressed sparse one; repeated entries add, as in SciPy."""
        rows, columns = (int(size) for size in self.plain(_of(node, "_shape"), depth))
        pointers, indices, data = (
            np.asarray(self.plain(_of(node, name), depth)) for name in ("indptr", "indices", "data")
        )
        by_column = node.name.startswith("scipy.sparse.csc")
        major, minor = (columns, rows) if by_column else (rows, columns)
        fits = (
            min(rows, columns) >= 0
            and rows * columns <= _LARGEST_DENSE
            and pointers.dtype.kind in "iu"
            and indices.dtype.kind in "iu"
            and data.dtype.kind in "biuf"
            and indices.shape == data.shape == (data.size,)
            and pointers.shape == (major + 1,)
            and pointers[0] == 0
            and pointers[-1] == len(indices)
            and np.all(pointers[1:] >= pointers[:-1])
            and (not len(indices) or (indices.min() >= 0 and indices.max() < minor))
        )
        if not fits:
            raise ValueError(
                f"found a {node.name} of shape {(rows, columns)} whose indices do not fit it"
            )
        self.budget.spend(rows * columns * data.itemsize)
        matrix = np.zeros((major, minor), dtype=data.dtype)
        np.add.at(matrix, (np.repeat(np.arange(major), np.diff(pointers)), indices), data)
        return np.ascontiguousarray(matrix.T) if by_column else matrix


def _of(node: Node, name: str) -> Any:
    if not isinstance(node.state, dict) or name not in node.state:
        raise ValueError(f"found a {bounds.shown(node.name)} without {name}: damaged content")
    return node.state[name]
