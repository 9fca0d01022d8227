"""The audit finds each known defect where it was put, leaves clean people alone, and says what it could not check."""

import csv
import dataclasses
import html.parser
import re

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import audit, body, camera, rotations, skeleton
from diffjax.audit import bounds, charts, in_time, measures, reasons
from diffjax.data import records

pytestmark = pytest.mark.usefixtures("quick_to_compile")
TRACKS, FRAMES, ROW = 3, 40, 55
REST = {
    "pelvis": (0, 0, 0), "spine1": (0, 0.1, 0), "spine2": (0, 0.25, 0), "spine3": (0, 0.3, 0), "neck": (0, 0.5, 0),
    "head": (0, 0.6, 0.05), "left_hip": (0.1, -0.1, 0), "left_knee": (0.1, -0.5, 0), "left_ankle": (0.1, -0.9, 0),
    "left_foot": (0.1, -0.95, 0.12), "left_collar": (0.08, 0.42, 0), "left_shoulder": (0.18, 0.45, 0),
    "left_elbow": (0.45, 0.45, 0), "left_wrist": (0.7, 0.45, 0), "left_hand": (0.78, 0.45, 0),
}  # fmt: skip
AT = np.array([0.1, 0.1, 5.0], np.float32)
EYE = {"focal_px": 1000.0, "center_px": 500.0, "image_size_px": 1000.0}
S24 = skeleton.SMPL24


def template():
    mirrored = {k.replace("left", "right"): (-x, y, z) for k, (x, y, z) in REST.items()}
    return np.array([(mirrored | REST)[name] for name in S24])


def regressor():
    """Every coco17 keypoint is the joint of its name; those of the face are the head."""
    names = skeleton.KEYPOINT_SETS["coco17"]
    return np.eye(24)[[S24.index(name if name in S24 else "head") for name in names]]


def body_arrays():
    shapes = np.zeros((24, 3, 10))
    shapes[:, :, 0] = 0.025 * template()
    return template(), shapes


@pytest.fixture(scope="module")
def body_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("body") / "body.npz"
    rest, shapes = body_arrays()
    np.savez(
        path, v_template=rest, shapedirs=shapes, J_regressor=np.eye(24), weights=np.eye(24),
        kintree_table=np.array([(0, *skeleton.SMPL_PARENTS[1:]), range(24)]),
        f=np.array([[0, 1, 2], [2, 3, 4]]), regressor_coco17=regressor(),
    )  # fmt: skip
    return str(path)


def turned(pose, joint, axis, radians):
    """The poses with a joint turned about an axis of its rest frame."""
    vector = np.zeros((*np.shape(radians), 3), np.float32)
    vector[..., axis] = radians
    new = pose.copy()
    new[:, S24.index(joint)] = rotations.matrix_from_axis_angle(jnp.asarray(vector))
    return new


def walk():
    """(rows, 24, 3, 3): arms and legs swing, the person faces the camera a little from the side."""
    phase = 2 * np.pi * np.tile(np.arange(FRAMES), TRACKS) / 25 + np.repeat(
        np.arange(TRACKS), FRAMES
    )
    pose = np.tile(np.eye(3, dtype=np.float32), (TRACKS * FRAMES, 24, 1, 1))
    for joint, share in (
        ("left_hip", 0.5),
        ("right_hip", -0.5),
        ("left_knee", 0.0),
        ("right_knee", 0.0),
    ):
        pose = turned(pose, joint, 0, share * np.sin(phase) + 0.3 * ("knee" in joint))
    for joint, sign in (("left_shoulder", 1), ("right_shoulder", -1)):
        vector = np.stack([0 * phase, 0.4 * np.sin(phase), sign * (-1.2 + 0 * phase)], -1)
        pose[:, S24.index(joint)] = rotations.matrix_from_axis_angle(
            jnp.asarray(vector, jnp.float32)
        )
    half = np.diag([1.0, -1, -1]).astype(np.float32)
    yaw = turned(pose, "pelvis", 1, np.full(len(pose), 0.7))[:, 0]
    pose[:, 0] = half @ yaw
    return pose


def seen(pose, betas, place):
    """Exact keypoints of these people."""
    rest, shapes = body_arrays()
    model = body.body_from_arrays(rest, shapes, None, np.eye(24), np.eye(24))
    keypoints = body.fold_keypoints(model, regressor())
    points = body.pose_keypoints(keypoints, jnp.asarray(pose), jnp.asarray(betas))
    eye = camera.Camera(*(jnp.full((len(pose), 2), x) for x in EYE.values()))
    pixels = np.asarray(camera.project(eye, points + jnp.asarray(place)[:, None]))
    noise = np.random.default_rng(0).normal(size=pixels.shape)
    return np.concatenate([pixels + 2 * noise, np.ones((*pixels.shape[:2], 1))], -1).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def clean():
    pose = walk()
    betas, place = np.zeros((len(pose), 10), np.float32), np.tile(AT, (len(pose), 1))
    return records.AnnotationSet(
        pose, betas, place, keypoints2d=seen(pose, betas, place), keypoints2d_set="coco17",
        **{name: np.full((len(pose), 2), x, np.float32) for name, x in EYE.items()},
        sequence=np.repeat([f"walk <{i}>" for i in range(TRACKS)], FRAMES),
        frame=np.tile(np.arange(FRAMES), TRACKS),
    )  # fmt: skip


def changed(clean, rows, again=True, **fields):
    """A copy with these fields changed at some rows; `again`: keypoints are those of the changed people."""
    new = {name: getattr(clean, name).copy() for name in fields}
    for name, value in fields.items():
        new[name][rows] = value
    made = dataclasses.replace(clean, **new)
    if again and {"pred_pose", "pred_betas"} & set(fields):
        points = seen(made.pred_pose, made.pred_betas, made.pred_cam_t)
        made = dataclasses.replace(made, keypoints2d=points)
    return made


def write(path, annotations):
    """As other programs might write it, without a look at the values."""
    np.savez(path, **records.arrays_of(annotations))
    return path


@pytest.fixture
def run(tmp_path, body_file):
    def go(annotations, worst=0, **how):
        path, said = write(tmp_path / "people.npz", annotations), []
        out = tmp_path / "out"
        flags = audit.audit_file(
            path, out, worst=worst, say=said.append, body_path=body_file, **how
        )
        return flags, out, "\n".join(said)

    return go


def flagged(flags):
    """Reason -> rows, of those that are flagged."""
    return {name: np.flatnonzero(x).tolist() for name, x in flags.flagged.items() if x.any()}


def exchanged(pose):
    """Left and right limbs exchanged, each a mirror image of the other's rotation."""
    partner = np.asarray(skeleton.mirror_permutation(S24))
    flip = np.diag([-1.0, 1, 1]).astype(np.float32)
    new = flip @ pose[..., partner, :, :] @ flip
    return np.concatenate([pose[..., :1, :, :], new[..., 1:, :, :]], -3)


def hand(matrix):
    """Of a pose without a turned hand: no keypoint hangs on it."""

    def change(clean):
        pose = clean.pred_pose[ROW].copy()
        pose[S24.index("left_hand")] = matrix
        return changed(clean, ROW, pred_pose=pose)

    return change


def bent_foot(clean):
    return changed(
        clean, ROW, pred_pose=turned(clean.pred_pose[[ROW]], "left_foot", 1, np.array([1.2]))[0]
    )


def nan(clean):
    pose = clean.pred_pose[ROW].copy()
    pose[3, 1, 1] = np.nan
    return changed(clean, ROW, again=False, pred_pose=pose)


def jumped(clean):
    turn = np.asarray(rotations.matrix_from_axis_angle(jnp.asarray([0.0, 0.8, 0.0])))
    pose = clean.pred_pose[ROW].copy()
    pose[0] = pose[0] @ turn
    return changed(clean, ROW, pred_pose=pose)


def shaken(clean):
    rows = slice(FRAMES, 2 * FRAMES)
    noise = 0.06 * np.random.default_rng(1).normal(size=(FRAMES, 24, 3))
    turn = np.asarray(rotations.matrix_from_axis_angle(jnp.asarray(noise, jnp.float32)))
    return changed(clean, rows, pred_pose=clean.pred_pose[rows] @ turn)


def keypoints_exchanged(clean):
    partner = np.asarray(skeleton.mirror_permutation(skeleton.KEYPOINT_SETS["coco17"]))
    return changed(clean, ROW, keypoints2d=clean.keypoints2d[ROW, partner])


def unseen(clean):
    return changed(clean, ROW, keypoints2d=clean.keypoints2d[ROW] * np.array([1, 1, 0], np.float32))


def scrambled(clean):
    points = clean.keypoints2d[ROW].copy()
    points[:, 1] = points[:, 1].min() + points[:, 1].max() - points[:, 1]
    return changed(clean, ROW, keypoints2d=points)


def sides_for_three_frames(clean):
    rows = slice(53, 56)
    return changed(clean, rows, pred_pose=exchanged(clean.pred_pose[rows]))


DEFECTS = {
    # Reason: (change, rows, what else may be flagged there)
    "not_finite": (nan, [ROW], ()),
    "not_a_rotation": (hand(1.2 * np.eye(3)), [ROW], ()),
    "joint_limit": (bent_foot, [ROW], ()),
    "betas": (lambda a: changed(a, ROW, pred_betas=np.eye(10)[9] * -8), [ROW], ()),
    "behind_camera": (
        lambda a: changed(a, ROW, pred_cam_t=-AT),
        [ROW],
        ("outside_image", "misplaced"),
    ),
    "outside_image": (
        lambda a: changed(a, ROW, pred_cam_t=AT + np.array([4, 0, 0])),
        [ROW],
        ("misplaced",),
    ),
    "unseen": (unseen, [ROW], ()),
    "reprojection": (scrambled, [ROW], ("swapped_keypoints", "misplaced")),
    "misplaced": (lambda a: changed(a, ROW, pred_cam_t=AT + np.array([0.3, 0, 0])), [ROW], ()),
    "swapped_keypoints": (keypoints_exchanged, [ROW], ("reprojection", "misplaced")),
    "limb_length": (lambda a: changed(a, ROW, pred_betas=np.eye(10)[0] * 3), [ROW], ()),
    "jump": (jumped, [ROW], ()),
    "shake": (shaken, list(range(FRAMES + 6, 2 * FRAMES - 6)), ("jump",)),
    "swapped_in_time": (sides_for_three_frames, [53, 54, 55], ("jump",)),
    "frozen": (lambda a: changed(a, ROW, pred_pose=a.pred_pose[ROW - 1]), [ROW], ()),
    "frame_twice": (lambda a: changed(a, ROW, frame=a.frame[ROW - 1]), [ROW], ()),
}


@pytest.mark.parametrize("reason", DEFECTS)
def test_a_defect_is_flagged_where_it_is_and_nowhere_else(run, clean, reason):
    change, rows, others = DEFECTS[reason]
    flags, out, _ = run(change(clean))
    found = flagged(flags)
    assert found[reason] == rows
    assert set(found) <= {reason, *others}
    near = set(range(FRAMES, 2 * FRAMES)) if reason == "shake" else {*rows, *(r + 1 for r in rows)}
    assert all(set(found[other]) <= near for other in found)
    with (out / "flags.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert {int(x["row"]) for x in lines if x["reason"] == reason} == set(rows)
    assert all(x["sequence"] == clean.sequence[int(x["row"])] for x in lines)


def test_a_row_names_its_photo_where_the_set_does(run, clean):
    names = np.array([f"walk/{i:06d}.jpg" for i in range(TRACKS * FRAMES)])
    seen = dataclasses.replace(DEFECTS["betas"][0](clean), image=names)
    _, out, _ = run(seen, worst=1)
    with (out / "flags.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert lines
    assert all(x["image"] == names[int(x["row"])] for x in lines)
    assert names[ROW] in (out / "report.html").read_text()
    _, out, _ = run(dataclasses.replace(seen, image=None))
    with (out / "flags.csv").open() as stream:
        assert {x["image"] for x in csv.DictReader(stream)} == {""}


def test_every_reason_has_a_test_and_a_bound():
    assert {*DEFECTS, "moved", "worse"} == set(audit.REASONS)
    names = {field.name for field in dataclasses.fields(audit.Bounds)}
    assert names - set(audit.REASONS) == {"far_apart", "spreads"}


def test_a_clean_set_has_no_flags_and_its_page_says_so(run, clean):
    flags, out, said = run(clean, worst=5)
    assert flagged(flags) == {}
    assert not flags.numbers.missing
    assert "0 of 120 rows" in said
    assert "No row is flagged" in (out / "report.html").read_text()


def test_a_reflection_is_no_rotation(run, clean):
    flags, _, _ = run(hand(np.diag([-1.0, 1, 1]))(clean))
    assert flagged(flags)["not_a_rotation"] == [ROW]
    assert flags.numbers.values["not_a_rotation"][ROW] == pytest.approx(2, abs=1e-3)
    assert reasons.part_of(flags.numbers, "not_a_rotation", ROW) == "left_hand"


def test_rows_may_lie_in_any_order(run, clean, rng):
    order = rng.permutation(TRACKS * FRAMES)
    flags, _, _ = run(records.take(jumped(clean), order))
    assert flagged(flags) == {"jump": [int(np.flatnonzero(order == ROW)[0])]}


def test_pieces_and_tracks_across_their_borders_change_nothing(run, clean, monkeypatch):
    whole = run(shaken(clean))[0]
    monkeypatch.setattr("diffjax.audit.reading.PIECE", 64)
    monkeypatch.setattr("diffjax.audit.of_tracks._PIECE", 64)
    parts = run(shaken(clean))[0]
    for name, values in whole.numbers.values.items():
        np.testing.assert_allclose(
            parts.numbers.values[name], values, rtol=1e-4, atol=2e-3, err_msg=name
        )
    assert flagged(parts) == flagged(whole)


@pytest.mark.parametrize(
    ("lacking", "unchecked"),
    [
        (
            ("keypoints2d", "keypoints2d_set"),
            {"unseen", "reprojection", "swapped_keypoints", "misplaced"},
        ),
        (
            ("focal_px", "center_px"),
            {"reprojection", "swapped_keypoints", "misplaced", "outside_image"},
        ),
        (("pred_cam_t",), {"behind_camera", "outside_image", "misplaced"}),
        (("sequence",), set(audit.reading.of_tracks.REASONS)),
        (("frame",), set(audit.reading.of_tracks.REASONS)),
    ],
)
def test_what_a_set_lacks_is_said_and_the_rest_is_checked(run, clean, lacking, unchecked):
    bare = dataclasses.replace(bent_foot(clean), **dict.fromkeys(lacking))
    flags, out, said = run(bare, worst=1)
    assert set(flags.numbers.missing) == unchecked
    assert flagged(flags) == {"joint_limit": [ROW]}
    page = (out / "report.html").read_text()
    assert "could not be checked" in page
    for why in set(flags.numbers.missing.values()):
        assert why in said
        assert why in page
    with (out / "flags.csv").open() as stream:
        line = next(csv.DictReader(stream))
    assert (line["sequence"] == "") == ("sequence" in lacking)


def test_people_who_share_a_track_without_names_are_not_judged_in_time(run, clean):
    same = dataclasses.replace(clean, sequence=np.full(TRACKS * FRAMES, "one"))
    flags, _, said = run(same)
    assert "names of their own" in said
    assert flagged(flags) == {}


def test_frames_too_far_apart_are_said_and_not_judged(run, clean):
    flags, _, said = run(clean, bounds=audit.Bounds(far_apart=1.0))
    assert "too far apart in time" in said
    assert not np.isfinite(flags.numbers.values["jump"]).any()
    assert np.isfinite(flags.numbers.values["frozen"]).any()


def test_what_moved_and_what_got_worse_is_told_beside_the_set_before(run, clean, tmp_path):
    pose = turned(clean.pred_pose[[ROW]], "left_hip", 0, np.array([-1.2]))
    pose = turned(pose, "right_hip", 0, np.array([-1.2]))[0]
    before = write(tmp_path / "before.npz", clean)
    flags, out, _ = run(changed(clean, ROW, again=False, pred_pose=pose), before=before, worst=2)
    found = flagged(flags)
    assert found["moved"] == found["worse"] == [ROW]
    assert reasons.part_of(flags.numbers, "moved", ROW).split("_")[1] in ("foot", "ankle")
    moved = flags.numbers.by_joint["moved"]
    assert moved[S24.index("left_foot")] > 0 == moved[S24.index("left_wrist")]
    page = (out / "report.html").read_text()
    assert "Joints that moved" in page
    assert "rows flagged before" in page
    assert "data:image/png;base64," in page


def test_a_set_before_of_other_people_is_refused(run, clean, tmp_path):
    other = dataclasses.replace(clean, frame=clean.frame + 1)
    with pytest.raises(ValueError, match="field frame: wanted at row 0 what"):
        run(clean, before=write(tmp_path / "before.npz", other))


class Reader(html.parser.HTMLParser):
    """Finds tags that are left open, and everything that a page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.loads = [], [], []

    def handle_starttag(self, tag, attrs):
        self.loads += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "action")]
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_page_is_whole_small_and_asks_nobody_for_anything(run, clean):
    bad = shaken(keypoints_exchanged(nan(clean)))
    bad = changed(bad, 3, again=False, pred_pose=np.full((24, 3, 3), np.inf))
    _, out, _ = run(bad, worst=4)
    page = (out / "report.html").read_text()
    reader = Reader()
    reader.feed(page)
    assert reader.open == reader.wrong == []
    assert reader.loads
    assert all(x.startswith("data:image/png;base64,") for x in reader.loads)
    assert "<script" not in page
    assert not re.search(r"url\(|@import|https?://", page)
    assert "walk &lt;0&gt;" in page
    assert "walk <0>" not in page  # Names are text, never tags.
    assert "No drawing" in page  # NaN cannot be drawn.
    assert "refine.py would refuse this set" in page
    assert len(page) < 1_000_000
    sizes = [int(x) for x in re.findall(r"font(?:-size)?:(\d+)px", page)]
    assert min(sizes) >= 14


def test_numbers_of_every_row_are_on_disk_and_no_scratch_file_is_left(run, clean):
    flags, out, _ = run(jumped(clean))
    assert sorted(x.name for x in out.iterdir()) == ["audit.npz", "flags.csv", "report.html"]
    with np.load(out / "audit.npz") as stored:
        assert len(stored["jump"]) == TRACKS * FRAMES
        assert stored["bound_jump"] == flags.bounds["jump"]
        assert np.flatnonzero(stored["flagged"]).tolist() == [ROW]


@pytest.mark.parametrize(
    "field",
    [
        "pred_pose",
        "pred_betas",
        "pred_cam_t",
        "keypoints2d",
        "focal_px",
        "center_px",
        "image_size_px",
    ],
)
@pytest.mark.parametrize("value", [3e38, -3e38, 0.0, np.inf])
def test_rows_of_any_numbers_are_survived_and_the_others_judged(run, clean, field, value):
    bad = changed(jumped(clean), 3, again=False, **{field: value})
    flags, out, _ = run(bad, worst=2 * (value == np.inf))
    assert ROW in flagged(flags)["jump"]
    assert (3 in flagged(flags).get("not_finite", [])) == (value == np.inf)
    rows = set().union(*flagged(flags).values())
    assert rows <= {0, 1, 2, 3, 4, 5, ROW}
    assert 3 in rows or not (field.startswith("pred") and value)
    assert "report.html" in {x.name for x in out.iterdir()}


def test_fields_of_the_wrong_kind_are_refused_in_a_sentence(run, clean, tmp_path, body_file):
    arrays = records.arrays_of(clean) | {"pred_betas": np.full((TRACKS * FRAMES, 10), "x")}
    np.savez(tmp_path / "text.npz", **arrays)
    with pytest.raises(ValueError, match=r"text\.npz: .*convert"):
        audit.audit_file(tmp_path / "text.npz", tmp_path / "o", body_path=body_file)
    assert not list((tmp_path / "o").iterdir())


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_numbers_of_rows_take_leading_axes(rng, batch):
    names = skeleton.KEYPOINT_SETS["coco17"]
    sides = measures.sides_of(names)
    there = jnp.asarray(rng.normal(size=(*batch, 17, 2)) * 100, jnp.float32)
    points = jnp.concatenate([there, jnp.ones((*batch, 17, 1))], -1)
    exchanged = points[..., jnp.asarray(sides.partner), :]
    apart = measures.distances_px(there, points)
    assert apart.shape == (*batch, 17)
    np.testing.assert_allclose(measures.mean_distance_px(apart, points), 0, atol=1e-4)
    assert (measures.swap_gain(there, points, sides) < 0).all()
    assert (measures.swap_gain(there, exchanged, sides) > 0).all()
    joints = jnp.asarray(rng.normal(size=(*batch, 13, 24, 3)), jnp.float32)
    for value in (
        in_time.jump_mm(joints[..., :5, :, :]), in_time.shake_mm(joints),
        in_time.flip_mm(joints[..., 0, :, :], joints[..., 1, :, :]),
        measures.nearest_depth_m(joints[..., 0, :, :]), measures.seen_count(points),
    ):  # fmt: skip
        assert value.shape == batch


def test_nothing_seen_is_nan_and_hidden_coordinates_do_not_matter():
    points = jnp.full((17, 3), jnp.nan).at[:, 2].set(0.0)
    apart = measures.distances_px(jnp.zeros((17, 2)), points)
    sides = measures.sides_of(skeleton.KEYPOINT_SETS["coco17"])
    assert np.isnan(apart).all()
    assert np.isnan(measures.mean_distance_px(apart, points))
    assert np.isnan(measures.swap_gain(jnp.zeros((17, 2)), points, sides))


def test_rotations_are_at_distance_zero_and_reflections_at_two(rng):
    vectors = jnp.asarray(rng.normal(size=(5, 3)), jnp.float32)
    matrices = rotations.matrix_from_axis_angle(vectors)
    np.testing.assert_allclose(measures.rotation_error(matrices), 0, atol=1e-5)
    flip = jnp.asarray(np.diag([1.0, 1, -1]), jnp.float32)
    np.testing.assert_allclose(measures.rotation_error(matrices @ flip), 2, atol=1e-3)


def test_uniform_motion_neither_jumps_nor_shakes_and_a_lone_frame_moves_no_neighbour(rng):
    start, speed = rng.normal(size=(2, 24, 3))
    line = (start + 0.01 * np.arange(20)[:, None, None] * speed).astype(np.float32)
    ids = jnp.zeros(20, int)
    even = in_time.numbers(jnp.asarray(line), ids)
    assert np.nanmax(even["jump"]) < 1e-2 > np.nanmax(even["shake"])
    line[9] += [0.3, 0, 0]
    found = in_time.numbers(jnp.asarray(line), ids)
    assert found["jump"][9] == pytest.approx(300, rel=0.1)
    assert np.nanmax(np.delete(np.asarray(found["jump"]), 9)) < 60
    assert np.isnan(found["jump"][jnp.asarray([0, 1, 18, 19])]).all()


def test_an_exchange_is_flagged_to_its_end_or_only_where_it_begins():
    flips = np.full(40, -200.0)
    flips[[10, 13, 30]] = 300.0  # Back after three frames; never back.
    assert np.flatnonzero(in_time.exchanged(flips, 100.0) > 100).tolist() == [10, 11, 12, 30]


def test_a_robust_bound_follows_the_set_between_its_limits(rng):
    values = rng.normal(10, 1, 10_000)
    values[:100] = 1e6
    assert bounds.bound_of((0.0, 100.0), values, 5.0) == pytest.approx(15, rel=0.02)
    assert bounds.bound_of((20.0, 100.0), values, 5.0) == 20
    assert bounds.bound_of((0.0, 12.0), values, 5.0) == 12
    assert bounds.bound_of((0.0, 100.0), np.full(3, np.nan), 5.0) == 100
    assert bounds.bound_of(5.0, values, 5.0) == 5


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0, np.nan, 1e9], [-3.0, 2.0, 2.5]])
def test_a_histogram_holds_its_bound_and_every_value(values):
    drawn = charts.histogram(np.asarray(values), 1.5, "{:.1f}".format, "a <b>")
    x = float(re.search(r'x1="([\d.-]+)"', drawn)[1])
    assert 0 <= x <= 40
    assert "nan" not in drawn
    assert "<b>" not in drawn


def test_a_folder_that_is_a_file_is_refused(run, clean, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="wanted a folder to write to"):
        run(clean)
