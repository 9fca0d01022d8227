"""A function over many people: in chunks of one compiled shape, on every device, with a progress bar."""

import concurrent.futures
import functools
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from diffjax import devices, progress

Value = TypeVar("Value")


def in_chunks(
    function: Callable[..., Any],
    batch: Any,
    *shared: Any,
    size: int,
    label: str,
    bar: Any = None,
    part: float = 1.0,
) -> tuple[Any, float]:
    """function(rows, *shared) over the leading axis of a pytree; results, and seconds without compiling.

    `size` rows (a multiple of 64, or made one) at a time on every device; the last chunk is filled up
    with the first rows. Where there is no memory for that, half as many, said on stderr.

    Args:
      bar: of `progress.over`; one of its own where there is none. False for silence.
      part: of the bar's people that a row counts for, where a person comes by several times.
    """
    count = len(jax.tree.leaves(batch)[0])
    if bar is None:
        with progress.over(count, label) as own:
            return in_chunks(function, batch, *shared, size=size, label=label, bar=own)
    own, results, seconds, first = jax.local_devices(), [], 0.0, 0
    everywhere = [jax.device_put(shared, device) for device in own]
    size = _allowed(function, size)
    while first < count:
        starts = range(first, min(first + size * len(own), count), size)
        rows = [np.arange(start, start + size) % count for start in starts]
        arguments = [
            (jax.device_put(_take(batch, index), device), *weights)
            for index, device, weights in zip(rows, own, everywhere)
        ]
        try:
            result, took = _run(function, arguments, label, bar)
        except jax.errors.JaxRuntimeError as error:
            size = _smaller(function, size, error, label)
            continue
        kept = min(len(rows) * size, count - first)
        results.append(_take(result, slice(kept)))
        first, seconds = first + kept, seconds + took
        if bar:
            # Eleven elevenths are more than 1.
            bar.update(min(part * kept, bar.total - bar.n))
    return _joined(results), seconds


def in_blocks(
    function: Callable[..., Any], blocks: list[Any], *shared: Any, label: str, bar: Any = None
) -> Iterator[tuple[Any, float]]:
    """function(block, *shared) of blocks of one shape, whose rows belong together: results, seconds each.

    As many at once as there are devices. `bar` is only told when something is compiled.
    """
    own = jax.local_devices()
    everywhere = [jax.device_put(shared, device) for device in own]
    for first in range(0, len(blocks), len(own)):
        arguments = [
            (jax.device_put(block, device), *weights)
            for block, device, weights in zip(blocks[first:], own, everywhere)
        ]
        compiled = _compiled(function, arguments, label, bar)
        start = time.perf_counter()
        running = [work(*some) for work, some in zip(compiled, arguments)]
        results = answering(functools.partial(jax.device_get, running))
        seconds = (time.perf_counter() - start) / len(arguments)
        yield from ((result, seconds) for result in results)


def _take(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda x: np.asarray(x)[index], tree)


def _joined(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *xs: np.concatenate(xs), *trees)


def _run(
    function: Callable[..., Any], arguments: list[tuple[Any, ...]], label: str, bar: Any
) -> tuple[Any, float]:
    """The results of all devices on the host, and their seconds; compiling is not timed."""
    compiled = _compiled(function, arguments, label, bar)
    start = time.perf_counter()
    running = [work(*some) for work, some in zip(compiled, arguments)]
    results = answering(lambda: jax.device_get(running))
    return _joined(results), time.perf_counter() - start


_COMPILED: dict[Any, Any] = {}
_LIMIT: dict[Any, int] = {}
"""Rows that a function had memory for, where it once had none for more."""


def _compiled(
    function: Callable[..., Any], arguments: list[tuple[Any, ...]], label: str, bar: Any
) -> list[Any]:
    """The function compiled for arguments of these shapes, on the devices where they are.

    One program for each device, and not one for a mesh: what `shard_map` compiles differs in the last
    bit of some results from what one device runs.
    """
    leaves, tree = jax.tree.flatten(arguments[0])
    shapes = tuple((jnp.shape(x), jnp.result_type(x)) for x in leaves)
    places = [min(x.device.id for x in jax.tree.leaves(some[0])) for some in arguments]
    keys = [(function, tree, shapes, place) for place in places]
    missing = {key: some for key, some in zip(keys, arguments) if key not in _COMPILED}
    if missing:
        if bar:
            bar.set_description_str(f"{label}: compiling")
        lowered = [jax.jit(function).lower(*some) for some in missing.values()]
        _COMPILED.update(zip(missing, answering(lambda: _compile(lowered))))
        if bar:
            bar.unpause()  # The time left is that of the work.
    if bar:
        bar.set_description_str(label)
    return [_COMPILED[key] for key in keys]


def _compile(lowered: list[Any]) -> list[Any]:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(lambda program: program.compile(), lowered))


def _allowed(function: Any, size: int) -> int:
    size = -(-size // devices.FLOOR) * devices.FLOOR
    return min(size, _LIMIT.get(function, size))


def _smaller(function: Any, size: int, error: Exception, label: str) -> int:
    """Half as many rows, said aloud. Any other error is passed on; so is a lack of memory for 64 rows."""
    if "RESOURCE_EXHAUSTED" not in str(error):
        raise error
    if size <= devices.FLOOR:
        raise ValueError(
            f"{label}: wanted memory for {size} people on {jax.local_devices()[0]}, found too little; "
            "stop what else runs there, or take a smaller model or search.max_step"
        ) from error
    _LIMIT[function] = max(devices.FLOOR, size // 2 // devices.FLOOR * devices.FLOOR)
    said = f"{label}: no memory for {size} people at once; going on with {_LIMIT[function]}"
    tqdm.write(said, file=sys.stderr)
    return _LIMIT[function]


def answering(work: Callable[[], Value]) -> Value:
    """work() in a thread of its own: Ctrl-C is answered while it computes or compiles."""
    box: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            box.put((work(), None))
        except BaseException as error:
            box.put((None, error))

    # A daemon: nobody waits for a compiler whose result is no longer wanted.
    threading.Thread(target=run, daemon=True).start()
    value, error = box.get()
    if error is not None:
        raise error
    return value


def ahead(read: Callable[[Any], Value], wanted: Iterable[Any]) -> Iterator[Value]:
    """read(x) for every x in order; the next one is read while the caller works on the last."""
    boxes: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=1)
    stop = threading.Event()

    def run() -> None:
        for x in wanted:
            try:
                found = (read(x), None)
            except BaseException as error:
                found = (None, error)
            boxes.put(found)
            if stop.is_set() or found[1] is not None:
                return

    wanted = list(wanted)
    threading.Thread(target=run, daemon=True).start()
    try:
        for _ in wanted:
            value, error = boxes.get()
            if error is not None:
                raise error
            yield value
    finally:
        stop.set()
        while not boxes.empty():
            boxes.get()
