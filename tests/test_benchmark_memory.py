"""The account of a program's memory, on the one device that is here."""

import contextlib

import jax
import jax.numpy as jnp
import pytest

from diffjax import config
from diffjax.benchmarks import memory

HERE = jax.devices()[0]
NUMBERS = 250_000


@contextlib.contextmanager
def unoptimised():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def account(call, *arguments, **options) -> float:
    program = memory.Program(jax.jit(call, **options), arguments)
    return memory.gigabytes(memory.compiled(program, HERE))


def test_arguments_and_results_are_counted():
    x = jnp.zeros(NUMBERS)
    assert account(lambda x: 2 * x, x) == pytest.approx(0.002, rel=0.01)


def test_what_is_given_away_counts_once():
    x = jnp.zeros(NUMBERS)
    assert account(lambda x: 2 * x, x, donate_argnums=0) == pytest.approx(0.001, rel=0.01)


def test_what_lies_between_is_counted():
    """A sort of a sum of two products cannot be computed in place."""
    x = jnp.zeros((500, 500))
    assert account(lambda x: jnp.sort(x @ x, 0)[0, 0], x) > 0.0015


def test_shapes_serve_in_place_of_arrays_and_plain_numbers_are_static():
    x = jax.ShapeDtypeStruct((NUMBERS,), jnp.float32)
    found = account(lambda x, times: jnp.tile(x, times), x, 3, static_argnums=1)
    assert found == pytest.approx(0.004, rel=0.01)


def test_a_refiners_step_holds_its_state_once_and_what_lies_between():
    told = config.Sequences(network="frames", window=9, width=8, blocks=1, heads=2)
    run = config.Run(name="tiny", sequence=told, train=config.Train(batch_size=2))
    program = memory.refiner_step(run)
    sizes = [x.size * x.dtype.itemsize / 1e9 for x in jax.tree.leaves(program.arguments)]
    with unoptimised():
        found = memory.gigabytes(memory.compiled(program, HERE))
    assert sum(sizes) < found < 20 * sum(sizes)


def test_a_compiler_that_is_not_here_is_a_row_that_says_so(monkeypatch):
    monkeypatch.setattr(memory, "TARGETS", {"a chip": ("nowhere", {"topology_name": "x"})})
    small = memory.Program(jax.jit(lambda x: x), (jnp.zeros(3),))
    monkeypatch.setattr(memory, "PROGRAMS", {"one": lambda: small, "two": lambda: small})
    rows, first = list(memory.run()), list(memory.run(quick=True))
    assert [row.case for row in rows] == ["one", "two"]
    assert [row.case for row in first] == ["one"]
    assert all(row.seconds is None and row.note.startswith("not compiled: ") for row in rows)
