"""Rivals on the same people: each is tuned on validation alone, and the table says what it measured."""

import dataclasses
import json

import numpy as np
import pytest
import tiny

from diffjax import ablation, annotate, body, config, evaluate
from diffjax.data import records

pytestmark = pytest.mark.usefixtures("quick_to_compile")

SHORT = config.relative_fit(1.0, 1, through_network=False)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ablation")
    tiny.write_body(directory / "body.npz")
    tiny.write_model(directory / "prior.npz")
    people = dataclasses.replace(
        tiny.annotations(12, seed=3),
        sequence=np.repeat(["a", "b"], 6),
        frame=np.tile(np.arange(6), 2),
        view=np.full(12, "0"),
        subject=None,
    )
    for part in ("train", "val", "test"):
        records.write(directory / f"{part}.npz", people)
    run = config.Run(
        data=config.Data(
            *(str(directory / f"{part}.npz") for part in ("train",)),
            val=str(directory / "val.npz"),
            test=str(directory / "test.npz"),
            body=str(directory / "body.npz"),
        ),
        scorehmr=config.ScoreHMR(labels=SHORT, video=dataclasses.replace(SHORT, smooth_after=3)),
    )
    model = body.load_body(directory / "body.npz")
    prior = annotate.load_prior(directory / "prior.npz", model)
    kit = annotate.Kit(str(directory / "body.npz"), model, prior, None)
    return ablation.Told(run, kit, "labels", "frames")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(ablation, "STRENGTHS", {"labels": (0.5, 1.0)})
    monkeypatch.setattr(ablation, "ROUNDS", {"labels": (1,)})
    monkeypatch.setattr(ablation, "GRADIENTS", {"adam": (2,), "lbfgs": (2, 4)})
    monkeypatch.setattr(ablation, "WINDOWS", (3, 5))


def test_the_table_has_every_rival_and_is_kept(told, small, tmp_path, capsys):
    found = ablation.run(told, 0, [], tmp_path / "table.json")
    names = [row["name"] for row in found]
    assert names[:4] == ["estimate", "no prior, Adam", "no prior, L-BFGS", "loop, eps = 0"]
    assert {"loop, Gaussian", ablation.NETWORK, "original's settings"} <= set(names)
    assert [row["name"] for row in json.loads((tmp_path / "table.json").read_text())] == names
    assert len(capsys.readouterr().out.splitlines()) == 3 + len(found)
    assert found[0]["pa_change_mm"] == 0.0
    assert all(np.isfinite(row["pa_mpjpe_mm"]) for row in found)


def test_the_setting_is_the_best_on_validation(told, small):
    val = ablation.people_of(told.run, told.run.data.val, 0)
    rival = next(r for r in ablation.rivals_of(told, []) if r.name == "loop, eps = 0")
    tried = dict(ablation.tune(told, rival, val))
    assert len(tried) == 2
    for fit, error in tried.items():
        refined, _ = ablation.refine(told, rival, fit, val)
        scores = evaluate.score(val.judge, refined.pose, val.truth)
        assert error == pytest.approx(scores.pa_mpjpe_mm.mean())


def test_smoothing_alone_stands_beside_video(told, small, tmp_path):
    found = ablation.run(told._replace(use="video"), 0, [], tmp_path / "table.json")
    names = [row["name"] for row in found]
    assert names[1] == "Savitzky-Golay"
    assert all(row["acceleration_mm"] > 0 for row in found if not row["name"].startswith("-"))


def test_the_gate_returns_who_gains_little(told, small, tmp_path):
    found = {row["name"]: row for row in ablation.run(told, 0, [], tmp_path / "table.json")}
    gated = next(row for name, row in found.items() if name.startswith("- gate"))
    assert gated["harmed"] <= max(ablation.MAX_HARM, found[ablation.NETWORK]["harmed"])
