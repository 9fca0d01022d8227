"""Changes to valid files: bytes flipped, cut, inserted, doubled; values replaced inside."""

import contextlib
import copy
import io
import json
import pickle
import signal
import time
import warnings
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

LONGEST_SECONDS = 10  # Of CPU time: other work on the machine is nobody's fault.


class Damage(bytes):
    """The bytes of a damaged file; too long to be shown."""

    note = ""

    def __repr__(self):
        return f"<{len(self)} bytes{self.note}>"


def noted(data, note):
    """`data` as a Damage that says what it is."""
    damage = Damage(data)
    damage.note = f", {note}"
    return damage


class Hang(BaseException):
    """A conversion took longer than any may."""


# --- bytes ----------------------------------------------------------------------------------------


@st.composite
def damaged(draw, data):
    """`data` with one to four changes of its bytes."""
    for _ in range(draw(st.integers(1, 4))):
        data = _changed(draw, data)
    return Damage(data)


def _changed(draw, data):
    at = draw(st.integers(0, max(len(data) - 1, 0)))
    size = draw(st.sampled_from((1, 1, 2, 4, 8, 64, 1000)))
    return draw(
        st.sampled_from(
            (
                _flipped(data, at, draw(st.integers(0, 7))),
                data[:at] + draw(st.binary(min_size=1, max_size=8)) + data[at + 1 :],
                data[:at],
                data[:at] + data[at + size :],
                data[:at] + draw(st.binary(min_size=1, max_size=16)) + data[at:],
                data[:at] + data[at : at + size] * 2 + data[at + size :],
                data[:at] + b"\xff" * min(size, 8) + data[at + min(size, 8) :],
            )
        )
    )


def _flipped(data, at, bit):
    return data[:at] + bytes(b ^ 1 << bit for b in data[at : at + 1]) + data[at + 1 :]


# --- values ---------------------------------------------------------------------------------------

ODD = (
    None, "", "text", b"bytes", [], {}, [[]], [1, [2]], 0, -1, 10**18, 2**63, 1e300, float("nan"), float("inf"), True,
    {"a": 1}, np.zeros(0), np.zeros((0, 3)), np.full((2, 3), np.nan), np.array(["x", "y"]), np.zeros((1, 1, 1, 1)),
    np.float64("nan"), np.array(None), np.array([None, {}], dtype=object), np.zeros((3, 0)), np.array(1 + 2j),
)  # fmt: skip
"""What a reader may find where it looks for something else."""


def places(value, depth=0):
    """Paths (tuples of keys) of the values in dicts and lists, not more than a few of each list."""
    items = []
    if isinstance(value, dict):
        items = list(value.items())[:40]
    elif isinstance(value, list):
        items = [(i, value[i]) for i in range(min(len(value), 2))]
    for key, item in items:
        yield (key,)
        if depth < 6:
            yield from ((key, *rest) for rest in places(item, depth + 1))


def replaced(value, place, change):
    """A copy of `value` where `change` has been applied to what is at `place` (or it is removed)."""
    value = copy.deepcopy(value)
    inside = value
    for key in place[:-1]:
        inside = inside[key]
    changed = change(inside[place[-1]])
    if changed is MISSING:
        del inside[place[-1]]
    else:
        inside[place[-1]] = changed
    return value


MISSING = object()


@st.composite
def changes(draw):
    """A function from a value to another that has no business in its place."""
    kind = draw(
        st.sampled_from(("odd", "odd", "missing", "fewer", "axis", "nan", "text", "huge", "listed"))
    )
    odd = draw(st.sampled_from(ODD)) if kind == "odd" else None
    return _Change(kind, odd)


class _Change:
    def __init__(self, kind, odd):
        self.kind, self.odd = kind, odd

    def __repr__(self):
        return f"{self.kind} {self.odd!r}" if self.kind == "odd" else self.kind

    def __call__(self, value):
        return MISSING if self.kind == "missing" else getattr(self, f"_{self.kind}")(value)

    def _odd(self, value):
        return self.odd

    def _fewer(self, value):
        sized = isinstance(value, list | str | bytes) or (
            isinstance(value, np.ndarray) and value.ndim
        )
        return value[:-1] if sized else None

    def _axis(self, value):
        return value[None] if isinstance(value, np.ndarray) else [value]

    def _nan(self, value):
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return np.full_like(value, np.nan)
        return float("nan")

    def _text(self, value):
        return np.full(value.shape, "x") if isinstance(value, np.ndarray) else "x"

    def _huge(self, value):
        number = isinstance(value, np.ndarray) and value.dtype.kind in "fiu"
        return value.astype(np.float64) * 0 + 1e300 if number else 1e300

    def _listed(self, value):
        return [value, [value]] if not isinstance(value, np.ndarray) else value.astype(object)


class Values:
    """The values inside a file of some kind, and how to write such a file of changed ones."""

    def __init__(self, value, dump):
        self.value, self.dump = value, dump
        self.places = list(places(value))


def values_of(path):
    """The values inside a file (our own fixture, which is why it may be read in full), or None."""
    data = path.read_bytes()
    for read in (_json, _npz, _npy, _matlab, _pickle, _joblib, _torch):
        with contextlib.suppress(Exception):
            found = read(data)
            if found.places:
                return found
    return None


def _json(data):
    return Values(json.loads(data), lambda value: json.dumps(value, default=_listed).encode())


def _listed(value):
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _npz(data):
    with np.load(io.BytesIO(data), allow_pickle=True) as archive:
        value = {
            name: array.item() if array.dtype == object and not array.ndim else array
            for name, array in archive.items()
        }

    def dump(value):
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            arrays = {name: _array(item) for name, item in value.items()}
            np.savez(stream, allow_pickle=True, **arrays)
        return stream.getvalue()

    return Values(value, dump)


def _array(value):
    try:
        return np.asarray(value)
    except ValueError:  # A ragged list.
        array = np.empty((), dtype=object)
        array[()] = value
        return array


def _npy(data):
    if data[:6] != b"\x93NUMPY":
        raise ValueError("another kind")

    def dump(value):
        stream = io.BytesIO()
        np.save(stream, _array(value["array"]), allow_pickle=True)
        return stream.getvalue()

    return Values({"array": np.load(io.BytesIO(data), allow_pickle=True)}, dump)


def _pickle(data):
    return Values(
        {"all": pickle.loads(data, encoding="latin1")}, _dump_all(lambda v: pickle.dumps(v, 2))
    )


def _dump_all(dump):
    return lambda value: dump(value.get("all"))


def _joblib(data):
    import joblib

    def dump(value):
        stream = io.BytesIO()
        joblib.dump(value, stream, compress=3)
        return stream.getvalue()

    return Values({"all": joblib.load(io.BytesIO(data))}, _dump_all(dump))


def _torch(data):
    import torch

    def dump(value):
        stream = io.BytesIO()
        torch.save(value, stream)
        return stream.getvalue()

    return Values({"all": torch.load(io.BytesIO(data), weights_only=False)}, _dump_all(dump))


def _matlab(data):
    import scipy.io

    if not data.startswith(b"MATLAB"):
        raise ValueError("another kind")
    value = {k: v for k, v in scipy.io.loadmat(io.BytesIO(data)).items() if not k.startswith("__")}

    def dump(value):
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scipy.io.savemat(stream, {k: v for k, v in value.items() if v is not None})
        return stream.getvalue()

    return Values(value, dump)


# --- a conversion that is watched -----------------------------------------------------------------


def attempt(case, folder: Path, out: Path) -> str:
    """Converts, in bounded time. Returns what was refused ("" for nothing); AssertionError if it was
    done in another way than by a ValueError that names a file, or if anything is left behind."""
    before = _listing(folder)
    start, error = time.process_time(), None
    with warnings.catch_warnings(), _no_longer_than(LONGEST_SECONDS):
        warnings.simplefilter("ignore")
        try:
            case.convert(out)
        except (ValueError, FileNotFoundError) as found:
            error = found
    seconds = time.process_time() - start
    left = _listing(folder) - before - ({out} if error is None else set())
    left = {path for path in left if error is not None or out not in path.parents}
    _remove(folder, before)
    assert not left, f"left behind: {sorted(map(str, left))} after {error}"
    assert seconds < LONGEST_SECONDS, f"{seconds:.1f} s"
    assert error is None or _names_a_file(error, case), f"names no input: {error}"
    return "" if error is None else str(error)


def _names_a_file(error, case):
    names = {name for path in case.files for name in (path.name, str(path.parent))}
    return type(error) is not UnicodeDecodeError and any(name in str(error) for name in names)


def _listing(folder):
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


def _remove(folder, before):
    for path in sorted(_listing(folder) - before, reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@contextlib.contextmanager
def _no_longer_than(seconds):
    def stop(*_):
        raise Hang(f"not done after {seconds} s")

    old = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)


@st.composite
def rewritten(draw, values):
    """The bytes of a file in which one value, in places two, became another."""
    value, note = values.value, ""
    for _ in range(draw(st.sampled_from((1, 1, 2)))):
        place, change = draw(st.sampled_from(values.places)), draw(changes())
        with contextlib.suppress(KeyError, IndexError, TypeError, ValueError):  # Gone already.
            value = replaced(value, place, change)
            note += f" {place}: {change}"[:200]
    try:
        return noted(values.dump(value), note)
    except Exception:  # This kind of file cannot hold such a value.
        return noted(values.dump(values.value), "as it was")
