"""Chunks add up to the whole, are compiled once, get smaller when there is no memory, and can be stopped."""

import threading
import time

import jax
import numpy as np
import pytest

from diffjax import chunks

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def lacking(most):
    """What a device says that has memory for so many rows."""

    def run(function, arguments, label, bar):
        if len(jax.tree.leaves(arguments[0])[0]) > most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating")
        (some,) = arguments
        return jax.device_get(function(*some)), 0.0

    return run


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("size", [1, 64, 100])
def test_the_chunks_are_the_whole_compiled_once(size, count, rng):
    batch = {
        "a": rng.normal(size=(count, 3)).astype(np.float32),
        "b": np.arange(count, dtype=np.int32),
    }
    traced = []

    def work(batch, factor):
        traced.append(batch["a"].shape)
        return {"sum": batch["a"].sum(-1) * factor, "b": batch["b"]}

    found, seconds = chunks.in_chunks(work, batch, np.float32(2.0), size=size, label="all")
    np.testing.assert_allclose(found["sum"], 2 * batch["a"].sum(-1), rtol=1e-5)
    np.testing.assert_array_equal(found["b"], batch["b"])
    assert seconds > 0
    chunks.in_chunks(work, batch, np.float32(3.0), size=size, label="again")
    assert traced == [(64 if size <= 64 else 128, 3)]


def test_another_shape_is_compiled_anew():
    traced = []

    def work(x, y):
        traced.append(x.shape)
        return x + y.sum()

    for width in (1, 2, 2):
        ones = np.ones(width, np.float32)
        chunks.in_chunks(work, np.zeros((4, 3), np.float32), ones, size=2, label="")
    assert len(traced) == 2


def test_without_memory_the_chunks_get_smaller_aloud_and_stay_so(monkeypatch, capsys):
    def work(x):
        return 2 * x

    people = np.arange(700, dtype=np.int32)
    monkeypatch.setattr(chunks, "_run", lacking(100))
    for _ in range(2):
        found, _ = chunks.in_chunks(work, people, size=512, label="search")
        np.testing.assert_array_equal(found, 2 * people)
    said = [line for line in capsys.readouterr().err.splitlines() if "no memory" in line]
    assert said == [
        "search: no memory for 512 people at once; going on with 256",
        "search: no memory for 256 people at once; going on with 128",
        "search: no memory for 128 people at once; going on with 64",
    ]


def test_without_memory_for_64_people_nothing_can_be_done(monkeypatch):
    monkeypatch.setattr(chunks, "_run", lacking(10))
    with pytest.raises(ValueError, match=r"search: wanted memory for 64 people on .*; stop what"):
        chunks.in_chunks(lambda x: x, np.arange(70), size=128, label="search")


def test_another_error_of_the_device_is_passed_on(monkeypatch):
    def broken(*args):
        raise jax.errors.JaxRuntimeError("INTERNAL: broken")

    monkeypatch.setattr(chunks, "_run", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        chunks.in_chunks(lambda x: x, np.arange(70), size=128, label="search")


def test_what_is_read_ahead_comes_in_order_and_is_bounded():
    read = []

    def slow(index):
        read.append(index)
        return 10 * index

    found = chunks.ahead(slow, range(20))
    assert [next(found) for _ in range(3)] == [0, 10, 20]
    time.sleep(0.1)
    assert len(read) <= 3 + 2
    found.close()
    before = threading.active_count()
    assert list(chunks.ahead(slow, range(5))) == [0, 10, 20, 30, 40]
    time.sleep(0.1)
    assert threading.active_count() <= before


def test_an_error_of_the_reader_arrives_where_its_piece_was_wanted():
    def broken(index):
        if index == 2:
            raise ValueError("shard 2")
        return index

    found = chunks.ahead(broken, range(5))
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ValueError, match="shard 2"):
        next(found)


def test_an_error_of_the_work_is_the_callers():
    with pytest.raises(ZeroDivisionError):
        chunks.answering(lambda: 1 // 0)
    assert chunks.answering(lambda: 3) == 3
