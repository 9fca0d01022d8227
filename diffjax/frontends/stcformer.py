"""The base lifter of D3PRefiner: STCFormer (Tang et al. 2023), 2D windows to 3D, trained here.

As published: mean joint error over all frames, Adam 1e-3, times 0.96 an epoch, mirror images in training. By default
widths and windows are small and rates high, to train on a CPU in half a minute. `LIGHT` trains another network in the
same way, that of `denoisers.frames`: as good a lifter as a CPU makes in a minute or two.
"""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util
from jaxtyping import Array, Float, PRNGKeyArray

from diffjax import criss_cross, metrics, micro_batches, skeleton, unpickle, windows
from diffjax.denoisers import frames, sequence
from diffjax.methods import mirroring

_MAKE = "make one with scripts/make_sequences.py"
_PER_DISPATCH, _REFINED = 25, 64
Network = Literal["stcformer", "frames"]


class Settings(NamedTuple):
    """Network and training; STCFormer's own are width 256, depth 6, heads 8, batch 128, windows of 27 to 243."""

    window: int = 9
    width: int = 64
    depth: int = 2
    heads: int = 4
    joints: str = "h36m17"
    steps: int = 600
    batch: int = 48
    rate: float = 2e-3
    decay: float = 0.96
    """Of the rate, an epoch."""
    centred: bool = True
    """The 2D of a frame is seen about its mean, in units of the window's spread: not in the original. A person learned
    in one place is then known in all of them."""
    anneal: bool = True
    """The rate also falls to zero over the steps, as a cosine: not in the original, made for few steps."""
    layout: criss_cross.Layout = "clean"
    """Of the attention; `compat` is that of the published weights."""
    remat: bool = False
    """Recompute activations for the gradient: long windows in little memory."""
    dtype: str = "float32"
    """Of the network's products: float32 or bfloat16."""
    network: Network = "stcformer"
    """Or `denoisers.frames`, to which heads, centred, layout, remat and dtype say nothing."""


LIGHT = Settings(27, 128, 4, steps=3000, batch=32, decay=1.0, network="frames")
"""The network with a token a frame, and what it is trained with."""


class Lifter(NamedTuple):
    """A trained lifter."""

    settings: Settings
    params: Any


def network_of(settings: Settings) -> sequence.STCFormer | frames.FrameLifter:
    """The network of the settings."""
    if settings.network == "frames":
        return frames.FrameLifter(settings.width, settings.depth)
    return sequence.STCFormer(
        settings.width,
        settings.depth,
        settings.heads,
        settings.joints,
        layout=settings.layout,
        remat=settings.remat,
        dtype=None if settings.dtype == "float32" else jnp.dtype(settings.dtype),
    )


def shown(
    settings: Settings, p: Float[Array, "*batch time J 2"]
) -> Float[Array, "*batch time J 2"]:
    """2D windows as the network sees them."""
    if not settings.centred or settings.network == "frames":
        return p
    about = p - jnp.mean(p, -2, keepdims=True)
    spread = jnp.sqrt(jnp.mean(about**2, (-3, -2, -1), keepdims=True))
    return about / jnp.maximum(spread, 1e-6)


@functools.partial(jax.jit, static_argnames=("settings", "epoch", "size", "count"))
def _train_some(params, state, key, start, p, x, cut, *, settings, epoch, size, count):
    """`count` steps in one dispatch; step i uses the key folded with i. `epoch` in steps."""
    network, optimiser = network_of(settings), _optimiser(settings, epoch)
    root = skeleton.keypoint_set(settings.joints).index("pelvis")
    mirror = skeleton.mirror_permutation(skeleton.keypoint_set(settings.joints))

    def loss(params, part):
        seen, true, weight = part
        seen = shown(settings, seen)
        said = network.apply({"params": params}, seen)
        error = metrics.mpjpe_mm(metrics.center(said, (root,)), true) / 1000.0
        return jnp.sum(weight * error) / (settings.window * size)

    def step(carry, i):
        params, state = carry
        now = jax.random.fold_in(key, i)
        index = jax.random.randint(now, (settings.batch,), 0, len(cut.rows))
        rows, weight = cut.rows[index], (cut.weight[index] > 0).astype(x.dtype)
        turn = jax.random.bernoulli(jax.random.fold_in(now, 1), 0.5, (settings.batch, 1, 1, 1))
        batch = tuple(jnp.where(turn, mirroring.flip(a[rows], mirror), a[rows]) for a in (p, x))
        value, grad = micro_batches.gradient(loss, params, (*batch, weight), size)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its counters with floats.
            change, state = optimiser.update(grad, state, params)
        return (optax.apply_updates(params, change), state), value

    (params, state), values = jax.lax.scan(step, (params, state), start + jnp.arange(count))
    return params, state, jnp.mean(values)


def _at_once(settings: Settings, count: int) -> int:
    """Windows that go through together."""
    light = settings.network == "frames"
    return micro_batches.at_once(count, settings.window, count if light else None)


def _optimiser(settings: Settings, epoch: int) -> optax.GradientTransformation:
    """Adam whose rate warms up over 50 steps and falls by the decay after each epoch."""

    def rate(step):
        warm = jnp.minimum((step + 1) / 50.0, 1.0)
        left = 0.5 * (1.0 + jnp.cos(jnp.pi * step / settings.steps)) if settings.anneal else 1.0
        return settings.rate * warm * left * settings.decay ** (step // epoch)

    return optax.adam(rate)


def check(settings: Settings) -> None:
    """ValueError for settings that no lifter can be trained with."""
    for name in ("window", "width", "depth", "batch", "steps"):
        if (value := getattr(settings, name)) < 1:
            raise ValueError(f"{name}: wanted 1 or more, got {value}")
    if settings.steps % _PER_DISPATCH:
        raise ValueError(f"steps: wanted a multiple of {_PER_DISPATCH}, got {settings.steps}")
    if settings.network == "stcformer" and settings.width % (2 * settings.heads):
        wanted = f"a multiple of {2 * settings.heads}, 2 heads"
        raise ValueError(f"width: wanted {wanted}, got {settings.width}")


def train(
    key: PRNGKeyArray,
    settings: Settings,
    p: Float[Array | np.ndarray, "rows J 2"],
    x: Float[Array | np.ndarray, "rows J 3"],
    lengths: Sequence[int],
    report: Callable[[int, float], None] = lambda step, value: None,
) -> Lifter:
    """A lifter of normalised 2D to root-relative metres; `lengths` are of the videos in the rows.

    `report` gets the step and the mean error in metres.
    """
    check(settings)
    plan = windows.plan(lengths, settings.window, max(settings.window // 2, 1))
    cut = jax.tree.map(jnp.asarray, windows.windows(plan))
    p, x = jnp.asarray(p, jnp.float32), jnp.asarray(x, jnp.float32)
    init_key, key = jax.random.split(key)
    params = jax.jit(network_of(settings).init)(init_key, p[cut.rows[:1]])["params"]
    # Its first poses are small, as standing people are against its unit numbers.
    params |= {"outward": jax.tree.map(lambda x: 0.1 * x, params["outward"])}
    epoch = max(sum(lengths) // (settings.window * settings.batch), 1)
    state = _optimiser(settings, epoch).init(params)
    size = _at_once(settings, settings.batch)
    fixed = {"settings": settings, "epoch": epoch, "size": size, "count": _PER_DISPATCH}
    for start in range(0, settings.steps, _PER_DISPATCH):
        params, state, value = _train_some(params, state, key, start, p, x, cut, **fixed)
        report(start + _PER_DISPATCH, float(value))
    return Lifter(settings, params)


def predict(
    lifter: Lifter, p: Float[np.ndarray, "rows J 2"], lengths: Sequence[int]
) -> Float[np.ndarray, "rows J 3"]:
    """Root-relative metres of whole videos, windows blended, averaged over the mirror image."""
    settings = lifter.settings
    plan = windows.plan(lengths, settings.window)
    size = _at_once(settings, _REFINED)

    def lift(seen):
        return np.asarray(_lift(lifter.params, seen, settings=settings, size=size))

    return windows.over_batches(lift, plan, np.asarray(p, np.float32), size=_REFINED)


@functools.partial(jax.jit, static_argnames=("settings", "size"))
def _lift(params, p, *, settings, size):
    names = skeleton.keypoint_set(settings.joints)
    network, root = network_of(settings), names.index("pelvis")
    mirror = skeleton.mirror_permutation(names)

    def one(seen):
        seen = shown(settings, seen)
        both = jnp.concatenate([seen, mirroring.flip(seen, mirror)])
        said, turned = jnp.split(network.apply({"params": params}, both), 2)
        said = 0.5 * (said + mirroring.flip(turned, mirror))
        return metrics.center(said, (root,))

    return micro_batches.apply(one, p, size)


def arrays_of(lifter: Lifter) -> dict[str, Any]:
    """A lifter as plain arrays by name, for an `.npz` that `load` reads."""
    flat = traverse_util.flatten_dict({"params": lifter.params}, sep="/")
    arrays: dict[str, Any] = {k: np.asarray(v, np.float32) for k, v in flat.items()}
    return arrays | {"settings": np.array(json.dumps(lifter.settings._asdict()))}


def load(path: str | Path) -> Lifter:
    """A lifter written as `arrays_of`. FileNotFoundError or ValueError say what to do."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no lifter here; {_MAKE}")
    arrays = unpickle.load_npz(path, objects=False)
    try:
        settings = Settings(**json.loads(str(arrays.pop("settings"))))
        # A damaged number may ask for any number of blocks: those that are there are counted first.
        network = frames if settings.network == "frames" else sequence
        whole = "params/" + network.OF_BLOCK.format(int(settings.depth) - 1) in arrays
        dummy = jnp.zeros((1, 1, len(skeleton.keypoint_set(settings.joints)), 2))
        like = jax.eval_shape(network_of(settings).init, jax.random.key(0), dummy) if whole else {}
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise ValueError(f"{path}: wanted a lifter, found something else; {_MAKE}") from error
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    wanted: dict[str, Any] = traverse_util.flatten_dict(like, sep="/")
    shapes: Any = [{k: np.shape(v) for k, v in some.items()} for some in (wanted, arrays)]
    numbers = all(x.dtype.kind == "f" and np.isfinite(x).all() for x in arrays.values())
    if shapes[0] != shapes[1] or not numbers or not _sound(settings):
        raise ValueError(
            f"{path}: wanted the finite weights of a network of {settings}, found others; {_MAKE}"
        )
    params = {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
    return Lifter(settings, traverse_util.unflatten_dict(params, sep="/")["params"])


def _sound(settings: Settings) -> bool:
    """Whether what the weights do not prove can be."""
    window = isinstance(settings.window, int) and 1 <= settings.window <= 10_000
    known = settings.layout in get_args(criss_cross.Layout) and settings.network in get_args(
        Network
    )
    return window and known and settings.dtype in ("float32", "bfloat16")
