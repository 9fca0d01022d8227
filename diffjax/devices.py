"""The devices and processes there are, and how many people each of them is given.

People do not interact, so nothing is ever sent from one device to another: every device of a process
runs the same program on its own rows, and every process works on its own pieces of a set.
"""

import argparse
import contextlib
import os
from collections.abc import Sequence

import jax

FLOOR = 64
"""Rows a device gets at least, and a multiple of which it always gets. XLA multiplies fewer rows by
other kernels, whose last bit differs: with 64 or more, a person's answer is the same in any company."""

_ADDRESS, _COUNT, _INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
_PATIENCE = 7 * 24 * 3600  # Seconds that a process waits at its end for the slowest one.
_ROWS, _NUMBERS = 4096, 2**29  # Of an accelerator with 16 GB or more.


def one_a_core() -> None:
    """Makes every core a device with one thread: matrices this small are not worth sharing.

    Only on a CPU, and only where XLA_FLAGS does not say how many devices there are. Does nothing once
    something has been computed.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "device_count" in flags or not hasattr(os, "sched_getaffinity"):
        return
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


def start(argv: Sequence[str] | None = None) -> list[str]:
    """Joins the processes of a run, where there are several; returns the words that are left.

    `--distributed` finds them by the cluster (Slurm, Open MPI, TPU pods). Elsewhere every process has
    JAX_COORDINATOR_ADDRESS (host:port of the first), JAX_NUM_PROCESSES and JAX_PROCESS_ID in its
    environment. Must run before anything is computed.
    """
    one_a_core()
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--distributed", action="store_true")
    told, left = parser.parse_known_args(argv)
    if _ADDRESS in os.environ and _COUNT in os.environ:
        place = os.environ[_ADDRESS], _number(_COUNT), _number(_INDEX)
        jax.distributed.initialize(*place, shutdown_timeout_seconds=_PATIENCE)
    elif told.distributed or _ADDRESS in os.environ:
        _find_cluster()
    return left


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    if not text.isdecimal():
        raise ValueError(f"{name}: wanted a number beside {_ADDRESS}, found {text!r}; set it")
    return int(text)


def _find_cluster() -> None:
    try:
        jax.distributed.initialize(shutdown_timeout_seconds=_PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"--distributed: wanted a cluster that jax knows, found none ({error}); set {_ADDRESS}, "
            f"{_COUNT} and {_INDEX} in the environment of each process"
        ) from error


def is_first() -> bool:
    """Whether this process is the one that speaks, and joins what all have written."""
    return jax.process_index() == 0


def rows_at_once(numbers: int = 0) -> int:
    """Rows that a device is given at once, however many there are to do.

    Always as many, so that a person's answer is the same to the bit in any company, piece, shard or
    process: compiled for another number of rows, the last bit of some results differs. On a CPU 64 rows
    are as fast as 256 (8.2 against 8.5 ms a person in the step search, one core) and leave nothing to fill
    up. An accelerator gets 4096, or as many as have room with so many `numbers` of a person at once.
    """
    if jax.default_backend() == "cpu":
        return FLOOR
    room = _NUMBERS // numbers if numbers else _ROWS
    return max(FLOOR, min(room, _ROWS) // FLOOR * FLOOR)


def piece(count: int, about: int) -> int:
    """Rows of a piece of work on disk: about so many, and every process gets as many pieces.

    Even, and such that no device has to be filled up but at the end.
    """
    share_of_each = -(-count // jax.process_count())
    rows = -(-share_of_each // -(-share_of_each // about))
    step = rows_at_once() * jax.local_device_count()
    return -(-rows // step) * step
