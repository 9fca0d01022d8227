"""What scripts/evaluate.py does."""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from diffjax import config, simulate
from diffjax.comparison import advice, loading, people, protocol, table
from diffjax.comparison.method import Tuning
from diffjax.data import records


class Asked(NamedTuple):
    """The words of the command line; see there."""

    data: str | None = None
    val: str | None = None
    methods: tuple[str, ...] = ()
    use: str = "auto"
    limit: int = 0
    val_limit: int = 0
    tune: Tuning = "quick"
    seed: int = 0
    out: Path | None = None
    overwrite: bool = False


def defaults(argv: Sequence[str], file: Path) -> config.Run:
    """The run of a config, with ScoreHMR's settings from the config of its own."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--scorehmr-config", "--scorehmr_config")
    named = first.parse_known_args(argv)[0].scorehmr_config
    loop = config.load(named or loading.loop_config(file))
    return dataclasses.replace(config.load(file), scorehmr=loop.scorehmr)


def evaluate(
    run: config.Run, asked: Asked, file: Path, loop_file: Path | None = None, loop_prior: str = ""
) -> dict[str, Any]:
    """The table of a run; `run.scorehmr` is what ScoreHMR's loop is told (see `defaults`)."""
    methods = table.chosen(asked.methods)
    loop_file = loop_file or loading.loop_config(file)
    loop = loading.loop_run(run, loop_file, loop_prior)
    out = asked.out or Path("runs") / run.name / "evaluation"
    if not asked.overwrite:
        protocol.refuse_finished(out)
    name, other = sets_of(run, asked)
    test = people.gather(run, name, "test", asked.use, asked.limit)
    val = people.gather(run, other, "val", asked.use, asked.val_limit) if other else None
    head = records.take(test.people.annotations, slice(0, 0))
    workdir = Path("runs") / run.name
    kit = loading.load(run, loop, workdir, head, use=test.use, tuning=asked.tune, seed=asked.seed)
    files = advice.Files(str(file), str(loop_file))
    sets = protocol.Sets(test, val)
    return protocol.compare(methods, kit, sets, out, files=files, overwrite=asked.overwrite)


def sets_of(run: config.Run, asked: Asked) -> tuple[str, str]:
    """Names of who is judged, and of who tells the settings; '' for nobody."""
    name = asked.data or run.data.test
    if asked.val is not None:
        return name, "" if asked.val == "none" else asked.val
    if name in simulate.DEMOS:
        return name, name
    return name, run.data.val if name == run.data.test else ""


def audit(run: config.Run, path: Path, out: Path | None) -> None:
    """A report on a set, without truth."""
    from diffjax import audit as audits  # Not needed for the table.

    out = out or Path("runs") / run.name / "audit"
    audits.audit_file(path, out, body_path=run.data.body)
