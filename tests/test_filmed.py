"""Simulated videos: the same person from four sides, and a detector with the errors that it states."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import camera
from diffjax.data import amass, filmed, motion, pose_sequences, synthetic

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def clip(rng, frames=40, name="walk", fps=50.0):
    moves = amass.Motion(
        poses=rng.normal(0, 0.2, (frames, 24, 3)).astype(np.float32),
        trans=np.cumsum(rng.normal(0, 0.01, (frames, 3)), 0).astype(np.float32),
        betas=np.zeros(10, np.float32),
        fps=fps,
        gender="neutral",
    )
    return motion.Clip(moves, name, "s1")


def test_four_cameras_see_one_person(keypoints, rng):
    videos = filmed.film([clip(rng)], keypoints, detector=filmed.PERFECT)
    assert [v.camera for v in videos] == ["0", "1", "2", "3"]
    for video in videos:
        assert not video.x[:, 0].any()
        # Distances between joints are the same from every side.
        wanted, found = (np.linalg.norm(v.x[:, 5] - v.x[:, 9], axis=-1) for v in (videos[0], video))
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert (video.x + video.root_cam[:, None])[..., 2].min() > 1.99
    assert np.abs(videos[0].x - videos[1].x).max() > 0.1


def test_true_2d_is_the_projection(keypoints, rng):
    video = filmed.film([clip(rng)], keypoints, detector=filmed.PERFECT)[2]
    points = jnp.asarray(video.x + video.root_cam[:, None])
    pixels = np.asarray(camera.project(synthetic.fixed_camera(()), points))
    size = np.tile([synthetic.WIDTH_PX, synthetic.HEIGHT_PX], (len(pixels), 1))
    np.testing.assert_allclose(video.p, pose_sequences.normalised(pixels, size), atol=1e-5)


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_the_detector_errs_as_it_states(rho, rng):
    detector = filmed.Detector(rho=rho)
    found, seen = filmed.detect(rng, np.zeros((4000, 17, 2)), detector)
    np.testing.assert_allclose(1 - seen.mean(), 0.03, atol=0.006)
    wanted = 0.9 * detector.usual_px**2 + 0.1 * detector.large_px**2
    np.testing.assert_allclose((found**2).mean(), wanted, rtol=0.1)
    lag = np.corrcoef(np.sign(found[1:]).ravel(), np.sign(found[:-1]).ravel())[0, 1]
    np.testing.assert_allclose(lag, 2 / np.pi * np.arcsin(rho), atol=0.02)
    exact, all_seen = filmed.detect(rng, np.ones((5, 17, 2)), filmed.PERFECT)
    np.testing.assert_array_equal(exact, 1.0)
    assert all_seen.all()


def test_a_clip_is_filmed_alike_whatever_others_there_are(keypoints, rng):
    one, other = clip(rng, 40), clip(rng, 300, "run", 120.0)
    alone, beside = (filmed.film(c, keypoints, seed=3) for c in ([one], [other, one]))
    np.testing.assert_array_equal(alone[0].p, beside[4].p)
    assert len(beside[0].p) == 125  # 300 frames at 120 Hz, at 50 Hz.
    again = filmed.film([one], keypoints, seed=4)
    assert np.nanmax(np.abs(again[0].p - alone[0].p)) > 0.01


def test_takes_are_other_bodies_before_other_cameras(keypoints, rng):
    clips = [clip(rng, name="walk"), clip(rng, name="run")]
    made = filmed.takes(clips, 2)
    assert [c.name for c in made] == ["walk", "run", "walk_take1", "run_take1"]
    first, _, second, other = (c.motion.betas for c in made)
    assert first.any()
    np.testing.assert_array_equal(second, other)  # One body a subject and take.
    assert np.abs(first - second).max() > 0.1
    videos = filmed.film(made[::2], keypoints, detector=filmed.PERFECT)
    assert np.abs(videos[0].x - videos[4].x).max() > 0.1


def test_a_known_body_is_not_drawn(rng):
    known = clip(rng)
    known = known._replace(motion=known.motion._replace(betas=np.full(10, 0.5, np.float32)))
    assert all((c.motion.betas == 0.5).all() for c in filmed.takes([known], 3))
