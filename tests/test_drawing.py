"""Pictures of annotations: things stand where they are, are told apart, and what is lacking is said."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import colors
from PIL import Image

from diffjax import body, camera, config, draw, draw_people, drawing
from diffjax.data import records
from diffjax.drawing import person as persons
from diffjax.drawing import photos, sheets, viewing

pytestmark = pytest.mark.usefixtures("quick_to_compile")
FACES = np.array([[0, 1, 2], [0, 2, 3]])
NAMES = ("left_wrist", "right_wrist", "nose")
EYE = camera.Camera(*(np.array([x, x]) for x in (500.0, 250.0, 500.0)))


def sheet_body(x=0.0, z=4.0, half=0.5, **more):
    """A square before the camera; its joints are in its middle."""
    corners = np.array([[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]])
    at = np.array([x, 0, z])
    return drawing.Body("estimate", corners + at, np.zeros((24, 3)) + at, True, **more)


def person(*bodies, evidence=None, **more):
    given = {"title": "row 0", "truth": None, "camera": EYE, "names": NAMES} | more
    return drawing.Person(bodies=bodies or (sheet_body(),), evidence=evidence, **given)


def pixels(people, faces=FACES, **how):
    picture = Image.open(io.BytesIO(drawing.png(people, faces, **how)))
    return np.asarray(picture.convert("RGB")).astype(float) / 255


def like(picture, colour, tolerance=0.05):
    """Where a picture has a colour."""
    return np.abs(picture - np.asarray(colors.to_rgb(colour))).max(-1) < tolerance


def panel(picture, number=0):
    """The piece of the first row's panel."""
    x = sheets.GAP + number * (sheets.PANEL[0] + sheets.GAP)
    y = sheets.HEAD + sheets.LABEL
    return picture[y : y + sheets.PANEL[1], x : x + sheets.PANEL[0]]


@pytest.mark.parametrize(("k", "side"), [(0, "left"), (1, "right")])
def test_a_keypoint_is_drawn_at_its_pixel_in_the_colour_of_its_side(k, side):
    evidence = np.array([[200.0, 220, 0], [300, 260, 0], [250, 330, 0]])
    evidence[k, 2] = 1
    one = person(evidence=evidence)
    shown = panel(pixels([one], legend=False))
    window = persons._camera_window(one, [persons._seen(one, one.bodies[0])])
    rows, columns = np.nonzero(like(shown, sheets.SIDES[side][1]))
    middle = np.array([columns.mean(), rows.mean()]) + 0.5
    # matplotlib sets squares on whole pixels.
    np.testing.assert_allclose(middle, window.places(evidence[k, :2]), atol=1.01)
    other = "right" if side == "left" else "left"
    assert not like(shown, sheets.SIDES[other][1]).any()  # Confidence 0 is not drawn.


def test_a_body_is_drawn_where_the_camera_sees_it():
    one = person(sheet_body(x=0.3), evidence=np.array([[150.0, 150, 1], [350, 350, 1], [0, 0, 0]]))
    views = [persons._seen(one, one.bodies[0])]
    np.testing.assert_allclose(views[0].flat[24], [500 * -0.2 / 4 + 250, 500 * -0.5 / 4 + 250])
    window = persons._camera_window(one, views)
    bare = panel(pixels([one._replace(evidence=None)], legend=False))
    assert bare.shape == (sheets.PANEL[1], sheets.PANEL[0], 3)
    _, cover = viewing.body_picture(
        viewing.View(*(x[24:] for x in views[0])), FACES, window, sheets.PANEL
    )
    low, high = (window.places(np.array([u, v])) for u, v in ((225.0, 187.5), (350.0, 312.5)))
    assert cover.sum() == pytest.approx(np.prod(high - low), rel=0.02)


def test_a_line_joins_a_missed_keypoint_to_where_the_body_has_it():
    evidence = np.array([[200.0, 200, 1], [300, 300, 1], [250, 250, 0]])
    near = sheet_body(keypoints_px=evidence[:, :2] + 0.5)
    far = sheet_body(keypoints_px=evidence[:, :2] + [[60, 0], [0, 0], [0, 0]])
    red = [
        like(panel(pixels([person(b, evidence=evidence)], legend=False)), sheets.LINE).sum()
        for b in (near, far)
    ]
    assert red[0] == 0
    assert red[1] > 50


def test_sides_differ_in_shape_and_in_lightness_not_in_colour_alone():
    markers, colours = zip(*sheets.SIDES.values())
    light = sorted(colors.rgb_to_hsv(colors.to_rgb(c))[2] for c in colours)
    grey = sorted(np.dot(colors.to_rgb(c), (0.2126, 0.7152, 0.0722)) for c in colours)
    assert len(set(markers)) == 3
    assert np.diff(grey).min() > 0.2, light


def test_the_side_view_shows_depth():
    deep = np.array([[0.0, 0, 0], [0, 0, 2], [1, -3, 0]])
    view = viewing.from_side(deep)
    np.testing.assert_allclose(view.flat, [[0, 0], [2, 0], [0, -3]])
    assert view.nearness[2] > view.nearness[0]  # Seen from the camera's right.


def test_each_view_is_right_handed_so_that_light_and_sides_are_true(rng):
    points = rng.normal(size=(4, 3)) + np.array([0, 0, 5])
    volume = np.linalg.det(points[1:] - points[0])
    for view in (
        viewing.from_side(points),
        viewing.from_front(points),
        viewing.from_camera(EYE, points),
    ):
        assert np.linalg.det(view.facing[1:] - view.facing[0]) == pytest.approx(volume)


def test_what_is_behind_the_camera_is_not_drawn():
    one = person(sheet_body(z=-4.0))
    assert np.isnan(persons._seen(one, one.bodies[0]).nearness).all()
    assert np.ptp(panel(pixels([one], legend=False))) < 0.15  # Ground, and darker ground.


def test_a_small_file_keeps_the_colours_that_mean_something():
    evidence = np.array([[200.0, 200, 1], [300, 300, 1], [250, 250, 1]])
    data = drawing.png([person(evidence=evidence)], FACES, limit=6_000)
    assert len(data) <= 6_000
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) / 255
    assert all(like(shown, colour, 0.1).any() for _, colour in sheets.SIDES.values())


def test_without_faces_skeletons_are_drawn(rng):
    bones = sheet_body()._replace(joints_cam=rng.normal(size=(24, 3)) * 0.3 + np.array([0, 0, 4]))
    assert like(panel(pixels([person(bones)], None, legend=False)), "#4d6f94").sum() > 300


def test_a_photo_lies_below_the_body_at_its_pixels():
    photo = Image.new("RGB", (250, 250), "white")
    photo.paste((200, 0, 0), (125, 0, 250, 250))  # The right half, at half the camera's size.
    shown = panel(pixels([person(photo=photo)], None, legend=False))
    red = shown[..., 1] < 0.3
    window = persons._camera_window(*(lambda p: (p, [persons._seen(p, p.bodies[0])]))(person()))
    edge = window.places(np.array([250.0, 250.0]))[0]
    assert np.flatnonzero(red[5])[0] == pytest.approx(edge, abs=1.5)


@pytest.fixture
def people(rng):
    """Three rows with camera, keypoints and truth."""
    still = np.tile(np.eye(3, dtype=np.float32), (3, 24, 1, 1))
    keypoints = np.concatenate([rng.uniform(200, 300, (3, 24, 2)), np.ones((3, 24, 1))], -1)
    pixel = {"focal_px": 500, "center_px": 250, "image_size_px": 500}
    return records.AnnotationSet(
        pred_pose=still,
        pred_betas=np.zeros((3, 10), np.float32),
        pred_cam_t=np.array([[0, 0, 5], [0.1, 0, 5], [0, 0, 6]], np.float32),
        pose=still,
        betas=np.ones((3, 10), np.float32),
        labels2d=keypoints.astype(np.float32),
        labels2d_set="smpl24",
        gender=np.array(["neutral", "male", "neutral"]),
        image=np.array(["a.png", "b.png", "c.png"]),
        **{name: np.full((3, 2), x, np.float32) for name, x in pixel.items()},
    )


@pytest.fixture
def kit_of(toy_body, tmp_path, monkeypatch):
    """Makes a kit of sets, with the toy body."""
    monkeypatch.setattr(draw_people.body, "load_body", lambda _: toy_body)
    monkeypatch.setattr(
        draw_people.body, "load_regressor", lambda *_: np.asarray(toy_body.joint_regressor)
    )
    monkeypatch.setattr(draw_people.body, "load_faces", lambda _: np.arange(60).reshape(20, 3))

    def make(annotations, before=None, **how):
        files = {"set.npz": annotations, "before.npz": before}
        for name, one in files.items():
            if one is not None:
                records.write(tmp_path / name, one)
        told = str(tmp_path / "before.npz") if before is not None else None
        return draw.load_kit(str(tmp_path / "set.npz"), before=told, **how)

    return make


def test_a_row_becomes_a_small_png_with_estimate_refined_and_truth(people, kit_of):
    moved = dataclasses.replace(people, pred_betas=people.pred_betas + 1)
    kit = kit_of(moved, people)
    (one,) = draw.people(kit, [0])
    assert [b.name for b in one.bodies] == ["estimate", "refined"]
    assert one.bodies[0].error_mm != pytest.approx(0, abs=1)
    assert one.bodies[1].error_mm == pytest.approx(0, abs=1e-3)
    data = draw.row_png(kit, 0)
    assert data.startswith(b"\x89PNG")
    assert len(data) < 60_000


def test_the_errors_written_are_those_of_the_set(people, kit_of, toy_body):
    (one,) = draw.people(kit_of(people), [2])
    pose = (jnp.asarray(x[2]) for x in (people.pred_pose, people.pred_betas))
    joints = np.asarray(jax.jit(body.pose_joints)(toy_body, *pose))
    at = joints + people.pred_cam_t[2]
    there = 500 * at[:, :2] / at[:, 2:] + 250
    wanted = np.linalg.norm(there - people.labels2d[2, :, :2], axis=-1).mean()
    assert one.bodies[0].error_px == pytest.approx(wanted, rel=1e-3)


def test_what_a_row_lacks_is_said_beside_it(people, kit_of):
    told = {}
    (one,) = draw.people(kit_of(people), [1])
    told["gender"] = one.notes
    blind = dataclasses.replace(people, focal_px=None, center_px=None, image_size_px=None)
    (one,) = draw.people(kit_of(blind), [0])
    told["camera"] = one.notes
    (one,) = draw.people(kit_of(dataclasses.replace(people, pred_cam_t=None)), [0])
    told["place"] = one.notes
    (one,) = draw.people(kit_of(dataclasses.replace(people, pred_cam_t=-people.pred_cam_t)), [0])
    told["behind"] = one.notes
    assert told == {
        "gender": ("the truth has a male body: not drawn",),
        "camera": ("no camera: front view",),
        "place": ("estimate: placed by its keypoints",),
        "behind": ("estimate: behind the camera",),
    }


def test_bodies_are_compared_in_one_view_if_one_of_them_has_no_place(people, kit_of):
    blind = {"labels2d": None, "labels2d_set": None}
    after = dataclasses.replace(people, **blind)
    (one,) = draw.people(kit_of(after, dataclasses.replace(after, pred_cam_t=None)), [0])
    assert one.notes == ("estimate: nobody knows where: front view",)
    views = [persons._seen(one, b) for b in one.bodies]
    np.testing.assert_allclose(views[0].flat, views[1].flat, atol=1e-5)


def test_the_worst_row_comes_first_and_a_quality_file_has_the_say(people, kit_of, tmp_path):
    far = people.pred_cam_t + np.array([[0, 0, 0], [2, 0, 0], [0.7, 0, 0]], np.float32)
    kit = kit_of(dataclasses.replace(people, pred_cam_t=far))
    assert draw.worst_rows(kit, 2) == [1, 2]
    held_out = {"held_out_after": np.array([0.1, 0.2, 0.9], np.float32)}
    records.save_arrays(tmp_path / "set_quality.npz", held_out)
    assert draw.worst_rows(kit, 2) == [2, 1]
    records.save_arrays(tmp_path / "set_quality.npz", {"held_out_after": np.zeros(5)})
    with pytest.raises(
        ValueError, match=r"set_quality.npz: field held_out_after: wanted 3 numbers"
    ):
        draw.worst_rows(kit, 2)


def test_bad_wishes_are_refused_with_what_to_do(people, kit_of, tmp_path):
    kit = kit_of(people)
    with pytest.raises(ValueError, match=r"set.npz: wanted rows from 0 to 2, found 3"):
        draw.draw_file(kit, [3], tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a.jpg: wanted a file name ending in .png"):
        draw.draw_file(kit, [0], tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="wanted 1 to 60 rows a picture, found 61"):
        draw.draw_file(kit, [0] * 61, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"field keypoints2d: .* --evidence may be labels"):
        kit_of(people, evidence="detections")
    with pytest.raises(FileNotFoundError, match="wanted a folder of images"):
        kit_of(people, images=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"before.npz: wanted the 3 people of"):
        kit_of(people, records.take(people, slice(2)))
    other = kit_of(people, records.take(people, [1, 0, 2]))
    with pytest.raises(ValueError, match=r"before.npz: field image: wanted at row 0"):
        list(draw.people(other, [0]))
    blind = kit_of(dataclasses.replace(people, labels2d=None, labels2d_set=None))
    with pytest.raises(ValueError, match="choose by --rows or --random"):
        draw.worst_rows(blind, 1)
    assert not (tmp_path / "a.png").exists()


def test_photos_are_found_by_name_inside_their_folder_alone(tmp_path):
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    for place in (folder / "deep" / "a.png", tmp_path / "b.png"):
        Image.new("RGB", (40, 30)).save(place)
    (folder / "bad.png").write_bytes(b"no image")
    size = (400, 300)
    assert photos.photo_of("deep/a.png", folder, tmp_path, size)[0].size == (40, 30)
    assert photos.photo_of("far/away/deep/a.png", folder / "deep", tmp_path, size)[0] is not None
    assert photos.photo_of("../b.png", folder, tmp_path, size) == (None, "no image b.png")
    assert photos.photo_of("c.png", None, tmp_path, size) == (None, "")
    assert photos.photo_of("bad.png", folder, tmp_path, size) == (None, "bad.png cannot be read")
    note = "a.png is 40 x 30, the camera's image 300 x 400"
    assert photos.photo_of("deep/a.png", folder, tmp_path, (300, 400)) == (None, note)


def test_keypoints_that_the_body_does_not_know_are_drawn_without_lines(people, kit_of, monkeypatch):
    kit_of(people)

    def unknown(*_):
        raise ValueError("no such regressor")

    monkeypatch.setattr(draw_people.body, "load_regressor", unknown)
    (one,) = draw.people(kit_of(people), [0])
    assert one.evidence is not None
    assert one.bodies[0].keypoints_px is None
    assert one.notes == ("the body's file lacks these keypoints",)


def test_the_embedded_body_has_faces():
    faces = draw_people._faces(config.locate(config.Data.body))
    assert faces is not None
    assert faces.shape[1] == 3
