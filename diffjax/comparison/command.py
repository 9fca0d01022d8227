"""What scripts/evaluate.py does."""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from diffjax import config, fitting, simulate
from diffjax.comparison import (
    advice,
    axes,
    facts,
    loading,
    people,
    protocol,
    results,
    scoring,
    sweeps,
    table,
    terminal,
    tuning,
    worth,
)
from diffjax.comparison.method import Kit, Method, Tuning
from diffjax.data import jobs, records
from diffjax.fitting import rates


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
    fps: float = 30.0
    note: str = ""
    sweep: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    command: str = "python scripts/evaluate.py"
    """All of them, as they were typed."""
    protocol: str = "diffjax"
    bodies: tuple[Path, ...] = ()
    quality: Literal["none", "cheap", "full"] = "none"
    max_harm: float | None = None
    calibrate: tuple[str, ...] = ()


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
    methods, out = table.chosen(asked.methods), _out(run, asked)
    if not asked.overwrite:
        results.refuse_finished(out)
    name, other = sets_of(run, asked)
    terminal.print_now(f"reading {name}; then models are loaded, and the table begins")
    test = people.gather(run, name, "test", asked.use, asked.limit)
    test = test._replace(
        referee=scoring.of_crowd(run, test, asked.protocol, asked.bodies, rates.checked(asked.fps))
    )
    val = people.gather(run, other, "val", asked.use, asked.val_limit) if other else None
    loop_file = loop_file or loading.loop_config(file)
    kit = _kit(run, asked, loading.loop_run(run, loop_file, loop_prior), test, methods)
    files, sets = advice.Files(str(file), str(loop_file)), people.Sets(test, val)
    trust = _trust(run, asked, test.use)
    told = {"command": asked.command, "note": asked.note, "unnamed": _unnamed(asked)}
    return protocol.compare(
        methods, kit, sets, out, files=files, overwrite=asked.overwrite, told=told, trust=trust
    )


def _unnamed(asked: Asked) -> list[str]:
    """Methods that run only if they are named."""
    return [] if asked.methods else [entry.name for entry in table.METHODS if not entry.default]


def _trust(run: config.Run, asked: Asked, use: str) -> worth.Asked | None:
    """What is asked of the quality of rows."""
    if asked.max_harm is not None and not 0.0 <= asked.max_harm <= 1.0:
        raise ValueError(f"--max-harm: wanted a share from 0 to 1, got {asked.max_harm}")
    if asked.quality == "none" and asked.max_harm is None:
        return None
    more = tuple(people.gather(run, name, "val", use) for name in asked.calibrate)
    return worth.Asked("full" if asked.quality == "full" else "cheap", asked.max_harm, more)


def _out(run: config.Run, asked: Asked) -> Path:
    return asked.out or Path("runs") / run.name / "evaluation"


def _kit(
    run: config.Run,
    asked: Asked,
    loop: config.Run,
    test: people.Crowd,
    methods: Sequence[Method],
) -> Kit:
    head = records.take(test.people.annotations, slice(0, 0))
    workdir = Path("runs") / run.name
    told = asked.quality != "none" or asked.max_harm is not None
    poses = told or any("known poses" in entry.needs for entry in methods)
    how = {"use": test.use, "tuning": asked.tune, "seed": asked.seed, "poses": poses}
    kit = loading.load(run, loop, workdir, head, **how)
    return kit._replace(fps=asked.fps)


def sweep(
    run: config.Run, asked: Asked, file: Path, loop_file: Path | None = None, loop_prior: str = ""
) -> list[dict[str, Any]]:
    """The sweeps that are asked for; of `all`, those that go with the people."""
    loop = loading.loop_run(run, loop_file or loading.loop_config(file), loop_prior)
    found = []
    for axis in axes.AXES:
        if axis.name not in asked.sweep and "all" not in asked.sweep:
            continue
        try:
            found.append(_swept(axis, run, asked, loop))
        except ValueError as error:
            if "all" not in asked.sweep:
                raise
            terminal.print_now(f"\n{axis.title}: left out. {error}")
    return found


def _swept(axis: axes.Axis, run: config.Run, asked: Asked, loop: config.Run) -> dict[str, Any]:
    name, other, more = _swept_sets(axis, run, asked)
    test = people.read(run, name, "test")
    head = records.take(test, slice(0, 0))
    use = fitting.use_of(head, asked.use if axis.use == "auto" else axis.use)
    test = people.some(test, use, asked.limit)
    val = people.some(people.read(run, other, "val"), use, asked.val_limit) if other else None
    given = axes.Given(run, name, test, val, use, asked.fps, tuple(more), asked.seed)
    points = axis.points(given)
    base = people.Sets(
        *(None if a is None else people.crowd_of(run, a, name, use) for a in (test, val))
    )
    methods = [entry for entry in table.chosen(asked.methods or axis.methods) if not entry.oracle]
    kit = _kit(run, asked, loop, base.test, methods)
    depends = facts.of(kit, base)
    depends["more"] = {one: jobs.fingerprint(records.arrays_of(a)) for one, a, _ in more}
    out = _out(run, asked)
    chosen = tuning.kept_settings(methods, kit, results.read(out), depends)
    return sweeps.run(
        axis,
        points,
        methods,
        kit,
        out,
        facts=depends,
        chosen=chosen,
        overwrite=asked.overwrite,
        command=asked.command,
    )


def _swept_sets(axis: axes.Axis, run: config.Run, asked: Asked) -> tuple[str, str, list]:
    """Names of who is judged, and of who tells the settings; and the sets of other frontends."""
    name, other = sets_of(run, asked)
    if asked.data is None and name in simulate.DEMOS:
        name = axis.demo
        other = axis.demo if asked.val is None else other
    if axis.name != "frontends" or not asked.sets:
        return name, other, []
    more = list(_more(run, asked))
    if asked.data is None:
        middle = asked.sets[len(asked.sets) // 2].partition("=")[2].split(",")
        name = middle[0]
        other = other if asked.val is not None else ",".join(middle[1:])
    return name, other, more


def _more(
    run: config.Run, asked: Asked
) -> Iterator[tuple[str, records.AnnotationSet, records.AnnotationSet | None]]:
    """The sets of --sets NAME=SET or NAME=SET,VALIDATION."""
    for word in asked.sets:
        name, mark, paths = word.partition("=")
        test, *val = paths.split(",")
        if not mark or not name or not test or len(val) > 1:
            raise ValueError(f"--sets {word}: wanted NAME=SET.npz or NAME=SET.npz,VALIDATION.npz")
        read = [people.read(run, path, part) for path, part in zip((test, *val), ("test", "val"))]
        use = fitting.use_of(records.take(read[0], slice(0, 0)), asked.use)
        limits = (asked.limit, asked.val_limit)
        some = [people.some(a, use, limit) for a, limit in zip(read, limits)]
        yield name, some[0], some[1] if val else None


def sets_of(run: config.Run, asked: Asked) -> tuple[str, str]:
    """Names of who is judged, and of who tells the settings; '' for nobody."""
    name = asked.data or run.data.test
    if asked.val is not None:
        return name, "" if asked.val == "none" else asked.val
    if name in simulate.DEMOS:
        return name, name
    return name, run.data.val if name == run.data.test else ""


def score(run: config.Run, asked: Asked, refined: Path) -> None:
    """The numbers of a refined set, by a named protocol."""
    at = asked.data, asked.protocol, asked.bodies, asked.out, rates.checked(asked.fps)
    scoring.score(run, refined, *at)


def audit(run: config.Run, path: Path, out: Path | None, before: Path | None = None) -> None:
    """A report on a set, without truth."""
    from diffjax import audit as audits  # Not needed for the table.

    out = out or Path("runs") / run.name / "audit"
    audits.audit_file(path, out, before=before, body_path=run.data.body)
