"""Whole inputs in milliseconds: a body of 24 vertices, seven people with every field, two untrained models."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body, camera, checkpoint, config, denoisers, pose, rotations, skeleton
from diffjax.data import records
from diffjax.methods import diffannot
from diffjax.pose import Evidence, Pose

REGRESSORS = {
    name: np.eye(24)[np.arange(len(skeleton.KEYPOINT_SETS[name])) + first]
    for name, first in (("coco17", 7), ("h36m17", 1))
}
"""Every keypoint is a joint."""


def bones() -> body.BodyModel:
    """A body whose 24 vertices are its joints."""
    random = np.random.default_rng(1)
    template, shapes = random.normal(0, 0.4, (24, 3)), 0.02 * random.normal(size=(24, 3, 10))
    return body.body_from_arrays(template, shapes, None, np.eye(24), np.eye(24))


def write_body(path):
    """The same body as a file."""
    model = bones()
    np.savez(
        path,
        v_template=model.template,
        shapedirs=model.shape_dirs,
        J_regressor=model.joint_regressor,
        weights=model.skin_weights,
        kintree_table=np.array([(0, *skeleton.SMPL_PARENTS[1:]), range(24)]),
        f=np.array([[0, 1, 2], [2, 3, 4]]),
        **{f"regressor_{name}": matrix for name, matrix in REGRESSORS.items()},
    )
    return str(path)


def keypoint_models() -> diffannot.Keypoints:
    """The body as coco17 and h36m14 see it."""
    rows = list(skeleton.keypoint_map("h36m17", "h36m14"))
    matrices = REGRESSORS["coco17"], REGRESSORS["h36m17"][rows]
    return diffannot.Keypoints(*(body.fold_keypoints(bones(), matrix) for matrix in matrices))


def person(batch, random, scale=0.4) -> Pose:
    v = jnp.asarray(random.normal(size=(*batch, 24, 3)) * scale, jnp.float32)
    betas = jnp.asarray(random.normal(size=(*batch, 10)), jnp.float32)
    return Pose(rotations.matrix_from_axis_angle(v), betas)


PLACE = np.asarray([0.2, -0.1, 6.0], np.float32)
pose_keypoints = jax.jit(body.pose_keypoints)


def observe(keypoints: diffannot.Keypoints, truth: Pose, of_2d=1.0, of_3d=1.0) -> Evidence:
    """Exact evidence of a pose at PLACE, with these confidences."""
    flat, solid = (pose_keypoints(m, truth.rotations, truth.betas) for m in keypoints)
    two = jnp.ones((*truth.betas.shape[:-1], 2))
    view = camera.Camera(1500 * two, 500 * two, 1000 * two)
    pixels = camera.project(view, flat + PLACE)
    first = jnp.concatenate([pixels, of_2d * jnp.ones_like(pixels[..., :1])], -1)
    second = jnp.concatenate([solid + PLACE, of_3d * jnp.ones_like(solid[..., :1])], -1)
    return Evidence(first, second, view)


def annotations(count=7, seed=0, off=0.2) -> records.AnnotationSet:
    """People with estimates `off` radians from the truth, exact keypoints, in sequences of two."""
    random = np.random.default_rng(seed)
    truth = person((count,), random)
    turn = rotations.matrix_from_axis_angle(
        jnp.asarray(random.normal(size=(count, 24, 3)) * off, jnp.float32)
    )
    evidence = observe(keypoint_models(), truth)
    made = {
        "pred_pose": truth.rotations @ turn,
        "pred_betas": 0.5 * truth.betas,
        "pred_cam_t": np.tile(PLACE + 0.1, (count, 1)),
        "pose": truth.rotations,
        "betas": truth.betas,
        "cam_t": np.tile(PLACE, (count, 1)),
        "keypoints2d": evidence.keypoints2d + jnp.asarray([2.0, 0.0, 0.0]),
        "labels2d": evidence.keypoints2d,
        "keypoints3d": evidence.keypoints3d,
    } | evidence.camera._asdict()
    return records.AnnotationSet(
        **{name: np.asarray(array, np.float32) for name, array in made.items()},
        keypoints2d_set="coco17",
        labels2d_set="coco17",
        keypoints3d_set="h36m14",
        gender=np.full(count, "neutral"),
        sequence=np.array([f"walk_{i // 2}" for i in range(count)]),
        frame=np.arange(count),
    )


def without(known: records.AnnotationSet, *fields: str) -> records.AnnotationSet:
    """The set without these fields and the names of their keypoint sets."""
    sets = [f"{field}_set" for field in fields if hasattr(known, f"{field}_set")]
    return dataclasses.replace(known, **dict.fromkeys((*fields, *sets)))


def write_model(path, layout="sixd154", seed=0) -> str:
    """An untrained network over vectors standardised about the rest pose, as a file."""
    kind = "paper" if layout == "rotmat226" else "residual"
    run = config.Run(model=config.Model(kind=kind, width=8, depth=1, vector=layout))
    network = denoisers.make_network(run.model, run.diffusion)
    size = pose.VECTOR_SIZE[layout]
    params = denoisers.init_params(jax.random.key(seed), network, jnp.zeros((1, size)))
    digest = checkpoint.digest(bones())
    checkpoint.export(path, checkpoint.make_model(run, params, normaliser(layout), digest))
    return str(path)


def normaliser(layout) -> pose.Normaliser:
    """The rest pose is 0; a standard deviation is 0.3 in rotations, 1 in betas."""
    matrix = np.eye(3) if layout == "rotmat226" else np.eye(3)[:2]
    rest = np.concatenate([np.tile(matrix.ravel(), 24), np.zeros(10)])
    std = np.repeat([0.3, 1.0], [len(rest) - 10, 10])
    return pose.Normaliser(rest.astype(np.float32), std.astype(np.float32))
