"""What smplfitter is given: our body, and a mesh that goes with the joints that were seen."""

import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import body, config, metrics, skeleton
from diffjax.comparison import peer

NAMES = skeleton.keypoint_set("h36m14")


def test_a_shift_of_everything_moves_nothing(rng):
    moves = np.broadcast_to(rng.normal(size=(3, 1, 3)), (3, 14, 3))
    np.testing.assert_allclose(peer.carried(moves, np.ones((3, 14)), "h36m14"), 0.0, atol=1e-6)


def test_joints_that_are_seen_go_where_they_were_seen_and_others_between(rng):
    moves = rng.normal(size=(2, 24, 3))
    moves -= moves.mean(1, keepdims=True)
    found = peer.carried(moves, np.ones((2, 24)), "smpl24")
    np.testing.assert_allclose(found, moves, atol=1e-2)
    moves, weight = np.zeros((1, 14, 3)), np.ones((1, 14))
    hip, knee, ankle = (NAMES.index(f"left_{name}") for name in ("hip", "knee", "ankle"))
    moves[:, [hip, ankle]] = 0.2
    moves -= moves.mean(1, keepdims=True)
    weight[:, knee] = 0.0
    found = peer.carried(moves, weight, "h36m14")
    names = (skeleton.SMPL24.index(f"left_{name}") for name in ("hip", "knee", "ankle"))
    hip, knee, ankle = (found[0, i] for i in names)
    np.testing.assert_allclose(knee, (hip + ankle) / 2, atol=1e-3)


def test_joints_that_do_not_move_turn_nothing_and_a_turned_body_turns_whole(rng):
    model = tiny.bones()
    joints = np.asarray(model.joint_template, np.float64)[None]
    same, _ = peer.turned(joints, joints, joints, np.eye(24), peer.LEAVES)
    np.testing.assert_allclose(same, joints, atol=1e-5)
    turn = np.asarray(tiny.person((), rng, 1.0).rotations[3], np.float64)
    mesh = joints + 0.1
    moved, wanted = peer.turned(mesh, joints, joints @ turn.T, np.eye(24), peer.LEAVES)
    np.testing.assert_allclose(wanted, joints @ turn.T, atol=1e-4)
    # Parts of one bone are free to turn about it: how far a vertex is from its joint stays.
    arms = np.linalg.norm(moved - wanted, axis=-1)
    np.testing.assert_allclose(arms, np.linalg.norm(mesh - joints, axis=-1), rtol=1e-5)


def test_smplfitter_reads_our_body(toy_body):
    pytest.importorskip("smplfitter", reason="a peer, of the extras `dev` and `bench`")
    theirs = peer._fitter(toy_body).body_model
    person = tiny.person((2,), np.random.default_rng(0))
    ours = body.pose_body(toy_body, person.rotations, person.betas)
    found = theirs(rel_rotmats=np.asarray(person.rotations), shape_betas=np.asarray(person.betas))
    np.testing.assert_allclose(found["vertices"], ours.vertices, atol=1e-4)
    np.testing.assert_allclose(found["joints"], ours.joints, atol=1e-4)


def test_smplfitter_comes_nearer_to_the_joints_that_were_seen():
    pytest.importorskip("smplfitter", reason="a peer, of the extras `dev` and `bench`")
    file = config.ROOT / "converted_weights" / "open_body.npz"
    model = body.load_body(file)
    space = body.fold_keypoints(model, body.load_regressor(file, "h36m14"))
    random = np.random.default_rng(0)
    true, estimate = (tiny.person((3,), random, scale) for scale in (0.2, 0.3))
    seen = np.asarray(tiny.pose_keypoints(space, true.rotations, true.betas))
    given = np.concatenate([seen, np.ones((3, 14, 1), np.float32)], -1)
    people, errors = estimate, []
    for _ in range(3):
        found = tiny.pose_keypoints(space, np.asarray(people.rotations), np.asarray(people.betas))
        errors.append(np.asarray(metrics.pa_mpjpe_mm(found, jnp.asarray(seen))))
        people = peer._once(peer._fitter(model), model, space, people, given, "h36m14")
    assert (errors[1] < 0.6 * errors[0]).all(), errors
    assert (errors[2] < 0.4 * errors[0]).all(), errors
