"""Hostile and damaged files: refused by a ValueError that names them, in bounded time and memory.

`files_*.py` say, in `CASES`, which valid files there are for each format.
"""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import hostile
import hostile_changes
import hostile_child
import hypothesis
import made
import pytest
from hypothesis import strategies as st

from diffjax import unpickle
from diffjax.convert import inspect, parsing
from diffjax.unpickle import bounds

HERE = Path(__file__).parent
MODULES = sorted(path.stem for path in HERE.glob("files_*.py"))
CASES = {
    f"{module.removeprefix('files_')}-{name}": make
    for module in MODULES
    for name, make in importlib.import_module(module).CASES.items()
}
CANARY = Path("/tmp") / f"diffjax-canary-{os.getpid()}"
CORPUS = hostile.corpus(CANARY)
SECONDS = float(os.environ.get("HOSTILE_SECONDS", "0.3"))
"""Of each case and kind of damage, about; a slow converter gets fewer examples."""
MOST, LEAST = int(100 * SECONDS), 3


def test_the_corpus_is_large():
    assert len(CORPUS) > 200


def test_every_module_of_files_has_cases():
    assert MODULES
    for module in MODULES:
        assert importlib.import_module(module).CASES, module


@pytest.fixture(autouse=True)
def canary():
    """Nothing that a file asks for may happen."""
    assert not CANARY.exists()
    yield
    assert not CANARY.exists()


@pytest.mark.parametrize("reader", hostile_child.READERS, ids=lambda reader: reader.__name__)
def test_no_reader_does_what_a_hostile_file_wants(tmp_path, reader):
    path = tmp_path / "hostile.bin"
    for name, data in CORPUS.items():
        path.write_bytes(data)
        start = time.process_time()
        with pytest.raises(ValueError, match=r"hostile\.bin: ") as caught:
            reader(path)
        assert time.process_time() - start < hostile_changes.LONGEST_SECONDS, name
        assert str(caught.value).startswith(str(path)), name
        assert len(str(caught.value)) < 600, name
        assert not CANARY.exists(), name
        assert list(tmp_path.iterdir()) == [path], name


@pytest.mark.parametrize("name", hostile.calls(CANARY))
def test_what_a_pickle_calls_is_refused_by_its_name(tmp_path, name):
    (tmp_path / "x.pkl").write_bytes(CORPUS[name])
    with pytest.raises(ValueError, match=r"x\.pkl: ") as caught:
        unpickle.load_pickle(tmp_path / "x.pkl")
    harmless = ("numpy.memmap", "torch._utils")  # Names with a stand-in, which does nothing.
    if " " not in name and not name.startswith(harmless):
        assert f"asks for {name.replace('__builtin__.', 'builtins.')}" in str(caught.value)
        assert "nothing was run" in str(caught.value)


def test_the_traps_do_work():
    """Python's own reader does run them."""
    import pickle

    for name in ("os.mkdir", "builtins.eval", "in a dict", "runpy._run_code"):
        pickle.loads(CORPUS[name])
        assert CANARY.is_dir(), name
        CANARY.rmdir()


def test_bombs_are_refused_in_bounded_memory(tmp_path):
    """In a process of its own whose memory is limited, with what claims to be large beside them."""
    files = hostile.bombs() | hostile.claims() | hostile.packed(CANARY)
    files |= hostile.archives(CANARY) | hostile.single_arrays(CANARY)
    for index, data in enumerate(files.values()):
        (tmp_path / f"{index:03d}.bin").write_bytes(data)
    command = [
        sys.executable,
        str(HERE / "hostile_child.py"),
        *map(str, sorted(tmp_path.iterdir())),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=True, cwd=HERE.parent
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(files) * len(hostile_child.READERS)
    for row in found:
        assert row["kind"] == "ValueError", row
        assert row["file"] in row["message"], row
        assert row["seconds"] < hostile_changes.LONGEST_SECONDS, row
        assert row["peak_mib"] < 1800, row


@pytest.mark.parametrize("name", ["zlib", "gzip", "bz2", "xz", "lzma", "lz4"])
def test_what_unpacks_to_far_more_than_it_is_is_refused_before_it_is_unpacked(
    tmp_path, name, monkeypatch
):
    import joblib
    import numpy as np

    monkeypatch.setattr(bounds, "FREE", 1 << 20)
    joblib.dump(np.zeros(1 << 20), tmp_path / "x.pkl", compress=(name, 1))
    with pytest.raises(ValueError, match=r"x\.pkl: unpacks .* bomb"):
        unpickle.load_pickle(tmp_path / "x.pkl")


@pytest.mark.parametrize("name", hostile.texts())
def test_hostile_json_is_refused_or_read(tmp_path, name):
    (tmp_path / "x.json").write_bytes(CORPUS[name])
    try:
        parsing.read_json(tmp_path / "x.json")
    except ValueError as error:
        assert "x.json" in str(error)  # noqa: PT017
        assert len(str(error)) < 600  # noqa: PT017


# --- every format ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Makes each case once; tells how long its conversion takes."""
    made = {}

    def of(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("case")
            case = CASES[name](folder)
            start = time.monotonic()
            assert hostile_changes.attempt(case, folder, folder / _out(case)) == ""
            seconds = time.monotonic() - start
            start = time.monotonic()
            hostile_changes.attempt(case, folder, folder / _out(case))
            made[name] = folder, case, min(seconds, time.monotonic() - start)
        return made[name]

    return of


def _out(case):
    return getattr(case, "out", "out.npz")


@pytest.mark.parametrize("name", CASES)
def test_bytes_that_were_changed_are_refused_or_read(name, whole):
    _explore(whole(name), lambda path: hostile_changes.damaged(path.read_bytes()))


@pytest.mark.parametrize("name", CASES)
def test_values_that_were_changed_are_refused_or_read(name, whole):
    def of(path):
        values = hostile_changes.values_of(path)
        return None if values is None else hostile_changes.rewritten(values)

    _explore(whole(name), of)


@pytest.mark.parametrize("name", CASES)
def test_hostile_files_in_the_place_of_good_ones_are_refused_or_read(name, whole):
    others = st.sampled_from(sorted(CORPUS))
    _explore(
        whole(name), lambda path: others.map(lambda name: hostile_changes.noted(CORPUS[name], name))
    )


@pytest.mark.parametrize("name", CASES)
def test_damaged_files_are_inspected_or_refused(name, whole):
    """`inspect` meets what nobody has looked at yet."""
    folder, case, _ = whole(name)

    def of(path):
        values, others = hostile_changes.values_of(path), st.sampled_from(sorted(CORPUS))
        odd = others.map(lambda name: hostile_changes.noted(CORPUS[name], name))
        return odd if values is None else st.one_of(odd, *[hostile_changes.rewritten(values)] * 2)

    for path in case.files[:2]:
        one = made.Case(lambda _, path=path: _inspect_in_silence(path), [path])
        seconds = time.monotonic()
        assert hostile_changes.attempt(one, folder, folder / _out(case)) == ""
        _explore((folder, one, time.monotonic() - seconds), of)


def _inspect_in_silence(path):
    with contextlib.redirect_stdout(io.StringIO()):
        inspect.inspect(path)


def _explore(whole, strategy_of):
    """Damages one file at a time, as `strategy_of` its path says, and converts."""
    folder, case, seconds = whole
    strategies = {path: strategy_of(path) for path in case.files[:4]}
    strategies = {path: strategy for path, strategy in strategies.items() if strategy is not None}
    count = int(min(MOST, max(LEAST, SECONDS / (seconds + 1e-3)))) // max(len(strategies), 1)
    for path, strategy in strategies.items():
        good = path.read_bytes()

        @hypothesis.settings(
            max_examples=max(count, LEAST),
            deadline=None,
            derandomize=True,
            database=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(data=strategy)
        def check(data):
            path.write_bytes(data)  # noqa: B023
            hostile_changes.attempt(case, folder, folder / _out(case))

        try:
            check()
        finally:
            path.write_bytes(good)
