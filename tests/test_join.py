"""Rows that belong together are joined, and rows that do not are refused, whatever the files call them."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tiny
from files_keypoints import boxes, estimates

from diffjax.convert import delivery, join, matching, overlap, parsing
from diffjax.data import records

IMAGES = ["a.jpg", "a.jpg", "b.jpg", "c.jpg"]
BOXES = boxes([0, 0, 1, 2])


def known(**more):
    return estimates([f"data/{image}" for image in IMAGES], BOXES, **more)


def keypoints_in(box, count=17) -> np.ndarray:
    """(N, 17, 3) with corners in the box's."""
    x = box[:, None, :1] + box[:, None, 2:3] * np.linspace(0, 1, count)[:, None]
    y = box[:, None, 1:2] + box[:, None, 3:4] * np.linspace(0, 1, count)[:, None]
    return np.concatenate([x, y, np.full_like(x, 0.9)], -1).astype(np.float32)


def evidence(order=(0, 1, 2, 3), **more):
    order = list(order)
    return {
        "keypoints2d": keypoints_in(BOXES[order]),
        "keypoints2d_set": "coco17",
        "image": np.array([IMAGES[i] for i in order]),
        "bbox_px": BOXES[order].astype(np.float32),
        **more,
    }


def joined(one, two, say=lambda _: None, **how):
    return join.join(one, two, "hmr.npz", "keypoints.npz", say=say, **how)


def of_person(i):
    return keypoints_in(BOXES)[i]


def test_boxes_of_another_order_find_their_people_and_keep_the_estimates_order():
    said = []
    out = joined(known(), evidence([3, 1, 0, 2]), said.append)
    np.testing.assert_array_equal(out["keypoints2d"], keypoints_in(BOXES))
    np.testing.assert_array_equal(out["pred_betas"], known()["pred_betas"])
    assert "4 of 4 people joined to hmr.npz by box, image by name, median IoU 1.00" in said[0]
    records.from_arrays(out, "joined")


def test_without_boxes_those_of_confident_keypoints_are_taken_and_others_ignored():
    bare = evidence([2, 1, 0, 3])
    del bare["bbox_px"]
    bare["keypoints2d"][:, 3] = [9999, 9999, 0]
    out = joined(known(), bare)
    wanted = keypoints_in(BOXES)
    wanted[:, 3] = [9999, 9999, 0]
    np.testing.assert_array_equal(out["keypoints2d"], wanted)


def test_square_crops_of_a_frontend_are_compared_with_boxes_as_squares():
    """HMR's crop is 1.2 of the longer side: its IoU with the box of a standing person is 0.28."""
    side = 1.2 * BOXES[:, 2:].max(-1, keepdims=True)
    crops = np.concatenate([BOXES[:, :2] + (BOXES[:, 2:] - side) / 2, side, side], -1)
    assert (overlap.iou(crops, BOXES) < 0.3).all()
    said = []
    one = estimates([f"data/{image}" for image in IMAGES], crops)
    out = joined(one, evidence([2, 0, 3, 1]), said.append)
    np.testing.assert_array_equal(out["keypoints2d"], keypoints_in(BOXES))
    assert "by box, image by name, median IoU 0.69" in said[0]


def test_one_person_is_never_joined_twice_and_the_best_overlap_goes_first():
    near = np.array([[0, 0, 100, 100], [10, 0, 100, 100], [500, 0, 100, 100]], float)
    one = estimates(["a.jpg"] * 3, near)
    two = evidence([0, 0])
    two["bbox_px"] = np.float32([[9, 0, 100, 100], [11, 0, 100, 100]])
    two["keypoints2d"][1, :, 0] += 1
    # Both are nearest to row 1; the greedy choice gives the tie to the first, and row 0 to the other.
    out = joined(one, two)
    np.testing.assert_array_equal(out["pred_betas"], one["pred_betas"][:2])
    np.testing.assert_array_equal(out["keypoints2d"], two["keypoints2d"][[1, 0]])


def test_greedy_matching_agrees_with_a_loop_over_pairs(rng):
    low = rng.uniform(0, 60, (2, 40, 2))
    box = np.concatenate([low, rng.uniform(20, 60, (2, 40, 2))], -1)
    image = rng.integers(0, 6, (2, 40))
    sides = [{"bbox_px": b.astype(np.float32), "image": i.astype(str)} for b, i in zip(box, image)]
    (match,) = matching.matches(sides[0], sides[1], "box", 0.2, "two")
    box = box.astype(np.float32).astype(float)
    shared = overlap.iou(box[0][:, None], box[1])
    pairs = sorted(
        (-shared[i, j], i, j)
        for i in range(40)
        for j in range(40)
        if image[0, i] == image[1, j] and shared[i, j] >= 0.2
    )
    wanted, left, right = {}, set(), set()
    for _, i, j in pairs:
        if i not in left and j not in right:
            wanted[i] = j
            left.add(i)
            right.add(j)
    assert dict(zip(match.rows.tolist(), match.others.tolist())) == wanted
    assert len(wanted) > 10


def test_people_without_evidence_are_dropped_aloud_or_kept_with_confidence_0():
    said = []
    some = evidence([3, 0, 1], gender=np.array(["male", "female", "female"]))
    out = joined(known(), some, said.append)
    assert len(out["pred_pose"]) == 3
    assert out["gender"].tolist() == ["female", "female", "male"]
    assert "1 of 4 estimates dropped, they have no evidence" in said[0]
    out = joined(known(), some, said.append, keep_unmatched=True)
    assert len(out["pred_pose"]) == 4
    assert "gender" not in out
    assert any("gender left out" in text for text in said)
    np.testing.assert_array_equal(out["keypoints2d"][2], 0)
    np.testing.assert_array_equal(out["keypoints2d"][3], of_person(3))


def test_under_half_is_refused_unless_allowed_and_nothing_always():
    box = BOXES + np.array([1000, 0, 0, 0])
    box[0] = BOXES[0]
    one = estimates([f"data/{image}" for image in IMAGES], box)
    with pytest.raises(ValueError, match=r"keypoints.npz: .*hmr.npz.* 1 of 4 people match .*IoU"):
        joined(one, evidence())
    assert len(joined(one, evidence(), allow_mismatch=True)["pred_pose"]) == 1
    one["bbox_px"][0, 0] = 5000
    with pytest.raises(ValueError, match=r"0 of 4 people match"):
        joined(one, evidence(), by="box", allow_mismatch=True)


def test_file_names_that_repeat_between_folders_are_told_apart_by_the_folder():
    one = estimates([f"imageFiles/{s}/image_00000.jpg" for s in "pqpq"], BOXES)
    two = evidence()
    two["image"] = np.array([f"/data/3dpw/{s}/image_00000.png" for s in "qqpp"])
    two["bbox_px"] = np.float32(BOXES[[1, 3, 0, 2]])
    two["keypoints2d"] = keypoints_in(BOXES[[1, 3, 0, 2]])
    np.testing.assert_array_equal(joined(one, two)["keypoints2d"], keypoints_in(BOXES))
    two["image"] = np.array(["image_00000.jpg"] * 4)  # Of which folder?
    with pytest.raises(ValueError, match="nothing unique to join by"):
        joined(one, two)


def named(sequence, frame, subject=None):
    fields = {"sequence": np.array(sequence), "frame": np.array(frame)}
    return fields if subject is None else {**fields, "subject": np.array(subject)}


def plain(order, **more):
    fields = {"keypoints2d": keypoints_in(BOXES[list(order)]), "keypoints2d_set": "coco17"}
    return {**fields, **more}


def test_frames_join_by_sequence_frame_and_subject():
    one = {k: v for k, v in known().items() if k not in ("bbox_px", "image")}
    said = []
    who = named(["p", "p", "q", "q"], [1, 1, 1, 2], ["x", "y", "x", "x"])
    order = [3, 0, 2, 1]
    out = joined(one | who, plain(order, **{k: v[order] for k, v in who.items()}), said.append)
    np.testing.assert_array_equal(out["keypoints2d"], keypoints_in(BOXES))
    assert "by sequence, frame and subject" in said[0]


def test_tracker_numbers_that_mean_other_people_give_way_to_boxes():
    """Subject 0 of the tracker is subject 1 of the truth: only the boxes tell."""
    one = known() | named(["p"] * 4, [1, 1, 2, 2], ["0", "1", "0", "1"])
    one["image"] = np.array(["1.jpg", "1.jpg", "2.jpg", "2.jpg"])
    one["bbox_px"] = np.float32(boxes([0, 0, 1, 1]))
    order = [1, 0, 3, 2]
    two = plain(range(4), **named(["p"] * 4, [1, 1, 2, 2], ["0", "1", "0", "1"]))
    two["keypoints2d"] = keypoints_in(boxes([0, 0, 1, 1]))[order]
    said = []
    out = joined(one, two, said.append)
    assert "by box" in said[0]
    np.testing.assert_array_equal(out["keypoints2d"], keypoints_in(boxes([0, 0, 1, 1])))


def test_one_sequence_on_both_sides_needs_no_common_name():
    one = known() | named(["clip_of_phalp"] * 4, [1, 2, 3, 4])
    del one["image"]
    two = plain([1, 0, 3, 2], **named(["openpose_json"] * 4, [2, 1, 4, 3]))
    np.testing.assert_array_equal(joined(one, two)["keypoints2d"], keypoints_in(BOXES))


def test_a_person_an_image_needs_no_box():
    one = {k: v for k, v in known().items() if k != "bbox_px"}
    one["image"] = np.array(["1.jpg", "2.jpg", "3.jpg", "4.jpg"])
    order = [2, 3, 0, 1]
    two = plain(order, image=np.array([f"x/{i + 1}.png" for i in order]))
    del one["focal_px"]
    np.testing.assert_array_equal(joined(one, two)["keypoints2d"], keypoints_in(BOXES))


def test_rows_are_joined_by_place_only_where_nothing_contradicts():
    one = {k: v for k, v in known().items() if k not in ("bbox_px", "image")}
    out = joined(one, plain([3, 2, 1, 0]))
    np.testing.assert_array_equal(out["keypoints2d"], keypoints_in(BOXES)[::-1])
    with pytest.raises(ValueError, match=r"nothing unique to join by .*4 people there and 3 here"):
        joined(one, plain([0, 1, 2]))
    one["image"] = np.array(["1.jpg", "2.jpg", "3.jpg", "4.jpg"])
    other = plain(range(4), image=one["image"][[0, 1, 3, 2]])
    with pytest.raises(ValueError, match="by row: 2 of 4 rows are of another image or frame"):
        joined(one, other, by="row")
    unrelated = plain(range(4), image=np.array(["p.jpg", "q.jpg", "r.jpg", "s.jpg"]))
    with pytest.raises(ValueError, match="nothing unique"):
        joined(one, unrelated)


def test_evidence_wins_for_keypoints_and_truth_and_estimates_for_names():
    one = known(
        keypoints2d=np.full((4, 25, 3), 50, np.float32) * [1, 1, 0],
        keypoints2d_set="openpose25",
        labels2d=keypoints_in(BOXES),
        labels2d_set="coco17",
        gender=np.array(["neutral"] * 4),
    )
    said = []
    truth = {"pose": known()["pred_pose"], "betas": np.ones((4, 10), np.float32)}
    out = joined(one, evidence(**truth), said.append)
    assert out["keypoints2d_set"] == "coco17"
    assert out["labels2d_set"] == "coco17"
    assert "gender" not in out, "another truth's gender does not belong to this one"
    assert out["image"].tolist() == one["image"].tolist()
    assert any("its keypoints2d replace those of the estimates" in text for text in said)


def test_a_truth_that_faces_elsewhere_is_refused():
    turned = np.array(known()["pred_pose"])
    turned[:, 0] = np.diag([-1, 1, -1])
    with pytest.raises(ValueError, match="differ by 180 degrees"):
        joined(known(), evidence(pose=turned, betas=np.zeros((4, 10), np.float32)))


def project(place, focal, center):
    return focal * place[:, :2] / place[:, 2:] + center


def test_a_focal_length_of_the_evidence_moves_the_translation_not_the_picture():
    """HMR2's 5000 px against 3DPW's real camera."""
    one = known(center_px=np.full((4, 2), 320, np.float32))
    camera = {"focal_px": np.full((4, 2), 1960, np.float32)}
    camera["center_px"] = np.tile(np.float32([300, 350]), (4, 1))
    said = []
    out = joined(one, evidence(**camera), said.append)
    np.testing.assert_allclose(
        project(out["pred_cam_t"], out["focal_px"], out["center_px"]),
        project(one["pred_cam_t"], one["focal_px"], one["center_px"]),
        rtol=1e-5,
    )
    np.testing.assert_allclose(out["pred_cam_t"][:, 2], 9 * 1960 / 5000, rtol=1e-5)
    assert any("focal_px 1960 (median) replaces 5000; pred_cam_t moved" in text for text in said)


def test_images_of_another_size_are_refused():
    one = known(image_size_px=np.tile(np.float32([640, 480]), (4, 1)))
    other = evidence(image_size_px=np.tile(np.float32([1280, 960]), (4, 1)))
    with pytest.raises(ValueError, match=r"image_size_px: 4 of 4 .*\[1280.0, 960.0\].*scaled"):
        joined(one, other)
    assert len(joined(one, other, allow_mismatch=True)["pred_pose"]) == 4


def test_without_a_camera_it_says_what_to_do():
    one = {k: v for k, v in known().items() if k != "focal_px"}
    said = []
    joined(one, evidence(), said.append)
    assert "no focal_px and center_px" in said[-1]
    assert "--focal" in said[-1]


def test_a_focal_length_and_a_size_have_the_images_middle_as_centre():
    one = known(image_size_px=np.tile(np.float32([640, 480]), (4, 1)))
    said = []
    out = joined(one, evidence(), said.append)
    np.testing.assert_array_equal(out["center_px"], np.tile([320, 240], (4, 1)))
    assert any("no center_px, so it is the image's middle" in text for text in said)
    assert not any("--focal" in text for text in said)
    said.clear()
    joined(known(), evidence(), said.append)
    assert "no center_px, so 2D keypoints" in said[-1]
    assert "--focal" not in said[-1], "5000 would replace the focal length that is known"


@pytest.mark.parametrize("people", [4, 3])
def test_keypoints_of_nameless_estimates_are_joined_by_the_command_that_is_named(people, tmp_path):
    records.write(tmp_path / "hmr.npz", records.from_arrays(bare(), "hmr"))
    found = {k: v[:people] if k != "keypoints2d_set" else v for k, v in evidence().items()}
    paths = tmp_path / "out.npz", found, "coco.json"
    with pytest.raises(ValueError, match="have no image or bbox_px") as refused:
        delivery.deliver(*paths, tmp_path / "hmr.npz")
    message = str(refused.value)
    if people < 4:
        assert "rows cannot be taken as they are: 4 there and 3 here" in message
        return
    line = message.partition("run this command ")[2].partition(" --by row")[0]
    aside = re.search(r"with --out (\S+),", line)[1]
    delivery.deliver(aside, found, "coco.json")
    options = shlex.split(line.partition("join ")[2] + " --by row")
    named = dict(zip(options[::2], options[1::2]))
    join.convert(*(Path(named[f"--{n}"]) for n in ("estimates", "evidence", "out")), by="row")
    assert records.read(tmp_path / "out.npz").keypoints2d is not None


def test_a_missing_library_is_installed_from_the_checkout():
    with pytest.raises(ValueError, match=r"pip install -e '\.\[convert\]'"):
        parsing.needed("no_such_module")


def test_the_command_joins_shards_and_fills_in_a_focal_length(tmp_path, capsys):
    one = {k: v for k, v in known().items() if k not in ("focal_px", "pred_cam_t")}
    records.write_shards(tmp_path / "hmr", records.from_arrays(one, "hmr"), rows=3)
    size = np.tile(np.float32([640, 480]), (4, 1))
    found = evidence(image_size_px=size, center_px=size / 2)
    records.write_fields(tmp_path / "keypoints.npz", found)
    args = (tmp_path / "hmr", tmp_path / "keypoints.npz", tmp_path / "out.npz")
    join.convert(*args, focal=5000.0)
    out = records.read(tmp_path / "out.npz")
    np.testing.assert_array_equal(out.focal_px, 5000)
    np.testing.assert_array_equal(out.center_px, size / 2)
    assert "4 people" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--focal: wanted pixels above 0, got nan"):
        join.convert(*args, focal=float("nan"))


def test_a_complete_set_may_be_evidence_and_its_estimates_are_left_out():
    said = []
    full = records.arrays_of(tiny.annotations(4)) | {"image": np.array(IMAGES)}
    full["bbox_px"] = np.float32(BOXES)
    full |= {"pose": known()["pred_pose"], "image_size_px": np.full((4, 2), 900, np.float32)}
    out = joined(known(), full, said.append)
    np.testing.assert_array_equal(out["pred_betas"], known()["pred_betas"])
    assert any("has estimates too" in text for text in said)


def test_everyone_in_one_image_cannot_exhaust_the_memory():
    rows = 6000
    one = estimates(["a.jpg"] * rows, np.tile(BOXES[:1], (rows, 1)))
    two = {"image": one["image"], "bbox_px": one["bbox_px"]}
    with pytest.raises(
        ValueError, match=r"keypoints.npz: field image: wanted few people .* found 36000000 pairs"
    ):
        joined(one, two, by="box")


def bare():
    """Estimates of a dump: no image, no box."""
    return {k: v for k, v in known().items() if k not in ("bbox_px", "image")}


@pytest.mark.parametrize("left", [(), ("image",), ("bbox_px",)])
def test_rows_are_never_guessed_where_only_one_file_knows_whose_they_are(left):
    other = {k: v for k, v in evidence([3, 1, 0, 2]).items() if k not in left}
    again = "convert.py join --estimates hmr.npz --evidence keypoints.npz --out JOINED.npz"
    with pytest.raises(
        ValueError,
        match=rf"the estimates \(hmr.npz\) have no image or bbox_px; .*{again} --by row;",
    ):
        joined(bare(), other)
    with pytest.raises(
        ValueError,
        match=rf"the evidence \(keypoints.npz\) has no image or bbox_px.*{again} --by row;",
    ):
        joined(known() | named(["p"] * 4, [1, 1, 2, 3]), {"features": np.ones((4, 2))})
    assert len(joined(bare(), other, by="row")["pred_pose"]) == 4


def test_names_of_different_kinds_prove_no_order():
    one = bare() | named(["p"] * 4, [1, 2, 3, 4])
    with pytest.raises(ValueError, match="nothing unique to join by"):
        joined(one, evidence([3, 1, 0, 2]))


def test_rows_that_nobody_can_check_are_joined_with_a_warning():
    said = []
    joined(bare(), plain([3, 2, 1, 0]), said.append)
    assert "WARNING: joined by row, and nothing proves it" in said[0]
    assert "keypoints of other people" in said[0]


def test_rows_whose_boxes_agree_are_proven_without_names_and_shuffled_ones_are_refused():
    one = {k: v for k, v in known().items() if k != "image"}
    apart = BOXES + np.arange(4)[:, None] * [400, 0, 0, 0]
    one["bbox_px"] = np.float32(apart)
    two = {k: v for k, v in evidence().items() if k != "image"} | {"bbox_px": one["bbox_px"]}
    said = []
    joined(one, two, said.append)
    assert "agree, so rows are joined" in said[0]
    two["bbox_px"] = np.asarray(apart[[1, 0, 3, 2]], np.float32)
    with pytest.raises(ValueError, match="nothing unique to join by"):
        joined(one, two)


@pytest.mark.parametrize("side", [0, 1])
def test_boxes_stored_as_corners_are_named(side):
    sides = [known(), evidence([3, 1, 0, 2])]
    for one in sides:
        one["bbox_px"] = np.float32(one["bbox_px"] + [300, 200, 0, 0])
    sides[side]["bbox_px"][:, 2:] += sides[side]["bbox_px"][:, :2]
    name = ("hmr.npz", "keypoints.npz")[side]
    with pytest.raises(ValueError, match=f"{name}: field bbox_px: are the boxes corners"):
        joined(*sides)


def test_exactly_half_is_too_few():
    box = BOXES + np.array([[0, 0, 0, 0], [0, 0, 0, 0], [3000, 0, 0, 0], [3000, 0, 0, 0]])
    one = estimates([f"data/{image}" for image in IMAGES], box)
    with pytest.raises(ValueError, match="2 of 4 people match"):
        joined(one, evidence())


def _cameras(order, **more):
    """Two instants of one person before two cameras, in some order."""
    names = np.array([("walk", 1, "0"), ("walk", 1, "1"), ("walk", 2, "0"), ("walk", 2, "1")])[
        list(order)
    ]
    return {"sequence": names[:, 0], "frame": names[:, 1].astype(int), "view": names[:, 2], **more}


def test_views_of_one_instant_are_told_apart():
    one = {k: v for k, v in known().items() if k not in ("image", "bbox_px")}
    order = [3, 1, 0, 2]
    two = {k: v for k, v in evidence(order).items() if k not in ("image", "bbox_px")}
    said = []
    out = joined(one | _cameras(range(4)), two | _cameras(order), said.append)
    np.testing.assert_array_equal(out["keypoints2d"], keypoints_in(BOXES))
    assert "by frame, view of the one sequence" in said[0]


def test_a_cameras_place_is_never_joined_to_another_rotation():
    turn = np.tile(np.eye(3, dtype=np.float32), (4, 1, 1))
    one = known(view_rotation=turn)
    two = evidence(view_rotation=turn, view_translation=np.ones((4, 3), np.float32))
    assert "view_translation" not in joined(one, two)
    assert {"view_rotation", "view_translation"} <= set(joined(known(), two))
