"""The operations of a pickle, each by its code; those that reach outside are refused."""

import pickle
import re
from collections.abc import Callable
from typing import Any

from diffjax.unpickle import bounds, stand_ins
from diffjax.unpickle import machine as machines
from diffjax.unpickle.machine import Machine
from diffjax.unpickle.stand_ins import Kind

_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\", b"'": b"'", b'"': b'"'}


def run(
    data: bytes, packed: int, start: int = 0, storage: Callable[[Any], Any] | None = None
) -> Any:
    """What the pickle at `start` of `data` leaves behind, with stand-ins inside.

    `packed` is its size on disk. `storage` makes something of a persistent id, which are refused
    without it; with it, the names of torch are known.
    """
    return Machine(
        data, start, machines.Steps(packed), bounds.expansion(packed), storage, True
    ).run()


def _operation(*codes: bytes) -> Callable[[Callable[[Machine], None]], None]:
    def register(function: Callable[[Machine], None]) -> None:
        machines.OPERATIONS.update({code[0]: function for code in codes})

    return register


def _constant(code: bytes, make: Callable[[], Any]) -> None:
    machines.OPERATIONS[code[0]] = lambda machine: machine.push(make())


for _code, _make in {
    pickle.NONE: lambda: None,
    pickle.NEWTRUE: lambda: True,
    pickle.NEWFALSE: lambda: False,
    pickle.EMPTY_LIST: list,
    pickle.EMPTY_DICT: dict,
    pickle.EMPTY_TUPLE: tuple,
    pickle.EMPTY_SET: set,
}.items():
    _constant(_code, _make)


def _sized(code: bytes, form: str, make: Callable[[Any], Any]) -> None:
    """Bytes behind their length; short ones come as bytes, long ones as a view."""
    machines.OPERATIONS[code[0]] = lambda machine: machine.push(
        make(machine.take_long(machine.number(form)))
    )


def _text(raw: Any) -> str:
    return str(raw, "utf-8")


def _python_2_text(raw: Any) -> str:
    return str(raw, "latin1")


for _code, _form, _make in (
    (pickle.SHORT_BINUNICODE, "<B", _text),
    (pickle.BINUNICODE, "<I", _text),
    (pickle.BINUNICODE8, "<Q", _text),
    (pickle.SHORT_BINBYTES, "<B", lambda raw: raw),
    (pickle.BINBYTES, "<I", lambda raw: raw),
    (pickle.BINBYTES8, "<Q", lambda raw: raw),
    (pickle.BYTEARRAY8, "<Q", lambda raw: raw),
    (pickle.SHORT_BINSTRING, "<B", _python_2_text),
    (pickle.BINSTRING, "<I", _python_2_text),
):
    _sized(_code, _form, _make)


@_operation(pickle.PROTO)
def _proto(machine: Machine) -> None:
    if machine.take(1)[0] > 5:
        raise ValueError("wanted a pickle of protocol 0 to 5, found a newer one")


@_operation(pickle.FRAME)
def _frame(machine: Machine) -> None:
    size = machine.number("<Q")
    if size > len(machine.data) - machine.position:
        raise ValueError(f"wanted {size} more bytes, found fewer; is the file complete?")


@_operation(pickle.BININT)
def _binint(machine: Machine) -> None:
    machine.push(machine.number("<i"))


@_operation(pickle.BININT1)
def _binint1(machine: Machine) -> None:
    machine.push(machine.take(1)[0])


@_operation(pickle.BININT2)
def _binint2(machine: Machine) -> None:
    machine.push(machine.number("<H"))


@_operation(pickle.BINFLOAT)
def _binfloat(machine: Machine) -> None:
    machine.push(machine.number(">d"))


@_operation(pickle.LONG1)
def _long1(machine: Machine) -> None:
    machine.whole(int.from_bytes(machine.take(machine.take(1)[0]), "little", signed=True))


@_operation(pickle.LONG4)
def _long4(machine: Machine) -> None:
    size = machine.number("<i")
    if not 0 <= size <= 16:
        raise ValueError(f"found a whole number of {size} bytes")
    machine.whole(int.from_bytes(machine.take(size), "little", signed=True))


@_operation(pickle.INT, pickle.LONG)
def _int(machine: Machine) -> None:
    line = machine.line().removesuffix(b"L")
    if line in (b"00", b"01"):
        machine.push(line == b"01")
    elif re.fullmatch(rb"\s*-?\d{1,20}\s*", line):
        machine.whole(int(line))
    else:
        raise ValueError(f"wanted a whole number, found {bounds.shown(line[:40])}")


@_operation(pickle.FLOAT)
def _float(machine: Machine) -> None:
    line = machine.line()
    if len(line) > 64:
        raise ValueError("wanted a number, found a long line")
    machine.push(float(line))


@_operation(pickle.STRING)
def _string(machine: Machine) -> None:
    line = machine.line().strip()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise ValueError("a text has no quotes; the pickle is damaged")
    machine.push(_ESCAPE.sub(_unescaped, line[1:-1]).decode("latin1"))


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code in _ESCAPES:
        return _ESCAPES[code]
    if code[:1] == b"x" and len(code) == 3:
        return bytes([int(code[1:], 16)])
    if code.isdigit():
        return bytes([int(code, 8) & 255])
    raise ValueError("a text has an escape that does not exist; the pickle is damaged")


@_operation(pickle.UNICODE)
def _unicode(machine: Machine) -> None:
    text = str(machine.line(), "raw-unicode-escape")
    text.encode("utf-8")  # Refuses halves of characters, which no terminal or file can take.
    machine.push(text)


@_operation(pickle.GLOBAL)
def _global(machine: Machine) -> None:
    module, name = _text(machine.line()), _text(machine.line())
    machine.push(stand_ins.meaning(module, name, machine.storage is not None))


@_operation(pickle.STACK_GLOBAL)
def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.push(stand_ins.meaning(module, name, machine.storage is not None))


@_operation(pickle.EXT1)
def _ext1(machine: Machine) -> None:
    machine.push(stand_ins.meaning_of_extension(machine.take(1)[0]))


@_operation(pickle.EXT2)
def _ext2(machine: Machine) -> None:
    machine.push(stand_ins.meaning_of_extension(machine.number("<H")))


@_operation(pickle.EXT4)
def _ext4(machine: Machine) -> None:
    machine.push(stand_ins.meaning_of_extension(machine.number("<i")))


@_operation(pickle.PERSID, pickle.BINPERSID)
def _persistent(machine: Machine) -> None:
    text = machine.data[machine.position - 1] == pickle.PERSID[0]
    name = _text(machine.line()) if text else machine.pop()
    if machine.storage is None:
        raise ValueError("the pickle refers to something outside the file; nothing was run")
    machine.push(machine.storage(name))


@_operation(pickle.REDUCE)
def _reduce(machine: Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.push(machine.call(function, arguments))


@_operation(pickle.NEWOBJ)
def _newobj(machine: Machine) -> None:
    arguments, kind = machine.pop(), machine.pop()
    _push_new(machine, kind, arguments)


@_operation(pickle.NEWOBJ_EX)
def _newobj_ex(machine: Machine) -> None:
    named, arguments, kind = machine.pop(), machine.pop(), machine.pop()
    if named != {}:
        raise ValueError("the pickle makes an object from named arguments, which is not read")
    _push_new(machine, kind, arguments)


@_operation(pickle.INST)
def _inst(machine: Machine) -> None:
    kind = stand_ins.meaning(_text(machine.line()), _text(machine.line()))
    _push_new(machine, kind, tuple(machine.pop_mark()))


@_operation(pickle.OBJ)
def _obj(machine: Machine) -> None:
    items = machine.pop_mark()
    _push_new(machine, items[0] if items else None, tuple(items[1:]))


def _push_new(machine: Machine, kind: Any, arguments: Any) -> None:
    if not isinstance(kind, Kind):
        raise ValueError("the file builds an object of no class")
    machine.push(machine.call(kind, arguments))


@_operation(pickle.BUILD)
def _build(machine: Machine) -> None:
    state = machine.pop()
    machine.build(machine.top(object), state)


@_operation(pickle.MARK)
def _mark(machine: Machine) -> None:
    machine.below.append(machine.stack)
    machine.stack = []


@_operation(pickle.POP)
def _pop(machine: Machine) -> None:
    if machine.stack:
        machine.pop()
    else:
        machine.pop_mark()


@_operation(pickle.POP_MARK)
def _pop_mark(machine: Machine) -> None:
    machine.pop_mark()


@_operation(pickle.DUP)
def _dup(machine: Machine) -> None:
    machine.push(machine.top(object))


@_operation(pickle.LIST)
def _list(machine: Machine) -> None:
    items = machine.pop_mark()
    machine.push(items)


@_operation(pickle.TUPLE)
def _tuple(machine: Machine) -> None:
    items = machine.pop_mark()
    machine.push(tuple(items))


@_operation(pickle.DICT)
def _dict(machine: Machine) -> None:
    items, result = machine.pop_mark(), {}
    machine.set_items(result, items)
    machine.push(result)


@_operation(pickle.FROZENSET)
def _frozenset(machine: Machine) -> None:
    items = machine.pop_mark()
    machine.push(frozenset(_checked_keys(machine, items)))


@_operation(pickle.TUPLE1)
def _tuple1(machine: Machine) -> None:
    machine.push((machine.pop(),))


@_operation(pickle.TUPLE2)
def _tuple2(machine: Machine) -> None:
    second, first = machine.pop(), machine.pop()
    machine.push((first, second))


@_operation(pickle.TUPLE3)
def _tuple3(machine: Machine) -> None:
    third, second, first = machine.pop(), machine.pop(), machine.pop()
    machine.push((first, second, third))


@_operation(pickle.APPEND)
def _append(machine: Machine) -> None:
    item = machine.pop()
    machine.top(list).append(item)


@_operation(pickle.APPENDS)
def _appends(machine: Machine) -> None:
    items = machine.pop_mark()
    machine.top(list).extend(items)


@_operation(pickle.SETITEM)
def _setitem(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items(machine.top(dict), [key, value])


@_operation(pickle.SETITEMS)
def _setitems(machine: Machine) -> None:
    items = machine.pop_mark()
    machine.set_items(machine.top(dict), items)


@_operation(pickle.ADDITEMS)
def _additems(machine: Machine) -> None:
    items = machine.pop_mark()
    machine.top(set).update(_checked_keys(machine, items))


def _checked_keys(machine: Machine, items: list[Any]) -> list[Any]:
    for item in items:
        stand_ins.check_key(item)
        machine.count_tuple(item)
    return items


def _getting(code: bytes, index: Callable[[Machine], int]) -> None:
    def get(machine: Machine) -> None:
        place = index(machine)
        if place not in machine.memo:
            raise ValueError(
                f"the pickle recalls value {place}, which it never kept; it is damaged"
            )
        machine.push(machine.memo[place])

    machines.OPERATIONS[code[0]] = get


def _putting(code: bytes, index: Callable[[Machine], int]) -> None:
    def put(machine: Machine) -> None:
        machine.memo[index(machine)] = machine.top(object)

    machines.OPERATIONS[code[0]] = put


def _line_index(machine: Machine) -> int:
    line = machine.line()
    if not re.fullmatch(rb"\d{1,10}", line):
        raise ValueError("the pickle keeps a value under no number; it is damaged")
    return int(line)


_getting(pickle.GET, _line_index)
_getting(pickle.BINGET, lambda machine: machine.take(1)[0])
_getting(pickle.LONG_BINGET, lambda machine: machine.number("<I"))
_putting(pickle.PUT, _line_index)
_putting(pickle.BINPUT, lambda machine: machine.take(1)[0])
_putting(pickle.LONG_BINPUT, lambda machine: machine.number("<I"))
_putting(pickle.MEMOIZE, lambda machine: len(machine.memo))
