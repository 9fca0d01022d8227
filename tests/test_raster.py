"""Pixels of triangles: in the right place, the nearest in front, whole surfaces without seams."""

import numpy as np
import pytest

from diffjax import raster

SQUARE = np.array([[2.0, 1], [9, 1], [9, 6], [2, 6]])
HALVES = np.array([[0, 1, 2], [0, 2, 3]])


def front(points, faces, near, size=(12, 9)):
    return raster.front_faces(points[faces], np.asarray(near, float)[faces], size)


def test_a_face_covers_the_pixels_whose_middles_it_holds():
    found = front(SQUARE, HALVES, np.ones(4)) >= 0
    wanted = np.zeros((9, 12), bool)
    wanted[1:6, 2:9] = True
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("turn", [HALVES, HALVES[:, ::-1]])
def test_nearer_faces_cover_farther_ones_whatever_their_order(turn):
    points = np.concatenate([SQUARE, SQUARE + 1])
    faces = np.concatenate([turn, turn + 4])
    for near in (1.0, 3.0):
        found = front(points, faces, [2.0] * 4 + [near] * 4)
        both = (slice(2, 6), slice(3, 9))
        assert np.all((found[both] >= 2) == (near > 2))
        assert np.all(found[6, 3:10] >= 2)  # Where the other is not.


def test_faces_that_cross_are_told_apart_at_every_pixel():
    near = [0.0, 10, 10, 0, 5, 5, 5, 5]  # One rises to the right, the other is level.
    found = front(np.concatenate([SQUARE] * 2), np.concatenate([HALVES, HALVES + 4]), near)
    assert np.all(found[1:6, 2:5] >= 2)
    assert np.all(found[1:6, 6:9] < 2)


def test_what_is_outside_the_picture_or_without_area_is_left_out():
    flat = np.array([[0.0, 0], [5, 5], [9, 9], [1e9, 0], [2e9, 0], [2e9, 5]])
    assert np.all(front(flat, np.array([[0, 1, 2], [3, 4, 5]]), np.ones(6)) == -1)
    assert np.all(front(flat, np.zeros((0, 3), int), np.ones(6)) == -1)


def test_a_face_larger_than_the_picture_fills_it():
    large = np.array([[-1e4, -1e4], [3e4, -1e4], [-1e4, 3e4]])
    assert np.all(front(large, np.array([[0, 1, 2]]), np.ones(3), (70, 30)) == 0)


def test_a_tiled_square_has_no_seams(rng):
    steps = np.linspace(0, 60, 41) + np.r_[0, rng.uniform(-0.5, 0.5, 39), 0]
    points = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    a = (np.arange(40)[:, None] * 41 + np.arange(40)).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + 42], -1), np.stack([a, a + 42, a + 41], -1)])
    assert np.all(front(points, faces, np.ones(len(points)), (60, 60)) >= 0)
