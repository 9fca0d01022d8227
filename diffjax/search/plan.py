"""How the work of a search is cut: the one rule for the sizes of tiles, groups and noise tables."""

from typing import NamedTuple

import jax

FLOOR = 64
"""Fewest slots of a tile: a matrix product of fewer columns takes other kernels, which round otherwise."""


class Machine(NamedTuple):
    """What the rule asks of a device."""

    tile: int
    """Slots of a tile. On a CPU a tile's activations (3 x width x tile x 4 bytes) stay in the
    cache beside the weights; on an accelerator a tile has to fill all of its matrix units."""
    group: int
    """Most samples searched together."""
    table_mib: int
    """Of a group's noise."""


MACHINES = {"cpu": Machine(128, 1024, 128), "gpu": Machine(16_384, 32_768, 2048)}
"""By platform; all but `cpu` count as `gpu`."""


class Plan(NamedTuple):
    """Sizes of one search; all static."""

    tiles: tuple[int, ...]
    """Slots of a tile, descending: the smaller ones take what the largest leaves over."""
    group: int
    groups: int
    noise_rows: int
    """Steps whose noise is drawn once and kept; later ones draw it at each use."""


def make_plan(
    count: int, size: int, steps: int, max_step: int, width: int, tile: int | None = None
) -> Plan:
    """The plan for `count` samples of `size` numbers that try up to `width` starts in a round.

    Args:
      steps: of the schedule.
      tile: slots of a tile, in place of the machine's; a multiple of FLOOR.
    """
    machine = MACHINES.get(jax.default_backend(), MACHINES["gpu"])
    if tile is not None and (tile < FLOOR or tile % FLOOR):
        raise ValueError(f"tile: wanted a multiple of {FLOOR}, got {tile}")
    rows = min(steps, max(FLOOR, _round_up(max_step, FLOOR)))
    if width <= max_step:  # Patience: few samples get far.
        rows = min(rows, 2 * FLOOR)
    fit = max(1, machine.table_mib * 2**20 // (4 * size * rows))
    groups = -(-count // min(machine.group, fit))
    # Never one alone: what is looked up in arrays of one row compiles, and rounds, otherwise.
    group = max(2, -(-count // groups))
    tiles = [tile or _tile(machine.tile, group, width)]
    while tiles[-1] > FLOOR and width <= max_step:
        tiles.append(max(FLOOR, tiles[-1] // 8 // FLOOR * FLOOR))
    return Plan(tuple(tiles), group, groups, rows)


def _tile(largest: int, group: int, width: int) -> int:
    """The machine's tile, halved until its slots differ by at most 5 % of the starts of a round.

    Slots of a tile wait for the earliest of their starts, of which a tile has tile / group.
    """
    tile = largest
    while tile > FLOOR and tile > max(group, 0.05 * width * group):
        tile //= 2
    return tile


def _round_up(x: int, multiple: int) -> int:
    return -(-x // multiple) * multiple
