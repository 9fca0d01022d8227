"""ScoreHMR from file to file: killed and gone on with, rows in their order, bad input, and nothing that is NaN."""

import dataclasses
import os
import runpy
import signal
import socket
import subprocess
import sys

import cheap_groups
import numpy as np
import pytest
import test_fitting
import test_refine
import test_scorehmr_leave
import tiny

from diffjax import config, fitting
from diffjax.data import records

SCRIPT = config.ROOT / "scripts" / "refine.py"
CHEAP = config.ROOT / "tests" / "cheap_groups.py"

pytestmark = pytest.mark.usefixtures("quick_to_compile")

# Pieces: killed, joined, by several processes.


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Tracks of 1, 2, 3 ... frames in no order, in one file and in shards, and what is made of them at once."""
    directory = tmp_path_factory.mktemp("film")
    people = test_scorehmr_leave.people_of("video")
    records.write(directory / "people.npz", people)
    records.write_shards(directory / "shards", people, rows=70)
    with pytest.MonkeyPatch.context() as patch:
        cheap_groups.pretend(patch.setattr)
        words = directory / "people.npz", directory / "wanted.npz", "--rows", "320"
        cheap_groups.main([str(word) for word in words])
    return directory


@pytest.fixture
def film(filmed, monkeypatch):
    """The same, where refining costs nothing."""
    cheap_groups.pretend(monkeypatch.setattr)
    return filmed


def start(*words, **environment):
    """A process that refines, not waited for."""
    command = [sys.executable, str(CHEAP), *(str(word) for word in words)]
    told = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"} | environment
    return subprocess.Popen(command, env=told, stderr=subprocess.PIPE, text=True)


def same(film, directory):
    """Whether the files are those of the run that was not disturbed, and nothing else is left."""
    for name, wanted in (("out.npz", "wanted.npz"), ("out_quality.npz", "wanted_quality.npz")):
        assert (directory / name).read_bytes() == (film / wanted).read_bytes()
    assert sorted(path.name for path in directory.iterdir()) == ["out.npz", "out_quality.npz"]


def test_rows_and_their_quality_keep_their_order(film):
    people, found = (records.read(film / f"{name}.npz") for name in ("people", "wanted"))
    np.testing.assert_array_equal(found.pred_betas, np.float32(1.5) * people.pred_betas)
    np.testing.assert_array_equal(found.sequence, people.sequence)
    _, place, length = np.unique(people.sequence, return_inverse=True, return_counts=True)
    with np.load(film / "wanted_quality.npz") as quality:
        np.testing.assert_array_equal(quality["length"], length[place])


@pytest.mark.parametrize(("data", "rows"), [("shards", 20), ("people.npz", 64)])
def test_the_pieces_do_not_show_in_the_files(data, rows, film, tmp_path, capsys):
    cheap_groups.main([str(film / data), str(tmp_path / "out.npz"), "--rows", str(rows)])
    same(film, tmp_path)
    assert " 150 people, 0 as they came" in capsys.readouterr().out


def test_a_killed_run_goes_on_and_its_files_are_those_of_a_run_that_was_not(film, tmp_path):
    out, part = tmp_path / "out.npz", tmp_path / ".out.npz.part"
    words = [str(film / "shards"), str(out), "--rows", "20"]
    with start(*words, CHEAP_WAIT="0.3") as process:
        test_refine.wait_for_pieces(part, 2)
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    kept = {path: path.stat().st_mtime_ns for path in part.glob("*.npz")}
    with pytest.raises(ValueError, match=r"fit.strength 1.5 then, 2.0 now.*remove .*part"):
        cheap_groups.main([*words, "--strength", "2"])
    assert {path: path.stat().st_mtime_ns for path in part.glob("*.npz")} == kept
    cheap_groups.main(words)
    same(film, tmp_path)


def test_two_processes_write_the_files_of_one(film, tmp_path):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    words = film / "shards", tmp_path / "out.npz", "--rows", 20
    told = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    both = [start(*words, **told, JAX_PROCESS_ID=str(i)) for i in range(2)]
    for process in both:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    same(film, tmp_path)


def test_a_directory_of_shards_has_the_same_rows(film, tmp_path, monkeypatch):
    words = [str(film / "shards"), str(tmp_path / "out")]
    cheap_groups.main(words)
    found, wanted = records.read(tmp_path / "out"), records.read(film / "wanted.npz")
    np.testing.assert_array_equal(found.pred_betas, wanted.pred_betas)
    np.testing.assert_array_equal(found.frame, wanted.frame)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out_quality.npz"]
    monkeypatch.setattr(fitting, "fit_piece", None)  # Refused before the work.
    with pytest.raises(ValueError, match="out: already exists; choose another --out"):
        cheap_groups.main(words)


# The method itself, on what people bring.


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("files")
    tiny.write_body(directory / "body.npz")
    tiny.write_model(directory / "prior.npz")
    test_scorehmr_leave.conditioned(directory / "conditioned.npz")
    return directory


def refine(files, people, out, *more, use="frames"):
    """What the script says, the set that it writes, and the quality beside it."""
    records.write(out.with_name("in.npz"), people)
    words = ["--data", out.with_name("in.npz"), "--out", out, "--mode", "scorehmr"]
    words += ["--data.body", files / "body.npz", "--scorehmr.use", use]
    if "--parts.prior" not in more:
        words += ["--parts.prior", files / "prior.npz"]
    fit = "labels" if use == "frames" else use
    for name, value in {"rounds": 2, "start": 20, "stride": 10}.items():
        words += [f"--scorehmr.{fit}.{name}", value]
    runpy.run_path(str(SCRIPT))["main"]([str(word) for word in (*words, *more)])
    with np.load(out.with_name(f"{out.stem}_quality.npz")) as arrays:
        quality = dict(arrays)
    found = records.read(out)
    for array in (*quality.values(), found.pred_pose, found.pred_betas, found.pred_cam_t):
        assert np.isfinite(array).all()
    return found, quality


def same_row(found, people, row):
    for field in ("pred_pose", "pred_betas", "pred_cam_t"):
        np.testing.assert_array_equal(getattr(found, field)[row], getattr(people, field)[row])


def changed(people, field, rows, value):
    array = getattr(people, field).copy()
    array[rows] = value
    return dataclasses.replace(people, **{field: array})


def test_the_gate_returns_people_to_the_bit_and_counts_them(files, tmp_path, capsys):
    people = tiny.annotations(20)
    _, free = refine(files, people, tmp_path / "free.npz")
    assert "20 people, 0 as they came" in capsys.readouterr().out
    margin = float(np.sort(free["gain"])[11:13].mean())
    gate = "--scorehmr.labels.margin", margin
    found, quality = refine(files, people, tmp_path / "out.npz", *gate)
    assert "20 people, 12 as they came" in capsys.readouterr().out
    np.testing.assert_array_equal(quality["refined"], free["gain"] > margin)
    for row in range(20):
        if quality["refined"][row]:
            assert np.abs(found.pred_pose[row] - people.pred_pose[row]).max() > 1e-3
        else:
            same_row(found, people, row)
            assert quality["moved_deg"][row] < 0.05


def test_the_gate_returns_frames_of_a_smoothed_track_to_the_bit(files, tmp_path):
    people, _ = test_fitting.film()
    more = ("--scorehmr.video.smooth_before", 3, "--scorehmr.video.smooth_after", 3)
    gate = ("--scorehmr.video.margin", 1e3, "--scorehmr.video.standing", "solved")
    found, quality = refine(files, people, tmp_path / "out.npz", *more, *gate, use="video")
    assert (quality["refined"] == 0).all()
    same_row(found, people, slice(None))


@pytest.mark.parametrize("standing", ["adam", "solved"])
def test_whom_nothing_is_known_of_comes_back(files, tmp_path, standing, capsys):
    people = changed(tiny.annotations(6), "labels2d", [2, 4], 0.0)
    how = "--scorehmr.labels.standing", standing, "--scorehmr.quality", "full"
    found, quality = refine(files, people, tmp_path / "out.npz", *how)
    np.testing.assert_array_equal(quality["refined"], [1, 1, 0, 1, 0, 1])
    same_row(found, people, [2, 4])
    assert "6 people, 2 as they came" in capsys.readouterr().out


def test_nobody_seen_is_everybody_back(files, tmp_path, capsys):
    people = changed(tiny.annotations(4), "labels2d", (..., 2), 0.0)
    found, quality = refine(files, people, tmp_path / "out.npz")
    assert (quality["refined"] == 0).all()
    same_row(found, people, slice(None))
    assert "4 people, 4 as they came" in capsys.readouterr().out


def test_a_person_behind_the_camera_comes_back_or_is_placed_anew(files, tmp_path):
    people = changed(tiny.annotations(3), "pred_cam_t", (1, 2), -4.0)
    found, quality = refine(files, people, tmp_path / "out.npz")
    np.testing.assert_array_equal(quality["refined"], [1, 0, 1])
    same_row(found, people, 1)
    solved = "--scorehmr.labels.standing", "solved"
    found, quality = refine(files, people, tmp_path / "placed.npz", *solved)
    assert quality["refined"].all()
    assert found.pred_cam_t[1, 2] > 0


def test_a_frame_alone_is_a_track(files, tmp_path):
    people = dataclasses.replace(records.take(tiny.annotations(1), [0]), view=np.array(["0"]))
    how = ("--scorehmr.video.smooth_after", 3, "--scorehmr.quality", "full")
    _, quality = refine(files, people, tmp_path / "out.npz", *how, use="video")
    assert quality["refined"] == [1]


def test_views_without_rotations_are_views_nonetheless(files, tmp_path):
    people = dataclasses.replace(test_fitting.several_views(), view_rotation=None)
    _, quality = refine(files, people, tmp_path / "out.npz", use="views")
    assert quality["refined"].all()


def test_a_conditioned_prior_is_shown_what_it_wants(files, tmp_path):
    conditioned = "--parts.prior", files / "conditioned.npz"
    _, quality = refine(files, tiny.annotations(3), tmp_path / "out.npz", *conditioned)
    assert quality["refined"].all()
    assert "prior_after" not in quality


def twice():
    people, _ = test_fitting.film()
    return dataclasses.replace(people, frame=people.frame * 0)


BAD = {
    "a frame twice": (twice, "video", "wanted each frame once in a track, found frame 0"),
    "no cameras": (
        lambda: tiny.annotations(3),
        "views",
        r"field view: wanted by scorehmr\.use 'views', found nothing",
    ),
    "no evidence": (
        lambda: tiny.without(tiny.annotations(3), "labels2d", "keypoints2d", "keypoints3d"),
        "frames",
        "wanted evidence, found none",
    ),
    "only joints": (
        lambda: tiny.without(tiny.annotations(3), "labels2d", "keypoints2d"),
        "frames",
        "wanted 2D evidence, got joints3d",
    ),
    "no camera": (
        lambda: tiny.without(tiny.annotations(3), "focal_px"),
        "frames",
        "wanted the camera of the 2D keypoints",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_nothing_is_written(case, files, tmp_path):
    people, use, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        refine(files, people(), tmp_path / "out.npz", use=use)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]


def test_a_wrong_keypoint_set_is_named(files, tmp_path):
    file = tmp_path / "in.npz"
    records.write(file, tiny.annotations(3))
    with np.load(file) as arrays:
        known = dict(arrays)
    np.savez(file, **known | {"labels2d_set": np.array("coco71")})
    words = ("--data", file, "--out", tmp_path / "out.npz", "--mode", "scorehmr")
    with pytest.raises(
        ValueError, match=r"field labels2d_set: wanted one of .*did you mean coco17"
    ):
        runpy.run_path(str(SCRIPT))["main"]([str(word) for word in words])


@pytest.mark.parametrize("found", [None, 5])
def test_features_of_another_width_are_refused(files, tmp_path, found):
    test_scorehmr_leave.conditioned(tmp_path / "wide.npz", features=8)
    features = None if found is None else np.zeros((3, found), np.float32)
    people = dataclasses.replace(tiny.annotations(3), features=features)
    wanted = r"field features: wanted \(8,\) a person, as the model was trained with, found "
    with pytest.raises(ValueError, match=wanted + ("nothing" if found is None else r"\(5,\)")):
        refine(files, people, tmp_path / "out.npz", "--parts.prior", tmp_path / "wide.npz")
    assert not (tmp_path / "out.npz").exists()
