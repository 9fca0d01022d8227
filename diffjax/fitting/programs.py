"""ScoreHMR over a block of rows as compiled programs: one for each static setting, all numbers traced."""

import functools
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from diffjax import config, pose
from diffjax.methods import plain, scorehmr, scorehmr_leave, scorehmr_loop
from diffjax.pose import Pose

Method = Literal["loop", "adam", "lbfgs"]
"""ScoreHMR's loop; or the same evidence without a prior (`methods.plain`): `rounds` are gradients then."""


class Rows(NamedTuple):
    """What is fitted: rows of the set, or, where cameras are calibrated, people seen by several of them."""

    estimate: Pose
    translation: Any
    observed: scorehmr.Observed
    context: Any


def weights_of(s: config.Fit) -> scorehmr.Weights:
    """What evidence weighs, as numbers that may change without compiling again."""
    fields = (name for name in scorehmr.Weights._fields)
    return scorehmr.Weights(*(np.float32(getattr(s, name)) for name in fields))


def numbers_of(s: config.Fit) -> dict[str, Any]:
    """The traced settings of the loop, and the margin of the gate."""
    return {
        "rounds": np.int32(s.rounds),
        "scale": np.float32(s.strength),
        "rate": np.float32(s.rate),
        "tolerance": np.float32(s.tolerance),
        "clip": np.float32(s.clip or np.inf),
        "margin": np.float32(-np.inf if s.margin is None else s.margin),
    }


def static_of(s: config.Fit) -> tuple[Any, ...]:
    return (
        s.start, s.stride, s.stop, s.through_network, s.pixels, s.standing, s.joint_limits > 0,
    )  # fmt: skip


@functools.cache
def loop(layout, *static):
    """The loop over a block: one function for each static setting, so that it is compiled once."""

    def work(rows, *shared):
        task, safe, good = _task(layout, static, rows, *shared)
        return _conclude(task, scorehmr_loop.run(task, *safe[:2]), good, safe, rows, shared)

    return work


@functools.cache
def leaving(layout, *static) -> scorehmr_leave.Programs:
    """The same in three parts, between which people may leave."""

    def begin(rows, *shared):
        task, safe, _ = _task(layout, static, rows, *shared)
        return scorehmr_leave.begin(task, *safe[:2])

    def one_round(given, index, *shared):
        task, _, _ = _task(layout, static, given[0], *shared)
        return scorehmr_leave.one_round(task, given[1], index)

    def finish(given, index, *shared):
        rows, carried = given
        task, safe, good = _task(layout, static, rows, *shared)
        found = scorehmr_loop.finish(scorehmr_leave.state_of(carried, task, index))
        return _conclude(task, found, good, safe, rows, shared)

    return scorehmr_leave.Programs(begin, one_round, finish)


def _task(layout, static, rows, keypoints, prior, weights, numbers):
    """What is fitted, the people made safe, and who can be used."""
    start, stride, stop, through_network, pixels, standing, limits = static
    safe, good = scorehmr.prepare(rows.estimate, rows.translation, rows.observed)
    traced = {name: value for name, value in numbers.items() if name != "margin"}
    task = scorehmr.task_of(
        keypoints,
        prior,
        safe,
        rows.context,
        layout=layout,
        weights=weights if limits else weights._replace(joint_limits=0.0),
        loop=scorehmr.Loop(start=start, stride=stride, **traced),
        stop=stop,
        through_network=through_network,
        pixels=pixels,
        standing=standing,
    )
    return task, safe, good


def _conclude(task, found, good, safe, rows, shared):
    margin = shared[-1]["margin"]
    return scorehmr.conclude(task, found, good, safe, rows.estimate, rows.translation, margin)


@functools.cache
def unguided(layout, method, iterations, pixels):
    """A fit to the same evidence without a prior, of a block."""

    def work(rows, keypoints, prior, weights, numbers):
        given = rows.estimate, rows.translation, rows.observed
        safe, good = scorehmr.prepare(*given)
        task = scorehmr.task_of(
            keypoints, prior, safe, None, layout=layout, weights=weights, pixels=pixels,
            standing="solved",
        )  # fmt: skip

        def energy(people, observed):
            return task.of_people(people, safe[1]).keypoints

        descend = {"adam": plain.fit_adam, "lbfgs": plain.fit_lbfgs}[method]
        found = descend(
            safe[0], safe[2], energy, prior.normaliser, layout=layout, iterations=iterations
        )
        vector = pose.vector_from_pose(found, layout)
        return scorehmr.conclude(
            task,
            scorehmr.Fitted(
                pose.standardise(prior.normaliser, vector),
                task.of_people(found, safe[1]).translation,
                jnp.zeros(len(vector), bool),
                jnp.zeros((0, len(vector))),
            ),
            good,
            safe,
            rows.estimate,
            rows.translation,
            numbers["margin"],
        )

    return work
