"""Batches for the devices, each stack prepared while they compute on the one before."""

import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from diffjax import config
from diffjax.data import pipeline


def _stack(batches: Iterator[Any], count: int, length: int) -> Any:
    """`count` new batches of indices along a new axis of `length`; the last one fills the rest, unused."""
    taken = [next(batches) for _ in range(count)]
    return np.stack(taken + [taken[-1]] * (length - count))


def _split(stack: PyTree) -> PyTree:
    """A stack of batches, each along the devices."""
    mesh = Mesh(np.asarray(jax.devices()), ("data",))
    sharding = NamedSharding(mesh, PartitionSpec(None, "data"))
    return jax.tree.map(
        lambda values: jax.make_array_from_process_local_data(sharding, values), stack
    )


class Feed:
    """Stacks of batches, each prepared while the devices compute on the one before.

    Examples of up to `pipeline.RESIDENT_BYTES` live on every device and only indices travel; of a
    larger set, the rows of a stack are gathered here.
    """

    def __init__(self, settings: config.Train, examples: Any, batches: Any):
        self._settings, self._examples, self._batches = settings, examples, batches
        self.resident = replicate(examples) if pipeline.fits_device(examples) else None
        self._waited, self._since = 0.0, time.perf_counter()

    def prepare(self, step: int, running: Any = None) -> None:
        """Makes `stack`, of `count` batches to run at this step, while `running` is being computed.

        `position` is then where the data are once the stack is used up.
        """
        began = time.perf_counter()
        self.count = _steps_to_go(self._settings, step)
        if self.count:
            rows = _stack(self._batches, self.count, self._settings.steps_per_dispatch)
            streamed = self.resident is None
            self.stack = _split(pipeline.take(self._examples, rows) if streamed else rows)
            self.position = self._batches.get_state()
        if running is None or running.is_ready():
            self._waited += time.perf_counter() - began

    def waiting(self) -> float:
        """The share of time since the last call in which the devices may have waited for data.

        An upper bound: preparing counts in full where the devices were through before it was.
        """
        now, waited = time.perf_counter(), self._waited
        share = waited / max(now - self._since, 1e-9)
        self._waited, self._since = 0.0, now
        return share


def replicate(tree: PyTree) -> PyTree:
    """The same arrays on every device of every process."""
    mesh = Mesh(np.asarray(jax.devices()), ("data",))
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)


def _steps_to_go(settings: config.Train, step: int) -> int:
    """Steps until the dispatch is full or something has to be written."""
    stops = [step + settings.steps_per_dispatch, settings.steps]
    stops += [(step // every + 1) * every for every in (settings.log_every, settings.save_every)]
    return min(stops) - step
