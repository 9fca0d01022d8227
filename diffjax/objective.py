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
    motion_sets,
    pose,
    skeleton,
    supervision,
)
from diffjax import schedule as schedules
from diffjax.data import pipeline, records
from diffjax.methods import recall

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
    features: pose.Normaliser | None = None
    """Standardises image features, where the run is conditioned on them."""
    mixture: pipeline.Mixture | None = None
    """How several training sets are drawn from; None for one order of all people."""


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
        output = _call(network, params, schedule, x_t, t, context_of(run, examples))
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


def context_of(run: config.Run, examples: pipeline.Examples) -> Any:
    """What the run's network is shown of people."""
    known = {"estimate": examples.estimate, "keypoints": examples.keypoints}
    return denoisers.context_of(run.model, known | {"features": examples.features})


def _call(network, params, schedule, x_t, t, context) -> Any:
    """The raw output of the network at row t of the schedule."""
    network_time, variables = jnp.asarray(schedule.network_time), {"params": params}
    if t.size < len(network_time) * jax.device_count():
        return network.apply(variables, x_t, network_time[t], context)
    # Fewer steps than samples: what depends on t alone is cheaper for every step than for every sample.
    table: Any = network.apply(variables, network_time, method="time_features")
    return network.apply(variables, x_t, table[t], context, method="from_features")


def _evidence(examples: pipeline.Examples) -> pose.Evidence:
    intrinsics = camera.Camera(examples.focal_px, examples.center_px, examples.image_size_px)
    return pose.Evidence(examples.labels2d, examples.joints3d, intrinsics)


def training_vectors(run: config.Run) -> np.ndarray:
    """(N, d) vectors of the training people, not standardised."""
    sets = [_read(run, name, "train") for name in run.data.train_sets]
    annotations = pipeline.join_sets(sets, run.data.train_sets, run)
    return pipeline.target_vectors(annotations, run, f"data.train {run.data.train}")


def known_poses(run: config.Run, kept: int = recall.KEPT) -> Float[np.ndarray, "poses 24 3 3"]:
    """Some of the true poses of `parts.poses`, by default of the training people, no two alike.

    ValueError, with what to do, where they are not at hand.
    """
    source = run.parts.poses or run.data.train
    try:
        found = [_poses_of(run, name.strip()) for name in source.split(",")]
    except (ValueError, OSError) as error:
        raise ValueError(
            f"known poses, of {source}: {error}; or name others by --parts.poses (a set with its truth, motion:DIR)"
        ) from error
    rotations = np.concatenate([poses[recall.some(len(poses), 16 * kept)] for poses in found])
    alike = rotations[:, 1:].round(3).reshape(len(rotations), -1)
    own = np.sort(
        np.unique(alike, axis=0, return_index=True)[1]
    )  # A pose is often seen by several cameras.
    return rotations[own[recall.some(len(own), kept)]]


def _poses_of(run: config.Run, name: str) -> np.ndarray:
    a = _of_name(run, name, "train")
    if a.pose is None:
        raise ValueError(f"{name}: field pose: wanted true poses, found none")
    known = np.isfinite(a.pose).all((-1, -2, -3))
    return np.asarray(a.pose[known], np.float32)


def make_task(run: config.Run) -> Task:
    """Reads data and body, checks that they have what the run needs, and fits the normalisers."""
    _check_choices(run)
    sets = [_read(run, name, "train") for name in run.data.train_sets]
    counts, mixture = tuple(records.count(part) for part in sets), None
    annotations = pipeline.join_sets(sets, run.data.train_sets, run)
    if weights := run.data.train_weights:
        mixture = pipeline.Mixture(counts, weights)
    where = f"data.train {run.data.train}"
    known = pipeline.find_statistics(annotations, run, where)
    vectors = pipeline.target_vectors(annotations, run, where)
    normaliser = pipeline.fit_normaliser(vectors, run, known)
    examples = pipeline.make_examples(annotations, normaliser, run, where, known.features)
    held_out = _held_out(run, normaliser, known.features)
    _check_keypoints(run, examples, held_out)
    network = denoisers.make_network(
        run.model, run.diffusion, examples.features.shape[-1], examples.keypoints.shape[-2]
    )
    process = run.diffusion
    schedule = schedules.make_schedule(process.schedule, process.steps, process.respacing)
    path = str(config.locate(run.data.body))
    model = body.load_body(path)
    loss = _supervision(run, annotations, model, path)
    return Task(
        network,
        schedule,
        normaliser,
        examples,
        held_out,
        make_objective(run, network, schedule, normaliser, loss),
        checkpoint.digest(model),
        known.features,
        mixture,
    )


def _check_choices(run: config.Run) -> None:
    """ValueError where two fields of the run do not go together."""
    if run.diffusion.betas == "min_max" and run.model.vector == "sixd144":
        raise ValueError(
            "diffusion.betas: wanted 'same' for model.vector 'sixd144', which carries no betas, got "
            "'min_max'; pass --model.vector sixd154"
        )
    if run.train.keep == "best" and not run.data.val:
        raise ValueError(
            "train.keep: wanted 'last' without held-out people, got 'best'; pass --data.val FILE"
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


def _read(run: config.Run, name: str, split: str) -> records.AnnotationSet:
    """A set to train or to judge by: what the run asks of it has to be there."""
    if name == demo.NAME or name.startswith(motion_sets.PREFIX):
        motion_sets.check(run, name)
    return _of_name(run, name, split)


def _of_name(run: config.Run, name: str, split: str) -> records.AnnotationSet:
    moving = name.startswith(motion_sets.PREFIX)
    if name != demo.NAME and not moving:
        return pipeline.read_set(name, split)
    model = body.load_body(config.locate(run.data.body))
    if moving:
        return motion_sets.read(name, run.data.motion_every, split, model)
    return demo.poses(split, model)


def _held_out(
    run: config.Run, normaliser: pose.Normaliser, features: pose.Normaliser | None
) -> pipeline.Examples | None:
    if not run.data.val:
        return None
    annotations = _read(run, run.data.val, "val")
    where = f"data.val {run.data.val}"
    return pipeline.make_examples(annotations, normaliser, run, where, features)


def _check_keypoints(
    run: config.Run, examples: pipeline.Examples, held_out: pipeline.Examples | None
) -> None:
    """ValueError where the network would see another number of keypoints held out than in training."""
    if held_out is None or "keypoints" not in run.model.condition:
        return
    wanted, found = (part.keypoints.shape[-2] for part in (examples, held_out))
    if wanted != found:
        raise ValueError(
            f"data.val {run.data.val}: field keypoints2d: wanted {wanted} keypoints as in data.train "
            f"{run.data.train}, found {found}; give held-out people of the same keypoint set"
        )


def fixed_loss(
    objective: Objective, params: PyTree, examples: pipeline.Examples, steps: int
) -> Float[Array, ""]:
    """The mean loss with the same t and noise at every call: comparable from step to step."""
    t_key, eps_key = jax.random.split(jax.random.key(0))
    t = jax.random.randint(t_key, examples.x_0.shape[:-1], 0, steps)
    eps = jax.random.normal(eps_key, examples.x_0.shape)
    return jnp.mean(objective(params, examples, t, eps).loss)


def held_out_loss(
    task: Task, run: config.Run, params: PyTree, examples: pipeline.Examples, t: int
) -> Float[Array, ""]:
    """Mean squared error of the noise that the network implies at step t, with fixed noise."""
    eps = jax.random.normal(jax.random.key(t), examples.x_0.shape)
    x_t = schedules.add_noise(task.schedule, examples.x_0, t, eps)
    prediction = run.diffusion.prediction
    denoise = denoisers.bind(task.network, params, task.schedule, prediction, tables=False)
    x_0 = denoise(x_t, t, context_of(run, examples))
    implied = schedules.eps_from_x0(task.schedule, x_t, t, x_0)
    return jnp.mean((implied - eps) ** 2)


def held_out_times(steps: int) -> list[int]:
    """HELD_OUT_TIMES of a process of so many steps; the last one chooses what is kept."""
    return sorted({min(t, steps - 1) for t in HELD_OUT_TIMES})


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
    times = held_out_times(steps)

    @jax.jit
    def numbers(params, average, check, held_out: Any):
        values = {"check": fixed_loss(task.objective, params, check, steps)}
        for t in times if held_out is not None else ():
            values[f"val_eps_t{t}"] = held_out_loss(task, run, average, held_out, t)
        return values

    def report(params: PyTree, average: PyTree) -> dict[str, float]:
        values = numbers(params, average, check, held_out)
        return {name: float(value) for name, value in values.items()}

    return report
