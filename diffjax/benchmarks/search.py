"""How fast is the step search? Against PyTorch one step at a time, PyTorch at its best, and our own plain loop."""

import functools
import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from diffjax import config, denoisers, sampling, schedule, search
from diffjax.benchmarks import timing
from diffjax.benchmarks.timing import Row

SIZE, STEPS, KEY = 226, 1000, jax.random.key(1)
TABLES = schedule.make_schedule("linear", STEPS)


class Setting(NamedTuple):
    """One network and its inputs. The weights are fresh: speed does not depend on them."""

    denoiser: denoisers.Bound
    x: jax.Array
    target: jax.Array
    """What the error is measured against, (n, d)."""

    @property
    def flops(self) -> float:
        """Of one evaluation for one slot: its matrix products."""
        layers = [self.denoiser.params[f"layer_{i}"]["kernel"] for i in range(3)]
        return float(sum(2 * kernel.size for kernel in layers))


def make_setting(width: int, count: int) -> Setting:
    """DiffAnnot's MLP of a hidden width, and `count` samples."""
    model = config.Model(kind="paper", width=width, depth=2, vector="rotmat226")
    network = denoisers.make_network(model, config.Diffusion())
    params = denoisers.init_params(jax.random.key(0), network, jnp.zeros((1, SIZE)))
    x = 0.5 * jax.random.normal(jax.random.key(2), (count, SIZE))
    return Setting(denoisers.bind(network, params, TABLES), x, 0.9 * x)


def error(x: jax.Array, context: dict[str, jax.Array]) -> jax.Array:
    """Root mean square of the difference: rises steadily on both sides of its minimum."""
    return jnp.sqrt(jnp.mean((x - context["target"]) ** 2, -1))


@functools.partial(jax.jit, static_argnames=("max_step", "patience", "tile"))
def ours(denoiser, x, target, *, max_step: int, patience: int | None = None, tile=None):
    """The search, and how many slots were worked on."""
    return search.search_and_count(
        denoiser, TABLES, x, error, {"target": target},
        max_step=max_step, patience=patience, key=KEY, tile=tile,
    )  # fmt: skip


@functools.partial(jax.jit, static_argnames="max_step")
def plain(denoiser, x, target, *, max_step: int):
    """Algorithm 1 for one sample as one would write it: a chain a start, one after the other."""

    def one(start):
        end = sampling.chain(denoiser, TABLES, x, start, None, key=KEY)
        return error(end, {"target": target})

    return lax.map(one, jnp.arange(max_step + 1))


@functools.partial(jax.jit, static_argnames="steps")
def noise_table(ids: jax.Array, *, steps: int) -> jax.Array:
    """The noise that ours draws for these samples, (steps, samples, d), for the peers."""
    return jax.vmap(lambda t: sampling.step_noise(KEY, ids, t, SIZE))(jnp.arange(steps))


def products(torch: Any, width: int, slots: int) -> tuple[dict[str, Callable[[], Any]], float]:
    """Bare matrix products of the network's shapes, both ways round, ours and torch's; and their flops.

    The best of them is the ceiling that shares refer to.
    """
    repeats, shapes = 100, [(SIZE, width), (width, width), (width, SIZE)]
    kernels = [jnp.full(shape, 1e-3) for shape in shapes]

    def rows(_, x):
        return functools.reduce(lambda x, kernel: x @ kernel, kernels, x)

    def columns(_, x):
        return functools.reduce(lambda x, kernel: kernel.T @ x, kernels, x)

    loops = [jax.jit(functools.partial(lax.fori_loop, 0, repeats, f)) for f in (rows, columns)]
    x = jnp.ones((slots, SIZE))
    contenders: dict[str, Callable[[], Any]] = {
        "jax x W": lambda: loops[0](x),
        "jax W x": lambda: loops[1](x.T),
    }
    if torch is not None:
        factors = [torch.full(shape, 1e-3) for shape in shapes]
        start = torch.ones((slots, SIZE))

        def multiply():
            for _ in range(repeats):
                functools.reduce(torch.mm, factors, start)

        turned, columns_start = [factor.T.contiguous() for factor in factors], start.T.contiguous()

        def multiply_columns():
            for _ in range(repeats):
                functools.reduce(lambda x, factor: torch.mm(factor, x), turned, columns_start)

        contenders |= {"torch x W": multiply, "torch W x": multiply_columns}
    return contenders, 2.0 * repeats * slots * sum(a * b for a, b in shapes)


def _peers() -> Any:
    """The module of torch peers, or None without torch."""
    try:
        return importlib.import_module("diffjax.benchmarks.torch_search")
    except ImportError:
        return None


class _Torch(NamedTuple):
    """The peers on the same weights, noise and inputs as a setting."""

    x: Any
    lock_step: Any
    step_by_step: Any


def _torch_of(peers: Any, setting: Setting, steps: int, ids: np.ndarray | None = None) -> _Torch:
    torch, count = peers.torch, len(setting.x)
    ids = np.arange(count) if ids is None else ids
    noise = torch.from_numpy(np.array(noise_table(ids, steps=steps)))
    weights = peers.weights_of(setting.denoiser.params)
    return _Torch(
        torch.from_numpy(np.array(setting.x)),
        peers.LockStep(weights, _first(steps), noise, count),
        peers.StepByStep(weights, TABLES, noise),
    )


def _first(steps: int) -> schedule.Schedule:
    """The tables of the first steps."""
    return schedule.Schedule(*(np.asarray(table)[:steps] for table in TABLES))


def _agreement(setting: Setting, theirs: _Torch, max_step: int) -> str:
    """Checks that a peer's curve is ours; says how nearly."""
    found, _ = ours(setting.denoiser, setting.x, setting.target, max_step=max_step)
    off, steps = 0.0, theirs.lock_step
    for ends in (
        steps.candidates(theirs.x, max_step),
        steps.in_tiles(theirs.x, max_step, 256),
        steps.in_columns(theirs.x, max_step, 256),
    ):
        curve = np.sqrt(np.mean((ends.numpy() - np.asarray(setting.target)) ** 2, -1)).T
        off = max(off, float(np.max(np.abs(curve - found.curve) / np.max(curve))))
    if not off < 1e-4:
        raise RuntimeError(f"the peer's curve differs from ours by {off:.1e} of its largest error")
    return f"same curves to {off:.0e}"


_PEER = "torch, all slots in lock step"
_TILED = "torch, lock step in tiles"
_COLUMNS = "torch, lock step in tiles of columns"
AUTHORS = "torch, one sample, one step (the authors' way)"
PLAIN = "jax, one chain after the other, jitted"
_NO_TORCH = "not measured: PyTorch is not installed (pip install torch==2.13.0)"


class _Contest(NamedTuple):
    """Contenders by name, how many items one call of each does, and what is to be said of them."""

    contenders: dict[str, Callable[[], Any]]
    items: dict[str, float]
    notes: dict[str, str]


def _evaluations(max_step: int) -> float:
    return max_step * (max_step + 1) / 2


def exhaustive(
    width: int, count: int, max_step: int, rounds: int, slots: int = 256, clock: str = "cpu"
) -> Iterator[Row]:
    """Every start of every sample: microseconds an evaluation, and the share of the ceiling."""
    setting, peers = make_setting(width, count), _peers()
    case = f"exhaustive, {width} wide, {count} samples, {max_step} starts"
    contest = _exhaustive_contest(setting, peers, max_step)
    bare, flops = products(None if peers is None else peers.torch, width, slots)
    times = timing.interleaved(contest.contenders | bare, rounds=rounds, clock=clock)
    best = min(bare, key=lambda name: times[name].median)
    peak = flops / times[best].median
    yield from timing.rows_of(
        case, {name: times[name] for name in contest.contenders}, items=contest.items,
        item="evaluation", flops=setting.flops, ceiling=peak, notes=contest.notes,
    )  # fmt: skip
    if peers is None:
        yield Row(case, _PEER, None, note=_NO_TORCH)
    yield Row(case, f"ceiling: {best}", None, gflops=peak / 1e9, note="same shapes, same run")


def _exhaustive_contest(setting: Setting, peers: Any, max_step: int) -> _Contest:
    count, few = len(setting.x), min(20, max_step)
    all_of, a_few = count * _evaluations(max_step), _evaluations(few)
    found, worked = ours(setting.denoiser, setting.x, setting.target, max_step=max_step)
    idle = _idle(found, worked, all_of)
    one = setting.x[0], setting.target[0]
    contenders: dict[str, Callable[[], Any]] = {
        "diffjax": lambda: ours(setting.denoiser, setting.x, setting.target, max_step=max_step),
        PLAIN: lambda: plain(setting.denoiser, *one, max_step=few),
    }
    few_note = f"extrapolated from {a_few:.0f} evaluations"
    notes = {"diffjax": idle, PLAIN: few_note, AUTHORS: few_note}
    if peers is not None:
        theirs = _torch_of(peers, setting, max_step)
        notes["diffjax"] = f"{_agreement(setting, theirs, max_step)}, {idle}"
        steps, x = theirs.lock_step, theirs.x
        contenders |= {
            _PEER: lambda: steps.candidates(x, max_step),
            _TILED: lambda: steps.in_tiles(x, max_step, 256),
            _COLUMNS: lambda: steps.in_columns(x, max_step, 256),
            AUTHORS: lambda: peers.sequential(
                theirs.step_by_step, x[:1], lambda x, _: float(x.mean()), few, None
            ),
        }
    items = {name: a_few if name in (PLAIN, AUTHORS) else all_of for name in contenders}
    return _Contest(contenders, items, notes)


def _idle(found: search.Search, worked: jax.Array, wanted: float | None = None) -> str:
    """How much of the work was waste; checks that the denoiser was called as often as it had to be."""
    calls = np.asarray(found.denoiser_calls, np.int64)
    stop = np.asarray(found.stop, np.int64)
    if np.any(calls != stop * (stop + 1) // 2) or (wanted or calls.sum()) != calls.sum():
        raise RuntimeError("the denoiser was called for starts that Algorithm 1 does not try")
    return f"{100 * (float(worked) / calls.sum() - 1):.1f} % of slots idle"


def realistic(count: int, setting: Setting) -> jax.Array:
    """Targets that make Algorithm 1 stop where real ones do: 30 % best at 0, else at 20-60 of 1000.

    A sample's target is its own candidate of that start, so that its error falls to it and rises.
    """
    random = np.random.default_rng(0)
    best = np.where(random.random(count) < 0.3, 0, random.integers(20, 61, count))
    all_of = jax.jit(
        lambda denoiser, x: search.candidates(denoiser, TABLES, x, None, max_step=60, key=KEY)
    )
    ends = all_of(setting.denoiser, setting.x)
    return jnp.take_along_axis(ends, jnp.asarray(best)[None, :, None], 0)[0]


def patience(width: int, count: int, rounds: int, whole: int, clock: str = "cpu") -> Iterator[Row]:
    """Algorithm 1 as published, K = 10, of 1000 starts: seconds a sample.

    `whole` starts of the exhaustive search stand for 1000, at the same time an evaluation.
    """
    setting, peers = make_setting(width, count), _peers()
    setting = setting._replace(target=realistic(count, setting))
    case = f"patience 10, {width} wide, {count} samples, {STEPS} starts"
    contest = _patient_contest(setting, peers, whole)
    times = timing.interleaved(contest.contenders, rounds=rounds, clock=clock)
    yield from timing.rows_of(case, times, items=contest.items, item="sample", notes=contest.notes)
    if peers is None:
        yield Row(case, AUTHORS, None, note=_NO_TORCH)


def _patient_contest(setting: Setting, peers: Any, whole: int, part: int = 16) -> _Contest:
    name, every, all_of = "diffjax", "diffjax, all 1000 starts", (setting.x, setting.target)
    some = tuple(leaf[:part] for leaf in all_of)
    contenders: dict[str, Callable[[], Any]] = {
        name: lambda: ours(setting.denoiser, *all_of, max_step=STEPS, patience=10),
        every: lambda: ours(setting.denoiser, *some, max_step=whole),
    }
    found, worked = contenders[name]()
    calls, stop = np.asarray(found.denoiser_calls), np.asarray(found.stop)
    notes = {
        name: f"{calls.mean():.0f} evaluations a sample, last start {np.median(stop):.0f} (median), "
        f"{_idle(found, worked)}",
        every: f"extrapolated from {part} samples and {whole} starts",
    }
    items = {name: float(len(setting.x)), every: part * _evaluations(whole) / _evaluations(STEPS)}
    if peers is not None:
        typical = np.argsort(np.abs(calls - calls.mean()))[:2]
        contenders[AUTHORS] = _authors_search(setting, peers, typical)
        items[AUTHORS] = float(len(typical))
        notes[AUTHORS] = f"{len(typical)} samples of the mean number of evaluations"
    return _Contest(contenders, items, notes)


def _authors_search(setting: Setting, peers: Any, samples: np.ndarray) -> Callable[[], Any]:
    """Algorithm 1 on some samples in PyTorch, one after the other, with our noise and error."""
    x = jnp.asarray(np.asarray(setting.x)[samples])
    theirs = _torch_of(peers, setting._replace(x=x), 128, samples)
    target = peers.torch.from_numpy(np.asarray(setting.target)[samples].copy())

    def distance(x: Any, sample: int) -> float:
        return float((x - target[sample]).square().mean().sqrt())

    return lambda: peers.sequential(theirs.step_by_step, theirs.x, distance, 127, 10)


def run(quick: bool = False) -> Iterator[Row]:
    """All cases; `quick` takes smaller ones."""
    if quick:
        yield from exhaustive(SIZE, 16, 100, rounds=3)
        yield from patience(SIZE, 64, rounds=2, whole=100)
        return
    yield from exhaustive(SIZE, 16, 300, rounds=5)
    yield from exhaustive(1024, 64, 60, rounds=3)
    yield from patience(SIZE, 512, rounds=3, whole=300)
