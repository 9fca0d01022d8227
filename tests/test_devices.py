"""Devices and processes: shares add up, nothing is sent between devices, and the answers are those of one."""

import os
import subprocess
import sys

import jax
import pytest

from diffjax import devices

SEARCH = """
import sys, tempfile, pathlib
import jax, numpy as np, tiny
from diffjax import annotate, checkpoint, choosing, chunks, config, devices, evaluate

assert len(jax.devices()) == 4
at = pathlib.Path(tempfile.mkdtemp())
people = tiny.annotations(300, off=0.3)
judge = evaluate.make_judge(tiny.write_body(at / "body.npz"), people)
prior = annotate.load_prior(tiny.write_model(at / "prior.npz"))
kit = annotate.Kit(str(at / "body.npz"), tiny.bones(), prior, None)
run = config.Search(max_step=3, patience=None)
parts = choosing.Parts(kit, prior, judge, None)
searcher = choosing.make_searcher(parts, people, (), run, fixed=2)
problem = choosing.make_problem(judge, people, (), "people")
batch = (problem.estimate, problem.truth, problem.evidence, problem.ids)

def search(width, first, last):
    jax.local_devices = lambda: jax.devices()[:width]
    some = jax.tree.map(lambda x: np.asarray(x)[first:last], batch)
    found, _ = chunks.in_chunks(searcher.work, some, *searcher.shared, size=64, label="", bar=False)
    return jax.tree.leaves(found)

for first, last in ((0, 300), (100, 164), (6, 7)):
    one, four = search(1, first, last), search(4, first, last)
    assert all(len(x) == last - first for x in four)
    # A lone person has no companion: the controls get their own moves on both.
    assert all(x.tobytes() == y.tobytes() for x, y in zip(one, four)), (first, last)
texts = [c.as_text() for key, c in chunks._COMPILED.items() if key[0] is searcher.work]
words = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")
assert len(texts) == 4
assert not [word for word in words for text in texts if word in text]
print("same")
"""


def test_four_devices_give_the_answers_of_one_and_send_nothing():
    """The step search of 300, 64 and 1 people: shares of 64 divide none but the second."""
    told = os.environ | {
        "PYTHONPATH": os.path.dirname(__file__),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "XLA_FLAGS": os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=4",
    }
    done = subprocess.run(
        [sys.executable, "-c", SEARCH], env=told, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "same\n"), done.stderr


def test_pieces_are_whole_chunks_and_every_process_gets_as_many(monkeypatch):
    for processes in (1, 2, 3):
        monkeypatch.setattr(jax, "process_count", lambda p=processes: p)
        for count in (1, 63, 64, 65, 300, 2049, 35_515):
            rows = devices.piece(count, about=2048)
            assert rows % devices.FLOOR == 0
            assert rows < 2048 + devices.FLOOR
            pieces = -(-count // rows)
            assert pieces % processes == 0 or count < processes * (rows + devices.FLOOR)


def test_an_accelerator_gets_as_many_rows_as_have_room(monkeypatch):
    assert devices.rows_at_once() == devices.rows_at_once(10**9) == devices.FLOOR
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert devices.rows_at_once() == devices.rows_at_once(1000) == 4096
    assert devices.rows_at_once(10**6) == 512
    assert devices.rows_at_once(10**9) == devices.FLOOR


def test_a_run_of_one_process_is_told_nothing(monkeypatch):
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    assert devices.start(["--out", "x.npz"]) == ["--out", "x.npz"]
    assert devices.is_first()


def test_an_incomplete_environment_says_what_is_missing(monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "localhost:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.delenv("JAX_PROCESS_ID", raising=False)
    with pytest.raises(ValueError, match=r"JAX_PROCESS_ID: wanted a number beside .*found ''"):
        devices.start([])


def test_no_cluster_says_how_to_do_without(monkeypatch):
    def none(**_):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    monkeypatch.setattr(jax.distributed, "initialize", none)
    with pytest.raises(ValueError, match=r"--distributed: wanted a cluster .*; set JAX_COORD"):
        devices.start(["--distributed"])
