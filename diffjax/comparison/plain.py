"""Methods without evidence: nothing at all, a filter in time, and the mean error of validation people."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import ablation, annotate, fitting, rotations, smoothing
from diffjax.comparison.method import Kit, Outcome, Task, known
from diffjax.data import records
from diffjax.methods import map_fit
from diffjax.pose import Pose, Refined

WINDOWS = (15, 9, 21)
"""Of Savitzky-Golay, frames at 30 Hz."""
CUTOFFS = ((2.0, 1.0), (1.0, 1.0), (4.0, 1.0))
"""One-Euro's (cutoff, beta), Hz."""
RIDGES = (1e6, 1e5, 1e4, 1e3, 1e2, 1e1)
"""Of the linear method, against standardised estimates."""
Value = TypeVar("Value")


def timed(function: Callable[[], Value]) -> tuple[Value, float]:
    """What a function gives, and the seconds of its second call: the first one compiles."""
    jax.block_until_ready(function())
    began = time.perf_counter()
    return jax.block_until_ready(function()), time.perf_counter() - began


def outcome(
    name: str, given: ablation.People, pose: Pose, seconds: float, sees: str = "-"
) -> Outcome:
    """People of whom nothing else is known; they stay where they were."""
    a = given.annotations
    place = np.zeros((records.count(a), 3)) if a.pred_cam_t is None else a.pred_cam_t
    return Outcome(name, sees, Refined(pose, place, {}), seconds)


def identity(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
    """The estimates."""
    return [outcome("estimate", given, annotate.estimate_of(given.annotations), float("nan"))]


def smooth(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
    """Savitzky-Golay along tracks."""
    window = task.settings
    return _in_time("smooth", given, lambda pose, ids: smoothing.smooth_poses(pose, ids, window))


def windows(kit: Kit) -> list[int]:
    """`WINDOWS` at the rate of the tracks."""
    return list(dict.fromkeys(smoothing.window_at(kit.fps, window) for window in WINDOWS))


def one_euro(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
    """One Euro along tracks: 6D rotations and betas."""
    cutoff, beta = task.settings

    def filtered(pose: Pose, ids: np.ndarray) -> Pose:
        sixd = np.asarray(rotations.sixd_columns_from_matrix(jnp.asarray(pose.rotations)))
        flat = np.concatenate([sixd.reshape(len(sixd), -1), np.asarray(pose.betas)], -1)
        found = smoothing.one_euro(flat, ids, kit.fps, cutoff, beta)
        turned = jnp.asarray(found[:, :-10].reshape(sixd.shape))
        return Pose(rotations.matrix_from_6d_columns(turned), jnp.asarray(found[:, -10:]))

    return _in_time("one-euro", given, filtered)


def _in_time(
    name: str, given: ablation.People, work: Callable[[Pose, np.ndarray], Pose]
) -> list[Outcome]:
    """A filter over tracks, wherever their rows lie; tracks of one frame stay as they are."""
    a = given.annotations
    groups = fitting.groups_of(a, "video")
    order = np.concatenate(groups)
    ids = np.repeat(np.arange(len(groups)), [len(rows) for rows in groups])
    estimate = annotate.estimate_of(a)
    sorted_ = jax.tree.map(lambda x: np.asarray(x)[order], estimate)
    found, seconds = timed(lambda: work(sorted_, ids))
    back = np.argsort(order)
    alone = np.array([len(rows) == 1 for rows in groups])[ids][back]

    def choose(before: Any, after: Any) -> np.ndarray:
        kept = alone.reshape(-1, *[1] * (np.ndim(before) - 1))
        return np.where(kept, before, np.asarray(after)[back])

    return [outcome(name, given, jax.tree.map(choose, estimate, found), seconds)]


def mean_shift(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
    """Every joint turned, and betas moved, by the mean error of validation people."""
    _, errors = _errors(task)
    mean = errors.mean(0)
    return _moved("mean-shift", given, lambda x: np.broadcast_to(mean, (len(x), len(mean))))


def linear(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
    """The error that a linear function of the estimate expects: least squares on validation people."""
    x, errors = _errors(task)
    assert task.val is not None
    mean, std = x.mean(0), np.maximum(x.std(0), 1e-3)
    who = known(task.val.people)
    a = task.val.people.annotations
    names = np.arange(len(who)) if a.sequence is None else a.sequence
    weights = _ridge((x - mean) / std, errors, names[who])
    return _moved("linear", given, lambda y: errors.mean(0) + ((y - mean) / std) @ weights)


def _ridge(x: np.ndarray, y: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Weights of y - mean(y), with the ridge that does best on sequences left out."""
    _, fold = np.unique(names, return_inverse=True)
    fold = fold % 5

    def solve(rows: np.ndarray, ridge: float) -> np.ndarray:
        some, target = x[rows], y[rows] - y.mean(0)
        return np.linalg.solve(some.T @ some + ridge * np.eye(x.shape[1]), some.T @ target)

    def loss(ridge: float) -> float:
        parts = [fold == i for i in np.unique(fold)]
        if len(parts) < 2:
            return -ridge
        left = [y[out] - y.mean(0) - x[out] @ solve(~out, ridge) for out in parts]
        return float(np.mean(np.concatenate(left) ** 2))

    return solve(np.full(len(x), True), min(RIDGES, key=loss))


@jax.jit
def _numbers(pose: Pose):
    v = rotations.axis_angle_from_matrix(pose.rotations)
    return jnp.concatenate([v.reshape(len(v), 72), pose.betas], -1)


_residual, _move = jax.jit(map_fit.residual), jax.jit(map_fit.move)


def _errors(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """(n, 82) numbers of the validation estimates, and what takes them to the truth."""
    assert task.val is not None
    given = task.val.people
    truth, rows = given.truth.pose, known(given)
    assert truth is not None
    pair = annotate.estimate_of(given.annotations), truth
    pred, true = (jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[rows]), p) for p in pair)
    return tuple(np.asarray(x, np.float64) for x in (_numbers(pred), _residual(pred, true)))  # pyright: ignore[reportReturnType]


def _moved(
    name: str, given: ablation.People, delta: Callable[[np.ndarray], np.ndarray]
) -> list[Outcome]:
    estimate = jax.tree.map(jnp.asarray, annotate.estimate_of(given.annotations))

    def work() -> Pose:
        numbers = np.asarray(_numbers(estimate), np.float64)
        return _move(estimate, jnp.asarray(delta(numbers), jnp.float32))

    return [outcome(name, given, *timed(work), sees="validation")]
