"""The body: laws, then smplx's torch layer as the oracle on the same file."""

import pickle
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import transform

from diffjax import body, config, rotations, skeleton


def random_input(batch, rng, angle=1.0):
    v = jnp.asarray(rng.normal(size=(*batch, 24, 3)) * angle, jnp.float32)
    return rotations.matrix_from_axis_angle(v), jnp.asarray(
        rng.normal(size=(*batch, 10)), jnp.float32
    )


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_zero_pose_is_the_template(toy_body, batch):
    eye = jnp.broadcast_to(jnp.eye(3), (*batch, 24, 3, 3))
    posed = body.pose_body(toy_body, eye, jnp.zeros((*batch, 10)))
    expected = jnp.broadcast_to(toy_body.template, posed.vertices.shape)
    np.testing.assert_allclose(posed.vertices, expected, atol=2e-6)
    np.testing.assert_allclose(
        posed.joints, jnp.broadcast_to(toy_body.joint_template, posed.joints.shape), atol=2e-6
    )


def test_root_rotation_rotates_about_the_pelvis_and_translation_is_last(toy_body, rng):
    matrices, betas = random_input((5,), rng)
    turn = jnp.asarray(transform.Rotation.from_rotvec([0.4, 1.0, -2.0]).as_matrix(), jnp.float32)
    still = body.pose_body(toy_body, matrices, betas)
    turned = body.pose_body(
        toy_body, matrices.at[:, 0].set(turn @ matrices[:, 0]), betas, jnp.asarray([1.0, 2.0, 3.0])
    )
    pelvis = still.joints[:, :1]
    shift = jnp.asarray([1.0, 2.0, 3.0])
    for a, b in ((turned.vertices, still.vertices), (turned.joints, still.joints)):
        np.testing.assert_allclose(a, (b - pelvis) @ turn.T + pelvis + shift, atol=1e-5)


def test_a_batch_is_its_samples_one_by_one(toy_body, rng):
    matrices, betas = random_input((4,), rng)
    together = body.pose_body(toy_body, matrices, betas)
    for i in range(4):
        alone = body.pose_body(toy_body, matrices[i], betas[i])
        np.testing.assert_allclose(together.vertices[i], alone.vertices, atol=1e-6)


def test_pose_joints_are_the_joints_of_the_body(toy_body, rng):
    matrices, betas = random_input((3,), rng)
    np.testing.assert_allclose(
        body.pose_joints(toy_body, matrices, betas),
        body.pose_body(toy_body, matrices, betas).joints,
        atol=1e-6,
    )


def test_bones_keep_their_length(toy_body, rng):
    matrices, _ = random_input((20,), rng)
    joints = np.asarray(body.pose_joints(toy_body, matrices, jnp.zeros((20, 10))))
    parents = np.asarray(skeleton.SMPL_PARENTS[1:])
    length = np.linalg.norm(joints[:, 1:] - joints[:, parents], axis=-1)
    np.testing.assert_allclose(length, np.broadcast_to(length[0], length.shape), atol=1e-5)


def test_folded_keypoints_equal_the_mesh_path(toy_body, rng):
    regressor = rng.random((17, 60)) ** 6
    regressor[regressor < 0.1] = 0
    regressor /= regressor.sum(1, keepdims=True) + 1e-9
    folded = body.fold_keypoints(toy_body, regressor)
    matrices, betas = random_input((2, 3), rng)
    mesh = body.pose_body(toy_body, matrices, betas).vertices
    expected = jnp.einsum("kv,...vc->...kc", jnp.asarray(regressor, jnp.float32), mesh)
    np.testing.assert_allclose(body.pose_keypoints(folded, matrices, betas), expected, atol=1e-5)


def textbook(model, matrices, betas):
    """SMPL's Eqs. 2-10 for one person, joint by joint, in NumPy float64."""
    names = ("template", "shape_dirs", "pose_dirs", "joint_template", "joint_dirs", "skin_weights")
    template, shape, pose, joints, joint_dirs, skin = (
        np.asarray(getattr(model, name), np.float64) for name in names
    )
    joints = joints + joint_dirs @ betas
    rest = template + shape @ betas
    if pose.shape[-1]:
        rest = rest + pose @ (matrices[1:] - np.eye(3)).ravel()
    world, place = [matrices[0]], [joints[0]]
    for j, parent in list(enumerate(model.parents))[1:]:
        world.append(world[parent] @ matrices[j])
        place.append(place[parent] + world[parent] @ (joints[j] - joints[parent]))
    world, place = np.stack(world), np.stack(place)
    local = np.einsum("jab,vjb->vja", world, rest[:, None] - joints) + place
    return place, np.einsum("vj,vja->va", skin, local)


@pytest.fixture(scope="module")
def larger_body():
    """More vertices than a tile, not a whole number of tiles."""
    random = np.random.default_rng(3)
    skin, regressor = (random.random(shape) ** 8 + 1e-9 for shape in ((600, 24), (24, 600)))
    return body.body_from_arrays(
        template=random.normal(size=(600, 3)) * 0.5,
        shape_dirs=random.normal(size=(600, 3, 10)) * 0.02,
        pose_dirs=random.normal(size=(600, 3, 207)) * 0.01,
        joint_regressor=regressor / regressor.sum(1, keepdims=True),
        skin_weights=skin / skin.sum(1, keepdims=True),
    )


@pytest.mark.parametrize("batch", [1, 20, 150])
def test_chunks_and_tiles_give_the_textbook_body(larger_body, rng, batch):
    matrices, betas = random_input((batch,), rng)
    posed = jax.jit(body.pose_body)(larger_body, matrices, betas)
    for i in (0, batch // 2, batch - 1):
        exact = (np.asarray(x[i], np.float64) for x in (matrices, betas))
        joints, vertices = textbook(larger_body, *exact)
        np.testing.assert_allclose(posed.joints[i], joints, atol=2e-6)
        np.testing.assert_allclose(posed.vertices[i], vertices, atol=3e-6)


def test_the_gradient_through_chunks_and_tiles_is_that_of_every_sample(larger_body, rng):
    matrices, betas = random_input((130,), rng)

    def loss(matrices, betas):
        return jnp.sum(body.pose_body(larger_body, matrices, betas).vertices ** 2)

    gradient = jax.jit(jax.grad(loss, (0, 1)))
    together = gradient(matrices, betas)
    for i in (0, 77, 129):
        alone = gradient(matrices[i], betas[i])
        for a, b in zip(together, alone):
            np.testing.assert_allclose(a[i], b, atol=1e-5 * float(jnp.abs(b).max()))


def test_a_body_without_pose_blend_shapes_carries_none(toy_body, rng):
    matrices, betas = random_input((5,), rng)
    arrays = [np.asarray(getattr(toy_body, n)) for n in ("template", "shape_dirs", "pose_dirs")]
    rest = [np.asarray(x) for x in (toy_body.joint_regressor, toy_body.skin_weights)]
    bare = body.body_from_arrays(arrays[0], arrays[1], 0.0 * arrays[2], *rest)
    assert bare.pose_dirs.shape == (60, 3, 0)
    folded = body.fold_keypoints(bare, rest[0][:3])
    posed = body.pose_body(bare, matrices, betas)
    _, vertices = textbook(bare, *(np.asarray(x[2], np.float64) for x in (matrices, betas)))
    np.testing.assert_allclose(posed.vertices[2], vertices, atol=3e-6)
    np.testing.assert_allclose(
        body.pose_keypoints(folded, matrices, betas)[2], rest[0][:3] @ vertices, atol=3e-6
    )


@pytest.mark.parametrize("function", ["pose_joints", "pose_keypoints"])
def test_points_work_under_jit_vmap_loops_and_forward_differentiation(toy_body, rng, function):
    regressor = np.eye(60)[:5]
    model = toy_body if function == "pose_joints" else body.fold_keypoints(toy_body, regressor)
    pose = getattr(body, function)
    matrices, betas = random_input((3, 2), rng)
    expected = pose(model, matrices, betas)
    mapped = jax.vmap(lambda r, b: pose(model, r, b), in_axes=1, out_axes=1)(matrices, betas)
    np.testing.assert_allclose(mapped, expected, atol=1e-6)
    looped = jax.jit(lambda r, b: jax.lax.map(lambda x: pose(model, *x), (r, b)))(matrices, betas)
    np.testing.assert_allclose(looped, expected, atol=1e-6)
    _, forward = jax.jvp(lambda b: pose(model, matrices, b), (betas,), (betas,))
    _, back = jax.vjp(lambda b: pose(model, matrices, b), betas)
    np.testing.assert_allclose(
        jnp.sum(forward * expected), jnp.sum(back(expected)[0] * betas), rtol=1e-4
    )
    assert pose(model, matrices[:0], betas[:0]).shape == (0, *expected.shape[1:])


def test_float64_gives_float64(toy_body, rng):
    matrices, betas = random_input((4,), rng)
    folded = body.fold_keypoints(toy_body, np.eye(60)[:5])
    with jax.enable_x64(True):
        exact = [jnp.asarray(np.asarray(x, np.float64)) for x in (matrices, betas)]
        posed = body.pose_body(toy_body, *exact)
        points = body.pose_keypoints(folded, *exact)
    assert posed.vertices.dtype == points.dtype == np.float64
    _, vertices = textbook(toy_body, *(np.asarray(x[1]) for x in exact))
    np.testing.assert_allclose(posed.vertices[1], vertices, atol=1e-6)
    np.testing.assert_allclose(points[1], vertices[:5], atol=1e-6)


def test_keypoints_of_a_sample_are_the_same_bits_in_any_batch_of_64_or_more(toy_body, rng):
    folded = body.fold_keypoints(toy_body, np.abs(rng.normal(size=(14, 60))) / 60)
    matrices, betas = random_input((256,), rng)
    keypoints = jax.jit(body.pose_keypoints)
    whole = np.asarray(keypoints(folded, matrices, betas))
    for size in (64, 128):
        for first in range(0, 256, size):
            part = slice(first, first + size)
            np.testing.assert_array_equal(
                keypoints(folded, matrices[part], betas[part]), whole[part]
            )


@pytest.mark.parametrize("angle", [0.0, 1e-8, np.pi])
def test_gradients_are_finite_at_special_angles(toy_body, angle):
    v = jnp.zeros((2, 24, 3)).at[..., 1].set(angle)

    def loss(v, betas):
        posed = body.pose_body(toy_body, rotations.matrix_from_axis_angle(v), betas)
        return jnp.sum(posed.vertices**2) + jnp.sum(posed.joints**2)

    for gradient in jax.grad(loss, argnums=(0, 1))(v, jnp.zeros((2, 10))):
        assert np.isfinite(gradient).all()


@pytest.fixture(scope="module")
def smplx_pair(tmp_path_factory):
    """One official-style pickle with seeded pose blend shapes, read by us and by smplx."""
    import smplx

    with np.load(config.locate("converted_weights/open_body.npz")) as file:
        arrays = {
            k: file[k]
            for k in ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")
        }
    arrays = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    random = np.random.default_rng(5)
    arrays["posedirs"] = random.normal(size=(len(arrays["v_template"]), 3, 207)) * 0.01
    path = tmp_path_factory.mktemp("smpl") / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    from smplx import vertex_ids

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = smplx.SMPLLayer(
            str(path), vertex_ids=dict.fromkeys(vertex_ids.vertex_ids["smplh"], 0), gender="neutral"
        )
    return body.load_body(path), layer


def test_vertices_joints_and_gradients_equal_smplx(smplx_pair, rng):
    import torch

    model, layer = smplx_pair
    matrices, betas = random_input((6,), rng, angle=0.8)
    pull = rng.normal(size=(6, *model.template.shape)).astype(np.float32)
    tensors = [torch.tensor(np.array(x), requires_grad=True) for x in (matrices, betas)]
    out = layer(
        global_orient=tensors[0][:, :1], body_pose=tensors[0][:, 1:], betas=tensors[1],
        transl=torch.tensor([[0.1, 0.2, 3.0]]).expand(6, 3),
    )  # fmt: skip
    posed = body.pose_body(model, matrices, betas, jnp.asarray([0.1, 0.2, 3.0]))
    np.testing.assert_allclose(posed.vertices, out.vertices.detach(), atol=1e-5)
    np.testing.assert_allclose(posed.joints, out.joints[:, :24].detach(), atol=1e-5)

    (out.vertices * torch.tensor(pull)).mean().backward()
    ours = jax.grad(
        lambda r, b: jnp.mean(body.pose_body(model, r, b).vertices * pull), argnums=(0, 1)
    )(matrices, betas)
    for gradient, tensor in zip(ours, tensors):
        np.testing.assert_allclose(
            gradient, tensor.grad, atol=1e-4 * float(tensor.grad.abs().max())
        )


def test_a_missing_body_says_where_one_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="open_body"):
        body.load_body(tmp_path / "SMPL_NEUTRAL.npz")


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("weights", np.ones((60, 55)), r"\(60, 55\)"),
        ("v_template", np.full((60, 3), np.nan), "NaN"),
        ("shapedirs", np.zeros((60, 3, 2)), r"\(60, 3, 2\)"),
        ("J_regressor", None, "nothing"),
    ],
)
def test_a_broken_body_is_refused_with_field_and_finding(tmp_path, toy_body, field, value, found):
    arrays = {
        "v_template": np.asarray(toy_body.template), "shapedirs": np.asarray(toy_body.shape_dirs),
        "J_regressor": np.asarray(toy_body.joint_regressor), "weights": np.asarray(toy_body.skin_weights),
        "kintree_table": np.stack([np.uint32([2**32 - 1, *skeleton.SMPL_PARENTS[1:]]), np.arange(24)]),
    }  # fmt: skip
    np.savez(tmp_path / "good.npz", **arrays)
    body.load_body(tmp_path / "good.npz")
    if value is None:
        del arrays[field]
    else:
        arrays[field] = value
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=f"bad.npz: field {field}.*{found}"):
        body.load_body(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("faces", "found"),
    [
        (None, "nothing"),
        (np.zeros((4, 4), int), r"int64 of \(4, 4\)"),
        (np.full((2, 3), 0.5), "float64"),
        (np.full((2, 3), np.nan), "float64"),
        (np.full((2, 3), np.inf), "float64"),
        (np.array([["a", "b", "c"]]), "<U1"),
    ],
)
def test_a_body_without_triangles_says_so(tmp_path, faces, found):
    np.savez(tmp_path / "bare.npz", **({} if faces is None else {"f": faces}), weights=np.zeros(2))
    with pytest.raises(ValueError, match=f"bare.npz: field f: wanted .*{found}.*convert.py smpl"):
        body.load_faces(tmp_path / "bare.npz")


def test_a_file_that_is_no_body_is_named(tmp_path):
    for name, content in (("text.npz", b"not a body"), ("text.txt", b"pose"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}: wanted a body"):
            body.load_body(tmp_path / name)
