"""D3PRefiner (2024): refines a lifter's 3D joint sequences by a diffusion whose noise is the lifter's error.

Made of `conditional_noise` (what the error is like), `error_diffusion` (the process) and
`denoisers.sequence.PoseDenoiser` (the network). Everything that is fitted is fitted on training folds.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from diffjax import config, micro_batches, skeleton, windows
from diffjax import schedule as schedules
from diffjax.denoisers import frames, sequence
from diffjax.methods import (
    conditional_noise,
    error_diffusion,
    error_normaliser,
    error_statistics,
    mirroring,
)

_CHUNK = 64
"""Windows in memory at a time, on every device."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A network and all that is needed to train or use it."""

    run: config.Run
    joint_set: str
    process: error_diffusion.Process
    noise: conditional_noise.NoiseModel
    params: Any = None
    """None before training."""


def fit(
    run: config.Run, joint_set: str, stats: error_statistics.Statistics, params: Any = None
) -> Model:
    """Noise model and normaliser from training statistics (`statistics_of`)."""
    told, root = run.sequence, root_of(joint_set)
    noise = conditional_noise.fit(stats, root=root, ridge=told.ridge)
    normaliser = error_normaliser.fit(stats, told.normaliser, root)
    return make_model(run, joint_set, noise, normaliser, params)


def make_model(
    run: config.Run,
    joint_set: str,
    noise: conditional_noise.NoiseModel,
    normaliser: error_normaliser.Normaliser,
    params: Any = None,
) -> Model:
    """A model from what was fitted before."""
    told = run.diffusion
    schedule = schedules.make_schedule(told.schedule, told.steps, told.respacing)
    process = error_diffusion.Process(schedule, normaliser, run.sequence.precondition)
    return Model(run, joint_set, process, noise, params)


def root_of(joint_set: str) -> int:
    """The pelvis, whose error is none."""
    return skeleton.keypoint_set(joint_set).index("pelvis")


def statistics_of(
    p: Float[np.ndarray, "rows J 2"],
    y: Float[np.ndarray, "rows J 3"],
    x: Float[np.ndarray, "rows J 3"],
    lengths: Sequence[int],
) -> error_statistics.Statistics:
    """Of videos that lie one after another."""
    stats, first = error_statistics.none(y.shape[1]), 0
    for length in lengths:
        rows = slice(first, first + length)
        stats, first = error_statistics.add(stats, p[rows], y[rows], x[rows]), first + length
    return stats


def network_of(
    told: config.Sequences, joint_set: str
) -> sequence.PoseDenoiser | frames.FrameDenoiser:
    """The network of the settings; ValueError for attention that this machine has not."""
    if told.network == "frames":
        return frames.FrameDenoiser(width=told.width, blocks=told.blocks)
    if told.attention == "cudnn" and jax.default_backend() != "gpu":
        raise ValueError(
            f"sequence.attention: wanted a GPU for cudnn, found {jax.default_backend()}; take auto"
        )
    return sequence.PoseDenoiser(
        width=told.width,
        blocks=told.blocks,
        heads=told.heads,
        joints=joint_set,
        structure=told.structure,
        layout=told.layout,
        remat=told.remat,
        dtype=None if told.dtype == "float32" else jnp.dtype(told.dtype),
        attention=told.attention,
    )


def init_params(key: PRNGKeyArray, told: config.Sequences, joint_set: str) -> Any:
    """Fresh weights; such a network says the mean error."""
    joints = len(skeleton.keypoint_set(joint_set))
    x = jnp.zeros((1, told.window, joints, 3))
    network = network_of(told, joint_set)
    return jax.jit(network.init)(key, x, x[..., :2], jnp.zeros(1, jnp.int32))["params"]


def at_once(told: config.Sequences, count: int) -> int:
    """How many of `count` windows go through together; of the network with a token a frame, all of them."""
    wanted = told.at_once or (count if told.network == "frames" else None)
    return micro_batches.at_once(count, told.window, wanted)


def _predict(params: Any, told: config.Sequences, joint_set: str) -> error_diffusion.Predict:
    network: Any = network_of(told, joint_set)
    share = 1.0 if told.points else 0.0
    return lambda x_t, p, t: network.apply({"params": params}, x_t, share * p, t)


def draw_errors(
    key: PRNGKeyArray,
    model: Model,
    y: Float[Array, "*batch time J 3"],
    p: Float[Array, "*batch time J 2"],
    x_0: Float[Array, "*batch time J 3"],
) -> Float[Array, "*batch time J 3"]:
    """The errors of the forward process: of the noise model, or the real ones, or of both in a batch."""
    told = model.run.sequence
    if told.noise == "residual":
        return y - x_0
    drawn = conditional_noise.sample(key, model.noise, p, y, told.noise)
    shape = (*y.shape[:-3], 1, 1, 1)
    real = jax.random.bernoulli(jax.random.fold_in(key, 1), told.real, shape)
    return jnp.where(real, y - x_0, drawn)


def draw_steps(key: PRNGKeyArray, model: Model, count: int) -> Array:
    """Steps to train on, evenly; the last one only without diffusion."""
    steps = len(model.process.schedule.signal)
    low = 0 if model.run.sequence.diffusion else steps - 1
    return jax.random.randint(key, (count,), low, steps)


def loss(
    params: Any,
    model: Model,
    x_0: Float[Array, "*batch time J 3"],
    error: Float[Array, "*batch time J 3"],
    p: Float[Array, "*batch time J 2"],
    t: Array,
    weight: Float[Array, "*batch time"],
) -> Float[Array, ""]:
    """(7) or its like (`sequence.loss`), over all frames of the batch that count."""
    told = model.run.sequence
    predict = _predict(params, told, model.joint_set)
    each = error_diffusion.loss(predict, model.process, x_0, error, p, t, weight, told.loss)
    return jnp.mean(each)


def refiner(
    params: Any, process: error_diffusion.Process, told: config.Sequences, joint_set: str
) -> mirroring.Refiner:
    """(y, p) -> refined, root-relative metres; nothing is drawn."""
    refine_once = functools.partial(
        error_diffusion.refine,
        _predict(params, told, joint_set),
        process,
        iterations=told.iterations if told.diffusion else 1,
        init=told.init,
    )
    if not told.flip:
        return refine_once
    mirror = skeleton.mirror_permutation(skeleton.keypoint_set(joint_set))
    return mirroring.flip_averaged(refine_once, mirror)


def refine(
    model: Model, y: Float[Array, "*batch time J 3"], p: Float[Array, "*batch time J 2"]
) -> Float[Array, "*batch time J 3"]:
    """Windows of a batch, refined: the lifter's y "root-relative, metres" and normalised 2D in."""
    return refiner(model.params, model.process, model.run.sequence, model.joint_set)(y, p)


def refine_sequences(
    model: Model,
    y: Float[np.ndarray, "rows J 3"],
    p: Float[np.ndarray, "rows J 2"],
    lengths: Sequence[int],
    advance: Callable[[int], Any] = lambda frames: None,
) -> Float[np.ndarray, "rows J 3"]:
    """Whole videos that lie one after another, windows blended; any length in bounded memory.

    On every device a compiled call at a time over `_CHUNK` windows. `advance` is told how many rows are done.
    """
    plan = plan_of(model, lengths)
    return refine_rows(model, y, p, plan, 0, len(plan.total), advance)


def plan_of(model: Model, lengths: Sequence[int]) -> windows.Plan:
    """The windows of videos of these lengths."""
    return windows.plan(lengths, model.run.sequence.window, model.run.sequence.stride or None)


def rows_at_once(model: Model, calls: int) -> int:
    """Rows of a piece that takes about so many compiled calls on every device."""
    told = model.run.sequence
    stride = told.stride or max(told.window // 2, 1)
    # Of the windows, those over both ends are refined with the neighbouring pieces again.
    count = calls * _CHUNK * len(jax.local_devices()) - -(-told.window // stride)
    return max(count, 1) * stride


def refine_rows(
    model: Model,
    y: Float[np.ndarray, "rows J 3"],
    p: Float[np.ndarray, "rows J 2"],
    plan: windows.Plan,
    first: int,
    end: int,
    advance: Callable[[int], Any] = lambda frames: None,
) -> Float[np.ndarray, "some J 3"]:
    """Rows first .. end - 1 of what `refine_sequences` says of all."""
    told, own = model.run.sequence, jax.local_devices()
    chunk = min(_CHUNK, -(-len(plan.first) // len(own)))
    size = at_once(told, chunk)
    work = _compiled(told, model.joint_set, size)
    arrays = model.params, model.process._replace(precondition=np.asarray(told.precondition))
    everywhere = [jax.device_put(arrays, device) for device in own]

    def refine_some(y, p):
        parts = zip(own, everywhere, np.split(y, len(own)), np.split(p, len(own)))
        # All devices have begun before the first is waited for.
        running = [work(*held, *jax.device_put(some, at)) for at, held, *some in parts]
        return np.concatenate([np.asarray(part) for part in running])

    windows.check_rows(plan, (y, p))
    part, low, high = windows.touching(plan, first, end)
    told_rows = _as_rows(advance, end - first, len(part.first))
    arrays = (np.asarray(x[low:high], np.float32) for x in (y, p))
    better = windows.over_batches(
        refine_some, part, *arrays, size=chunk * len(own), advance=told_rows
    )
    return better[first - low : end - low]


@functools.cache
def _compiled(told: config.Sequences, joint_set: str, size: int) -> Callable[..., Array]:
    """One compiled function for each setting, of windows of one shape."""

    @jax.jit
    def work(params, process, y, p):
        once = refiner(params, process, told, joint_set)
        return micro_batches.apply(lambda part: once(*part), (y, p), size)

    return work


def _as_rows(advance: Callable[[int], Any], rows: int, count: int) -> Callable[[int], None]:
    """Of `count` windows that are done, their share of the rows."""
    done = 0

    def told(some: int) -> None:
        nonlocal done
        before, done = done * rows // count, done + some
        advance(done * rows // count - before)

    return told
