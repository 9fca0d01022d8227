"""Windows cut and blended give back what was cut, whatever the lengths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import windows


def same(x, *others):
    return x


@pytest.mark.parametrize("lengths", [(1,), (3,), (9,), (10,), (64,), (1, 30, 9, 2, 9), (5, 5, 18)])
@pytest.mark.parametrize(("time", "stride"), [(9, None), (9, 1), (9, 9), (8, 3), (1, 1), (2, 2)])
def test_the_identity_gives_the_input_back(lengths, time, stride, rng):
    plan = windows.plan(lengths, time, stride)
    x = rng.normal(size=(sum(lengths), 2, 3)).astype(np.float32)
    for size in (1, 5, 64):
        found = windows.over_batches(same, plan, x, size=size)
        np.testing.assert_allclose(found, x, atol=1e-6)
    whole = windows.over_windows(same, windows.windows(plan), jnp.asarray(x))
    np.testing.assert_allclose(whole, x, atol=1e-6)


def test_weights_add_up_to_one_in_every_row(rng):
    plan = windows.plan((30, 4, 1, 77), 9, 4)
    cut = windows.windows(plan)
    total = np.zeros(112)
    np.add.at(total, cut.rows, cut.weight)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_windows_stay_in_their_sequence_and_repeat_its_ends():
    cut = windows.windows(windows.plan((12, 3), 5, 4))
    wanted = [range(5), range(4, 9), range(7, 12), [12, 12, 13, 14, 14]]
    np.testing.assert_array_equal(cut.rows, [list(w) for w in wanted])
    np.testing.assert_array_equal(cut.weight[3], [0.0, 1.0, 1.0, 1.0, 0.0])
    # Two windows that overlap by one frame share it evenly: their first and their last.
    np.testing.assert_allclose(cut.weight[:2, [4, 0]].diagonal(), [0.5, 0.5])


def test_the_middle_of_a_window_counts_more_than_its_ends():
    plan = windows.plan((11,), 7, 4)
    first = windows.over_windows(
        lambda x: jnp.zeros_like(x).at[0].set(1.0), windows.windows(plan), jnp.zeros((11, 1))
    )
    # Rows 4, 5, 6 are seen by both: weights 3 2 1 of the first window, 1 2 3 of the second.
    np.testing.assert_allclose(first[:, 0], [1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0, 0], atol=1e-6)


def test_batches_are_of_one_shape_and_the_filling_counts_nothing():
    plan = windows.plan((50,), 9, 4)
    some = list(windows.batches(plan, 8))
    assert {b.rows.shape for b in some} == {b.weight.shape for b in some} == {(8, 9)}
    count = len(plan.first)
    assert sum(int((b.weight > 0).any(1).sum()) for b in some) == count
    assert count % 8


def test_a_long_video_takes_one_compilation_and_bounded_memory(rng):
    x = rng.normal(size=(100_000, 3)).astype(np.float32)
    plan, seen, done = windows.plan((100_000,), 243), [], []

    @jax.jit
    def double(y):
        seen.append(y.shape)  # Once, when traced.
        return 2.0 * y

    found = windows.over_batches(double, plan, x, size=32, advance=done.append)
    np.testing.assert_allclose(found, 2 * x, atol=1e-5)
    assert seen == [(32, 243, 3)]
    assert sum(done) == len(plan.first)


@pytest.mark.parametrize("time", [1, 7, 81])
def test_rows_in_pieces_are_those_of_the_whole(time, rng):
    lengths = (40, 1, 150, 9)
    plan = windows.plan(lengths, time)
    x = rng.normal(size=(200, 2)).astype(np.float32)
    smooth = lambda y: np.cumsum(y, 1)  # noqa: E731
    whole, parts = windows.over_batches(smooth, plan, x, size=3), []
    for first, end in ((0, 1), (1, 40), (40, 77), (77, 200)):
        part, low, high = windows.touching(plan, first, end)
        assert high - low <= end - first + 2 * time
        some = windows.over_batches(smooth, part, x[low:high], size=3)
        parts.append(some[first - low : end - low])
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_video_is_one_compiled_call(rng):
    plan = windows.plan((40, 25), 9)
    x, p = (jnp.asarray(rng.normal(size=(65, 4, d)), jnp.float32) for d in (3, 2))
    refine = lambda y, p: y - 0.5 * p[..., :1]  # noqa: E731
    video = jax.jit(lambda cut, y, p: windows.over_windows(refine, cut, y, p))
    np.testing.assert_allclose(video(windows.windows(plan), x, p), refine(x, p), atol=1e-6)


def test_sequences_do_not_touch_each_other(rng):
    plan = windows.plan((20, 30), 9)
    smooth = lambda y: jnp.cumsum(y, 1)  # noqa: E731
    x = jnp.asarray(rng.normal(size=(50, 2)), jnp.float32)
    moved = x.at[20:].add(5.0)
    cut = windows.windows(plan)
    one, other = (windows.over_windows(smooth, cut, a) for a in (x, moved))
    np.testing.assert_array_equal(one[:20], other[:20])
    assert np.abs(one[20:] - other[20:]).min() > 1.0


def test_gaps_are_filled_with_a_line_within_their_sequence():
    x = np.arange(10, dtype=np.float32)[:, None, None] * np.ones((10, 2, 3), np.float32)
    x[5:] += 100.0
    broken = x.copy()
    broken[[2, 3, 7], 0] = np.nan
    broken[4, 1] = np.inf
    broken[5] = np.nan
    filled, missing = windows.fill_gaps(broken, (5, 5), "fill")
    np.testing.assert_array_equal(np.flatnonzero(missing), [2, 3, 4, 5, 7])
    wanted = x.copy()
    wanted[4, 1] = 3.0  # The last of its sequence repeats the one before,
    wanted[5] = 106.0  # the first the one after.
    np.testing.assert_allclose(filled, wanted, rtol=1e-6)
    seen = np.isfinite(broken)
    np.testing.assert_array_equal(filled[seen], broken[seen])


def test_gaps_are_refused_unless_asked_for():
    x = np.zeros((6, 2), np.float32)
    for gaps in ("refuse", "fill"):
        found, missing = windows.fill_gaps(x, (6,), gaps)
        assert found is x
        assert not missing.any()
    x[4, 0] = np.nan
    with pytest.raises(ValueError, match="found 1 frames with others, the first is row 4"):
        windows.fill_gaps(x, (6,))
    x[3:, 1] = np.nan
    with pytest.raises(ValueError, match="my file: sequence 1: wanted each joint in one frame"):
        windows.fill_gaps(x, (3, 3), "fill", "my file")


def test_bad_plans_and_mismatched_lengths_are_refused():
    for lengths, time, stride in (((5,), 4, 5), ((5,), 4, 0), ((5,), 0, None)):
        with pytest.raises(ValueError, match="stride"):
            windows.plan(lengths, time, stride)
    for lengths in ((), (5, 0)):
        with pytest.raises(ValueError, match="empty"):
            windows.plan(lengths, 4)
    with pytest.raises(ValueError, match="wanted 9 frames in every array"):
        windows.over_batches(same, windows.plan((9,), 4), np.zeros((9, 1)), np.zeros((8, 1)))
