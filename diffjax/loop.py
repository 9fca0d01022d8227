"""The loop of every training: optimiser, dispatches, the log, and an orderly stop; resumable to the bit."""

import contextlib
import dataclasses
import functools
import json
import pathlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from diffjax import config, feed, losses, progress


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


def make_dispatch(
    step: Callable, terms: Any
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


def run_steps(
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
    total, since, stacks = None, step, feed.Feed(settings, examples, batches)
    pace = progress.steps(settings.steps, run.name, done=step, lines=10)
    with pace as show, _asked_to_stop() as stop:
        stacks.prepare(step)
        while step < settings.steps:
            count, position = stacks.count, stacks.position
            state, terms = dispatch(state, stacks.resident, stacks.stack, jnp.asarray(count))
            total = terms if total is None else jax.tree.map(jnp.add, total, terms)
            step += count
            stacks.prepare(step, terms.loss)
            _refuse_nan(terms, step, workdir)
            show(step)
            if step % settings.log_every == 0 or step == settings.steps:
                means = {k: float(v) / (step - since) for k, v in total._asdict().items()}
                means["waiting"] = stacks.waiting()
                values = report(state.params, state.ema[0])
                log.write(step, means | values)
                best = work.better(step, state, values, best)
                show(step, f"loss={means['loss']:.4f}, waiting={means['waiting']:.1%}")
                total, since = None, step
            if step % settings.save_every == 0 or step == settings.steps or stop.is_set():
                work.save(state, best, position)
            if stop.is_set() and step < settings.steps:
                raise KeyboardInterrupt(
                    f"stopped: step {step} is saved in {workdir}; the same command with "
                    f"--workdir {workdir} goes on from there"
                )
    return state, best


def _refuse_nan(terms: Any, step: int, workdir: pathlib.Path) -> None:
    """ValueError, before anything is saved, where the loss has ceased to be a number."""
    if not np.isfinite(loss := float(terms.loss)):
        raise ValueError(
            f"{workdir}: the loss is {loss} at step {step}; lower train.learning_rate or the gammas "
            "and start again: the last saved step is intact"
        )


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
            "train.tensorboard: wanted tensorboardX, not installed; pip install -e '.[log]'"
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
