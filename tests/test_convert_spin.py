"""HMR2, ScoreHMR and SPIN, and the writers: each test's name is the trap."""

import zipfile

import files_mmhuman3d as files
import numpy as np
import pytest
import tiny
from files_mmhuman3d import ROWS, silent
from scipy.spatial.transform import Rotation

from diffjax import skeleton
from diffjax.convert import (
    crops,
    hmr2_evaluation,
    humandata,
    j24,
    scorehmr_cache,
    spin,
    spin_result,
    to_humandata,
    to_spin,
)
from diffjax.data import records


def _apart(a, b) -> float:
    """Largest angle (rad) between rotations."""
    product = np.asarray(a, np.float64) @ np.swapaxes(np.asarray(b, np.float64), -1, -2)
    return float(Rotation.from_matrix(product.reshape(-1, 3, 3)).magnitude().max())


@pytest.fixture
def bodies(tmp_path):
    names = ("neutral", "male", "female")
    return {n: files.write_body(tmp_path / f"{n}.npz", seed) for seed, n in enumerate(names)}


# --- ScoreHMR, HMR2 ------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path):
    evaluation = files.hmr2(tmp_path / "3dpw_test.npz")
    path = files.scorehmr(tmp_path / "cache.npz", evaluation)
    return path, tmp_path / "3dpw_test.npz", evaluation


def test_a_scorehmr_cache_finds_its_images(cache):
    found = scorehmr_cache.from_scorehmr(*cache[:2], say=silent)
    np.testing.assert_array_equal(found.image_size_px, np.tile([1080, 1920], (ROWS, 1)))
    np.testing.assert_array_equal(found.center_px, np.tile([540, 960], (ROWS, 1)))
    np.testing.assert_array_equal(found.focal_px, np.full((ROWS, 2), 5000))
    np.testing.assert_allclose(found.pose, files.matrices(files.people()[0]), atol=1e-5)
    assert found.keypoints2d_set == "openpose25"
    assert found.frame.tolist() == list(range(ROWS))


def test_a_cache_of_other_rows_is_found_out(tmp_path, cache):
    other = {**cache[2], "center": cache[2]["center"][::-1]}
    np.savez(tmp_path / "other.npz", **other)
    with pytest.raises(ValueError, match=r"px from whole \(90 of 100\), wanted below"):
        scorehmr_cache.from_scorehmr(cache[0], tmp_path / "other.npz", say=silent)
    found = scorehmr_cache.from_scorehmr(
        cache[0], tmp_path / "other.npz", allow_mismatch=True, say=silent
    )
    assert found.image_size_px is None
    np.savez(tmp_path / "short.npz", **{**cache[2], "imgname": np.array(["a/1.jpg"])})
    with pytest.raises(ValueError, match=r"wanted 1 rows as in .*found 6"):
        scorehmr_cache.from_scorehmr(cache[0], tmp_path / "short.npz", say=silent)


def test_a_cache_alone_is_an_annotation_set(cache):
    said = []
    found = scorehmr_cache.from_scorehmr(cache[0], say=said.append)
    assert found.pose is None
    assert "image size unknown" in said[0]
    sized = scorehmr_cache.from_scorehmr(cache[0], image_size_px=(1080.0, 1920.0), say=silent)
    np.testing.assert_array_equal(sized.center_px[0], [540, 960])
    with pytest.raises(ValueError, match="field pred_pose: wanted ScoreHMR's prediction cache"):
        scorehmr_cache.from_scorehmr(cache[1], say=silent)


def test_pares_features_are_channel_major_and_proven_by_its_poses(tmp_path, cache):
    path, said = files.pare(tmp_path / "pare.npz"), []
    found = scorehmr_cache.from_scorehmr(*cache[:2], features=path, say=said.append)
    stored = np.load(path)["pose_feats"]
    np.testing.assert_array_equal(found.features, stored.reshape(ROWS, 3072))
    assert found.features[2, 5 * 24 + 7] == stored[2, 5, 7]
    assert any("its own estimates: estimate and truth differ by 0 degrees" in s for s in said)
    both = scorehmr_cache.from_scorehmr(
        *cache[:2], features=path, shape_features=True, say=silent
    ).features
    assert both.shape == (ROWS, 4608)
    np.testing.assert_array_equal(both[:, :3072], found.features)
    turned = files.pare(tmp_path / "axes.npz", pose_feats=stored.transpose(0, 2, 1))
    with pytest.raises(ValueError, match=r"wanted \(N, channels, 24\), found \(6, 24, 128\)"):
        scorehmr_cache.from_scorehmr(cache[0], features=turned, say=silent)
    short = files.pare(tmp_path / "short.npz", pose_feats=stored[1:])
    with pytest.raises(ValueError, match="field pose_feats: wanted 6 rows"):
        scorehmr_cache.from_scorehmr(cache[0], features=short, say=silent)
    poses = files.matrices(files.people()[0]).astype(np.float32)
    poses[:, 0] = poses[:, 0] @ np.diag([-1, 1, -1]).astype(np.float32)
    other = files.pare(tmp_path / "other.npz", pred_pose=poses)
    with pytest.raises(ValueError, match="differ by 180 degrees"):
        scorehmr_cache.from_scorehmr(cache[0], features=other, say=silent)
    with pytest.raises(ValueError, match="field pose_feats: wanted them; give --features"):
        scorehmr_cache.from_scorehmr(cache[0], shape_features=True, say=silent)
    with pytest.raises(ValueError, match="field pose_feats: wanted PARE's cached features"):
        scorehmr_cache.from_scorehmr(cache[0], features=cache[0], say=silent)


def test_prohmrs_features_have_no_poses_beside_them(tmp_path, cache):
    features, said = np.ones((ROWS, 2048), np.float32), []
    np.savez(tmp_path / "prohmr.npz", img_feats=features)
    found = scorehmr_cache.from_scorehmr(
        cache[0], features=tmp_path / "prohmr.npz", say=said.append
    )
    np.testing.assert_array_equal(found.features, features)
    assert any("nothing in the file proves it" in text for text in said)


def test_pares_cache_is_a_set_to_train_on_without_a_place(tmp_path, cache):
    path = files.pare(tmp_path / "pare.npz")
    found = scorehmr_cache.from_scorehmr(path, cache[1], say=silent)
    assert found.features.shape == (ROWS, 3072)
    assert found.pose is not None
    assert found.pred_cam_t is None
    placed = scorehmr_cache.from_scorehmr(
        path, cache[1], image_size_px=(1080.0, 1920.0), say=silent
    )
    depth = 2 * 5000 / (0.8 * cache[2]["scale"])
    np.testing.assert_allclose(placed.pred_cam_t[:, 2], depth, rtol=1e-4)


def test_hmr2_scale_is_in_pixels_and_body_pose_holds_the_root(tmp_path):
    stored, said = files.hmr2(tmp_path / "e.npz"), []
    found = hmr2_evaluation.read_hmr2_evaluation(tmp_path / "e.npz", say=said.append)
    side = stored["scale"][:, None].repeat(2, 1)
    wanted = np.concatenate([stored["center"] - side / 2, side], -1)
    np.testing.assert_allclose(found["bbox_px"], wanted, rtol=1e-5)
    assert any("in pixels" in text for text in said)
    assert _apart(found["pose"], files.matrices(files.people()[0])) < 1e-5
    assert (found["keypoints2d_set"], found["labels2d_set"]) == ("openpose25", "lsp14")
    assert found["keypoints3d_set"] == "h36m17"


@pytest.mark.parametrize("columns", [1, 2])
def test_hmr2_scale_may_have_columns(tmp_path, columns):
    scale = np.tile([[150.0, 200.0][-columns:]], (ROWS, 1))
    files.hmr2(tmp_path / "e.npz", scale=scale)
    found = hmr2_evaluation.read_hmr2_evaluation(tmp_path / "e.npz", say=silent)
    np.testing.assert_array_equal(found["bbox_px"][:, 2:], np.full((ROWS, 2), 200))


def test_hmr2_rows_without_truth_leave_it_out(tmp_path):
    files.hmr2(tmp_path / "e.npz", has_betas=np.eye(1, ROWS)[0])
    said = []
    found = hmr2_evaluation.read_hmr2_evaluation(tmp_path / "e.npz", say=said.append)
    assert "pose" not in found
    assert any("no SMPL truth" in text for text in said)


# --- SPIN ----------------------------------------------------------------------------------------


def test_spin_gender_as_bytes_is_not_female(tmp_path):
    path = files.spin_data(tmp_path / "s.npz", gender=np.array([b"m", b"f"] * 3))
    found = spin.read_spin(path, say=silent)
    assert found["gender"].tolist() == ["male", "female"] * 3


def test_spin_image_names_as_bytes_are_text(tmp_path):
    names = np.array([f"imageFiles/run_00/image_{i:05d}.jpg".encode() for i in range(ROWS)])
    found = spin.read_spin(files.spin_data(tmp_path / "s.npz", imgname=names), say=silent)
    assert found["image"][1] == "imageFiles/run_00/image_00001.jpg"
    assert found["frame"].tolist() == list(range(ROWS))


def test_spin_absent_keys_are_absent_supervision(tmp_path):
    absent = dict.fromkeys(("part", "openpose", "pose", "shape", "has_smpl", "gender"))
    found = spin.read_spin(files.spin_data(tmp_path / "s.npz", **absent), say=silent)
    assert set(found) == {
        *("bbox_px", "keypoints3d", "keypoints3d_set", "image", "sequence", "subject", "frame"),
    }


def test_spin_missing_has_smpl_with_poses_means_all(tmp_path):
    found = spin.read_spin(files.spin_data(tmp_path / "s.npz", has_smpl=None), say=silent)
    assert _apart(found["pose"], files.matrices(files.people()[0])) < 1e-5


def test_spin_has_smpl_is_per_row(tmp_path):
    path = files.spin_data(tmp_path / "s.npz", has_smpl=np.array([1, 0, 1, 1, 1, 1]))
    assert "pose" not in spin.read_spin(path, say=silent)
    kept = spin.read_spin(path, "estimate", smpl_only=True, say=silent)
    np.testing.assert_array_equal(kept["frame"], [0, 2, 3, 4, 5])
    assert kept["pred_pose"].shape == (5, 24, 3, 3)
    with pytest.raises(ValueError, match="field has_smpl: wanted 1 in every row, found 0 in 1"):
        spin.read_spin(path, "estimate", say=silent)


@pytest.mark.parametrize(
    ("scale", "side", "meaning"), [(2.5, 500.0, "the crop's side / 200"), (500.0, 500.0, "pixels")]
)
def test_spin_scale_is_told_from_pixels_by_value(tmp_path, scale, side, meaning):
    path, said = files.spin_data(tmp_path / "s.npz", scale=np.full(ROWS, scale)), []
    found = spin.read_spin(path, say=said.append)
    np.testing.assert_allclose(found["bbox_px"][:, 2:], side)
    assert any(meaning in text for text in said)


def test_spin_scale_between_the_units_is_refused(tmp_path):
    path = files.spin_data(tmp_path / "s.npz", scale=np.linspace(1, 40, ROWS))
    with pytest.raises(ValueError, match="--scale-unit box200 or --scale-unit px"):
        spin.read_spin(path, say=silent)
    found = spin.read_spin(path, scale_unit="px", say=silent)
    np.testing.assert_allclose(found["bbox_px"][:, 2], np.linspace(1, 40, ROWS), rtol=1e-6)


def test_spin_j24_slots_of_head_and_head_top_differ_between_data_sets():
    names = {n: skeleton.KEYPOINT_SETS[n] for n in j24.SLOTS}
    for name, slots in j24.SLOTS.items():
        assert len(set(slots)) == len(names[name]) == len(slots)
    of = {n: dict(zip(names[n], j24.SLOTS[n])) for n in names}
    assert (of["h36m17"]["head"], of["h36m17"]["head_top"]) == (17, 13)
    assert (of["mpii3d17"]["head"], of["mpii3d17"]["head_top"]) == (17, 18)
    # SPIN's J24_TO_J17 against H36M_TO_J17, and its joints17_idx of MPI-INF-3DHP.
    j17 = [*range(15), 16, 17]
    h36m = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0, 7, 9]
    assert [j24.SLOTS["h36m17"][i] for i in h36m] == j17


def test_spin_s_without_slot_13_is_mpi_inf_3dhp(tmp_path):
    joints = np.ones((ROWS, 24, 4)) * np.linspace(0.1, 0.9, 24)[:, None]
    joints[..., 3] = 1
    joints[:, [13, 15, 19, 20, 21, 22, 23], 3] = 0
    found = spin.read_spin(files.spin_data(tmp_path / "s.npz", S=joints), say=silent)
    assert found["keypoints3d_set"] == "mpii3d17"
    np.testing.assert_allclose(found["keypoints3d"][:, 0, :3], joints[:, 18, :3], rtol=1e-6)


def test_spin_parts_with_a_face_are_coco(tmp_path):
    part = np.full((ROWS, 24, 3), 99.0)
    part[..., 2] = 1
    part[:, 12:19, 2] = 0
    found = spin.read_spin(files.spin_data(tmp_path / "s.npz", part=part), say=silent)
    assert found["labels2d_set"] == "coco17"
    assert found["labels2d"][..., 2].all()


def test_an_hmr2_file_is_no_spin_file(tmp_path):
    files.hmr2(tmp_path / "e.npz")
    with pytest.raises(ValueError, match="an evaluation file of 4D-Humans; use"):
        spin.read_spin(tmp_path / "e.npz", say=silent)


def test_spin_results_are_joined_by_row_and_checked_by_the_body(tmp_path, bodies):
    result = files.spin_eval(tmp_path / "result.npz", bodies["neutral"])
    data = files.spin_data(tmp_path / "3dpw_test.npz")
    size = (1080.0, 1920.0)
    found = spin_result.from_spin(
        result, data, body_path=bodies["neutral"], image_size_px=size, say=silent
    )
    assert _apart(found.pred_pose, files.people()[1]) < 1e-5
    assert _apart(found.pose, files.matrices(files.people()[0])) < 1e-5
    with np.load(data) as stored:
        side = 200 * stored["scale"]
    np.testing.assert_allclose(found.pred_cam_t[:, 2], 2 * 5000 / (0.9 * side), rtol=1e-5)
    with pytest.raises(ValueError, match="within 1 mm"):
        spin_result.from_spin(result, data, body_path=bodies["male"], say=silent)


def test_spin_static_fits_of_rows_without_a_fit_are_left_out(tmp_path):
    data = files.spin_data(tmp_path / "train.npz", pose=None, shape=None, has_smpl=None)
    axis, _, betas = files.people()
    has = np.array([1, 1, 0, 1, 1, 1])
    np.savez(tmp_path / "fits.npz", pose=axis.reshape(ROWS, 72), shape=betas, has_smpl=has)
    said = []
    found = spin_result.from_spin(tmp_path / "fits.npz", data, say=said.append)
    np.testing.assert_array_equal(found.frame, [0, 1, 3, 4, 5])
    np.testing.assert_allclose(found.pred_betas, betas[has == 1], rtol=1e-6)
    assert any("1 of 6 rows have no fit" in text for text in said)


def test_cameras_behind_the_picture_are_not_placed():
    said = []
    crop = crops.Crops(np.ones((1, 2)), np.ones(1))
    found = crops.place(np.array([[-0.5, 0, 0]]), crop, (10.0, 10.0), 5000.0, "f", said.append)
    assert not found
    assert "no positive scale" in said[0]


# --- writers -------------------------------------------------------------------------------------


def _near_pi() -> records.AnnotationSet:
    """People with joints turned by pi, just under pi, and not at all."""
    random, known = np.random.default_rng(0), tiny.annotations(7)
    axis = random.normal(size=(7, 24, 3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    angles = np.array([np.pi, np.pi - 1e-4, np.pi - 1e-7, 0.0, 1e-6, 2.0, 3.0])
    turned = files.matrices(axis * angles[:, None, None])
    return records.from_arrays(
        records.arrays_of(known)
        | {
            "pose": turned,
            "pred_pose": turned[::-1],
            "image": np.array([f"walk_{i // 2}/{i:05d}.jpg" for i in range(7)]),
            "subject": np.array([f"p{i}" for i in range(7)]),
            "bbox_px": np.array([[10.0, 20, 300, 300]] * 7),
            "gender": np.array(["male", "female", "neutral"] * 2 + ["male"]),
        },
        "made",
    )


_SAME = ("keypoints2d", "keypoints3d", "bbox_px", "focal_px", "center_px", "image_size_px")


@pytest.mark.parametrize("which", ["truth", "estimate"])
def test_humandata_written_is_read_back_angles_of_pi_included(tmp_path, which):
    known, path = _near_pi(), tmp_path / "h.npz"
    to_humandata.write_humandata(path, known, which, say=silent)
    found = humandata.read_humandata(path, which, say=silent)
    prefix = "pred_" if which == "estimate" else ""
    for name in (*_SAME, f"{prefix}betas", f"{prefix}cam_t"):
        np.testing.assert_allclose(found[name], getattr(known, name), rtol=1e-6, err_msg=name)
    for name in ("image", "sequence", "frame", "subject", "keypoints2d_set", "keypoints3d_set"):
        assert np.array_equal(found[name], getattr(known, name)), name
    assert _apart(found[f"{prefix}pose"], getattr(known, f"{prefix}pose")) < 1e-5
    assert ("gender" in found) == (which == "truth")  # An estimate's body is neutral.


def test_humandata_written_loads_as_mmhuman3d_loads_it(tmp_path):
    known, path = _near_pi(), tmp_path / "h.npz"
    to_humandata.write_humandata(path, known, "truth", say=silent)
    with np.load(path, allow_pickle=True) as stored:  # Our own file.
        content = {k: v.item() if v.ndim == 0 else v for k, v in stored.items()}
    assert content["__data_len__"] == 7
    assert content["__keypoints_compressed__"] is True
    assert content["smpl"]["body_pose"].shape == (7, 23, 3)
    assert content["smpl"]["body_pose"].dtype == np.float64
    assert content["meta"]["gender"][:3] == ["m", "f", "n"]
    assert content["keypoints2d"].shape == (7, 17, 3)
    assert content["keypoints2d_mask"].sum() == 17
    assert content["bbox_xywh"].shape == (7, 5)
    assert list(content["cam_param"][0]["in_mat"][0]) == [1500.0, 0.0, 500.0]


def test_humandata_pickles_name_no_module_that_older_numpy_lacks(tmp_path):
    path = tmp_path / "h.npz"
    to_humandata.write_humandata(path, _near_pi(), "truth", say=silent)
    with zipfile.ZipFile(path) as archive:
        stored = b"".join(archive.read(name) for name in archive.namelist())
    assert b"numpy._core" not in stored
    assert b"numpy.core.multiarray" in stored


@pytest.mark.parametrize("which", ["truth", "estimate"])
def test_spin_written_is_read_back_angles_of_pi_included(tmp_path, which):
    known, path = _near_pi(), tmp_path / "s.npz"
    to_spin.write_spin(path, known, which, say=silent)
    found = spin.read_spin(path, which, say=silent)
    prefix = "pred_" if which == "estimate" else ""
    assert _apart(found[f"{prefix}pose"], getattr(known, f"{prefix}pose")) < 1e-5
    for name in ("keypoints3d", "labels2d", "bbox_px", f"{prefix}betas"):
        np.testing.assert_allclose(found[name], getattr(known, name), rtol=1e-6, err_msg=name)
    assert found["image"].tolist() == known.image.tolist()
    assert found["keypoints3d_set"] == "h36m14"
    if which == "truth":
        assert found["gender"].tolist() == known.gender.tolist()
    with np.load(path, allow_pickle=False) as stored:
        assert stored["pose"].dtype == np.float64
        np.testing.assert_allclose(stored["scale"], 1.5)


def test_neutral_people_are_written_without_gender_or_they_would_be_female(tmp_path):
    known, said = tiny.annotations(3), []
    to_humandata.write_humandata(tmp_path / "h.npz", known, "truth", say=silent)
    to_spin.write_spin(tmp_path / "s.npz", known, "truth", say=silent)
    assert "gender" not in humandata.read_humandata(tmp_path / "h.npz", say=silent)
    assert "gender" not in spin.read_spin(tmp_path / "s.npz", say=silent)
    to_spin.write_spin(tmp_path / "m.npz", _near_pi(), "truth", say=said.append)
    assert any("will take neutral people (n) for female" in text for text in said)


def test_writers_refuse_a_truth_that_is_not_there(tmp_path):
    known = tiny.without(tiny.annotations(3), "pose", "betas")
    for write in (to_humandata.write_humandata, to_spin.write_spin):
        with pytest.raises(ValueError, match="field pose"):
            write(tmp_path / "x.npz", known, "truth", say=silent)
    assert not list(tmp_path.iterdir())
