"""A tile's reverse chains in one GPU kernel, beside `tiles.run_tile`: x never leaves the chip between steps.

For DiffAnnot's MLP in bfloat16 on Hopper (Pallas, Mosaic GPU). A block of the kernel owns 128 slots,
64 to each of two warpgroups; a third streams the weights, too large for shared memory, from the L2
cache in pieces of 16 KiB. x stays in registers in float32, activations in shared memory in bfloat16,
two buffers of them by turns. A block runs no longer than the latest start among its own slots asks for.

Every way of predicting and of stepping is linear in the state, the network's output and the noise:
    x_{t-1} = keep_t x_t + move_t output + spread_t noise
with coefficients made before the kernel. Noise comes in the type of the weights, a few steps of it at a
time: of the samples themselves where each 64 slots are consecutive samples, as in an exhaustive
search, else laid out by slot.

State of proof (tests/test_fused.py): equal to `tiles.run_tile` in Pallas's GPU interpreter, with its
search for races; lowers to Mosaic GPU on any machine. Compiled without a device (XLA and ptxas 13.0,
sm_90a) it takes 168 registers at launch, 240 where it multiplies, and spills 141 words in its last layer.
It has never run on a GPU, and Mosaic GPU's interface is not a stable one: the XLA engine stays the
default and the reference.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxtyping import Array, Float, Int

from diffjax import sampling
from diffjax.search import tiles

ROWS = 64
"""Slots of a warpgroup: the rows of one matrix instruction."""
BLOCK = 2 * ROWS
"""Slots of a block."""
DEEP, WIDE = 64, 128
"""A piece of weights. Half of a layer's 256 outputs at a time, so that x fits the registers beside them."""
RING = 6
"""Pieces under way or in use: 96 KiB, with 128 KiB of activations nearly all of shared memory."""
LARGEST = 256
"""Widest layer for which that holds."""
CHUNK = 16
"""Steps whose noise is laid out at once."""


class Tables(NamedTuple):
    """A denoiser as the kernel reads it, padded with zeros to `size`, a multiple of WIDE."""

    pieces: Array
    """(pieces, DEEP, WIDE), in the order of their use in a step."""
    biases: Float[Array, "rows size"]
    """Of the first layer at every step, then of each other layer."""
    coefficients: Float[Array, "steps 3"]
    """keep, move, spread."""


def supports(problem: tiles.Problem) -> bool:
    """Whether the kernel can stand in for `tiles.run_tile`: see this module's second line."""
    network: Any = getattr(problem.denoiser, "network", None)
    if type(network).__name__ != "PaperMLP" or problem.one_step:
        return False
    fits = max(network.width, network.size) <= LARGEST and network.depth > 0
    plain = not network.condition and _bound(problem).table is not None
    return fits and plain and network.dtype == jnp.bfloat16


def _bound(problem: tiles.Problem) -> Any:
    """The denoiser as what it is, a `denoisers.Bound`, which is not below this floor."""
    return problem.denoiser


def run_tile(
    problem: tiles.Problem,
    noise: tiles.Noise,
    samples: Int[Array, " slots"],
    starts: Int[Array, " slots"],
    *,
    interpret: Any = False,
) -> Float[Array, "slots d"]:
    """The candidate of every slot, as `tiles.run_tile` has it. `interpret` is Pallas's."""
    tables, slots = make_tables(problem), len(samples)
    # What fills the last block up starts at 0.
    samples, starts = (jnp.pad(a, (0, -slots % BLOCK)).astype(jnp.int32) for a in (samples, starts))
    x = _padded(problem.x[samples], tables.biases.shape[-1])
    legacy = _bound(problem).network.legacy
    reverse = functools.partial(_reverse, tables, starts, legacy=legacy, interpret=interpret)
    own = jnp.arange(0, len(samples), ROWS, dtype=jnp.int32)

    def chain(order: Array, origins: Array) -> Array:
        chunks = -(-jnp.max(starts) // CHUNK)

        def descend(i: Array, x: Array) -> Array:
            first = (chunks - 1 - i) * CHUNK
            rows = _noise(problem, noise, order, first)
            rows = _padded(rows, x.shape[-1]).astype(tables.pieces.dtype)
            return reverse(x, rows, origins, first, CHUNK)

        return lax.fori_loop(0, chunks, descend, x)

    if problem.key is None:
        x = reverse(x, None, own, jnp.int32(0), len(problem.schedule.betas))
    elif len(problem.ids) + ROWS > len(samples):
        x = chain(samples, own)
    else:
        count = len(problem.ids)
        together, origins = _origins(samples, starts, count)
        everyone = jnp.arange(count + ROWS - 1) % count
        x = lax.cond(together, lambda: chain(everyone, origins), lambda: chain(samples, own))
    return x[:slots, : problem.x.shape[1]]


def _padded(x: Array, size: int) -> Array:
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, size - x.shape[-1])])


def _origins(
    samples: Int[Array, " slots"], starts: Int[Array, " slots"], count: int
) -> tuple[Array, Int[Array, " groups"]]:
    """Whether every 64 slots are consecutive samples, the first of all after the last; each 64's first.

    Slots of start 0 meet no noise: theirs may be any sample.
    """
    samples, idle = samples.reshape(-1, ROWS), starts.reshape(-1, ROWS) == 0
    origins = (samples[:, -1] - (ROWS - 1)) % count
    expected = (origins[:, None] + jnp.arange(ROWS)) % count
    return jnp.all(idle | (samples == expected)), origins


def _noise(
    problem: tiles.Problem, noise: tiles.Noise, order: Int[Array, " n"], first: Array
) -> Float[Array, "steps n d"]:
    """The samples' noise of steps first .. first + CHUNK - 1: from the table, or drawn where it ends."""
    rows, steps = noise.table.shape[0], len(problem.schedule.betas)
    # Past the last step nothing is read.
    times = jnp.minimum(first + jnp.arange(CHUNK), steps - 1)

    def look_up() -> Array:
        return noise.table[jnp.minimum(times, rows - 1)[:, None], order]

    def draw() -> Array:
        assert problem.key is not None
        draw_at = functools.partial(sampling.step_noise, problem.key, problem.ids[order])
        return lax.map(lambda t: draw_at(t, problem.x.shape[1]), times).astype(problem.x.dtype)

    if rows == steps:
        return look_up()
    return lax.cond(first + CHUNK <= rows, look_up, draw)


def make_tables(problem: tiles.Problem) -> Tables:
    """The tables of a denoiser that `supports` accepts."""
    denoiser = _bound(problem)
    network, d = denoiser.network, problem.x.shape[-1]
    size = -(-max(network.width, d) // WIDE) * WIDE
    dtype = problem.x.dtype if network.dtype is None else network.dtype
    layers = [denoiser.params[f"layer_{i}"] for i in range(network.depth + 1)]
    # A learned variance comes after the prediction.
    kernels = [layer["kernel"] for layer in layers[:-1]] + [layers[-1]["kernel"][:, :d]]
    kernels = [jnp.pad(k, [(0, size - n) for n in k.shape]).astype(dtype) for k in kernels]
    cut = jnp.stack(kernels).reshape(len(kernels), size // DEEP, DEEP, size // WIDE, WIDE)
    biases = [denoiser.table, *(layer["bias"][None] for layer in layers[1:-1])]
    biases.append(layers[-1]["bias"][None, :d])
    return Tables(
        cut.transpose(0, 3, 1, 2, 4).reshape(-1, DEEP, WIDE),
        jnp.concatenate([_padded(b, size) for b in biases]),
        _coefficients(problem),
    )


def _coefficients(problem: tiles.Problem) -> Float[Array, "steps 3"]:
    """keep, move and spread of every step."""
    s, prediction = problem.schedule, _bound(problem).prediction
    one, zero = np.ones(len(s.betas)), np.zeros(len(s.betas))
    # x_0 = of_x x_t + of_output output, and so eps = (x_t - signal x_0) / noise.
    of_x, of_output = {
        "eps": (1 / s.signal, -s.noise / s.signal),
        "x_0": (zero, one),
        "v": (s.signal, -s.noise),
    }[prediction]
    if problem.key is None:
        before = s.alpha_bar_prev
        turn = (1 - before) ** 0.5 / s.noise
        mean_x0, mean_x, spread = before**0.5 - turn * s.signal, turn, zero
    else:
        mean_x0, mean_x = s.posterior_mean_coef1, s.posterior_mean_coef2
        spread = s.posterior_variance**0.5
    rows = (mean_x + mean_x0 * of_x, mean_x0 * of_output, spread)
    return jnp.stack([jnp.asarray(row, problem.x.dtype) for row in rows], -1)


def _reverse(
    tables: Tables,
    starts: Int[Array, " slots"],
    x: Float[Array, "slots size"],
    noise: Float[Array, "steps rows size"] | None,
    origins: Int[Array, " groups"],
    first: Array,
    count: int,
    *,
    legacy: bool,
    interpret: Any,
) -> Float[Array, "slots size"]:
    """The slots after their steps at t = first + count - 1 .. first.

    `origins`: the rows of noise that each 64 slots begin at.
    """
    steps, size = len(tables.coefficients), x.shape[-1]
    longest = jnp.max(starts.reshape(-1, BLOCK), -1)
    counts = jnp.clip(longest - first, 0, count)
    spans = jnp.stack([counts, jnp.full_like(counts, first), *origins.reshape(-1, 2).T], -1)
    body = functools.partial(
        _kernel, legacy=legacy, layers=len(tables.biases) - steps + 1, interpret=bool(interpret)
    )
    dtype = tables.pieces.dtype
    run = plgpu.kernel(
        body,
        out_type=jax.ShapeDtypeStruct(x.shape, x.dtype),
        scratch_types=[
            plgpu.SMEM((2, 2, ROWS, size), dtype),
            plgpu.SMEM((RING, DEEP, WIDE), dtype),
            plgpu.Barrier(num_barriers=RING),
            plgpu.Barrier(num_barriers=RING, num_arrivals=2),
        ],
        grid=(len(x) // BLOCK,),
        grid_names=("block",),
        num_threads=3,
        thread_name="group",
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Warpgroup),
        interpret=interpret,
    )
    return run(*tables, starts, spans, x, *(() if noise is None else (noise,)))


def _kernel(
    pieces, biases, coefficients, starts, spans, x, *refs,
    legacy: bool, layers: int, interpret: bool,
):  # fmt: skip
    """One block: two warpgroups that compute, and the one that feeds them.

    Place i of the ring is free again when both have arrived at `empty[i]`, and holds the next piece
    when `full[i]` has seen its copy arrive.
    """
    *noise, out, hidden, ring, full, empty = refs
    block, group = lax.axis_index("block"), lax.axis_index("group")
    count, first, origin = spans[block, 0], spans[block, 1], spans[block, 2 + group % 2]
    steps, parts, depth = coefficients.shape[0], x.shape[1] // WIDE, x.shape[1] // DEEP
    pieces_a_step = layers * parts * depth
    used = count * pieces_a_step

    def read(ref, *index):
        # The interpreter knows plain reads only, and Mosaic plain reads of shared memory only.
        return ref[index] if interpret else plgpu.load(ref, index, optimized=False)

    @pl.when(group == 2)
    def _():
        plgpu.set_max_registers(24, action="decrease")

        # The last pieces are waited for too: no barrier may be left with an arrival unseen.
        @pl.loop(0, jnp.where(used > 0, used + RING, 0))
        def _(i):
            place = lax.rem(i, RING)

            @pl.when(i >= RING)
            def _():
                plgpu.barrier_wait(empty.at[place])

            @pl.when(i < used)
            def _():
                piece = lax.rem(i, pieces_a_step)
                plgpu.copy_gmem_to_smem(pieces.at[piece], ring.at[place], full.at[place])

    @pl.when(group < 2)
    def _():
        plgpu.set_max_registers(240, action="increase")
        rows = pl.ds(block * BLOCK + group * ROWS, ROWS)
        columns = [pl.ds(part * WIDE, WIDE) for part in range(parts)]
        own = hidden.at[group]

        def along(vector, axis):
            return lax.broadcast_in_dim(vector, (ROWS, WIDE), (axis,))

        def product(source, piece):
            """The next WIDE outputs of a layer."""

            def add(total):
                for k in range(depth):
                    place = lax.rem(piece + k, RING)
                    plgpu.barrier_wait(full.at[place])
                    inputs = own.at[source, :, pl.ds(k * DEEP, DEEP)]
                    plgpu.wgmma(total, inputs, ring.at[place])
                    if k:
                        plgpu.wgmma_wait(1)
                        plgpu.barrier_arrive(empty.at[lax.rem(piece + k - 1, RING)])
                plgpu.wgmma_wait(0)
                plgpu.barrier_arrive(empty.at[lax.rem(piece + depth - 1, RING)])
                return total[...]

            return pl.run_scoped(add, plgpu.WGMMAAccumulatorRef((ROWS, WIDE)))

        def step(i, x):
            x, t = list(x), first + count - 1 - i
            live = along(read(starts, rows), 0) > t
            keep, move, spread = (coefficients[t, j] for j in range(3))
            for layer in range(layers):
                source = lax.rem(i * layers + layer, 2)
                for part, column in enumerate(columns):
                    piece = ((i * layers + layer) * parts + part) * depth
                    row = steps + layer - 1 if layer else t
                    value = product(source, piece) + along(read(biases, row, column), 1)
                    if layer < layers - 1 or legacy:
                        value = jnp.maximum(value, 0.0)
                    if layer == layers - 1:
                        value = keep * x[part] + move * value
                        for table in noise:
                            drawn = read(table, t - first, pl.ds(origin, ROWS), column)
                            value += spread * drawn.astype(value.dtype)
                        value = x[part] = jnp.where(live, value, x[part])
                    own[1 - source, :, column] = value.astype(hidden.dtype)
                plgpu.commit_smem()
            return tuple(x)

        state = tuple(read(x, rows, column) for column in columns)
        for column, value in zip(columns, state):
            own[0, :, column] = value.astype(hidden.dtype)
        plgpu.commit_smem()
        state = lax.fori_loop(0, count, step, state)
        for column, value in zip(columns, state):
            out[rows, column] = value
