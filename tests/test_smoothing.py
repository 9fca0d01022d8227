"""Smoothing: polynomials pass unchanged, tracks do not leak, and what belongs to nobody stays."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import rotations, smoothing
from diffjax.pose import Pose

IDS = np.array([0] * 12 + [-1] * 3 + [1] * 4 + [2] * 3 + [3] * 20)


def moving(degree, seed=0):
    """Each track its own polynomial of time."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(len(IDS), 5))
    for rows in smoothing.runs(IDS):
        time = np.arange(rows.stop - rows.start)[:, None]
        x[rows] = sum(random.normal(size=5) * time**k for k in range(degree + 1))
    return x


def noisy(seed=0):
    return np.random.default_rng(seed).normal(size=(len(IDS), 5))


@pytest.mark.parametrize("window", [3, 5, 7, 15, 99])
def test_a_quadratic_motion_passes_unchanged(window):
    x = moving(2)
    np.testing.assert_allclose(smoothing.savitzky_golay(x, IDS, window), x, atol=1e-9)


@pytest.mark.parametrize("window", [0, 1])
def test_a_window_of_one_frame_is_the_identity(window):
    x = noisy()
    np.testing.assert_array_equal(smoothing.savitzky_golay(x, IDS, window), x)


@pytest.mark.parametrize(
    ("fps", "wanted"), [(30.0, 15), (60.0, 29), (15.0, 7), (10.0, 5), (5.0, 3)]
)
def test_a_window_lasts_as_long_at_every_rate(fps, wanted):
    assert smoothing.window_at(fps, 15) == wanted
    assert abs(wanted / fps - 15 / 30) <= 1 / fps or wanted == 3
    assert [smoothing.window_at(fps, none) for none in (0, 1)] == [0, 1]


def test_noise_becomes_less_and_nobodys_rows_and_short_tracks_stay():
    x = noisy()
    smooth = smoothing.savitzky_golay(x, IDS, 7)
    assert smooth[IDS == 3].std() < 0.8 * x[IDS == 3].std()
    for stays in (-1, 2):
        np.testing.assert_array_equal(smooth[stays == IDS], x[stays == IDS])


def test_a_short_track_gets_the_longest_odd_window_that_fits():
    x, ids = np.random.default_rng(0).normal(size=(6, 2)), np.zeros(6, int)
    found = smoothing.savitzky_golay(x, ids, 99)
    np.testing.assert_array_equal(found, smoothing.savitzky_golay(x, ids, 5))
    assert np.abs(found - x).max() > 0.01


@pytest.mark.parametrize("method", ["savitzky_golay", "one_euro"])
def test_tracks_do_not_leak(method):
    """Other rows may be anything, also NaN."""
    setting = (9,) if method == "savitzky_golay" else (30.0, 1.0, 0.1)
    x, other = noisy(), noisy(1)
    other[5] = np.nan
    mine = IDS == 3
    other[mine] = x[mine]
    apply = getattr(smoothing, method)
    np.testing.assert_allclose(
        apply(x, IDS, *setting)[mine], apply(other, IDS, *setting)[mine], atol=1e-6
    )


@pytest.mark.parametrize("method", ["savitzky_golay", "one_euro"])
def test_a_row_of_nan_ends_a_track_and_spoils_no_other(method):
    setting = (5,) if method == "savitzky_golay" else (30.0, 1.0, 0.1)
    x = noisy()
    x[30] = np.nan
    found = getattr(smoothing, method)(x, IDS, *setting)
    assert np.isfinite(np.delete(found, 30, 0)).all()
    assert np.isnan(found[30]).all()


@pytest.mark.parametrize(("window", "order"), [(4, 2), (2, 2), (-3, 2), (3, 3)])
def test_an_impossible_window_is_refused(window, order):
    with pytest.raises(ValueError, match="smoothing window: wanted"):
        smoothing.savitzky_golay(noisy(), IDS, window, order)


def test_no_rows_are_no_rows():
    empty = np.zeros((0, 3), np.float32)
    for found in (
        smoothing.savitzky_golay(empty, np.zeros(0, int), 5),
        smoothing.one_euro(empty, np.zeros(0, int), 30.0),
    ):
        assert found.shape == (0, 3)


def people(seed=0, scale=0.05):
    random = np.random.default_rng(seed)
    v = random.normal(size=(1, 24, 3)) + scale * random.normal(size=(len(IDS), 24, 3))
    betas = random.normal(size=(len(IDS), 10))
    matrices = rotations.matrix_from_axis_angle(jnp.asarray(v, jnp.float32))
    return Pose(matrices, jnp.asarray(betas, jnp.float32))


def test_smoothed_poses_are_rotations_and_betas_their_tracks_mean():
    before = people()
    after = smoothing.smooth_poses(before, IDS, 7)
    gram = jnp.swapaxes(after.rotations, -1, -2) @ after.rotations
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(3), gram.shape), atol=1e-5)
    for track in (0, 1, 2, 3):
        mine = np.asarray(before.betas)[track == IDS]
        np.testing.assert_allclose(
            after.betas[track == IDS], np.tile(mine.mean(0), (len(mine), 1)), atol=1e-6
        )


def test_smoothed_poses_shake_less_and_nobody_is_touched():
    before = people()
    after = smoothing.smooth_poses(before, IDS, 9)

    def shake(p):
        steps = rotations.geodesic_angle(p.rotations[23:], p.rotations[22:-1])
        return float(steps.mean())

    assert shake(after) < 0.5 * shake(before)
    for stays in (-1, 2):
        np.testing.assert_array_equal(after.rotations[stays == IDS], before.rotations[stays == IDS])
    np.testing.assert_array_equal(after.betas[IDS == -1], before.betas[IDS == -1])


def test_a_still_person_stays_and_no_window_is_no_change():
    still = people(scale=0.0)
    after = smoothing.smooth_poses(still, IDS, 9)
    np.testing.assert_allclose(after.rotations, still.rotations, atol=1e-6)
    before = people()
    same = smoothing.smooth_poses(before, IDS, 0)
    np.testing.assert_array_equal(same.rotations, before.rotations)
    np.testing.assert_array_equal(same.betas, before.betas)


def test_one_euro_keeps_constants_and_is_the_average_of_its_paper():
    constant = moving(0)
    np.testing.assert_allclose(smoothing.one_euro(constant, IDS, 30.0), constant, atol=1e-6)
    x, fps, cutoff, beta = noisy(), 30.0, 1.5, 0.2

    def weight(hertz):
        """Casiez et al.'s alpha: 1 / (1 + tau / T_e)."""
        return 1.0 / (1.0 + fps / (2 * np.pi * hertz))

    wanted = x.copy()
    for rows in smoothing.runs(IDS):
        value, speed = x[rows.start], np.zeros(5)
        for n in range(rows.start, rows.stop):
            raw = (x[n] - value) * fps
            speed = weight(1.0) * raw + (1 - weight(1.0)) * speed
            a = weight(cutoff + beta * np.abs(speed))
            value = a * x[n] + (1 - a) * value
            wanted[n] = value
    found = smoothing.one_euro(x, IDS, fps, cutoff, beta)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_array_equal(found[IDS == -1], x[IDS == -1])


def test_one_euro_lags_less_with_a_larger_beta():
    ramp, ids = 4.0 * np.arange(60.0)[:, None] / 30.0, np.zeros(60, int)
    lag = [
        float(np.abs(smoothing.one_euro(ramp, ids, 30.0, 0.5, beta) - ramp)[-1, 0])
        for beta in (0.0, 0.5)
    ]
    assert lag[1] < 0.5 * lag[0]


def test_one_euro_does_not_see_the_future():
    x = noisy()
    later = x.copy()
    later[30:] += 5.0
    a, b = (smoothing.one_euro(v, IDS, 30.0, 1.0, 0.1) for v in (x, later))
    np.testing.assert_allclose(a[:30], b[:30], atol=1e-6)
