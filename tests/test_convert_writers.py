"""Annotation sets as other programs' files: what is written reads back to the same numbers."""

import csv
import dataclasses
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy.spatial.transform import Rotation

from diffjax import body, skeleton
from diffjax.convert import to_amass, to_csv, to_mesh, to_smpl_file, track, writing
from diffjax.data import amass, records

_ANGLES = [0.0, 1e-12, 1e-8, 1e-3, 1.0, 3.0, np.pi - 1e-3, np.pi - 1e-6, np.pi - 1e-8, np.pi]


def _silent(_):
    pass


def _rotations(count):
    """Rotations (count, 24, 3, 3) by angles up to pi, about random axes, as float32 sets hold them."""
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(count * 24, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    vectors = axes * np.resize(_ANGLES, (count * 24, 1))
    return Rotation.from_rotvec(vectors).as_matrix().reshape(count, 24, 3, 3).astype(np.float32)


def _set(count=12, **changes):
    """Two videos of two people, frames out of order, one of the names a trap."""
    rng = np.random.default_rng(1)
    betas = np.repeat(rng.normal(size=(4, 10)), count // 4, 0).astype(np.float32)
    fields = {
        "pred_pose": _rotations(count),
        "pred_betas": betas,
        "pred_cam_t": rng.normal((0, 0, 5), 1, (count, 3)).astype(np.float32),
        "sequence": np.repeat(["../../walk", "run"], count // 2),
        "subject": np.repeat(["0", "1", "0", "1"], count // 4),
        "frame": np.tile([3, 1, 2], count // 3),
    }
    return records.from_arrays({k: v for k, v in (fields | changes).items() if v is not None}, "s")


def _angle(vectors, matrices):
    matrices = np.asarray(matrices, np.float64).reshape(-1, 3, 3)
    found = Rotation.from_rotvec(np.reshape(vectors, (-1, 3)))
    return (found.inv() * Rotation.from_matrix(matrices)).magnitude().max()


@pytest.fixture(scope="module")
def body_file(tmp_path_factory):
    return Path(tiny.write_body(tmp_path_factory.mktemp("body") / "body.npz"))


# --- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [*_ANGLES, 1e-300, 4.0, 2 * np.pi])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_axis_angle_is_exact_also_near_pi(angle, dtype):
    """The rotation, not the vector: at pi the vector's sign is free."""
    axes = np.random.default_rng(2).normal(size=(60, 3))
    axes = np.concatenate([axes, np.eye(3), -np.eye(3)])
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    matrices = Rotation.from_rotvec(axes * angle).as_matrix()
    vectors = writing.axis_angle(matrices.astype(dtype))
    assert _angle(vectors, matrices) < (1e-13 if dtype == np.float64 else 2e-7)
    assert np.linalg.norm(vectors, axis=-1).max() <= np.pi + 1e-12


@pytest.mark.parametrize("batch", [(), (1,), (2, 3), (0,)])
def test_axis_angle_keeps_leading_axes(batch):
    assert writing.axis_angle(np.broadcast_to(np.eye(3), (*batch, 3, 3))).shape == (*batch, 3)


def test_axis_angle_projects_onto_rotations_first():
    rng = np.random.default_rng(3)
    exact = Rotation.random(50, random_state=3).as_matrix()
    loose = exact @ (np.eye(3) + 0.02 * rng.normal(size=(50, 1, 1)) * np.eye(3))
    assert _angle(writing.axis_angle(loose), exact) < 1e-12
    assert np.isfinite(writing.axis_angle(exact @ np.diag([1.0, 1.0, -1.0]))).all()


@pytest.mark.parametrize("text", ["../../x", "..", ".", "", "/etc/passwd", "a\\b", "a:b", "a\0b",
                                  "x" * 500, "日本", "-rf", ".hidden", "a\nb", "\ud800"])  # fmt: skip
def test_names_cannot_leave_their_folder(tmp_path, text):
    name = writing.safe_name(text)
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert not name.startswith((".", "-"))
    assert len(name) < 120
    (tmp_path / name).write_text("")


def test_names_that_had_to_change_stay_apart():
    assert writing.safe_name("downtown_arguing_00.5") == "downtown_arguing_00.5"
    texts = ["a/b", "a_b", "a:b", "..", "."]
    assert len({writing.safe_name(text) for text in texts}) == len(texts)


def test_whole_file_leaves_nothing_behind_when_it_fails(tmp_path):
    (tmp_path / "x.obj").write_text("old")
    with pytest.raises(RuntimeError), writing.whole_file(tmp_path / "x.obj") as temporary:  # noqa: PT012
        temporary.write_text("half")
        assert temporary.suffix == ".obj"
        raise RuntimeError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x.obj", "old")]
    with pytest.raises(ValueError, match=r"ending in \.csv"):
        writing.whole_file(tmp_path / "x.obj", (".csv",)).__enter__()


def test_whole_folder_leaves_nothing_behind_and_replaces_nothing(tmp_path):
    with pytest.raises(RuntimeError), writing.whole_folder(tmp_path / "a") as folder:  # noqa: PT012
        (folder / "x").write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="already exists"):
        writing.whole_folder(tmp_path / "a").__enter__()


def test_truth_that_is_absent_is_refused():
    with pytest.raises(ValueError, match="field pose: wanted the truth"):
        writing.chosen(_set(), "truth")


# --- tracks --------------------------------------------------------------------------------------


def test_tracks_are_in_the_order_of_frames():
    found = track.tracks(_set(), "estimate", say=_silent)
    assert len(found) == 4
    assert found[0].rows.tolist() == [1, 2, 0]
    assert all(t.frames.tolist() == [1, 2, 3] for t in found)


def test_two_people_in_one_frame_of_a_track_are_refused():
    with pytest.raises(ValueError, match="several in frame 1"):
        track.tracks(_set(subject=None), "estimate", "set.npz", say=_silent)


def test_names_of_tracks_stay_apart():
    """a_b with c and a with b_c, and names that differ by case alone."""
    sequence = np.array(["a_b", "a", "A"])
    found = _set(12, sequence=np.repeat(sequence, 4), subject=np.repeat(["c", "b_c", "b_c"], 4),
                 frame=np.tile(np.arange(4), 3))  # fmt: skip
    names = [t.name.lower() for t in track.tracks(found, "estimate", say=_silent)]
    assert len(set(names)) == 3


def test_gaps_and_changing_betas_are_said_aloud():
    rng = np.random.default_rng(4)
    said = []
    betas = rng.normal(size=(12, 10)).astype(np.float32)
    found = _set(pred_betas=betas, frame=np.tile([1, 2, 9], 4))
    found = track.tracks(found, "estimate", say=said.append)
    assert "betas change" in said[0]
    assert "4 gaps" in said[1]
    np.testing.assert_allclose(found[0].betas, betas[:3].mean(0), 1e-6)


def test_truth_keeps_its_gender():
    some = _set()
    gender = np.repeat(["male", "female"], 6)
    truth = dataclasses.replace(some, pose=some.pred_pose, betas=some.pred_betas, gender=gender)
    found = track.tracks(truth, "truth", say=_silent)
    assert [t.gender for t in found] == ["male", "male", "female", "female"]
    assert {t.gender for t in track.tracks(truth, "estimate", say=_silent)} == {"neutral"}
    mixed = dataclasses.replace(truth, gender=np.resize(["male", "female"], 12))
    with pytest.raises(ValueError, match="field gender: wanted one body"):
        track.tracks(mixed, "truth", say=_silent)


# --- AMASS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["smpl", "smplh"])
def test_amass_reads_back_to_the_same_motion(tmp_path, layout):
    annotations = _set()
    files = to_amass.write_amass(
        tmp_path / "out", annotations, fps=25.0, layout=layout, say=_silent
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in files)
    assert os.listdir(tmp_path) == ["out"]  # ../../walk stayed inside.
    motion, rows = amass.read_motion(files[0]), [1, 2, 0]
    joints = 24 if layout == "smpl" else 22
    assert _angle(motion.poses[:, :joints], annotations.pred_pose[rows, :joints]) < 1e-5
    np.testing.assert_array_equal(motion.betas, annotations.pred_betas[1])
    np.testing.assert_array_equal(motion.trans, annotations.pred_cam_t[rows])
    assert motion.fps == 25.0
    with np.load(files[0]) as stored:
        assert stored["poses"].shape == (3, 72 if layout == "smpl" else 156)
        assert stored["frame"].tolist() == [1, 2, 3]


def test_amass_is_turned_about_the_camera_not_the_pelvis(tmp_path, body_file):
    """Joints of the turned motion are the turned joints, exactly, when the body is known."""
    annotations = _set()
    options = {"layout": "smpl", "pelvis": to_amass.pelvis_of(body_file), "say": _silent}
    model, rows = body.load_body(body_file), [1, 2, 0]
    joints = _joints(model, annotations.pred_pose[rows], annotations.pred_betas[rows])
    joints = joints + annotations.pred_cam_t[rows, None]
    for up, turned in (
        ("y", joints * [1, -1, -1]),
        ("z", joints[..., [0, 2, 1]] * [1, 1, -1]),
    ):
        files = to_amass.write_amass(tmp_path / up, annotations, up=up, **options)
        motion = amass.read_motion(files[0])
        matrices = Rotation.from_rotvec(motion.poses.reshape(-1, 3)).as_matrix()
        found = _joints(model, matrices.reshape(3, 24, 3, 3), np.tile(motion.betas, (3, 1)))
        np.testing.assert_allclose(found + motion.trans[:, None], turned, atol=2e-5)


def test_amass_z_up_and_y_up_are_the_same_motion_to_our_reader(tmp_path):
    paths = {
        up: to_amass.write_amass(tmp_path / up, _set(), up=up, layout="smpl", say=_silent)[0]
        for up in ("y", "z")
    }
    y, z = (amass.read_motion(paths[up], up=up) for up in ("y", "z"))
    matrices = Rotation.from_rotvec(z.poses.reshape(-1, 3)).as_matrix()
    assert _angle(y.poses, matrices) < 2e-6
    np.testing.assert_allclose(y.trans, z.trans, atol=1e-6)


def test_amass_one_track_is_one_file_and_no_translation_is_said(tmp_path):
    one = records.take(_set(), slice(0, 3))
    one = dataclasses.replace(one, pred_cam_t=None)
    said = []
    path = tmp_path / "one.npz"
    assert to_amass.write_amass(path, one, say=said.append) == [path]
    assert any("no translation" in line for line in said)
    assert not amass.read_motion(path).trans.any()
    with pytest.raises(ValueError, match="wanted a folder for 4 tracks"):
        to_amass.write_amass(path, _set(), say=_silent)
    with pytest.raises(ValueError, match="--fps"):
        to_amass.write_amass(path, one, fps=0.0, say=_silent)


# --- .smpl ---------------------------------------------------------------------------------------


def test_smpl_files_read_back_with_smplcodec(tmp_path):
    from smplcodec.codec import SMPLCodec, SMPLGender, SMPLVersion

    annotations, rows = _set(), [1, 2, 0]
    files = to_smpl_file.write_smpl(tmp_path / "out", annotations, fps=25.0, say=_silent)
    assert len(files) == 4
    found = SMPLCodec.from_file(files[0])
    assert (found.smpl_version, found.gender) == (SMPLVersion.SMPL, SMPLGender.NEUTRAL)
    assert (found.frame_count, found.frame_rate) == (3, 25.0)
    assert _angle(found.body_pose, annotations.pred_pose[rows]) < 1e-5
    np.testing.assert_array_equal(found.shape_parameters, annotations.pred_betas[1])
    np.testing.assert_array_equal(found.body_translation, annotations.pred_cam_t[rows])


def test_smpl_file_of_one_person(tmp_path):
    from smplcodec.codec import SMPLCodec

    one = dataclasses.replace(records.take(_set(), slice(0, 1)), pred_cam_t=None)
    [path] = to_smpl_file.write_smpl(tmp_path / "one.smpl", one, say=_silent)
    found = SMPLCodec.from_file(path)
    assert (found.frame_count, found.body_translation) == (1, None)
    assert _angle(found.body_pose, one.pred_pose) < 1e-5
    with pytest.raises(ValueError, match="wanted a folder for 4 tracks"):
        to_smpl_file.write_smpl(tmp_path / "all.smpl", _set(), say=_silent)


# --- meshes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["obj", "ply", "glb"])
@pytest.mark.parametrize("up", ["camera", "y"])
def test_meshes_read_back_with_trimesh(tmp_path, body_file, kind, up):
    import trimesh

    annotations = _set()
    options = {"rows": np.array([4, 11]), "kind": kind, "up": up}
    files = to_mesh.write_meshes(tmp_path / "out", annotations, body_file, **options)
    assert [path.suffix for path in files] == [f".{kind}"] * 2
    assert os.listdir(tmp_path) == ["out"]
    model = body.load_body(body_file)
    for path, row in zip(files, (4, 11)):
        found = trimesh.load(path, process=False, force="mesh", maintain_order=True)
        posed = body.pose_body(
            model,
            *(jnp.asarray(x[row]) for x in (annotations.pred_pose, annotations.pred_betas)),
            jnp.asarray(annotations.pred_cam_t[row]),
        )
        wanted = np.asarray(posed.vertices) * ([1, -1, -1] if up == "y" else 1)
        np.testing.assert_allclose(found.vertices, wanted, atol=1e-6)
        np.testing.assert_array_equal(found.faces, body.load_faces(body_file))


def test_mesh_of_one_person_goes_to_a_file_of_that_name(tmp_path, body_file):
    one = records.take(_set(), slice(3, 4))
    [path] = to_mesh.write_meshes(tmp_path / "one.ply", one, body_file)
    assert path.read_bytes()[:3] == b"ply"
    with pytest.raises(ValueError, match="wanted a folder for 12 people"):
        to_mesh.write_meshes(tmp_path / "all.ply", _set(), body_file)


def test_rows_are_told_as_in_python():
    assert to_mesh.rows_of("7", 10).tolist() == [7]
    assert to_mesh.rows_of(":", 3).tolist() == [0, 1, 2]
    assert to_mesh.rows_of("0:9:4,-1", 10).tolist() == [0, 4, 8, 9]
    for text in ("10", "a", "1:2:3:4", "5:5", "", "::0"):
        with pytest.raises(ValueError, match="--rows"):
            to_mesh.rows_of(text, 10)


# --- CSV -----------------------------------------------------------------------------------------


def _rows(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_csv_of_joints_reads_back_in_metres(tmp_path, body_file):
    annotations, path = _set(), tmp_path / "joints.csv"
    to_csv.write_csv(path, annotations, body_file=body_file)
    rows = _rows(path)
    found = np.array([[float(row[f"{axis}_m"]) for axis in "xyz"] for row in rows])
    joints = _joints(body.load_body(body_file), annotations.pred_pose, annotations.pred_betas)
    wanted = joints + annotations.pred_cam_t[:, None]
    np.testing.assert_allclose(found.reshape(12, 24, 3), wanted, atol=2e-6)
    assert [row["joint"] for row in rows[:24]] == list(skeleton.SMPL24)
    assert (rows[30]["row"], rows[30]["sequence"], rows[30]["frame"]) == ("1", "../../walk", "1")


@pytest.mark.parametrize("wide", [False, True])
def test_csv_of_keypoints_keeps_confidence(tmp_path, wide):
    points = np.random.default_rng(5).uniform(0, 1, (12, 17, 3)).astype(np.float32)
    points[..., :2] *= 1000
    annotations = dataclasses.replace(_set(), keypoints2d=points, keypoints2d_set="coco17")
    path = tmp_path / "out.csv"
    to_csv.write_csv(path, annotations, what="keypoints2d", wide=wide)
    rows = _rows(path)
    assert len(rows) == (12 if wide else 12 * 17)
    names = ["x_px", "y_px", "confidence"]
    if wide:
        names = [f"{j}_{name}" for j in skeleton.KEYPOINT_SETS["coco17"] for name in names]
    found = np.array([[float(row[name]) for name in names] for row in rows])
    np.testing.assert_allclose(found.reshape(points.shape), points, rtol=1e-6)


def test_csv_quotes_names_that_hold_commas_and_lines(tmp_path):
    points = np.ones((3, 17, 4), np.float32)
    odd = np.array(['a,"b"', "c\nd", "日本"])
    one = dataclasses.replace(
        records.take(_set(), slice(0, 3)), keypoints3d=points, keypoints3d_set="h36m17", image=odd
    )
    to_csv.write_csv(tmp_path / "out.csv", one, what="keypoints3d", wide=True)
    assert [row["image"] for row in _rows(tmp_path / "out.csv")] == odd.tolist()


def test_csv_of_what_is_not_there_is_refused_and_nothing_written(tmp_path):
    for what, message in (("joints", "--body"), ("keypoints3d", "found nothing")):
        with pytest.raises(ValueError, match=message):
            to_csv.write_csv(tmp_path / "out.csv", _set(), what=what)
    assert not list(tmp_path.iterdir())


def test_commands_convert_a_set_on_disk(tmp_path, body_file, capsys):
    source = tmp_path / "set.npz"
    records.write(source, _set())
    to_amass.convert(source, tmp_path / "amass", body=body_file, up="z")
    to_smpl_file.convert(source, tmp_path / "smpl")
    to_mesh.convert(source, tmp_path / "mesh", body_file, rows="0:2")
    to_csv.convert(source, tmp_path / "joints.csv", body=body_file)
    assert "4 tracks, 12 frames" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"set\.npz: field pose"):
        to_csv.convert(source, tmp_path / "truth.csv", "truth", body=body_file)


def _joints(model, rotations, betas):
    rotations, betas = (jnp.asarray(x, jnp.float32) for x in (rotations, betas))
    return np.asarray(body.pose_joints(model, rotations, betas))
