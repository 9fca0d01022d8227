"""Invariances of the errors, then SVD Procrustes as the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import transform

from diffjax import metrics


def pair(rng, batch=(7,)):
    true = rng.normal(size=(*batch, 14, 3)) * 0.4
    return (true + rng.normal(size=true.shape) * 0.08).astype(np.float32), true.astype(np.float32)


def svd_procrustes(pred, true, w):
    mp, mt = (w[:, None] * pred).sum(0) / w.sum(), (w[:, None] * true).sum(0) / w.sum()
    p, t = pred - mp, true - mt
    u, s, vt = np.linalg.svd(t.T @ (w[:, None] * p))
    d = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (s * np.diag(d)).sum() / (w[:, None] * p * p).sum()
    return scale * p @ (u @ d @ vt).T + mt


@pytest.mark.parametrize("mirrored", [False, True])
def test_procrustes_equals_the_svd_solution(mirrored, rng):
    pred, true = pair(rng)
    if mirrored:
        pred = pred * np.float32([-1, 1, 1])
    weight = rng.random((7, 14)).astype(np.float32)
    ours = metrics.procrustes(jnp.asarray(pred), jnp.asarray(true), jnp.asarray(weight))
    for i in range(7):
        oracle = svd_procrustes(*(x[i].astype(np.float64) for x in (pred, true, weight)))
        np.testing.assert_allclose(ours[i], oracle, atol=2e-4 if mirrored else 1e-5)


@pytest.mark.parametrize("axis", [0, 2])
def test_procrustes_of_planar_points_equals_the_svd_solution(axis, rng):
    pred, true = pair(rng)
    pred[..., axis], true[..., 1] = 0.0, 0.0
    weight = rng.random((7, 14)).astype(np.float32)
    ours = metrics.procrustes(jnp.asarray(pred), jnp.asarray(true), jnp.asarray(weight))
    for i in range(7):
        oracle = svd_procrustes(*(x[i].astype(np.float64) for x in (pred, true, weight)))
        np.testing.assert_allclose(ours[i], oracle, atol=1e-5)


def test_pa_mpjpe_ignores_a_similarity_and_mpjpe_sees_it(rng):
    pred, true = pair(rng)
    turn = transform.Rotation.from_rotvec([0.3, -1.0, 0.5]).as_matrix().astype(np.float32)
    moved = 1.3 * pred @ turn.T + np.float32([0.1, 0.2, 3.0])
    before = metrics.pa_mpjpe_mm(jnp.asarray(pred), jnp.asarray(true))
    np.testing.assert_allclose(
        metrics.pa_mpjpe_mm(jnp.asarray(moved), jnp.asarray(true)), before, rtol=1e-3
    )
    assert float(metrics.mpjpe_mm(jnp.asarray(moved), jnp.asarray(true)).min()) > 1000


def test_pa_mpjpe_is_no_larger_than_the_rms_it_minimises(rng):
    pred, true = pair(rng)
    pa = metrics.pa_mpjpe_mm(jnp.asarray(pred), jnp.asarray(true))
    rms = 1000 * np.sqrt(((pred - true) ** 2).sum(-1).mean(-1))
    assert (np.asarray(pa) <= rms + 1e-3).all()


@pytest.mark.parametrize("error", [metrics.mpjpe_mm, metrics.pa_mpjpe_mm])
def test_weight_zero_removes_a_joint(error, rng):
    pred, true = pair(rng)
    broken = pred.copy()
    broken[:, :4] += 100.0
    weight = np.ones((7, 14), np.float32)
    weight[:, :4] = 0.0
    np.testing.assert_allclose(
        error(jnp.asarray(broken), jnp.asarray(true), jnp.asarray(weight)),
        error(jnp.asarray(pred[:, 4:]), jnp.asarray(true[:, 4:])),
        rtol=1e-4,
    )


@pytest.mark.parametrize("error", [metrics.mpjpe_mm, metrics.pa_mpjpe_mm])
def test_the_gradient_is_finite_at_a_perfect_match_and_for_a_collapsed_person(error, rng):
    _, true = pair(rng)
    for pred in (true, np.zeros_like(true)):
        gradient = jax.grad(lambda p: error(p, jnp.asarray(true)).sum())(jnp.asarray(pred))
        assert np.isfinite(gradient).all()


def test_a_distance_of_rounding_is_rounding(rng):
    true = jnp.asarray(rng.normal(size=(64, 14, 3)), jnp.float32)
    tiny = jnp.asarray(rng.uniform(-2e-10, 2e-10, size=true.shape), jnp.float32)
    near = jax.jit(metrics.mpjpe_mm)(tiny, jnp.zeros_like(tiny))
    aligned = jax.jit(metrics.pa_mpjpe_mm)(true, true)
    assert float(jnp.max(near)) < 1e-6
    assert float(jnp.max(aligned)) < 1e-2


def test_units_are_millimetres_and_degrees(rng):
    _, true = pair(rng)
    shifted = true + np.float32([0.003, 0.004, 0.0])
    np.testing.assert_allclose(
        metrics.mpjpe_mm(jnp.asarray(shifted), jnp.asarray(true)), 5.0, rtol=1e-3
    )
    turn = transform.Rotation.from_rotvec([0, 0.1, 0]).as_matrix().astype(np.float32)
    eye = jnp.broadcast_to(jnp.eye(3), (2, 24, 3, 3))
    np.testing.assert_allclose(
        metrics.rotation_error_deg(eye @ turn, eye, (1, 5, 9)), np.rad2deg(0.1), rtol=1e-4
    )
    assert np.isnan(metrics.rotation_error_deg(eye, eye, ())).all()


def test_constant_velocity_has_no_acceleration_error(rng):
    _, true = pair(rng, (2, 10))
    drift = true + np.arange(10, dtype=np.float32)[None, :, None, None] * 0.01
    ours = metrics.acceleration_error(jnp.asarray(drift), jnp.asarray(true), 30.0)
    np.testing.assert_allclose(ours, 0.0, atol=2e-3)


def test_pck_counts_and_auc_averages(rng):
    _, true = pair(rng)
    far = true.copy()
    far[:, :7] += 1.0
    np.testing.assert_allclose(metrics.pck(jnp.asarray(far), jnp.asarray(true)), 0.5)
    np.testing.assert_allclose(
        metrics.auc(jnp.asarray(true), jnp.asarray(true)), 30 / 31, rtol=1e-5
    )


def test_n_mpjpe_ignores_the_scale_alone(rng):
    pred, true = (jnp.asarray(a) for a in pair(rng))
    before = metrics.n_mpjpe_mm(pred, true)
    np.testing.assert_allclose(metrics.n_mpjpe_mm(0.3 * pred, true), before, rtol=1e-4)
    assert float((before - metrics.mpjpe_mm(pred, true)).max()) > -1e3
    np.testing.assert_allclose(metrics.n_mpjpe_mm(1.7 * true, true), 0.0, atol=1e-3)


def test_n_mpjpe_by_hand():
    pred = jnp.asarray([[[0.1, 0.0, 0.0], [0.0, 0.1, 0.0]]])
    true = jnp.asarray([[[0.2, 0.0, 0.0], [0.0, 0.4, 0.0]]])
    # Scale (0.02 + 0.04) / (0.01 + 0.01) = 3: 0.3 for 0.2, 0.3 for 0.4.
    np.testing.assert_allclose(metrics.n_mpjpe_mm(pred, true), 100.0, rtol=1e-5)
    first = jnp.asarray([[1.0, 0.0]])
    np.testing.assert_allclose(metrics.n_mpjpe_mm(pred, true, first), 0.0, atol=1e-4)
    np.testing.assert_allclose(metrics.n_mpjpe_mm(0 * pred, true), 300.0, rtol=1e-5)


def test_velocity_and_acceleration_errors_by_hand_and_within_sequences():
    ids = jnp.asarray([0, 0, 0, 1, 1, -1])
    true = jnp.zeros((6, 2, 3))
    # One joint goes 0, 3, 9 mm along x, then a new sequence 50, 46; the other stays.
    pred = true.at[:, 0, 0].set(jnp.asarray([0.0, 3.0, 9.0, 50.0, 46.0, 7.0]) / 1000)
    velocity = metrics.velocity_error_mm(pred, true, ids)
    np.testing.assert_allclose(velocity, [1.5, 3.0, 0.0, 2.0, 0.0], atol=1e-4)
    acceleration = metrics.acceleration_error_mm(pred, true, ids)
    np.testing.assert_allclose(acceleration, [1.5, 0.0, 0.0, 0.0], atol=1e-4)
    drift = pred + 0.1 * jnp.ones((6, 1, 3))
    np.testing.assert_allclose(metrics.velocity_error_mm(drift, pred, ids), 0.0, atol=1e-3)
    assert metrics.velocity_error_mm(pred[:1], true[:1], ids[:1]).shape == (0,)
    assert metrics.acceleration_error_mm(pred[:2], true[:2], ids[:2]).shape == (0,)
