"""Settings of methods: those with the least error on validation people."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from diffjax import ablation, annotate
from diffjax.comparison import method, people
from diffjax.comparison.method import Kit, Method, Outcome, Task

Key = tuple[str, annotate.Kind | None]
"""A method and the evidence that it sees."""


def refine(entry: Method, given: ablation.People, kit: Kit, task: Task) -> list[Outcome]:
    """What a method makes of people, of whom it sees no more than it may."""
    shown = given if entry.oracle else method.hidden(given, task.kind)
    found = entry.refine(shown, kit, task, kit.seed)
    if method.is_truth(task.kind, given):
        found = [
            o._replace(name=f"{o.name}, ORACLE", sees="the truth", honest=False) for o in found
        ]
    return found


def setting_of(
    entry: Method, kind: annotate.Kind | None, kit: Kit, sets: people.Sets, chosen: dict[Key, Any]
) -> Any:
    """The setting with the least PA-MPJPE on validation; the configured one where nobody can tell."""
    if (entry.name, kind) not in chosen:
        chosen[entry.name, kind] = _tuned(entry, kind, kit, sets, chosen)
    return chosen[entry.name, kind]


def kept_settings(
    methods: Sequence[Method], kit: Kit, result: dict[str, Any], facts: dict[str, Any]
) -> dict[Key, Any]:
    """Settings that a table of the same facts has chosen: they need not be chosen again."""
    begun = result.get("facts") or {}
    apart = ("quality", "protocol")  # Not what settings are chosen by.
    if not begun or any(begun[name] != facts.get(name) for name in begun if name not in apart):
        return {}
    kept = {(row["method"], row["evidence"]): row.get("settings") for row in result["rows"]}
    found: dict[Key, Any] = {}
    for entry in methods:
        for kind in entry.sees:
            then = kept.get((entry.name, kind))
            same = [x for x in entry.grid(kit, kind) if x is not None and told(x) == then]
            if same:
                found[entry.name, kind] = same[0]
    return found


def _tuned(entry, kind, kit, sets: people.Sets, chosen) -> Any:
    if entry.parts:
        own = [kind if kind in part.sees else None for part in entry.parts]
        return tuple(setting_of(part, k, kit, sets, chosen) for part, k in zip(entry.parts, own))
    grid = entry.grid(kit, kind)
    val = sets.val
    known = val is not None and val.counts["with_truth"] > 0
    known &= val is not None and (kind is None or method.usable(kind, val))
    if len(grid) == 1 or kit.tuning == "none" or not known:
        return grid[0]
    assert val is not None

    def error(settings: Any) -> float:
        (found, *_) = refine(entry, val.people, kit, Task(kind, settings, val))
        scores = ablation.scored(val.people, found.refined)
        return float(np.nanmean(scores.pa_mpjpe_mm[val.people.seen]))

    return min(grid, key=error)


def told(settings: Any) -> Any:
    """Settings as JSON holds them."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return dataclasses.asdict(settings)
    return [told(x) for x in settings] if isinstance(settings, tuple) else settings
