"""A refined set alone, and the table of methods, by a named protocol: from files to lines and json."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tiny

from diffjax import config
from diffjax.comparison import command, protocol, scoring
from diffjax.data import records
from diffjax.protocols import table

pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scoring")
    body = tiny.write_body(folder / "body.npz")
    tiny.write_model(folder / "prior.npz")
    data = config.Data(*(str(folder / f"{name}.npz") for name in ("truth", "truth", "truth")), body)
    a = dataclasses.replace(tiny.annotations(8), frame=np.arange(8))
    records.write(data.test, dataclasses.replace(a, sequence=np.repeat(["a", "b"], 4)))
    prior = str(folder / "prior.npz")
    return config.Run(data=data, parts=config.Parts(denoiser=prior, prior=prior))


@pytest.fixture(scope="module")
def better(run):
    """Half of everybody's error of shape is mended, and one is broken."""
    a = records.read(run.data.test)
    pose = a.pose.copy()
    pose[5] = a.pred_pose[5][::-1]
    path = Path(run.data.test).with_name("better.npz")
    records.write(path, dataclasses.replace(a, pred_pose=pose))
    return path


def test_a_refined_set_stands_beside_its_estimate(run, better, tmp_path):
    said = []
    found = scoring.score(run, better, run.data.test, "emdb", out=tmp_path / "out", say=said.append)
    assert list(found.rows) == ["estimate", "better"]
    before, after = (found.rows[name] for name in ("estimate", "better"))
    assert after["MPJPE"]["value"] < before["MPJPE"]["value"]
    assert after["MPJPE"]["low"] <= after["MPJPE"]["value"] <= after["MPJPE"]["high"]
    assert before["harmed"]["value"] == 0.0
    assert after["harmed"]["value"] == pytest.approx(100 / 8)
    assert after["jitter"]["count"] == 2
    kept = json.loads((tmp_path / "out" / "score.json").read_text())
    assert kept["rows"]["better"]["PA-MPJPE"] == after["PA-MPJPE"]
    assert kept["protocol"]["name"] == "emdb"
    assert set(kept["groups"]["MPJPE"]) == {"a", "b"}
    text = "\n".join(said)
    assert "8 rows: truth posed on the neutral body" in text
    assert "the truth is neutral" in text
    assert f"[{after['MPJPE']['low']:.2f}, {after['MPJPE']['high']:.2f}]" in text


def test_sequences_of_a_named_scene_are_listed_together(run, tmp_path):
    a = records.read(run.data.test)
    names = np.repeat(["TS1", "TS2", "TS5"], [2, 3, 3])
    records.write(tmp_path / "ts.npz", dataclasses.replace(a, sequence=names))
    found = scoring.score(run, tmp_path / "ts.npz", protocol="emdb", say=lambda _: None)
    means = found.groups["MPJPE"]
    assert set(means) == {"TS1", "TS2", "TS5", "green screen (TS1, TS2)", "outdoors (TS5, TS6)"}
    green = (2 * means["TS1"] + 3 * means["TS2"]) / 5
    assert means["green screen (TS1, TS2)"] == pytest.approx(green)


def test_a_set_that_holds_its_truth_needs_no_other(run, better):
    said = []
    found = scoring.score(run, better, protocol="emdb", say=said.append)
    assert list(found.rows) == ["better"]
    assert "harmed" not in found.rows["better"]


def test_other_people_or_another_order_are_refused(run, better, tmp_path):
    a = records.read(better)
    records.write(tmp_path / "few.npz", records.take(a, slice(0, 7)))
    with pytest.raises(ValueError, match=r"few.npz: wanted the 8 people of .*found 7; score"):
        scoring.score(run, tmp_path / "few.npz", run.data.test)
    records.write(tmp_path / "mixed.npz", records.take(a, [0, 2, 1, 3, 4, 5, 6, 7]))
    with pytest.raises(ValueError, match=r"field frame: wanted 1 in row 1 .*2 of 8 rows differ"):
        scoring.score(run, tmp_path / "mixed.npz", run.data.test)


def test_broken_truth_lone_frames_and_nameless_sequences_are_counted(run, tmp_path):
    a = records.read(run.data.test)
    pose, names = a.pose.copy(), a.sequence.copy()
    pose[[1, 6]] = np.nan
    names[:3] = ""
    broken = dataclasses.replace(
        a, pose=pose, sequence=names, keypoints3d=None, keypoints3d_set=None
    )
    records.save_arrays(tmp_path / "broken.npz", records.arrays_of(broken))
    said = []
    found = scoring.score(run, tmp_path / "broken.npz", protocol="emdb", say=said.append)
    assert found.rows["broken"]["MPJPE"]["count"] == 6
    assert found.counts == {"rows": 8, "truth_not_finite": 2, "without_sequence": 3}
    text = "\n".join(said)
    assert "2 of 8 rows have no truth and are not judged" in text
    assert "2 rows: the true pose is not a number" in text
    assert "3 rows without a sequence, each its own" in text
    assert "4 of fewer than four frames" in text


def test_every_row_of_the_table_has_the_metrics_of_its_protocol(run, tmp_path, capsys):
    asked = command.Asked(methods=("mean-shift",), tune="none", out=tmp_path, protocol="emdb")
    result = command.evaluate(run, asked, Path("configs/demo.py"), loop_prior=run.parts.prior)
    names = [column.title for column in table.PROTOCOLS["emdb"].columns]
    rows = {row["method"]: row for row in result["rows"]}
    assert list(rows) == ["estimate", "mean-shift"]
    for row in rows.values():
        assert list(row["metrics"]) == names
        for number in row["metrics"].values():
            assert set(number) == {"value", "unit", "low", "high", "count"}
    assert rows["estimate"]["metrics"]["MPJPE"]["count"] == 8
    assert rows["mean-shift"]["metrics"]["MPJPE"] != rows["estimate"]["metrics"]["MPJPE"]
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["protocol"]["columns"] == names
    assert kept["facts"]["protocol"]["name"] == "emdb"
    said = capsys.readouterr().out
    assert "protocol emdb: 24 joints of smpl24, root left_hip and right_hip" in said
    assert f"{rows['mean-shift']['metrics']['MPJPE']['value']:.2f}" in said


def test_a_comparison_by_another_protocol_is_not_gone_on_with(run, tmp_path):
    asked = command.Asked(methods=("estimate",), tune="none", out=tmp_path, protocol="emdb")
    command.evaluate(run, asked, Path("configs/demo.py"), loop_prior=run.parts.prior)
    file = tmp_path / protocol.RESULTS
    begun = json.loads(file.read_text())
    file.write_text(json.dumps(begun | {"finished": False}))
    with pytest.raises(ValueError, match="found another protocol"):
        command.evaluate(
            run,
            asked._replace(protocol="halpe"),
            Path("configs/demo.py"),
            loop_prior=run.parts.prior,
        )


def test_the_command_line_asks_for_a_score(monkeypatch):
    called = []
    monkeypatch.setattr(command, "score", lambda *args: called.append(args))
    path = config.ROOT / "scripts" / "evaluate.py"
    spec = importlib.util.spec_from_file_location("evaluate", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    words = "--score better.npz --data truth.npz --protocol 3dpw --bodies m.npz f.npz"
    module.main(words.split())
    ((_, asked, refined),) = called
    assert (str(refined), asked.data, asked.protocol) == ("better.npz", "truth.npz", "3dpw")
    assert asked.bodies == (Path("m.npz"), Path("f.npz"))
