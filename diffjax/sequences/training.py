"""Training D3PRefiner on sequence sets: windows, noise drawn anew at every step, resumable to the bit."""

import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from diffjax import config, feed, loop, losses, metrics, micro_batches
from diffjax.data import pipeline
from diffjax.loop import Best, State
from diffjax.methods import d3prefiner
from diffjax.sequences import resuming, store, tasks
from diffjax.sequences.tasks import Examples, Task


class SequenceTerms(NamedTuple):
    """What is logged of a step."""

    loss: Float[Array, ""]


def make_optimiser(run: config.Run, examples: int) -> optax.GradientTransformation:
    """That of `loop.make_optimiser`, its rate times `sequence.decay` after each epoch."""
    epoch = max(examples // run.train.batch_size, 1)

    def factor(step: Any) -> Any:
        return run.sequence.decay ** (step // epoch)

    decay = optax.scale_by_schedule(factor)
    return optax.chain(loop.make_optimiser(run.train), decay)


def init_state(run: config.Run, task: Task) -> State:
    """The state before the first step."""
    init_key, key = jax.random.split(jax.random.key(run.train.seed))
    params = d3prefiner.init_params(init_key, run.sequence, task.model.joint_set)
    averages = (params,) * len(run.train.ema_rates)
    moments = make_optimiser(run, len(task.examples.p)).init(params)
    steps = len(task.model.process.schedule.signal)
    zero = jnp.zeros((), jnp.int32)
    return State(zero, params, averages, moments, key, losses.new_history(steps))


def make_step(run: config.Run, task: Task):
    """One optimiser step on a batch of windows: errors and steps drawn, gradients added up."""
    optimiser, told = make_optimiser(run, len(task.examples.p)), run.sequence
    size = d3prefiner.at_once(told, run.train.batch_size)

    def loss(params, part):
        examples, error, t = part
        x_0, p, weight = examples.x_0, examples.p, examples.weight
        return d3prefiner.loss(params, task.model, x_0, error, p, t, weight)

    def step(state: State, batch: Examples) -> tuple[State, SequenceTerms]:
        key, error_key, t_key, turn_key = jax.random.split(state.key, 4)
        error = d3prefiner.draw_errors(error_key, task.model, batch.y, batch.p, batch.x_0)
        t = d3prefiner.draw_steps(t_key, task.model, len(error))
        if told.mirror:
            batch, error = tasks.mirrored(turn_key, task.model.joint_set, batch, error)
        value, grads = micro_batches.gradient(loss, state.params, (batch, error, t), size)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its counters with floats.
            updates, moments = optimiser.update(grads, state.optimiser, state.params)
        params = optax.apply_updates(state.params, updates)
        rates = [
            losses.ema_rate(rate, state.step + 1, run.train.ema_every, run.train.ema_warm_up)
            for rate in run.train.ema_rates
        ]
        ema = losses.ema_update(rates, state.ema, params)
        return State(state.step + 1, params, ema, moments, key, state.history), SequenceTerms(value)

    return step


def make_report(run: config.Run, task: Task):
    """(weights, average) -> MPJPE in mm of held-out windows, before and after the average's refinement."""
    size = d3prefiner.at_once(run.sequence, tasks.CHECK)

    @jax.jit
    def errors(average, held_out):
        model = dataclasses.replace(task.model, params=average)
        better = micro_batches.apply(
            lambda part: d3prefiner.refine(model, *part), (held_out.y, held_out.p), size
        )
        mean = [metrics.mpjpe_mm(x, held_out.x_0) for x in (held_out.y, better)]
        weight = held_out.weight / jnp.sum(held_out.weight)
        return [jnp.sum(weight * each) for each in mean]

    def report(params: PyTree, average: PyTree) -> dict[str, float]:
        if task.held_out is None:
            return {}
        before, after = errors(average, task.held_out)
        return {"val_estimate_mm": float(before), "val_refined_mm": float(after)}

    return report


def _better(run: config.Run, step: int, state: State, values: dict[str, float], best: Best) -> Best:
    if run.train.keep == "last" or step % run.train.log_every or not values:
        return best
    loss = values["val_refined_mm"]
    return Best(jax.tree.map(jnp.copy, state.ema[0]), step, loss) if loss < best.loss else best


def train_refiner(run: config.Run, workdir: str | pathlib.Path) -> d3prefiner.Model:
    """Trains, or goes on where `workdir` stopped; writes checkpoints, metrics.jsonl, model.npz there.

    SIGTERM or Ctrl-C saves, then raises KeyboardInterrupt that says how to resume.
    """
    workdir = pathlib.Path(workdir)
    if run.train.batch_size % jax.device_count():
        raise ValueError(
            f"train.batch_size: wanted a multiple of {jax.device_count()} devices, got {run.train.batch_size}"
        )
    task = tasks.make_task(run, workdir)
    index = np.arange(len(task.examples.p), dtype=np.int32)
    rows = run.train.batch_size // jax.process_count()
    batches: Any = pipeline.batches(index, rows, run.train.seed)
    start = feed.replicate(init_state(run, task))
    state, best = resuming.resume(run, workdir, task, start, batches)
    work = loop.Work(
        step=make_step(run, task),
        terms=SequenceTerms,
        report=make_report(run, task),
        better=functools.partial(_better, run),
        save=functools.partial(resuming.save, workdir, task),
    )
    state, best = loop.run_steps(run, workdir, work, task.examples, state, batches, best)
    averages = best.params if best.step else state.ema[0]
    model = dataclasses.replace(task.model, params=averages)
    store.export(workdir / store.EXPORTED, model)
    return model
