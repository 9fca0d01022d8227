"""Samples a second against the number of starts: the picture of the README."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from diffjax import plots
from diffjax.benchmarks import search, timing
from diffjax.benchmarks.timing import Row

_COUNT, _PATIENT = 32, "diffjax, patience 10"


def _starts(row: Row) -> int:
    return int(row.case.split()[-2])


def run(quick: bool = False) -> Iterator[Row]:
    """Every start tried, ours and the peers; and ours with patience, on 256 samples."""
    limits = (10, 30, 100) if quick else (10, 30, 100, 300)
    for limit in limits:
        yield from search.exhaustive(search.SIZE, _COUNT, limit, rounds=3)
    setting = search.make_setting(search.SIZE, 256)
    setting = setting._replace(target=search.realistic(256, setting))
    for limit in (*limits, 1000):

        def patient(limit: int = limit):
            return search.ours(
                setting.denoiser, setting.x, setting.target, max_step=limit, patience=10
            )

        times = timing.interleaved({_PATIENT: patient}, rounds=3)
        case = f"patience 10, {search.SIZE} wide, 256 samples, {limit} starts"
        yield from timing.rows_of(case, times, items=256, item="sample")


def draw(rows: Sequence[Row], path: Path) -> None:
    """Samples a second of every contender against the last start; of torch's lock steps the fastest."""
    lines: dict[str, dict[int, float]] = {}
    for row in rows:
        if row.seconds is None:
            continue
        limit = _starts(row)
        each = limit * (limit + 1) / 2 if row.item == "evaluation" else 1
        name = _NAMES.get(row.name, "torch, lock step (best of three)")
        line = lines.setdefault(name, {})
        line[limit] = max(line.get(limit, 0.0), 1.0 / (row.seconds * each))
    plots.speed({name: sorted(line.items()) for name, line in lines.items()}, path)


_NAMES = {
    "diffjax": "diffjax, every start",
    _PATIENT: "diffjax, patience 10",
    search.PLAIN: "jax, chain after chain",
    search.AUTHORS: "torch, step after step",
}
