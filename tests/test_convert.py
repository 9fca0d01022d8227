"""Converters: small files with the keys, types and quirks of the real ones."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from diffjax import body, checkpoint, skeleton
from diffjax.convert import humandata, motion, predictions, scorehmr_cache, smpl, weights
from diffjax.data import amass, records

_N = 6
_ROOT = Path(__file__).parent.parent


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


@pytest.fixture
def bodies(tmp_path, rng):
    """Paths of neutral, male and female bodies with an h36m17 regressor, made by the converter."""
    paths = {}
    for gender in ("neutral", "male", "female"):
        source, matrix = tmp_path / f"SMPL_{gender.upper()}.pkl", tmp_path / "J_regressor_h36m.npy"
        source.write_bytes(pickle.dumps(_smpl_arrays(np.random.default_rng(len(paths))), 2))
        np.save(matrix, _sparse_rows(np.random.default_rng(9), 17, 60))
        paths[gender] = tmp_path / f"{gender}.npz"
        clean = smpl.convert_smpl(source, {"h36m17": matrix}, say=_silent)
        records.save_arrays(paths[gender], clean)
    return paths


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


_BAD_BODIES = {
    "STAR": (lambda a: a.update(posedirs=np.zeros((60, 3, 93))), "STAR's betas live in another"),
    "SMPL-H": (lambda a: a.update(kintree_table=np.zeros((2, 52))), "wanted 24 joints, found 52"),
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


# --- mmhuman3d -----------------------------------------------------------------------------------


def _regressed(path, name, pose, betas):
    """Keypoints by way of the mesh."""
    arrays = (jnp.asarray(array, jnp.float32) for array in (pose, betas))
    posed = body.pose_body(body.load_body(path), *arrays)
    return body.load_regressor(path, name) @ np.asarray(posed.vertices)


def _case(rng, bodies):
    """Truth, and an estimate near it with the cached keypoints of the neutral body."""
    axis = rng.normal(0, 0.3, (_N, 24, 3))
    axis[:, 0, 1] += np.linspace(0, 5, _N)  # People face every way.
    pose = Rotation.from_rotvec(axis.reshape(-1, 3)).as_matrix().reshape(_N, 24, 3, 3)
    near = Rotation.from_rotvec(rng.normal(0, 0.1, (_N * 24, 3))).as_matrix().reshape(pose.shape)
    pred, betas = pose @ near, rng.normal(0, 1, (_N, 10))
    keypoints = _regressed(bodies["neutral"], "h36m17", pred, betas)
    result = {"keypoints": keypoints.tolist(), "poses": pred.tolist(), "betas": betas.tolist()}
    return result, axis, pose


def _human_data(path, axis, **changes):
    """As np.savez_compressed(path, **HumanData) writes it: dicts and numbers are object arrays."""
    betas = np.repeat(np.random.default_rng(5).normal(size=(2, 10)), _N // 2, 0)
    cam = {"H": 1920, "W": 1080, "in_mat": [[1961.0, 0, 540], [0, 1969, 960], [0, 0, 1]], "k1": 0.0}
    data = {
        "__key_strict__": np.array(False),
        "__data_len__": np.array(_N),
        "__keypoints_compressed__": np.array(False),
        "image_path": np.array([f"imageFiles/run_00/image_{i:05d}.jpg" for i in range(_N)]),
        "bbox_xywh": np.ones((_N, 5)),
        "config": np.array("pw3d"),
        "smpl": {"body_pose": axis[:, 1:], "global_orient": axis[:, 0], "betas": betas},
        "meta": {"gender": np.array(["m"] * (_N // 2) + ["f"] * (_N // 2))},
        "cam_param": np.array([cam] * _N, dtype=object),
        **changes,
    }
    np.savez_compressed(path, **{k: v for k, v in data.items() if v is not None})
    return path


@pytest.fixture
def pair(tmp_path, rng, bodies):
    result, axis, pose = _case(rng, bodies)
    path = tmp_path / "result_keypoints.json"
    path.write_text(json.dumps(result))
    return path, _human_data(tmp_path / "pw3d_test.npz", axis), pose


def test_mmhuman3d_is_joined_with_its_truth(pair, bodies):
    said = []
    found = predictions.from_mmhuman3d(
        pair[0],
        pair[1],
        body_path=bodies["neutral"],
        gendered_bodies={k: bodies[k] for k in ("male", "female")},
        say=said.append,
    )
    np.testing.assert_allclose(found.pose, pair[2], atol=1e-5)
    assert found.gender.tolist() == ["male"] * 3 + ["female"] * 3
    assert found.subject.tolist() == ["run_00:0"] * 3 + ["run_00:1"] * 3
    assert found.sequence.tolist() == ["run_00"] * _N
    np.testing.assert_array_equal(found.frame, np.arange(_N))
    np.testing.assert_array_equal(found.focal_px[0], [1961, 1969])
    np.testing.assert_array_equal(found.image_size_px[0], [1080, 1920])
    assert "mm (worst row" in said[0]


def test_the_joint_truth_is_of_the_gendered_body(pair, bodies):
    gendered = {k: bodies[k] for k in ("male", "female")}
    found = predictions.from_mmhuman3d(*pair[:2], gendered_bodies=gendered, say=_silent)
    joints = _regressed(bodies["female"], "h36m14", found.pose[-1], found.betas[-1])
    assert found.keypoints3d_set == "h36m14"
    np.testing.assert_allclose(found.keypoints3d[-1, :, :3], joints, atol=1e-5)
    assert found.keypoints3d[..., 3].all()
    with pytest.raises(ValueError, match=r"meta\.gender: .*\['female'\]; add the body"):
        predictions.from_mmhuman3d(*pair[:2], gendered_bodies={"male": bodies["male"]}, say=_silent)


def test_another_body_is_found_out(pair, bodies):
    with pytest.raises(ValueError, match=r"mm \(worst row.*within 1 mm.*--allow-mismatch"):
        predictions.from_mmhuman3d(*pair[:2], body_path=bodies["male"], say=_silent)
    said = []
    predictions.from_mmhuman3d(
        *pair[:2], body_path=bodies["male"], allow_mismatch=True, say=said.append
    )
    assert "(allowed mismatch)" in said[0]


def test_another_row_order_is_found_out(tmp_path, pair, rng):
    axis = Rotation.from_matrix(pair[2][::-1].reshape(-1, 3, 3)).as_rotvec().reshape(_N, 24, 3)
    other = _human_data(tmp_path / "shuffled.npz", axis)
    with pytest.raises(ValueError, match=r"degrees \(median root\), wanted the very file"):
        predictions.from_mmhuman3d(pair[0], other, say=_silent)


def _changed(key, value):
    return lambda result: result.update({key: value})


_BAD_RESULTS = {
    "mmpose": (lambda r: [{"keypoints": [[0, 0, 0]]}], "mmpose's file of that name"),
    "metrics": (lambda r: {"MPJPE": 1.0}, r"found MPJPE; tools/test\.py --out writes metrics only"),
    "count": (lambda r: {k: v[:-1] for k, v in r.items()}, "wanted 6 rows as in .*found 5"),
    "axis-angle": (_changed("poses", np.zeros((_N, 72)).tolist()), r"field poses: wanted \(N, 24"),
    "ragged": (_changed("betas", [[0.0] * 10] * 5 + [[0.0]]), "field betas: wanted numbers"),
    "stretched": (_changed("poses", np.full((_N, 24, 3, 3), 0.5).tolist()),
                  "pred_pose: wanted rotation matrices"),
    "not json": (lambda r: "{", None),
}  # fmt: skip


@pytest.mark.parametrize("case", _BAD_RESULTS)
def test_other_results_are_refused(pair, case):
    change, message = _BAD_RESULTS[case]
    result = json.loads(pair[0].read_text())
    changed = change(result)
    pair[0].write_text(changed if isinstance(changed, str) else json.dumps(changed or result))
    with pytest.raises(ValueError, match=message or "wanted JSON") as error:
        predictions.from_mmhuman3d(*pair[:2], allow_mismatch=True, say=_silent)
    assert str(pair[0]) in str(error.value)


def _compressed(rng, index, channels):
    """Only the columns of the mask, in the order of the 190 names."""
    mask = np.zeros(190, np.uint8)
    mask[list(index)] = 1
    full = np.zeros((_N, 190, channels))
    full[:, list(index)] = rng.uniform(10, 400, (_N, len(index), channels))
    full[..., -1] = mask
    return full, mask, full[:, mask == 1]


def test_mpi_inf_3dhp_keypoints_come_from_compressed_columns(tmp_path, rng):
    index = humandata._INDICES["mpii3d17"]
    full, mask, compressed = _compressed(rng, index, 3)
    path = _human_data(
        tmp_path / "mpi_inf_3dhp_test.npz",
        np.zeros((_N, 24, 3)),
        smpl=None,
        meta=None,
        __data_len__=None,
        __temporal_len__=np.array(_N),
        __keypoints_compressed__=np.array(True),
        image_path=np.array(
            [
                f"mpi_inf_3dhp_test_set/TS{1 + i // 3}/imageSequence/img_{i + 1:06d}.jpg"
                for i in range(_N)
            ]
        ),
        keypoints2d=compressed,
        keypoints2d_mask=mask,
        keypoints3d=compressed[..., [0, 1, 0, 2]] * [0.01, 0.01, 0.01, 1],
        keypoints3d_mask=mask.astype(int),
    )
    data = humandata.read_human_data(path)
    found = humandata.keypoints(data, "keypoints2d", None, str(path))
    assert found is not None
    assert found.name == "mpii3d17"
    np.testing.assert_allclose(found.values, full[:, list(index)], rtol=1e-6)
    named = humandata.keypoints(data, "keypoints3d", "h36m17", str(path))
    assert named is not None
    assert named.values.shape == (_N, 17, 4)
    with pytest.raises(ValueError, match="wanted coco17, found mpii3d17, h36m17, lsp14"):
        humandata.keypoints(data, "keypoints2d", "coco17", str(path))
    frames = humandata.frames(data["image_path"])
    assert frames.sequence.tolist() == ["TS1"] * 3 + ["TS2"] * 3
    np.testing.assert_array_equal(frames.frame, np.arange(1, _N + 1))


def test_every_set_lies_inside_the_190_names():
    for name, index in humandata._INDICES.items():
        assert len(set(index)) == len(skeleton.KEYPOINT_SETS[name])
        assert max(index) < 190
    h36m, mpii = humandata._INDICES["h36m17"], humandata._INDICES["mpii3d17"]
    shared = skeleton.keypoint_map("mpii3d17", "h36m17")
    assert [mpii[i] for i in shared] == list(h36m)


_BAD_HUMAN_DATA = {
    "no length": ({"__data_len__": None}, "field __data_len__: wanted a HumanData file"),
    "rows": ({"image_path": np.array(["a/1.jpg"])}, "field image_path: wanted 6 rows, found 1"),
    "old names": (
        {"keypoints2d": np.zeros((_N, 3, 3)), "keypoints2d_mask": np.ones(144)},
        "wanted a mask of 190 keypoints",
    ),
    "mask": (
        {"keypoints2d": np.zeros((_N, 3, 3)), "keypoints2d_mask": np.eye(1, 190)[0]},
        "values and mask are of different files",
    ),
    "no pose": ({"smpl": {"betas": np.zeros((_N, 10))}}, "field smpl.global_orient: .*nothing"),
    "gender": ({"meta": {"gender": ["x"] * _N}}, r"field meta\.gender"),
    "camera": (
        {"cam_param": np.array([{"H": 1}] * _N, dtype=object)},
        "field cam_param: .*no in_mat",
    ),
}


@pytest.mark.parametrize("case", _BAD_HUMAN_DATA)
def test_bad_human_data_is_refused(tmp_path, pair, case):
    changes, message = _BAD_HUMAN_DATA[case]
    path = _human_data(tmp_path / "bad.npz", np.zeros((_N, 24, 3)), **changes)
    with pytest.raises(ValueError, match=message) as error:
        predictions.from_mmhuman3d(pair[0], path, say=_silent)
    assert str(path) in str(error.value)


def test_rows_without_smpl_truth_leave_it_out(tmp_path, pair):
    path = _human_data(tmp_path / "h.npz", np.zeros((_N, 24, 3)), has_smpl=np.eye(1, _N)[0])
    said = []
    found = predictions.from_mmhuman3d(pair[0], path, say=said.append)
    assert found.pose is None
    assert any("has_smpl 0" in text for text in said)
    assert found.subject.tolist() == ["run_00"] * _N


# --- ScoreHMR ------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, rng):
    """A cache and the evaluation file it follows; images are 1080 x 1920."""
    axis = rng.normal(0, 0.3, (_N, 24, 3))
    pose = Rotation.from_rotvec(axis.reshape(-1, 3)).as_matrix().reshape(_N, 24, 3, 3)
    cam = np.concatenate([rng.uniform(0.6, 1, (_N, 1)), rng.normal(0, 0.1, (_N, 2))], -1)
    center, box = rng.uniform(300, 900, (_N, 2)), rng.uniform(200, 600, _N)
    scale = cam[:, :1] * box[:, None]
    shift = 2 * (center - np.array([540, 960])) / scale
    cam_t = np.concatenate([cam[:, 1:] + shift, 2 * 5000 / scale], -1)
    np.savez(
        tmp_path / "cache.npz",
        pred_pose=pose.astype(np.float32),
        pred_betas=np.zeros((_N, 10), np.float32),
        pred_cam=cam.astype(np.float32),
        pred_cam_t=cam_t.astype(np.float32),
    )
    evaluation = {
        "imgname": np.array([f"imageFiles/run_00/image_{i:05d}.jpg" for i in range(_N)]),
        "center": center,
        "scale": box,
        "body_pose": axis.reshape(_N, 72),
        "betas": np.zeros((_N, 10)),
        "has_body_pose": np.ones(_N),
        "body_keypoints_2d": np.full((_N, 25, 3), 99.0) * [1, 1, 0.01],
        "body_keypoints_3d": np.zeros((_N, 25, 4)),
        "extra_info": np.array([{"a": 1}] * _N, dtype=object),
    }
    np.savez(tmp_path / "3dpw_test.npz", **evaluation)
    return tmp_path / "cache.npz", tmp_path / "3dpw_test.npz", evaluation, pose


def test_a_scorehmr_cache_finds_its_images(cache):
    found = scorehmr_cache.from_scorehmr(*cache[:2], say=_silent)
    np.testing.assert_array_equal(found.image_size_px, np.tile([1080, 1920], (_N, 1)))
    np.testing.assert_array_equal(found.center_px, np.tile([540, 960], (_N, 1)))
    np.testing.assert_array_equal(found.focal_px, np.full((_N, 2), 5000))
    np.testing.assert_allclose(found.pose, cache[3], atol=1e-5)
    assert found.keypoints2d_set == "openpose25"
    assert found.keypoints3d is None
    assert found.frame.tolist() == list(range(_N))


def test_a_cache_of_other_rows_is_found_out(tmp_path, cache):
    other = {**cache[2], "center": cache[2]["center"][::-1]}
    np.savez(tmp_path / "other.npz", **other)
    with pytest.raises(ValueError, match=r"px from whole \(median\), wanted below"):
        scorehmr_cache.from_scorehmr(cache[0], tmp_path / "other.npz", say=_silent)
    found = scorehmr_cache.from_scorehmr(
        cache[0], tmp_path / "other.npz", allow_mismatch=True, say=_silent
    )
    assert found.image_size_px is None
    np.savez(tmp_path / "short.npz", **{**cache[2], "imgname": np.array(["a/1.jpg"])})
    with pytest.raises(ValueError, match=r"wanted 1 rows as in .*found 6"):
        scorehmr_cache.from_scorehmr(cache[0], tmp_path / "short.npz", say=_silent)


def test_a_cache_alone_is_an_annotation_set(cache):
    said = []
    found = scorehmr_cache.from_scorehmr(cache[0], say=said.append)
    assert found.pose is None
    assert "image size unknown" in said[0]
    sized = scorehmr_cache.from_scorehmr(cache[0], image_size_px=(1080.0, 1920.0), say=_silent)
    np.testing.assert_array_equal(sized.center_px[0], [540, 960])
    with pytest.raises(ValueError, match="field pred_pose: wanted ScoreHMR's prediction cache"):
        scorehmr_cache.from_scorehmr(cache[1], say=_silent)


# --- motion and weights --------------------------------------------------------------------------


def test_a_folder_of_motion_keeps_its_tree(tmp_path, rng):
    for name in ("a/walk.npz", "b/run.npz", "b/shape.npz"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            tmp_path / "in" / name,
            **({"betas": np.zeros(16)} if "shape" in name else {}),
            **({} if "shape" in name else {
                "poses": rng.normal(0, 0.2, (8, 156)), "trans": np.zeros((8, 3)),
                "mocap_framerate": 120.0, "gender": "male"}),
        )  # fmt: skip
    paths = motion.convert_motion(tmp_path / "in", tmp_path / "out", up="z", fps=30.0, say=_silent)
    assert paths == [tmp_path / "out" / "a" / "walk.npz", tmp_path / "out" / "b" / "run.npz"]
    found = amass.read_motion(paths[0])
    assert (len(found.poses), found.fps, found.gender) == (2, 30.0, "male")
    with pytest.raises(FileNotFoundError, match=r"wanted motion \.npz files, found none"):
        motion.convert_motion(tmp_path / "none", tmp_path / "out", up="y", say=_silent)


@pytest.fixture
def state():
    """The authors' state dict at width 8."""
    torch.manual_seed(0)
    shapes = {"time_embed": (0, 2), "module": (0, 2, 4)}
    return {
        f"{block}.{i}.{leaf}": torch.randn(*shape)
        for block, places in shapes.items()
        for i in places
        for leaf, shape in (("weight", (8, 8)), ("bias", (8,)))
    }


def test_the_authors_weights_give_the_authors_numbers(tmp_path, state):
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


def test_the_authors_weights_become_a_model_that_can_be_used(tmp_path):
    torch.manual_seed(0)
    names = [
        f"{block}.{i}"
        for block, places in {"time_embed": (0, 2), "module": (0, 2, 4)}.items()
        for i in places
    ]
    state = {f"{n}.weight": 0.05 * torch.randn(226, 226) for n in names} | {
        f"{n}.bias": torch.randn(226) for n in names
    }
    torch.save(state, tmp_path / "ema.pt")
    checkpoint.export(tmp_path / "model.npz", weights.diffannot_model(tmp_path / "ema.pt"))
    model = checkpoint.load_model(tmp_path / "model.npz", vector="rotmat226")
    assert model.run.model.legacy
    x, t = jnp.ones((2, 226)), jnp.asarray([3, 3])
    eps = model.network.apply({"params": model.params}, x, t, None)
    assert float(eps.min()) >= 0.0  # The authors' last layer.
    signal, noise = model.schedule.signal[3], model.schedule.noise[3]
    x_0 = checkpoint.denoiser(model)(x, t, None)
    np.testing.assert_allclose(x_0, (x - noise * eps) / signal, atol=1e-5)


def test_both_leftovers_are_listed(tmp_path, state):
    state["head.weight"] = state.pop("module.4.weight")
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(
        ValueError,
        match=r"left over in the file: \['head.weight'\]; not filled: \['module.4.weight'\]",
    ):
        weights.load_diffannot_mlp(tmp_path / "m.pt")


def test_bad_checkpoints_are_refused(tmp_path, state):
    path = tmp_path / "m.pt"
    torch.save({**state, "module.2.weight": torch.zeros(8, 9)}, path)
    with pytest.raises(ValueError, match=r"found a break at module.0 to module.2"):
        weights.load_diffannot_mlp(path)
    torch.save({**state, "module.2.bias": torch.zeros(9)}, path)
    with pytest.raises(ValueError, match=r"field module.2: wanted \(out, in\)"):
        weights.load_diffannot_mlp(path)
    torch.save({"model": state}, path)
    with pytest.raises(ValueError, match=r"save model\.state_dict\(\) alone"):
        weights.load_diffannot_mlp(path)
    path.write_bytes(pickle.dumps(Path("x")))
    with pytest.raises(ValueError, match="wanted a torch state dict of tensors"):
        weights.load_diffannot_mlp(path)
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        weights.load_diffannot_mlp(tmp_path / "none.pt")


# --- the script ----------------------------------------------------------------------------------


def test_the_script_converts_and_refuses_in_one_line(tmp_path, pair, bodies):
    script = [sys.executable, str(_ROOT / "scripts" / "convert.py")]
    out = tmp_path / "set.npz"
    args = ["mmhuman3d", "--result", pair[0], "--human-data", pair[1], "--out", out]
    run = subprocess.run([*script, *map(str, args)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert f"{out}: {_N} people" in run.stdout
    assert records.count(records.read(out)) == _N
    args[2] = pair[1]
    out.unlink()
    run = subprocess.run([*script, *map(str, args)], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert str(pair[1]) in run.stderr
    assert not out.exists()
