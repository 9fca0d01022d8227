"""ScoreHMR's loop that stops computing: whoever has converged leaves after a round, and the rest is packed anew.

A compiled program has a fixed number of rows, so the rounds are driven from the host: (rows that are left) -> blocks
of a few static sizes -> one round of each. The result is that of the stop `freeze`, to rounding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from diffjax import chunks, devices, guidance, tracks
from diffjax.methods import scorehmr_loop
from diffjax.methods.scorehmr_loop import State, Task

Block = Callable[[tracks.Piece, int], Any]
"""What is known of the rows of a piece, filled up to so many rows."""


class Programs(NamedTuple):
    """What is compiled for each size of a block; all of them may be given more arguments, the same ones."""

    begin: Callable[..., dict[str, Any]]
    """(block, *shared) -> what `of_rows` gives."""
    one_round: Callable[..., dict[str, Any]]
    """((block, the same), index, *shared) -> the same after the round."""
    finish: Callable[..., Any]
    """((block, the same), index, *shared) -> the result, a row each."""


class Ran(NamedTuple):
    """What was computed, and what it took."""

    result: Any
    rounds: Int[np.ndarray, " rows"]
    """Of each row, until it left."""
    computed: tuple[int, ...]
    """Rows that each round computed, those that fill up blocks included."""
    seconds: float
    """Without compiling."""


def of_rows(state: State) -> dict[str, Any]:
    """A state without what all rows share."""
    return {k: v for k, v in state._asdict().items() if k not in ("steps", "losses")}


def state_of(rows: dict[str, Any], task: Task, index: Array) -> State:
    """The state of some rows before the round `index`; without a history."""
    count = len(guidance.levels(task.loop.start, task.loop.stride)) - 1
    x = rows["x"]
    return State(**rows, steps=jnp.int32(count) * index, losses=jnp.zeros((0, len(x)), x.dtype))


def begin(task: Task, estimate: Any, translation: Array) -> dict[str, Any]:
    """What the first round begins with."""
    return of_rows(scorehmr_loop.begin(task, estimate, translation))


def one_round(task: Task, rows: dict[str, Any], index: Array) -> dict[str, Any]:
    """`scorehmr_loop.run_round` of some rows."""
    return of_rows(scorehmr_loop.run_round(task, state_of(rows, task, index), index))


def bucket(rows: int, most: int) -> int:
    """The smallest of `most`, its half, a quarter ..., but 64 at least, that holds so many rows."""
    size = most
    while size // 2 >= max(rows, devices.FLOOR):
        size //= 2
    return size


def run(
    programs: Programs,
    block: Block,
    units: Int[np.ndarray, " rows"],
    most: int,
    rounds: int,
    *shared: Any,
    label: str,
    bar: Any = None,
) -> Ran:
    """All rows, for as many rounds as each needs.

    `units`: 0, 0, 1, 1, 1 ...; rows of one unit stay together, and leave when all of them have converged. None is
    longer than `most`, the rows of the largest block.
    """
    each = _Each(block, most, label, bar)
    rows, computed, spent = np.arange(len(units)), [], np.zeros(len(units), int)
    carried = each(programs.begin, packed(units, rows, most), None, *shared)[0]
    for index in range(rounds):
        if not len(rows):
            break
        pieces = packed(units, rows, most)
        new, size = each(programs.one_round, pieces, carried, np.int32(index), *shared)
        jax.tree.map(lambda old, now, rows=rows: _put(old, rows, now), carried, new)
        computed.append(size)
        spent[rows] += 1
        rows = rows[_unfinished(units[rows], new["kept"].done)]
    everyone = packed(units, np.arange(len(units)), most)
    result, _ = each(programs.finish, everyone, carried, np.int32(rounds), *shared)
    return Ran(result, spent, tuple(computed), each.seconds)


class _Each:
    """Runs a program over pieces, block by block, and adds up the seconds."""

    def __init__(self, block: Block, most: int, label: str, bar: Any):
        self._block, self._most, self._how = block, most, {"label": label, "bar": bar}
        self.seconds = 0.0

    def __call__(
        self, program: Callable[..., Any], pieces: list[tracks.Piece], carried: Any, *shared: Any
    ) -> tuple[Any, int]:
        """The results, a row each in the order of the pieces; and how many rows were computed."""
        sizes = np.array([bucket(len(piece.rows), self._most) for piece in pieces])
        found: list[Any] = [None] * len(pieces)
        for size in np.unique(sizes)[::-1].tolist():
            chosen = np.flatnonzero(sizes == size)
            blocks = [self._argument(pieces[i], size, carried) for i in chosen]
            done = chunks.in_blocks(program, blocks, *shared, **self._how)
            for i, (result, seconds) in zip(chosen, done):
                count = len(pieces[i].rows)
                found[i] = jax.tree.map(lambda x, n=count: np.asarray(x)[:n], result)
                self.seconds += seconds
        return jax.tree.map(lambda *xs: np.concatenate(xs), *found), int(sizes.sum())

    def _argument(self, piece: tracks.Piece, size: int, carried: Any) -> Any:
        known = self._block(piece, size)
        if carried is None:
            return known
        index = padded(piece.rows, size)
        return known, jax.tree.map(lambda x: x[index], carried)


def padded(rows: Int[np.ndarray, " n"], size: int) -> Int[np.ndarray, " size"]:
    """The rows, and the first one again until there are `size`."""
    return np.concatenate([rows, np.full(size - len(rows), rows[0])])


def packed(
    units: Int[np.ndarray, " all"], rows: Int[np.ndarray, " rows"], most: int
) -> list[tracks.Piece]:
    """The rows in blocks that are filled as well as can be: 316 of 512 in 256 and 64."""
    groups = np.split(rows, np.flatnonzero(np.diff(units[rows])) + 1)
    sizes = np.array([len(group) for group in groups])
    ends, first, found = np.cumsum(sizes), 0, []
    while first < len(groups):
        past = ends[first] - sizes[first]
        room = max(_room(int(ends[-1] - past), most), bucket(int(sizes[first]), most))
        last = int(np.searchsorted(ends, past + room, "right"))
        found += tracks.pieces(groups[first:last], room)
        first = last
    return found


def _room(rows: int, most: int) -> int:
    """The largest block that so many rows fill, but for less than 64."""
    size = bucket(rows, most)
    wasted = size - rows >= devices.FLOOR
    return size // 2 if wasted and size > devices.FLOOR else size


def _unfinished(units: np.ndarray, done: Bool[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
    """Whether anyone of a row's unit has not converged."""
    _, place = np.unique(units, return_inverse=True)
    return (np.bincount(place, ~done) > 0)[place]


def _put(old: np.ndarray, rows: np.ndarray, new: np.ndarray) -> None:
    old[rows] = new
