"""A sequence refiner's training on disk: what a step is saved with, and how it goes on from there."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from diffjax import checkpoint, config, loop
from diffjax.loop import Best, State
from diffjax.sequences import refining, store
from diffjax.sequences.tasks import Task


def save(workdir: pathlib.Path, task: Task, state: State, best: Best, position: Any) -> None:
    """Saves a step; `position` is where the data are."""
    facts = store.facts_of(task.model) | {"batches": position}
    fitted = store.fitted(task.model)
    items = {"state": state._replace(ema=()), "ema": state.ema, **fitted}
    if best.step:
        items["best"] = best.params
        facts["best"] = {"step": best.step, "loss": best.loss}
    checkpoint.save(workdir, int(state.step), items, facts)


def resume(
    run: config.Run, workdir: pathlib.Path, task: Task, state: State, batches: Any
) -> tuple[State, Best]:
    """The newest saved state, with the data where it was; the given one where nothing was saved.

    ValueError where another training was saved.
    """
    step = checkpoint.latest(workdir)
    if step is None:
        return state, Best(state.ema[0])
    saved = store.load(workdir, task.model.joint_set)
    loop.check_resumed(run, saved.run, workdir)
    _check_settings(run.sequence, saved.run.sequence, workdir)
    facts = checkpoint.read_facts(workdir, step)
    fitted, best = store.fitted(task.model), facts.get("best")
    like: dict[str, PyTree] = {"state": state._replace(ema=()), "ema": state.ema, **fitted}
    trees = checkpoint.restore(workdir, step, like | ({"best": state.ema[0]} if best else {}))
    _check_fitted(fitted, trees, run.data.train, workdir)
    print(f"{workdir}: going on from step {step} of {run.train.steps}")
    batches.set_state(facts["batches"])
    kept = Best(trees["best"], **best) if best else Best(state.ema[0])
    return trees["state"]._replace(ema=trees["ema"]), kept


def _check_settings(told: config.Sequences, saved: config.Sequences, workdir: pathlib.Path) -> None:
    """ValueError where a setting differs that training depends on."""
    for field in dataclasses.fields(told):
        now, then = getattr(told, field.name), getattr(saved, field.name)
        if now != then and field.name not in refining.REFINING:
            raise ValueError(
                f"{workdir}: field sequence.{field.name}: wanted {now!r}, found {then!r} in the saved run; "
                "resume with what it was, or choose another --workdir"
            )


def _check_fitted(
    wanted: dict[str, PyTree], trees: dict[str, PyTree], data: str, workdir: pathlib.Path
) -> None:
    """ValueError where the saved noise model and normaliser are not those of this training set."""
    found = {name: trees[name] for name in wanted}
    same = jax.tree.map(lambda a, b: np.allclose(a, b, 1e-4, 1e-6), wanted, found)
    if not all(jax.tree.leaves(same)):
        raise ValueError(
            f"{workdir}: field noise: wanted what {data} says of its lifter, found another's in "
            "the saved run; the sequences have changed: choose another --workdir"
        )
