"""Model files and checkpoints of other programs: small ones with the keys, types and quirks of the real ones."""

import json
import pickle
import sys
import types
from pathlib import Path

import files_annotations as files
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import torch
from scipy import sparse
from scipy.spatial.transform import Rotation

from diffjax import annotate, body, checkpoint, pose, schedule, skeleton, unpickle
from diffjax.convert import model_files, scorehmr_model, scorehmr_weights, smpl, weights
from diffjax.data import records
from diffjax.denoisers import conditioned

pytestmark = pytest.mark.usefixtures("quick_to_compile")
_PARITY = Path(__file__).parent / "parity"


def _silent(_: str) -> None:
    pass


# --- bodies --------------------------------------------------------------------------------------


def _sparse_rows(rng, rows, columns):
    """Rows of two weights that sum to 1."""
    out = np.zeros((rows, columns))
    for row in out:
        row[rng.choice(columns, 2, replace=False)] = (0.25, 0.75)
    return out


def _smpl_arrays(rng, verts=60, betas=10):
    same = np.random.default_rng(7)  # One skin for all bodies: keypoints compile once.
    skin, regressor = _sparse_rows(same, verts, 24), _sparse_rows(same, 24, verts)
    tree = np.array([skeleton.SMPL_PARENTS, range(24)]).astype(np.uint32)
    return {
        "v_template": rng.normal(size=(verts, 3)) * 0.3,
        "shapedirs": rng.normal(size=(verts, 3, betas)) * 0.02,
        "posedirs": rng.normal(size=(verts, 3, 207)) * 0.01,
        "J_regressor": regressor,
        "weights": skin,
        "kintree_table": tree,
        "f": rng.integers(0, verts, (20, 3)).astype(np.uint32),
    }


def test_an_official_pickle_becomes_a_body(tmp_path, rng):
    arrays = _smpl_arrays(rng, betas=300)
    (tmp_path / "v1.1.pkl").write_bytes(pickle.dumps(arrays, 2))
    said = []
    records.save_arrays(
        tmp_path / "clean.npz", smpl.convert_smpl(tmp_path / "v1.1.pkl", say=said.append)
    )
    model = body.load_body(tmp_path / "clean.npz")
    assert model.parents == skeleton.SMPL_PARENTS
    np.testing.assert_allclose(model.shape_dirs, arrays["shapedirs"][..., :10], atol=1e-6)
    assert "300 components; the first 10" in said[0]
    with np.load(tmp_path / "clean.npz", allow_pickle=False) as clean:
        assert clean["kintree_table"][0, 0] == -1
    np.savez(tmp_path / "again.npz", **arrays)
    again = smpl.convert_smpl(tmp_path / "again.npz", say=_silent)
    np.testing.assert_array_equal(again["weights"], model.skin_weights)


def test_smpls_own_mesh_gets_keypoints_of_face_and_feet(tmp_path, rng):
    arrays = _smpl_arrays(rng, verts=6890)
    arrays["posedirs"] = np.zeros((6890, 3, 207), np.float32)
    np.savez(tmp_path / "smpl.npz", **arrays)
    clean = smpl.convert_smpl(tmp_path / "smpl.npz", say=_silent)
    points = clean["regressor_halpe26"] @ arrays["v_template"]
    joints = arrays["J_regressor"] @ arrays["v_template"]
    names = skeleton.KEYPOINT_SETS["halpe26"]
    index, smpl_index = names.index, skeleton.SMPL24.index
    np.testing.assert_allclose(points[index("nose")], arrays["v_template"][332], atol=1e-5)
    np.testing.assert_allclose(
        points[index("left_knee")], joints[smpl_index("left_knee")], atol=1e-5
    )
    shoulders = joints[[smpl_index("left_shoulder"), smpl_index("right_shoulder")]]
    np.testing.assert_allclose(points[index("neck")], shoulders.mean(0), atol=1e-5)
    assert points[index("head_top"), 1] == pytest.approx(arrays["v_template"][:, 1].max())
    for name in ("coco17", "openpose25"):
        assert clean[f"regressor_{name}"].shape == (len(skeleton.KEYPOINT_SETS[name]), 6890)


def test_spins_extra_joints_and_hmr2s_44(tmp_path, rng):
    """SMPL_to_J19.pkl is a pickled array; of the 44, neck and pelvis are SMPL's joints, not halfway ones."""
    arrays = _smpl_arrays(rng, verts=6890)
    np.savez(tmp_path / "smpl.npz", **arrays | {"posedirs": np.zeros((6890, 3, 207), np.float32)})
    j19 = rng.random((19, 6890))
    (tmp_path / "SMPL_to_J19.pkl").write_bytes(pickle.dumps(j19, 2))
    clean = smpl.convert_smpl(
        tmp_path / "smpl.npz", {"j19": tmp_path / "SMPL_to_J19.pkl"}, say=_silent
    )
    np.testing.assert_allclose(clean["regressor_j19"], j19, rtol=1e-6)
    all44 = clean["regressor_hmr44"]
    np.testing.assert_array_equal(all44[25:], clean["regressor_j19"])
    np.testing.assert_allclose(all44[[1, 8]], arrays["J_regressor"][[12, 0]], atol=1e-7)
    np.testing.assert_array_equal(all44[0], clean["regressor_openpose25"][0])
    records.save_arrays(tmp_path / "clean.npz", clean)
    rows = body.load_regressor(tmp_path / "clean.npz", "scorehmr17")
    np.testing.assert_allclose(rows, j19[[*range(13), 14, 16, 17, 18]], rtol=1e-6)


_BAD_BODIES = {
    "STAR": (lambda a: a.update(posedirs=np.zeros((60, 3, 93))), "STAR's betas live in another"),
    "MANO": (
        lambda a: a.update(kintree_table=np.zeros((2, 16))),
        r"wanted 24 joints of SMPL, 52 of SMPL-H or 55 of SMPL-X, found shape \(2, 16\)",
    ),
    "tree": (lambda a: a["kintree_table"].fill(0), "field kintree_table: wanted SMPL's tree"),
    "faces": (lambda a: a["f"].fill(60), "field f: wanted vertices 0 to 59, found 60"),
    "text": (lambda a: a.update(weights=np.array(["a"])), "field weights: wanted an array of"),
    "mm": (lambda a: a.update(v_template=a["v_template"] * 1000), "wanted a person of 0.3 to 3 m"),
    "nan": (lambda a: a["weights"].fill(np.nan), "field weights: wanted finite"),
    "shape": (
        lambda a: a.update(J_regressor=np.zeros((24, 59))),
        "field J_regressor: wanted shape",
    ),
    "missing": (lambda a: a.pop("f"), "field f: wanted an SMPL file"),
}


@pytest.mark.parametrize("case", _BAD_BODIES)
def test_other_bodies_are_refused(tmp_path, rng, case):
    change, message = _BAD_BODIES[case]
    arrays = _smpl_arrays(rng)
    change(arrays)
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        smpl.convert_smpl(tmp_path / "b.npz", say=_silent)


def test_a_regressor_must_fit_set_and_mesh(tmp_path):
    np.save(tmp_path / "r.npy", np.zeros((17, 59)))
    with pytest.raises(ValueError, match=r"wanted shape \(17, 60\), found \(17, 59\)"):
        smpl.load_regressor(tmp_path / "r.npy", "h36m17", 60)
    with pytest.raises(FileNotFoundError, match="no such regressor"):
        smpl.load_regressor(tmp_path / "none.npy", "h36m17", 60)
    (tmp_path / "r.pkl").write_bytes(pickle.dumps(np.ones((17, 60)), 2))
    assert smpl.load_regressor(tmp_path / "r.pkl", "h36m17", 60).shape == (17, 60)


def test_regressors_of_a_file_that_is_already_clean_are_kept(tmp_path, rng):
    own = rng.normal(size=(17, 60)).astype(np.float32)
    arrays = _smpl_arrays(rng) | {"regressor_h36m17": own, "regressor_odd": own}
    np.savez(tmp_path / "clean.npz", **arrays)
    said = []
    again = smpl.convert_smpl(tmp_path / "clean.npz", say=said.append)
    np.testing.assert_array_equal(again["regressor_h36m17"], own)
    assert "regressor_odd" not in again
    assert any("its own regressor_h36m17 are kept" in line for line in said)
    assert any("left out: odd" in line for line in said)
    np.save(tmp_path / "other.npy", own + 1)
    given = smpl.convert_smpl(
        tmp_path / "clean.npz", {"h36m17": tmp_path / "other.npy"}, say=_silent
    )
    np.testing.assert_array_equal(given["regressor_h36m17"], own + 1)
    np.savez(tmp_path / "clean.npz", **arrays | {"regressor_h36m17": own[:, :50]})
    with pytest.raises(ValueError, match=r"regressor h36m17: wanted shape \(17, 60\), found"):
        smpl.convert_smpl(tmp_path / "clean.npz", say=_silent)


def _pose24(clean, rotation, betas):
    model = body.body_from_arrays(
        clean["v_template"], clean["shapedirs"], clean["posedirs"], clean["J_regressor"],
        clean["weights"],
    )  # fmt: skip
    posed = body.pose_body(
        model, jnp.asarray(rotation, jnp.float32)[None], jnp.asarray(betas, jnp.float32)[None]
    )
    return np.asarray(posed.vertices[0])


def test_smplh_with_flat_fingers_is_exactly_the_24_joint_body(tmp_path, rng):
    arrays = files.smpl_arrays(52, betas=16)
    np.savez(tmp_path / "model.npz", **arrays, hands_meanl=np.ones(45), bs_style=np.array("lbs"))
    said = []
    clean = smpl.convert_smpl(tmp_path / "model.npz", say=said.append)
    assert "52 joints become SMPL's 24" in said[0]
    assert "16 components; the first 10" in said[1]
    assert clean["weights"].shape == (60, 24)
    np.testing.assert_allclose(clean["weights"].sum(1), 1, atol=1e-6)
    turn, betas = Rotation.random(22, random_state=1).as_matrix(), rng.normal(size=10)
    flat = np.tile(np.eye(3), (52, 1, 1))
    flat[:22] = turn
    wanted = files.posed(arrays, flat, np.r_[betas, np.zeros(6)])
    found = _pose24(clean, flat[:24], betas)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_smplh_hand_joints_are_the_middle_fingers_not_the_first_of_each_hand(tmp_path, rng):
    arrays = files.smpl_arrays(52)
    np.savez(tmp_path / "model.npz", **arrays)
    clean = smpl.convert_smpl(tmp_path / "model.npz", say=_silent)
    np.testing.assert_allclose(clean["J_regressor"][22], arrays["J_regressor"][25], atol=1e-6)
    np.testing.assert_allclose(clean["J_regressor"][23], arrays["J_regressor"][40], atol=1e-6)
    np.testing.assert_allclose(clean["weights"][:, 23], arrays["weights"][:, 37:].sum(1), atol=1e-6)
    assert not clean["posedirs"][..., 189:].any()


def test_another_tree_of_52_joints_is_refused(tmp_path, rng):
    arrays = files.smpl_arrays(52)
    arrays["kintree_table"][0, 25] = 21
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(ValueError, match="field kintree_table: wanted SMPL-H's tree"):
        smpl.convert_smpl(tmp_path / "model.npz", say=_silent)
    arrays = files.smpl_arrays(52) | {"weights": np.zeros((60, 51))}
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(ValueError, match=r"field weights: wanted \(60, 52\)"):
        smpl.convert_smpl(tmp_path / "model.npz", say=_silent)


@pytest.fixture
def chumpy(monkeypatch):
    """Classes of the names that official pickles hold; chumpy itself is not needed to read them."""
    modules = {
        name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")
    }
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select")):
        made = type(name, (), {"__module__": module})
        setattr(modules[module], name, made)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

    def ch(array):
        node = modules["chumpy.ch"].Ch()
        node.__dict__.update(x=array, _dirty_vars=set())
        return node

    def select(array):
        node = modules["chumpy.reordering"].Select()
        order = np.arange(array.size)
        node.__dict__.update(
            a=ch(array.ravel()[::-1]), idxs=order[::-1], preferred_shape=array.shape
        )
        return node

    return ch, select


def test_smplh_pickles_of_chumpy_select_nodes_are_read_without_chumpy(tmp_path, rng, chumpy):
    ch, select = chumpy
    arrays = files.smpl_arrays(52)
    stored = {
        **arrays,
        "J_regressor": sparse.csc_matrix(arrays["J_regressor"]),
        "shapedirs": ch(arrays["shapedirs"]),
        "v_template": select(arrays["v_template"]),
        "hands_meanl": ch(np.zeros(45)),
        "bs_type": "lrotmin",
    }
    (tmp_path / "SMPLH_MALE.pkl").write_bytes(pickle.dumps(stored, 2))
    clean = smpl.convert_smpl(tmp_path / "SMPLH_MALE.pkl", say=_silent)
    np.testing.assert_allclose(clean["v_template"], arrays["v_template"], atol=1e-6)
    np.testing.assert_allclose(clean["shapedirs"], arrays["shapedirs"], atol=1e-6)
    assert set(unpickle.SMPL_KEYS) == set(clean)


@pytest.mark.parametrize(("joints", "betas"), [(24, 10), (24, 300), (52, 16), (55, 20)])
def test_smplx_poses_the_same_body(tmp_path, rng, capsys, joints, betas):
    arrays = files.smpl_arrays(joints, betas=betas)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(arrays, 2))
    smpl.convert(tmp_path / "m.pkl", tmp_path / "body.npz", verify_with_smplx=True)
    assert "random bodies agree with smplx within" in capsys.readouterr().out
    assert body.load_body(tmp_path / "body.npz").parents == skeleton.SMPL_PARENTS


def test_a_body_that_smplx_poses_otherwise_is_not_written(tmp_path, rng, monkeypatch):
    arrays = files.smpl_arrays(24)
    np.savez(tmp_path / "m.npz", **arrays)

    clean = model_files.clean

    def wrong(arrays, where):
        return {**clean(arrays, where), "weights": np.float32(arrays["weights"][:, ::-1])}

    monkeypatch.setattr(model_files, "clean", wrong)
    with pytest.raises(ValueError, match="wanted the vertices that smplx poses, found them up to"):
        smpl.convert(tmp_path / "m.npz", tmp_path / "body.npz", verify_with_smplx=True)
    assert not (tmp_path / "body.npz").exists()


# --- DiffAnnot's checkpoint ----------------------------------------------------------------------


@pytest.fixture
def state():
    """The authors' state dict at width 8."""
    return files.diffannot_state(8)


def test_diffannot_weights_are_out_by_in_and_come_transposed(tmp_path, state):
    torch.save(state, tmp_path / "ema.pt")
    params = weights.load_diffannot_mlp(tmp_path / "ema.pt")
    x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    wanted = torch.nn.functional.linear(
        torch.from_numpy(x), state["module.2.weight"], state["module.2.bias"]
    )
    found = x @ params["layer_1"]["kernel"] + params["layer_1"]["bias"]
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
    assert list(params) == ["time_0", "time_1", "layer_0", "layer_1", "layer_2"]
    with pytest.raises(ValueError, match=r"wanted an input of 226.*found 8"):
        weights.diffannot_model(tmp_path / "ema.pt")


def test_the_authors_module_saved_by_torch_gives_the_authors_numbers_without_torch(
    tmp_path, monkeypatch
):
    """A module's own state dict is an OrderedDict with `_metadata`."""
    golden = np.load(_PARITY / "original_mlp_226.npz")
    module = torch.nn.Module()
    module.time_embed = torch.nn.Sequential(
        torch.nn.Linear(226, 226), torch.nn.SiLU(), torch.nn.Linear(226, 226)
    )
    module.module = torch.nn.Sequential(
        *(torch.nn.Linear(226, 226) if i % 2 == 0 else torch.nn.ReLU() for i in range(5))
    )
    theirs = {"time_0": "time_embed.0", "time_1": "time_embed.2", "layer_0": "module.0",
              "layer_1": "module.2", "layer_2": "module.4"}  # fmt: skip
    state = {
        f"{their}.{leaf}": torch.from_numpy(golden[f"{our}/{name}"].T.copy())
        for our, their in theirs.items()
        for name, leaf in (("kernel", "weight"), ("bias", "bias"))
    }
    module.load_state_dict(state)
    torch.save(module.state_dict(), tmp_path / "ema.pt")
    monkeypatch.setitem(sys.modules, "torch", None)  # An import of it fails from here on.
    weights.convert(tmp_path / "ema.pt", tmp_path / "model.npz")
    model = checkpoint.load_model(tmp_path / "model.npz", vector="rotmat226")
    assert model.run.model.legacy
    x, t = jnp.asarray(golden["x"]), jnp.asarray(golden["t"])
    eps = model.network.apply({"params": model.params}, x, t, None)
    np.testing.assert_allclose(eps, golden["y"], atol=1e-5)
    x_0 = checkpoint.denoiser(model)(x[:2], jnp.asarray([3, 3]), None)
    signal, noise = model.schedule.signal[3], model.schedule.noise[3]
    eps = model.network.apply({"params": model.params}, x[:2], jnp.asarray([3, 3]), None)
    np.testing.assert_allclose(x_0, (x[:2] - noise * eps) / signal, atol=1e-4)


def test_both_leftovers_of_diffannot_are_listed(tmp_path, state):
    state["head.weight"] = state.pop("module.4.weight")
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(
        ValueError,
        match=r"left over in the file: \['head.weight'\]; not filled: \['module.4.weight'\]",
    ):
        weights.convert(tmp_path / "m.pt", tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


_BAD_STATES = {
    "break": (lambda s: s.update({"module.2.weight": torch.zeros(8, 9)}),
              "found a break at module.0 to module.2"),
    "bias": (lambda s: s.update({"module.2.bias": torch.zeros(9)}),
             r"field module.2: wanted \(out, in\)"),
    "nan": (lambda s: s["module.2.bias"].fill_(float("nan")), "field module.2.bias: wanted finite"),
    "nested": (lambda s: s.update(module=dict(s)), r"save model\.state_dict\(\) alone"),
}  # fmt: skip


@pytest.mark.parametrize("case", _BAD_STATES)
def test_bad_diffannot_checkpoints_are_refused(tmp_path, state, case):
    change, message = _BAD_STATES[case]
    change(state)
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(ValueError, match=message) as error:
        weights.load_diffannot_mlp(tmp_path / "m.pt")
    assert str(tmp_path / "m.pt") in str(error.value)


def test_files_that_are_no_checkpoint_are_refused(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(pickle.dumps(Path("x")))
    with pytest.raises(ValueError, match=r"m\.pt: wanted"):
        weights.convert(path, tmp_path / "out.npz")
    torch.save({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"DiffAnnot .* or of ScoreHMR .*found \['conv1\.weight"):
        weights.convert(path, tmp_path / "out.npz")
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        weights.convert(tmp_path / "none.pt", tmp_path / "out.npz")


# --- ScoreHMR's checkpoint -----------------------------------------------------------------------


@pytest.fixture
def network_state():
    return files.network_state()


def test_scorehmrs_moving_average_is_taken_not_the_raw_weights(network_state):
    arrays = scorehmr_weights.arrays_of(
        _as_loaded(files.scorehmr_checkpoint(network_state)), "here"
    )
    facts = json.loads(str(arrays.pop("facts")))
    assert facts["schedule"] == "cosine"
    assert facts["steps"] == 1000
    assert facts["pose"] == {"size": 12, "hidden": 8, "depth": 3, "condition_size": 16}
    network = conditioned.ConditionedMLP(**facts["pose"])
    params = conditioned.params_of(arrays, "pose")
    with np.load(_PARITY / "scorehmr_network.npz") as golden:
        x, t, cond, eps = (jnp.asarray(golden[name]) for name in ("x", "t", "cond", "eps"))
    found = jax.jit(network.apply)({"params": params}, x, t.astype(jnp.int32), {"features": cond})
    np.testing.assert_allclose(found, eps, atol=1e-5)


def _as_loaded(content):
    """What `unpickle.load_torch` makes of it."""
    if isinstance(content, dict):
        return {name: _as_loaded(value) for name, value in content.items()}
    return content.numpy() if isinstance(content, torch.Tensor) else content


def _public_eps(state, x, t, seen, suffix=""):
    """The network by its published names and operations, in PyTorch."""
    functional, size = torch.nn.functional, x.shape[1]

    def linear(name, value):
        return functional.linear(value, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(name, value):
        known = (state[f"{name}.weight"], state[f"{name}.bias"])
        return functional.layer_norm(value, value.shape[-1:], *known)

    half = size // 2
    angle = t[:, None] * torch.exp(-torch.arange(half) * (np.log(10000.0) / (half - 1)))
    embedded = torch.cat([angle.sin(), angle.cos()], -1).float()
    embedded = functional.gelu(linear(f"time_mlp{suffix}.1", embedded))
    embedded = linear(f"time_mlp{suffix}.3", embedded)
    h = linear(f"init_mlp{suffix}", x)
    for i in range(
        sum(k.startswith(f"blocks{suffix}.") and k.endswith("mlp.1.bias") for k in state)
    ):
        block = f"blocks{suffix}.{i}"
        scale, shift = linear(f"{block}.mlp.1", functional.silu(embedded)).chunk(2, -1)
        h = h * (scale + 1) + shift
        u = norm(f"{block}.block.layer_norm1", torch.cat([h, seen], -1))
        u = norm(
            f"{block}.block.layer_norm2", functional.gelu(linear(f"{block}.block.linear_layer1", u))
        )
        h = h + functional.gelu(linear(f"{block}.block.linear_layer2", u))
    return linear(f"final_mlp{suffix}", h)


def _eps(model, x, t, features):
    """What a converted model says, features as they are in a set."""
    context = checkpoint.context(model, {"features": features}, "here")
    found = checkpoint.denoiser(model)(jnp.asarray(x), jnp.asarray(t), context)
    return schedule.eps_from_x0(model.schedule, jnp.asarray(x), jnp.asarray(t), found)


def test_a_converted_scorehmr_is_a_prior_that_says_what_the_public_network_says(tmp_path, capsys):
    state = files.pose_state()
    torch.save(files.scorehmr_checkpoint(state), tmp_path / "model-100.pt")
    stats, _ = files.write_statistics(tmp_path)
    weights.convert(tmp_path / "model-100.pt", tmp_path / "prior.npz", stats=stats)
    assert "--mode scorehmr --parts.prior" in capsys.readouterr().out
    model = annotate.load_prior(tmp_path / "prior.npz", tiny.bones(), conditioned=True).model
    assert model is not None
    assert model.run.model.condition == ("features",)
    assert (model.run.diffusion.schedule, model.run.diffusion.standardise) == ("cosine", False)
    random = np.random.default_rng(1)
    x, features = (random.normal(size=(3, n)).astype(np.float32) for n in (144, 16))
    t = np.array([50, 300, 900])
    known = np.load(stats)
    seen = (features - known["pose_feats_mean"]) / known["pose_feats_std"]
    wanted = _public_eps(state, *(torch.from_numpy(a) for a in (x, t, seen.astype(np.float32))))
    np.testing.assert_allclose(_eps(model, x, t, features), wanted, atol=1e-5)


def test_scorehmrs_betas_see_their_own_features_and_lie_between_minus_one_and_one(tmp_path):
    state = files.pose_state(condition=12) | files.pose_state(8, 8, 2, 10, "_betas")
    stats, betas = files.write_statistics(tmp_path, 12, 8)
    content = {name: value.numpy() for name, value in state.items()}
    model = scorehmr_model.model_of(content, "here", stats=stats, betas_stats=betas)
    assert model.run.model.vector == "sixd154"
    assert model.run.model.shape_features == 8
    random = np.random.default_rng(2)
    x, features = (random.normal(size=(3, n)).astype(np.float32) for n in (154, 20))
    t, known = np.array([10, 500, 990]), np.load(stats)
    parts = features[:, :12], features[:, 12:]
    seen = [
        torch.from_numpy(((f - known[f"{n}_mean"]) / known[f"{n}_std"]).astype(np.float32))
        for f, n in zip(parts, ("pose_feats", "cam_shape_feats"))
    ]
    times, noisy = torch.from_numpy(t), torch.from_numpy(x)
    wanted = [
        _public_eps(state, noisy[:, :144], times, seen[0]),
        _public_eps(state, noisy[:, 144:], times, seen[1], "_betas"),
    ]
    np.testing.assert_allclose(_eps(model, x, t, features), torch.cat(wanted, -1), atol=2e-5)
    low, high = np.full(10, -3.0, np.float32), np.arange(1.0, 11.0, dtype=np.float32)
    vector = np.concatenate([np.zeros(144, np.float32), high])
    np.testing.assert_allclose(
        pose.standardise(model.normaliser, jnp.asarray(vector))[144:], 1, atol=1e-6
    )
    vector[144:] = low
    np.testing.assert_allclose(
        pose.standardise(model.normaliser, jnp.asarray(vector))[144:], -1, atol=1e-6
    )


def test_scorehmrs_statistics_are_asked_for_not_guessed(tmp_path):
    content = {name: value.numpy() for name, value in files.pose_state().items()}
    stats, betas = files.write_statistics(tmp_path)
    with pytest.raises(
        ValueError, match=r"its 16 features, --stats pare_feat_stats.npz .* found neither"
    ):
        scorehmr_model.model_of(content, "here")
    with pytest.raises(ValueError, match="found both"):
        scorehmr_model.model_of(content, "here", stats=stats, raw_features=True)
    with pytest.raises(ValueError, match="leave --betas-stats out"):
        scorehmr_model.model_of(content, "here", stats=stats, betas_stats=betas)
    raw = scorehmr_model.model_of(content, "here", raw_features=True)
    assert raw.features is not None
    np.testing.assert_array_equal(raw.features.std, np.ones(16))
    np.savez(tmp_path / "prohmr.npz", mean=np.arange(16.0), std=np.full(16, 2.0))
    found = scorehmr_model.model_of(content, "here", stats=tmp_path / "prohmr.npz").features
    assert found is not None
    np.testing.assert_array_equal(found.mean, np.arange(16.0))
    with pytest.raises(
        ValueError, match=r"field pose_feats_mean: wanted 16 numbers.*found float64 \(9,\)"
    ):
        scorehmr_model.model_of(content, "here", stats=files.write_statistics(tmp_path, 9)[0])
    with pytest.raises(ValueError, match="field pose_feats_mean: wanted ScoreHMR's statistics"):
        scorehmr_model.model_of(content, "here", stats=betas)
    two = content | {k: v.numpy() for k, v in files.pose_state(16, 8, 2, 10, "_betas").items()}
    with pytest.raises(ValueError, match="range of the betas that it diffuses, found none"):
        scorehmr_model.model_of(two, "here", raw_features=True)


def test_a_scorehmr_network_that_is_over_no_pose_is_refused(network_state):
    bare = {name: value.numpy() for name, value in network_state.items()}
    with pytest.raises(
        ValueError, match=r"field init_mlp\.weight: wanted a network of 24 x 6 numbers"
    ):
        scorehmr_model.model_of(bare, "here", raw_features=True)


def test_scorehmrs_bare_network_is_recognised_too(network_state):
    bare = {name: value.numpy() for name, value in network_state.items()}
    arrays = scorehmr_weights.arrays_of(bare, "here")
    assert "schedule" not in json.loads(str(arrays["facts"]))
    np.testing.assert_array_equal(arrays["pose/inward/kernel"], bare["init_mlp.weight"].T)


def test_scorehmrs_shape_branch_is_a_network_of_its_own(network_state):
    betas = {
        (f"blocks_betas{name[6:]}" if name.startswith("blocks") else
         name.replace("_mlp", "_mlp_betas", 1)): value.numpy()
        for name, value in network_state.items()
    }  # fmt: skip
    bare = {name: value.numpy() for name, value in network_state.items()}
    arrays = scorehmr_weights.arrays_of(bare | betas, "here")
    np.testing.assert_array_equal(arrays["shape/block_2/film/bias"], bare["blocks.2.mlp.1.bias"])
    assert json.loads(str(arrays["facts"]))["shape"]["hidden"] == 8


def test_both_leftovers_of_scorehmr_are_listed(tmp_path, network_state):
    network_state["blocks.1.block.gate.weight"] = network_state.pop("blocks.1.mlp.1.weight")
    torch.save(files.scorehmr_checkpoint(network_state), tmp_path / "m.pt")
    with pytest.raises(
        ValueError,
        match=r"left over in the file: \['blocks.1.block.gate.weight'\]; "
        r"not filled: \['pose/block_1/film/kernel'\]",
    ):
        weights.convert(tmp_path / "m.pt", tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_unknown_names_around_scorehmrs_network_are_leftovers_too(tmp_path, network_state):
    content = files.scorehmr_checkpoint(network_state, betas_min=torch.zeros(10))
    content["scheduler"] = {}
    content["ema"]["online_model.other"] = torch.zeros(1)
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(
        ValueError, match=r"\['scheduler', 'online_model.other', 'betas_min'\]; not filled: none"
    ):
        weights.convert(tmp_path / "m.pt", tmp_path / "out.npz")


def test_scorehmr_weights_of_other_sizes_or_schedules_are_refused(network_state):
    bare = {name: value.numpy() for name, value in network_state.items()}
    bad = bare | {"blocks.2.block.linear_layer2.weight": np.zeros((12, 9), np.float32)}
    with pytest.raises(
        ValueError, match=r"field blocks.2.block.linear_layer2.weight: wanted \(8, 12"
    ):
        scorehmr_weights.arrays_of(bad, "here")
    with pytest.raises(ValueError, match="field alphas_cumprod: wanted a cosine or linear"):
        scorehmr_weights.arrays_of(bare | {"alphas_cumprod": np.linspace(1, 0, 50)}, "here")
    with pytest.raises(ValueError, match=r"not filled: .*inward/kernel"):
        scorehmr_weights.arrays_of({"init_mlp.weight": np.zeros(3, np.float32)}, "here")
    with pytest.raises(ValueError, match="wanted a dict of weights, found a list"):
        scorehmr_weights.arrays_of({"ema": []}, "here")
