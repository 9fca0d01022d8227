"""The guided loop of ScoreHMR (Stathopoulos, Han, Metaxas 2024): a vector and a translation, moved by evidence.

Rounds of DDIM inversion to a low noise and guided DDIM back, with the camera's translation optimised beside by
Adam. Keypoints, consistency of views and smoothness in time add up. Defaults are those of the authors' code.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from diffjax import camera, energies, guidance, pose, sampling, segments
from diffjax.methods import diffannot

VIEW_SCALE = 300.0
"""What a coordinate of a view's pose is multiplied by before it is squared."""
ROBUST_PX = 100.0
"""Residuals of a coordinate beyond this many pixels stop pulling."""
IMAGE_PX = 1000.0
"""Pixel errors count as in an image whose longer side has so many pixels."""

Points = Callable[[pose.Pose], Float[Array, "rows K 3"]]
"""The keypoints of a body, metres, model origin as rotated: `body.pose_keypoints` of a folded regressor."""
Stop = Literal["never", "freeze", "leave"]
"""What happens to samples that have converged: nothing; they keep what they were (the authors' code); the same,
and the loop ends once all have."""


class Weights(NamedTuple):
    """What each kind of evidence weighs; may be traced. The last three are not in the paper: zero."""

    keypoints: Float[Array, ""] | float = 0.003
    views: Float[Array, ""] | float = 0.005
    velocity: Float[Array, ""] | float = 30.0
    acceleration: Float[Array, ""] | float = 0.0
    camera_velocity: Float[Array, ""] | float = 0.0
    camera_acceleration: Float[Array, ""] | float = 0.0


class Observed(NamedTuple):
    """What is known of the rows: people in frames. Absent evidence has confidence 0 or the segment -1."""

    keypoints2d: Float[Array, "rows K 3"]
    """x, y in pixels of the full image; confidence, which is squared."""
    camera: camera.Camera
    track: Int[Array, " rows"]
    """Rows of one person in a video, one after the other; below the number of rows."""
    views: Int[Array, " rows"]
    """Rows of one person at one instant; below the number of rows."""


class Loop(NamedTuple):
    """How often and how far; only `scale`, `rate` and `tolerance` may be traced."""

    rounds: int = 10
    start: int = 50
    stride: int = 2
    scale: Float[Array, ""] | float = 1.0
    """Of the gradient."""
    rate: Float[Array, ""] | float = 1e-2
    """Adam's, of the translation."""
    tolerance: Float[Array, ""] | float = 1e-5
    """A sample has converged when its keypoint loss changes by less, as a share."""


_WEIGHTS, _LOOP = Weights(), Loop()


class Fitted(NamedTuple):
    """The vector at the last step, and where the person stands."""

    x: Float[Array, "rows d"]
    translation: Float[Array, "rows 3"]
    """Metres, camera frame."""
    converged: Bool[Array, " rows"]
    keypoint_loss: Float[Array, "steps rows"]
    """Unweighted, at every guided step; the last known one once the loop has ended."""


class _State(NamedTuple):
    x: Float[Array, "rows d"]
    translation: Float[Array, "rows 3"]
    first_moment: Float[Array, "rows 3"]
    second_moment: Float[Array, "rows 3"]
    steps: Int[Array, ""]
    last_loss: Float[Array, " rows"]
    x_0: Float[Array, "rows d"]
    kept: "_Kept"
    losses: Float[Array, "steps rows"]


class _Kept(NamedTuple):
    """What converged samples were when they did."""

    done: Bool[Array, " rows"]
    x_0: Float[Array, "rows d"]
    translation: Float[Array, "rows 3"]


def keypoint_loss(
    keypoints: Float[Array, "rows K 3"], translation: Float[Array, "rows 3"], observed: Observed
) -> Float[Array, " rows"]:
    """Squared pixel errors, robust a coordinate, times squared confidence, in an image of 1000 px (Eq. 12)."""
    pixels = camera.project(observed.camera, keypoints + translation[:, None])
    seen = observed.keypoints2d[..., 2:] > 0
    squared = jnp.where(seen, pixels - observed.keypoints2d[..., :2], 0.0) ** 2
    robust = energies.geman_mcclure(squared, ROBUST_PX)
    side = IMAGE_PX / jnp.max(observed.camera.image_size_px, -1)
    return side**2 * jnp.sum(observed.keypoints2d[..., 2:] ** 2 * robust, (-1, -2))


def shared_loss(
    vector: Float[Array, "rows d"],
    translation: Float[Array, "rows 3"],
    observed: Observed,
    weights: Weights,
) -> Float[Array, ""]:
    """What binds rows together: views of one body, and frames that follow each other."""
    body_pose = vector[:, 6 : pose.VECTOR_SIZE["sixd144"]]  # Views share all but the orientation.
    terms = (
        (weights.views * VIEW_SCALE**2, segments.deviations(body_pose, observed.views)),
        (weights.velocity, segments.velocities(vector, observed.track)),
        (weights.acceleration, segments.accelerations(vector, observed.track)),
        (weights.camera_velocity, segments.velocities(translation, observed.track)),
        (weights.camera_acceleration, segments.accelerations(translation, observed.track)),
    )
    return sum((weight * jnp.sum(term**2) for weight, term in terms), jnp.zeros((), vector.dtype))


def fit(
    prior: diffannot.Prior,
    points: Points,
    estimate: pose.Pose,
    translation: Float[Array, "rows 3"],
    observed: Observed,
    context: Any = None,
    *,
    layout: pose.Layout = "sixd144",
    weights: Weights = _WEIGHTS,
    loop: Loop = _LOOP,
    stop: Stop = "never",
    through_network: bool = False,
) -> Fitted:
    """Rounds of DDIM inversion of the estimate to time `start` and guided sampling back (Alg. 1 of the paper).

    With frozen eps (the authors' code; `through_network` differentiates the denoiser too) a guided step is a
    gradient step on the denoised pose, x_0' = x_0 - scale (1 - alpha_bar) / alpha_bar dL/dx_0. The translation
    takes one step of Adam a guided step, on the unweighted loss, after the pose's gradient was taken at the old one.
    Layout sixd154 refines betas too; their standardisation is the normaliser's.
    """
    times = jnp.asarray(guidance.levels(loop.start, loop.stride), jnp.int32)
    count = len(times) - 1
    step = _guided_step(
        _Task(prior, points, estimate.betas, observed, context, layout),
        weights,
        loop,
        stop,
        through_network,
    )

    def one_round(state: _State, index: Array) -> _State:
        noisy = sampling.ddim_invert(prior.denoiser, prior.schedule, state.x, context, times)
        pairs = times[1:][::-1], times[:-1][::-1], index * count + jnp.arange(count)
        return jax.lax.scan(step, state._replace(x=noisy), pairs)[0]

    def unfinished(carry: tuple[Array, _State]) -> Array:
        index, state = carry
        left = index < loop.rounds
        return left & ~jnp.all(state.kept.done) if stop == "leave" else left

    x = pose.standardise(prior.normaliser, pose.vector_from_pose(estimate, layout))
    _, end = jax.lax.while_loop(
        unfinished,
        lambda carry: (carry[0] + 1, one_round(carry[1], carry[0])),
        (0, _begin(x, translation, loop.rounds * count)),
    )
    done = end.kept.done[:, None]
    return Fitted(
        jnp.where(done, end.kept.x_0, end.x_0),
        jnp.where(done, end.kept.translation, end.translation),
        end.kept.done,
        jnp.where(jnp.isnan(end.losses), end.last_loss, end.losses),
    )


class _Task(NamedTuple):
    """What is fitted to what."""

    prior: diffannot.Prior
    points: Points
    betas: Float[Array, "rows 10"]
    observed: Observed
    context: Any
    layout: pose.Layout

    def losses(self, x_0, translation, weights):
        """What binds rows together, and the keypoints' loss of each."""
        vector = pose.unstandardise(self.prior.normaliser, x_0)
        placed = self.points(pose.pose_from_vector(vector, self.layout, self.betas))
        shared = shared_loss(vector, translation, self.observed, weights)
        return shared, keypoint_loss(placed, translation, self.observed)


def _begin(x: Array, translation: Array, steps: int) -> _State:
    nothing, rows = jnp.zeros_like(translation), len(x)
    return _State(
        x=x,
        translation=translation,
        first_moment=nothing,
        second_moment=nothing,
        steps=jnp.zeros((), jnp.int32),
        last_loss=jnp.full(rows, jnp.nan, x.dtype),
        x_0=x,
        kept=_Kept(jnp.zeros(rows, bool), jnp.zeros_like(x), nothing),
        losses=jnp.full((steps, rows), jnp.nan, x.dtype),
    )


def _guided_step(task: _Task, weights: Weights, loop: Loop, stop: Stop, through_network: bool):
    """(state at t, (t, t_next, place in the history)) -> state at t_next."""

    def total(x_0, translation, live):
        shared, loss = task.losses(x_0, translation, weights)
        return weights.keypoints * jnp.sum(jnp.where(live, loss, 0.0)) + shared, loss

    def step(state: _State, now: tuple[Array, Array, Array]):
        t, t_next, place = now
        schedule = task.prior.schedule
        x_0, pull = _denoised(task.prior.denoiser, state.x, t, task.context, through_network)
        converged = jnp.zeros(len(x_0), bool)
        if stop != "never":
            loss = task.losses(x_0, state.translation, weights)[1]
            converged = _converged(loss, state.last_loss, loop.tolerance)
        gradients, loss = jax.grad(total, argnums=(0, 1), has_aux=True)(
            x_0, state.translation, ~converged
        )
        signal, noise = (
            jnp.asarray(table, x_0.dtype)[t] for table in (schedule.signal, schedule.noise)
        )
        guided = x_0 - loop.scale * noise**2 / signal * pull(gradients[0], signal)
        moved = _move_camera(state, gradients[1], weights, loop.rate)
        fresh = (converged & ~state.kept.done)[:, None]
        kept = _Kept(
            state.kept.done | converged,
            jnp.where(fresh, guided, state.kept.x_0),
            jnp.where(fresh, moved.translation, state.kept.translation),
        )
        x = sampling.ddim_step(schedule, state.x, guided, t, t_next)
        losses = moved.losses.at[place].set(loss)
        return moved._replace(x=x, x_0=guided, last_loss=loss, kept=kept, losses=losses), None

    return step


def _denoised(denoiser, x, t, context, through_network):
    """x_0, and what makes dL/dx_t of (dL/dx_0, signal)."""
    if not through_network:
        return denoiser(x, t, context), lambda gradient, signal: gradient / signal
    x_0, back = jax.vjp(lambda x: denoiser(x, t, context), x)
    return x_0, lambda gradient, _: back(gradient)[0]


def _converged(loss: Array, last: Array, tolerance) -> Array:
    """Never at the first step, where `last` is NaN."""
    return jnp.abs(last - loss) / jnp.maximum(jnp.maximum(last, loss), 1.0) < tolerance


def _move_camera(state: _State, gradient: Array, weights: Weights, rate) -> _State:
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
