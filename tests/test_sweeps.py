"""Sweeps: what is simulated is what it says, curves are paired, and a stopped sweep ends with the same numbers."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import tiny

from diffjax import config, simulate
from diffjax.comparison import axes, command, conditions, plain, sweeps, tuning
from diffjax.comparison.method import Kit, Method, Task
from diffjax.data import records

pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny.write_body(tmp_path_factory.mktemp("body") / "body.npz")


@pytest.fixture(scope="module")
def run(path):
    return config.Run(data=config.Data("test.npz", "test.npz", "test.npz", path))


def labels(path, a, noise_px, missing, seed=0):
    return conditions.simulated_labels(path, a, noise_px, missing, seed).labels2d


def filmed(count=24, views=1):
    """Two tracks; with `views`, as many cameras of each frame."""
    a = tiny.annotations(count)
    frames = count // 2 // views
    return dataclasses.replace(
        a,
        sequence=np.repeat(["a", "b"], count // 2),
        frame=np.tile(np.repeat(np.arange(frames), views), 2),
        view=np.tile(np.arange(views).astype(str), count // views),
        view_rotation=np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
        view_translation=np.zeros((count, 3), np.float32),
    )


def given(run, a, use="frames", **more):
    return axes.Given(run, "test.npz", a, None, use, **more)


def test_without_noise_the_labels_are_the_projected_truth(path):
    a = tiny.annotations()  # Their labels are exact.
    found = labels(path, a, 0.0, 0.0)
    np.testing.assert_allclose(found[..., :2], a.labels2d[..., :2], atol=0.02)
    np.testing.assert_array_equal(found[..., 2], 1.0)


def test_noise_grows_in_its_own_direction_and_is_the_same_in_every_call(path):
    a = tiny.annotations()
    exact, two, eight = (labels(path, a, px, 0.0)[..., :2] for px in (0.0, 2.0, 8.0))
    np.testing.assert_allclose(eight - exact, 4 * (two - exact), atol=1e-2)
    np.testing.assert_array_equal(labels(path, a, 8.0, 0.0)[..., :2], eight)
    assert np.abs(labels(path, a, 8.0, 0.0, seed=1)[..., :2] - eight).max() > 1
    np.testing.assert_allclose(np.std(eight - exact), 8.0, rtol=0.2)


def test_what_is_missing_stays_missing_when_more_is(path):
    a = tiny.annotations(40)
    seen = [labels(path, a, 4.0, share)[..., 2] > 0 for share in (0.0, 0.1, 0.3, 0.5)]
    counts = [int(one.sum()) for one in seen]
    assert counts == sorted(counts, reverse=True)
    assert all((more <= less).all() for less, more in itertools.pairwise(seen))
    np.testing.assert_allclose([one.mean() for one in seen], [1.0, 0.9, 0.7, 0.5], atol=0.05)
    np.testing.assert_array_equal(labels(path, a, 4.0, 0.5)[~seen[-1]], 0.0)


def test_nobody_without_a_truth_has_simulated_keypoints(path, run):
    a = tiny.annotations()
    pose = a.pose.copy()
    pose[2] = np.nan
    broken = dataclasses.replace(a, pose=pose)
    assert (labels(path, broken, 0.0, 0.0)[2] == 0).all()
    point = axes.AXES[0].points(given(run, broken))[0]
    assert point.make().sets.test.people.seen.tolist() == [True, True, False, *[True] * 4]
    female = dataclasses.replace(a, gender=np.array(["female", *["neutral"] * 6]))
    assert conditions.told_by_truth(female).tolist() == [False, *[True] * 6]
    assert (labels(path, female, 0.0, 0.0)[0] == 0).all()  # Another body's truth.
    with pytest.raises(ValueError, match="found nobody's"):
        conditions.told_by_truth(dataclasses.replace(a, gender=np.full(7, "male")))
    with pytest.raises(ValueError, match="field cam_t: wanted by keypoints that are simulated"):
        axes.AXES[1].points(given(run, tiny.without(a, "cam_t")))


def test_estimates_and_other_evidence_stay_as_they_are(path):
    a = tiny.annotations()
    found = conditions.simulated_labels(path, a, 20.0, 0.5)
    for field in ("pred_pose", "pose", "keypoints2d", "keypoints3d", "focal_px"):
        assert getattr(found, field) is getattr(a, field)


def test_the_same_people_are_judged_at_every_rate_and_number_of_views(run):
    rate = next(axis for axis in axes.AXES if axis.name == "rate")
    points = rate.points(given(run, filmed(), "video", fps=30.0))
    assert [point.value for point in points] == [5.0, 10.0, 15.0, 30.0]
    made = [point.make() for point in points]
    assert [one.fps for one in made] == [5.0, 10.0, 15.0, 30.0]
    sizes = [records.count(one.sets.test.people.annotations) for one in made]
    assert sizes == [4, 8, 12, 24]
    judged = [one.sets.test.people.annotations.pose[one.sets.test.people.seen] for one in made]
    assert all(len(one) == 4 for one in judged)
    for other in judged[1:]:
        np.testing.assert_array_equal(other, judged[0])
    views = next(axis for axis in axes.AXES if axis.name == "views")
    points = views.points(given(run, filmed(views=3), "views"))
    assert [point.value for point in points] == [1, 2]
    judged = [point.make().sets.test.people for point in points]
    assert [one.seen.sum() for one in judged] == [8, 8]
    np.testing.assert_array_equal(*(one.annotations.pose[one.seen] for one in judged))


@pytest.mark.parametrize("name", ["views", "rate", "frontends"])
def test_what_a_sweep_needs_is_asked_for(run, name):
    axis = next(axis for axis in axes.AXES if axis.name == name)
    a = tiny.without(tiny.annotations(), "frame")
    with pytest.raises(ValueError, match=f"--sweep {name}: wanted .*found.*(pass|name)"):
        axis.points(given(run, a))


def nudged(calls):
    """A method that does as much as its evidence says."""

    def refine(people_, kit, task, seed):
        a = people_.annotations
        calls.append(float(a.labels2d[..., 2].mean()))
        found = plain.identity(people_, kit, task, seed)[0]
        pose = found.refined.pose._replace(betas=found.refined.pose.betas * a.labels2d[:, :1, 2])
        return [found._replace(refined=found.refined._replace(pose=pose))]

    return Method("nudged", refine, ("labels",))


def swept(run, out, method, monkeypatch, **how):
    monkeypatch.setattr(axes, "MISSING", (0.0, 30.0, 60.0))
    axis = next(axis for axis in axes.AXES if axis.name == "dropout")
    points = axis.points(given(run, tiny.annotations(12)))
    kit = Kit(run, run, *[None] * 4, "frames", {}, "none", 0)
    methods = [
        Method("estimate", plain.identity),
        method,
        Method("blind", plain.identity, needs=("tracks",)),
    ]
    said = []
    sweep = sweeps.run(axis, points, methods, kit, out, facts={"seed": 0}, tell=said.append, **how)
    return sweep, "\n".join(said)


def test_a_sweep_is_a_line_a_method_with_a_number_a_value(run, tmp_path, monkeypatch):
    calls = []
    sweep, said = swept(run, tmp_path, nudged(calls), monkeypatch)
    assert calls == sorted(calls, reverse=True)
    assert sweep["values"] == [0.0, 30.0, 60.0]
    assert sweep["judged"] == [12, 12, 12]
    estimate, one, blind = sweep["lines"]
    assert len(set(estimate["pa_mpjpe_mm"])) == 1  # The line of reference.
    assert len(set(one["pa_mpjpe_mm"])) == 3
    assert blind["left_out"] == "needs tracks"
    assert f"{one['pa_mpjpe_mm'][2]:.1f}" in said.splitlines()[-2]
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["sweeps"] == json.loads(json.dumps([sweep]))
    assert "missing keypoints" in (tmp_path / "report.html").read_text().lower()


def test_a_stopped_sweep_goes_on_to_the_same_numbers(run, tmp_path, monkeypatch):
    calls = []
    whole, _ = swept(run, tmp_path / "whole", nudged(calls), monkeypatch)
    entry, left = nudged([]), [1]

    def stopping(*args):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return entry.refine(*args)

    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        swept(run, tmp_path / "cut", entry._replace(refine=stopping), monkeypatch)
    again = []
    resumed, _ = swept(run, tmp_path / "cut", nudged(again), monkeypatch)
    assert len(again) == 2  # The first value was kept.
    for one, other in zip(whole["lines"][:2], resumed["lines"]):
        assert one["pa_mpjpe_mm"] == other["pa_mpjpe_mm"]
    assert swept(run, tmp_path / "cut", nudged(again), monkeypatch)[0]["lines"] == resumed["lines"]
    assert len(again) == 2
    swept(run, tmp_path / "cut", nudged(again), monkeypatch, overwrite=True)
    assert len(again) == 5


def test_a_sweep_of_other_people_is_refused(run, tmp_path, monkeypatch):
    swept(run, tmp_path, nudged([]), monkeypatch)
    file = tmp_path / "results.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ValueError, match=r"found another seed.*--overwrite"):
        swept(run, tmp_path, nudged([]), monkeypatch)


def test_a_method_is_told_the_rate_and_finds_its_settings_at_each(run, tmp_path):
    told = []

    def refine(people, kit, task, seed):
        told.append((kit.fps, task.settings))
        return plain.one_euro(people, kit, task._replace(settings=(task.settings, 1.0)), seed)

    axis = next(axis for axis in axes.AXES if axis.name == "rate")
    people = given(run, filmed(), "video", fps=60.0)._replace(val=filmed())
    kit = Kit(run, run, *[None] * 4, "video", {}, "quick", 0)
    methods = [
        Method("estimate", plain.identity),
        Method("euro", refine, needs=("tracks",), grid=lambda kit, kind: [0.5, 8.0]),
    ]
    how = {"facts": {}, "tell": lambda _: None}
    sweep = sweeps.run(axis, axis.points(people), methods, kit, tmp_path, **how)
    assert sweep["values"] == [10.0, 20.0, 30.0, 60.0]
    tried = [setting for _, setting in told]
    assert tried[:2] == [0.5, 8.0]  # Of the first rate, then the chosen one.
    assert len(told) == 3 * 4
    assert [fps for fps, _ in told[::3]] == sweep["values"]
    assert sweep["lines"][1]["settings"] == tried[2::3]
    filtered = [plain.one_euro(axis.points(people)[3].make().sets.test.people, kit._replace(fps=fps),
                               Task(None, (0.5, 1.0), None), 0)[0] for fps in (60.0, 10.0)]  # fmt: skip
    betas = [one.refined.pose.betas for one in filtered]
    assert np.abs(betas[0] - betas[1]).max() > 1e-3


def test_settings_of_the_table_are_those_of_the_sweep(run):
    entry = Method("one", plain.identity, ("labels",), grid=lambda kit, kind: [1.0, 2.0])
    kit = Kit(run, run, *[None] * 4, "frames", {}, "quick", 0)
    rows = [{"method": "one", "evidence": "labels", "settings": 2.0}]
    found = tuning.kept_settings([entry], kit, {"facts": {"seed": 0}, "rows": rows}, {"seed": 0})
    assert found == {("one", "labels"): 2.0}
    assert (
        tuning.kept_settings([entry], kit, {"facts": {"seed": 1}, "rows": rows}, {"seed": 0}) == {}
    )


def test_frontends_are_the_sets_that_are_named(path, run, tmp_path):
    for i, name in enumerate(("weak", "strong", "val")):
        records.write(tmp_path / f"{name}.npz", tiny.annotations(6, off=0.3 / (i + 1)))
    words = (f"weak={tmp_path}/weak.npz,{tmp_path}/val.npz", f"strong={tmp_path}/strong.npz")
    axis = next(axis for axis in axes.AXES if axis.name == "frontends")
    name, other, more = command._swept_sets(axis, run, command.Asked(sets=words))
    assert (name, other) == (str(tmp_path / "strong.npz"), "")
    points = axis.points(given(run, tiny.annotations(6), more=tuple(more)))
    assert [(point.value, point.alone) for point in points] == [("weak", True), ("strong", False)]
    errors = [float(np.mean(point.make().sets.test.people.base.pa_mpjpe_mm)) for point in points]
    assert errors[0] > errors[1]
    with pytest.raises(ValueError, match="--sets weak: wanted NAME=SET"):
        command._swept_sets(axis, run, command.Asked(sets=("weak",)))


def test_the_frontends_of_the_demo_are_one_that_sees_more_or_less(run, monkeypatch):
    asked = []

    def demo(name, frontend, body, eyesight):
        asked.append(eyesight)
        return None, tiny.annotations(6, off=0.2 * eyesight)

    monkeypatch.setattr(simulate, "demo_split", demo)
    axis = next(axis for axis in axes.AXES if axis.name == "frontends")
    points = axis.points(given(run, tiny.annotations(6))._replace(name="demo"))
    tests = [point.make().sets.test.people for point in points]
    assert [point.value for point in points] == ["weak", "medium", "strong"]
    assert asked == sorted(asked, reverse=True)
    errors = [float(np.mean(one.base.pa_mpjpe_mm)) for one in tests]
    assert errors == sorted(errors, reverse=True)
    for one in tests[1:]:
        np.testing.assert_array_equal(one.annotations.pose, tests[0].annotations.pose)


def test_the_command_line_asks_for_sweeps(monkeypatch, run):
    asked = []
    monkeypatch.setattr(command, "_swept", lambda axis, *_: asked.append(axis.name) or {})
    for words in (("noise", "rate"), ("all",)):
        command.sweep(run, command.Asked(sweep=words), Path("configs/demo.py"))
    assert asked == ["noise", "rate", "noise", "dropout", "frontends", "views", "rate"]
