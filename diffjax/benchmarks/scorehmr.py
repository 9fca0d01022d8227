"""How many fits a second does ScoreHMR's loop make? Against the authors' way of running it in PyTorch.

Keypoint fitting as published: 10 rounds of 25 inversions and 25 guided steps, 500 network calls and 250 gradients,
PARE-sized features (3072), a body as large as SMPL. Both sides must agree before they are timed.
"""

import functools
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body, camera, pose
from diffjax import schedule as schedules
from diffjax.benchmarks import body as bodies
from diffjax.benchmarks import timing
from diffjax.denoisers import conditioned, hoisted
from diffjax.methods import diffannot, scorehmr, scorehmr_loop

SCHEDULE = schedules.make_schedule("cosine", 1000)
SEEN, POINTS = 25, 44
"""Keypoints that guide, and those that the authors' code computes."""
ROUNDS, CALLS = 10, 500
PEER = "torch, eager, whole mesh (the authors' way)"


class Setting(NamedTuple):
    """One batch of people, and what is known of them."""

    params: Any
    network: hoisted.Network
    context: hoisted.Projected
    features: jax.Array
    estimate: pose.Pose
    translation: jax.Array
    observed: scorehmr.Observed


def make_setting(figure: bodies.Figure, regressor: np.ndarray, batch: int) -> Setting:
    """Seeded weights, features, poses, and keypoints of the same people 0.1 rad away."""
    random = np.random.default_rng(0)
    network = conditioned.ConditionedMLP()
    x, t = jnp.zeros((1, 144)), jnp.zeros((1,), jnp.int32)
    features = jnp.asarray(random.normal(size=(batch, network.condition_size)), jnp.float32)
    params = network.init(jax.random.key(0), x, t, {"features": features[:1]})["params"]
    table = network.apply({"params": params}, jnp.arange(1000), method="time_features")
    folded = hoisted.fold(params, jnp.asarray(table), network.depth)
    people, truth = (bodies.make_people(batch, seed) for seed in (1, 2))
    near = jnp.asarray(people.rotations + 0.1 * truth.rotations)
    true = pose.Pose(pose.nearest_rotations(near), people.betas)
    place = jnp.asarray([0.1, 0.2, 5.0]) + jnp.zeros((batch, 3))
    two = jnp.ones((batch, 2))
    view = camera.Camera(5000 * two, 500 * two, 1000 * two)
    points = body.pose_keypoints(keypoints_of(figure, regressor), true.rotations, true.betas)
    pixels = camera.project(view, points + place[:, None])
    seen = jnp.concatenate([pixels, jnp.ones_like(pixels[..., :1])], -1)
    nobody = jnp.full(batch, -1)
    return Setting(
        dict(params),
        folded,
        hoisted.project(folded, features),
        features,
        pose.Pose(*people),
        place + 0.05,
        scorehmr.Observed(seen, view, nobody, nobody),
    )


def make_regressor(vertices: int) -> np.ndarray:
    """(POINTS, vertices) of eight vertices each."""
    random = np.random.default_rng(3)
    matrix = np.zeros((POINTS, vertices))
    for row in matrix:
        row[random.choice(vertices, 8, replace=False)] = 1 / 8
    return matrix


def keypoints_of(figure: bodies.Figure, regressor: np.ndarray) -> body.KeypointModel:
    a = figure.arrays
    arrays = (a[k] for k in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights"))
    return body.fold_keypoints(body.body_from_arrays(*arrays), regressor[:SEEN])


def _denoise(x, t, context):
    network, projected = context
    eps = hoisted.predict(network, x, t, projected)
    return schedules.x0_from_eps(SCHEDULE, x, t, eps)


@functools.partial(jax.jit, static_argnames="rounds")
def ours(setting: Setting, keypoints: body.KeypointModel, rounds: int) -> scorehmr_loop.Fitted:
    """The loop of the library; what is hoisted is part of the fit."""
    prior = diffannot.Prior(_denoise, SCHEDULE, pose.identity_normaliser(144))
    context = setting.network, hoisted.project(setting.network, setting.features)
    return scorehmr_loop.fit(
        prior,
        lambda p: body.pose_keypoints(keypoints, p.rotations, p.betas),
        setting.estimate,
        setting.translation,
        setting.observed,
        context,
        loop=scorehmr.Loop(rounds=rounds),
    )


def _peer(setting: Setting, figure: bodies.Figure, regressor: np.ndarray, folder: pathlib.Path):
    """(rounds) -> what the authors' way makes of the same batch."""
    import torch

    from diffjax.benchmarks import torch_scorehmr

    layer = bodies._smplx(figure, folder).layer
    weights = torch.tensor(regressor, dtype=torch.float32)
    original = torch_scorehmr.Original(setting.params, layer, weights, SCHEDULE, SEEN)
    view, tensor = setting.observed.camera, lambda x: torch.tensor(np.asarray(x))
    observed = torch_scorehmr.Observed(
        tensor(setting.observed.keypoints2d),
        tensor(view.focal_px),
        tensor(view.center_px),
        tensor(view.image_size_px).amax(-1),
        tensor(setting.features),
    )
    x = tensor(pose.vector_from_pose(setting.estimate, "sixd144"))
    start = tensor(setting.estimate.betas), tensor(setting.translation)
    return lambda rounds: original.fit(x, *start, observed, rounds)


def flops_of(setting: Setting) -> float:
    """Of the matrix products of one fit's network calls; the body adds about 3 %."""
    blocks = setting.network.blocks
    call = sum(block.of_state.size + block.outward.size for block in blocks)
    call += setting.network.inward[0].size + setting.network.outward[0].size
    return 2.0 * (CALLS * call + sum(block.of_features.size for block in blocks))


def _ceiling(batch: int, repeats: int = 64) -> float:
    """Flops a second of the loop's own products, 144 to 1024 and back, in float32."""
    x, up, down = jnp.ones((batch, 144)), jnp.ones((144, 1024)) / 144, jnp.ones((1024, 144)) / 1024

    @jax.jit
    def products(x):
        return jax.lax.fori_loop(0, repeats, lambda _, x: (x @ up) @ down, x)

    seconds = timing.interleaved({"products": lambda: products(x)}, rounds=3)["products"].median
    return 4.0 * batch * 144 * 1024 * repeats / seconds


def rows(batch: int, peer_batch: int, rounds: int) -> Iterator[timing.Row]:
    """Seconds a fit. The peer makes one round of ten, of `peer_batch` people."""
    figure = bodies.make_figure(bodies.VERTICES)
    regressor = make_regressor(bodies.VERTICES)
    setting, keypoints = make_setting(figure, regressor, batch), keypoints_of(figure, regressor)
    case = f"keypoint fitting, batch {batch}"
    contenders = {"diffjax": lambda: ours(setting, keypoints, ROUNDS)}
    items, notes = {"diffjax": float(batch)}, {}
    absent = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            theirs = make_setting(figure, regressor, peer_batch)
            peer = _peer(theirs, figure, regressor, pathlib.Path(folder))
            contenders[PEER] = lambda: peer(1)
            items[PEER] = peer_batch / ROUNDS
            notes[PEER] = (
                f"extrapolated from 1 round of {ROUNDS}; {_agreement(theirs, keypoints, peer)}"
            )
        except ImportError as error:
            absent.append(timing.Row(case, PEER, None, note=bodies._reason(error)))
        times = timing.interleaved(contenders, rounds=rounds)
    yield from timing.rows_of(
        case,
        times,
        items=items,
        item="fit",
        flops=flops_of(setting),
        ceiling=_ceiling(batch),
        notes=notes,
    )
    yield from absent


def _agreement(setting: Setting, keypoints: body.KeypointModel, peer) -> str:
    """How far the two are apart after one round; RuntimeError where they are not the same loop."""
    found, (x, gamma) = ours(setting, keypoints, 1), peer(1)
    off = float(np.abs(np.asarray(found.x) - x.detach().numpy()).max())
    off = max(off, float(np.abs(np.asarray(found.translation) - gamma.numpy()).max()))
    if off > 2e-3:
        raise RuntimeError(f"the two loops differ by {off:.1e}: they are not of the same method")
    return f"agrees to {off:.0e}"


def run(quick: bool = False) -> Iterator[timing.Row]:
    """Batch 256, as published; `quick` takes 64."""
    yield from rows(64, 64, 2) if quick else rows(256, 256, 3)
