"""Training a denoiser: steps, dispatches, checkpoints and the log; resumable to the bit."""

import contextlib
import dataclasses
import functools
import json
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from diffjax import checkpoint, config, denoisers, losses, objective
from diffjax.data import pipeline
from diffjax.objective import Task, Terms


class State(NamedTuple):
    """All that one optimiser step changes."""

    step: Int[Array, ""]
    params: PyTree
    ema: tuple[PyTree, ...]
    """One average per rate."""
    optimiser: PyTree
    key: PRNGKeyArray
    history: losses.StepHistory
    """Of the loss-second-moment step sampler."""


class Best(NamedTuple):
    """The averages with the lowest held-out loss so far."""

    params: PyTree
    step: int = 0
    """0 before any."""
    loss: float = float("inf")


class Work(NamedTuple):
    """What a loop of training does."""

    step: Callable[[State, Any], tuple[State, Any]]
    """(state, batch) -> the next state, terms: a NamedTuple of means of the type `terms`."""
    terms: type
    report: Callable[[PyTree, PyTree], dict[str, float]]
    """(weights, their average) -> what is logged beside the running terms."""
    better: Callable[[int, State, dict[str, float], Best], Best]
    """(step, state, what is logged, best so far) -> best."""
    save: Callable[[State, Best, Any], None]
    """The third is where the data are."""


def make_optimiser(settings: config.Train) -> optax.GradientTransformation:
    """AdamW on gradients clipped by their norm; its learning rate is constant or falls to zero."""
    rate: Any = settings.learning_rate
    if settings.anneal == "linear":
        rate = optax.linear_schedule(rate, 0.0, settings.steps)
    elif settings.anneal == "cosine":
        rate = optax.cosine_decay_schedule(rate, settings.steps)
    first, second = settings.adam_betas
    adam = optax.adamw(rate, b1=first, b2=second, weight_decay=settings.weight_decay)
    if settings.clip is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(settings.clip), adam)


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
        make_optimiser(run.train).init(params),
        key,
        losses.new_history(len(task.schedule.betas)),
    )


def make_step(
    run: config.Run, task: Task
) -> Callable[[State, pipeline.Examples], tuple[State, Terms]]:
    """One optimiser step on a batch; the returned terms are means."""
    optimiser = make_optimiser(run.train)
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


def make_dispatch(
    step: Callable, terms: Any = Terms
) -> Callable[[State, PyTree | None, PyTree, Array], tuple[State, Any]]:
    """Runs `step` over the first `count` of a stack of batches in one compiled call; sums the terms.

    The batches are indices of `resident` examples; without these, they are examples themselves. The
    stack has one fixed length: every call, a shorter one too, runs the same program to the bit. The
    given state is used up: its memory is that of the new one.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def dispatch(
        state: State, resident: PyTree | None, stack: PyTree, count: Array
    ) -> tuple[State, Any]:
        def one(index, carry):
            state, total = carry
            batch = jax.tree.map(lambda values: values[index], stack)
            if resident is not None:
                # Only what the step reads is gathered: the compiler drops the rest.
                batch = jax.tree.map(_rows(batch), resident)
            new, now = step(state, batch)
            return new, jax.tree.map(jnp.add, total, now)

        zero = terms(*(jnp.zeros(()) for _ in terms._fields))
        return jax.lax.fori_loop(0, count, one, (state, zero))

    return dispatch


def _rows(index: Array) -> Callable[[Array], Array]:
    return lambda values: values.at[index].get(mode="promise_in_bounds")


def _stack(batches: Iterator[Any], count: int, length: int) -> Any:
    """`count` new batches of indices along a new axis of `length`; the last one fills the rest, unused."""
    taken = [next(batches) for _ in range(count)]
    return np.stack(taken + [taken[-1]] * (length - count))


def _split(stack: PyTree) -> PyTree:
    """A stack of batches, each along the devices."""
    mesh = Mesh(np.asarray(jax.devices()), ("data",))
    sharding = NamedSharding(mesh, PartitionSpec(None, "data"))
    return jax.tree.map(
        lambda values: jax.make_array_from_process_local_data(sharding, values), stack
    )


class Feed:
    """Stacks of batches, each prepared while the devices compute on the one before.

    Examples of up to `pipeline.RESIDENT_BYTES` live on every device and only indices travel; of a
    larger set, the rows of a stack are gathered here.
    """

    def __init__(self, settings: config.Train, examples: Any, batches: Any):
        self._settings, self._examples, self._batches = settings, examples, batches
        self.resident = replicate(examples) if pipeline.fits_device(examples) else None
        self._waited, self._since = 0.0, time.perf_counter()

    def prepare(self, step: int, running: Any = None) -> None:
        """Makes `stack`, of `count` batches to run at this step, while `running` is being computed.

        `position` is then where the data are once the stack is used up.
        """
        began = time.perf_counter()
        self.count = _steps_to_go(self._settings, step)
        if self.count:
            rows = _stack(self._batches, self.count, self._settings.steps_per_dispatch)
            streamed = self.resident is None
            self.stack = _split(pipeline.take(self._examples, rows) if streamed else rows)
            self.position = self._batches.get_state()
        if running is None or running.is_ready():
            self._waited += time.perf_counter() - began

    def waiting(self) -> float:
        """The share of time since the last call in which the devices may have waited for data.

        An upper bound: preparing counts in full where the devices were through before it was.
        """
        now, waited = time.perf_counter(), self._waited
        share = waited / max(now - self._since, 1e-9)
        self._waited, self._since = 0.0, now
        return share


def replicate(tree: PyTree) -> PyTree:
    """The same arrays on every device of every process."""
    mesh = Mesh(np.asarray(jax.devices()), ("data",))
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)


class _Log:
    """metrics.jsonl, and TensorBoard where asked for; drops what was logged after the saved step."""

    def __init__(self, workdir: pathlib.Path, step: int, tensorboard: bool):
        self._path = workdir / "metrics.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        self._path.write_text("".join(f"{line}\n" for line in kept))
        self._board = _board(workdir) if tensorboard else None

    def write(self, step: int, values: dict[str, float]) -> None:
        with self._path.open("a") as stream:
            stream.write(json.dumps({"step": step} | values) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()


def _board(workdir: pathlib.Path) -> Any:
    try:
        import tensorboardX
    except ImportError as error:
        raise ValueError(
            "train.tensorboard: wanted tensorboardX, not installed; pip install 'diffjax[log]'"
        ) from error
    return tensorboardX.SummaryWriter(str(workdir))


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event set by SIGTERM or the first Ctrl-C; a second Ctrl-C stops at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}

    def ask(number, frame):
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_resumed(run: config.Run, saved: config.Run, workdir: pathlib.Path) -> None:
    """ValueError unless what is resumed has the same data, network, process and objective."""
    free = ("steps", "steps_per_dispatch", "log_every", "save_every", "tensorboard")
    same = dataclasses.replace(run.train, **{name: getattr(saved.train, name) for name in free})
    pairs = {
        "data": (run.data, saved.data),
        "model": (run.model, saved.model),
        "diffusion": (run.diffusion, saved.diffusion),
        "train": (same, saved.train),
    }
    for part, (wanted, found) in pairs.items():
        for field in dataclasses.fields(wanted):
            now, then = getattr(wanted, field.name), getattr(found, field.name)
            if now != then:
                raise ValueError(
                    f"{workdir}: field {part}.{field.name}: wanted {now!r}, found {then!r} in the "
                    "saved run; resume with what it was, or choose another --workdir"
                )


def _resume(
    run: config.Run, workdir: pathlib.Path, task: Task, state: State, batches: Any
) -> tuple[State, Best]:
    """The newest saved state, with the data where it was; the given one where nothing was saved."""
    step = checkpoint.latest(workdir)
    if step is None:
        return state, Best(state.ema[0])
    facts = checkpoint.read_facts(workdir, step)
    check_resumed(run, config.from_json(facts["run"]), workdir)
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
    state, best = _resume(run, workdir, task, replicate(init_state(run, task)), batches)
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
    work = Work(
        step=make_step(run, task),
        terms=Terms,
        report=objective.make_report(run, task),
        better=functools.partial(_better, run, task),
        save=functools.partial(_save, run, workdir, task),
    )
    return loop(run, workdir, work, task.examples, state, batches, best)


def loop(
    run: config.Run,
    workdir: pathlib.Path,
    work: Work,
    examples: Any,
    state: State,
    batches: Any,
    best: Best | None = None,
) -> tuple[State, Best]:
    """Steps until `train.steps`, with config.json, metrics.jsonl and checkpoints in `workdir`.

    SIGTERM or Ctrl-C saves, then raises KeyboardInterrupt that says how to resume.
    """
    settings, step = run.train, int(state.step)
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "config.json").write_text(config.to_json(run))
    log = _Log(workdir, step, settings.tensorboard)
    dispatch, report = make_dispatch(work.step, work.terms), work.report
    if step == 0:
        log.write(0, report(state.params, state.ema[0]))
    # A dispatch uses its state up; weights and their averages begin as the same memory.
    state = jax.tree.map(jnp.copy, state)
    best = Best(state.ema[0]) if best is None else best
    total, since, feed = None, step, Feed(settings, examples, batches)
    bar = tqdm.tqdm(total=settings.steps, initial=step, unit="step", desc=run.name)
    with bar, _asked_to_stop() as stop:
        feed.prepare(step)
        while step < settings.steps:
            count, position = feed.count, feed.position
            state, terms = dispatch(state, feed.resident, feed.stack, jnp.asarray(count))
            total = terms if total is None else jax.tree.map(jnp.add, total, terms)
            step += count
            feed.prepare(step, terms.loss)
            _refuse_nan(terms, step, workdir)
            bar.update(count)
            if step % settings.log_every == 0 or step == settings.steps:
                means = {k: float(v) / (step - since) for k, v in total._asdict().items()}
                means["waiting"] = feed.waiting()
                values = report(state.params, state.ema[0])
                log.write(step, means | values)
                best = work.better(step, state, values, best)
                bar.set_postfix(loss=f"{means['loss']:.4f}", waiting=f"{means['waiting']:.1%}")
                total, since = None, step
            if step % settings.save_every == 0 or step == settings.steps or stop.is_set():
                work.save(state, best, position)
            if stop.is_set() and step < settings.steps:
                raise KeyboardInterrupt(
                    f"stopped: step {step} is saved in {workdir}; the same command with "
                    f"--workdir {workdir} goes on from there"
                )
    return state, best


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


def _steps_to_go(settings: config.Train, step: int) -> int:
    """Steps until the dispatch is full or something has to be written."""
    stops = [step + settings.steps_per_dispatch, settings.steps]
    stops += [(step // every + 1) * every for every in (settings.log_every, settings.save_every)]
    return min(stops) - step


def _refuse_nan(terms: Any, step: int, workdir: pathlib.Path) -> None:
    """ValueError, before anything is saved, where the loss has ceased to be a number."""
    if not np.isfinite(loss := float(terms.loss)):
        raise ValueError(
            f"{workdir}: the loss is {loss} at step {step}; lower train.learning_rate or the gammas "
            "and start again: the last saved step is intact"
        )
