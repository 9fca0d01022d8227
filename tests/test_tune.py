"""Settings chosen on validation: each mode has a grid of its own, and the best of all are one."""

import dataclasses

import numpy as np
import pytest
import tiny

from diffjax import annotate, choosing, config, evaluate, tune
from diffjax.data import records
from diffjax.pose import Pose, Refined

START = config.Guided().detections
OWN = {
    "fast": {"robust_px_share", "map_weight"},
    "guided": {"robust_px_share", "strength", "rounds"},
    "combined": {"error_weight", "prior_weight"},
}


def changed(settings):
    mine, first = dataclasses.asdict(settings), dataclasses.asdict(START)
    return {name for name in mine if mine[name] != first[name]}


@pytest.mark.parametrize("mode", OWN)
@pytest.mark.parametrize("kind", annotate.KINDS)
def test_the_grid_of_a_mode_changes_what_the_mode_reads(mode, kind):
    grid = tune.settings_of(mode, kind, START)
    assert len(set(grid)) == len(grid) > 3
    assert set().union(*map(changed, grid)) <= OWN[mode]
    assert len({tune.TOLD[mode](s) for s in grid}) > 3


def test_the_best_of_each_mode_are_in_one_setting(monkeypatch, tmp_path, capsys):
    """A method that is as far from the truth as its settings are from what we want."""
    wanted = {"map_weight": 3.0, "strength": 2.0, "error_weight": 0.5, "prior_weight": 1.5}

    def refine_set(kit, a, kind, settings, mode):
        names = OWN[mode] & set(wanted)
        off = sum(abs(getattr(settings, name) - wanted[name]) for name in names)
        return Refined(Pose(a.pose, a.betas + np.float32(off)), None, {}), 0.0

    a = tiny.without(tiny.annotations(4), "labels2d", "keypoints3d")
    records.write(tmp_path / "val.npz", a)
    body = tiny.write_body(tmp_path / "body.npz")
    kit = annotate.Kit(body, tiny.bones(), None, "residuals")
    judge = evaluate.make_judge(body, a, "h36m14")
    monkeypatch.setattr(tune.sweep, "load_parts", lambda *_: choosing.Parts(kit, None, judge, None))
    monkeypatch.setattr(annotate, "refine_set", refine_set)
    data = config.Data(val=str(tmp_path / "val.npz"), body=body)
    found = tune.tune(config.Run(data=data), tmp_path)
    assert list(found) == ["detections"]
    assert {name: getattr(found["detections"], name) for name in wanted} == wanted
    said = capsys.readouterr().out
    assert "combined  0.5 + 1.5" in said
    assert f"detections={found['detections']!r}," in said


def trial(mode, error, **changes):
    return tune.Trial(mode, dataclasses.replace(START, **changes), error, 0.0, 0.0)


def test_what_is_advised_of_each_mode_was_tried_as_it_stands_there():
    """Guided and fast read one robust scale: fast's best weight at another one was never tried with this one."""
    tried = [
        trial("fast", 50.0, robust_px_share=0.05, map_weight=10.0),
        trial("fast", 60.0, robust_px_share=0.1, map_weight=10.0),
        trial("fast", 55.0, robust_px_share=0.1, map_weight=1.0),
        trial("guided", 58.0, robust_px_share=0.05, strength=2.0),
        trial("guided", 57.0, robust_px_share=0.1, strength=8.0),
        trial("combined", 54.0, error_weight=0.3, prior_weight=0.1),
    ]
    best = tune.chosen(tried)
    assert [best[mode].pa_mpjpe_mm for mode in ("fast", "guided", "combined")] == [55.0, 57.0, 54.0]
    found = tune.joined(best, START)
    for mode, one in best.items():
        assert all(getattr(found, name) == getattr(one.settings, name) for name in OWN[mode])


def test_without_residuals_only_guided_is_tuned(monkeypatch):
    tried = []
    kit = annotate.Kit("body", tiny.bones(), None, None)
    monkeypatch.setattr(evaluate, "score", lambda *_: evaluate.Scores(*[np.zeros(2)] * 6))
    monkeypatch.setattr(
        annotate, "refine_set", lambda *_, mode: tried.append(mode) or (Refined(None, None, {}), 0)
    )
    parts = choosing.Parts(kit, None, None, None)
    problem = choosing.Problem(None, None, None, {}, None)
    assert len(list(tune.trials(parts, problem, "labels", START))) == len(tried) > 3
    assert set(tried) == {"guided"}
