"""NumPy arrays from `.pt` archives of torch, without torch."""

import math
from typing import Any

import numpy as np

from diffjax.unpickle import archive, arrays, bounds, finishing, operations, stand_ins
from diffjax.unpickle.stand_ins import Kind, Node

WANTED = "a .pt archive of torch (1.6 or newer)"


def content(opened: archive.Archive) -> Any:
    """What was given to torch.save, with arrays for tensors (bfloat16 becomes float32)."""
    name = _program(opened)
    root = name.removesuffix("data.pkl")
    packed = opened.members[name].compress_size
    left = operations.run(opened.read(name), packed, storage=_storage)
    size = sum(info.compress_size for info in opened.members.values())
    return finishing.finish(left, size, _Tensors(opened, root).read)


def _program(opened: archive.Archive) -> str:
    names = [name for name in opened.members if name.split("/")[-1] == "data.pkl"]
    if len(names) != 1 or names[0].count("/") > 1:
        found = ", ".join(bounds.shown(name) for name in list(opened.members)[:5]) or "nothing"
        raise ValueError(f"wanted {WANTED} with one data.pkl, found {found}")
    return names[0]


def _storage(what: Any) -> Node:
    """The stand-in for ('storage', type, key, device, how many numbers)."""
    fits = isinstance(what, tuple) and len(what) == 5 and what[0] == "storage"
    if not fits or not (isinstance(what[1], Kind) and isinstance(what[2], str)):
        raise ValueError("the pickle refers to something outside the file; nothing was run")
    if type(what[4]) is not int or what[4] < 0:
        raise ValueError(f"storage {bounds.shown(what[2])} holds {bounds.shown(what[4])} numbers")
    return Node(stand_ins.STORAGE, state=(what[1].name, what[2], what[4]))


class _Tensors:
    """The tensors of one archive; each storage is read once."""

    def __init__(self, opened: archive.Archive, root: str) -> None:
        self.opened, self.root = opened, root
        self.order = self._byte_order()
        self.storages: dict[str, bytes] = {}

    def _byte_order(self) -> str:
        name = f"{self.root}byteorder"
        order = self.opened.read(name).strip() if name in self.opened.members else b"little"
        if order not in (b"little", b"big"):
            raise ValueError(f"wanted byte order little or big, found {bounds.shown(order[:20])}")
        return "<" if order == b"little" else ">"

    def read(self, tensor: Node, budget: bounds.Budget) -> np.ndarray:
        """The array of one tensor; its view on the storage must lie inside it."""
        storage, offset, shape, strides = tensor.state
        if not isinstance(storage, Node) or storage.name != stand_ins.STORAGE:
            raise ValueError("a tensor has no storage")
        code, key, count = storage.state
        half = code == "bfloat16"
        dtype = arrays.dtype_of("u2" if half else code, self.order)
        shape, strides = _view(offset, shape, strides, count)
        budget.spend(math.prod(shape) * (4 if half else dtype.itemsize))
        arrays.check_shape(shape, dtype, math.prod(shape) * dtype.itemsize)
        flat = self._flat(key, dtype, count)
        steps = tuple(stride * dtype.itemsize for stride in strides)
        if not math.prod(shape):
            array = np.zeros(shape, dtype.newbyteorder("="))
        else:
            viewed = np.lib.stride_tricks.as_strided(flat[offset:], shape, steps, writeable=False)
            array = arrays.native(np.array(viewed, order="C"), dtype)
        return (array.astype(np.uint32) << 16).view(np.float32) if half else array

    def _flat(self, key: str, dtype: np.dtype, count: int) -> np.ndarray:
        name = f"{self.root}data/{key}"
        if name not in self.opened.members:
            raise ValueError(f"storage {bounds.shown(key)} is not in the file; is it complete?")
        if self.opened.members[name].file_size != count * dtype.itemsize:
            raise ValueError(
                f"storage {bounds.shown(key)}: wanted {count} numbers of {dtype}, found "
                f"{self.opened.members[name].file_size} bytes"
            )
        if key not in self.storages:
            self.storages[key] = self.opened.read(name)
        return np.frombuffer(self.storages[key], np.uint8 if dtype.kind == "b" else dtype)


def _view(offset: Any, shape: Any, strides: Any, count: int) -> tuple[tuple, tuple]:
    """Shape and strides of a tensor, both in numbers, if all it shows lies in its storage."""
    whole = all(
        isinstance(sides, tuple) and all(type(n) is int and 0 <= n < 2**48 for n in sides)
        for sides in (shape, strides)
    )
    if not whole or type(offset) is not int or offset < 0 or not len(shape) == len(strides) <= 32:
        raise ValueError(
            f"a tensor has shape {bounds.shown(shape)}, strides {bounds.shown(strides)}"
        )
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides))
    if math.prod(shape) and last >= count:
        raise ValueError(
            f"a tensor of shape {shape} reaches number {last} of a storage of {count}; damaged?"
        )
    return shape, strides
