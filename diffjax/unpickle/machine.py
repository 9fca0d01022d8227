"""The machine that a pickle is a program for, with no operation that reaches outside.

It is ours and not Python's, so that nothing is allocated on a mere claim of the file: lengths are
compared with the bytes that are there, numbers have at most 64 bits, memory grows with the file.
joblib's arrays, raw bytes behind the object that describes them, are read where they stand.
"""

import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from diffjax.unpickle import arrays, bounds, stand_ins
from diffjax.unpickle.stand_ins import Call, Kind, Node

_FREE_STEPS, _STEPS_PER_BYTE, _MOST_STEPS = 1 << 23, 32, 1 << 28
_TUPLE_KEYS = 10_000  # Their hashes can be made to collide.
_VIEWED = 4096  # Longer bytes stay where they are until an array is made of them.
OPERATIONS: dict[int, Callable[["Machine"], None]] = {}
"""What each operation does, by its code; `operations` fills it."""


class Steps:
    """How many more operations a file of `packed` bytes may have."""

    def __init__(self, packed: int) -> None:
        self.left = min(_MOST_STEPS, _FREE_STEPS + _STEPS_PER_BYTE * packed)


class Machine:
    """One run: the bytes, where it is in them, the stack, and the memo."""

    def __init__(
        self,
        data: bytes,
        start: int,
        steps: Steps,
        budget: bounds.Budget,
        storage: Callable[[Any], Any] | None,
        joblib: bool,
    ) -> None:
        self.data, self.position = data, start
        self.view = memoryview(data)
        self.steps, self.budget, self.storage, self.joblib = steps, budget, storage, joblib
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.tuple_keys = 0

    def run(self) -> Any:
        """The value on top of the stack at the end of the program."""
        data, operations, stop = self.data, OPERATIONS, pickle.STOP[0]
        for _ in range(self.steps.left):
            self.steps.left -= 1
            code = data[self.position] if self.position < len(data) else None
            self.position += 1
            if code == stop:
                return self.pop()
            if code not in operations:
                raise ValueError(self._unknown(code))
            operations[code](self)
        raise ValueError("the pickle has more steps than a file of its size needs")

    def _unknown(self, code: int | None) -> str:
        if code is None:
            return "wanted a pickle, which has an end, found none; is the file complete?"
        what = "the pickle" if self.position > 1 else "wanted a pickle: this file"
        return f"{what} has an operation {code:#x} at byte {self.position - 1}, which is not read"

    # --- the bytes ---

    def take(self, size: int) -> bytes:
        """The next `size` bytes; a view of them where they are many."""
        end = self.position + size
        if end > len(self.data):
            raise ValueError(
                f"wanted {size} bytes at byte {self.position}, found {len(self.data) - self.position}"
                "; is the file complete?"
            )
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def take_long(self, size: int) -> Any:
        """As `take`, without a copy where there are many."""
        if size <= _VIEWED:
            return self.take(size)
        start, self.position = self.position, self.position + size
        if self.position > len(self.data):
            self.position = start
            self.take(size)
        return self.view[start : start + size]

    def number(self, form: str) -> Any:
        """One number of the format `form` of struct."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> bytes:
        """What stands before the next end of line."""
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise ValueError("a line has no end; is the file complete?")
        piece = self.data[self.position : end]
        self.position = end + 1
        return piece

    # --- the stack ---

    def push(self, value: Any) -> None:
        """Puts `value` on top."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Takes the top off."""
        if not self.stack:
            raise ValueError("the pickle takes from an empty stack; it is damaged")
        return self.stack.pop()

    def top(self, kind: type | tuple[type, ...]) -> Any:
        """The top, which must be of a `kind`."""
        if not self.stack or not isinstance(self.stack[-1], kind):
            found = type(self.stack[-1]).__name__ if self.stack else "nothing"
            raise ValueError(f"the pickle changes a {found}, which no data file does")
        return self.stack[-1]

    def pop_mark(self) -> list[Any]:
        """Takes off all above the last mark."""
        if not self.below:
            raise ValueError("the pickle has no mark where it needs one; it is damaged")
        items, self.stack = self.stack, self.below.pop()
        return items

    # --- what the operations share ---

    def whole(self, value: int) -> None:
        """Pushes a number of at most 64 bits."""
        if not -(2**63) <= value < 2**64:
            raise ValueError("found a whole number of more than 64 bits")
        self.push(value)

    def set_items(self, target: dict[Any, Any], items: list[Any]) -> None:
        """target[key] = value for keys and values in turn."""
        if len(items) % 2:
            raise ValueError("a dict has a key without a value")
        for key, value in zip(items[::2], items[1::2]):
            stand_ins.check_key(key)
            self.count_tuple(key)
            target[key] = value

    def count_tuple(self, key: Any) -> None:
        """Bounds how many keys are tuples."""
        self.tuple_keys += isinstance(key, tuple)
        if self.tuple_keys > _TUPLE_KEYS:
            raise ValueError(f"found more than {_TUPLE_KEYS} keys that are tuples")

    def call(self, function: Any, arguments: Any) -> Any:
        """What a stand-in makes of its arguments."""
        if not isinstance(arguments, tuple):
            raise ValueError("the pickle calls with arguments that are no tuple; it is damaged")
        if isinstance(function, Kind):
            return Node(function.name, arguments)
        if not isinstance(function, Call):
            raise ValueError(f"the pickle calls a {type(function).__name__}; nothing was run")
        self.budget.spend(sum(len(item) for item in arguments if hasattr(item, "__len__")))
        try:
            return function.function(*arguments)
        except TypeError as error:
            raise ValueError("the pickle calls with arguments that do not fit") from error

    def build(self, node: Any, state: Any) -> None:
        """Gives `node` its state; what an OrderedDict has beside its items is dropped."""
        if isinstance(node, dict) and isinstance(state, dict):
            return
        if not isinstance(node, Node):
            raise ValueError(
                f"the file changes a {'function' if isinstance(node, Call) else type(node).__name__}"
                ", which no data file does"
            )
        node.state = self._array_here(state) if node.name == stand_ins.JOBLIB else state

    def _array_here(self, state: Any) -> Any:
        """The state of joblib's array, whose bytes follow: padding, then numbers or a pickle."""
        if not (self.joblib and isinstance(state, dict)):
            raise ValueError("an array of joblib stands where none can be")
        shape, code = state.get("shape"), state.get("dtype")
        dtype = dtype_of(code)
        if dtype.hasobject:
            inner = Machine(self.data, self.position, self.steps, self.budget, None, False)
            found = inner.run()
            self.position = inner.position
            if not isinstance(found, Node) or found.name != stand_ins.ARRAY:
                raise ValueError("an array of objects holds something else")
            return found.state
        if state.get("numpy_array_alignment_bytes") is not None:
            self.take(self.take(1)[0])
        size = dtype.itemsize
        if not isinstance(shape, tuple) or len(shape) > 32:
            raise ValueError("an array of joblib has no shape")
        for side in shape:
            if not isinstance(side, int) or side < 0:
                raise ValueError(f"found an array of shape {bounds.shown(shape)}")
            size *= side
        return (1, shape, code, state.get("order") == "F", self.take_long(size))


def dtype_of(node: Any) -> np.dtype:
    """The dtype that a stand-in describes."""
    if not isinstance(node, Node) or node.name != stand_ins.DTYPE or not node.arguments:
        raise ValueError("found an array without a dtype")
    state = node.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else ""
    return arrays.dtype_of(node.arguments[0], order)
