"""Baselines: of one signature, and each undoes the error it is for."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import skeleton, smoothing
from diffjax.methods import baselines, bones, conditional_noise, error_statistics

LENGTHS = (60, 1, 139)
IDS = np.repeat(np.arange(3), LENGTHS)


def people(rng):
    x = rng.normal(size=(len(IDS), 17, 3)).astype(np.float32) * 0.3
    p = rng.normal(size=(len(IDS), 17, 2)).astype(np.float32)
    return p, x - x[..., :1, :]


def statistics(p, y, x):
    return error_statistics.add(error_statistics.none(17), p, y, x)


def test_a_constant_error_is_removed(rng):
    p, x = people(rng)
    off = (rng.normal(size=(17, 3)) * 0.05).astype(np.float32)
    off[0] = 0.0
    mean = baselines.mean_error(statistics(p, x + off, x))
    np.testing.assert_allclose(mean, off, atol=1e-7)
    np.testing.assert_allclose(baselines.bias_removal(mean)(x + off, p, IDS), x, atol=1e-6)


def test_an_error_linear_in_what_is_known_is_removed_on_new_data(rng):
    p, x = people(rng)
    mix = rng.normal(size=(34, 51)).astype(np.float32) * 0.01
    mix[:, :3] = 0.0
    y = (
        x
        + np.float32(0.02) * (np.arange(17) > 0)[:, None]
        + (p.reshape(-1, 34) @ mix).reshape(x.shape)
    )
    train, test = slice(150), slice(150, None)
    model = conditional_noise.fit(statistics(p[train], y[train], x[train]))
    found = baselines.linear_gaussian(model)(y[test], p[test], IDS[test])
    np.testing.assert_allclose(found, x[test], atol=1e-4)


@pytest.mark.parametrize(
    "baseline", [baselines.savitzky_golay(9), baselines.one_euro(50.0, 1.0, 0.0)]
)
def test_a_filter_removes_white_noise_and_sees_one_video_at_a_time(baseline, rng):
    still = np.repeat(people(rng)[1][:3], LENGTHS, 0)
    noisy = still + 0.05 * rng.normal(size=still.shape).astype(np.float32)
    found = baseline(noisy, np.zeros((*still.shape[:2], 2), np.float32), IDS)
    assert np.abs(found - still).mean() < 0.7 * np.abs(noisy - still).mean()
    np.testing.assert_array_equal(found[60], noisy[60])
    alone = baseline(noisy[61:], still[61:, :, :2], IDS[61:])
    np.testing.assert_allclose(found[61:], alone, atol=1e-6)


def test_steady_bones_have_the_median_length_of_their_video(rng):
    parents = skeleton.keypoint_parents("h36m17")
    p, y = people(rng)
    found = baselines.steady_bones(parents)(y, p, IDS)
    lengths = bones.bone_lengths(jnp.asarray(found), parents)
    for rows in smoothing.runs(IDS):
        median = np.median(bones.bone_lengths(jnp.asarray(y[rows]), parents), 0)
        wanted = np.broadcast_to(median, lengths[rows].shape)
        np.testing.assert_allclose(lengths[rows], wanted, atol=1e-5)
    np.testing.assert_allclose(found[60], y[60], atol=1e-5)  # A video of one frame.
    half = baselines.steady_bones(parents, 0.5)(y, p, IDS)
    np.testing.assert_allclose(half, 0.5 * (y + found), atol=1e-6)


def test_every_baseline_keeps_shape_kind_and_its_input(rng):
    p, x = people(rng)
    y = x + 0.01 * rng.normal(size=x.shape).astype(np.float32)
    kept = y.copy()
    model = conditional_noise.fit(statistics(p, y, x))
    for baseline in (
        baselines.identity(),
        baselines.bias_removal(np.zeros((17, 3))),
        baselines.linear_gaussian(model),
        baselines.savitzky_golay(5),
        baselines.one_euro(50.0, 1.0, 1.0),
        baselines.steady_bones(skeleton.keypoint_parents("h36m17")),
    ):
        found = baseline(y, p, IDS)
        assert (found.shape, found.dtype) == (y.shape, y.dtype)
        np.testing.assert_array_equal(y, kept)
    np.testing.assert_array_equal(baselines.identity()(y, p, IDS), y)
