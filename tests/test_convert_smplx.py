"""SMPL-X as a 24-joint body: laws on a toy, then the package smplx on a mesh of the real size."""

import contextlib
import io
import pickle
import shlex
from typing import get_args

import files_annotations as files
import files_tracks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import smplx
import torch
from scipy.spatial.transform import Rotation
from smplx import vertex_ids

from diffjax import body, skeleton
from diffjax.convert import generic, pose_layouts, smpl, smplifyx
from diffjax.convert.inspection import facts, findings, recognise
from diffjax.data import records

_POSE = jax.jit(body.pose_body)
pytestmark = pytest.mark.usefixtures("quick_to_compile")

JAW_AND_EYES, LEFT, RIGHT = slice(22, 25), slice(25, 40), slice(40, 55)
LEFT_MIDDLE, RIGHT_MIDDLE = 28, 43


def _silent(_: str) -> None:
    pass


def _write(path, betas=20, **changes):
    """A toy file, as the old ones with 10 components of shape and 10 of expression."""
    arrays = files.smpl_arrays(55, betas=betas) | changes
    np.savez(path, **arrays, **files.smplx_besides())
    return arrays


def _posed(clean, rotation, betas):
    model = body.body_from_arrays(
        clean["v_template"], clean["shapedirs"], clean["posedirs"], clean["J_regressor"],
        clean["weights"],
    )  # fmt: skip
    given = (jnp.asarray(x, jnp.float32) for x in (rotation, betas))
    return _POSE(model, *given)


def _at_rest(turned):
    """Rotations of all 55 joints: those of the body, then none."""
    whole = np.tile(np.eye(3), (55, 1, 1))
    whole[: len(turned)] = turned
    return whole


def _far(joints):
    """Rotations by up to pi."""
    quaternions = np.random.default_rng(1).normal(size=(joints, 4))
    return Rotation.from_quat(quaternions).as_matrix()


def test_smplx_with_flat_hands_and_a_neutral_face_is_exactly_the_24_joint_body(tmp_path, rng):
    arrays = _write(tmp_path / "SMPLX_NEUTRAL.npz")
    said = []
    clean = smpl.convert_smpl(tmp_path / "SMPLX_NEUTRAL.npz", say=said.append)
    assert "SMPL-X's 55 joints become SMPL's 24" in said[0]
    assert "its betas are not SMPL's" in said[0]
    whole, betas = _at_rest(_far(22)), rng.normal(size=10)
    wanted = files.posed(arrays, whole, np.r_[betas, np.zeros(10)])
    np.testing.assert_allclose(_posed(clean, whole[:24], betas).vertices, wanted, atol=1e-5)


def test_jaw_and_eyes_give_their_skin_to_the_head_and_fingers_to_the_hands(tmp_path):
    skin = _write(tmp_path / "x.npz")["weights"]
    clean = smpl.convert_smpl(tmp_path / "x.npz", say=_silent)["weights"]
    assert clean.shape == (60, 24)
    np.testing.assert_allclose(clean.sum(1), 1, atol=1e-6)
    head = skin[:, 15] + skin[:, JAW_AND_EYES].sum(1)
    for joint, wanted in ((15, head), (22, skin[:, LEFT].sum(1)), (23, skin[:, RIGHT].sum(1))):
        np.testing.assert_allclose(clean[:, joint], wanted, atol=1e-6)


def test_hand_joints_are_the_bases_of_the_middle_fingers(tmp_path):
    joints = _write(tmp_path / "x.npz")["J_regressor"]
    clean = smpl.convert_smpl(tmp_path / "x.npz", say=_silent)
    np.testing.assert_allclose(clean["J_regressor"][22], joints[LEFT_MIDDLE], atol=1e-6)
    np.testing.assert_allclose(clean["J_regressor"][23], joints[RIGHT_MIDDLE], atol=1e-6)


def test_a_turned_hand_turns_fingers_about_its_joint_and_leaves_all_else(tmp_path):
    skin = files.smpl_arrays(55)["weights"] * (np.arange(60)[:, None] % 2 | (np.arange(55) < 25))
    arrays = _write(tmp_path / "x.npz", weights=skin / skin.sum(1, keepdims=True))
    clean = smpl.convert_smpl(tmp_path / "x.npz", say=_silent)
    turn, betas = Rotation.from_rotvec([0, 0, 1.0]).as_matrix(), np.zeros(10)
    rotation = _at_rest(np.eye(3)[None])[:24]
    rotation[22] = turn
    moved = np.asarray(_posed(clean, rotation, betas).vertices) - arrays["v_template"]
    far = arrays["v_template"] - arrays["J_regressor"][LEFT_MIDDLE] @ arrays["v_template"]
    wanted = arrays["weights"][:, LEFT].sum(1)[:, None] * (far @ turn.T - far)
    np.testing.assert_allclose(moved, wanted, atol=1e-5)
    assert np.abs(moved[::2]).max() < 1e-6


@pytest.mark.parametrize(("stored", "shapes"), [(20, 10), (16, 10), (400, 300)])
def test_components_of_expression_are_not_taken_for_shape(tmp_path, stored, shapes):
    arrays = _write(tmp_path / "x.npz", betas=stored)
    clean = smpl.convert_smpl(tmp_path / "x.npz", betas=400, say=_silent)
    np.testing.assert_allclose(clean["shapedirs"], arrays["shapedirs"][..., :shapes], atol=1e-7)


def test_a_pickle_is_read_as_the_archive_is_and_the_result_reads_as_itself(tmp_path):
    arrays = _write(tmp_path / "x.npz")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(arrays | files.smplx_besides(), 2))
    clean = smpl.convert_smpl(tmp_path / "x.npz", say=_silent)
    records.save_arrays(tmp_path / "clean.npz", clean)
    for other in ("x.pkl", "clean.npz"):
        again = smpl.convert_smpl(tmp_path / other, say=_silent)
        assert set(again) == set(clean)
        for name, array in clean.items():
            np.testing.assert_array_equal(again[name], array)
    assert body.load_body(tmp_path / "clean.npz").parents == skeleton.SMPL_PARENTS


def test_a_file_as_it_is_stored_is_no_body_and_the_message_names_the_command(tmp_path):
    np.savez(tmp_path / "x.npz", **files.smpl_arrays(55))
    with pytest.raises(
        ValueError, match=r"found \(55, 60\); SMPL-H and SMPL-X become .*convert.py"
    ):
        body.load_body(tmp_path / "x.npz")


_BAD = {
    "jaw on the neck": ((22, 12), "field kintree_table: wanted SMPL-X's tree"),
    "left finger on the right wrist": ((25, 21), "field kintree_table: wanted SMPL-X's tree"),
    "chain through another finger": ((28, 27), "field kintree_table: wanted SMPL-X's tree"),
    "weights": (np.zeros((60, 54)), r"field weights: wanted \(60, 55\) as of SMPL-X's 55 joints"),
    "posedirs": (np.zeros((60, 3, 459)), r"field posedirs: wanted \(60, 3, 486\)"),
    "J_regressor": (np.zeros((55, 59)), r"field J_regressor: wanted \(55, 60\)"),
    "shapedirs": (np.ones((60, 30)), "field shapedirs: wanted shape"),
}


@pytest.mark.parametrize("case", _BAD)
def test_another_body_of_55_joints_is_refused(tmp_path, case):
    change, message = _BAD[case]
    if isinstance(change, tuple):
        tree = files.smpl_arrays(55)["kintree_table"]
        tree[0, change[0]] = change[1]
        case, change = "kintree_table", tree
    _write(tmp_path / "x.npz", **{case: change})
    with pytest.raises(ValueError, match=message):
        smpl.convert_smpl(tmp_path / "x.npz", say=_silent)


# --- people --------------------------------------------------------------------------------------

PEOPLE = 5
JOINTS = {22: "SMPL-H or SMPL-X without hands", 52: "SMPL-H", 55: "SMPL-X"}


def _turns(joints, seed=0):
    """(N, joints, 3), every joint turned."""
    return np.random.default_rng(seed).normal(0, 0.3, (PEOPLE, joints, 3))


def _in_layout(turns, layout):
    matrices = Rotation.from_rotvec(turns.reshape(-1, 3)).as_matrix().reshape(*turns.shape, 3)
    return {
        "axis-angle": turns,
        "matrices": matrices,
        "6d-columns": np.swapaxes(matrices[..., :2], -1, -2),
        "6d-interleaved": matrices[..., :2],
        "6d-rows": matrices[..., :2, :],
    }[layout]


@pytest.mark.parametrize("joints", JOINTS)
@pytest.mark.parametrize("layout", get_args(pose_layouts.Layout))
def test_dumps_of_larger_poses_keep_22_joints_and_hands_rest(tmp_path, joints, layout):
    turns, betas = _turns(joints), np.ones((PEOPLE, 16))
    stored = _in_layout(turns, layout).astype(np.float32)
    np.savez(tmp_path / "d.npz", poses=stored.reshape(PEOPLE, -1), betas=betas)
    said = []
    found = generic.read_generic(tmp_path / "d.npz", layout=layout, say=said.append)
    wanted = np.tile(np.eye(3), (PEOPLE, 24, 1, 1))
    wanted[:, :22] = _in_layout(turns, "matrices")[:, :22]
    np.testing.assert_allclose(found["pose"], wanted, atol=1e-5)
    assert found["betas"].shape == (PEOPLE, 10)
    assert f"as of {JOINTS[joints]}: the first 22" in said[0]
    assert "Betas fit only the body that they are of" in said[0]
    if layout in ("axis-angle", "matrices"):  # What the size alone tells.
        again = generic.read_generic(tmp_path / "d.npz", say=_silent)
        np.testing.assert_array_equal(again["pose"], found["pose"])
    else:
        with pytest.raises(ValueError, match="wanted --layout for 144 numbers"):
            generic.read_generic(tmp_path / "d.npz", say=_silent)


def test_root_and_body_of_smplx_in_two_fields_are_joined(tmp_path):
    turns = _turns(22)
    parts = {"global_orient": turns[:, :1], "body_pose": turns[:, 1:].reshape(PEOPLE, 63)}
    np.savez(tmp_path / "d.npz", **parts, betas=np.ones((PEOPLE, 10)))
    found = generic.read_generic(tmp_path / "d.npz", say=_silent)
    np.testing.assert_allclose(found["pose"][:, :22], _in_layout(turns, "matrices"), atol=1e-5)
    with pytest.raises(ValueError, match=r"52 or 55 joints .* found 63; a body without its root"):
        generic.read_generic(tmp_path / "d.npz", pose_field="body_pose", say=_silent)


def test_one_person_of_smplx_has_no_axis_of_rows(tmp_path):
    turns = _turns(55)[0]
    for pose in (turns, turns.ravel()):
        np.savez(tmp_path / "d.npz", poses=pose, betas=np.ones(10))
        assert generic.read_generic(tmp_path / "d.npz", say=_silent)["pose"].shape == (1, 24, 3, 3)


@pytest.mark.parametrize("people", [22, 24, 52, 55])
def test_as_many_people_as_a_body_has_joints_are_no_single_person(tmp_path, people):
    turns = np.random.default_rng(0).normal(size=(people, 72)).astype(np.float32)
    parts = {"global_orient": turns[:, :3], "body_pose": turns[:, 3:], "betas": turns[:, :10]}
    lenses = np.broadcast_to(np.eye(3, dtype=np.float32), (people, 3, 3))
    np.savez(tmp_path / "d.npz", **parts, intrinsics=lenses)
    words = shlex.split(_inspected(tmp_path / "d.npz")["command"])
    assert words[words.index("--pose-field") + 1] == "global_orient+body_pose"
    assert len(generic.read_generic(tmp_path / "d.npz", say=_silent)["pose"]) == people
    with pytest.raises(ValueError, match="found 3"):
        generic.read_generic(tmp_path / "d.npz", pose_field="global_orient", say=_silent)


def test_a_layout_that_the_size_contradicts_is_refused_with_the_size_of_the_file(tmp_path):
    np.savez(tmp_path / "d.npz", poses=_turns(55).reshape(PEOPLE, -1))
    with pytest.raises(ValueError, match=r"wanted 216 numbers a row .* found 165"):
        generic.read_generic(tmp_path / "d.npz", layout="matrices", say=_silent)


def _inspected(path):
    look = recognise.look(path)
    return facts.of(look, *findings.of(look, None))


def test_inspect_names_the_command_for_dumps_of_smplx(tmp_path):
    turns = _turns(55)
    for poses in (turns, turns.reshape(PEOPLE, -1), _in_layout(turns, "matrices")):
        np.savez(tmp_path / "d.npz", poses=poses, betas=np.ones((PEOPLE, 10)))
        found = _inspected(tmp_path / "d.npz")
        words = shlex.split(found["command"])
        options = [words[words.index(name) + 1] for name in ("--pose-field", "--layout")]
        read = generic.read_generic(
            tmp_path / "d.npz", pose_field=options[0], layout=options[1], say=_silent
        )
        np.testing.assert_allclose(
            read["pose"][:, :22], _in_layout(turns, "matrices")[:, :22], atol=1e-5
        )
    np.savez(tmp_path / "d.npz", features=turns.reshape(PEOPLE, -1))
    assert _inspected(tmp_path / "d.npz")["format"] != "generic"


def test_betas_of_smplify_x_are_kept_where_they_are_asked_for(tmp_path):
    content = files_tracks.smplifyx_result(63)
    path = files_tracks.write_smplifyx(tmp_path, content)
    said = []
    found = smplifyx.read_smplifyx(path, keep_betas=True, say=said.append)
    np.testing.assert_array_equal(found["betas"], content["betas"])
    assert "kept, for a body of theirs" in said[0]


# --- the real size -------------------------------------------------------------------------------

VERTS = 10475


@pytest.fixture(scope="module")
def real_size(tmp_path_factory):
    """A random body with the sizes of SMPLX_NEUTRAL.npz, and what the converter makes of it."""
    folder, random = tmp_path_factory.mktemp("smplx"), np.random.default_rng(3)
    skin, regressor = np.zeros((VERTS, 55), np.float32), np.zeros((55, VERTS), np.float32)
    for weight in (0.6, 0.4):
        skin[np.arange(VERTS), random.integers(0, 55, VERTS)] += weight
        regressor[np.arange(55), random.integers(0, VERTS, 55)] += weight
    arrays = files.smpl_arrays(55, verts=12) | {
        "v_template": random.normal(0, 0.2, (VERTS, 3)),
        "shapedirs": random.normal(0, 0.02, (VERTS, 3, 20)),
        "posedirs": np.zeros((VERTS, 3, 486), np.float32),
        "J_regressor": regressor,
        "weights": skin,
    }
    arrays["posedirs"][::40] = random.normal(
        0, 0.002, (262, 3, 486)
    )  # Few, or to store them takes seconds.
    path = folder / "SMPLX_NEUTRAL.npz"
    np.savez(path, **arrays, **files.smplx_besides(12))
    records.save_arrays(folder / "body.npz", smpl.convert_smpl(path, say=_silent))
    return path, folder / "body.npz"


def test_vertices_and_joints_equal_smplx(real_size):
    source, converted = real_size
    random = np.random.default_rng(4)
    turns, betas = random.normal(0, 0.6, (2, 22, 3)), random.normal(size=(2, 10))
    turns[0, 0] = [np.pi, 0, 0]
    theirs = _theirs(source, turns, betas)
    rotation = np.tile(np.eye(3), (2, 24, 1, 1))
    rotation[:, :22] = Rotation.from_rotvec(turns.reshape(-1, 3)).as_matrix().reshape(2, 22, 3, 3)
    given = [jnp.asarray(x, jnp.float32) for x in (rotation, betas)]
    posed = _POSE(body.load_body(converted), *given)
    np.testing.assert_allclose(posed.vertices, theirs.vertices, atol=1e-5)
    shared = [*range(22), LEFT_MIDDLE, RIGHT_MIDDLE]
    np.testing.assert_allclose(posed.joints, theirs.joints[:, shared], atol=1e-5)
    regressor = body.load_regressor(converted, "openpose25")
    keypoints = np.einsum("kv,nvc->nkc", regressor, posed.vertices)
    names = skeleton.keypoint_set("openpose25")
    on_skin = "nose right_eye left_eye right_ear left_ear left_big_toe left_small_toe left_heel "
    on_skin = (on_skin + "right_big_toe right_small_toe right_heel").split()
    np.testing.assert_allclose(  # smplx appends them to its joints, in this order.
        keypoints[:, [names.index(name) for name in on_skin]], theirs.joints[:, 55:66], atol=1e-5
    )


def _theirs(path, turns, betas):
    with contextlib.redirect_stdout(io.StringIO()):  # It warns of ten betas.
        model = smplx.SMPLX(str(path), use_pca=False, flat_hand_mean=True, batch_size=len(turns))
    flat = torch.from_numpy(turns.astype(np.float32)).reshape(len(turns), -1)
    shape = torch.from_numpy(betas.astype(np.float32))
    with torch.no_grad():
        return model(betas=shape, global_orient=flat[:, :3], body_pose=flat[:, 3:])


def test_vertices_of_face_and_feet_are_those_of_smplx_in_every_set(real_size):
    names = {
        "nose": "nose", "reye": "right_eye", "leye": "left_eye", "rear": "right_ear", "lear": "left_ear",
        "LBigToe": "left_big_toe", "LSmallToe": "left_small_toe", "LHeel": "left_heel",
        "RBigToe": "right_big_toe", "RSmallToe": "right_small_toe", "RHeel": "right_heel",
    }  # fmt: skip
    for name in ("coco17", "halpe26", "openpose25"):
        keypoints = skeleton.keypoint_set(name)
        regressor = body.load_regressor(real_size[1], name)
        for theirs, ours in names.items():
            if ours in keypoints:
                row = regressor[keypoints.index(ours)]
                assert row.nonzero()[0].tolist() == [vertex_ids.vertex_ids["smplx"][theirs]]


def test_sets_that_need_a_regressor_are_refused_until_it_is_given_with_10475_columns(
    real_size, tmp_path
):
    source, converted = real_size
    with pytest.raises(ValueError, match=r"field regressor_h36m17: .*smpl --regressor NAME=FILE"):
        body.load_regressor(converted, "h36m17")
    rows = np.random.default_rng(5).random((17, VERTS)).astype(np.float32)
    np.save(tmp_path / "x.npy", rows)
    np.save(tmp_path / "smpl.npy", rows[:, :6890])
    clean = smpl.convert_smpl(converted, {"h36m17": tmp_path / "x.npy"}, say=_silent)
    np.testing.assert_array_equal(clean["regressor_h36m17"], rows)
    with pytest.raises(
        ValueError, match=r"h36m17: wanted shape \(17, 10475\), found \(17, 6890\).*SMPL-X's own"
    ):
        smpl.convert_smpl(source, {"h36m17": tmp_path / "smpl.npy"}, say=_silent)
