"""Rows that belong together: found whatever their order, cut without a row lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffjax import tracks


def test_a_track_is_in_the_order_of_frames_whatever_the_rows_order():
    sequence = np.array(["b", "a", "b", "a", "b"])
    frame = np.array([2, 0, 0, 1, 1])
    found = tracks.tracks(sequence, None, None, frame)
    np.testing.assert_array_equal(found[0], [2, 4, 0])
    np.testing.assert_array_equal(found[1], [1, 3])


def test_people_and_cameras_are_tracks_of_their_own():
    sequence, frame = np.full(4, "s"), np.array([0, 0, 1, 1])
    subject, view = np.array(["x", "y", "x", "y"]), np.array(["0", "0", "0", "0"])
    assert len(tracks.tracks(sequence, subject, view, frame)) == 2


def test_a_gap_ends_a_track():
    frame = np.array([0, 2, 4, 6, 100, 102])
    assert [len(rows) for rows in tracks.tracks(None, None, None, frame)] == [4, 2]


def test_a_frame_twice_is_refused():
    with pytest.raises(ValueError, match=r"s.npz: field frame: .* twice \(row 2\).*subject"):
        tracks.tracks(np.full(3, "s"), None, None, np.array([0, 1, 1]), "s.npz")


def test_views_of_an_instant_stand_together():
    frame, view = np.array([0, 1, 0, 1]), np.array(["1", "0", "0", "1"])
    found = tracks.instants(np.full(4, "s"), None, view, frame)
    np.testing.assert_array_equal(found[0], [2, 0])
    np.testing.assert_array_equal(found[1], [1, 3])
    with pytest.raises(ValueError, match=r"field view: .*'0'.* twice"):
        tracks.instants(np.full(2, "s"), None, np.array(["0", "0"]), np.array([1, 1]))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(9, 30), st.integers(0, 4))
def test_every_row_is_kept_once_and_no_piece_is_too_long(lengths, size, overlap):
    groups = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
    found = tracks.pieces(groups, size, overlap)
    kept = np.concatenate([piece.rows[piece.keep] for piece in found])
    np.testing.assert_array_equal(np.sort(kept), np.arange(sum(lengths)))
    assert all(len(piece.rows) <= size for piece in found)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    for piece in found:
        for group in np.unique(piece.group):
            rows = piece.rows[piece.group == group]
            assert len(np.unique(owner[rows])) == 1
            assert (np.diff(rows) == 1).all()


def test_a_cut_keeps_neighbours_on_both_sides():
    [first, second, third] = tracks.pieces([np.arange(50)], 22, 4)
    for piece in (first, second, third):
        inner = piece.rows[piece.keep]
        assert inner[0] == 0 or inner[0] - piece.rows[0] >= 4
        assert inner[-1] == 49 or piece.rows[-1] - inner[-1] >= 4
