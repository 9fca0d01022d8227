"""The noise model is least squares with its residuals; its samples have the moments that it states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.methods import conditional_noise as noise
from diffjax.methods import error_statistics as statistics

JOINTS, ROOT = 4, 2
MOVING = np.delete(np.arange(3 * JOINTS).reshape(-1, 3), ROOT, 0).reshape(-1)

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def tied(rng, shape, rho):
    """Standard normal with that autocorrelation along axis -2."""
    z = rng.normal(size=shape)
    for t in range(1, shape[-2]):
        z[..., t, :] = rho * z[..., t - 1, :] + np.sqrt(1 - rho**2) * z[..., t, :]
    return z


def sequences(rng, batch=(6,), time=50, rho=0.0, joints=JOINTS, root=ROOT):
    """(p, y, x_0) whose error is linear in them plus residuals; the root of y and x_0 is 0."""
    x_0 = rng.normal(size=(*batch, time, joints, 3)) * 0.3
    x_0 -= x_0[..., root : root + 1, :]
    error = (
        0.02
        + 0.1 * x_0[..., ::-1, :]
        + 0.03 * tied(rng, (*batch, time, 3 * joints), rho).reshape(x_0.shape)
    )
    error[..., root, :] = 0.0
    return rng.normal(size=(*batch, time, joints, 2)), x_0 + error, x_0


def fitted(data, **options):
    return noise.fit(statistics.add(statistics.none(JOINTS), *data), root=ROOT, **options)


draw = jax.jit(noise.sample, static_argnames="time")


def columns(p, y):
    flat = p.reshape(-1, 2 * JOINTS), y.reshape(-1, 3 * JOINTS)
    return np.concatenate(flat, 1)


def least_squares(p, y, x_0):
    """(prediction, residuals) of ordinary least squares with intercept, of the moving joints."""
    inputs = columns(p, y)[:, np.r_[: 2 * JOINTS, 2 * JOINTS + MOVING]]
    design = np.concatenate([np.ones((len(inputs), 1)), inputs], 1)
    error = (y - x_0).reshape(-1, 3 * JOINTS)[:, MOVING]
    said = design @ np.linalg.lstsq(design, error, rcond=None)[0]
    return said, error - said


def test_the_conditional_mean_is_least_squares_with_intercept(rng):
    data = sequences(rng)
    model = fitted(data, ridge=0.0)
    ours = model.offset + (columns(*data[:2]) - model.center) @ model.gain
    wanted, _ = least_squares(*data)
    np.testing.assert_allclose(ours[:, MOVING], wanted, atol=1e-9)
    assert not np.delete(ours, MOVING, 1).any()
    p, y, _ = (jnp.asarray(a, jnp.float32) for a in data)
    found = jax.jit(noise.mean)(model, p, y).reshape(-1, 3 * JOINTS)
    np.testing.assert_allclose(found, ours, atol=1e-6)


def test_the_covariance_is_that_of_the_residuals(rng):
    data = sequences(rng)
    model = fitted(data, ridge=0.0)
    _, residual = least_squares(*data)
    covariance = (model.factor @ model.factor.T)[np.ix_(MOVING, MOVING)]
    np.testing.assert_allclose(covariance, residual.T @ residual / len(residual), atol=1e-9)
    assert not np.triu(model.factor, 1).any()


def test_the_ridge_hardly_moves_regular_data(rng):
    data = sequences(rng, (40,))
    plain, ridged = fitted(data, ridge=0.0), fitted(data)
    np.testing.assert_allclose(plain.gain, ridged.gain, atol=1e-4)
    np.testing.assert_allclose(plain.factor, ridged.factor, atol=1e-4)


@pytest.mark.parametrize("time", ["iid", "shared", "ar1"])
@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_samples_have_the_mean_the_covariance_and_the_autocorrelation(time, rho, rng):
    data = sequences(rng, rho=0.5)
    model = fitted(data)._replace(rho=np.asarray(rho))
    p, y = (jnp.asarray(a[:1, :1], jnp.float32) for a in data[:2])
    many = [jnp.broadcast_to(a, (20000, 3, *a.shape[-2:])) for a in (p, y)]
    found = np.asarray(draw(jax.random.key(0), model, *many, time=time), np.float64)
    centred = (found - np.asarray(noise.mean(model, p, y))).reshape(20000, 3, -1)
    spread = model.factor @ model.factor.T
    scale = np.abs(spread).max()
    for t in range(3):
        np.testing.assert_allclose(centred[:, t].mean(0), 0.0, atol=5 * np.sqrt(scale / 20000))
        np.testing.assert_allclose(
            centred[:, t].T @ centred[:, t] / 20000, spread, atol=0.05 * scale
        )
    assert not found[..., ROOT, :].any()
    lag = [np.sum(centred[:, 0] * centred[:, t]) / np.sum(centred[:, 0] ** 2) for t in (1, 2)]
    wanted = {"iid": (0.0, 0.0), "shared": (1.0, 1.0), "ar1": (rho, rho**2)}[time]
    np.testing.assert_allclose(lag, wanted, atol=0.02)


@pytest.mark.parametrize("rho", [0.0, 0.8, -0.4])
def test_rho_is_fitted_within_sequences(rho, rng):
    # Many short sequences: a pair across two of them would pull rho to zero.
    model = fitted(sequences(rng, (2000,), time=4, rho=rho))
    np.testing.assert_allclose(model.rho, rho, atol=0.02)


def test_single_frames_have_no_autocorrelation(rng):
    assert fitted(sequences(rng, (200,), time=1)).rho == 0.0


def test_merged_statistics_are_those_of_one_pass(rng):
    data = sequences(rng, (2, 4))
    whole = statistics.add(statistics.none(JOINTS), *data)
    parts = [statistics.add(statistics.none(JOINTS), *(a[i] for a in data)) for i in range(2)]
    for one, other in zip(whole, statistics.merge(*parts)):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    assert statistics.count(whole) == 400


def test_frames_that_are_not_valid_do_not_count(rng):
    data = sequences(rng, (3,), time=10)
    valid = np.ones((3, 10), bool)
    valid[:, 7:] = False
    spoilt = [np.where(valid[..., None, None], a, np.nan) for a in data]
    found = statistics.add(statistics.none(JOINTS), *spoilt, valid=valid)
    wanted = statistics.add(statistics.none(JOINTS), *(a[:, :7] for a in data))
    for one, other in zip(found, wanted):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="wanted finite coordinates"):
        statistics.add(statistics.none(JOINTS), *spoilt)


def test_zero_error_in_means_zero_error_out(rng):
    p, y, _ = sequences(rng)
    model = fitted((p, y, y))
    for time in ("iid", "shared", "ar1"):
        drawn = draw(
            jax.random.key(0), model, *(jnp.asarray(a, jnp.float32) for a in (p, y)), time=time
        )
        np.testing.assert_array_equal(drawn, 0.0)


def test_singular_data_survive_through_the_ridge(rng):
    p, y, x_0 = sequences(rng, (1,), time=5)  # Fewer frames than inputs,
    p[..., 1, :] = p[..., 0, :]  # one keypoint twice,
    y[..., 3, :] = x_0[..., 3, :] = 0.5  # and a joint that never moves.
    model = fitted((p, y, x_0))
    drawn = draw(
        jax.random.key(0), model, *(jnp.asarray(a, jnp.float32) for a in (p, y)), time="ar1"
    )
    assert np.isfinite(drawn).all()
    assert np.abs(drawn).max() < 1.0
    still = fitted((0 * p, 0 * y, 0 * x_0 + y))
    assert all(np.isfinite(field).all() for field in still)


def test_any_number_of_joints_and_any_root(rng):
    for joints, root in ((2, 1), (5, 4), (17, 0)):
        data = sequences(rng, (), joints=joints, root=root, time=300)
        model = noise.fit(statistics.add(statistics.none(joints), *data), root=root)
        assert (
            noise.mean(model, *(jnp.asarray(a, jnp.float32) for a in data[:2])).shape
            == data[1].shape
        )


def test_a_model_is_plain_arrays_and_a_damaged_one_is_refused(rng, tmp_path):
    model = fitted(sequences(rng))
    np.savez(tmp_path / "noise.npz", **model._asdict())
    with np.load(tmp_path / "noise.npz") as stored:
        arrays = dict(stored)
    for one, other in zip(noise.model_from_arrays(arrays), model):
        np.testing.assert_array_equal(one, other)
    for name, value in (("gain", np.zeros((3, 3))), ("rho", np.asarray(np.nan))):
        with pytest.raises(ValueError, match=f"field {name}: wanted"):
            noise.model_from_arrays({**arrays, name: value})
    with pytest.raises(ValueError, match="found no such field"):
        noise.model_from_arrays({k: v for k, v in arrays.items() if k != "factor"})


def test_wrong_joints_no_frames_and_unknown_times_are_refused(rng):
    p, y, x_0 = sequences(rng)
    with pytest.raises(ValueError, match="statistics of 5 joints"):
        statistics.add(statistics.none(5), p, y, x_0)
    with pytest.raises(ValueError, match="two joints"):
        noise.fit(statistics.add(statistics.none(1), *(a[..., :1, :] for a in (p, y, x_0))))
    with pytest.raises(ValueError, match="two frames"):
        noise.fit(statistics.none(JOINTS))
    with pytest.raises((ValueError, TypeError), match="time"):
        noise.sample(jax.random.key(0), fitted((p, y, x_0)), *map(jnp.asarray, (p, y)), "pink")
