"""How far a work is: a bar on a terminal; in a file or a pipe a few lines."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from diffjax import devices

Show = Callable[..., None]
"""(step, said): so many steps are done; what is said of the last ones, if anything."""
_SECONDS = 10.0
"""Between two lines of `Lines`."""
_BAR = (
    "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total_fmt}{unit} "
    "[{elapsed}<{remaining}, {rate_noinv_fmt}]"
)


@contextlib.contextmanager
def steps(total: int, name: str, *, done: int = 0, lines: int = 4) -> Iterator[Show]:
    """Shows a training of `total` steps on stderr, of which `done` are done.

    Where stderr is no terminal it is about `lines` lines, the last step's among them. Silent in all processes but the
    first.
    """
    first, last = devices.is_first(), done
    bar = tqdm(total=total, initial=done, desc=name, unit="step", disable=None if first else True)

    def show(step: int, said: str = "") -> None:
        nonlocal last
        if said:
            bar.set_postfix_str(said, refresh=False)
        bar.update(step - bar.n)
        if first and bar.disable and said and lines * step // total > lines * last // total:
            print(f"{name}: step {step}/{total}, {said}", file=sys.stderr, flush=True)
            last = step

    with bar:
        yield show


def over(total: int, label: str, done: int = 0, what: str = "people") -> Any:
    """A bar over people (or `what` is counted), with so many a second and the time left; `Lines` in a log file.

    Silent in all processes but the first.
    """
    first = devices.is_first()
    if first and not sys.stderr.isatty():
        return Lines(total, label, done, what)
    return tqdm(
        total=total,
        initial=done,
        desc=label,
        unit=f" {what}",
        bar_format=_BAR,
        leave=False,
        mininterval=0.5,
        disable=not first,
    )


class Lines(contextlib.AbstractContextManager):
    """What a bar is where nobody watches it: a line each tenth of the way, none in the ten seconds after another.

    Short work says nothing, but where it goes on. Has what the callers of `over` use of tqdm's bar.
    """

    def __init__(self, total: int, label: str, done: int, what: str):
        self.total, self.n = total, float(done)
        self._label, self._what, self._first = label, what, float(done)
        self._tenths, self._began = _tenths(self.n, total), time.monotonic()
        self._said = self._began
        if 0 < done < total:
            self._say("going on")

    def update(self, count: Any = 1) -> None:
        self.n += count
        now, tenths = time.monotonic(), _tenths(self.n, self.total)
        if tenths > self._tenths and now - self._said >= _SECONDS:
            pace = (now - self._began) / max(self.n - self._first, 1e-9)
            self._say(f"{pace * (self.total - self.n):.0f} s left")
            self._tenths, self._said = tenths, now

    def _say(self, more: str) -> None:
        told = f"{self._label}: {self.n:.0f} of {self.total} {self._what}, {more}"
        print(told, file=sys.stderr, flush=True)

    def set_description_str(self, text: str) -> None:
        """A bar's first words; a line keeps its own."""

    def unpause(self) -> None:
        """The time left is that of the work: what was compiled before does not count."""
        self._began, self._first = time.monotonic(), self.n

    def __exit__(self, *_: Any) -> None:
        """Nothing is left open."""


def _tenths(done: float, total: int) -> int:
    # What is counted in parts adds up to a little less.
    return int(10 * done / max(total, 1) + 1e-6)
