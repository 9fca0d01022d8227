"""Training: optimiser steps a second of the real loop, input included, against PyTorch loops of the same.

Same network and weights, batch, losses, AdamW and average, data in memory on both sides; before anything
is timed, loss and gradient are checked to agree. `diffjax` is what `scripts/train.py` runs: order of
the data, stacks, dispatches, the check of the loss. Peers: the fastest loop that we can write
(`torch_train`), its loss through torch.compile, and the loop of a tutorial (DataLoader, averages one
by one).
"""

import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body, config, denoisers, feed, loop, objective, rotations, train
from diffjax.benchmarks import timing
from diffjax.data import pipeline, records

_PEERS = ("torch", "torch, loss compiled", "torch, as in tutorials")
_BODY, _JOINTS = "converted_weights/open_body.npz", "h36m14"
_ALWAYS = 2**30


class Case(NamedTuple):
    """What is trained."""

    name: str
    kind: str
    """Of the network, as in `config.Model`."""
    batch_size: int
    gamma_3d: float = 0.0
    """Of PA-MPJPE through the body; the paper's is 5."""


CASES = (
    Case("paper's MLP, 226 wide", "paper", 64),
    Case("paper's MLP, 226 wide", "paper", 4096),
    Case("residual MLP, 256 wide", "residual", 64),
    Case("residual MLP, 256 wide", "residual", 4096),
    Case("paper's MLP and L_3D", "paper", 64, gamma_3d=5.0),
)


def run(quick: bool = False) -> Iterator[timing.Row]:
    """The rows of every case; `quick` leaves the large batches and torch.compile out."""
    with tempfile.TemporaryDirectory() as directory:
        path = _write_people(pathlib.Path(directory), 2048 if quick else 16384)
        for case in CASES:
            if not quick or case.batch_size <= 64:
                yield from rows(case, path, quick)


def _write_people(directory: pathlib.Path, count: int) -> str:
    """Random people with their joints as an annotation set."""
    random = np.random.default_rng(0)
    angles = jnp.asarray(0.4 * random.normal(size=(count, 24, 3)), jnp.float32)
    matrices = jax.jit(rotations.matrix_from_axis_angle)(angles)
    betas = jnp.asarray(random.normal(size=(count, 10)), jnp.float32)
    joints = np.asarray(
        jax.jit(body.pose_keypoints)(body.fold_keypoints(*_body()), matrices, betas)
    )
    people = records.AnnotationSet(
        pred_pose=np.asarray(matrices),
        pred_betas=np.asarray(betas),
        pose=np.asarray(matrices),
        betas=np.asarray(betas),
        keypoints3d=np.concatenate([joints, np.ones_like(joints[..., :1])], -1),
        keypoints3d_set=_JOINTS,
    )
    records.write(directory / "people.npz", people)
    return str(directory / "people.npz")


def _body() -> tuple[body.BodyModel, np.ndarray]:
    path = config.locate(_BODY)
    return body.load_body(path), body.load_regressor(path, _JOINTS)


def run_of(case: Case, path: str) -> config.Run:
    """The run of a case: for ever, and without anything to log or save."""
    paper = case.kind == "paper"
    model = config.Model(
        kind="paper" if paper else "residual",
        width=226 if paper else 256,
        depth=2 if paper else 3,
        vector="rotmat226" if paper else "sixd154",
    )
    settings = config.Train(
        batch_size=case.batch_size,
        gamma_3d=case.gamma_3d,
        anneal="none",
        steps=_ALWAYS,
        log_every=_ALWAYS,
        save_every=_ALWAYS,
    )
    return config.Run(
        data=config.Data(train=path, val="", test="", body=_BODY),
        model=model,
        diffusion=config.Diffusion(standardise=not paper),
        train=settings,
    )


class _Ours:
    """The loop of `train.train` between two lines of its log."""

    def __init__(self, run: config.Run, task: objective.Task):
        self.steps = run.train.steps_per_dispatch
        rows = np.arange(len(task.examples.x_0), dtype=np.int32)
        self.batches = pipeline.batches(rows, run.train.batch_size, run.train.seed)
        self.feed = feed.Feed(run.train, task.examples, self.batches)
        self.dispatch = loop.make_dispatch(train.make_step(run, task), objective.Terms)
        self.state = jax.tree.map(jnp.copy, train.init_state(run, task))
        self.feed.prepare(0)

    def loop(self) -> float:
        """One dispatch, and the input of the next."""
        terms = self.step()
        self.feed.prepare(0, terms.loss)
        return float(terms.loss)

    def step(self) -> train.Terms:
        """One dispatch of the batches at hand."""
        count = jnp.asarray(self.feed.count)
        stack = self.feed.stack
        self.state, terms = self.dispatch(self.state, self.feed.resident, stack, count)
        return terms


def rows(case: Case, path: str, quick: bool) -> list[timing.Row]:
    """The rows of one case."""
    run = run_of(case, path)
    task = objective.make_task(run)
    ours = _Ours(run, task)
    contenders: dict[str, Callable[[], Any]] = {
        "diffjax": ours.loop,
        "diffjax, step alone": ours.step,
    }
    failed: list[timing.Row] = []
    name = f"{case.name}, batch {case.batch_size}"
    for peer in _PEERS[::2] if quick else _PEERS:
        try:
            contenders[peer] = _peer(peer, run, task, case)
        except (ImportError, RuntimeError) as error:
            reason = (
                f"{type(error).__name__}: {str(error).splitlines()[0]}; pip install -e '.[dev]'"
            )
            failed.append(timing.Row(name, peer, None, item="step", note=reason))
    clock, rounds = "cpu" if jax.default_backend() == "cpu" else "wall", 3 if quick else 7
    timings = timing.interleaved(contenders, rounds=rounds, clock=clock)
    walls = timing.interleaved(contenders, rounds=rounds // 2, clock="wall")
    notes = {who: f"wall {1e3 * t.median / ours.steps:.3f} ms" for who, t in walls.items()}
    notes["diffjax"] += f", {_waiting(ours):.2%} of it waiting for data"
    flops = None if case.gamma_3d else _flops(ours.state.params, case.batch_size)
    made = timing.rows_of(
        name,
        timings,
        items=float(ours.steps),
        item="step",
        flops=flops,
        ceiling=_ceiling(case.batch_size, run.model.width),
        notes=notes,
    )
    return made + failed


def _waiting(ours: _Ours) -> float:
    ours.feed.waiting()
    for _ in range(5):
        ours.loop()
    return ours.feed.waiting()


def _flops(params: denoisers.Params, batch_size: int) -> float:
    """Of a step's matrix products: forward, weights, and inputs but those that nothing before needs."""
    sizes = {name: layer["kernel"].size for name, layer in params.items() if "kernel" in layer}
    leaves = sum(sizes.get(name, 0) for name in ("time_0", "time", "inward"))
    return 2.0 * batch_size * (3 * sum(sizes.values()) - leaves)


def _ceiling(rows: int, width: int) -> float:
    """Flops a second of x @ W in float32."""
    x, weights = jnp.ones((rows, width)), jnp.ones((width, width)) / width
    repeats = max(1, 4096 // rows)

    @jax.jit
    def product(x):
        return jax.lax.fori_loop(0, repeats, lambda _, x: x @ weights, x)

    seconds = timing.interleaved({"product": lambda: product(x)}, rounds=3)["product"].median
    return 2.0 * rows * width * width * repeats / seconds


def _peer(name: str, run: config.Run, task: objective.Task, case: Case) -> Callable[[], float]:
    """A dispatch's worth of steps of the PyTorch loop, which has been checked to compute the same."""
    import torch

    from diffjax.benchmarks import torch_train

    params = jax.tree.map(np.asarray, train.init_state(run, task).params)
    steps, usual = len(task.schedule.betas), name == _PEERS[2]
    made = torch_train.PaperMLP if case.kind == "paper" else torch_train.ResidualMLP
    network = made(params, steps)
    data, person = {"x_0": task.examples.x_0}, None
    if case.gamma_3d:
        data["joints3d"] = task.examples.joints3d
        person = (torch_train.MeshBody if usual else torch_train.FoldedBody)(*_body())
    loss = torch_train.make_loss(network, task.schedule, person, case.gamma_3d)
    check_same(run, task, network, loss, data)
    if name == _PEERS[1]:
        loss: Any = torch.compile(loss)
    torch_loop = torch_train.Loop(
        network,
        loss,
        data,
        batch_size=case.batch_size,
        rate=run.train.learning_rate,
        average=run.train.ema_rates[0],
        usual=usual,
    )
    torch.manual_seed(0)
    torch_loop(1)  # Here torch.compile compiles, or fails.
    return lambda: torch_loop(run.train.steps_per_dispatch)


def check_same(
    run: config.Run, task: objective.Task, network: Any, loss: Any, data: dict[str, np.ndarray]
) -> None:
    """ValueError unless both sides have as many parameters, and the same loss and gradient.

    On a batch of 64, with weights that a network which starts at zero has moved away from.
    """
    import torch

    random = np.random.default_rng(1)
    t = random.integers(0, len(task.schedule.betas), 64).astype(np.int32)
    eps = random.normal(size=(64, task.examples.x_0.shape[1])).astype(np.float32)
    params = train.init_state(run, task).params

    def mean_loss(params):
        batch = jax.tree.map(jnp.asarray, pipeline.take(task.examples, slice(0, 64)))
        return jnp.mean(task.objective(params, batch, jnp.asarray(t), jnp.asarray(eps)).loss)

    value, gradient = jax.jit(jax.value_and_grad(mean_loss))(params)
    batch = {name: torch.from_numpy(values[:64]) for name, values in data.items()}
    peer = loss(batch, torch.from_numpy(t).long(), torch.from_numpy(eps))
    grads = torch.autograd.grad(peer, list(network.parameters()))
    found = {
        "parameters": (denoisers.count_params(params), sum(g.numel() for g in grads), 0.0),
        "loss": (float(value), peer.item(), 1e-5),
        "gradient norm": (
            float(jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradient)))),
            torch.stack([g.norm() for g in grads]).norm().item(),
            1e-4,
        ),
    }
    for name, (here, there, tolerance) in found.items():
        if abs(here - there) > tolerance * abs(here):
            raise ValueError(f"{name}: {here} here, {there} in PyTorch: not the same training")
