"""Gates on people made up so that the answer is known."""

import numpy as np
import pytest

from diffjax.methods import gates


@pytest.mark.parametrize("max_harm", [0.0, 0.03, 0.05, 0.2])
def test_the_margin_is_the_smallest_that_keeps_the_promise(max_harm):
    random = np.random.default_rng(0)
    gain = np.round(random.normal(size=400), 1)  # With ties.
    harmed = random.random(400) < 1 / (1 + np.exp(3 * gain))
    margin = gates.choose_margin(gain, harmed, max_harm)

    def harm(m):
        return np.mean(harmed & gates.gate(gain, np.zeros(400), m))

    assert harm(margin) <= max_harm
    lower = gain[gain < margin]
    assert all(harm(m) > max_harm for m in [-np.inf, *lower])


def test_harmless_fits_need_no_gate_and_hopeless_ones_are_all_refused():
    gain = np.array([0.5, -1.0, 2.0])
    assert gates.choose_margin(gain, np.zeros(3, bool), 0.0) == -np.inf
    assert gates.choose_margin(gain, np.ones(3, bool), 0.0) == 2.0
    assert gates.choose_margin(gain, np.ones(3, bool), 1.0) == -np.inf
    with pytest.raises(ValueError, match="share from 0 to 1"):
        gates.choose_margin(gain, np.ones(3, bool), 5.0)


def sequences_of(random, count=20, each=50):
    """People of sequences that differ in how many of them a fit harms; and what gain is expected of each."""
    group = np.repeat(np.arange(count), each)
    gain = random.normal(size=count * each)
    worse = random.normal(0.0, 1.0, count)[group]
    return gain, random.random(count * each) < 1 / (1 + np.exp(2 * gain - worse + 2)), group


def test_the_promise_to_sequences_is_kept_to_new_ones():
    random, harm = np.random.default_rng(0), {True: [], False: []}
    for _ in range(60):
        told, (gain, harmed, _group) = sequences_of(random), sequences_of(random, count=400)
        for drawn in harm:
            margin = gates.choose_margin(*told[:2], 0.05, told[2] if drawn else None)
            harm[drawn].append(np.mean(harmed & (gain > margin)))
    assert np.mean(np.array(harm[True]) > 0.05) <= 0.1
    assert np.mean(np.array(harm[False]) > 0.05) > 0.3


def test_drawing_sequences_never_lets_more_people_go():
    gain, harmed, group = sequences_of(np.random.default_rng(1))
    for max_harm in (0.0, 0.02, 0.1, 1.0):
        plain = gates.choose_margin(gain, harmed, max_harm)
        assert gates.choose_margin(gain, harmed, max_harm, group) >= plain
    assert gates.choose_margin(gain, harmed, 1.0, group) == -np.inf


def test_people_of_one_sequence_are_drawn_themselves():
    gain, harmed, _ = sequences_of(np.random.default_rng(2))
    one, all_apart = np.full(len(gain), "walk"), np.arange(len(gain))
    margins = [gates.choose_margin(gain, harmed, 0.05, group) for group in (one, all_apart, None)]
    assert margins[0] == margins[1] > margins[2]


def test_part_of_the_way_is_chosen_where_it_harms_fewer_and_keeps_more():
    gain, shares = np.arange(4.0), np.array([1.0, 0.5])
    whole = np.array([4.0, -3.0, 2.0, -8.0])
    change = np.stack([whole, np.array([0.5, -2.5, 0.5, -6.0])], -1)
    # All of the way only the last may go (-8); half of it harms nobody by more than 1 (-7.5): at 0 harm the former.
    assert gates.choose_gate(gain, change, shares, 0.0, 1.0) == (2.0, 1.0)
    change[1, 1] = -3.5
    assert gates.choose_gate(gain, change, shares, 0.0, 1.0) == (-np.inf, 0.5)
    assert gates.choose_gate(gain, change[:, :1], shares[:1], 0.0, 1.0) == (2.0, 1.0)


def test_nobody_goes_where_every_share_of_the_way_is_for_the_worse():
    """By less than counts as harm."""
    change = np.array([[0.9, 0.5], [0.7, 0.4]])
    found = gates.choose_gate(np.ones(2), change, np.array([1.0, 0.5]), 0.05, 1.0)
    assert found.margin == np.inf
    assert not gates.gate(np.ones(2), np.zeros(2), found.margin).any()


def test_a_gain_of_nan_is_never_accepted():
    gain, harmed = np.array([np.nan, 1.0, 2.0]), np.array([True, False, False])
    assert gates.choose_margin(gain, harmed, 0.0) == -np.inf
    np.testing.assert_array_equal(gates.gate(gain, np.zeros(3), -np.inf), [False, True, True])


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_who_is_not_accepted_is_as_before(batch):
    random = np.random.default_rng(1)
    before, after = ({"x": random.normal(size=(*batch, 3)), "y": np.zeros(batch)} for _ in "ab")
    accepted = random.random(batch) < 0.5
    found = gates.keep_or_accept(np.asarray(accepted), before, after)
    wanted = np.where(accepted[..., None], after["x"], before["x"]).astype(np.float32)
    np.testing.assert_array_equal(found["x"], wanted)
