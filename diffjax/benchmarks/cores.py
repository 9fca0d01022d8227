"""How much faster is the search with two cores than with one? Each in a process of its own, in turn."""

import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from diffjax.benchmarks.timing import Row

_COUNT, _MAX_STEP = 64, 200


class _Worker:
    """A process pinned to some cores that runs the search once for every line it is sent."""

    def __init__(self, cores: list[int]):
        code = f"from diffjax.benchmarks import cores; cores.work({cores})"
        self.process: Any = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        self.seconds()  # Compiles.

    def seconds(self) -> float:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def work(cores: list[int]) -> None:
    """Answers every line on stdin with the seconds of one search; one device a core."""
    os.sched_setaffinity(0, cores)
    from diffjax import devices

    devices.one_a_core()
    import jax

    from diffjax.benchmarks import search

    setting, own = search.make_setting(search.SIZE, _COUNT), jax.local_devices()
    share = functools.partial(search.ours, max_step=_MAX_STEP)
    parts = [
        jax.device_put(
            (setting.denoiser, setting.x[i :: len(own)], setting.target[i :: len(own)]), d
        )
        for i, d in enumerate(own)
    ]
    for _ in sys.stdin:
        start = time.perf_counter()
        jax.block_until_ready([share(*part) for part in parts])
        print(time.perf_counter() - start, flush=True)


def run(quick: bool = False) -> Iterator[Row]:
    """Wall time, interleaved: wants an idle machine."""
    case = f"exhaustive, 226 wide, {_COUNT} samples, {_MAX_STEP} starts, wall time"
    if not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2:
        yield Row(case, "two cores", None, note="not measured: needs two cores and Linux")
        return
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    two, one = _Worker([0, 1]), _Worker([0])
    rounds = np.asarray([(two.seconds(), one.seconds()) for _ in range(3 if quick else 7)])
    for worker in (two, one):
        worker.process.kill()
    ratio = float(np.median(rounds[:, 1] / rounds[:, 0]))
    for name, seconds, against in (
        ("diffjax, two cores", rounds[:, 0], None),
        ("diffjax, one core", rounds[:, 1], ratio),
    ):
        low, median, high = (float(x) for x in np.quantile(seconds, [0.25, 0.5, 0.75]) / _COUNT)
        yield Row(case, name, median, low, high, "sample", against)
