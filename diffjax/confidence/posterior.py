"""How far a fit may be from the truth by its own model: the Laplace approximation of the mode `fast`.

The frontend's errors are Gaussian, delta = factor z with z ~ N(0, I) (`methods.map_fit`), and evidence adds the energy
E / w. Gauss-Newton at a pose: covariance of (z, place) = (J^T J / w + diag(I, 0))^-1, J that of the residuals whose
sum of squares is 2 E. Where a person stands is free, and is integrated out.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffjax import body, camera, energies
from diffjax.methods import map_fit
from diffjax.pose import Evidence, Pose

_SURE = 1e6
"""1 / m^2 of nothing known: what a place far away weighs, so that the matrix can be inverted without evidence."""


class Spread(NamedTuple):
    """What a Gauss-Newton posterior says of a pose."""

    joints_mm: Float[Array, "*batch"]
    """Mean over the joints of the standard deviation of their place, after the best similarity."""
    prior_mm: Float[Array, "*batch"]
    """The same of the frontend's errors alone: how hard the pose is to estimate."""
    residual: Float[Array, "*batch"]
    """Sum of squares that the evidence leaves, 2 E / w: as many as residuals, if w is right."""


def spread(
    people: Pose,
    evidence: Evidence,
    keypoints: body.KeypointModel,
    space: body.KeypointModel,
    judged: body.KeypointModel,
    error_model: map_fit.ErrorModel,
    *,
    weight: Float[Array, ""] | float,
    width: Float[Array, ""] | float,
) -> Spread:
    """The posterior spread of the `judged` joints of people, as `*batch` numbers."""

    def one(person, seen):
        return _spread(person, seen, keypoints, space, judged, error_model, weight, width)

    for _ in range(people.betas.ndim - 1):
        one = jax.vmap(one)
    return one(people, evidence)


def _spread(person, evidence, keypoints, space, judged, error_model, weight, width) -> Spread:
    factor = jnp.asarray(error_model.factor)
    points = body.pose_keypoints(keypoints, person.rotations, person.betas)
    place = energies.place(points, evidence, width)

    def posed(model, z):
        moved = map_fit.move(person, factor @ z)
        return body.pose_keypoints(model, moved.rotations, moved.betas)

    def residuals(both):
        z, where = both
        image = _image(posed(keypoints, z), place + where, evidence, width)
        return jnp.concatenate([image, _space(posed(space, z), evidence)]) / jnp.sqrt(weight)

    zero = jnp.zeros(map_fit.RESIDUAL_SIZE), jnp.zeros(3)
    by_pose, by_place = jax.jacfwd(residuals)(zero)
    jacobian = jnp.concatenate([by_pose, by_place], -1)
    known = jnp.concatenate([jnp.ones(map_fit.RESIDUAL_SIZE), jnp.full(3, 1.0 / _SURE)])
    information = jacobian.T @ jacobian + jnp.diag(known)
    moves = _aligned(posed(judged, zero[0]), jax.jacfwd(lambda z: posed(judged, z))(zero[0]))
    lengthened = jnp.concatenate([moves, jnp.zeros((len(moves), 3))], -1)
    variance = jnp.sum(lengthened * _solve(information, lengthened.T).T, -1)
    return Spread(_mm(variance), _mm(jnp.sum(moves**2, -1)), jnp.sum(residuals(zero) ** 2))


def _mm(variance):
    """Mean over joints of the root of the sum of their three variances (m^2)."""
    summed = jnp.maximum(jnp.sum(variance.reshape(-1, 3), -1), 0.0)
    return 1000.0 * jnp.mean(jnp.sqrt(summed + 1e-12))


def _image(points, place, evidence: Evidence, width):
    """Residuals of the 2D keypoints; half their sum of squares is `energies.reprojection_at` near the pose."""
    trust = energies.inlier_weight(points, place, evidence, width)
    pixels = camera.project(evidence.camera, points + place[None])
    seen = evidence.keypoints2d[..., 2:] > 0
    off = jnp.where(seen, pixels - evidence.keypoints2d[..., :2], 0.0) / energies.box_side(evidence)
    scale = jnp.sqrt(2.0 * energies.SCALE * evidence.keypoints2d[..., 2] * trust)
    return (scale[:, None] * off).reshape(-1)


def _space(points, evidence: Evidence):
    """Residuals of the 3D joints about their weighted mean."""
    weight = evidence.keypoints3d[..., 3]
    off = jnp.where(weight[:, None] > 0, points - evidence.keypoints3d[..., :3], 0.0)
    shift = jnp.sum(weight[:, None] * off, 0) / jnp.maximum(jnp.sum(weight), 1e-6)
    return (jnp.sqrt(2.0 * energies.SCALE * weight)[:, None] * (off - shift)).reshape(-1)


def _aligned(points: Float[Array, "J 3"], moves: Float[Array, "J 3 d"]) -> Float[Array, "all d"]:
    """Moves of joints less what a similarity takes out: shifts, turns and the scale."""
    arm = points - jnp.mean(points, 0)
    count = len(points)
    shifts = jnp.tile(jnp.eye(3), (count, 1))
    turns = jnp.stack([jnp.cross(axis, arm).reshape(-1) for axis in jnp.eye(3)], -1)
    basis = jnp.concatenate([shifts, turns, arm.reshape(-1, 1)], -1)
    flat = moves.reshape(3 * count, -1)
    ridge = 1e-6 * jnp.eye(7)  # Of a body whose joints are one point, nobody knows the turns.
    return flat - basis @ _solve(basis.T @ basis + ridge, basis.T @ flat)


def _solve(a: Float[Array, "n n"], b: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """a^-1 b of a positive definite matrix, by Gauss and Jordan without pivots.

    Not jnp.linalg.solve: with it (LAPACK) programs stood still for ever on a busy CPU, twice; why is not known.
    """

    def eliminate(k, both):
        row = both[k] / both[k, k]
        return (both - jnp.outer(both[:, k], row)).at[k].set(row)

    both = jax.lax.fori_loop(0, len(a), eliminate, jnp.concatenate([a, b], -1))
    return both[:, len(a) :]
