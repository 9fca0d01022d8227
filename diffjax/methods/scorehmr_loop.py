"""The guided loop of ScoreHMR (Stathopoulos, Han, Metaxas 2024): a vector and a translation, moved by evidence.

Rounds of DDIM inversion to a low noise and guided DDIM back, with the camera's translation optimised beside by
Adam, or solved. What guides is in `scorehmr_evidence`. Defaults are those of the authors' code.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from diffjax import guidance, pose, sampling
from diffjax.methods import diffannot
from diffjax.methods import scorehmr_evidence as evidence
from diffjax.methods.scorehmr_evidence import Observed, Pixels, Place, Points, Terms, Weights

Stop = Literal["never", "freeze", "leave"]
"""What happens to samples that have converged: nothing; they keep what they were (the authors' code); the same,
and the loop ends once all have."""


class Loop(NamedTuple):
    """How often and how far; `start` and `stride` are static, the rest may be traced."""

    rounds: Int[Array, ""] | int = 10
    start: int = 50
    stride: int = 2
    scale: Float[Array, ""] | float = 1.0
    """Of the gradient."""
    rate: Float[Array, ""] | float = 1e-2
    """Adam's, of the translation."""
    tolerance: Float[Array, ""] | float = 1e-5
    """A sample has converged when its keypoint loss changes by less, as a share."""
    clip: Float[Array, ""] | float = jnp.inf
    """Of the gradient's coordinates, before it is scaled."""


_WEIGHTS, _LOOP = Weights(), Loop()


class Fitted(NamedTuple):
    """The vector at the last step, and where the person stands."""

    x: Float[Array, "rows d"]
    translation: Float[Array, "rows *views 3"]
    """Metres, camera frame."""
    converged: Bool[Array, " rows"]
    keypoint_loss: Float[Array, "steps rows"]
    """Unweighted, at every guided step; the last known one once the loop has ended. Only of as many steps as
    rounds that are a number, none where they are traced."""


class State(NamedTuple):
    """What a round begins with, and ends with."""

    x: Float[Array, "rows d"]
    translation: Float[Array, "rows *views 3"]
    first_moment: Float[Array, "rows *views 3"]
    second_moment: Float[Array, "rows *views 3"]
    steps: Int[Array, ""]
    last_loss: Float[Array, " rows"]
    x_0: Float[Array, "rows d"]
    kept: "Kept"
    losses: Float[Array, "steps rows"]


class Kept(NamedTuple):
    """What converged samples were when they did."""

    done: Bool[Array, " rows"]
    x_0: Float[Array, "rows d"]
    translation: Float[Array, "rows *views 3"]


class Task(NamedTuple):
    """What is fitted to what, and how; not an argument of compiled code."""

    prior: diffannot.Prior
    points: Points
    betas: Float[Array, "rows 10"]
    observed: Observed
    context: Any = None
    layout: pose.Layout = "sixd144"
    weights: Weights = _WEIGHTS
    loop: Loop = _LOOP
    stop: Stop = "never"
    through_network: bool = False
    """Differentiate the denoiser too; the authors hold eps fixed."""
    pixels: Pixels = "image"
    standing: Place = "adam"

    def terms(self, x_0: Array, translation: Array) -> Terms:
        """The evidence against what a standardised vector says."""
        vector = pose.unstandardise(self.prior.normaliser, x_0)
        people = pose.pose_from_vector(vector, self.layout, self.betas)
        return self._weigh(people, vector, translation)

    def of_people(self, people: pose.Pose, translation: Array) -> Terms:
        """The same of people."""
        return self._weigh(people, pose.vector_from_pose(people, self.layout), translation)

    def _weigh(self, people: pose.Pose, vector: Array, translation: Array) -> Terms:
        how = {"pixels": self.pixels, "standing": self.standing}
        return evidence.weigh(
            people, vector, translation, self.points, self.observed, self.weights, **how
        )


def fit(
    prior: diffannot.Prior,
    points: Points,
    estimate: pose.Pose,
    translation: Float[Array, "rows *views 3"],
    observed: Observed,
    context: Any = None,
    **how: Any,
) -> Fitted:
    """Rounds of DDIM inversion of the estimate to time `start` and guided sampling back (Alg. 1 of the paper).

    With frozen eps (the authors' code; `through_network` differentiates the denoiser too) a guided step is a
    gradient step on the denoised pose, x_0' = x_0 - scale (1 - alpha_bar) / alpha_bar dL/dx_0. The translation
    takes one step of Adam a guided step, on the unweighted loss, after the pose's gradient was taken at the old one;
    or it is solved at every step. Layout sixd154 refines betas too; their standardisation is the normaliser's.
    `how` are the fields of `Task` from `layout` on.
    """
    task = Task(prior, points, estimate.betas, observed, context, **how)
    return run(task, estimate, translation)


def run(task: Task, estimate: pose.Pose, translation: Float[Array, "rows *views 3"]) -> Fitted:
    """All rounds of a task, or as many as it takes until all have converged."""
    state = begin(task, estimate, translation)

    def unfinished(carry: tuple[Array, State]) -> Array:
        index, state = carry
        left = index < task.loop.rounds
        return left & ~jnp.all(state.kept.done) if task.stop == "leave" else left

    def one_round(carry: tuple[Array, State]) -> tuple[Array, State]:
        return carry[0] + 1, run_round(task, carry[1], carry[0])

    _, end = jax.lax.while_loop(unfinished, one_round, (0, state))
    return finish(end)


def begin(task: Task, estimate: pose.Pose, translation: Array) -> State:
    """The state before the first round."""
    x = pose.vector_from_pose(estimate, task.layout)
    x = pose.standardise(task.prior.normaliser, x)
    count = len(guidance.levels(task.loop.start, task.loop.stride)) - 1
    steps = task.loop.rounds * count if isinstance(task.loop.rounds, int) else 0
    nothing, rows = jnp.zeros_like(translation), len(x)
    return State(
        x=x,
        translation=translation,
        first_moment=nothing,
        second_moment=nothing,
        steps=jnp.zeros((), jnp.int32),
        last_loss=jnp.full(rows, jnp.nan, x.dtype),
        x_0=x,
        kept=Kept(jnp.zeros(rows, bool), jnp.zeros_like(x), nothing),
        losses=jnp.full((steps, rows), jnp.nan, x.dtype),
    )


def run_round(task: Task, state: State, index: Array | int) -> State:
    """One inversion to `start`, and guided sampling back."""
    times = jnp.asarray(guidance.levels(task.loop.start, task.loop.stride), jnp.int32)
    count, prior = len(times) - 1, task.prior
    noisy = sampling.ddim_invert(prior.denoiser, prior.schedule, state.x, task.context, times)
    pairs = times[1:][::-1], times[:-1][::-1], index * count + jnp.arange(count)
    return jax.lax.scan(_guided_step(task), state._replace(x=noisy), pairs)[0]


def finish(end: State) -> Fitted:
    """What a state says; of who has converged, what they were then."""
    done = end.kept.done
    where = done.reshape(-1, *[1] * (end.translation.ndim - 1))
    return Fitted(
        jnp.where(done[:, None], end.kept.x_0, end.x_0),
        jnp.where(where, end.kept.translation, end.translation),
        done,
        jnp.where(jnp.isnan(end.losses), end.last_loss, end.losses),
    )


def _guided_step(task: Task):
    """(state at t, (t, t_next, place in the history)) -> state at t_next."""
    schedule, loop = task.prior.schedule, task.loop

    def step(state: State, now: tuple[Array, Array, Array]):
        t, t_next, place = now
        x_0, pull = _denoised(task, state.x, t)
        terms, back = jax.vjp(task.terms, x_0, state.translation)
        converged = jnp.zeros(len(x_0), bool)
        if task.stop != "never":
            converged = _converged(terms.keypoints, state.last_loss, loop.tolerance)
        # The gradient of what is shared, and of the weighted losses of those who have not converged.
        weight = jnp.asarray(task.weights.keypoints, x_0.dtype)
        live = jnp.where(converged, jnp.zeros_like(weight), weight)
        gradients = back(Terms(jnp.ones_like(terms.shared), live, 0 * terms.translation))
        signal, noise = (
            jnp.asarray(table, x_0.dtype)[t] for table in (schedule.signal, schedule.noise)
        )
        gradient = jnp.clip(pull(gradients[0], signal), -loop.clip, loop.clip)
        guided = x_0 - loop.scale * noise**2 / signal * gradient
        if task.standing == "adam":
            moved = _move_camera(state, gradients[1], task.weights, loop.rate)
        else:
            moved = state._replace(translation=terms.translation)
        moved = moved._replace(
            x=sampling.ddim_step(schedule, state.x, guided, t, t_next),
            x_0=guided,
            last_loss=terms.keypoints,
            kept=_keep(state.kept, converged, guided, moved.translation),
            losses=_noted(state.losses, place, terms.keypoints),
        )
        return moved, None

    return step


def _noted(losses: Array, place: Array, now: Array) -> Array:
    return losses.at[place].set(now) if len(losses) else losses


def _keep(kept: Kept, converged: Array, x_0: Array, translation: Array) -> Kept:
    fresh = converged & ~kept.done
    where = fresh.reshape(-1, *[1] * (translation.ndim - 1))
    return Kept(
        kept.done | converged,
        jnp.where(fresh[:, None], x_0, kept.x_0),
        jnp.where(where, translation, kept.translation),
    )


def _denoised(task: Task, x: Array, t: Array):
    """x_0, and what makes dL/dx_t of (dL/dx_0, signal)."""
    if not task.through_network:
        denoised = task.prior.denoiser(x, t, task.context)
        return denoised, lambda gradient, signal: gradient / signal
    x_0, back = jax.vjp(lambda x: task.prior.denoiser(x, t, task.context), x)
    return x_0, lambda gradient, _: back(gradient)[0]


def _converged(loss: Array, last: Array, tolerance: Array | float) -> Array:
    """Never at the first step, where `last` is NaN."""
    return jnp.abs(last - loss) / jnp.maximum(jnp.maximum(last, loss), 1.0) < tolerance


def _move_camera(state: State, gradient: Array, weights: Weights, rate: Array | float) -> State:
    """A step of Adam (Kingma & Ba 2015) on the translation; of the unweighted loss where it has a weight."""
    weight = jnp.asarray(weights.keypoints, gradient.dtype)
    gradient = gradient / jnp.where(weight > 0, weight, 1.0)
    steps = state.steps + 1
    power = steps.astype(gradient.dtype)
    first = 0.9 * state.first_moment + 0.1 * gradient
    second = 0.999 * state.second_moment + 0.001 * gradient**2
    step = first / (1.0 - 0.9**power) / (jnp.sqrt(second / (1.0 - 0.999**power)) + 1e-8)
    return state._replace(
        translation=state.translation - rate * step,
        first_moment=first,
        second_moment=second,
        steps=steps,
    )
