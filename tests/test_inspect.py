"""Every format is recognised by a small file of it, and what is wrong with a file is said."""

import importlib
import io
import json
import pathlib
import re
import shlex
import shutil
import sys
import zipfile

import inspected
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from diffjax import rotations
from diffjax.convert import commands, inspect
from diffjax.convert.inspection import facts as said
from diffjax.convert.inspection import findings, known, recognise, report, roles


def facts(path, body=None):
    look = recognise.look(path)
    return said.of(look, *findings.of(look, body))


def marks(found, name):
    return [finding["mark"] for finding in found["findings"] if finding["name"] == name]


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("name", inspected.FORMATS)
def test_a_file_of_each_format_is_recognised(name, tmp_path):
    path = inspected.FORMATS[name](tmp_path)
    found = facts(path)
    assert found["format"] == name.partition("/")[0]
    text = report.text(found, 80)
    assert max(map(len, text.splitlines())) <= max(80, len(str(path)) + 60)
    if found["command"]:
        words = shlex.split(found["command"])
        assert words[0] == "python"
        assert {str(path), str(path.parent)} & set(words) or "{" not in found["command"]


def test_every_format_of_the_table_has_a_file_here():
    made = {name.partition("/")[0] for name in inspected.FORMATS}
    assert {row.name for row in known.TABLE} - made <= {
        "neuralannot-smplx",
        "neuralannot-cameras",
        "diffjax-model",
        "diffjax-frontend",
    }


HANDS = [path.stem for path in pathlib.Path(__file__).parent.glob("files_*.py")]


@pytest.mark.parametrize("module", HANDS)
def test_files_of_the_converters_own_tests_are_known(module, tmp_path):
    for name, make in importlib.import_module(module).CASES.items():
        folder = tmp_path / re.sub(r"\W", "_", name)
        folder.mkdir()
        for path in make(folder).files:
            found = facts(path)
            containers = module == "files_unpickle"  # Of anything, not of people.
            assert found["format"] or containers, (
                f"{name}: {path.name}: {[f['name'] for f in found['fields']]}"
            )


def test_json_is_valid_and_says_what_the_text_says(tmp_path, capsys):
    path = inspected.FORMATS["annotation-set"](tmp_path)
    inspect.inspect(path, json=True)
    machine = json.loads(capsys.readouterr().out)
    inspect.inspect(path)
    human = " ".join(capsys.readouterr().out.split())
    assert machine["rows"] == 12
    assert "12 rows" in human
    for finding in machine["findings"]:
        assert " ".join(finding["text"].split()) in human
        assert f"{finding['mark']} {finding['name']}" in human
    for field in machine["fields"]:
        assert field["name"] in human
    assert " ".join(machine["command"].split()) in human.replace(" \\", "")


def test_nan_does_not_break_json(tmp_path, capsys):
    pose = inspected.people()[1].copy()
    pose[2, 3] = np.nan
    path = save(tmp_path / "a.npz", pred_pose=pose, pred_betas=np.full((12, 10), np.inf))
    inspect.inspect(path, json=True)
    found = json.loads(capsys.readouterr().out)
    assert marks(found, "numbers") == ["wrong"]
    assert marks(found, "rotations") == ["wrong"]


@pytest.mark.parametrize(("scale", "unit"), [(1, "m"), (100, "cm"), (1000, "mm")])
def test_units_are_told_by_bones(scale, unit, tmp_path):
    _, pose, betas = inspected.people()
    path = save(
        tmp_path / "eval.npz",
        pred_joints=scale * inspected.joints(),
        pose=inspected.people()[0].reshape(-1, 72),
        betas=betas,
        camera=pose[:, 0, 0],
    )
    found = [f for f in facts(path)["findings"] if f["name"] == "units"]
    assert found[0]["values"]["unit"] == unit


def points_set(path, points, **more):
    points = np.concatenate([points, np.ones((*points.shape[:2], 1))], -1).astype(np.float32)
    _, pose, betas = inspected.people()
    return save(
        path, pred_pose=pose, pred_betas=betas, keypoints3d=points, keypoints3d_set="h36m17", **more
    )


def test_swapped_sides_of_3d_keypoints_are_found(tmp_path):
    swap = [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]
    right = facts(points_set(tmp_path / "a.npz", inspected.joints()))
    wrong = facts(points_set(tmp_path / "b.npz", inspected.joints()[:, swap]))
    assert marks(right, "left/right") == ["ok", "ok"]
    assert marks(wrong, "left/right") == ["ok", "wrong"]  # The poses are as they were.


def test_swapped_sides_of_poses_are_found(tmp_path):
    _, pose, betas = inspected.people()
    swap = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]
    found = facts(save(tmp_path / "a.npz", pred_pose=pose[:, swap], pred_betas=betas))
    assert marks(found, "left/right") == ["wrong"]
    assert "left is right" in str(found)


def test_transposed_matrices_are_found(tmp_path):
    _, pose, betas = inspected.people()
    path = save(tmp_path / "a.npz", pred_pose=np.swapaxes(pose, -1, -2), pred_betas=betas)
    assert marks(facts(path), "left/right") == ["wrong"]


def test_swapped_sides_of_2d_keypoints_are_found(tmp_path):
    points = inspected.pixels()
    points[::2, 3:5, 2] = 0
    swap = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    for keypoints, mark in ((points, "ok"), (points[:, swap], "wrong")):
        path = save(tmp_path / f"{mark}.npz", keypoints2d=keypoints, keypoints2d_set="coco17")
        assert marks(facts(path), "left/right") == [mark]


def test_sides_that_differ_between_2d_and_3d_are_found(tmp_path):
    swap = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    for points, mark in ((inspected.pixels(), "ok"), (inspected.pixels()[:, swap], "wrong")):
        more = {"keypoints2d": points, "keypoints2d_set": "coco17"}
        path = points_set(tmp_path / f"{mark}.npz", inspected.joints(), **more)
        assert marks(facts(path), "2D and 3D") == [mark]


def test_matrices_that_are_no_rotations_are_counted(tmp_path):
    _, pose, betas = inspected.people()
    pose = pose.copy()
    pose[3, 5] *= 1.1
    pose[4, 6, 0] *= -1
    found = facts(save(tmp_path / "a.npz", pred_pose=pose, pred_betas=betas))
    (finding,) = (f for f in found["findings"] if f["name"] == "rotations")
    assert finding["mark"] == "wrong"
    assert finding["values"]["share_mirrored"] == pytest.approx(1 / (12 * 24))
    assert finding["values"]["share_far"] == pytest.approx(1 / (12 * 24))


@pytest.mark.parametrize("layout", ["columns", "interleaved"])
def test_6d_is_never_guessed_but_what_fits_is_said(layout, tmp_path):
    write = getattr(rotations, f"sixd_{layout}_from_matrix")
    six = np.asarray(write(jnp.asarray(inspected.people()[1]))).reshape(-1, 144)
    found = facts(save(tmp_path / "a.npz", pose=six, betas=inspected.people()[2]))
    assert marks(found, "rotations") == ["look"]
    assert (
        f"6d-{layout}"
        in next(f for f in found["findings"] if f["name"] == "rotations")["values"]["layout"]
    )
    assert f"--layout 6d-{layout} " in found["command"]
    assert "must be chosen" in found["note"]


def test_body_before_root_is_found(tmp_path):
    turns = np.roll(inspected.people()[0], -1, axis=1).reshape(-1, 72)
    path = save(tmp_path / "a.npz", pose=turns, shape=inspected.people()[2], has_smpl=np.ones(12))
    assert marks(facts(path), "root") == ["wrong"]


def test_pixels_that_are_shares_of_the_image_are_found(tmp_path):
    points = inspected.pixels()
    points[..., :2] /= 1920
    path = save(tmp_path / "a.npz", keypoints2d=points, keypoints2d_set="coco17")
    assert marks(facts(path), "pixels") == ["wrong"]


def test_betas_beyond_people_are_flagged(tmp_path):
    _, pose, betas = inspected.people()
    path = save(
        tmp_path / "a.npz", pred_pose=pose, pred_betas=betas + 6 * (np.arange(12) == 3)[:, None]
    )
    (finding,) = (f for f in facts(path)["findings"] if f["name"] == "betas")
    assert (finding["mark"], finding["values"]["rows_above_5"]) == ("look", 1)


def result(path, **changes):
    _, pose, betas = inspected.people()
    content = {"keypoints": inspected.joints(), "poses": pose, "betas": betas, **changes}
    path.write_text(json.dumps({key: value.tolist() for key, value in content.items()}))
    return path


_OTHER_SIDE = [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]
_CAUSES = {
    "they are its keypoints": ("ok", {}),
    "left and right swapped": ("wrong", {"keypoints": inspected.joints()[:, _OTHER_SIDE]}),
    "matrices transposed": ("wrong", {"poses": np.swapaxes(inspected.people()[1], -1, -2)}),
    "body before root": ("wrong", {"poses": np.roll(inspected.people()[1], -1, 1)}),
    "rows of another file": ("wrong", {"poses": inspected.people(12, 7)[1]}),
    "another gender, version": ("look", {"betas": inspected.people()[2] + 1}),
}


@pytest.mark.parametrize("cause", _CAUSES)
def test_the_body_explains_the_cached_joints_or_what_would_is_said(cause, tmp_path):
    mark, change = _CAUSES[cause]
    found = facts(result(tmp_path / "r.json", **change), inspected.BODY)
    (finding,) = (f for f in found["findings"] if f["name"] == "body")
    assert finding["mark"] == mark
    assert cause in finding["text"]


def test_ghosts_of_phalp_are_counted(tmp_path):
    found = facts(inspected.FORMATS["phalp"](tmp_path))
    assert found["rows"] == 6
    assert marks(found, "ghosts") == ["look"]
    assert "3 of them ghosts" in str(found)


def test_bytes_for_genders_are_said(tmp_path):
    crop = {"imgname": np.array(["a"] * 12), "center": np.ones((12, 2)), "scale": np.ones(12)}
    path = save(
        tmp_path / "a.npz", **crop, pose=inspected.people()[0], gender=np.array([b"m"] * 12)
    )
    assert marks(facts(path), "gender") == ["look"]


def test_sequences_gaps_and_duplicates_are_counted(tmp_path):
    _, pose, betas = (np.concatenate([array, array]) for array in inspected.people())
    sequence = np.array(["walk"] * 14 + ["run"] * 10)
    frame = np.concatenate([np.arange(13), [40], np.arange(10)])
    found = facts(
        save(tmp_path / "a.npz", pred_pose=pose, pred_betas=betas, sequence=sequence, frame=frame)
    )
    assert found["sequences"] == {"walk": 14, "run": 10}
    values = {f["name"]: f["values"] for f in found["findings"]}
    assert values["frames"] == {"step": 1, "gaps": 1, "longest": 28}
    assert values["duplicates"]["duplicates"] == 12


def test_many_sequences_are_cut_to_ten(tmp_path):
    _, pose, betas = inspected.people()
    names = np.array([f"walk_{i}" for i in range(12)])
    found = facts(save(tmp_path / "a.npz", pred_pose=pose, pred_betas=betas, sequence=names))
    assert "and 2 more with 2 rows" in report.text(found, 80)


def test_something_unknown_is_described_with_what_comes_nearest(tmp_path):
    path = save(
        tmp_path / "a.npz", imgname=np.array(["a"]), center=np.ones((1, 2)), face=np.ones((4, 5))
    )
    found = facts(path)
    assert found["format"] is None
    text = " ".join(report.text(found, 80).split())
    assert "nothing that is known" in text
    assert "4 × 5" in text
    assert "SPIN-style" in text
    assert "lacks scale" in text


@pytest.mark.parametrize("width", [20, 80, 93, 300])
@pytest.mark.parametrize("name", ["annotation-set", "coco", "3dpw", "eft", "humandata"])
def test_the_text_fits_the_terminal(name, width, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = inspected.FORMATS[name](pathlib.Path("."))
    lines = report.text(facts(path), width).splitlines()
    assert max(map(len, lines)) <= min(max(width, 80), 100)


def test_names_from_a_file_cannot_write_on_the_terminal(tmp_path):
    path = save(
        tmp_path / "a.npz", **{"pose\x1b[2J": np.zeros((3, 72)), "word": np.array(["\x1b[31mred"])}
    )
    assert "\x1b" not in report.text(facts(path), 80)


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('run')",))


def hostile(folder):
    import pickle

    yield "an empty file", b""
    yield "a pickle that runs code", pickle.dumps(Evil())
    yield "half a pickle", pickle.dumps({"a": np.ones(900)})[:400]
    yield "JSON nested beyond reason", b"[" * 200_000
    yield "half a JSON", b'{"people": ['
    yield "a picture", b"\x89PNG\r\n\x1a\n" + bytes(100)
    yield "half an archive", b"PK\x03\x04" + bytes(50)
    yield "broken HDF5", b"\x89HDF\r\n\x1a\n" + bytes(100)
    yield "broken MATLAB", b"MATLAB 5.0 MAT-file" + bytes(300)
    yield "BVH without motion", b"HIERARCHY\nROOT a"
    yield "broken compression", b"\x1f\x8b" + bytes(60)
    with zipfile.ZipFile(folder / "zip", "w") as archive:
        archive.writestr("run.sh", "rm")
    yield "an archive of something else", (folder / "zip").read_bytes()


def test_what_cannot_be_read_is_refused_by_name(tmp_path):
    for what, content in hostile(tmp_path):
        path = tmp_path / "file.pkl"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(path.name)):
            pytest.fail(f"{what}: {facts(path)}")


def test_a_folder_without_data_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="found none"):
        facts(tmp_path)
    with pytest.raises(FileNotFoundError):
        facts(tmp_path / "absent.npz")


def test_a_folder_says_what_most_of_its_files_are(tmp_path):
    folder = inspected.FORMATS["openpose/folder"](tmp_path)
    np.savez(folder / "other.npz", a=np.ones(3))
    found = facts(folder)
    assert (found["format"], found["files"], found["rows"]) == ("openpose", 4, 3)
    assert found["files_otherwise"] == {"unknown": 1}
    assert str(folder) in found["command"]


def test_a_command_that_takes_no_folder_names_a_file_of_it(tmp_path):
    path = inspected.FORMATS["mmhuman3d"](tmp_path)
    assert f"--result {path}" in facts(tmp_path)["command"]


def test_people_without_keypoints_are_counted(tmp_path):
    (finding,) = (
        f for f in facts(inspected.FORMATS["halpe"](tmp_path))["findings"] if f["name"] == "absent"
    )
    assert finding["values"] == {"absent": 1, "people": 5}


def test_each_file_of_a_folder_of_sequences_is_counted(tmp_path):
    folder = tmp_path / "motion"
    folder.mkdir()
    for name, frames in (("run", 3), ("walk", 8)):
        save(
            folder / f"{name}.npz",
            poses=np.zeros((frames, 72)),
            trans=np.zeros((frames, 3)),
            gender="male",
        )
    assert facts(folder)["sequences"] == {"walk": 8, "run": 3}


def test_openpose_25b_is_told_from_25_by_its_eyes(tmp_path):
    points = np.random.default_rng(0).uniform(10, 900, (25, 3))
    points[:, 2] = 0.9
    for (one, other), layout in (((15, 16), "body25"), ((1, 2), "body25b")):
        person = points.copy()
        person[one, :2] = person[other, :2] + 4
        path = tmp_path / "a_keypoints.json"
        path.write_text(json.dumps({"people": [{"pose_keypoints_2d": person.ravel().tolist()}]}))
        assert f"--layout {layout} " in facts(path)["command"]


def test_motion_says_which_axis_is_up(tmp_path):
    turns = inspected.people()[0].copy()
    for up, root in (("y", [0, 0, 0]), ("z", [np.pi / 2, 0, 0])):
        turns[:, 0] = root
        path = save(
            tmp_path / "a.npz", poses=turns.reshape(-1, 72), trans=np.zeros((12, 3)), gender="male"
        )
        assert f"--up {up} " in facts(path)["command"]


def test_axis_angle_becomes_the_matrices_of_scipy():
    turns = np.concatenate(
        [inspected.people()[0].reshape(-1, 3), np.zeros((1, 3)), [[np.pi, 0, 0]]]
    )
    wanted = Rotation.from_rotvec(turns).as_matrix()
    np.testing.assert_allclose(roles.matrices_of(turns), wanted, atol=1e-6)


def test_a_terminal_without_unicode_gets_plain_letters(tmp_path, monkeypatch):
    path = inspected.FORMATS["mmhuman3d"](tmp_path)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    inspect.inspect(path)
    stream.flush()
    assert b"12 x 17 x 3" in stream.buffer.getvalue()


# --- what is printed can be typed -------------------------------------------------------------------


def typed(found, tmp_path, monkeypatch):
    """Runs the command that was printed, in a folder of its own; what it wrote."""
    (tmp_path / "typed").mkdir()
    monkeypatch.chdir(tmp_path / "typed")
    program, script, *words = shlex.split(found["command"])
    assert (program, script) == ("python", "scripts/convert.py")
    monkeypatch.setattr(sys, "argv", [script, *words])
    commands.main("")
    return sorted((tmp_path / "typed").iterdir())


def ours(path, **changes):
    """An annotation set that can be refined, changed."""
    _, pose, betas = inspected.people()
    fields = {
        "pred_pose": pose,
        "pred_betas": betas,
        "keypoints2d": inspected.pixels(),
        "keypoints2d_set": "coco17",
        "focal_px": np.full((12, 2), 1000.0),
        "center_px": np.full((12, 2), 500.0),
        **changes,
    }
    return save(path, **{name: value for name, value in fields.items() if value is not None})


def test_a_converted_body_is_usable_as_it_is(tmp_path):
    found = facts(inspected.BODY)
    assert found["command"] is None
    assert f"--data.body {inspected.BODY}" in found["note"]
    signed = inspected._body(24, kintree_table=np.full((2, 24), -1))
    assert facts(save(tmp_path / "a.npz", **signed))["format"] == "ready-body"


def test_an_official_body_is_not_written_over_and_needs_no_regressor_of_others(tmp_path):
    for name in ("smpl", "smpl/pickle", "smplh", "smplx"):
        path = inspected.FORMATS[name](tmp_path)
        found = facts(path)
        assert "--regressor" not in found["command"]
        assert shlex.split(found["command"])[-1] != path.name
    assert "--regressor" in facts(inspected.FORMATS["smpl"](tmp_path))["note"]
    (tmp_path / "SMPL_NEUTRAL.npz").touch()
    assert facts(path.with_name("SMPL_NEUTRAL.pkl"))["command"].endswith(" SMPL_NEUTRAL_body.npz")


_SOLID = np.concatenate([inspected.joints(), np.ones((12, 17, 1))], -1)
_HOLE = inspected.people()[2].copy()
_HOLE[3, 2] = np.nan
_SMALL = inspected.pixels() * [1 / 1920, 1 / 1080, 1]
_REFUSED = {
    "keypoints in millimetres": (
        {"keypoints3d": _SOLID * [1000, 1000, 1000, 1], "keypoints3d_set": "h36m17"},
        "divide by 1000",
    ),
    "places in millimetres": ({"pred_cam_t": np.full((12, 3), 4000.0)}, "divide by 1000"),
    "no such set": (
        {"labels2d": inspected.pixels(), "labels2d_set": "coco71"},
        "did you mean coco17",
    ),
    "NaN": ({"pred_betas": _HOLE}, "NaN or infinity in 1 of 12 rows"),
    "shares of the image": ({"keypoints2d": _SMALL}, "multiply by the image size"),
}


@pytest.mark.parametrize("trap", _REFUSED)
def test_a_set_that_its_reader_refuses_gets_no_command(trap, tmp_path):
    changes, message = _REFUSED[trap]
    found = facts(ours(tmp_path / "a.npz", **changes))
    (finding,) = (f for f in found["findings"] if f["name"] == "reader")
    assert finding["mark"] == "wrong"
    assert message in finding["text"]
    assert found["command"] is None
    assert "refine.py" not in report.text(found, 80)
    assert not any(f["mark"] == "ok" and "millimetres" in f["text"] for f in found["findings"])


def test_evidence_that_is_refused_is_not_joined(tmp_path):
    path = save(tmp_path / "a.npz", keypoints2d=_SMALL, keypoints2d_set="coco17")
    assert facts(path)["command"] is None


def test_shards_that_are_not_all_there_are_refused(tmp_path):
    folder = inspected.FORMATS["annotation-set/shards"](tmp_path)
    assert marks(facts(folder), "reader") == ["ok"]
    (folder / "shard-00001-of-00002.npz").unlink()
    found = facts(folder)
    assert marks(found, "reader") == ["wrong"]
    assert found["command"] is None


def test_refining_is_told_only_where_it_would_run(tmp_path):
    solid = {"keypoints3d": _SOLID, "keypoints3d_set": "h36m17"}
    nothing = {"keypoints2d": None, "keypoints2d_set": None}
    for changes, command in (
        ({}, "a_better.npz"),
        ({"focal_px": None}, None),
        ({"center_px": None}, None),
        (nothing, None),
        ({**nothing, **solid}, "a_better.npz"),
        ({"focal_px": None, **solid}, "--evidence joints3d"),
    ):
        path = ours(tmp_path / "a.npz", **changes)
        found, fields = facts(path), np.load(path)
        assert marks(found, "reader") == ["ok"]
        if command is None:
            assert found["command"] is None
            assert marks(found, "evidence") == ["look"]
            assert "join --estimates" in found["note"]
            assert "focal" in str([f["text"] for f in found["findings"]]) or "focal_px" in fields
        else:
            assert found["command"].endswith(command)


@pytest.mark.parametrize("lifted", [True, False])
def test_videos_are_told_to_be_lifted_only_where_they_are_not(lifted, tmp_path):
    path = inspected.FORMATS["sequence-set"](tmp_path)
    with np.load(path) as fields:
        save(path, **{name: x for name, x in fields.items() if lifted or name != "estimate3d"})
    found = report.text(facts(path), 100)
    assert ("scripts/lift.py lifts" in found) != lifted
    assert ("mind:" in found) != lifted


def test_a_set_with_both_kinds_of_2d_has_nothing_to_mind(tmp_path):
    path = ours(tmp_path / "a.npz", labels2d=inspected.pixels(), labels2d_set="coco17")
    found = report.text(facts(path), 100)
    assert "scripts/refine.py" in found
    assert "mind:" not in found


def test_openpose_files_under_other_names_are_not_found_in_folders(tmp_path, monkeypatch):
    folder = inspected.FORMATS["openpose/folder"](tmp_path)
    for i in range(3):
        (folder / str(i) / "a_keypoints.json").rename(folder / str(i) / "a.json")
    found = facts(folder)
    assert found["command"] is None
    assert "FRAME_keypoints.json" in found["note"]
    one = facts(folder / "0" / "a.json")
    assert marks(one, "name") == ["look"]
    assert f"--source {folder / '0' / 'a.json'} " in one["command"]
    assert [path.name for path in typed(one, tmp_path, monkeypatch)] == ["a_set.npz"]


def test_an_openpose_file_alone_is_no_folder(tmp_path):
    path = inspected.FORMATS["openpose"](tmp_path)
    (tmp_path / "person_keypoints.json").write_text('{"annotations": []}')
    assert f"--source {path} " in facts(path)["command"]
    (tmp_path / "person_keypoints.json").unlink()
    shutil.copy(path, tmp_path / "b_keypoints.json")
    assert f"--source {tmp_path} " in facts(path)["command"]


def test_openpose_of_nobody_is_not_converted(tmp_path):
    assert facts(inspected.FORMATS["openpose/nobody"](tmp_path))["command"] is None


def test_spin_files_without_boxes_are_no_static_fits(tmp_path, monkeypatch):
    found = facts(inspected.FORMATS["spin/without-boxes"](tmp_path))
    assert found["format"] == "spin"
    assert [path.name for path in typed(found, tmp_path, monkeypatch)] == ["spin_set.npz"]
    fits = facts(inspected.FORMATS["spin-fits"](tmp_path))
    assert "spin-result" in fits["command"]


def motion(path, root, width=72, betas=0.0):
    turns = np.pad(inspected.people()[0].reshape(12, 72), ((0, 0), (0, width - 72)))
    turns[:, :3] = root
    shape = np.full(16, betas)
    rest = {"trans": np.zeros((12, 3)), "betas": shape, "mocap_framerate": 30.0}
    return save(path, poses=turns, gender="male", **rest)


def test_motion_in_camera_axes_is_not_said_to_be_z_up(tmp_path, monkeypatch):
    found = facts(motion(tmp_path / "a.npz", [np.pi, 0, 0]))
    assert found["command"] is None
    assert "camera axes" in found["note"]
    assert "to-amass --up y" in found["note"]
    upright = facts(motion(tmp_path / "b.npz", [np.pi / 2, 0, 0]))
    assert "--up z " in upright["command"]
    assert typed(upright, tmp_path, monkeypatch)
    assert facts(motion(tmp_path / "c.npz", [0, 0, np.pi / 2]))["command"] is None  # x.


def test_betas_of_other_bodies_are_minded_only_where_there_are_any(tmp_path):
    for width, betas, body in ((156, 1.0, "SMPL-H"), (165, 1.0, "SMPL-X")):
        found = facts(motion(tmp_path / "a.npz", [0, 0, 0], width, betas))
        assert found["note"] == f"betas were fitted on {body}"
    for width, betas in ((72, 1.0), (156, 0.0)):
        assert facts(motion(tmp_path / "a.npz", [0, 0, 0], width, betas))["note"] == ""


def test_a_folder_that_the_converter_refuses_is_not_named(tmp_path, monkeypatch):
    folder = tmp_path / "motion"
    folder.mkdir()
    for name in "abc":
        motion(folder / f"{name}.npz", [0, 0, 0])
    (folder / "readme.json").write_text('{"a": 1}')  # Which the converter does not read.
    assert f"--source {folder} " in facts(folder)["command"]
    save(folder / "stray.npz", a=np.ones(3))
    found = facts(folder)
    assert f"--source {folder / 'a.npz'} " in found["command"]
    assert "stray.npz" in next(f["text"] for f in found["findings"] if f["name"] == "folder")
    assert typed(found, tmp_path, monkeypatch)


def test_the_splits_of_3dpw_are_named(tmp_path):
    folder = inspected.FORMATS["3dpw/folder"](tmp_path)
    assert f"--source {folder}/0/walk.pkl" in facts(folder)["command"]
    for i, split in enumerate(("train", "validation", "test")):
        (folder / str(i)).rename(folder / split)
    assert f"--source {folder} " in facts(folder)["command"]
    assert facts(folder)["command"].endswith("--split all")


@pytest.mark.parametrize(("text", "what"), [("[]", "an empty list"), ("{}", "an empty object")])
def test_json_of_nothing_is_refused(text, what, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.json: .*{what}"):
        facts(tmp_path / "a.json")


def test_suggested_names_repeat_no_ending(tmp_path):
    flat = inspected.people()[0].reshape(12, 72)
    for stem in ("x_set", "set", "x_set_set", "x_converted"):
        found = facts(save(tmp_path / f"{stem}.npz", thetas=flat))
        out = shlex.split(found["command"])[-1]
        assert "set_set" not in out
        assert out != f"{stem}.npz"
    points = {"keypoints2d": inspected.pixels(), "keypoints2d_set": "coco17"}
    found = facts(save(tmp_path / "x_set.npz", **points))
    assert found["command"].endswith("--out x_joined.npz")
    assert "x_set_better.npz" in facts(ours(tmp_path / "x_set.npz"))["command"]


def test_6d_command_runs_as_it_is_printed(tmp_path, monkeypatch):
    found = facts(save(tmp_path / "a.npz", pose=np.ones((12, 144)) + np.arange(144)))
    assert "--layout 6d-columns " in found["command"]
    assert "must be chosen" in found["note"]
    found = facts(inspected.FORMATS["generic/6d"](tmp_path))
    assert typed(found, tmp_path, monkeypatch)


def test_names_and_boxes_of_a_dump_are_in_its_command(tmp_path, monkeypatch):
    more = {
        "imgname": np.array([f"a/{i}.jpg" for i in range(12)]),
        "bbox": np.tile([1.0, 2, 30, 40], (12, 1)),
        "frame": np.arange(12),
    }
    flat = inspected.people()[0].reshape(12, 72)
    found = facts(save(tmp_path / "a.npz", **{"odd {name}": flat}, **more))
    words = shlex.split(found["command"])
    assert {"image=imgname", "bbox_px=bbox", "frame=frame", "odd {name}"} <= set(words)
    assert "corners" in found["note"]
    (path,) = typed(found, tmp_path, monkeypatch)
    assert {"image", "bbox_px", "frame"} <= {field["name"] for field in facts(path)["fields"]}
    corners = {**more, "bbox": np.tile([9.0, 9, 0, 1], (12, 1))}
    found = facts(save(tmp_path / "a.npz", thetas=flat, **corners))
    assert "bbox_px" not in found["command"]


def hmr2(**changes):
    """What people save of HMR2's loop: names of its batch and of its output."""
    pose = np.array(
        rotations.matrix_from_axis_angle(jnp.asarray(inspected.people()[0], jnp.float32))
    )
    size, place = np.tile([640.0, 480.0], (12, 1)), np.tile([0.1, -0.2, 40.0], (12, 1))
    side = np.full(12, 400.0)
    fields = {
        "global_orient": pose[:, :1],
        "body_pose": pose[:, 1:],
        "betas": np.zeros((12, 10)),
        "pred_cam": np.tile([1.5, 0.1, -0.2], (12, 1)),
        "pred_cam_t": np.tile([0.1, -0.2, 25.0], (12, 1)),
        "pred_cam_t_full": place,
        "focal_length": np.full(12, 5000.0),
        "scaled_focal_length": np.full(12, 12500.0),
        "img_size": size,
        "box_center": size / 2,
        "box_size": side,
        "bbox": np.concatenate([size / 2 - side[:, None] / 2, np.tile(side[:, None], 2)], -1),
        "imgname": np.array([f"{i}.jpg" for i in range(12)]),
    }
    return {k: v for k, v in {**fields, **changes}.items() if v is not None}


def test_the_command_of_hmr2s_loop_keeps_its_camera(tmp_path, monkeypatch, capsys):
    (path,) = typed(facts(save(tmp_path / "hmr2.npz", **hmr2())), tmp_path, monkeypatch)
    found = np.load(path)
    np.testing.assert_allclose(found["pred_cam_t"], hmr2()["pred_cam_t_full"], rtol=1e-6)
    np.testing.assert_array_equal(found["focal_px"], 12500)
    np.testing.assert_array_equal(found["center_px"][0], [320, 240])
    assert "no center_px, so it is the image's middle" in capsys.readouterr().out


def test_hmr2s_crops_place_people_where_nothing_else_does(tmp_path, monkeypatch):
    left = dict.fromkeys(("pred_cam_t", "pred_cam_t_full", "bbox", "focal_length"))
    found = facts(save(tmp_path / "hmr2.npz", **hmr2(**left)))
    assert "--min-iou" in found["note"]
    (path,) = typed(found, tmp_path, monkeypatch)
    placed = np.load(path)
    np.testing.assert_allclose(placed["bbox_px"][0], [120, 40, 400, 400])
    np.testing.assert_allclose(placed["pred_cam_t"][:, 2], 2 * 12500 / (1.5 * 400), rtol=1e-5)


def test_views_of_a_dump_are_in_its_command(tmp_path):
    found = facts(save(tmp_path / "a.npz", **hmr2(view=np.array(["left", "right"] * 6))))
    assert "view=view" in found["command"]


def test_coco_without_the_third_number_gets_no_command(tmp_path):
    people = [{"image_id": i, "score": 0.9, "keypoints": list(range(34))} for i in range(5)]
    (tmp_path / "a.json").write_text(json.dumps(people))
    found = facts(tmp_path / "a.json")
    assert found["command"] is None
    assert "34 numbers a person are x and y without a third" in found["note"]
    assert marks(found, "confidence") == ["look"]
    for person in people:
        person["keypoints"] = [1] * 51
    (tmp_path / "a.json").write_text(json.dumps(people))
    found = facts(tmp_path / "a.json")
    assert found["command"]
    assert "--estimates" in found["note"]


def test_a_set_that_lacks_only_its_centre_is_joined_to_itself_without_focal(tmp_path, monkeypatch):
    found = facts(ours(tmp_path / "a.npz", image_size_px=np.full((12, 2), 1000.0), center_px=None))
    line = found["note"].partition("yet; add what it lacks: ")[2]
    assert "--focal" not in line
    (path,) = typed({"command": line}, tmp_path, monkeypatch)
    np.testing.assert_array_equal(np.load(path)["center_px"], 500)


def test_people_who_turn_away_are_no_other_order(tmp_path):
    swap = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    points = inspected.pixels()
    points[::2] = points[::2, swap]
    path = save(tmp_path / "a.npz", keypoints2d=points, keypoints2d_set="coco17")
    found = facts(path)
    assert marks(found, "left/right") == ["ok"]
    assert "order?" not in str(found)


def test_numbers_in_names_of_images_are_no_frames(tmp_path):
    names = np.array([f"COCO_{i * i * 97:012d}.jpg" for i in range(12)])
    assert marks(facts(ours(tmp_path / "a.npz", image=names)), "frames") == []
    found = facts(ours(tmp_path / "a.npz", image=names, frame=np.arange(12)))
    assert marks(found, "frames") == ["ok"]


def test_a_set_that_lacks_only_its_camera_is_joined_to_itself(tmp_path, monkeypatch):
    size = {"image_size_px": np.full((12, 2), 1000.0), "focal_px": None, "center_px": None}
    found = facts(ours(tmp_path / "a.npz", **size))
    line = found["note"].partition("yet; add what it lacks: ")[2].replace("PX", "900")
    (path,) = typed({"command": line}, tmp_path, monkeypatch)
    assert facts(path)["command"].endswith("--out JOINED_better.npz")


def test_a_dump_with_names_of_images_is_no_file_of_spin(tmp_path):
    poses = {"pose": np.ones((12, 144)), "imgname": np.array(["a.jpg"] * 12)}
    assert facts(save(tmp_path / "a.npz", **poses))["format"] == "generic"


def test_a_dump_that_generic_cannot_read_gets_no_command(tmp_path):
    pose = inspected.people()[0].reshape(12, 72).tolist()
    (tmp_path / "a.json").write_text(json.dumps({"thetas": pose}))
    found = facts(tmp_path / "a.json")
    assert found["format"] == "generic"
    assert found["command"] is None
    assert ".npz" in found["note"]


def test_parts_of_a_dump_come_with_their_names(tmp_path, monkeypatch):
    turns = inspected.people()[0]
    parts = {"global_orient": turns[:, 0], "body_pose": turns[:, 1:]}
    more = {"betas": np.zeros((12, 10)), "images": np.array([f"{i}.jpg" for i in range(12)])}
    found = facts(save(tmp_path / "a.npz", **parts, **more))
    assert "--betas-field betas --fields image=images " in found["command"]
    assert typed(found, tmp_path, monkeypatch)


def test_mpi_inf_3dhp_outside_its_folders_gets_no_command(tmp_path):
    path = inspected.FORMATS["mpi-inf-3dhp"](tmp_path)
    assert facts(path)["command"] is None
    (tmp_path / "TS3").mkdir()
    path = path.rename(tmp_path / "TS3" / path.name)
    assert f"--source {path} " in facts(path)["command"]
