"""Training a denoiser: steps, checkpoints and what is kept; resumable to the bit."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from diffjax import checkpoint, config, denoisers, feed, loop, losses, objective
from diffjax.data import pipeline
from diffjax.loop import Best, State
from diffjax.objective import Task, Terms


def init_state(run: config.Run, task: Task) -> State:
    """The state before the first step."""
    init_key, key = jax.random.split(jax.random.key(run.train.seed))
    one = jax.tree.map(jnp.asarray, pipeline.take(task.examples, slice(0, 1)))
    context = objective.context_of(run, one)
    params = denoisers.init_params(init_key, task.network, one.x_0, context)
    return State(
        jnp.zeros((), jnp.int32),
        params,
        (params,) * len(run.train.ema_rates),
        loop.make_optimiser(run.train).init(params),
        key,
        losses.new_history(len(task.schedule.betas)),
    )


def make_step(
    run: config.Run, task: Task
) -> Callable[[State, pipeline.Examples], tuple[State, Terms]]:
    """One optimiser step on a batch; the returned terms are means."""
    optimiser = loop.make_optimiser(run.train)
    by_loss = run.diffusion.step_sampler == "loss_second_moment"
    uniform = losses.uniform_probabilities(len(task.schedule.betas))

    def step(state: State, batch: pipeline.Examples) -> tuple[State, Terms]:
        key, t_key, eps_key = jax.random.split(state.key, 3)
        probabilities = losses.step_probabilities(state.history) if by_loss else uniform
        drawn = losses.draw_steps(t_key, probabilities, batch.x_0.shape[:-1])
        eps = jax.random.normal(eps_key, batch.x_0.shape)

        def mean_loss(params):
            terms = task.objective(params, batch, drawn.t, eps)
            return jnp.mean(drawn.weight * terms.loss), terms

        grads, terms = jax.grad(mean_loss, has_aux=True)(state.params)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its counters with floats.
            updates, optimiser_state = optimiser.update(grads, state.optimiser, state.params)
        params = optax.apply_updates(state.params, updates)
        told = run.train
        rates = [
            losses.ema_rate(rate, state.step + 1, told.ema_every, told.ema_warm_up)
            for rate in told.ema_rates
        ]
        ema = losses.ema_update(rates, state.ema, params)
        history = state.history
        if by_loss:
            history = losses.record_losses(history, drawn.t, terms.loss)
        new = State(state.step + 1, params, ema, optimiser_state, key, history)
        return new, jax.tree.map(jnp.mean, terms)

    return step


def _resume(
    run: config.Run, workdir: pathlib.Path, task: Task, state: State, batches: Any
) -> tuple[State, Best]:
    """The newest saved state, with the data where it was; the given one where nothing was saved."""
    step = checkpoint.latest(workdir)
    if step is None:
        return state, Best(state.ema[0])
    facts = checkpoint.read_facts(workdir, step)
    loop.check_resumed(run, config.from_json(facts["run"]), workdir)
    if facts["body"] != task.body_digest:
        raise ValueError(
            f"{workdir}: field body: wanted {task.body_digest}, found {facts['body']} in the saved "
            f"run; {run.data.body} has changed: choose another --workdir"
        )
    source = str(workdir)
    pipeline.check_features(_width(task), facts.get("features", 0), f"{run.data.train}", source)
    print(f"{workdir}: going on from step {step} of {run.train.steps}")
    like: dict[str, PyTree] = {"state": state._replace(ema=()), "ema": state.ema}
    best = facts.get("best")
    trees = checkpoint.restore(workdir, step, like | ({"best": state.ema[0]} if best else {}))
    batches.set_state(facts["batches"])
    kept = Best(trees["best"], **best) if best else Best(state.ema[0])
    return trees["state"]._replace(ema=trees["ema"]), kept


def _width(task: Task) -> int:
    """Image features that the network is conditioned on."""
    return task.examples.features.shape[-1]


def _save(
    run: config.Run,
    workdir: pathlib.Path,
    task: Task,
    state: State,
    best: Best,
    position: Any,
) -> None:
    facts = {
        "run": config.to_json(run),
        "body": task.body_digest,
        "keypoints": _conditioned_keypoints(run, task),
        "features": _width(task),
        "batches": position,
    }
    # The averages are an item of their own: a model is loaded without the optimiser.
    items = {"state": state._replace(ema=()), "ema": state.ema, "normaliser": task.normaliser}
    if task.features is not None:
        items["features"] = task.features
    if best.step:
        items["best"] = best.params
        facts["best"] = {"step": best.step, "loss": best.loss}
    checkpoint.save(workdir, int(state.step), items, facts)


def _conditioned_keypoints(run: config.Run, task: Task) -> int:
    return task.examples.keypoints.shape[-2] if "keypoints" in run.model.condition else 0


def trained_model(run: config.Run, task: Task, averages: PyTree) -> checkpoint.Model:
    """The model with these averages of the weights."""
    return checkpoint.make_model(
        run,
        averages,
        task.normaliser,
        task.body_digest,
        _conditioned_keypoints(run, task),
        task.features,
    )


def train(run: config.Run, workdir: str | pathlib.Path) -> checkpoint.Model:
    """Trains, or goes on where `workdir` stopped; writes checkpoints, metrics.jsonl, model.npz there.

    SIGTERM or Ctrl-C saves, then raises KeyboardInterrupt that says how to resume.
    """
    workdir = pathlib.Path(workdir)
    devices, batch_size = jax.device_count(), run.train.batch_size
    if batch_size % devices:
        raise ValueError(
            f"train.batch_size: wanted a multiple of {devices} devices, got {batch_size}"
        )
    task = objective.make_task(run)
    people = np.arange(len(task.examples.x_0), dtype=np.int32)
    rows = batch_size // jax.process_count()
    batches: Any = pipeline.batches(people, rows, run.train.seed, task.mixture)
    state, best = _resume(run, workdir, task, feed.replicate(init_state(run, task)), batches)
    state, best = _loop(run, workdir, task, state, batches, best)
    model = trained_model(run, task, best.params if best.step else state.ema[0])
    checkpoint.export(workdir / "model.npz", model)
    if best.step:
        print(
            f"{workdir}: kept the averages of step {best.step}, held-out eps loss {best.loss:.5f}"
        )
    return model


def _loop(
    run: config.Run,
    workdir: pathlib.Path,
    task: Task,
    state: State,
    batches: Any,
    best: Best | None = None,
) -> tuple[State, Best]:
    work = loop.Work(
        step=make_step(run, task),
        terms=Terms,
        report=objective.make_report(run, task),
        better=functools.partial(_better, run, task),
        save=functools.partial(_save, run, workdir, task),
    )
    return loop.run_steps(run, workdir, work, task.examples, state, batches, best)


def _better(
    run: config.Run,
    task: Task,
    step: int,
    state: State,
    values: dict[str, float],
    best: Best,
) -> Best:
    """The averages at this step, where they are to be kept; looked at every `log_every` steps only.

    A run that is ended at another step and then prolonged looks where one of full length does.
    """
    if run.train.keep == "last" or step % run.train.log_every:
        return best
    loss = values[f"val_eps_t{objective.held_out_times(len(task.schedule.betas))[-1]}"]
    # A copy: the next dispatch uses the state up.
    return Best(jax.tree.map(jnp.copy, state.ema[0]), step, loss) if loss < best.loss else best
