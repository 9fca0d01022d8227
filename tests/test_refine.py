"""A file in, a better file out: written whole or not at all, and one line says what changed."""

import dataclasses
import os
import runpy
import subprocess
import sys

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
    """What `refine_set` was asked; the estimates come back as they are."""
    asked = {}

    def keep(kit, annotations, kind, settings, *, mode, where):
        asked.update(kit=kit, kind=kind, settings=settings, mode=mode, where=where)
        count = records.count(annotations)
        names = (
            "reprojection_before_px",
            "reprojection_px",
            "joints3d_before_mm",
            "joints3d_mm",
            "kept",
        )
        quality = {name: np.full(count, float(i), np.float32) for i, name in enumerate(names, 1)}
        place = np.zeros((count, 3), np.float32)
        return refine.Refined(annotate.estimate_of(annotations), place, quality), 0.25

    monkeypatch.setattr(annotate, "refine_set", keep)
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
    assert paths == [files / "people.npz", files / "body.npz"]
    np.testing.assert_array_equal(records.read(tmp_path / "out.npz").pose, sets[1].pose)
    assert asked["where"] == "demo"


def test_people_without_evidence_do_not_count():
    before = np.array([0.0, 4.0, 8.0], np.float32)
    quality = {
        "reprojection_before_px": before,
        "reprojection_px": before / 4,
        "kept": np.array([1.0, 0, 0]),
    }
    people = refine.Refined(None, None, quality)
    said = refine.describe(people, "labels")
    assert said == "6.0 -> 1.5 px of reprojection (labels), 3 people, 1 kept as they came"
    nothing = people._replace(quality=quality | {"reprojection_before_px": 0 * before})
    assert refine.describe(nothing, "labels").startswith("no evidence (labels)")


def bad_inputs(files):
    """Words on the command line, and what must be said of them."""
    people, out = files / "people.npz", files / "bad" / "out.npz"
    yield ("--data", people, "--out", people), "wanted another file than the input"
    yield ("--data", files / "shards", "--out", files / "shards" / "x.npz"), "than the input"
    yield ("--data", people, "--out", files / "bad" / "out"), "ending in .npz"
    yield ("--data", files / "none.npz", "--out", out), "none.npz: no such annotation set"
    yield ("--data", files / "residuals.npz", "--out", out), "field covariance"
    yield ("--data", "demo", "--out", out, "--parts.frontend", ""), "pass --parts.frontend"
    yield ("--data", files / "blind.npz", "--out", out), "wanted evidence, found none"
    yield (
        ("--data", files / "blind.npz", "--out", out, "--evidence", "labels"),
        "field labels2d: wanted labels",
    )
    yield ("--data", people, "--out", out, "--parts.prior", "none"), "none: no checkpoint here"
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

    monkeypatch.setattr(annotate, "refine_set", stop)
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
