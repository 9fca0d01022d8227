"""How much a file may ask for, and how a refusal reads."""

import contextlib
from collections.abc import Iterator
from typing import Any

LARGEST = 16 << 30
"""Bytes that one file may hold when unpacked."""
FREE = 256 << 20
"""Bytes that a file may unpack to however small it is; beyond them `RATIO` counts."""
RATIO = 200
"""Unpacked bytes for one byte on disk, beyond `FREE`: numbers seldom pass 20, a bomb has 1000."""
EXPANDED = 1 << 30
"""Bytes that content may come to with shared parts counted each time, however small the file."""


class Budget:
    """Bytes that a file may still take; it is refused before they are taken."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.left = limit

    def spend(self, amount: int) -> None:
        """Takes `amount` bytes off what is left."""
        self.left -= amount
        if self.left < 0:
            raise ValueError(
                f"the content would take more than {self._limit / 2**20:.0f} MiB, far more than "
                "the file holds (shared or repeated parts); no data file does that"
            )


def expansion(size: int) -> Budget:
    """What the content of a file of `size` bytes may come to."""
    return Budget(min(LARGEST, max(EXPANDED, 100 * size)))


def check_unpacked(unpacked: int, packed: int) -> None:
    """ValueError where `unpacked` bytes out of `packed` are more than any data file has."""
    if unpacked > LARGEST:
        raise ValueError(
            f"unpacks to {unpacked / 2**30:.1f} GiB; wanted at most {LARGEST >> 30}. Split it"
        )
    if unpacked > FREE and unpacked > RATIO * packed:
        raise ValueError(
            f"unpacks {packed} bytes to {unpacked >> 20} MiB, which only a damaged file or a "
            "decompression bomb does. If you trust it, save it without compression"
        )


def shown(text: Any) -> str:
    """Text of a file for a message: short, and without control characters."""
    text = text if isinstance(text, str) else repr(text)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= 120 else text[:117] + "..."


@contextlib.contextmanager
def refusals(where: str, wanted: str) -> Iterator[None]:
    """Every failure inside becomes a ValueError that begins with `where` (a path, maybe a field).

    A broken file can raise nearly anything; all of it means the same to the reader.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except MemoryError as error:
        raise ValueError(
            f"{where}: needs more memory than there is (or says so); is the file whole?"
        ) from error
    except (ValueError, OSError) as error:
        message = str(error)
        raise ValueError(message if message.startswith(where) else f"{where}: {message}") from error
    except Exception as error:
        raise ValueError(
            f"{where}: wanted {wanted}, could not read it: damaged content "
            f"({type(error).__name__}: {shown(str(error))}); is the file complete?"
        ) from error
