"""A file in, a better file out: written whole or not at all, and one line says what changed."""

import dataclasses
import os
import runpy
import signal
import socket
import subprocess
import sys
import time

import cheap
import numpy as np
import pytest
import tiny

from diffjax import annotate, config, refine
from diffjax.data import records

SCRIPT = config.ROOT / "scripts" / "refine.py"


pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("files")
    tiny.write_body(directory / "body.npz")
    tiny.write_model(directory / "prior.npz")
    np.savez(directory / "residuals.npz", covariance=0.04 * np.eye(82))
    records.write(directory / "people.npz", tiny.annotations())
    records.write_shards(directory / "shards", tiny.annotations(), rows=3)
    return directory


def flags(files, *more):
    """What a command line says of a small run."""
    known = {"data.body": "body", "parts.prior": "prior", "parts.residuals": "residuals"}
    named = [
        word for name, file in known.items() for word in (f"--{name}", str(files / f"{file}.npz"))
    ]
    few = ["--guided.labels.rounds", "2", "--guided.labels.strength", "1"]
    return [*named, *few, *more]


def main(*argv):
    runpy.run_path(str(SCRIPT))["main"]([str(word) for word in argv])


@pytest.mark.parametrize(("mode", "data"), [("guided", "people.npz"), ("fast", "shards")])
def test_the_script_writes_a_better_set_and_one_line(mode, data, files, tmp_path, capsys):
    out = tmp_path / "new" / "better.npz"
    main(
        "--data", files / data, "--out", out, "--evidence", "labels", "--mode", mode, *flags(files)
    )
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.startswith(f"{out}: ")
    before, after = (float(said.split(" -> ")[i].split()[-1 if i == 0 else 0]) for i in (0, 1))
    assert after < before
    for words in ("px of reprojection (labels)", "7 people", "0 kept as they came", "ms a person"):
        assert words in said
    found, people = records.read(out), tiny.annotations()
    assert np.abs(found.pred_pose - people.pred_pose).max() > 1e-3
    np.testing.assert_array_equal(found.pose, people.pose)
    np.testing.assert_array_equal(found.labels2d, people.labels2d)
    assert [path.name for path in out.parent.iterdir()] == ["better.npz"]


def fake_refinement(monkeypatch):
    """What was asked of the refiner; the estimates come back as they are."""
    asked, make = {}, annotate.make_refiner

    def remember(kit, head, kind, settings, mode):
        asked.update(kit=kit, kind=kind, settings=settings, mode=mode)
        return make(kit, head, kind, settings, mode)

    def keep(refiner, estimate, evidence, *, bar):
        names = (
            "reprojection_before_px",
            "reprojection_px",
            "joints3d_before_mm",
            "joints3d_mm",
            "kept",
        )
        count = len(estimate.betas)
        quality = {name: np.full(count, float(i), np.float32) for i, name in enumerate(names, 1)}
        bar.update(count)
        return refine.Refined(estimate, np.zeros((count, 3), np.float32), quality), 0.25

    monkeypatch.setattr(annotate, "make_refiner", remember)
    monkeypatch.setattr(annotate, "refine_people", keep)
    return asked


@pytest.mark.parametrize(
    ("absent", "kind"),
    [
        ((), "labels"),
        (("labels2d",), "detections"),
        (("labels2d", "keypoints2d"), "joints3d"),
    ],
)
def test_the_first_kind_of_evidence_is_the_default(
    absent, kind, files, tmp_path, monkeypatch, capsys
):
    asked = fake_refinement(monkeypatch)
    records.write(tmp_path / "in.npz", tiny.without(tiny.annotations(), *absent))
    strength = ("--guided.joints3d.strength", 3, "--guided.detections.strength", 2)
    main("--data", tmp_path / "in.npz", "--out", tmp_path / "out.npz", *flags(files), *strength)
    assert asked["kind"] == kind
    assert asked["mode"] == "guided"
    assert asked["settings"].strength == {"labels": 1, "detections": 2, "joints3d": 3}[kind]
    said = capsys.readouterr().out
    assert ("3.0 -> 4.0 mm to the joints" if kind == "joints3d" else "1.0 -> 2.0 px") in said
    assert "35 kept" in said  # The five of each of seven people.


def test_settings_of_tracks_follow_the_rate_that_is_told(files, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(refine, "_mode", lambda run, *_: asked.append(run.scorehmr))
    monkeypatch.setattr(refine, "_refine_groups", lambda *_: "done")
    monkeypatch.setattr(refine, "load_kit", lambda *_: None)
    settings = ("--scorehmr.video.velocity", 40, "--scorehmr.video.smooth_after", 15)
    told = ("--data", files / "people.npz", "--out", tmp_path / "out.npz", "--mode", "scorehmr")
    for more in ((), ("--fps", 15)):
        main(*told, *settings, *more)
    assert [(one.video.velocity, one.video.smooth_after) for one in asked] == [(40, 15), (10, 7)]
    assert asked[0].labels == asked[1].labels
    with pytest.raises(ValueError, match="--fps: wanted frames a second"):
        main(*told, "--fps", 0)


def test_fast_needs_no_prior(files, tmp_path, monkeypatch):
    asked = fake_refinement(monkeypatch)
    run = config.Run(
        data=config.Data(body=str(files / "body.npz")),
        parts=config.Parts(prior="nowhere", residuals=str(files / "residuals.npz")),
    )
    refine.refine_file(run, str(files / "people.npz"), tmp_path / "out.npz", mode="fast")
    assert asked["kit"].prior is None
    assert asked["kit"].error_model.factor.shape == (82, 82)


def test_the_demo_is_a_set_like_any_other(files, tmp_path, monkeypatch):
    asked = fake_refinement(monkeypatch)
    sets = tiny.annotations(seed=1), tiny.annotations(seed=2)
    paths = []
    monkeypatch.setattr(refine.simulate, "demo_sets", lambda *args: paths.extend(args) or sets)
    front = ("--parts.frontend", files / "people.npz")
    main("--data", "demo", "--out", tmp_path / "out.npz", *flags(files), *front)
    assert paths == [files / "people.npz", files / "body.npz", 1.0]  # And eyesight.
    np.testing.assert_array_equal(records.read(tmp_path / "out.npz").pose, sets[1].pose)
    assert asked["mode"] == "guided"


def test_people_without_evidence_do_not_count():
    before = np.array([0.0, 4.0, 8.0], np.float32)
    quality = {
        "reprojection_before_px": before,
        "reprojection_px": before / 4,
        "kept": np.array([1.0, 0, 0]),
    }
    people = refine.Refined(None, None, quality)
    said = refine.describe([refine.tally(people, "labels")], "labels")
    assert said == "6.0 -> 1.5 px of reprojection (labels), 3 people, 1 kept as they came"
    nothing = people._replace(quality=quality | {"reprojection_before_px": 0 * before})
    sums = [refine.tally(x, "labels") for x in (nothing, nothing)]
    assert refine.describe(sums, "labels").startswith("no evidence (labels), 6 people")


def bad_inputs(files):
    """Words on the command line, and what must be said of them."""
    people, out = files / "people.npz", files / "bad" / "out.npz"
    yield ("--data", people, "--out", people), "wanted another file than the input"
    yield ("--data", files / "shards", "--out", files / "shards" / "x.npz"), "than the input"
    yield ("--data", people, "--out", files / "bad" / "out.npy"), "ending in .npz"
    yield ("--data", files / "none.npz", "--out", out), "none.npz: no such annotation set"
    yield ("--data", files / "residuals.npz", "--out", out), "field covariance"
    yield ("--data", "demo", "--out", out, "--parts.frontend", ""), "pass --parts.frontend"
    yield (
        ("--data", files / "blind.npz", "--out", out),
        "wanted evidence, found none; .* coco, openpose or join, --estimates .*blind.npz",
    )
    yield (
        ("--data", files / "blind.npz", "--out", out, "--evidence", "labels"),
        "field labels2d: wanted labels",
    )
    yield (
        ("--data", people, "--out", out, "--parts.prior", "none"),
        "none: no checkpoint here; .*configs/scorehmr_demo.py for scorehmr",
    )
    fast = ("--mode", "fast", "--parts.residuals")
    yield ("--data", people, "--out", out, *fast, ""), "pass --parts.residuals"
    yield ("--data", people, "--out", out, *fast, people), "field covariance: wanted"


@pytest.mark.parametrize("index", range(11))
def test_bad_input_is_one_sentence_and_nothing_is_written(index, files):
    evidence = ("keypoints2d", "labels2d", "keypoints3d")
    records.write(files / "blind.npz", tiny.without(tiny.annotations(), *evidence))
    words, message = list(bad_inputs(files))[index]
    kept = (files / "people.npz").read_bytes()
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        main(*flags(files), *words)
    assert not (files / "bad").exists()
    assert (files / "people.npz").read_bytes() == kept
    assert len(list((files / "shards").iterdir())) == 3


def test_a_stopped_refinement_writes_nothing(files, tmp_path, monkeypatch):
    def stop(*args, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(annotate, "refine_people", stop)
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as left:
        config.run_main(
            lambda: main("--data", files / "people.npz", "--out", tmp_path / "o.npz", *flags(files))
        )
    assert left.value.code == 130
    assert list(tmp_path.iterdir()) == []


def test_the_script_exits_with_2_and_one_line(tmp_path):
    command = [sys.executable, str(SCRIPT), "--data", "none.npz", "--out", "out.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "refine.py: none.npz: no such annotation set; make the file with scripts/convert.py, "
        "or see docs/data.md\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_field_of_the_config_is_overridden_by_name(files, tmp_path, monkeypatch):
    asked = fake_refinement(monkeypatch)
    (tmp_path / "mine.py").write_text(
        "from diffjax import config\n"
        "def get_config():\n"
        "    strong = config.Guidance(strength=2.5, rounds=9)\n"
        "    return config.Run(name='mine', guided=config.Guided(detections=strong))\n"
    )
    words = (
        "--data",
        files / "people.npz",
        "--out",
        tmp_path / "out.npz",
        "--evidence",
        "detections",
    )
    main("--config", tmp_path / "mine.py", *words, *flags(files), "--guided.detections.stride", "5")
    wanted = config.Guidance(strength=2.5, rounds=9, stride=5)
    assert asked["settings"] == dataclasses.replace(wanted)


# Pieces: killed, stopped, joined, by several processes.

CHEAP = config.ROOT / "tests" / "cheap.py"


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """300 people in one file and in shards, and what one process makes of them in one piece."""
    directory = tmp_path_factory.mktemp("many")
    people = tiny.annotations(300)
    records.write(directory / "people.npz", people)
    records.write_shards(directory / "shards", people, rows=70)
    with pytest.MonkeyPatch.context() as patch:
        cheap.pretend(patch.setattr)
        cheap.main([str(directory / "people.npz"), str(directory / "wanted.npz"), "--rows", "320"])
        yield directory


def start(*words, **environment):
    """A process that refines, not waited for."""
    command = [sys.executable, str(CHEAP), *(str(word) for word in words)]
    told = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"} | environment
    return subprocess.Popen(command, env=told, stderr=subprocess.PIPE, text=True)


def wait_for_pieces(directory, count):
    until = time.monotonic() + 300
    while len(list(directory.glob("*.npz"))) < count:
        assert time.monotonic() < until, "no piece was finished"
        time.sleep(0.02)


@pytest.mark.parametrize(("data", "rows"), [("shards", 64), ("people.npz", 128), ("shards", 50)])
def test_the_pieces_do_not_show_in_the_file(data, rows, many, tmp_path, capsys):
    cheap.main([str(many / data), str(tmp_path / "out.npz"), "--rows", str(rows)])
    assert (tmp_path / "out.npz").read_bytes() == (many / "wanted.npz").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]
    assert " 300 people, 0 kept as they came" in capsys.readouterr().out


def test_a_killed_run_goes_on_and_its_file_is_that_of_a_run_that_was_not(many, tmp_path, capfd):
    out, part = tmp_path / "out.npz", tmp_path / ".out.npz.part"
    words = [str(many / "shards"), str(out)]
    with start(*words, CHEAP_WAIT="0.3") as process:
        wait_for_pieces(part, 2)
        process.send_signal(signal.SIGKILL)
    kept = {path: path.stat().st_mtime_ns for path in part.glob("*.npz")}
    (part / ".shard-00004-of-00005.npz.123.part").write_bytes(b"half a sha")
    with pytest.raises(ValueError, match=r"guidance.strength 1.5 then, 2.0 now.*remove .*part"):
        cheap.main([*words, "--strength", "2"])
    with pytest.raises(ValueError, match=r": data .* then, .* now"):
        cheap.main([str(many / "people.npz"), str(out)])
    assert {path: path.stat().st_mtime_ns for path in part.glob("*.npz")} == kept
    cheap.main(words)
    assert out.read_bytes() == (many / "wanted.npz").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]
    assert f"{64 * len(kept)} of 300 people, going on" in capfd.readouterr().err


def test_ctrl_c_is_answered_at_once_and_says_how_to_go_on(many, tmp_path):
    with start(many / "shards", tmp_path / "out.npz", CHEAP_WAIT="2") as process:
        wait_for_pieces(tmp_path / ".out.npz.part", 1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "of 300 people, which are kept in" in said.splitlines()[-1]
    assert said.splitlines()[-1].endswith("the same command goes on from there")
    assert not (tmp_path / "out.npz").exists()


def test_a_directory_gets_its_shards_one_by_one(many, tmp_path):
    out = tmp_path / "out"
    with start(many / "people.npz", out, CHEAP_WAIT="0.3") as process:
        wait_for_pieces(out, 2)
        process.send_signal(signal.SIGKILL)
    with pytest.raises(ValueError, match="wanted 5 shards, as their names say, found"):
        records.read(out)
    for _ in range(2):  # The second time there is nothing left to do.
        cheap.main([str(many / "people.npz"), str(out)])
        found, wanted = records.read(out), records.read(many / "wanted.npz")
        np.testing.assert_array_equal(found.pred_betas, wanted.pred_betas)
    names = sorted(path.name for path in out.iterdir())
    assert names[:2] == ["manifest.json", "notes.json"]
    assert len(names) == 2 + 5
    with pytest.raises(ValueError, match="already exists, and no run began it"):
        cheap.main([str(many / "people.npz"), str(many / "shards")])


def test_two_processes_write_the_file_of_one(many, tmp_path):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    words = many / "shards", tmp_path / "out.npz"
    told = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    both = [start(*words, **told, JAX_PROCESS_ID=str(i)) for i in range(2)]
    for process in both:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    assert words[1].read_bytes() == (many / "wanted.npz").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


def test_a_place_that_not_everyone_has_is_nobodys(many, tmp_path, monkeypatch):
    """Without a cached translation, it is written only if the evidence tells it of all."""
    people = tiny.without(records.read(many / "people.npz"), "pred_cam_t")
    people.labels2d[200] = 0.0
    records.write(tmp_path / "in.npz", people)
    for name in ("out.npz", "out"):
        cheap.main([str(tmp_path / "in.npz"), str(tmp_path / name)])
        assert records.read(tmp_path / name).pred_cam_t is None


@pytest.mark.parametrize(("off", "warned"), [(0.03, False), (0.5, True)])
def test_keypoints_of_something_else_are_doubted(off, warned):
    box, before = np.full(5, 200.0), np.array([300.0, 280.0, 260.0, 240.0, 200.0])
    after = box * np.array([off, off, off, 0.01, 1.0])
    quality = {"reprojection_px_before": before, "reprojection_px_after": after}
    assert refine._doubts(quality) == []
    said = refine._doubts(quality | {"gain": (before - after) / box})
    assert [line.startswith("Warning: half of the people end 50 %") for line in said] == [
        True
    ] * warned
