"""Halpe, COCO and OpenPose as annotation sets: one test for each trap of the formats, then a whole sweep."""

import dataclasses
import importlib.util
import json
import pathlib

import files_keypoints as files
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import body, camera, config, pose, skeleton, sweep
from diffjax.convert import cleansing, coco, halpe, openpose
from diffjax.data import pipeline, records

ROWS = len(files.PEOPLE)


def read(reader, path, *args, **options):
    """Fields, and what was said."""
    said = []
    fields = reader(path, *args, say=said.append, **options)
    return fields, " ".join(said)


@pytest.fixture
def halpe_file(tmp_path):
    """Writes Halpe's content after a change."""

    def make(change=lambda content: None):
        content = files.halpe_content()
        change(content)
        return files.write(tmp_path / "halpe_train_v1.json", content)

    return make


@pytest.mark.parametrize("name", files.CASES)
def test_every_case_converts_to_a_file_that_reads(name, tmp_path):
    case = files.CASES[name](tmp_path / "in")
    case.convert(tmp_path / "out.npz")
    fields = records.read_fields(tmp_path / "out.npz")
    assert {"keypoints2d", "labels2d"} & set(fields)
    assert "image" in fields
    assert case.files
    assert all(path.is_file() for path in case.files)


# Halpe.


def test_halpe_keypoints_that_are_missing_null_or_a_number_are_left_out_aloud(halpe_file):
    fields, said = read(halpe.read_halpe, halpe_file())
    assert fields["labels2d"].shape == (ROWS, 26, 3)
    assert fields["labels2d_set"] == "halpe26"
    assert "3 of 10 people have no keypoints: left out" in said


def test_halpe_third_number_is_a_score_cut_at_06_and_not_a_flag(halpe_file):
    def change(content):
        person = content["annotations"][0]["keypoints"]
        person[2::3] = [0.6, 0.61, 2.0, -1.0, *[0.9] * 132]

    path = halpe_file(change)
    first = read(halpe.read_halpe, path)[0]["labels2d"][0]
    np.testing.assert_allclose(first[:5, 2], [0, 0.61, 1, 0, 0.9], rtol=1e-6)
    np.testing.assert_array_equal(first[0], 0)  # Absent: coordinates too.
    first = read(halpe.read_halpe, path, min_score=0.5)[0]["labels2d"][0]
    np.testing.assert_allclose(first[0, 2], 0.6, rtol=1e-6)


def test_halpe_body_is_the_first_26_of_136_head_top_neck_pelvis_then_feet(halpe_file):
    fields = read(halpe.read_halpe, halpe_file(), field="keypoints2d")[0]
    np.testing.assert_allclose(
        fields["keypoints2d"][..., :2], files.points()[:, :26], rtol=1e-6, atol=1e-3
    )
    names = skeleton.keypoint_set(fields["keypoints2d_set"])
    assert names[17:22] == ("head_top", "neck", "pelvis", "left_big_toe", "right_big_toe")


def test_halpe_num_keypoints_is_wrong_and_ignored(halpe_file):
    path = halpe_file(lambda content: content["annotations"][0].update(num_keypoints=0))
    assert len(read(halpe.read_halpe, path)[0]["labels2d"]) == ROWS


def test_halpe_image_id_is_not_the_row_of_images(halpe_file):
    path = halpe_file(lambda content: content["images"].reverse())
    fields = read(halpe.read_halpe, path)[0]
    wanted = [f"HICO_train2015_{i:08d}.jpg" for i in files.PEOPLE]
    assert fields["image"].tolist() == wanted
    size = np.array(files.SIZES)[files.PEOPLE]
    np.testing.assert_array_equal(fields["image_size_px"], size)
    np.testing.assert_array_equal(fields["center_px"], size / 2)
    assert fields["subject"].tolist() == [str(100 + i) for i in range(ROWS)]


def test_halpe_without_sizes_of_some_images_has_no_image_size(halpe_file):
    fields, said = read(halpe.read_halpe, halpe_file(lambda c: c["images"][0].pop("width")))
    assert "image_size_px" not in fields
    assert "size of 2 of 7 people's images is unknown" in said


def test_halpe_rules_are_named_and_each_says_how_many_it_leaves_out(halpe_file):
    def change(content):
        people = content["annotations"]
        people[2]["keypoints"][5::3] = [0.0] * 135  # Image 8: one keypoint.
        people[3]["bbox"][3] = 50.0
        people[1]["bbox"] = people[0]["bbox"]  # Image 7: the same box twice.

    path = halpe_file(change)
    wanted = {
        "min_keypoints": (2, [2], "1 of 7 people have fewer than 2 confident keypoints"),
        "min_height": (100.0, [3], "1 of 7 people are lower than 100 px"),
        "max_overlap": (0.7, [0, 1], "2 of 7 people overlap another box by an IoU above 0.7"),
        # Image 8 has four: three of them without keypoints.
        "max_people": (2, [2, 4, 5, 6], "4 of 7 people are in images with more than 2 people"),
    }
    for name, (value, out, text) in wanted.items():
        rules = cleansing.Rules(**{name: value})
        fields, said = read(halpe.read_halpe, path, rules=rules)
        stay = [str(100 + i) for i in range(ROWS) if i not in out]
        assert fields["subject"].tolist() == stay, name
        assert text in said
    with pytest.raises(ValueError, match="found none: they are lower than 10000 px"):
        halpe.read_halpe(path, rules=cleansing.Rules(min_height=1e4), say=lambda _: None)


def test_halpe_people_without_a_usable_box_get_that_of_their_keypoints(halpe_file):
    def change(content):
        content["annotations"][0].pop("bbox")
        content["annotations"][1]["bbox"] = [1, 2, 0, 4]

    fields = read(halpe.read_halpe, halpe_file(change))[0]
    some = files.points()[:2, :26]
    np.testing.assert_allclose(fields["bbox_px"][:2, :2], some.min(1), rtol=1e-6)
    np.testing.assert_allclose(fields["bbox_px"][:2, 2:], np.ptp(some, axis=1), rtol=1e-5)


def test_halpe_people_are_matched_to_boxes_of_a_frontend_not_by_row(halpe_file, tmp_path, capsys):
    estimates = files.write_estimates(tmp_path / "hmr.npz")
    halpe.convert(halpe_file(), tmp_path / "out.npz", estimates)
    out, known = records.read(tmp_path / "out.npz"), records.read(estimates)
    order = np.argsort([3, 1, 4, 0, 5, 2, 6])
    assert out.labels2d is not None
    assert out.bbox_px is not None
    np.testing.assert_allclose(out.labels2d[..., :2], files.points()[order, :26], rtol=1e-5)
    np.testing.assert_array_equal(out.pred_betas, known.pred_betas)
    np.testing.assert_array_equal(out.bbox_px, known.bbox_px)
    np.testing.assert_array_equal(out.focal_px, 5000)
    assert "7 of 7 people joined" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "field images: wanted Halpe's annotation file"),
        (lambda c: c.update(annotations=[]), "field annotations: .* found an empty one"),
        (lambda c: c.update(annotations=[1, {}]), "field annotations: .* found int in it"),
        (lambda c: c["images"][0].update(file_name=3), "field images.file_name: .* found '3'"),
        (lambda c: c["images"][0].update(file_name="x" * 9999), "field images.file_name"),
        (lambda c: c["images"][0].update(id=[1]), "field images.id"),
        (lambda c: c["images"][0].update(id=8), "one image for each id, found 8 twice"),
        (lambda c: c["annotations"][0].update(image_id=99), "image_id: .* found 99 and 0 others"),
        (lambda c: c["annotations"][0].update(image_id={}), "field annotations.image_id"),
        (lambda c: c["annotations"][0]["keypoints"].pop(), r"found \[407, 408\]"),
        (lambda c: c["annotations"][0]["keypoints"].__setitem__(0, None), "field keypoints"),
        (lambda c: c["annotations"][0]["keypoints"].__setitem__(0, "1"), "field keypoints"),
        (lambda c: c["annotations"][0]["keypoints"].__setitem__(0, [1]), "field keypoints"),
        (lambda c: c["annotations"][0]["keypoints"].__setitem__(0, 1e300), "found 1e.300"),
        (lambda c: [a.update(keypoints=[1] * 51) for a in c["annotations"]], "scripts/.* coco"),
        (lambda c: [a.pop("keypoints", 0) for a in c["annotations"]], "found none in 10 people"),
        (lambda c: [a.update(category_id=2) for a in c["annotations"]], "wanted people, found none"),
    ],
)  # fmt: skip
def test_halpe_that_is_broken_is_refused_by_field(halpe_file, change, message):
    with pytest.raises(ValueError, match=f"halpe_train_v1.json: .*{message}"):
        halpe.read_halpe(halpe_file(change), say=lambda _: None)


# COCO.


@pytest.fixture
def coco_file(tmp_path):
    return files.write(tmp_path / "person_keypoints.json", files.coco_content())


def test_coco_flags_1_and_2_are_both_confidence_1(coco_file):
    fields, _ = read(coco.read_coco, coco_file)
    assert fields["labels2d_set"] == "coco17"
    assert fields["labels2d"].shape == (ROWS, 17, 3)
    flags = np.array([a["keypoints"] for a in files.coco_content()["annotations"]])[:ROWS, 2::3]
    assert {0, 1, 2} <= set(flags.ravel())
    np.testing.assert_array_equal(fields["labels2d"][..., 2], flags > 0)


def test_coco_crowds_and_people_without_keypoints_are_left_out_aloud(coco_file):
    fields, said = read(coco.read_coco, coco_file)
    assert len(fields["labels2d"]) == ROWS
    assert "1 of 9 annotations are of crowds" in said
    assert "1 of 8 people have fewer than 1 confident keypoints" in said


def test_coco_scores_in_the_place_of_flags_are_refused(tmp_path):
    content = files.coco_content()
    content["annotations"][0]["keypoints"][2] = 0.87
    with pytest.raises(ValueError, match=r"flags 0, 1 and 2, found 0\.87"):
        coco.read_coco(files.write(tmp_path / "a.json", content), say=lambda _: None)


def test_coco_results_have_scores_and_names_only_with_their_images(tmp_path, coco_file):
    path = files.write(tmp_path / "results.json", files.results_content())
    fields, said = read(coco.read_coco, path)
    assert fields["image"][0] == "7"
    assert "--images" in said
    assert "image_size_px" not in fields
    assert fields["keypoints2d"][..., 2].max() < 1
    fields, _ = read(coco.read_coco, path, images=coco_file, min_person_score=0.35)
    assert fields["image"][0] == f"{7:012d}.jpg"
    assert len(fields["image"]) == ROWS - 1


def test_coco_results_are_joined_by_the_images_that_the_refusal_asks_for(
    tmp_path, coco_file, capsys
):
    source = files.write(tmp_path / "results.json", files.results_content())
    images = [f"photos/{7 + image:012d}.jpg" for image in files.PEOPLE]
    hmr = tmp_path / "hmr.npz"
    records.write_fields(hmr, files.estimates(images, files.boxes()))
    with pytest.raises(ValueError, match=r"ids for images \(the first is 7\).* --images ANNOT"):
        coco.convert(source, tmp_path / "out.npz", hmr)
    coco.convert(source, tmp_path / "out.npz", hmr, images=coco_file)
    assert f"{ROWS} of {ROWS} people joined" in capsys.readouterr().out


def test_coco_detections_that_are_boxes_alone_are_refused(tmp_path):
    box = {"bbox": [277.1, 45.7, 225.1, 333.6], "category_id": 1, "image_id": 785, "score": 0.99}
    path = files.write(tmp_path / "det_AP_H_56.json", [box, box])
    with pytest.raises(ValueError, match="wanted people with keypoints, found boxes alone"):
        coco.read_coco(path, say=lambda _: None)


def test_alphapose_results_name_their_images_and_begin_with_26_of_the_body(tmp_path):
    content = [{**p, "image_id": f"{p['image_id']}.jpg"} for p in files.results_content(136)]
    fields, _ = read(coco.read_coco, files.write(tmp_path / "alphapose.json", content))
    assert fields["keypoints2d_set"] == "halpe26"
    assert fields["image"][0] == "7.jpg"
    np.testing.assert_allclose(fields["keypoints2d"][..., :2], files.points()[:, :26], rtol=1e-5)


# OpenPose.


def test_openpose_missing_points_are_zeros(tmp_path):
    fields, _ = read(openpose.read_openpose, files.openpose_folder(tmp_path / "json"), "body25")
    ear = skeleton.KEYPOINT_SETS["openpose25"].index("left_ear")
    np.testing.assert_array_equal(fields["keypoints2d"][:, ear], 0)
    assert (np.delete(fields["keypoints2d"], ear, 1)[..., 2] == 0.75).all()


def test_openpose_frames_are_in_order_of_numbers_and_may_be_empty(tmp_path):
    folder = tmp_path / "json"
    for frame in (10, 9, 2, 100):  # Not padded: the order of names is 10, 100, 2, 9.
        people = [files.openpose_person(p) for p in files.openpose_points(people=frame % 3)]
        files.write(folder / f"{frame}_keypoints.json", {"version": 1.3, "people": people})
    fields, _ = read(openpose.read_openpose, folder, "body25")
    assert fields["frame"].tolist() == [2, 2, 10, 100]  # Nobody in frame 9.
    assert set(fields["sequence"]) == {"json"}
    assert fields["image"][-1] == "100"
    nobody = files.write(tmp_path / "none" / "1_keypoints.json", {"version": 1.3, "people": []})
    with pytest.raises(ValueError, match="wanted people, found none in 1 files"):
        openpose.read_openpose(nobody, "body25", say=lambda _: None)


def test_openpose_two_videos_in_one_folder_are_two_sequences(tmp_path):
    for name in ("a_000000000001", "b_000000000001"):
        people = [files.openpose_person(p) for p in files.openpose_points(people=1)]
        files.write(tmp_path / "json" / f"{name}_keypoints.json", {"people": people})
    fields, _ = read(openpose.read_openpose, tmp_path / "json", "body25")
    assert fields["sequence"].tolist() == ["json/a", "json/b"]


@pytest.mark.parametrize("true", ["body25", "body25b"])
def test_openpose_25_and_25b_have_as_many_points_and_are_never_guessed(tmp_path, true):
    names = {"body25": "openpose25", "body25b": "openpose25b"}
    folder = files.openpose_folder(tmp_path / "json", name=names[true])
    (other,) = set(names) - {true}
    with pytest.raises(ValueError, match=f"wanted layout {other}, found .* as in {true}"):
        openpose.read_openpose(folder, other, say=lambda _: None)  # pyright: ignore


def test_openpose_25b_comes_out_as_halpe26_by_name_without_neck_and_pelvis(tmp_path):
    points = files.openpose_points("openpose25b", 2)
    people = [files.openpose_person(p) for p in points]
    path = files.write(tmp_path / "1_keypoints.json", {"people": people})
    fields, _ = read(openpose.read_openpose, path, "body25b")
    assert fields["keypoints2d_set"] == "halpe26"
    halpe26, there = (skeleton.KEYPOINT_SETS[name] for name in ("halpe26", "openpose25b"))
    # Its upper neck lies above the middle of the shoulders, which is halpe26's neck.
    for i, name in enumerate(halpe26):
        wanted = points[:, there.index(name)] if name in there else np.zeros((2, 3))
        np.testing.assert_allclose(fields["keypoints2d"][:, i], wanted, rtol=1e-6, err_msg=name)
    assert {n for n in halpe26 if n not in there} == {"neck", "pelvis"}


def test_openpose_18_and_the_older_key_are_read_and_lengths_are_checked(tmp_path):
    points = files.openpose_points("openpose18", 1)
    old = files.openpose_person(points[0], key="pose_keypoints")
    path = files.write(tmp_path / "1_keypoints.json", {"version": 1.0, "people": [old]})
    fields, _ = read(openpose.read_openpose, path, "coco18")
    assert fields["keypoints2d_set"] == "openpose18"
    np.testing.assert_allclose(fields["keypoints2d"], points, rtol=1e-6)
    with pytest.raises(ValueError, match="wanted 75 numbers of layout body25, found 54"):
        openpose.read_openpose(path, "body25", say=lambda _: None)


def test_openpose_person_id_minus_1_is_no_track(tmp_path):
    def subjects(*tracks):
        points = files.openpose_points(people=len(tracks))
        people = [files.openpose_person(p, t) for p, t in zip(points, tracks)]
        path = files.write(tmp_path / "1_keypoints.json", {"people": people})
        return read(openpose.read_openpose, path, "body25")[0].get("subject", np.array([])).tolist()

    assert subjects(-1, -1) == []
    assert subjects(4, -1) == []
    assert subjects(4, 0) == ["4", "0"]


def test_openpose_people_of_face_or_hands_alone_are_left_out_aloud(tmp_path):
    points = files.openpose_points(people=2)
    people = [files.openpose_person(p) for p in (points[0], [], 0 * points[0], points[1])]
    path = files.write(tmp_path / "1_keypoints.json", {"people": people})
    fields, said = read(openpose.read_openpose, path, "body25", image_size=(64.0, 48.0))
    assert len(fields["keypoints2d"]) == 2
    assert "2 of 4 people have no keypoints" in said
    np.testing.assert_array_equal(fields["center_px"], [[32, 24]] * 2)


# The end of the road.


@pytest.mark.usefixtures("quick_to_compile")
def test_halpe_shaped_input_goes_through_the_sweep_of_its_config(tmp_path, capsys):
    """HMR's estimates with boxes and cameras, Halpe's json: configs/halpe.py with other paths."""
    path = tmp_path / "body.npz"
    model, regressor = tiny.bones(), np.eye(24)[(np.arange(26) + 1) % 24]
    with np.load(tiny.write_body(path)) as arrays:
        np.savez(path, **arrays, regressor_halpe26=regressor)
    truth = tiny.person((ROWS,), np.random.default_rng(0))
    points = tiny.pose_keypoints(body.fold_keypoints(model, regressor), *truth)
    size = np.array(files.SIZES, np.float32)[files.PEOPLE]
    view = camera.Camera(jnp.full((ROWS, 2), 500.0), jnp.asarray(size / 2), jnp.asarray(size))
    pixels = np.asarray(camera.project(view, points + tiny.PLACE))
    content = files.halpe_content()
    for person, xy in zip(content["annotations"], pixels):
        person["keypoints"][: 3 * 26] = np.insert(xy, 2, 0.9, axis=1).ravel().tolist()
        person["bbox"] = [*xy.min(0).tolist(), *np.ptp(xy, axis=0).tolist()]
    boxes = np.concatenate([pixels.min(1), np.ptp(pixels, axis=1)], -1)
    images = [f"images/HICO_train2015_{i:08d}.jpg" for i in files.PEOPLE]
    fields = files.estimates(images, boxes, pred_betas=np.asarray(truth.betas) / 2)
    fields["focal_px"] = np.asarray(view.focal_px)
    order = np.argsort([3, 1, 4, 0, 5, 2, 6])
    records.write_fields(tmp_path / "hmr.npz", {name: a[order] for name, a in fields.items()})
    source = files.write(tmp_path / "halpe_val_v1.json", content)
    halpe.convert(source, tmp_path / "test.npz", tmp_path / "hmr.npz")

    spec = importlib.util.spec_from_file_location("halpe_config", halpe_config())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run = module.get_config()
    data = dataclasses.replace(run.data, test=str(tmp_path / "test.npz"), body=str(path))
    parts = config.Parts(denoiser=tiny.write_model(tmp_path / "model.npz", "rotmat226"))
    people = records.read(data.test)
    examples = pipeline.make_examples(people, pose.identity_normaliser(226), run, data.test)
    np.testing.assert_array_equal(examples.labels2d, people.labels2d)  # Training has its truth.
    summaries = sweep.sweep(dataclasses.replace(run, data=data, parts=parts), tmp_path / "out")
    rows = {summary["name"]: summary for summary in summaries}
    with np.load(tmp_path / "out" / "sweep.npz") as arrays:
        before = arrays["estimate, -/image_px"]
        oracle = next(arrays[k] for k in arrays.files if "ORACLE" in k and k.endswith("/image_px"))
    assert len(before) == ROWS
    assert np.isfinite(before).all()
    assert (before > 1).all()
    assert (oracle <= before + 1e-2).all()
    facts = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert facts["run"]["search"]["error"] == "reprojection"
    assert "estimate" in rows


def halpe_config():
    return pathlib.Path(__file__).parents[1] / "configs" / "halpe.py"
