"""Segments: rows of a batch only see their own."""

import jax.numpy as jnp
import numpy as np

from diffjax import segments

IDS = jnp.asarray([0, 0, 0, 2, 2, -1, -1, 5, 0])


def test_velocities_stop_at_borders(rng):
    x = jnp.asarray(rng.normal(size=(9, 4)), jnp.float32)
    found = np.asarray(segments.velocities(x, IDS))
    inside = [0, 1, 3]
    np.testing.assert_array_equal(found[inside], np.diff(x, axis=0)[inside])
    assert not found[[i for i in range(8) if i not in inside]].any()


def test_accelerations_need_three_rows_of_one_segment(rng):
    x = jnp.asarray(rng.normal(size=(9, 4)), jnp.float32)
    found = np.asarray(segments.accelerations(x, IDS))
    np.testing.assert_allclose(found[0], x[2] - 2 * x[1] + x[0], rtol=1e-5, atol=1e-6)
    assert not found[1:].any()
    assert segments.accelerations(x[:2], IDS[:2]).shape == (0, 4)


def test_deviations_are_from_the_segments_own_mean(rng):
    x = jnp.asarray(rng.normal(size=(9, 4)), jnp.float32)
    found = np.asarray(segments.deviations(x, IDS))
    first, second = [0, 1, 2, 8], [3, 4]
    for rows in (first, second):
        wanted = np.asarray(x)[rows] - np.asarray(x)[rows].mean(0)
        np.testing.assert_allclose(found[rows], wanted, atol=1e-6)
    assert not found[[5, 6, 7]].any()  # Nobody's rows, and a segment of one.


def test_what_other_segments_do_changes_nothing(rng):
    x = jnp.asarray(rng.normal(size=(9, 4)), jnp.float32)
    moved = x.at[3:8].add(100.0)
    for function in (segments.velocities, segments.deviations):
        np.testing.assert_array_equal(function(x, IDS)[:3], function(moved, IDS)[:3])
