"""3DPW, MPI-INF-3DHP and Human3.6M: every trap of their files, and what a sweep makes of them."""

import dataclasses
import json
import pickle

import files_datasets as files
import h5py
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.io
import tiny
from scipy.spatial.transform import Rotation

from diffjax import body, camera, config, skeleton, sweep
from diffjax.convert import (
    gendered,
    h36m,
    h36m_cameras,
    mat5,
    mpi_inf_3dhp,
    mpi_inf_3dhp_train,
    order,
    predictions,
    pw3d,
    pw3d_files,
    rows,
)
from diffjax.data import records

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def _silent(_: str) -> None:
    pass


def _read_pw3d(path, **options):
    return pw3d.read_pw3d(path, say=_silent, **options)


def _rewrite(path, change):
    """The same pickle with something changed."""
    content = pickle.loads(path.read_bytes(), encoding="latin1")
    change(content)
    path.write_bytes(files.python2_pickle(content))


@pytest.mark.parametrize("name", files.CASES)
def test_every_case_converts_to_fields_that_pass_the_door(name, tmp_path):
    case = files.CASES[name](tmp_path)
    case.convert(tmp_path / "out.npz")
    assert records.read_fields(tmp_path / "out.npz")
    assert all(file.is_file() for file in case.files)


# --- 3DPW ----------------------------------------------------------------------------------------


def test_3dpw_python2_pickles_hold_strings_without_an_encoding(tmp_path):
    path = files.write_pw3d(tmp_path)
    assert b"U\x08poses2d" not in path.read_bytes()
    assert b"U\x07poses2d" in path.read_bytes()  # SHORT_BINSTRING, which Python 3 never writes.
    with pytest.raises(UnicodeDecodeError):
        pickle.loads(path.read_bytes())
    assert len(_read_pw3d(path)["pose"]) == 10


def test_3dpw_keys_may_be_bytes(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    files.CASES["3dpw bytes keys"](one).convert(tmp_path / "one.npz")
    files.CASES["3dpw"](two).convert(tmp_path / "two.npz")
    with np.load(tmp_path / "one.npz") as a, np.load(tmp_path / "two.npz") as b:
        np.testing.assert_array_equal(a["pose"], b["pose"])


def test_3dpw_campose_valid_is_of_each_actor(tmp_path):
    found = _read_pw3d(files.write_pw3d(tmp_path))
    frames = [found["frame"][found["subject"] == f"downtown_walking_00:{p}"] for p in range(2)]
    assert [f.tolist() for f in frames] == [[0, 1, 3, 4, 5], [1, 2, 3, 4, 5]]


def test_3dpw_images_are_numbered_by_index_not_by_img_frame_ids(tmp_path):
    found = _read_pw3d(files.write_pw3d(tmp_path))
    assert found["image"][2] == "imageFiles/downtown_walking_00/image_00003.jpg"
    assert found["frame"][2] == 3


def test_3dpw_poses2d_is_channel_first(tmp_path):
    path = files.write_pw3d(tmp_path)
    stored = files.pw3d_sequence()["poses2d"][1][1]  # (3, 18), the first valid frame of actor 1.
    found = _read_pw3d(path)
    assert found["keypoints2d_set"] == "openpose18"
    np.testing.assert_allclose(found["keypoints2d"][5], stored.T, rtol=1e-6)


def _blind(content):
    content["poses2d"][0][3] = 0.0


def test_3dpw_empty_detections_break_no_box_and_are_dropped_on_request(tmp_path):
    path = files.write_pw3d(tmp_path)
    assert _read_pw3d(path)["bbox_px"].shape == (10, 4)
    _rewrite(path, _blind)
    said = []
    found = pw3d.read_pw3d(path, say=said.append)
    assert "bbox_px" not in found
    assert any("1 rows have no detection, so bbox_px is left out" in line for line in said)
    assert not found["keypoints2d"][2].any()
    kept = _read_pw3d(path, drop_undetected=True)
    assert len(kept["pose"]) == 9
    assert kept["bbox_px"].shape == (9, 4)


def test_3dpw_betas_of_300_components_are_cut_aloud(tmp_path):
    said = []
    found = pw3d.read_pw3d(files.write_pw3d(tmp_path), say=said.append)
    stored = files.pw3d_sequence()["betas"]
    np.testing.assert_allclose(found["betas"][0], stored[0], rtol=1e-6)
    np.testing.assert_allclose(found["betas"][-1], stored[1][:10], rtol=1e-6)
    assert any("300 components; the first 10" in line for line in said)


def test_3dpw_genders_may_be_arrays_without_axes(tmp_path):
    found = _read_pw3d(files.write_pw3d(tmp_path))
    assert found["gender"].tolist() == ["male"] * 5 + ["female"] * 5


def test_3dpw_root_turns_into_the_camera_and_nothing_else_does(tmp_path):
    found, stored = _read_pw3d(files.write_pw3d(tmp_path)), files.pw3d_sequence()
    pose = Rotation.from_rotvec(stored["poses"][0][0].reshape(24, 3)).as_matrix()
    np.testing.assert_allclose(found["pose"][0, 1:], pose[1:], atol=1e-6)
    np.testing.assert_allclose(
        found["pose"][0, 0], stored["cam_poses"][0, :3, :3] @ pose[0], atol=1e-6
    )


def _posed(path, fields, row):
    """The true person of a row, on a body."""
    arrays = (jnp.asarray(fields[k][row], jnp.float32) for k in ("pose", "betas", "cam_t"))
    return body.pose_body(body.load_body(path), *arrays)


def test_3dpw_translation_turns_about_the_rest_pelvis_of_the_gendered_body(tmp_path):
    """The body posed in the camera is the body posed in the world, seen by the camera."""
    bodies = files.write_bodies(tmp_path)
    path = files.write_pw3d(tmp_path, models=bodies)
    found = _read_pw3d(path, bodies=bodies, joints="smpl24")
    for row, gender in ((0, 0), (7, 1)):
        posed = _posed(bodies[gender], found, row)
        np.testing.assert_allclose(posed.joints, found["keypoints3d"][row, :, :3], atol=2e-5)
    swapped = [bodies[1], bodies[0]]
    with pytest.raises(ValueError, match=r"wanted male, female.*SMPL_FEMALE.npz as male"):
        _read_pw3d(path, bodies=swapped)


def test_3dpw_protocol_joints_are_of_the_gendered_body_in_its_place(tmp_path):
    bodies = files.write_bodies(tmp_path)
    found = _read_pw3d(files.write_pw3d(tmp_path, models=bodies), bodies=bodies)
    assert found["keypoints3d_set"] == "h36m14"
    posed = _posed(bodies[1], found, -1)
    joints = body.load_regressor(bodies[1], "h36m14") @ np.asarray(posed.vertices)
    np.testing.assert_allclose(found["keypoints3d"][-1, :, :3], joints, atol=2e-5)


def test_3dpw_without_bodies_says_what_is_missing(tmp_path):
    said = []
    found = pw3d.read_pw3d(files.write_pw3d(tmp_path), say=said.append)
    assert found["keypoints3d_set"] == "smpl24"
    assert "cam_t" not in found
    assert any("cam_t is left out" in line for line in said)
    assert any("the 14 of the protocol need --bodies" in line for line in said)
    with pytest.raises(ValueError, match=r"--joints h36m14: wanted --bodies"):
        _read_pw3d(tmp_path, split="test", joints="h36m14")
    bodies = files.write_bodies(tmp_path)
    with pytest.raises(ValueError, match=r"found \['neutral'\]; add the body"):
        gendered.rest_pelvis(
            {"gender": np.array(["neutral"]), "betas": np.zeros((1, 10))},
            dict(zip(("male", "female"), bodies)),
            "x",
        )


def test_3dpw_joint_positions_are_in_the_world(tmp_path):
    stored = files.pw3d_sequence()
    found = _read_pw3d(files.write_pw3d(tmp_path))
    world = stored["jointPositions"][0][0].reshape(24, 3)
    cam = stored["cam_poses"][0]
    np.testing.assert_allclose(
        found["keypoints3d"][0, :, :3], world @ cam[:3, :3].T + cam[:3, 3], atol=1e-5
    )


@pytest.mark.parametrize("portrait", [True, False])
def test_3dpw_image_size_follows_the_principal_point(tmp_path, portrait):
    found = _read_pw3d(files.write_pw3d(tmp_path, portrait=portrait))
    assert found["image_size_px"][0].tolist() == ([1080, 1920] if portrait else [1920, 1080])
    np.testing.assert_allclose(found["focal_px"][0], [1961.85, 1969.23])
    np.testing.assert_allclose(found["center_px"] * 2, found["image_size_px"])


def test_3dpw_splits_are_folders_and_files_are_sorted(tmp_path):
    for split, name in (
        ("test", "b_00"),
        ("test", "a_00"),
        ("train", "c_00"),
        ("validation", "d_00"),
    ):
        files.write_pw3d(tmp_path, split, name=name, frames=3)
    whole = tmp_path / "sequenceFiles"
    with pytest.raises(ValueError, match="wanted one split, found train, validation, test"):
        pw3d_files.sequence_files(whole)
    for root in (tmp_path, whole, whole / "test"):
        names = [file.stem for file in pw3d_files.sequence_files(root, "test")]
        assert names == ["a_00", "b_00"]
    names = [file.stem for file in pw3d_files.sequence_files(whole, "all")]
    assert names == ["c_00", "d_00", "a_00", "b_00"]
    with pytest.raises(FileNotFoundError, match="check --split"):
        pw3d_files.sequence_files(whole / "test", "train")
    sequence = _read_pw3d(whole, split="test")["sequence"]
    assert list(dict.fromkeys(sequence.tolist())) == ["a_00", "b_00"]


_BAD_PW3D = {
    "no cameras": (lambda c: c.pop("cam_poses"), "field cam_poses: wanted a 3DPW sequence"),
    "ragged actors": (lambda c: c["betas"].pop(), "wanted one entry per actor"),
    "frames": (lambda c: c["trans"].__setitem__(1, c["trans"][1][:-1]), r"field trans\[1\]: wanted 6 rows"),
    "intrinsics": (lambda c: c.update(cam_intrinsics=np.eye(3)), "field cam_intrinsics: wanted the camera"),
    "scaled camera": (lambda c: c.update(cam_poses=2 * c["cam_poses"]), "field cam_poses: wanted rotations"),
    "gender": (lambda c: c["genders"].__setitem__(0, "x"), "field gender: wanted m, f or n"),
    "nowhere": (lambda c: [v.fill(0) for v in c["campose_valid"]], "wanted a frame with a camera"),
    "few betas": (lambda c: c["betas"].__setitem__(0, np.zeros(3)), r"field betas\[0\]: wanted 10 or more"),
    "endless name": (lambda c: c.update(sequence="x" * 1000), "field sequence: wanted a name"),
}  # fmt: skip


@pytest.mark.parametrize("case", _BAD_PW3D)
def test_3dpw_files_that_are_not_whole_are_refused(tmp_path, case):
    change, message = _BAD_PW3D[case]
    path = files.write_pw3d(tmp_path)
    _rewrite(path, change)
    with pytest.raises(ValueError, match=message) as error:
        _read_pw3d(path)
    assert str(path) in str(error.value)


# --- the order of another file ---------------------------------------------------------------------


@pytest.fixture
def two_sequences(tmp_path):
    for seed, name in enumerate(("a_00", "b_00")):
        files.write_pw3d(tmp_path, name=name, seed=seed)
    return _read_pw3d(tmp_path, split="test")


def _shuffled(fields, seed=0):
    return np.random.default_rng(seed).permutation(len(fields["image"]))[:-3]


def _human_data(path, fields, index, truth=True):
    axis = Rotation.from_matrix(fields["pose"][index].reshape(-1, 3, 3)).as_rotvec()
    axis = axis.reshape(-1, 24, 3)
    smpl = {"body_pose": axis[:, 1:], "global_orient": axis[:, 0], "betas": fields["betas"][index]}
    data = {"__data_len__": len(index), "image_path": fields["image"][index]}
    np.savez_compressed(path, **data, **({"smpl": smpl} if truth else {}))
    return path


def _spin(path, fields, index):
    axis = Rotation.from_matrix(fields["pose"][index].reshape(-1, 3, 3)).as_rotvec()
    images = np.char.encode(np.char.replace(fields["image"][index], "imageFiles/", "3DPW/"))
    np.savez(path, imgname=images, pose=axis.reshape(-1, 72), shape=fields["betas"][index])
    return path


def _annotations(path, fields, index):
    kept = ("pose", "betas", "image", "sequence")
    records.write_fields(path, {name: fields[name][index] for name in kept})
    return path


@pytest.mark.parametrize("write", [_human_data, _spin, _annotations])
def test_order_like_tells_the_actors_of_an_image_apart_by_their_truth(
    tmp_path, two_sequences, write
):
    index = _shuffled(two_sequences)
    found = order.order_like(
        two_sequences, write(tmp_path / "like.npz", two_sequences, index), "3dpw", _silent
    )
    for name in ("subject", "image", "pose", "keypoints2d", "frame"):
        np.testing.assert_array_equal(found[name], two_sequences[name][index])
    assert found["keypoints2d_set"] == "openpose18"


def test_order_like_without_truth_goes_by_occurrence_or_refuses(tmp_path, two_sequences):
    said, last = [], np.lexsort((two_sequences["subject"], two_sequences["image"]))
    path = _human_data(tmp_path / "like.npz", two_sequences, last[::-1], truth=False)
    found = order.order_like(two_sequences, path, "3dpw", said.append)
    np.testing.assert_array_equal(found["image"], two_sequences["image"][last[::-1]])
    assert any("matched by their order" in line for line in said)
    index = _shuffled(two_sequences)
    path = _human_data(tmp_path / "some.npz", two_sequences, index, truth=False)
    with pytest.raises(ValueError, match=r"some.npz: 0 of 17 rows .* find nobody in their image"):
        order.order_like(two_sequences, path, "3dpw", _silent)


def test_order_like_refuses_with_counts_what_cannot_be_matched(tmp_path, two_sequences):
    path = _human_data(tmp_path / "like.npz", two_sequences, np.arange(20))
    first = rows.take(two_sequences, two_sequences["sequence"] == "a_00")
    with pytest.raises(
        ValueError, match=r"10 of 20 rows are of images that 3dpw lacks \(first row 10"
    ):
        order.order_like(first, path, "3dpw", _silent)
    twice = _human_data(tmp_path / "twice.npz", two_sequences, np.array([3, 3]))
    with pytest.raises(ValueError, match="1 the same person as another"):
        order.order_like(two_sequences, twice, "3dpw", _silent)
    other = two_sequences | {"betas": two_sequences["betas"] + 1}
    with pytest.raises(ValueError, match="20 find nobody in their image"):
        order.order_like(other, path, "3dpw", _silent)
    np.savez(tmp_path / "names.npz", imgname=np.array(["image_00000.jpg"]))
    with pytest.raises(ValueError, match="file names alone are not unique"):
        order.order_like(two_sequences, tmp_path / "names.npz", "3dpw", _silent)


# --- MPI-INF-3DHP ----------------------------------------------------------------------------------


def _read_test(path, **options):
    return mpi_inf_3dhp.read_test(path, say=_silent, **options)


def test_mpi_inf_3dhp_universal_and_metric_joints_are_both_there_by_name(tmp_path):
    path, stored = files.write_mpi_test(tmp_path), files.mpi_test_arrays()
    kept = [0, 2, 3, 5, 6, 7]
    for name, key in (("universal", "univ_annot3"), ("metric", "annot3")):
        found = _read_test(path, joints=name)
        assert found["keypoints3d_set"] == "mpii3d17"
        np.testing.assert_allclose(
            found["keypoints3d"][..., :3], stored[key][kept, 0] / 1000, rtol=1e-5
        )
        np.testing.assert_allclose(
            found["keypoints2d"][..., :2], stored["annot2"][kept, 0], rtol=1e-5
        )


def test_mpi_inf_3dhp_images_are_numbered_from_1(tmp_path):
    found = _read_test(files.write_mpi_test(tmp_path, subject=3))
    assert found["image"][1] == "mpi_inf_3dhp_test_set/TS3/imageSequence/img_000003.jpg"
    assert found["frame"].tolist() == [1, 3, 4, 6, 7, 8]
    assert set(found["sequence"].tolist()) == {"TS3"}


def test_mpi_inf_3dhp_frame_filters_go_by_name(tmp_path):
    """All valid; inside 2048 x 2048 whoever it is; inside the image, which is smaller for TS5."""
    pixels = files.mpi_test_arrays(center=(960.0, 540.0))["annot2"]
    pixels[:] = np.clip(pixels, 10, 1000)
    pixels[0, 0, 3] = -1, 10
    pixels[2, 0, 4] = 10, 1500
    pixels[3, 0, 5] = 10, 2048
    path = files.write_mpi_test(tmp_path, subject=5, annot2=pixels)
    counts = [len(_read_test(path, frames=f)["frame"]) for f in ("valid", "inside", "inside_image")]
    assert counts == [6, 4, 3]


def test_mpi_inf_3dhp_subjects_5_and_6_have_another_image_size(tmp_path):
    for subject in (6, 1, 5):
        files.write_mpi_test(tmp_path, subject=subject)
    for root in (tmp_path, tmp_path / "mpi_inf_3dhp_test_set"):
        found = _read_test(root)
        assert list(dict.fromkeys(found["sequence"].tolist())) == ["TS1", "TS5", "TS6"]
    assert found["image_size_px"][[0, 6, 12]].tolist() == [[2048, 2048], [1920, 1080], [1920, 1080]]


def test_mpi_inf_3dhp_camera_is_the_one_that_its_joints_and_pixels_imply(tmp_path):
    for subject in (1, 5):
        files.write_mpi_test(tmp_path, subject=subject)
    found = _read_test(tmp_path, joints="universal")
    np.testing.assert_allclose(found["focal_px"], 1500.0, rtol=1e-4)
    np.testing.assert_allclose(found["center_px"][[0, -1]], [[1024, 1024], [960, 540]], rtol=1e-3)
    said, noise = [], np.random.default_rng(0).uniform(0, 2000, (8, 1, 17, 2))
    path = files.write_mpi_test(tmp_path, subject=2, annot2=noise)
    assert "focal_px" not in mpi_inf_3dhp.read_test(path, say=said.append)
    assert any("imply no camera" in line for line in said)


def test_mpi_inf_3dhp_head_and_head_top_are_not_swapped(tmp_path):
    """3DHP's joint 0 is the top of the head, 16 the head: slots that SPIN and mmhuman3d call otherwise."""
    names = skeleton.KEYPOINT_SETS["mpii3d17"]
    assert (names[0], names[16], names[14]) == ("head_top", "head", "pelvis")
    h36m17 = skeleton.KEYPOINT_SETS["h36m17"]
    train = [mpi_inf_3dhp_train._TRAIN28[name] for name in h36m17]
    assert train == [4, 18, 19, 20, 23, 24, 25, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]


def test_mpi_inf_3dhp_links_out_of_the_file_are_not_followed(tmp_path):
    path = files.write_mpi_test(tmp_path)
    other = files.write_mpi_test(tmp_path, subject=2)
    for link in (h5py.ExternalLink(str(other), "annot2"), h5py.SoftLink("/annot3")):
        with h5py.File(path, "r+") as file:
            del file["annot2"]
            file["annot2"] = link
        with pytest.raises(
            ValueError, match="field annot2: wanted an array of numbers in the file"
        ):
            _read_test(path)


def test_mpi_inf_3dhp_absurd_sizes_are_refused_before_they_are_read(tmp_path):
    path = files.write_mpi_test(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["annot3"]
        file.create_dataset("annot3", (10**9, 1, 17, 3), chunks=(64, 1, 17, 3), dtype="f8")
    with pytest.raises(ValueError, match="field annot3: wanted at most"):
        _read_test(path)


def test_mpi_inf_3dhp_files_of_another_kind_are_refused(tmp_path):
    path = files.write_mpi_test(tmp_path)
    scipy.io.savemat(path, {"annot2": np.zeros(3)})
    with pytest.raises(ValueError, match=r"wanted a MATLAB 7\.3 file"):
        _read_test(path)
    path.rename(tmp_path / "annot_data.mat")
    with pytest.raises(ValueError, match="wanted it in a folder TS1 to TS6"):
        _read_test(tmp_path / "annot_data.mat")
    with pytest.raises(FileNotFoundError, match="give mpi_inf_3dhp_test_set"):
        _read_test(tmp_path / "mpi_inf_3dhp_test_set")
    path = files.write_mpi_test(tmp_path, valid_frame=np.zeros((8, 1)))
    with pytest.raises(ValueError, match="wanted valid frames, found none"):
        _read_test(path)


def test_mpi_inf_3dhp_training_videos_are_cells_of_28_joints(tmp_path):
    path, points = files.write_mpi_train(tmp_path, 2, 1), files.mpi_train_points()
    for root in (path, tmp_path):
        found = mpi_inf_3dhp_train.read_train(root, numbers=(0, 8), say=_silent)
        assert len(found["frame"]) == 4
    assert found["image"][3] == "S2/Seq1/imageFrames/video_8/frame_000011.jpg"
    assert found["sequence"][2] == "S2/Seq1/video_8"
    assert found["subject"][0] == "S2"
    np.testing.assert_allclose(found["keypoints3d"][3, 14, :3], points[8, 10, 4], rtol=1e-5)
    np.testing.assert_allclose(found["focal_px"], 1500.0, rtol=1e-4)


def test_matlab_v5_numbers_and_cells_read_as_scipy_reads_them(tmp_path):
    rng = np.random.default_rng(0)
    cell = np.empty((2, 3), object)
    for place in np.ndindex(cell.shape):
        cell[place] = rng.normal(size=(3, *place, 2)[:2] if place[0] else (2, 2))
    arrays = {
        "x": rng.normal(size=(2, 3)),
        "whole": np.arange(6.0).reshape(3, 2),
        "bytes": np.arange(4, dtype=np.uint8)[None],
        "a_name_of_some_length": rng.normal(size=(2, 2, 2)).astype(np.float32),
        "cell": cell,
        "struct": {"not": "wanted"},
    }
    for packed in (False, True):
        path = tmp_path / f"{packed}.mat"
        scipy.io.savemat(path, arrays, do_compression=packed)
        names = [name for name in arrays if name != "struct"]
        mine, theirs = mat5.load(path, names), scipy.io.loadmat(path)
        for name in names:
            assert mine[name].shape == theirs[name].shape
        for name in names[:-1]:
            np.testing.assert_array_equal(mine[name], theirs[name])
        for one, two in zip(mine["cell"].ravel(), theirs["cell"].ravel()):
            np.testing.assert_array_equal(one, two)
        with pytest.raises(ValueError, match="'struct' of class 2, wanted numbers or a cell"):
            mat5.load(path, ["struct"])
        with pytest.raises(ValueError, match=r"no missing \(only x of what is needed"):
            mat5.load(path, ["x", "missing"])


# --- Human3.6M -------------------------------------------------------------------------------------


def _read_h36m(*paths, **options):
    return h36m.read_h36m(*paths, say=_silent, **options)


def test_h36m_cameras_look_at_the_people_with_their_feet_down():
    for subject in h36m_cameras.SUBJECTS:
        for name in h36m_cameras.NAMES:
            view = h36m_cameras.view(subject, name)
            np.testing.assert_allclose(view.turn @ view.turn.T, np.eye(3), atol=1e-5)
            floor, head = h36m_cameras.in_camera(
                view, np.array([[0, 0, 0], [0, 0, 1.7]], np.float32)
            )
            assert 3 < floor[2] < 7  # Metres ahead.
            assert floor[1] > head[1] + 1  # y is down.
            lens = camera.Camera(*(jnp.asarray(x, jnp.float32) for x in view[2:]))
            pixels = camera.project(lens, jnp.asarray(floor[None]))
            assert 0 < float(pixels[0, 0]) < 1000


def test_h36m_joints_are_seen_by_each_camera_in_native_order(tmp_path):
    path, _ = files.write_h36m(tmp_path)
    found = _read_h36m(path, subjects=("S1",))
    world = files.h36m_positions()["S1"]["Eating"]
    assert found["keypoints3d_set"] == "h36m17_native"
    rows_of = found["sequence"] == "S1/Eating/58860488"
    view = h36m_cameras.view("S1", "58860488")
    back = found["keypoints3d"][rows_of][..., :3] @ view.turn.T + view.place
    moving = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    np.testing.assert_allclose(back, world[:, moving], atol=1e-5)
    assert found["image_size_px"][rows_of][0].tolist() == [1000, 1000]


def test_h36m_rows_go_video_by_video_and_frame_by_frame(tmp_path):
    found = _read_h36m(*files.write_h36m(tmp_path), subjects=("S9",), stride=2)
    names = [f"S9/Walking 1/{name}" for name in h36m_cameras.NAMES]
    assert found["sequence"].tolist() == np.repeat(names, 3).tolist()
    assert found["frame"].tolist() == [0, 2, 4] * 4


def test_h36m_videos_longer_than_the_motion_are_cut_at_their_end(tmp_path):
    paths = files.write_h36m(tmp_path, extra=3)
    with np.load(paths[1], allow_pickle=True) as stored:
        pixels = stored["positions_2d"].item()["S1"]["Walking 1"][1]
    found = _read_h36m(*paths, cameras=("55011271",))
    assert found["keypoints2d_set"] == "h36m17_native"
    np.testing.assert_array_equal(found["keypoints2d"][:5, :, :2], pixels[:5])
    with pytest.raises(
        ValueError, match=r"data_2d.*wanted \(5 or more, 17, 2\), found \(4, 17, 2\)"
    ):
        _read_h36m(*files.write_h36m(tmp_path, extra=-1))


def test_h36m_subjects_without_public_cameras_are_left_out_aloud(tmp_path):
    said = []
    found = h36m.read_h36m(files.write_h36m(tmp_path)[0], say=said.append)
    assert set(found["subject"].tolist()) == {"S1", "S9"}
    assert "S2 left out: their cameras are not public" in said[0]
    with pytest.raises(ValueError, match="wanted S7, found S1, S9, S2"):
        _read_h36m(tmp_path / "data_3d_h36m.npz", subjects=("S7",))


def test_h36m_17_joints_are_taken_as_they_are(tmp_path):
    path, _ = files.write_h36m(tmp_path, joints=17)
    assert _read_h36m(path)["keypoints3d"].shape == (60, 17, 4)
    with pytest.raises(ValueError, match="wanted 32 joints, or the 17 that move, found 16"):
        _read_h36m(files.write_h36m(tmp_path, joints=16)[0])


def test_h36m_detectron_keypoints_are_in_cocos_order(tmp_path):
    found = _read_h36m(*files.write_h36m(tmp_path, layout="coco17"))
    assert found["keypoints2d_set"] == "coco17"
    with pytest.raises(
        ValueError, match=r"keypoints_symmetry: wanted that of h36m17_native or coco17"
    ):
        _read_h36m(*files.write_h36m(tmp_path, layout="h36m17"))


# --- whole: convert, join, sweep -------------------------------------------------------------------


def _estimates(folder, people):
    """mmhuman3d's result_keypoints.json with its HumanData, as an annotation set; its path."""
    rng, count = np.random.default_rng(3), len(people["image"])
    turn = Rotation.from_rotvec(rng.normal(0, 0.15, (count * 24, 3))).as_matrix()
    pose = people.get("pose", np.eye(3)) @ turn.reshape(count, 24, 3, 3)
    betas = np.zeros((count, 10))
    posed = body.pose_body(tiny.bones(), *(jnp.asarray(x, jnp.float32) for x in (pose, betas)))
    joints = tiny.REGRESSORS["h36m17"] @ np.asarray(posed.vertices)
    result = {"keypoints": joints.tolist(), "poses": pose.tolist(), "betas": betas.tolist()}
    (folder / "result_keypoints.json").write_text(json.dumps(result))
    np.savez_compressed(
        folder / "human_data.npz",
        __data_len__=count,
        image_path=people["image"],
        bbox_xywh=np.pad(people["bbox_px"], ((0, 0), (0, 1)), constant_values=1.0),
    )
    found = predictions.from_mmhuman3d(
        folder / "result_keypoints.json", folder / "human_data.npz", say=_silent
    )
    records.write(folder / "estimates.npz", found)
    return folder / "estimates.npz"


def _sweep(folder, name, test, kinds=()):
    """The sweep of configs/<name>.py: other paths, nothing else."""
    run = config.load(f"configs/{name}.py")
    tiny.write_body(folder / "bones.npz")
    with np.load(
        folder / "bones.npz"
    ) as bones:  # SMPL's mesh gets its OpenPose keypoints from vertices.
        np.savez(folder / "body.npz", **bones, regressor_openpose25=np.eye(24)[np.arange(25) % 24])
    data = config.Data("demo", "", str(test), str(folder / "body.npz"))
    parts = config.Parts(denoiser=tiny.write_model(folder / "denoiser.npz", "rotmat226"))
    return sweep.sweep(dataclasses.replace(run, data=data, parts=parts), folder / "out", kinds)


def test_3dpw_files_converted_and_joined_are_swept_by_its_config(tmp_path, capsys):
    bodies = files.write_bodies(tmp_path)
    files.write_pw3d(tmp_path, frames=3, models=bodies)
    truth = _read_pw3d(tmp_path, split="test", bodies=bodies)
    backwards = np.arange(len(truth["image"]))[::-1]
    like = _human_data(tmp_path / "like.npz", truth, backwards)
    estimates = _estimates(tmp_path, rows.take(truth, backwards))
    pw3d.convert(tmp_path, tmp_path / "test.npz", estimates, "test", tuple(bodies), order_like=like)
    annotations = records.read(tmp_path / "test.npz")
    np.testing.assert_array_equal(annotations.image, truth["image"][backwards])
    assert annotations.keypoints3d_set == "h36m14"
    summaries = _sweep(tmp_path, "3dpw", tmp_path / "test.npz")
    assert any("ORACLE" in s["name"] for s in summaries)
    assert (tmp_path / "out" / "sweep.json").is_file()


def test_mpi_inf_3dhp_files_converted_and_joined_are_swept_by_its_config(tmp_path, capsys):
    for subject in (1, 5):
        files.write_mpi_test(tmp_path, subject=subject)
    people = _read_test(tmp_path)
    estimates = _estimates(tmp_path, people)
    mpi_inf_3dhp.convert(tmp_path, tmp_path / "test.npz", estimates)
    annotations = records.read(tmp_path / "test.npz")
    assert annotations.keypoints3d_set == "mpii3d17"
    assert records.count(annotations) == len(people["image"]) == 12
    summaries = _sweep(tmp_path, "mpi_inf_3dhp", tmp_path / "test.npz", ("joints3d",))
    assert any("ORACLE" in s["name"] for s in summaries)
