"""EFT, NeuralAnnot and generic dumps: one test a trap, and what is written reads back."""

import dataclasses
import json

import files_annotations as files
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from diffjax import camera, skeleton
from diffjax.convert import eft, generic, neuralannot, to_eft, to_neuralannot
from diffjax.data import records

_N = files.PEOPLE


def _silent(_: str) -> None:
    pass


@pytest.mark.parametrize("case", files.CASES)
def test_every_fixture_converts(tmp_path, case):
    made = files.CASES[case](tmp_path)
    made.convert(tmp_path / "out" / "set.npz")
    assert (tmp_path / "out" / "set.npz").is_file()


# --- generic dumps -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(24, 3, 3), (216,)])
def test_a_dump_of_one_person_needs_no_axis_of_rows(tmp_path, shape):
    one = {"pose": files.matrices()[0].reshape(shape), "betas": np.arange(10.0), "t": np.ones(3)}
    np.savez(tmp_path / "one.npz", **one)
    found = generic.read_generic(tmp_path / "one.npz", cam_t_field="t", say=_silent)
    assert files.apart(found["pose"], files.matrices()[:1]) < 1e-5
    np.testing.assert_allclose(found["betas"], np.arange(10.0)[None])
    np.testing.assert_allclose(found["cam_t"], np.ones((1, 3)))


def test_fields_of_as_many_people_as_a_pose_has_numbers_are_not_taken_for_a_pose(tmp_path):
    turns = np.zeros((72, 72))
    np.savez(tmp_path / "d.npz", pose=turns, betas=np.zeros((72, 10)), frame=np.arange(72))
    found = generic.read_generic(tmp_path / "d.npz", fields={"frame": "frame"}, say=_silent)
    assert found["pose"].shape == (72, 24, 3, 3)
    np.testing.assert_array_equal(found["frame"], np.arange(72))


@pytest.mark.parametrize("layout", ["6d-columns", "6d-interleaved", "6d-rows"])
def test_6d_is_read_in_the_layout_that_is_named(tmp_path, layout):
    np.savez(tmp_path / "d.npz", pose=files.six(layout))
    found = generic.read_generic(tmp_path / "d.npz", layout=layout, say=_silent)
    assert files.apart(found["pose"], files.matrices()) < 1e-5


def test_6d_without_a_layout_is_refused_and_both_are_explained(tmp_path):
    np.savez(tmp_path / "d.npz", pose=files.six("6d-columns"))
    with pytest.raises(ValueError, match=r"6d-columns .*ScoreHMR.*6d-interleaved .*SPIN") as error:
        generic.read_generic(tmp_path / "d.npz", say=_silent)
    assert str(tmp_path / "d.npz") in str(error.value)


@pytest.mark.parametrize(
    ("stored", "asked"), [("6d-columns", "6d-interleaved"), ("6d-interleaved", "6d-columns")]
)
def test_6d_in_the_other_layout_is_found_out(tmp_path, stored, asked):
    np.savez(tmp_path / "d.npz", pose=files.six(stored))
    with pytest.raises(ValueError, match=f"but of .* in the layout {stored}; give --layout"):
        generic.read_generic(tmp_path / "d.npz", layout=asked, say=_silent)


def test_raw_6d_of_a_network_is_orthonormalised_and_not_doubted(tmp_path):
    raw = 3.0 * files.six("6d-interleaved") + 0.0
    np.savez(tmp_path / "d.npz", pose=raw)
    found = generic.read_generic(tmp_path / "d.npz", layout="6d-interleaved", say=_silent)
    assert files.apart(found["pose"], files.matrices()) < 1e-5


@pytest.mark.parametrize("shape", [(_N, 72), (_N, 24, 3)])
def test_72_numbers_are_axis_angle(tmp_path, shape):
    np.save(tmp_path / "d.npy", files.axis_angle().reshape(shape))
    said = []
    found = generic.read_generic(tmp_path / "d.npy", say=said.append)
    assert files.apart(found["pose"], files.matrices()) < 1e-5
    assert not found["betas"].any()
    assert "no betas; they are set to 0" in said[0]


def test_root_and_body_in_two_fields_are_joined_root_first(tmp_path):
    pose = files.matrices()
    np.savez(tmp_path / "d.npz", body_pose=pose[:, 1:], global_orient=pose[:, :1])
    found = generic.read_generic(tmp_path / "d.npz", say=_silent)
    np.testing.assert_allclose(found["pose"], pose, atol=1e-6)
    with pytest.raises(ValueError, match=r"found 207; .*global_orient\+body_pose joins"):
        generic.read_generic(tmp_path / "d.npz", pose_field="body_pose", say=_silent)
    np.savez(tmp_path / "d.npz", body_pose=pose[:, 1:], global_orient=pose[:2, :1])
    with pytest.raises(ValueError, match=r"parts of as many rows, found \[2, 6\]"):
        generic.read_generic(tmp_path / "d.npz", say=_silent)


def test_nested_tensors_of_a_pt_file_are_named_with_dots(tmp_path):
    pose = torch.from_numpy(files.matrices().astype(np.float32))
    torch.save({"smpl": {"pose": pose, "shape": torch.ones(10)}}, tmp_path / "d.pt")
    found = generic.read_generic(
        tmp_path / "d.pt", pose_field="smpl.pose", betas_field="smpl.shape", say=_silent
    )
    np.testing.assert_allclose(found["pose"], pose.numpy(), atol=1e-6)
    np.testing.assert_array_equal(found["betas"], np.ones((_N, 10)))
    with pytest.raises(ValueError, match=r"wanted --pose-field for one of smpl\.pose, smpl\.shape"):
        generic.read_generic(tmp_path / "d.pt", say=_silent)


def test_matrices_that_are_no_rotations_need_project(tmp_path):
    pose = files.matrices()
    pose[2, 7] *= 1.02
    np.savez(tmp_path / "d.npz", pose=pose)
    with pytest.raises(ValueError, match=r"1 of 144 are none .*row 2, joint 7; --project"):
        generic.read_generic(tmp_path / "d.npz", say=_silent)
    said = []
    found = generic.read_generic(tmp_path / "d.npz", project=True, say=said.append)
    assert files.apart(found["pose"], files.matrices()) < 1e-5
    assert "replaced by the nearest rotations" in said[0]


def test_fields_are_mapped_by_name_and_keypoints_without_confidence_are_certain(tmp_path):
    made = files.CASES["generic_npz"](tmp_path)
    made.convert(tmp_path / "set.npz")
    found = records.read(tmp_path / "set.npz")
    assert found.keypoints2d_set == "coco17"
    assert found.keypoints2d[..., 2].all()
    assert found.image.tolist() == [f"{i}.jpg" for i in range(_N)]
    assert found.pred_cam_t is not None


def test_one_focal_length_holds_for_both_axes_and_all_rows(tmp_path):
    np.savez(
        tmp_path / "d.npz",
        pose=files.matrices(),
        focal=np.float32(5000),
        each=np.arange(1.0, _N + 1),
        number=np.arange(_N),
    )
    fields = {"focal_px": "focal", "center_px": "each", "frame": "number"}
    found = generic.read_generic(tmp_path / "d.npz", fields=fields, say=_silent)
    np.testing.assert_array_equal(found["focal_px"], np.full((_N, 2), 5000))
    np.testing.assert_array_equal(found["center_px"][2], [3, 3])
    assert found["frame"].dtype == np.int64
    with pytest.raises(ValueError, match="wanted one of"):
        generic.read_generic(tmp_path / "d.npz", fields={"pred_pose": "pose"}, say=_silent)


def test_cameras_of_a_dump_are_taken_by_name(tmp_path):
    turn = files.matrices()[:, 3]
    cameras = {"R": turn, "t": np.ones((_N, 3)), "cam": np.array(["left"] * _N)}
    np.savez(tmp_path / "d.npz", pose=files.matrices(), **cameras)
    fields = {"view": "cam", "view_rotation": "R", "view_translation": "t"}
    found = generic.read_generic(tmp_path / "d.npz", fields=fields, say=_silent)
    assert files.apart(found["view_rotation"], turn) < 1e-5
    np.testing.assert_array_equal(found["view"], cameras["cam"])
    with pytest.raises(ValueError, match=r"field t: wanted \(people, 3, 3\)"):
        generic.read_generic(tmp_path / "d.npz", fields={"view_rotation": "t"}, say=_silent)


_BAD_DUMPS = {
    "nan": ({"pose": np.full((2, 72), np.nan)}, "found NaN"),
    "quaternions": ({"pose": np.zeros((2, 96))}, "found 96"),
    "complex": ({"pose": np.zeros((2, 72), complex)}, "wanted numbers"),
    "text": ({"pose": np.array(["a", "b"])}, "wanted numbers"),
    "nothing": ({"pose": np.zeros((0, 72))}, "wanted some rows"),
    "betas": ({"pose": np.zeros((2, 72)), "betas": np.zeros((3, 10))}, r"wanted \(2, 10\)"),
    "few betas": ({"pose": np.zeros((2, 72)), "betas": np.zeros((2, 4))}, r"wanted \(2, 10\)"),
    "huge": ({"pose": np.full((2, 72), 1e300)}, "wanted finite numbers"),
    "other": ({"x": np.zeros(3)}, "wanted --pose-field for one of x"),
}


@pytest.mark.parametrize("case", _BAD_DUMPS)
def test_bad_dumps_are_refused(tmp_path, case):
    arrays, message = _BAD_DUMPS[case]
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(ValueError, match=message) as error:
        generic.read_generic(tmp_path / "d.npz", say=_silent)
    assert str(tmp_path / "d.npz") in str(error.value)


def _read_dump(tmp_path, say=_silent, arrays=None, **options):
    np.savez(tmp_path / "d.npz", **(arrays or {}))
    return generic.read_generic(tmp_path / "d.npz", say=say, **options)


def test_fields_of_a_dump_that_are_left_behind_are_listed_with_the_option_that_takes_them(tmp_path):
    arrays = {
        "pose": files.matrices(),
        "imgname": np.array([f"{i}.jpg" for i in range(_N)]),
        "bbox": np.ones((_N, 4)),
        "joints2d": np.ones((_N, 17, 3)),
        "pred_cam": np.ones((_N, 3)),
        "bones": np.ones((3, 4)),
    }
    said = []
    _read_dump(tmp_path, said.append, arrays)
    text = "\n".join(said)
    assert (
        f"not used: bbox ({_N}, 4), bones (3, 4), imgname ({_N},), joints2d ({_N}, 17, 3)" in text
    )
    for part in ("image=imgname", "bbox_px=bbox", "keypoints2d=joints2d keypoints2d_set="):
        assert part in text
    assert "--weak-camera pred_cam" in text
    assert "bones" not in said[-2]
    said.clear()
    more = {"img_size": np.ones((_N, 2)), "pred_cam_t_full": np.ones((_N, 3)), "focal": np.ones(_N)}
    more["scaled_focal"] = np.ones(_N)
    _read_dump(tmp_path, said.append, {**arrays, **more})
    assert "--fields" in said[-2]
    assert "image_size_px=img_size" in said[-2]
    assert "focal_px=scaled_focal " in said[-2]
    assert said[-1].endswith("--cam-t-field pred_cam_t_full")
    said.clear()
    del arrays["bones"], arrays["pred_cam"]
    fields = {"image": "imgname", "bbox_px": "bbox", "keypoints2d": "joints2d"}
    _read_dump(tmp_path, said.append, arrays, fields=fields)
    assert not any("not used" in line for line in said)


def _bent(people):
    """(N, 24, 3, 3): knees and elbows bent as people's are."""
    vectors = np.random.default_rng(3).normal(0, 0.1, (people, 24, 3))
    for joint, axis, sign in ((4, 0, 1), (5, 0, 1), (18, 1, -1), (19, 1, 1)):
        vectors[:, joint, axis] = sign * np.linspace(0.5, 1.5, people)
    return Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(people, 24, 3, 3)


def _six_of(matrices, layout):
    first = matrices[..., :2, :] if layout == "6d-rows" else np.swapaxes(matrices[..., :2], -1, -2)
    return first.reshape(len(matrices), 144)


@pytest.mark.parametrize(
    ("stored", "asked"), [("6d-rows", "6d-columns"), ("6d-columns", "6d-rows")]
)
def test_6d_of_rows_and_of_columns_are_told_apart_by_knees_and_elbows(tmp_path, stored, asked):
    arrays = {"pose": _six_of(_bent(20), stored)}
    with pytest.raises(ValueError, match=f"knees and elbows .* in 100% as {stored}, give --layout"):
        _read_dump(tmp_path, arrays=arrays, layout=asked)
    said = []
    _read_dump(tmp_path, said.append, arrays, layout=asked, allow_mismatch=True)
    assert any("(allowed mismatch)" in line for line in said)
    said.clear()
    found = _read_dump(tmp_path, said.append, arrays, layout=stored)
    assert files.apart(found["pose"], _bent(20)) < 1e-5
    assert not any("knees" in line for line in said)
    said.clear()
    _read_dump(tmp_path, said.append, {"pose": arrays["pose"][:3]}, layout=asked)
    assert f"WARNING: give --layout {stored}" in said[0]


def test_transposed_matrices_are_told_by_knees_and_elbows(tmp_path):
    with pytest.raises(ValueError, match="in 100% as transposed"):
        _read_dump(tmp_path, arrays={"pose": np.swapaxes(_bent(20), -1, -2)})


def test_a_folder_is_no_dump_and_its_files_are_named(tmp_path):
    (tmp_path / "a.npz").touch()
    with pytest.raises(ValueError, match=r"wanted one file, found a folder with a\.npz"):
        generic.read_generic(tmp_path, say=_silent)


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ("keypoints2d", "bbox", rf"wanted \(people, keypoints, 3\), found \({_N}, 4\)"),
        ("keypoints3d", "bbox", r"wanted \(people, keypoints, 4\)"),
        ("keypoints2d", "nosuch", "the file has no field nosuch; it has bbox, pose"),
        ("bogus", "bbox", "wanted one of pred_betas, pred_cam_t, .*keypoints2d_set"),
    ],
)
def test_fields_that_do_not_fit_are_refused_in_words(tmp_path, ours, theirs, message):
    arrays = {"pose": files.matrices(), "bbox": np.ones((_N, 4))}
    with pytest.raises(ValueError, match=message):
        _read_dump(tmp_path, arrays=arrays, fields={ours: theirs})


def _crops(tmp_path, say=_silent, weak=None, **options):
    box = np.stack([np.linspace(10, 300, _N), np.linspace(20, 90, _N), *np.full((2, _N), 80.0)], -1)
    box[:, 3] = np.linspace(150, 300, _N)
    weak = np.tile([0.9, 0.05, -0.1], (_N, 1)) if weak is None else weak
    arrays = {
        "pose": files.matrices(),
        "box": box,
        "cam": weak,
        "wh": np.tile([640.0, 480], (_N, 1)),
    }
    options = {"fields": {"bbox_px": "box"}, "image_size": (640.0, 480.0)} | options
    return box, weak, _read_dump(tmp_path, say, arrays, weak_camera="cam", **options)


@pytest.mark.parametrize("scale", [1.0, 1.2])
def test_weak_cameras_hold_in_the_square_crop_and_become_the_full_images(tmp_path, scale):
    box, weak, found = _crops(tmp_path, crop_scale=scale)
    points = np.random.default_rng(0).normal(0, 0.3, (_N, 5, 3)) * [1, 1, 0]
    side = scale * box[:, 2:].max(-1)[:, None, None]
    in_crop = weak[:, None, :1] * (points[..., :2] + weak[:, None, 1:])
    wanted = (box[:, :2] + box[:, 2:] / 2)[:, None] + in_crop * side / 2
    place = points + found["cam_t"][:, None]
    pixels = (
        found["focal_px"][:, None] * place[..., :2] / place[..., 2:] + found["center_px"][:, None]
    )
    np.testing.assert_allclose(pixels, wanted, atol=0.01)
    np.testing.assert_array_equal(found["focal_px"], 5000)
    np.testing.assert_array_equal(found["image_size_px"][0], [640, 480])
    _, _, near = _crops(tmp_path, crop_scale=scale, focal=1000.0)
    np.testing.assert_allclose(near["cam_t"][:, 2], found["cam_t"][:, 2] / 5, rtol=1e-5)


def test_weak_cameras_take_image_sizes_of_the_file(tmp_path):
    _, _, wanted = _crops(tmp_path)
    fields = {"bbox_px": "box", "image_size_px": "wh"}
    _, _, found = _crops(tmp_path, image_size=None, fields=fields)
    np.testing.assert_allclose(found["cam_t"], wanted["cam_t"])


def test_weak_cameras_need_crop_and_image_and_a_positive_scale(tmp_path):
    with pytest.raises(ValueError, match=r"give --fields bbox_px=NAME"):
        _crops(tmp_path, fields={})
    with pytest.raises(ValueError, match=r"image_size_px=NAME, or --image-size W H"):
        _crops(tmp_path, image_size=None)
    with pytest.raises(ValueError, match=r"wanted \[s, tx, ty\] with s above 0"):
        _crops(tmp_path, weak=np.tile([-0.1, 0.05, 0.9], (_N, 1)))
    with pytest.raises(ValueError, match=r"wanted above 0"):
        _crops(tmp_path, focal=-1.0)
    with pytest.raises(ValueError, match=r"wanted it or --cam-t-field"):
        _crops(tmp_path, cam_t_field="cam")
    with pytest.raises(ValueError, match=r"wanted --weak-camera beside them"):
        _read_dump(tmp_path, arrays={"pose": files.matrices()}, focal=500.0)


def test_a_weak_camera_that_leaves_the_files_focal_length_says_so(tmp_path):
    said = []
    _crops(tmp_path, said.append)
    assert not any("WARNING: the file has" in line for line in said)
    arrays = dict(np.load(tmp_path / "d.npz")) | {"focal_length": np.full(_N, 12500.0)}
    options = {"fields": {"bbox_px": "box"}, "image_size": (640.0, 480.0), "weak_camera": "cam"}
    _read_dump(tmp_path, said.append, arrays, **options)
    assert any("has focal_length, but 5000 px is taken" in line for line in said)
    said.clear()
    _read_dump(tmp_path, said.append, arrays, focal=12500.0, **options)
    assert not any("WARNING" in line for line in said)


@pytest.mark.parametrize("depth", [-0.1, 0.2])
def test_a_crops_camera_is_no_translation_in_metres(tmp_path, depth):
    arrays = {"pose": files.matrices(), "pred_cam": np.tile([0.9, 0.1, depth], (_N, 1))}
    with pytest.raises(ValueError, match=r"field pred_cam: .*read by --weak-camera pred_cam"):
        _read_dump(tmp_path, arrays=arrays, cam_t_field="pred_cam")
    found = _read_dump(tmp_path, arrays=arrays, cam_t_field="pred_cam", allow_mismatch=True)
    assert found["cam_t"][0, 2] == np.float32(depth)


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        ({}, False),
        ({"f": 5000.0}, True),
        ({"wh": [6400.0, 4800.0]}, True),
        ({"wh": [480.0, 640.0]}, False),
    ],
)
def test_places_beside_their_boxes_are_warned_of(tmp_path, change, warned):
    """A person of 1.7 m, 30 m away, is 708 px tall at 12500 px."""
    value = {"f": 12500.0, "wh": [960.0, 960.0], **change}
    said, mid = [], np.array([480.0, 480.0] if change != {"wh": [480.0, 640.0]} else [240.0, 320.0])
    arrays = {
        "pose": files.matrices(),
        "t": np.tile([0.0, 0.0, 30.0], (_N, 1)),
        "box": np.tile([*(mid - [150, 360]), 300, 720], (_N, 1)),
        "f": np.full(_N, value["f"]),
        "wh": np.tile(value["wh"], (_N, 1)),
    }
    fields = {"focal_px": "f", "image_size_px": "wh", "bbox_px": "box"}
    _read_dump(tmp_path, said.append, arrays, cam_t_field="t", fields=fields)
    assert any("WARNING: by t and the focal length" in line for line in said) == warned


def test_middles_and_sides_are_boxes(tmp_path):
    arrays = {"pose": files.matrices(), "c": np.full((_N, 2), 100.0), "s": np.full(_N, 50.0)}
    found = _read_dump(tmp_path, arrays=arrays, fields={"bbox_px": "c+s"})
    np.testing.assert_array_equal(found["bbox_px"][0], [75, 75, 50, 50])
    with pytest.raises(ValueError, match=r"field s\+c: wanted middles \(N, 2\) and sides"):
        _read_dump(tmp_path, arrays=arrays, fields={"bbox_px": "s+c"})


def test_keypoints_and_camera_of_one_dump_need_no_centre(tmp_path, capsys):
    arrays = {
        "f": np.full(_N, 900.0),
        "wh": np.full((_N, 2), 640.0),
        "kp": np.ones((_N, 17, 3)) * 9,
    }
    arrays["kp"][..., 2] = 1
    np.savez(tmp_path / "d.npz", pose=files.matrices(), **arrays)
    pairs = ("focal_px=f", "image_size_px=wh", "keypoints2d=kp", "keypoints2d_set=coco17")
    generic.convert(tmp_path / "d.npz", tmp_path / "set.npz", fields=pairs)
    np.testing.assert_array_equal(records.read(tmp_path / "set.npz").center_px, 320)
    assert "no center_px, so it is the image's middle" in capsys.readouterr().out
    generic.convert(tmp_path / "d.npz", tmp_path / "set.npz", fields=pairs[1:])
    said = capsys.readouterr().out
    assert "no focal_px and center_px, so 2D keypoints cannot be used yet" in said


def test_corners_as_boxes_of_weak_cameras_are_asked_about(tmp_path):
    corners = np.tile([400.0, 250, 500, 450], (_N, 1))
    arrays = {"pose": files.matrices(), "xyxy": corners, "cam": np.ones((_N, 3))}
    said = []
    options = {"fields": {"bbox_px": "xyxy"}, "image_size": (640.0, 480.0), "weak_camera": "cam"}
    _read_dump(tmp_path, said.append, arrays, **options)
    assert any("are they corners (x1 y1 x2 y2)?" in line for line in said)


# --- EFT -----------------------------------------------------------------------------------------


def _eft(path, people):
    return files.write_json(path / "eft.json", {"ver": 0.1, "data": people})


def test_eft_boxes_are_200_times_their_scale(tmp_path):
    path = _eft(tmp_path, files.eft_people())
    found = eft.read_eft(path, say=_silent)
    np.testing.assert_allclose(found["bbox_px"][0], [200 - 110, 240.5 - 110, 220, 220], rtol=1e-6)


def test_eft_labels_behind_openposes_25_are_coco17_with_flags_1_and_2(tmp_path):
    people = files.eft_people()
    found = eft.read_eft(_eft(tmp_path, people), say=_silent)
    assert "keypoints2d" not in found
    assert found["labels2d_set"] == "coco17"
    assert set(np.unique(found["labels2d"][..., 2])) == {0.0, 1.0}
    stored = np.array(people[0]["gt_keypoint_2d"])[25:]
    left_hip = skeleton.KEYPOINT_SETS["coco17"].index("left_hip")  # Slot 3 of SPIN's 24.
    np.testing.assert_allclose(found["labels2d"][0, left_hip, :2], stored[3, :2], atol=1e-4)
    people[3]["gt_keypoint_2d"][4] = [7.0, 8.0, 0.9]
    found = eft.read_eft(_eft(tmp_path, people), say=_silent)
    assert found["keypoints2d_set"] == "openpose25"
    np.testing.assert_allclose(found["keypoints2d"][3, 4], [7, 8, 0.9], rtol=1e-6)


def test_eft_annotation_ids_are_names_of_people_not_of_images(tmp_path):
    people = files.eft_people()
    for person in people:
        person["annotId"] = float(person["annotId"])
    found = eft.read_eft(_eft(tmp_path, people), say=_silent)
    assert found["subject"][1] == "183015"
    assert found["image"][1] == "COCO_train2014_000000000001.jpg"
    for person in people:
        person["subjectId"] = "S1_seq2_0"
    assert eft.read_eft(_eft(tmp_path, people), say=_silent)["subject"][1] == "S1_seq2_0"


def test_eft_weak_cameras_hold_in_the_box_so_cam_t_needs_the_image_size(tmp_path, rng):
    path, said = _eft(tmp_path, files.eft_people()), []
    assert "cam_t" not in eft.read_eft(path, say=said.append)
    assert any("image size unknown" in line for line in said)
    found = eft.read_eft(path, image_size_px=files.SIZE, focal_px=1e5, say=_silent)
    point = rng.normal(size=(_N, 1, 3)).astype(np.float32) * 0.3
    arrays = (found[f"{name}_px"] for name in ("focal", "center", "image_size"))
    full = camera.project(
        camera.Camera(*map(jnp.asarray, arrays)), jnp.asarray(point + found["cam_t"][:, None])
    )
    weak = np.array([p["parm_cam"] for p in files.eft_people()])
    scale = np.array([p["bbox_scale"] for p in files.eft_people()])
    center = np.array([p["bbox_center"] for p in files.eft_people()])
    crop = weak[:, :1] * (point[:, 0, :2] + weak[:, 1:])  # In (-1, 1) over the box.
    np.testing.assert_allclose(full[:, 0], center + 100 * scale[:, None] * crop, atol=0.2)


_BAD_EFT = {
    "smplx": (lambda p: p[1].update(smpltype="smplx"), "field smpltype: wanted smpl"),
    "missing": (lambda p: p[1].pop("parm_pose"), "field parm_pose: wanted it of every person"),
    "null": (lambda p: p[1].update(parm_shape=[None] * 10), "field parm_shape: wanted numbers"),
    "ragged": (
        lambda p: p[1]["parm_pose"].pop(),
        "field parm_pose: wanted numbers, found lists of different lengths",
    ),
    "scale": (lambda p: p[1].update(parm_cam=[0, 0, 0]), "field parm_cam: wanted a scale above 0"),
    "person": (lambda p: p.append([]), "field data: wanted a list of people"),
    "empty": (lambda p: p.clear(), "field data: wanted a list of people"),
    "stretched": (lambda p: p[1].update(parm_pose=np.ones((24, 3, 3)).tolist()), "--project"),
}


@pytest.mark.parametrize("case", _BAD_EFT)
def test_bad_eft_is_refused(tmp_path, case):
    change, message = _BAD_EFT[case]
    people = files.eft_people()
    change(people)
    path = _eft(tmp_path, people)
    with pytest.raises(ValueError, match=message) as error:
        eft.read_eft(path, image_size_px=files.SIZE, say=_silent)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("which", ["estimate", "truth"])
def test_eft_reads_back_angles_near_pi_included(tmp_path, which):
    annotations = files.annotations()
    to_eft.write_eft(tmp_path / "e.json", annotations, which, say=_silent)
    truth = which == "truth"  # It has no translation, so there are no cameras to read.
    size = None if truth else files.SIZE
    found = eft.read_eft(tmp_path / "e.json", image_size_px=size, say=_silent)
    assert files.apart(found["pose"], files.matrices(1 if truth else 0)) < 1e-5
    np.testing.assert_array_equal(
        found["betas"], annotations.betas if truth else annotations.pred_betas
    )
    if not truth:
        np.testing.assert_allclose(found["cam_t"], annotations.pred_cam_t, atol=1e-5)
        np.testing.assert_array_equal(found["center_px"], annotations.center_px)
    np.testing.assert_allclose(found["bbox_px"], annotations.bbox_px, rtol=1e-6)
    for name in ("keypoints2d", "labels2d", "image", "subject"):
        np.testing.assert_array_equal(found[name], getattr(annotations, name), err_msg=name)
    person = json.loads((tmp_path / "e.json").read_text())["data"][0]
    assert isinstance(person["annotId"], int)
    assert len(person["joint_validity_openpose18"]) == 18


def test_eft_is_written_without_what_is_not_known(tmp_path):
    nothing = dict.fromkeys(
        ("keypoints2d", "labels2d", "bbox_px", "pred_cam_t", "subject", "image")
    )
    bare = files.annotations(**nothing, keypoints2d_set=None, labels2d_set=None)
    said = []
    to_eft.write_eft(tmp_path / "e.json", bare, say=said.append)
    assert len(said) == 2
    assert set(eft.read_eft(tmp_path / "e.json", say=_silent)) == {"pose", "betas"}
    with pytest.raises(ValueError, match=r"ending in \.json"):
        to_eft.write_eft(tmp_path / "e.txt", bare, say=_silent)


def test_eft_boxes_come_from_keypoints_where_there_are_none(tmp_path):
    annotations = dataclasses.replace(files.annotations(), bbox_px=None)
    to_eft.write_eft(tmp_path / "e.json", annotations, say=_silent)
    found = eft.read_eft(tmp_path / "e.json", image_size_px=files.SIZE, say=_silent)
    np.testing.assert_allclose(found["cam_t"], annotations.pred_cam_t, atol=1e-5)


# --- NeuralAnnot ---------------------------------------------------------------------------------


def _read(tmp_path, content, **options):
    path = files.write_json(tmp_path / "Human36M_subject1_SMPL_NeuralAnnot.json", content)
    return neuralannot.read_neuralannot(path, say=options.pop("say", _silent), **options)


def test_neuralannot_keys_are_annotation_ids_not_images(tmp_path):
    said = []
    found = _read(tmp_path, files.neuralannot_content(), say=said.append)
    assert found["subject"].tolist()[:2] == ["476384", "476391"]
    assert "image" not in found
    assert "--coco adds the images" in said[0]
    assert files.apart(found["pose"], files.matrices()) < 1e-5
    np.testing.assert_array_equal(found["center_px"][0], [320, 240])


def test_neuralannot_people_find_their_images_by_annotation_id(tmp_path):
    coco = files.write_json(tmp_path / "coco.json", files.coco_content())
    content = files.neuralannot_content()
    del content["476391"]  # Not all of COCO's people are annotated.
    found = _read(tmp_path, content, coco=coco)
    assert found["image"].tolist()[:2] == [f"{9:012d}.jpg", f"{8:012d}.jpg"]
    np.testing.assert_array_equal(found["image_size_px"][1], [640, 408])
    np.testing.assert_array_equal(found["bbox_px"][1], [12, 20, 100, 200])
    assert set(np.unique(found["labels2d"][..., 2])) == {0.0, 1.0}
    content["1"] = content["476384"]
    with pytest.raises(ValueError, match=r"1 of 6 annotations are not in .*first 1;"):
        _read(tmp_path, content, coco=coco)


def _world(tmp_path, cameras, **options):
    path = files.write_json(tmp_path / "cameras.json", cameras)
    return _read(tmp_path, files.world_content(), cameras=path, **options)


def test_neuralannot_in_world_coordinates_is_refused_without_cameras(tmp_path):
    with pytest.raises(ValueError, match=r"is in world coordinates; .*found no cameras"):
        _read(tmp_path, files.world_content())
    with pytest.raises(ValueError, match="found no name of a camera"):
        _world(tmp_path, files.human36m_cameras())
    with pytest.raises(ValueError, match="camera 9 of 2/1: field 9"):
        _world(tmp_path, files.human36m_cameras(), camera="9")


def test_neuralannot_translations_are_metres_and_its_cameras_millimetres(tmp_path):
    """Every vertex lands where the camera's X' = R X + T puts the vertex of the world's body."""
    file = files.body_file(tmp_path)
    found = _world(tmp_path, files.human36m_cameras(), camera="2", body=file)
    arrays, view = files.smpl_arrays(24), files.view(2)
    rows = [("2", "1", "0"), ("2", "1", "5"), ("2", "2", "0"), ("3", "1", "0")]
    for row, (action, subaction, frame) in enumerate(rows):
        param = files.world_content()[action][subaction][frame]
        pose = Rotation.from_rotvec(np.reshape(param["pose"], (24, 3))).as_matrix()
        there = files.posed(arrays, pose, param["shape"]) + param["trans"]
        wanted = there @ np.array(view["R"]).T + np.array(view["t"]) / 1000
        here = files.posed(arrays, found["pose"][row], found["betas"][row]) + found["cam_t"][row]
        np.testing.assert_allclose(here, wanted, atol=1e-5)
    np.testing.assert_array_equal(found["focal_px"][0], [1147, 1144])
    assert found["sequence"].tolist() == ["2/1", "2/1", "2/2", "3/1"]
    assert found["frame"].tolist() == [0, 5, 0, 0]
    assert set(found["subject"]) == {"S1"}


def test_neuralannot_cameras_in_metres_are_found_out(tmp_path):
    cameras = files.human36m_cameras()
    for leaf in cameras.values():
        leaf["t"] = [value / 1000 for value in leaf["t"]]
    with pytest.raises(ValueError, match="field t: wanted millimetres"):
        _world(tmp_path, cameras, camera="1")


def test_neuralannot_without_a_body_has_no_translation(tmp_path):
    said = []
    found = _world(tmp_path, files.human36m_cameras(), camera="1", say=said.append)
    assert "cam_t" not in found
    assert "needs --body" in said[0]


def test_mpi_inf_3dhp_cameras_are_those_of_the_subject_and_sequence(tmp_path):
    found = _world(tmp_path, files.mpi_inf_3dhp_cameras(), camera="0")
    assert found["subject"].tolist() == ["S2", "S2", "S2", "S3"]
    world = _world(tmp_path, files.human36m_cameras(), camera="1")
    turns = np.array([files.view(i)["R"] for i in (5, 5, 6, 7)])
    back = np.array(files.view(1)["R"]).T @ world["pose"][:, 0]
    assert files.apart(found["pose"][:, 0], turns @ back) < 1e-5
    assert files.apart(found["pose"][:, 1:], world["pose"][:, 1:]) < 1e-6


_OTHERS = {
    "SMPL-X": {"1": {"smplx_param": {}, "cam_param": {}}},
    "SMPL-X of 3DPW": {
        "1": {"root_pose": [0] * 3, "body_pose": [0] * 63, "shape": [], "trans": []}
    },
    "MANO": {"1": {"right": {"mano_param": {}}, "left": None}},
    "FLAME": {"1": {"flame_param": {}, "cam_param": {}}},
}


@pytest.mark.parametrize("case", _OTHERS)
def test_neuralannot_of_other_bodies_is_refused(tmp_path, case):
    with pytest.raises(ValueError, match=f"wanted smpl_param, found {case.split()[0]}"):
        _read(tmp_path, _OTHERS[case])


_BAD_NEURALANNOT = {
    "list": [],
    "nothing": {},
    "number": {"1": 3},
    "null": {"1": {"smpl_param": None, "cam_param": {}}},
    "no pose": {"1": {"smpl_param": {"shape": [], "trans": []}, "cam_param": {}}},
    "empty take": {"1": {"1": {}}},
    "ragged": {"1": {"smpl_param": {"pose": [[1], 2], "shape": [], "trans": []},
                     "cam_param": {"focal": 1, "princpt": 2}}},
}  # fmt: skip


@pytest.mark.parametrize("case", _BAD_NEURALANNOT)
def test_bad_neuralannot_is_refused(tmp_path, case):
    cameras = files.write_json(tmp_path / "cameras.json", files.human36m_cameras())
    for options in ({}, {"cameras": cameras, "camera": "1"}):
        with pytest.raises(ValueError, match=r"NeuralAnnot\.json"):
            _read(tmp_path, _BAD_NEURALANNOT[case], **options)


@pytest.mark.parametrize("which", ["estimate", "truth"])
def test_neuralannot_reads_back_angles_near_pi_included(tmp_path, which):
    annotations = files.annotations(cam_t=np.ones((_N, 3)))
    to_neuralannot.write_neuralannot(tmp_path / "n.json", annotations, which, say=_silent)
    found = neuralannot.read_neuralannot(tmp_path / "n.json", say=_silent)
    truth = which == "truth"
    assert files.apart(found["pose"], files.matrices(1 if truth else 0)) < 1e-5
    pairs = {"betas": "betas", "cam_t": "cam_t"} if truth else {
        "betas": "pred_betas", "cam_t": "pred_cam_t"}  # fmt: skip
    for ours, name in {**pairs, "focal_px": "focal_px", "subject": "subject"}.items():
        np.testing.assert_array_equal(found[ours], getattr(annotations, name), err_msg=name)


def test_matrices_off_so3_are_written_as_the_nearest_rotations(tmp_path):
    annotations = files.annotations()
    loose = annotations.pred_pose * np.float32(1.004)
    near = dataclasses.replace(annotations, pred_pose=loose)
    to_neuralannot.write_neuralannot(tmp_path / "n.json", near, say=_silent)
    found = neuralannot.read_neuralannot(tmp_path / "n.json", say=_silent)
    assert files.apart(found["pose"], files.matrices()) < 1e-5
    to_eft.write_eft(tmp_path / "e.json", near, say=_silent)
    assert (
        files.apart(eft.read_eft(tmp_path / "e.json", say=_silent)["pose"], files.matrices()) < 1e-5
    )


def test_neuralannot_ids_are_never_used_twice(tmp_path):
    one = np.array(["a"] * _N)
    for changes, wanted in (
        ({"subject": one}, "COCO_train2014_000000000003.jpg"),
        ({"subject": one, "image": one}, "3"),
        ({"subject": None}, "COCO_train2014_000000000003.jpg"),
    ):
        set_ = files.annotations(**changes)
        to_neuralannot.write_neuralannot(tmp_path / "n.json", set_, say=_silent)
        assert list(json.loads((tmp_path / "n.json").read_text()))[3] == wanted


def test_neuralannot_needs_a_camera_and_leaves_no_half_a_file(tmp_path):
    with pytest.raises(ValueError, match=r"n\.json: wanted a focal_px"):
        to_neuralannot.write_neuralannot(tmp_path / "n.json", files.annotations(focal_px=None))
    with pytest.raises(ValueError, match="wanted a translation"):
        to_neuralannot.write_neuralannot(tmp_path / "n.json", files.annotations(), "truth")
    assert not list(tmp_path.iterdir())


def test_the_commands_write_and_read_back(tmp_path, capsys):
    records.write(tmp_path / "set.npz", files.annotations())
    to_eft.convert(tmp_path / "set.npz", tmp_path / "e.json")
    eft.convert(tmp_path / "e.json", tmp_path / "e.npz", image_size=files.SIZE)
    to_neuralannot.convert(tmp_path / "set.npz", tmp_path / "n.json")
    neuralannot.convert(tmp_path / "n.json", tmp_path / "n.npz")
    for name in ("e", "n"):
        found = records.read(tmp_path / f"{name}.npz")
        assert files.apart(found.pred_pose, files.matrices()) < 1e-5
    assert capsys.readouterr().out.count(f"{_N} people") == 4
