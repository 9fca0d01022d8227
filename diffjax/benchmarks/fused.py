"""On a GPU: how near do the XLA engine and the fused kernel come to its bfloat16 matrix products?

Device time of whole exhaustive tiles, slots x steps; compile time stands beside. Then a patience search
as large as 3DPW, and how many samples choose another step in bfloat16 than in float32.
"""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from diffjax import config, denoisers, sampling, schedule, search
from diffjax.benchmarks import timing
from diffjax.benchmarks.timing import Row
from diffjax.search import fused, tiles

SIZE, SLOTS, SAMPLES, STEPS, KEY = 226, 16_384, 512, 256, jax.random.key(1)
TABLES = schedule.make_schedule("linear", 1000)
PEOPLE = 35_515
"""Of 3DPW's test set."""
_NO_GPU = "not measured: no GPU here; run `python scripts/benchmark.py fused` on one"


def make_denoiser(width: int, dtype: Any = jnp.bfloat16) -> denoisers.Bound:
    """DiffAnnot's MLP of a hidden width, with fresh weights: speed does not depend on them."""
    model = config.Model(kind="paper", width=width, depth=2, vector="rotmat226")
    network = denoisers.make_network(model, config.Diffusion())
    params = denoisers.init_params(jax.random.key(0), network, jnp.zeros((1, SIZE)))
    return denoisers.bind(network, params, TABLES, dtype=dtype)


def make_tile(width: int) -> tuple[tiles.Problem, tiles.Noise]:
    """Samples and their noise."""
    x = 0.5 * jax.random.normal(jax.random.key(2), (SAMPLES, SIZE))
    ids = jnp.arange(SAMPLES)
    draw = jax.jit(jax.vmap(lambda t: sampling.step_noise(KEY, ids, t, SIZE)))
    noise = tiles.Noise(draw(jnp.arange(STEPS)), jnp.asarray(STEPS))
    return tiles.Problem(make_denoiser(width), TABLES, x, None, ids, KEY, False), noise


def products(width: int) -> Callable[[], Any]:
    """The network's three matrix products in bfloat16, nothing between them, STEPS times."""
    shapes = [(SIZE, width), (width, width), (width, SIZE)]
    kernels = [jnp.full(shape, 1e-2, jnp.bfloat16) for shape in shapes]
    x = jnp.ones((SLOTS, SIZE), jnp.bfloat16)

    @jax.jit
    def multiply(x, kernels):
        def one(_, x):
            return functools.reduce(jnp.matmul, kernels, x)

        return lax.fori_loop(0, STEPS, one, x)

    return lambda: multiply(x, kernels)


def tile(width: int, rounds: int) -> Iterator[Row]:
    """A tile of SLOTS slots that all start at STEPS, in bfloat16."""
    problem, noise = make_tile(width)
    samples, starts = jnp.arange(SLOTS) % SAMPLES, jnp.full(SLOTS, STEPS)
    engines = {"diffjax, XLA engine": tiles.run_tile}
    if fused.supports(problem):
        engines["diffjax, fused kernel"] = fused.run_tile
    contenders: dict[str, Callable[[], Any]] = {}
    notes = {}
    for name, engine in engines.items():
        start = time.perf_counter()
        # Arguments, so that nothing of them is a constant of the compiled code.
        arrays = problem.denoiser, problem.x, noise, samples, starts

        def work(denoiser, x, *rest, engine=engine):
            return engine(problem._replace(denoiser=denoiser, x=x), *rest)

        compiled = jax.jit(work).lower(*arrays).compile()
        notes[name] = f"compiled in {time.perf_counter() - start:.1f} s"
        contenders[name] = functools.partial(compiled, *arrays)
    bare = "ceiling: bfloat16 products"
    times = timing.interleaved(contenders | {bare: products(width)}, rounds=rounds, clock="wall")
    evaluations = float(SLOTS * STEPS)
    flops = 2.0 * (2 * SIZE * width + width * width)
    peak = flops * evaluations / times[bare].median
    case = f"tile of {SLOTS} slots x {STEPS} steps, {width} wide, bfloat16"
    yield from timing.rows_of(
        case, {name: times[name] for name in contenders}, items=evaluations, item="evaluation",
        flops=flops, ceiling=peak, notes=notes,
    )  # fmt: skip
    yield Row(case, bare, None, gflops=peak / 1e9, note="same shapes, same run")


def error(x: jax.Array, target: jax.Array) -> jax.Array:
    """Root mean square of the difference."""
    return jnp.sqrt(jnp.mean((x - target) ** 2, -1))


@functools.partial(jax.jit, static_argnames="engine")
def find(denoiser, x, target, *, engine: search.Engine = "xla") -> search.Search:
    """Algorithm 1 as published: K = 10 of 1000 starts."""
    return search.search_steps(
        denoiser, TABLES, x, error, target, max_step=1000, patience=10, key=KEY, engine=engine
    )


def people(count: int) -> tuple[jax.Array, jax.Array]:
    """Inputs, and their own candidates of start 0 (30 %) or 20 .. 60 as targets: so the search stops."""
    random = np.random.default_rng(0)
    best = np.where(random.random(count) < 0.3, 0, random.integers(20, 61, count))
    x = 0.5 * jax.random.normal(jax.random.key(2), (count, SIZE))
    chain = functools.partial(sampling.chain, make_denoiser(SIZE, None), TABLES, key=KEY)
    return x, jax.jit(chain)(x, jnp.asarray(best))


def whole(count: int, rounds: int) -> Iterator[Row]:
    """A patience search in both precisions, and how often they choose another step."""
    x, target = people(count)
    kinds = {"diffjax, bfloat16": jnp.bfloat16, "diffjax, float32": None}
    bound = {name: make_denoiser(SIZE, dtype) for name, dtype in kinds.items()}
    contenders = {name: functools.partial(find, d, x, target) for name, d in bound.items()}
    rough = functools.partial(find, bound["diffjax, bfloat16"], x, target, engine="fused")
    contenders["diffjax, bfloat16, fused kernel"] = rough
    steps, notes = [], {}
    for name, call in contenders.items():
        start = time.perf_counter()
        steps.append(np.asarray(call().step))
        notes[name] = f"first call, with compilation, {time.perf_counter() - start:.1f} s"
    others = np.mean(steps[0] != steps[1])
    notes["diffjax, bfloat16"] += f"; {others:.2%} of samples choose another step than in float32"
    times = timing.interleaved(contenders, rounds=rounds, clock="wall", least=0.0)
    yield from timing.rows_of(
        f"patience 10 of 1000, {count} samples, 226 wide", times, item="search", notes=notes
    )


def run(quick: bool = False) -> Iterator[Row]:
    """All cases; `quick` takes fewer rounds and people."""
    if jax.default_backend() != "gpu":
        yield Row("tile, 226 wide, bfloat16", "diffjax, fused kernel", None, note=_NO_GPU)
        yield Row("tile, 1024 wide, bfloat16", "diffjax, XLA engine", None, note=_NO_GPU)
        yield Row(f"patience 10 of 1000, {PEOPLE} samples", "diffjax", None, note=_NO_GPU)
        return
    rounds = 2 if quick else 7
    yield from tile(SIZE, rounds)
    yield from tile(1024, rounds)
    yield from whole(4096 if quick else PEOPLE, rounds)
