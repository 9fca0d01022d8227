"""Metrics against SciPy, NumPy loops and hand-worked cases; then their laws: masks, batches, invariances, NaN."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, spatial
from scipy.spatial.transform import Rotation

from diffjax import metrics, skeleton

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def pair(rng, batch=(5,), joints=14):
    true = rng.normal(size=(*batch, joints, 3)) * 0.4
    pred = true + rng.normal(size=true.shape) * 0.08
    return jnp.asarray(pred, jnp.float32), jnp.asarray(true, jnp.float32)


def matrices(rng, shape=(5,), joints=24, size=0.5):
    count = int(np.prod(shape)) * joints
    turns = Rotation.from_rotvec(rng.normal(size=(count, 3)) * size).as_matrix()
    return turns.reshape(*shape, joints, 3, 3)


def single(x):
    return jnp.asarray(x, jnp.float32)


def test_the_rest_after_alignment_is_scipys_disparity(rng):
    pred, true = pair(rng)
    ours = metrics.procrustes(pred, true)
    for p, t, a in zip(*(np.asarray(x, np.float64) for x in (pred, true, ours))):
        _, _, disparity = spatial.procrustes(t, p)
        rest = ((a - t) ** 2).sum() / ((t - t.mean(0)) ** 2).sum()
        assert rest == pytest.approx(disparity, rel=1e-4)


def test_the_rotation_of_the_alignment_is_scipys(rng):
    pred, true = pair(rng)
    weight = rng.random((5, 14)) + 0.1
    found = metrics.similarity(pred, true, single(weight))
    for i in range(5):
        w = weight[i]
        p, t = (np.asarray(x[i], np.float64) for x in (pred, true))
        p, t = (x - (w[:, None] * x).sum(0) / w.sum() for x in (p, t))
        wanted = Rotation.align_vectors(t, p, weights=w)[0].as_matrix()
        np.testing.assert_allclose(found.rotation[i], wanted, atol=1e-4)
        scale = (w[:, None] * t * (p @ wanted.T)).sum() / (w[:, None] * p * p).sum()
        assert float(found.scale[i]) == pytest.approx(scale, rel=1e-4)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_points_moved_by_the_similarity_are_procrustes(batch, rng):
    pred, true = pair(rng, batch)
    moved = metrics.moved(pred, metrics.similarity(pred, true))
    np.testing.assert_allclose(moved, metrics.procrustes(pred, true), atol=1e-5)


def test_vertices_are_aligned_by_the_joints_and_not_by_themselves(rng):
    joints, true_joints = pair(rng)
    mesh, true_mesh = pair(rng, joints=100)
    error = metrics.pa_vertex_error_mm(mesh, true_mesh, joints, true_joints)
    by = metrics.similarity(joints, true_joints)
    for i in range(5):
        laid = float(by.scale[i]) * np.asarray(mesh[i]) @ np.asarray(by.rotation[i]).T
        gap = laid + np.asarray(by.shift[i]) - np.asarray(true_mesh[i])
        assert float(error[i]) == pytest.approx(1e3 * np.linalg.norm(gap, axis=-1).mean(), rel=1e-4)
    own = metrics.pa_vertex_error_mm(joints, true_joints, joints, true_joints)
    np.testing.assert_allclose(own, metrics.pa_mpjpe_mm(joints, true_joints), rtol=1e-4)


def test_a_mask_of_vertices_leaves_them_out(rng):
    pred, true = pair(rng)
    weight = single(np.arange(14) < 9)
    found = metrics.vertex_error_mm(pred.at[:, 9:].add(9.0), true, weight[None])
    np.testing.assert_allclose(found, metrics.mpjpe_mm(pred[:, :9], true[:, :9]), rtol=1e-5)


def test_orientations_are_products_from_the_root_down(rng):
    local = matrices(rng, (2,))
    found = np.asarray(metrics.orientations(single(local)))
    for joint in range(24):
        chain, at = [], joint
        while at >= 0:
            chain.append(at)
            at = skeleton.SMPL_PARENTS[at]
        for person in range(2):
            wanted = np.eye(3)
            for j in reversed(chain):
                wanted = wanted @ local[person, j]
            np.testing.assert_allclose(found[person, joint], wanted, atol=1e-5)


def test_mpjae_is_scipys_angle_at_nine_parts(rng):
    pred, true = (single(matrices(rng)) for _ in range(2))
    turn = single(Rotation.from_rotvec([0.2, 0.1, -0.4]).as_matrix())
    ours, theirs = (np.asarray(metrics.orientations(x), np.float64) for x in (pred, true))
    for aligned, by in ((None, np.eye(3)), (jnp.broadcast_to(turn, (5, 3, 3)), np.asarray(turn))):
        found = metrics.orientation_error_deg(pred, true, aligned)
        for i in range(5):
            parts = [0, 1, 2, 4, 5, 16, 17, 18, 19]
            gap = [by @ ours[i, j] @ theirs[i, j].T for j in parts]
            wanted = np.rad2deg(Rotation.from_matrix(gap).magnitude()).mean()
            assert float(found[i]) == pytest.approx(wanted, rel=1e-4)


def test_a_turned_person_has_its_angle_in_every_part_and_none_after_alignment(rng):
    true = matrices(rng, (1,))
    turn = Rotation.from_rotvec([0, 0, np.deg2rad(20)]).as_matrix()
    pred = true.copy()
    pred[:, 0] = turn @ pred[:, 0]
    pred, true = single(pred), single(true)
    assert float(metrics.orientation_error_deg(pred, true)[0]) == pytest.approx(20, rel=1e-4)
    aligned = metrics.orientation_error_deg(pred, true, single(turn.T)[None])
    assert float(aligned[0]) < 0.05
    assert float(metrics.rotation_error_deg(pred, true, (0, 1))[0]) == pytest.approx(10, rel=1e-4)


def test_rotations_of_weight_zero_are_ignored_and_none_at_all_is_not_a_number(rng):
    pred, true = (single(matrices(rng, (2,))) for _ in range(2))
    weight = np.zeros((2, 24), np.float32)
    weight[0, [3, 5]] = 1.0
    found = metrics.rotation_error_deg(pred, true, (3, 4, 5), single(weight))
    wanted = metrics.rotation_error_deg(pred, true, (3, 5))
    assert float(found[0]) == pytest.approx(float(wanted[0]), rel=1e-5)
    assert np.isnan(found[1])


def test_pck_and_both_areas_are_those_of_a_loop(rng):
    pred, true = pair(rng)
    mask = (rng.random((5, 14)) > 0.3).astype(np.float32)
    distance = 1e3 * np.linalg.norm(np.asarray(pred) - np.asarray(true), axis=-1)

    def share(i, limit):
        return (distance[i][mask[i] > 0] < limit).mean()

    near = metrics.pck(pred, true, 120.0, single(mask))
    mean = metrics.auc(pred, true, single(mask))
    area = metrics.area_under_pck(pred, true, single(mask))
    for i in range(5):
        assert float(near[i]) == pytest.approx(share(i, 120), rel=1e-5)
        assert float(mean[i]) == pytest.approx(np.mean([share(i, t) for t in range(0, 151, 5)]))
        x = np.arange(200.0)
        curve = [share(i, t) for t in x]
        wanted = integrate.trapezoid(curve, x / 199)
        assert float(area[i]) == pytest.approx(wanted, rel=1e-4)


def test_harm_is_the_share_of_those_whose_change_is_known():
    before = np.array([[50.0, 50.0, 50.0, np.nan, 50.0], [np.nan] * 5])
    after = np.array([[51.5, 50.5, 40.0, 90.0, np.nan], [1.0] * 5])
    found = metrics.harm_rate(before, after)
    assert float(found[0]) == pytest.approx(1 / 3)
    assert np.isnan(found[1])
    assert float(metrics.harm_rate(before, after, margin_mm=0.2)[0]) == pytest.approx(2 / 3)


def test_what_moves_with_the_cube_of_time_has_constant_jerk():
    time = jnp.arange(8.0)
    path = jnp.stack([0.001 * time**3, 0.002 * time**2, 0.5 * time], -1)[:, None]
    ids = jnp.zeros(8, jnp.int32)
    np.testing.assert_allclose(metrics.differences_mm(path, ids, 3), 6.0, rtol=1e-2)
    wanted = [1e3 * np.hypot(0.006 * (t + 1), 0.004) for t in range(6)]
    np.testing.assert_allclose(metrics.differences_mm(path, ids, 2), wanted, rtol=1e-3)


def test_differences_end_at_tracks_and_skip_frames_that_are_masked(rng):
    path = single(rng.normal(size=(9, 4, 3)))
    ids = jnp.asarray([0, 0, 0, 0, 1, 1, 1, 1, -1])
    weight = np.ones((9, 4), np.float32)
    weight[6] = 0.0
    weight[1, 2] = 0.0
    found = np.asarray(metrics.differences_mm(path, ids, 2, single(weight)))
    np.testing.assert_array_equal(np.isfinite(found), [1, 1, 0, 0, 0, 0, 0])
    step = np.diff(np.asarray(path), n=2, axis=0)
    for n in (0, 1):
        wanted = 1e3 * np.linalg.norm(step[n][[0, 1, 3]], axis=-1).mean()
        assert found[n] == pytest.approx(wanted, rel=1e-5)
    assert metrics.differences_mm(path[:3], ids[:3], 3).shape == (0,)


def test_masked_acceleration_errors_are_those_of_the_joints_that_stay(rng):
    pred, true = (single(rng.normal(size=(2, 6, 4, 3))) for _ in range(2))
    weight = np.ones((2, 6, 4), np.float32)
    weight[0, :, 3] = 0.0
    weight[1] = 0.0
    found = metrics.acceleration_error(pred, true, 30.0, single(weight))
    wanted = metrics.acceleration_error(pred[:, :, :3], true[:, :, :3], 30.0)
    assert float(found[0]) == pytest.approx(float(wanted[0]), rel=1e-5)
    assert np.isnan(found[1])


def labelled():
    """Four keypoints in a box of 100 x 40 px; the fourth is not labelled. Head to neck: 20 px."""
    return single([[[0, 0, 1], [100, 0, 0.5], [0, 40, 1], [500, 500, 0]]])


def test_2d_errors_by_hand():
    labels = labelled()
    pred = labels[..., :2] + single([[[3, 4], [0, 4], [0, 12], [99, 99]]])
    assert float(metrics.image_error_px(pred, labels)[0]) == pytest.approx(7.0)
    box = metrics.box_px(labels)
    assert float(box[0]) == 100.0
    np.testing.assert_allclose(metrics.image_pck(pred, labels, box, 0.05), 1 / 3)
    np.testing.assert_allclose(metrics.image_pck(pred, labels, box, 0.051), 2 / 3)
    head = metrics.head_px(labels, 0, 2)
    assert float(head[0]) == pytest.approx(40.0)
    np.testing.assert_allclose(metrics.image_pck(pred, labels, head, 0.5), 1.0)


def test_2d_sizes_and_errors_that_nobody_knows_are_not_numbers():
    labels = labelled().at[..., 2].set(0.0)
    assert np.isnan(metrics.image_error_px(labels[..., :2], labels)[0])
    assert np.isnan(metrics.box_px(labels)[0])
    assert np.isnan(metrics.head_px(labelled(), 0, 3)[0])
    unknown = metrics.head_px(labelled(), 0, 3)
    assert np.isnan(metrics.image_pck(labels[..., :2], labelled(), unknown, 0.5)[0])


def test_an_error_of_nobody_is_not_a_number_once_it_is_asked(rng):
    pred, true = pair(rng, (2,))
    weight = single(np.stack([np.ones(14), np.zeros(14)]))
    error = metrics.mpjpe_mm(pred, true, weight)
    assert float(error[1]) == 0.0
    np.testing.assert_array_equal(np.isnan(metrics.known(error, weight)), [False, True])


POINTS = {
    "mpjpe": metrics.mpjpe_mm,
    "pa": metrics.pa_mpjpe_mm,
    "n": metrics.n_mpjpe_mm,
    "pve": metrics.vertex_error_mm,
    "pck": lambda p, t, w=None: 1.0 - metrics.pck(p, t, 150.0, w),
    "area": lambda p, t, w=None: 199 / 199 - metrics.area_under_pck(p, t, w),
}


@pytest.mark.parametrize("error", POINTS.values(), ids=POINTS)
def test_laws_of_errors_of_points(error, rng):
    """Zero at the truth (the area is below 1 by the half step at 0 mm); any order; any batch; a mask is a choice."""
    pred, true = pair(rng, (2, 3))
    order = rng.permutation(14)
    found = error(pred, true)
    assert found.shape == (2, 3)
    assert float(jnp.max(error(true, true))) < 3e-3
    np.testing.assert_allclose(error(pred[..., order, :], true[..., order, :]), found, rtol=1e-3)
    np.testing.assert_allclose(error(pred[1, 2], true[1, 2]), found[1, 2], rtol=1e-3)
    mask = single(np.arange(14) < 8)
    some = error(pred, true, jnp.broadcast_to(mask, (2, 3, 14)))
    np.testing.assert_allclose(some, error(pred[..., :8, :], true[..., :8, :]), rtol=1e-3)


def test_what_each_alignment_forgives(rng):
    pred, true = pair(rng)
    turn = single(Rotation.from_rotvec([0.5, -0.3, 0.2]).as_matrix())
    changes = {"shift": pred + 0.3, "scale": 1.4 * pred, "turn": pred @ turn.T}
    kept = {
        name: {
            kind
            for kind in ("mpjpe", "n", "pa")
            if np.allclose(POINTS[kind](other, true), POINTS[kind](pred, true), rtol=1e-3)
        }
        for name, other in changes.items()
    }
    assert kept == {"shift": {"pa"}, "scale": {"n", "pa"}, "turn": {"pa"}}
