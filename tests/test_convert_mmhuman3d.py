"""mmhuman3d, HumanData, HMR2, ScoreHMR and SPIN: each test's name is the trap."""

import json
import subprocess
import sys
from pathlib import Path

import files_mmhuman3d as files
import numpy as np
import pytest
from files_mmhuman3d import ROWS, silent
from scipy.spatial.transform import Rotation

from diffjax import skeleton
from diffjax.convert import (
    humandata,
    humandata_keypoints,
    image_names,
    inference_result,
    json_columns,
    predictions,
)
from diffjax.data import records

_ROOT = Path(__file__).parent.parent


def _apart(a, b) -> float:
    """Largest angle (rad) between rotations."""
    product = np.asarray(a, np.float64) @ np.swapaxes(np.asarray(b, np.float64), -1, -2)
    return float(Rotation.from_matrix(product.reshape(-1, 3, 3)).magnitude().max())


@pytest.fixture
def bodies(tmp_path):
    names = ("neutral", "male", "female")
    return {n: files.write_body(tmp_path / f"{n}.npz", seed) for seed, n in enumerate(names)}


@pytest.fixture
def pair(tmp_path, bodies):
    result = files.result_keypoints(tmp_path, bodies["neutral"])
    return result, files.human_data(tmp_path / "pw3d_test.npz")


# --- result_keypoints.json -----------------------------------------------------------------------


def test_mmhuman3d_is_joined_with_its_truth(pair, bodies):
    said = []
    found = predictions.from_mmhuman3d(
        *pair,
        body_path=bodies["neutral"],
        gendered_bodies={k: bodies[k] for k in ("male", "female")},
        say=said.append,
    )
    np.testing.assert_allclose(found.pose, files.matrices(files.people()[0]), atol=1e-5)
    np.testing.assert_allclose(found.pred_pose, files.people()[1], atol=1e-6)
    assert found.gender.tolist() == ["male"] * 3 + ["female"] * 3
    assert found.subject.tolist() == ["run_00:0"] * 3 + ["run_00:1"] * 3
    assert found.sequence.tolist() == ["run_00"] * ROWS
    np.testing.assert_array_equal(found.frame, np.arange(ROWS))
    np.testing.assert_array_equal(found.focal_px[0], [1961, 1969])
    np.testing.assert_array_equal(found.image_size_px[0], [1080, 1920])
    np.testing.assert_array_equal(found.bbox_px[0], [10, 20, 100, 300])
    assert found.keypoints3d_set == "h36m14"
    index = list(skeleton.keypoint_map("h36m17", "h36m14"))
    male = files.regressed(bodies["male"], found.pose[:3], found.betas[:3])[:, index]
    np.testing.assert_allclose(found.keypoints3d[:3, :, :3], male, atol=1e-5)
    assert any("mm (worst row" in text for text in said)


def test_gendered_truth_needs_both_bodies(pair, bodies):
    with pytest.raises(ValueError, match=r"found \['female'\]; add the body"):
        predictions.from_mmhuman3d(*pair, gendered_bodies={"male": bodies["male"]}, say=silent)


def test_another_body_is_found_out(pair, bodies):
    with pytest.raises(ValueError, match=r"mm \(worst row.*within 1 mm.*--allow-mismatch"):
        predictions.from_mmhuman3d(*pair, body_path=bodies["male"], say=silent)
    said = []
    predictions.from_mmhuman3d(
        *pair, body_path=bodies["male"], allow_mismatch=True, say=said.append
    )
    assert "(allowed mismatch)" in said[0]


def test_one_row_of_another_person_is_found_out(pair, bodies):
    result = json.loads(pair[0].read_text())
    result["keypoints"][4] = (np.array(result["keypoints"][4]) + 0.002).tolist()
    pair[0].write_text(json.dumps(result))
    with pytest.raises(ValueError, match=r"worst row 4: 3.46 mm"):
        predictions.from_mmhuman3d(*pair, body_path=bodies["neutral"], say=silent)


def test_another_row_order_is_found_out(tmp_path, pair):
    other = files.human_data(tmp_path / "shuffled.npz", files.people()[0][::-1])
    with pytest.raises(ValueError, match=r"degrees \(median root\), wanted the very file"):
        predictions.from_mmhuman3d(pair[0], other, say=silent)


def _changed(key, value):
    return lambda result: result.update({key: value})


_BAD_RESULTS = {
    "mmpose": (lambda r: [{"keypoints": [[0, 0, 0]]}], "mmpose's file of that name"),
    "metrics": (lambda r: {"MPJPE": 1.0}, r"found MPJPE; tools/test\.py --out writes metrics only"),
    "count": (lambda r: {k: v[:-1] for k, v in r.items()}, "wanted 6 rows as in .*found 5"),
    "one count": (_changed("betas", [[0.0] * 10] * 5), "wanted as many keypoints as poses"),
    "axis-angle": (_changed("poses", np.zeros((ROWS, 72)).tolist()), r"field poses: wanted \(N, 24"),
    "ragged": (_changed("betas", [[0.0] * 10] * 5 + [[0.0]]), "field betas: wanted "),
    "none": (_changed("betas", [[None] * 10] * ROWS), "field betas: wanted "),
    "huge": (_changed("betas", [[1e300] * 10] * ROWS), "field betas: wanted finite numbers"),
    "no list": (_changed("betas", {"a": 1}), "field betas: wanted "),
    "stretched": (_changed("poses", np.full((ROWS, 24, 3, 3), 0.5).tolist()),
                  "pred_pose: wanted rotation matrices"),
    "a number": (lambda r: "1", "found a int"),
    "not json": (lambda r: "{", None),
    "cut": (lambda r: json.dumps(r)[:-500], None),
    "empty": (lambda r: " ", None),
}  # fmt: skip


@pytest.mark.parametrize("piece", [1 << 10, 8 << 20])
@pytest.mark.parametrize("case", _BAD_RESULTS)
def test_other_results_are_refused(pair, case, piece, monkeypatch):
    monkeypatch.setattr(json_columns, "PIECE", piece)
    change, message = _BAD_RESULTS[case]
    result = json.loads(pair[0].read_text())
    changed = change(result)
    pair[0].write_text(changed if isinstance(changed, str) else json.dumps(changed or result))
    with pytest.raises(ValueError, match=message or "wanted JSON") as error:
        predictions.from_mmhuman3d(*pair, allow_mismatch=True, say=silent)
    assert str(pair[0]) in str(error.value)


@pytest.mark.parametrize("piece", [1 << 11, 5000, 8 << 20])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_read_in_pieces_is_json_read_whole(tmp_path, piece, indent, monkeypatch):
    monkeypatch.setattr(json_columns, "PIECE", piece)
    random = np.random.default_rng(0)
    wanted = {"a": random.normal(size=(9, 4, 3)), "b": random.normal(size=(7, 2)), "c": np.ones(30)}
    content = {k: v.tolist() for k, v in wanted.items()} | {"note": "a [strange}, \n name"}
    path = tmp_path / "columns.json"
    path.write_text(json.dumps({"first": 1, **content, "last": [{"x": [1, 2]}]}, indent=indent))
    found = json_columns.read_columns(path, {"a": (4, 3), "b": (2,), "c": ()})
    assert set(found) == {*content, "first", "last"}
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array.astype(np.float32))
    assert found["note"] is None


def test_a_value_longer_than_any_row_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(json_columns, "PIECE", 1 << 10)
    (tmp_path / "r.json").write_text('{"keypoints": [[' + " " * (1 << 15) + "1]]}")
    with pytest.raises(ValueError, match="wanted rows of numbers by name"):
        json_columns.read_columns(tmp_path / "r.json", {"keypoints": (None,)})


def test_a_large_result_is_read_in_little_memory(tmp_path):
    rows = json.dumps(np.random.default_rng(0).normal(size=(24, 3, 3)).tolist())
    path = tmp_path / "result_keypoints.json"
    path.write_text('{"poses": [' + ", ".join([rows] * 6000) + "]}")
    code = (
        "import resource, sys; from diffjax.convert import json_columns as j; "
        "most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = most(); "
        "found = j.read_columns(sys.argv[1], {'poses': (24, 3, 3)})['poses']; "
        "print(len(found), most() - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    count, kilobytes = map(int, run.stdout.split())
    kilobytes //= 1024 if sys.platform == "darwin" else 1  # There ru_maxrss is in bytes.
    assert count == 6000
    assert kilobytes < 300_000  # Parsed whole, 27 MB of text take more.


# --- HumanData -----------------------------------------------------------------------------------


def test_humandata_root_comes_first_whatever_the_order_of_the_smpl_dict(tmp_path):
    axis, _, _ = files.people()
    path = files.human_data(tmp_path / "h.npz")  # body_pose is inserted before global_orient.
    found = humandata.read_humandata(path, say=silent)
    assert _apart(found["pose"], files.matrices(axis)) < 1e-5
    estimate = humandata.read_humandata(path, "estimate", say=silent)
    assert {"pred_pose", "pred_betas"} <= set(estimate)
    assert not {"pose", "betas"} & set(estimate)


def test_humandata_temporal_len_and_compressed_columns_of_mpi_inf_3dhp(tmp_path):
    index = humandata_keypoints.INDICES["mpii3d17"]
    full, mask, compressed = files.compressed(index, 3)
    images = [
        f"mpi_inf_3dhp_test_set/TS{1 + i // 3}/imageSequence/img_{i + 1:06d}.jpg"
        for i in range(ROWS)
    ]
    path = files.human_data(
        tmp_path / "mpi_inf_3dhp_test.npz",
        smpl=None,
        meta=None,
        __data_len__=None,
        __temporal_len__=np.array(ROWS),
        __keypoints_compressed__=np.array(True),
        image_path=np.array(images),
        keypoints2d=compressed,
        keypoints2d_mask=mask,
        keypoints3d=compressed[..., [0, 1, 0, 2]] * [0.01, 0.01, 0.01, 1],
        keypoints3d_mask=mask.astype(int),
    )
    found = humandata.read_humandata(path, say=silent)
    assert (found["keypoints2d_set"], found["keypoints3d_set"]) == ("mpii3d17", "mpii3d17")
    np.testing.assert_allclose(found["keypoints2d"], full[:, list(index)], rtol=1e-6)
    assert found["sequence"].tolist() == ["TS1"] * 3 + ["TS2"] * 3
    np.testing.assert_array_equal(found["frame"], np.arange(1, ROWS + 1))
    named = humandata.read_humandata(path, keypoint_set="h36m17", say=silent)
    assert named["keypoints3d"].shape == (ROWS, 17, 4)
    with pytest.raises(ValueError, match="wanted coco17, found mpii3d17, h36m17, lsp14, h36m14"):
        humandata.read_humandata(path, keypoint_set="coco17", say=silent)


def test_every_set_lies_inside_the_190_names():
    for name, index in humandata_keypoints.INDICES.items():
        assert len(set(index)) == len(skeleton.KEYPOINT_SETS[name])
        assert max(index) < 190
    h36m, mpii = (humandata_keypoints.INDICES[name] for name in ("h36m17", "mpii3d17"))
    shared = skeleton.keypoint_map("mpii3d17", "h36m17")
    assert [mpii[i] for i in shared] == list(h36m)


def test_humandata_has_smpl_is_per_row(tmp_path):
    has = np.array([1, 0, 1, 1, 0, 1])
    path = files.human_data(tmp_path / "h.npz", has_smpl=has)
    said = []
    found = humandata.read_humandata(path, say=said.append)
    assert "pose" not in found
    assert any("has_smpl 0" in text for text in said)
    assert found["subject"].tolist() == ["run_00"] * ROWS
    kept = humandata.read_humandata(path, smpl_only=True, say=silent)
    np.testing.assert_array_equal(kept["frame"], [0, 2, 3, 5])
    assert _apart(kept["pose"], files.matrices(files.people()[0][has == 1])) < 1e-5
    with pytest.raises(ValueError, match="--smpl-only"):
        humandata.read_humandata(path, "estimate", say=silent)


def test_humandata_boxes_are_said_to_be_enlarged(tmp_path):
    said = []
    found = humandata.read_humandata(files.human_data(tmp_path / "h.npz"), say=said.append)
    np.testing.assert_array_equal(found["bbox_px"][0], [10, 20, 100, 300])
    assert any("enlarged by 1.2" in text for text in said)


def test_humandata_newer_names_of_keypoints_are_found(tmp_path):
    _, mask, points = files.compressed(range(153, 178), 3)
    path = files.human_data(
        tmp_path / "h.npz", keypoints2d_original=points, keypoints2d_original_mask=mask
    )
    said = []
    found = humandata.read_humandata(path, say=said.append)
    assert found["keypoints2d_set"] == "openpose25"
    assert any("keypoints2d_original" in text for text in said)


def test_humandata_keypoints_without_confidence_have_no_place(tmp_path):
    _, mask, points = files.compressed(range(153, 178), 3)
    points[2, :, 2] = 0
    path = files.human_data(tmp_path / "h.npz", keypoints2d=points, keypoints2d_mask=mask)
    found = humandata.read_humandata(path, say=silent)["keypoints2d"]
    assert not found[2].any()
    assert found[1].any()


_BAD_HUMAN_DATA = {
    "no length": ({"__data_len__": None}, "field __data_len__: wanted a HumanData file"),
    "odd length": ({"__data_len__": np.array(-3)}, "field __data_len__: wanted a count"),
    "rows": ({"image_path": np.array(["a/1.jpg"])}, "field image_path: wanted 6 rows, found 1"),
    "old names": (
        {"keypoints2d": np.zeros((ROWS, 3, 3)), "keypoints2d_mask": np.ones(144)},
        "wanted a mask of 190 keypoints",
    ),
    "mask": (
        {"keypoints2d": np.zeros((ROWS, 3, 3)), "keypoints2d_mask": np.eye(1, 190)[0]},
        "values and mask are of different files",
    ),
    "convention": (
        {"keypoints2d": np.zeros((ROWS, 190, 3)), "keypoints2d_convention": np.array("coco")},
        "wanted the convention human_data, found coco",
    ),
    "no pose": ({"smpl": {"betas": np.zeros((ROWS, 10))}}, "field global_orient: .*found betas"),
    "degrees": (
        {
            "smpl": {
                "body_pose": np.full((ROWS, 69), 90.0),
                "global_orient": np.full((ROWS, 3), 170.0),
                "betas": np.zeros((ROWS, 10)),
            }
        },
        "wanted radians, found 170; degrees?",
    ),
    "gender": ({"meta": {"gender": ["x"] * ROWS}}, r"field meta: field gender: wanted m, f or n"),
    "genders": ({"meta": {"gender": ["m"]}}, r"field meta\.gender: wanted m or f in 6 rows"),
    "camera": (
        {"cam_param": np.array([{"H": 1}] * ROWS, dtype=object)},
        "field cam_param: .*no in_mat",
    ),
}


@pytest.mark.parametrize("case", _BAD_HUMAN_DATA)
def test_bad_human_data_is_refused(tmp_path, pair, case):
    changes, message = _BAD_HUMAN_DATA[case]
    path = files.human_data(tmp_path / "bad.npz", np.zeros((ROWS, 24, 3)), **changes)
    with pytest.raises(ValueError, match=message) as error:
        predictions.from_mmhuman3d(pair[0], path, say=silent)
    assert str(path) in str(error.value)
    with pytest.raises(ValueError, match=message):
        humandata.read_humandata(path, say=silent)


def test_images_without_a_number_have_no_frame():
    assert image_names.frames(["a/x.jpg", "a/1.jpg"]).frame is None
    assert image_names.frames(["a/" + "9" * 30 + ".jpg"]).frame is None
    windows = image_names.frames([b"run\\images\\7.jpg"])
    assert (windows.sequence[0], windows.frame[0]) == ("run", 7)


# --- inference_result.npz ------------------------------------------------------------------------


def test_inference_result_frames_are_frame_id_and_never_the_row(tmp_path):
    path = files.inference(tmp_path / "inference_result.npz")
    found = inference_result.read_inference_result(path, sequence="walk", say=silent)
    assert found["frame"].tolist() == [0, 0, 1, 1, 4, 4]
    assert found["subject"].tolist() == ["3", "7"] * 3
    assert found["sequence"].tolist() == ["walk"] * ROWS
    assert _apart(found["pred_pose"], files.matrices(files.people()[0])) < 1e-5
    assert "pose" not in found
    assert "pred_cam_t" not in found


def test_inference_result_zero_verts_of_speed_up_type_do_no_harm(tmp_path):
    broken = np.array([{"never": "read"}] * ROWS, dtype=object)
    path = files.inference(tmp_path / "inference_result.npz", verts=broken)
    found = inference_result.read_inference_result(path, say=silent)
    assert found["sequence"][0] == tmp_path.name


def test_inference_result_camera_is_of_a_crop_that_is_a_quarter_larger_than_the_box(tmp_path):
    path = files.inference(tmp_path / "inference_result.npz")
    found = inference_result.read_inference_result(path, (1080.0, 1920.0), 4000.0, say=silent)
    np.testing.assert_array_equal(found["bbox_px"][0], [100, 200, 200, 500])
    np.testing.assert_array_equal(found["focal_px"][0], [4000, 4000])
    scale = 0.9 * 1.25 * 500
    wanted = [0.02 + 2 * (200 - 540) / scale, -0.05 + 2 * (450 - 960) / scale, 2 * 4000 / scale]
    np.testing.assert_allclose(found["pred_cam_t"][0], wanted, rtol=1e-5)


def test_other_human_data_is_no_inference_result(tmp_path):
    with pytest.raises(ValueError, match="field frame_id: wanted mmhuman3d's inference_result"):
        inference_result.read_inference_result(files.human_data(tmp_path / "h.npz"), say=silent)


# --- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", files.CASES)
def test_every_case_becomes_a_set_or_evidence(tmp_path, name):
    case = files.CASES[name](tmp_path)
    case.convert(tmp_path / "out" / "set.npz")
    assert len(records.read_fields(tmp_path / "out" / "set.npz"))


def test_the_script_converts_and_refuses_in_one_line(tmp_path, pair):
    script = [sys.executable, str(_ROOT / "scripts" / "convert.py")]
    out = tmp_path / "set.npz"
    args = ["mmhuman3d", "--result", pair[0], "--human-data", pair[1], "--out", out]
    run = subprocess.run([*script, *map(str, args)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert f"{out}: {ROWS} people" in run.stdout
    assert records.count(records.read(out)) == ROWS
    args[2] = pair[1]
    out.unlink()
    run = subprocess.run([*script, *map(str, args)], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert str(pair[1]) in run.stderr
    assert not out.exists()
