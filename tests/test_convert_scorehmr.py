"""ScoreHMR's batched files, its cache written back, EMDB and track folders: what is read, and every trap."""

import pickle

import files_datasets
import files_scorehmr as files
import jax.numpy as jnp
import numpy as np
import pytest
from files_scorehmr import silent

from diffjax import camera, tracks
from diffjax.convert import (
    batched,
    emdb,
    hmr2_evaluation,
    scorehmr_cache,
    slahmr,
    to_scorehmr_cache,
)
from diffjax.data import records

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def read(data, cache, entries="video", **options):
    return scorehmr_cache.from_scorehmr(cache, data, entries=entries, say=silent, **options)


# --- batched files -------------------------------------------------------------------------------


def test_a_batched_file_holds_the_rows_of_the_npz_entry_by_entry(tmp_path):
    data, cache, flat = files.batched(tmp_path)
    found, whole = read(data, cache), read(*flat, entries=None)
    for name, value in records.arrays_of(whole).items():
        if name != "subject":
            np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)
    assert found.subject is not None
    assert found.subject.tolist() == ["00000"] * 3 + ["00001"] + ["00002"] * 2
    assert found.sequence is not None
    assert found.frame is not None
    assert found.sequence.tolist() == ["run_00"] * 4 + ["run_01"] * 2
    assert found.frame.tolist() == [0, 1, 3, 5, 0, 1]
    clips = tracks.tracks(found.sequence, found.subject, found.view, found.frame)
    assert [len(rows) for rows in clips] == list(files.COUNTS)


def test_nobody_guesses_what_an_entry_is(tmp_path):
    data, cache, flat = files.batched(tmp_path)
    with pytest.raises(ValueError, match=r"data\.pkl: wanted to know .* --entries video .* views"):
        read(data, cache, None)
    with pytest.raises(
        ValueError, match=r"entry 0: .* order of their numbers, .* --entries views meant"
    ):
        read(*files.batched(tmp_path, files.H36M)[:2], "video")
    with pytest.raises(ValueError, match=r"wanted with a batched \.pkl alone"):
        batched.load(flat[0], "video")


def test_names_of_human36m_tell_camera_instant_and_person(tmp_path):
    found = read(*files.batched(tmp_path, files.H36M)[:2], "views")
    assert found.view is not None
    assert found.view.tolist()[:4] == ["54138969", "55011271", "58860488", "54138969"]
    assert np.asarray(found.frame).tolist() == [1, 1, 1, 6, 1, 1]
    assert np.asarray(found.subject).tolist() == ["S9"] * 4 + ["S11"] * 2
    sets = tracks.instants(found.sequence, found.subject, found.view, found.frame)
    assert sorted(map(len, sets)) == [1, 2, 3]


def test_two_instants_in_an_entry_of_views_are_refused(tmp_path):
    images = [*files.H36M[:2], files.H36M[2].replace("000001", "000006"), *files.H36M[3:]]
    with pytest.raises(
        ValueError, match=r"entry 0: .* wanted one instant, each camera once.*video"
    ):
        read(*files.batched(tmp_path, images)[:2], "views")


def test_frames_out_of_order_are_no_video(tmp_path):
    images = [files.VIDEO[i] for i in (1, 0, 2, 3, 4, 5)]
    with pytest.raises(
        ValueError, match=r"entry 0: .*in the order of their numbers, found .*00001"
    ):
        read(*files.batched(tmp_path, images)[:2])


def test_view_sets_of_a_frozen_scene_need_no_numbers(tmp_path):
    """Mannequin: the list alone says which images are one instant."""
    images = [f"scene{c}/{name}.jpg" for c, name in zip("aaabcc", ("x", "y", "z", "x", "u", "v"))]
    found = read(*files.batched(tmp_path, images)[:2], "views")
    sets = tracks.instants(found.sequence, found.subject, found.view, found.frame)
    assert sorted(rows.tolist() for rows in sets) == [[0, 1, 2], [3], [4, 5]]
    with pytest.raises(ValueError, match=r"wanted a number in every image's name"):
        read(*files.batched(tmp_path, images)[:2], "video")


def test_keypoints_that_an_entry_lacks_are_unseen_and_other_fields_are_left_out(tmp_path):
    data, _, _ = files.batched(tmp_path)
    entries = pickle.loads(data.read_bytes())
    del entries[1]["body_keypoints_2d"], entries[1]["betas"]
    said = []
    found = hmr2_evaluation.read_hmr2_evaluation(
        files.write_list(data, entries), say=said.append, entries="video"
    )
    assert (found["keypoints2d"][:, :, 2].max(-1) > 0).tolist() == [1, 1, 1, 0, 1, 1]
    assert "pose" not in found
    assert any("1 of 3 entries have no betas" in line for line in said)


def test_estimates_of_other_entries_are_refused(tmp_path):
    data, cache, flat = files.batched(tmp_path)
    with np.load(flat[1]) as stored:
        files.write_list(cache, files.split(dict(stored), (2, 2, 2)))
    with pytest.raises(ValueError, match=r"wanted the entries of .*data\.pkl, found other lengths"):
        read(data, cache)


def test_rows_of_an_entry_must_be_as_many_as_its_images(tmp_path):
    data, _, _ = files.batched(tmp_path)
    entries = pickle.loads(data.read_bytes())
    entries[2]["center"] = entries[2]["center"][:1]
    with pytest.raises(ValueError, match=r"entry 2: field center: wanted 2 rows, found 1"):
        batched.load(files.write_list(data, entries), "video")
    with pytest.raises(ValueError, match=r"wanted a list with a dict .* found dict"):
        batched.load(files.write_list(data, entries[0]), "video")


def test_j19_is_the_stored_joints_in_place_of_a_pose_of_unknown_gender(tmp_path):
    data, cache, flat = files.batched(tmp_path)
    said = []
    found = scorehmr_cache.from_scorehmr(
        cache, data, entries="video", joints="j19", say=said.append
    )
    with np.load(flat[0]) as stored:
        wanted = stored["extra_keypoints_3d"]
        np.testing.assert_allclose(np.asarray(found.keypoints3d), wanted, rtol=1e-6)
    assert found.keypoints3d_set == "j19"
    assert found.pose is None
    assert any("pose and betas are left out" in line for line in said)
    data, cache, _ = files.batched(tmp_path, extra_keypoints_3d=np.zeros((files.ROWS, 19, 4)))
    with pytest.raises(ValueError, match=r"field extra_keypoints_3d: wanted 19 joints"):
        read(data, cache, joints="j19")


# --- the cache, written --------------------------------------------------------------------------


def test_the_cache_that_is_written_is_the_one_that_was_read(tmp_path):
    _, _, flat = files.batched(tmp_path)
    out = tmp_path / "again.npz"
    to_scorehmr_cache.write_scorehmr_cache(out, read(*flat, entries=None), say=silent)
    with np.load(flat[1]) as first, np.load(out) as again:
        assert set(first) == set(again)
        for name in first:
            assert again[name].dtype == np.float32
            np.testing.assert_allclose(again[name], first[name], rtol=2e-5, atol=2e-5, err_msg=name)
    twice = read(flat[0], out, entries=None)
    places = [np.asarray(a.pred_cam_t) for a in (twice, read(*flat, entries=None))]
    np.testing.assert_allclose(*places, rtol=1e-5)


@pytest.mark.parametrize(("images", "entries"), [(files.VIDEO, "video"), (files.H36M, "views")])
def test_the_batched_cache_that_is_written_has_the_same_entries(tmp_path, images, entries):
    data, cache, _ = files.batched(tmp_path, images)
    out = tmp_path / "again.pkl"
    found = read(data, cache, entries)
    to_scorehmr_cache.write_scorehmr_cache(out, found, entries=entries, say=silent)
    first, again = (pickle.loads(path.read_bytes()) for path in (cache, out))
    assert [len(part["pred_cam"]) for part in again] == list(files.COUNTS)
    for old, new in zip(first, again, strict=True):
        assert set(old) == set(new)
        for name in old:
            np.testing.assert_allclose(new[name], old[name], rtol=2e-5, atol=2e-5, err_msg=name)
    read(data, out, entries)


def test_people_of_another_camera_look_the_same_in_scorehmrs(tmp_path):
    _, _, flat = files.batched(tmp_path)
    a = read(*flat, entries=None)
    focal = np.full((files.ROWS, 2), 1200.0, np.float32)
    center = np.asarray(a.center_px) + np.float32([30, -20])
    place = np.float32([[0.2, -0.1, 4.0]] * files.ROWS)
    moved = {"pred_cam_t": place, "focal_px": focal, "center_px": center}
    out, said = tmp_path / "other.npz", []
    people = records.from_arrays(records.arrays_of(a) | moved, "here")
    to_scorehmr_cache.write_scorehmr_cache(out, people, say=said.append)
    again = read(flat[0], out, entries=None)
    pixels = [
        camera.project(
            camera.Camera(*(jnp.asarray(x) for x in (b.focal_px, b.center_px, b.image_size_px))),
            jnp.asarray(b.pred_cam_t)[:, None],
        )
        for b in (people, again)
    ]
    np.testing.assert_allclose(pixels[0], pixels[1], atol=0.01)
    np.testing.assert_allclose(np.asarray(again.pred_cam_t)[:, 2], 4 * 5000 / 1200, rtol=1e-5)
    assert any("only camera is 5000 px" in line for line in said)


def test_a_cache_needs_the_crops_and_a_list_needs_people(tmp_path):
    _, _, flat = files.batched(tmp_path)
    a = records.arrays_of(read(*flat, entries=None))
    for field, out in (("bbox_px", "a.npz"), ("subject", "a.pkl")):
        less = records.from_arrays({k: v for k, v in a.items() if k != field}, "here")
        with pytest.raises(ValueError, match=f"field {field}: wanted"):
            to_scorehmr_cache.write_scorehmr_cache(tmp_path / out, less, say=silent)
        assert not (tmp_path / out).exists()


# --- EMDB ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return files_datasets.write_bodies(tmp_path_factory.mktemp("bodies"))


def test_emdb_good_frames_in_the_moving_camera_of_the_gendered_body(tmp_path, models):
    sequence = files.emdb_sequence(models)
    files.write_emdb(tmp_path, sequence)
    said = []
    found = emdb.read_emdb(tmp_path, bodies=models, say=said.append)
    assert found["frame"].tolist() == [0, 1, 3, 4, 5]
    assert found["image"][2] == "P0/09_outdoor_walk/images/00003.jpg"
    assert set(found["subject"]) == {"P0"}
    assert set(found["gender"]) == {"female"}
    np.testing.assert_array_equal(found["image_size_px"][0], files.SIZE)
    corners = sequence["bboxes"]["bboxes"][[0, 1, 3, 4, 5]]
    np.testing.assert_allclose(found["bbox_px"][:, 2:], corners[:, 2:] - corners[:, :2], rtol=1e-5)
    # The tiny body's joints are its vertices: its regressed joints are those of the tree, and so is kp2d.
    view = camera.Camera(
        *(jnp.asarray(found[n], jnp.float32) for n in ("focal_px", "center_px", "image_size_px"))
    )
    seen = camera.project(view, jnp.asarray(found["keypoints3d"][..., :3]))
    np.testing.assert_allclose(seen, sequence["kp2d"][[0, 1, 3, 4, 5]], atol=0.05)
    assert found["keypoints3d_set"] == "smpl24"
    assert "keypoints2d" not in found
    assert any("px from the stored kp2d" in line for line in said)


def test_emdb_another_body_is_found_out(tmp_path, models):
    path = files.write_emdb(tmp_path, files.emdb_sequence(models))
    odd = tmp_path / "a.npz", tmp_path / "b.npz"
    for new, old in zip(odd, reversed(models)):
        new.write_bytes(old.read_bytes())
    with pytest.raises(
        ValueError, match=r"px from the stored kp2d \(median\), wanted below 2: give"
    ):
        emdb.read_emdb(path, bodies=odd, say=silent)
    emdb.read_emdb(path, bodies=odd, allow_mismatch=True, say=silent)


def test_emdb_1_is_what_is_read_unless_told(tmp_path, models):
    files.write_emdb(tmp_path, files.emdb_sequence(models))
    files.write_emdb(
        tmp_path, files.emdb_sequence(models, "P8_66_rom", seed=1, emdb1=False, emdb2=True)
    )
    names = [
        set(emdb.read_emdb(tmp_path, part=part, say=silent)["sequence"].tolist())
        for part in ("emdb1", "emdb2", "all")
    ]
    assert names == [{"P0_09_outdoor_walk"}, {"P8_66_rom"}, names[0] | names[1]]
    with pytest.raises(ValueError, match=r"field emdb2: wanted a sequence of this part"):
        emdb.read_emdb(tmp_path / "P0", part="emdb2", say=silent)


def test_emdb_an_empty_box_leaves_all_boxes_out(tmp_path, models):
    sequence = files.emdb_sequence(models)
    sequence["bboxes"]["bboxes"][3] = 0
    path = files.write_emdb(tmp_path, sequence)
    said = []
    assert "bbox_px" not in emdb.read_emdb(path, say=said.append)
    assert any("1 good frames have an empty box" in line for line in said)
    sequence["camera"]["extrinsics"][4, :3, :3] *= 2
    with pytest.raises(ValueError, match=r"field camera/extrinsics: wanted rotations"):
        emdb.read_emdb(files.write_emdb(tmp_path, sequence), say=silent)


# --- track folders -------------------------------------------------------------------------------


def test_track_folders_give_people_by_track_and_the_images_size(tmp_path):
    root, shots = files.write_tracks(tmp_path)
    found = slahmr.read_slahmr(root, say=silent)
    assert found["subject"].tolist() == ["001"] * 3 + ["012"] * 2
    assert found["frame"].tolist() == [1, 2, 3, 2, 3]
    assert set(found["sequence"]) == {"dance"}
    np.testing.assert_array_equal(found["image_size_px"][0], [files.WIDTH, files.HEIGHT])
    assert found["keypoints2d"][0, 5].tolist() == [70, 80, 1]  # ViTPose's scores exceed 1.
    one = slahmr.read_slahmr(root / "012" / "000003_smpl.json", say=silent)
    np.testing.assert_array_equal(one["pose"][0], found["pose"][4])
    assert len(slahmr.read_slahmr(root / "012", shots, say=silent)["frame"]) == 2


def test_a_frame_without_keypoints_is_kept_with_nothing_seen(tmp_path):
    root, _ = files.write_tracks(tmp_path)
    (root / "001" / "000002_keypoints.json").unlink()
    found = slahmr.read_slahmr(root, say=silent)
    assert (found["keypoints2d"][..., 2].max(-1) > 0).tolist() == [1, 0, 1, 1, 1]


def test_shots_part_tracks_at_cuts(tmp_path):
    root, shots = files.write_tracks(tmp_path)
    found = slahmr.read_slahmr(root, shots, say=silent)
    assert found["sequence"].tolist() == [f"dance_shot{n}" for n in (0, 0, 1, 0, 1)]
    shots.write_text('{"000001.jpg": 0}')
    with pytest.raises(ValueError, match=r"wanted every frame's shot, found none of 000002"):
        slahmr.read_slahmr(root, shots, say=silent)


def test_places_of_another_focal_length_give_no_image_size(tmp_path):
    root, _ = files.write_tracks(tmp_path, focal=1000.0)
    with pytest.raises(
        ValueError, match=r"field cam_trans: wanted places at a focal length of 5000"
    ):
        slahmr.read_slahmr(root, say=silent)
    given = slahmr.read_slahmr(root, image_size=(640.0, 480.0), say=silent)
    np.testing.assert_array_equal(given["center_px"][0], [320, 240])
