"""D3PRefiner on people: the joints of their tracks refined in time, then a body that has these joints."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from diffjax import ablation, annotate
from diffjax.comparison import evidence, plain
from diffjax.comparison.method import Kit, Outcome, Task
from diffjax.data import people_sequences, records, sequence_sets
from diffjax.methods import d3prefiner
from diffjax.sequences import refining

PULLS = (1.0, 0.1, 3.0)
"""Of the body to the estimate, against the refined joints."""


class Joints(NamedTuple):
    """The joints of people, as a refiner would have them."""

    points: Float[np.ndarray, "people J 4"]
    """Metres, camera axes, the pelvis at 0; of confidence 0 in tracks that are too short."""
    seconds: float


def refine(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
    """Refined joints, and the body that has them: the inverse kinematics of 3D joints, with these for evidence."""
    a, kind, model = given.annotations, task.kind, kit.refiner
    assert model is not None
    assert kind is not None
    found = refined_joints(model, kit, a, kind)
    solid = dataclasses.replace(a, keypoints3d=found.points, keypoints3d_set=model.joint_set)
    asked = task._replace(kind="joints3d")
    (body,) = evidence.inverse_kinematics(given._replace(annotations=solid), kit, asked, seed)
    return [body._replace(name="d3prefiner", sees=kind, seconds=found.seconds + body.seconds)]


def refined_joints(
    model: d3prefiner.Model, kit: Kit, a: records.AnnotationSet, kind: annotate.Kind
) -> Joints:
    """What a refiner of sequences says of the joints of a set's tracks, in the order of its rows."""
    tracked = sequences_of(kit, a, kind, model.joint_set)
    better, seconds = plain.timed(lambda: _better(model, tracked.videos))
    sizes = np.array(sequence_sets.lengths(tracked.videos))
    known = np.repeat(sizes >= shortest(model), sizes)[:, None, None]
    confidence = np.broadcast_to(known, (*better.shape[:2], 1))
    points = np.concatenate([better, confidence.astype(np.float32)], -1)
    return Joints(points[np.argsort(tracked.rows)], seconds)


def sequences_of(
    kit: Kit, a: records.AnnotationSet, kind: annotate.Kind, joint_set: str
) -> people_sequences.Tracked:
    """The tracks of a set as a sequence set of these joints."""
    field = annotate.FIELD_OF[kind]
    names = getattr(a, f"{field}_set")
    looks = people_sequences.looks_of(kit.run.data.body, kit.guided.model, joint_set, names)
    return people_sequences.of_people(a, looks, joint_set, field)


def _better(model: d3prefiner.Model, videos: sequence_sets.SequenceSet) -> np.ndarray:
    found = refining.refine_set(model, videos, "tracks").estimate3d
    assert found is not None
    return found


def shortest(model: d3prefiner.Model) -> int:
    """Frames of the shortest track that is refined: half a window, or it is mostly made up."""
    return max(model.run.sequence.window // 2, 2)
