"""A small network from 2D keypoints to a SMPL person, for people and tests without images.

Input: 17 COCO keypoints in their own square box, with confidence (51 numbers). Output: 24 rotations
as 6D, 10 betas and HMR's weak-perspective camera [s, tx, ty] of that box (157 numbers).
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from diffjax import body, camera, pose, rotations, unpickle

_HIPS = (11, 12)
_INPUT, _OUTPUT = 51, 157
BATCH, PER_DISPATCH = 256, 100
_MAKE = "train them with `python scripts/make_estimates.py`"


class KeypointHmr(nn.Module):
    """Residual MLP; pre-normalised blocks of two layers."""

    width: int = 384
    blocks: int = 2

    @nn.compact
    def __call__(self, x: Float[Array, "*batch 51"]) -> Float[Array, "*batch 157"]:
        x = nn.Dense(self.width)(x)
        for _ in range(self.blocks):
            h = nn.Dense(self.width)(nn.gelu(nn.LayerNorm()(x)))
            x = x + nn.Dense(self.width)(nn.gelu(nn.LayerNorm()(h)))
        return nn.Dense(_OUTPUT, kernel_init=nn.initializers.normal(0.01))(
            nn.gelu(nn.LayerNorm()(x))
        )


class Estimate(NamedTuple):
    """What the frontend says of a person."""

    pose: pose.Pose
    translation: Float[Array, "*batch 3"]
    """Metres, camera frame, of the model origin."""


def _features(keypoints2d, center_px, side_px) -> Float[Array, "*batch 51"]:
    seen = keypoints2d[..., 2:] > 0
    xy = (keypoints2d[..., :2] - center_px[..., None, :]) / (0.5 * side_px[..., None, None])
    x = jnp.concatenate([jnp.where(seen, xy, 0.0), keypoints2d[..., 2:]], -1)
    return x.reshape(*x.shape[:-2], _INPUT)


def predict(params: Any, keypoints2d: Float[Array, "*batch 17 3"], view: camera.Camera) -> Estimate:
    """The person behind coco17 keypoints (px and confidence; 0 is missing)."""
    center_px, side_px = camera.keypoint_box(keypoints2d)
    raw = _network(params).apply({"params": params}, _features(keypoints2d, center_px, side_px))
    raw = jnp.asarray(raw)
    sixd = raw[..., :144].reshape(*raw.shape[:-1], 24, 6) + jnp.asarray([1.0, 0, 0, 0, 1.0, 0])
    weak = jnp.concatenate([jnp.exp(raw[..., 154:155]), raw[..., 155:]], -1)
    translation = camera.full_translation_from_crop(weak, center_px, side_px, view)
    return Estimate(
        pose.Pose(rotations.matrix_from_6d_columns(sixd), raw[..., 144:154]), translation
    )


def _network(params: Any) -> KeypointHmr:
    width = params["Dense_0"]["kernel"].shape[1]
    return KeypointHmr(width, (len([name for name in params if name.startswith("Dense")]) - 2) // 2)


def loss(
    params: Any, coco: body.KeypointModel, keypoints2d, view, true: Estimate
) -> Float[Array, ""]:
    """Rotation matrices + 3D keypoints (m, mid-hip frame) + 2D keypoints (half boxes) + betas.

    SPIN's terms and weights (Kolotouros et al. 2019): every term a mean square, 1 : 5 : 5 : 0.01.
    """
    guess = predict(params, keypoints2d, view)
    # One pass of the body for both. Fused with the network it would compile twice as long.
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), guess, true)
    both = jax.lax.optimization_barrier(both)
    points = body.pose_keypoints(coco, both.pose.rotations, both.pose.betas)
    pixels = camera.project(
        jax.tree.map(lambda x: x[None], view), points + both.translation[..., None, :]
    )
    in_3d = points - jnp.mean(points[..., jnp.asarray(_HIPS), :], -2, keepdims=True)
    half = 0.5 * camera.keypoint_box(keypoints2d)[1][..., None, None]
    terms = (
        (1.0, guess.pose.rotations - true.pose.rotations),
        (5.0, in_3d[0] - in_3d[1]),
        (5.0, jnp.clip((pixels[0] - pixels[1]) / half, -2.0, 2.0)),
        (0.01, guess.pose.betas - true.pose.betas),
    )
    return sum((w * jnp.mean(x * x) for w, x in terms), start=jnp.zeros(()))


def init(key: PRNGKeyArray, width: int = 384, blocks: int = 2) -> Any:
    """Fresh weights."""
    return KeypointHmr(width, blocks).init(key, jnp.zeros((1, _INPUT)))["params"]


def _optimiser(steps: int) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1e-3, min(100, steps // 5 + 1), steps + 1)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=1e-4))


@functools.partial(jax.jit, static_argnames=("draw", "steps", "count"))
def _train_some(params, state, key, start, coco, pool, index, *, draw, steps, count):
    """`count` steps in one dispatch; step i uses the key folded with i."""
    optimiser = _optimiser(steps)

    def step(carry, i):
        params, state = carry
        views = draw(jax.random.fold_in(key, i), coco, pool, index, BATCH)
        true = Estimate(views.pose, views.translation)
        value, grad = jax.value_and_grad(loss)(params, coco, views.keypoints2d, views.camera, true)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its counters with floats.
            change, state = optimiser.update(grad, state, params)
        return (optax.apply_updates(params, change), state), value

    (params, state), values = jax.lax.scan(step, (params, state), start + jnp.arange(count))
    return params, state, jnp.mean(values)


def train(
    key: PRNGKeyArray,
    coco: body.KeypointModel,
    pool: Float[Array, "poses 24 3 3"],
    index: Array,
    *,
    draw: Callable[..., Any],
    steps: int = 2000,
    report: Callable[[int, float], None] = lambda step, value: None,
) -> Any:
    """Weights trained on batches `draw(key, coco, pool, index, batch)` (Views with truth).

    Compiles once for all `index` of one length. `report` gets the step and the mean loss.
    """
    init_key, key = jax.random.split(key)
    params = init(init_key)
    state = _optimiser(steps).init(params)
    count = min(PER_DISPATCH, steps)
    if count < 1 or steps % count:
        raise ValueError(f"steps: wanted a positive multiple of {PER_DISPATCH}, got {steps}")
    for start in range(0, steps, count):
        params, state, value = _train_some(
            params, state, key, start, coco, pool, index, draw=draw, steps=steps, count=count
        )
        report(start + count, float(value))
    return params


def save(path: str | Path, params: Any) -> None:
    """Writes weights as one `.npz` of plain float32 arrays named by layer."""
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    np.savez(path, allow_pickle=False, **{k: np.asarray(v, np.float32) for k, v in flat.items()})


def load(path: str | Path) -> Any:
    """Weights written by `save`. FileNotFoundError or ValueError say what to do."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no frontend weights here; {_MAKE}")
    arrays = unpickle.load_npz(path, objects=False)
    flat = {name: jnp.asarray(array) for name, array in arrays.items()}
    first = flat.get("Dense_0/kernel", jnp.zeros(()))
    if first.ndim != 2 or first.shape[0] != _INPUT:
        raise ValueError(
            f"{path}: field Dense_0/kernel: wanted ({_INPUT}, width) of a keypoint frontend, found "
            f"{first.shape or sorted(flat)[:4]}; {_MAKE}"
        )
    params = flax.traverse_util.unflatten_dict(flat, sep="/")
    network = _network(params)
    like = jax.eval_shape(lambda: init(jax.random.key(0), network.width, network.blocks))
    shapes = jax.tree.map(lambda leaf: leaf.shape, like)
    wanted: dict[str, Any] = flax.traverse_util.flatten_dict(shapes, sep="/")
    for name in sorted(wanted.keys() | flat.keys()):
        found = flat[name].shape if name in flat else "nothing"
        if found != wanted.get(name):
            raise ValueError(
                f"{path}: field {name}: wanted {wanted.get(name)}, found {found}; {_MAKE}"
            )
    return params
