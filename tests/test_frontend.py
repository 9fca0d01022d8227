"""The keypoint frontend: what its input may be, its files, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import body
from diffjax.data import synthetic
from diffjax.frontends import keypoint_hmr

predict = jax.jit(keypoint_hmr.predict)


@pytest.fixture(scope="module")
def params():
    return keypoint_hmr.init(jax.random.key(0), width=16)


def _people(rng, batch):
    pixels = rng.uniform(300, 700, (*batch, 17, 2))
    confidence = rng.uniform(0.2, 1, (*batch, 17, 1)) * (rng.random((*batch, 17, 1)) > 0.2)
    keypoints = jnp.asarray(np.concatenate([pixels, confidence], -1), jnp.float32)
    return keypoints, synthetic.fixed_camera(batch)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_an_estimate_is_a_valid_body_for_any_batch(params, rng, batch):
    estimate = predict(params, *_people(rng, batch))
    r = np.asarray(estimate.pose.rotations)
    assert r.shape == (*batch, 24, 3, 3)
    np.testing.assert_allclose(
        r @ np.swapaxes(r, -1, -2), np.broadcast_to(np.eye(3), r.shape), atol=1e-5
    )
    assert estimate.translation.shape == (*batch, 3)
    assert np.all(np.asarray(estimate.translation)[..., 2] > 0)


def test_one_at_a_time_gives_what_the_batch_gives(params, rng):
    keypoints, view = _people(rng, (3,))
    together = predict(params, keypoints, view)
    alone = predict(params, keypoints[1], jax.tree.map(lambda x: x[1], view))
    np.testing.assert_allclose(together.pose.rotations[1], alone.pose.rotations, atol=1e-5)


def test_where_a_missing_keypoint_lies_does_not_matter(params, rng):
    keypoints, view = _people(rng, (2,))
    keypoints = keypoints.at[:, 3, 2].set(0.0)
    moved = keypoints.at[:, 3, :2].set(-5000.0)
    a, b = (predict(params, k, view) for k in (keypoints, moved))
    np.testing.assert_array_equal(a.pose.rotations, b.pose.rotations)
    np.testing.assert_array_equal(a.translation, b.translation)


def test_a_person_without_keypoints_gets_a_finite_estimate(params):
    estimate = predict(params, jnp.zeros((17, 3)), synthetic.fixed_camera(()))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(estimate))


def test_moving_the_person_in_the_image_moves_only_the_translation(params, rng):
    keypoints, view = _people(rng, ())
    shifted = keypoints.at[:, 0].add(100.0)
    a, b = (predict(params, k, view) for k in (keypoints, shifted))
    np.testing.assert_allclose(a.pose.rotations, b.pose.rotations, atol=1e-4)
    expected = 100.0 * a.translation[2] / view.focal_px[0]
    np.testing.assert_allclose(b.translation[0] - a.translation[0], expected, rtol=1e-3)


def test_saved_weights_come_back_exactly(params, tmp_path):
    keypoint_hmr.save(tmp_path / "frontend.npz", params)
    loaded = keypoint_hmr.load(tmp_path / "frontend.npz")
    assert jax.tree.structure(loaded) == jax.tree.structure(jax.tree.map(jnp.asarray, params))
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_files_that_hold_no_frontend_are_refused(params, tmp_path):
    with pytest.raises(FileNotFoundError, match="make_estimates"):
        keypoint_hmr.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match="Dense_0/kernel"):
        keypoint_hmr.load(tmp_path / "other.npz")
    broken = dict(params) | {"Dense_1": {"kernel": jnp.ones((3, 3)), "bias": jnp.ones(3)}}
    keypoint_hmr.save(tmp_path / "broken.npz", broken)
    with pytest.raises(ValueError, match=r"Dense_1/bias: wanted \(16,\)"):
        keypoint_hmr.load(tmp_path / "broken.npz")


def test_training_learns_and_repeats_itself(monkeypatch):
    monkeypatch.setattr(keypoint_hmr, "PER_DISPATCH", 10)
    monkeypatch.setattr(keypoint_hmr, "BATCH", 16)
    # Bone tips in place of kinematics, whose gradient takes long to compile.
    monkeypatch.setattr(body, "pose_keypoints", lambda model, r, b: 0.3 * r[..., :17, :, 1])
    bones = body.body_from_arrays(
        np.zeros((24, 3)), np.zeros((24, 3, 10)), None, np.eye(24), np.eye(24)
    )
    coco = body.fold_keypoints(bones, np.eye(24)[:17])
    pool = jnp.broadcast_to(jnp.eye(3), (4, 24, 3, 3))
    runs = []
    for _ in range(2):
        losses = []
        params = keypoint_hmr.train(
            jax.random.key(0),
            coco,
            pool,
            jnp.arange(4),
            draw=synthetic.draw_views,
            steps=30,
            report=lambda step, value, losses=losses: losses.append(value),
        )
        runs.append((params, losses))
    (first, losses), (second, _) = runs
    assert losses[-1] < 0.7 * losses[0]
    jax.tree.map(np.testing.assert_array_equal, first, second)
