"""What a run minimises and reports: L = L_ori + gamma_3d L_3D + gamma_2d L_2D, on its own data."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, PyTree

from diffjax import (
    body,
    camera,
    checkpoint,
    config,
    demo,
    denoisers,
    losses,
    pose,
    skeleton,
    supervision,
)
from diffjax import schedule as schedules
from diffjax.data import pipeline, records

HELD_OUT_TIMES = (10, 50)
"""Steps of the held-out loss: where refinement starts and ends."""
_CHECK_PEOPLE, _HELD_OUT_PEOPLE = 256, 1024


class Terms(NamedTuple):
    """The loss and its parts: one number a sample, or their means."""

    loss: Float[Array, "*batch"]
    original: Float[Array, "*batch"]
    """L_ori."""
    joints3d: Float[Array, "*batch"]
    """L_3D in metres, weighted by alpha_bar_t."""
    joints2d: Float[Array, "*batch"]
    """L_2D in box sides, weighted by alpha_bar_t."""


Objective = Callable[[PyTree, pipeline.Examples, Array, Array], Terms]
"""(params, examples, t, eps) -> the terms of every sample."""


class Task(NamedTuple):
    """What stays as it is during a run."""

    network: nn.Module
    schedule: schedules.Schedule
    normaliser: pose.Normaliser
    examples: pipeline.Examples
    held_out: pipeline.Examples | None
    objective: Objective
    body_digest: str


def make_objective(
    run: config.Run,
    network: nn.Module,
    schedule: schedules.Schedule,
    normaliser: pose.Normaliser,
    loss: supervision.Loss,
) -> Objective:
    """L of the paper, per sample. L_3D and L_2D judge the x_0 that the network implies at x_t."""
    mean_type = denoisers.MEAN_TYPES[run.diffusion.prediction]
    original = functools.partial(
        losses.training_losses,
        mean_type=mean_type,
        variance_type=run.diffusion.variance,
        loss_type=run.diffusion.loss,
    )
    # A guess from pure noise says nothing of the joints: alpha_bar is the share of signal in x_t.
    trust = schedule.alpha_bar * (np.arange(len(schedule.betas)) <= (run.train.max_time or np.inf))
    trust = jnp.asarray(trust, jnp.float32)

    def objective(params, examples, t, eps):
        x_t = schedules.add_noise(schedule, examples.x_0, t, eps)
        output = _call(network, params, schedule, x_t, t, examples)
        l_ori = original(schedule, output, examples.x_0, t, eps).loss
        predicted = output[..., : x_t.shape[-1]]
        x_0 = schedules.x0_from_output(schedule, x_t, t, predicted, mean_type)
        vector = pose.unstandardise(normaliser, x_0)
        people = pose.pose_from_vector(vector, run.model.vector, examples.betas)
        evidence = _evidence(examples)
        l_3d = trust[t] * loss.metres(people, evidence)
        l_2d = trust[t] * loss.boxes(people, evidence)
        total = l_ori + run.train.gamma_3d * l_3d + run.train.gamma_2d * l_2d
        return Terms(total, l_ori, l_3d, l_2d)

    return objective


def _call(network, params, schedule, x_t, t, examples) -> Any:
    """The raw output of the network at row t of the schedule."""
    network_time, variables = jnp.asarray(schedule.network_time), {"params": params}
    context = {"estimate": examples.estimate, "keypoints": examples.keypoints}
    if t.size < len(network_time) * jax.device_count():
        return network.apply(variables, x_t, network_time[t], context)
    # Fewer steps than samples: what depends on t alone is cheaper for every step than for every sample.
    table: Any = network.apply(variables, network_time, method="time_features")
    return network.apply(variables, x_t, table[t], context, method="from_features")


def _evidence(examples: pipeline.Examples) -> pose.Evidence:
    intrinsics = camera.Camera(examples.focal_px, examples.center_px, examples.image_size_px)
    return pose.Evidence(examples.labels2d, examples.joints3d, intrinsics)


def make_task(run: config.Run) -> Task:
    """Reads data and body, checks that they have what the run needs, and fits the normaliser."""
    annotations = _read(run, "train")
    where = f"data.train {run.data.train}"
    normaliser = pipeline.fit_normaliser(pipeline.target_vectors(annotations, run, where), run)
    network = denoisers.make_network(run.model, run.diffusion)
    process = run.diffusion
    schedule = schedules.make_schedule(process.schedule, process.steps, process.respacing)
    path = str(config.locate(run.data.body))
    model = body.load_body(path)
    loss = _supervision(run, annotations, model, path)
    return Task(
        network,
        schedule,
        normaliser,
        pipeline.make_examples(annotations, normaliser, run, where),
        _held_out(run, normaliser),
        make_objective(run, network, schedule, normaliser, loss),
        checkpoint.digest(model),
    )


def _supervision(
    run: config.Run, annotations: records.AnnotationSet, model: body.BodyModel, path: str
) -> supervision.Loss:
    """The losses of the keypoint sets that the annotations have, where the run weighs them at all."""

    def function(name: str | None, gamma: float) -> supervision.Joints | None:
        return supervision.keypoint_function(model, path, name) if name and gamma else None

    set_3d, set_2d = annotations.keypoints3d_set, pipeline.label_set(annotations)
    joints3d = function(set_3d, run.train.gamma_3d)
    root = skeleton.root_of(set_3d) if joints3d is not None and set_3d else ()
    joints2d = function(set_2d, run.train.gamma_2d)
    return supervision.make_loss(joints3d, root, run.train.joint_error, joints2d)


def _read(run: config.Run, split: str) -> records.AnnotationSet:
    path = getattr(run.data, split)
    if path != demo.NAME:
        return pipeline.read_set(path, split)
    demo.check(run)
    return demo.poses(split, body.load_body(config.locate(run.data.body)))


def _held_out(run: config.Run, normaliser: pose.Normaliser) -> pipeline.Examples | None:
    if not run.data.val:
        return None
    annotations = _read(run, "val")
    where = f"data.val {run.data.val}"
    return pipeline.make_examples(annotations, normaliser, run, where)


def fixed_loss(
    objective: Objective, params: PyTree, examples: pipeline.Examples, steps: int
) -> Float[Array, ""]:
    """The mean loss with the same t and noise at every call: comparable from step to step."""
    t_key, eps_key = jax.random.split(jax.random.key(0))
    t = jax.random.randint(t_key, examples.x_0.shape[:-1], 0, steps)
    eps = jax.random.normal(eps_key, examples.x_0.shape)
    return jnp.mean(objective(params, examples, t, eps).loss)


def held_out_loss(
    task: Task, prediction: str, params: PyTree, examples: pipeline.Examples, t: int
) -> Float[Array, ""]:
    """Mean squared error of the noise that the network implies at step t, with fixed noise."""
    eps = jax.random.normal(jax.random.key(t), examples.x_0.shape)
    x_t = schedules.add_noise(task.schedule, examples.x_0, t, eps)
    denoise = denoisers.bind(task.network, params, task.schedule, prediction, tables=False)
    context = {"estimate": examples.estimate, "keypoints": examples.keypoints}
    implied = schedules.eps_from_x0(task.schedule, x_t, t, denoise(x_t, t, context))
    return jnp.mean((implied - eps) ** 2)


def make_report(run: config.Run, task: Task) -> Callable[[PyTree, PyTree], dict[str, float]]:
    """(params, average) -> what is logged beside the running losses.

    The loss of a fixed batch with these parameters; that of held-out people with their average.
    """
    steps = len(task.schedule.betas)
    check = pipeline.take(task.examples, slice(0, _CHECK_PEOPLE))
    # Evenly over the held-out set, which is in the order of its sequences.
    held_out = task.held_out
    if held_out is not None:
        stride = -(-len(held_out.x_0) // _HELD_OUT_PEOPLE)
        held_out = pipeline.take(held_out, slice(None, None, stride))
    times = sorted({min(t, steps - 1) for t in HELD_OUT_TIMES})

    @jax.jit
    def numbers(params, average, check, held_out: Any):
        values = {"check": fixed_loss(task.objective, params, check, steps)}
        for t in times if held_out is not None else ():
            loss = held_out_loss(task, run.diffusion.prediction, average, held_out, t)
            values[f"val_eps_t{t}"] = loss
        return values

    def report(params: PyTree, average: PyTree) -> dict[str, float]:
        values = numbers(params, average, check, held_out)
        return {name: float(value) for name, value in values.items()}

    return report
