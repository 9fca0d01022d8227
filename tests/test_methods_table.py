"""The table of methods: whoever is in it is judged in one way, sees what it may, and says what it lacks."""

import dataclasses
import importlib.util
import json
import shlex
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import annotate, audit, config, refine, rotations
from diffjax.comparison import (
    advice,
    command,
    method,
    people,
    plain,
    protocol,
    smplify,
    table,
    terminal,
    tuning,
)
from diffjax.comparison.method import Method, Task
from diffjax.data import records
from diffjax.fitting import rates
from diffjax.methods import mixture

pytestmark = pytest.mark.usefixtures("quick_to_compile")

SHORT = config.relative_fit(1.0, 1, through_network=False)
GUIDED = config.Guidance(1.0, 1, start=10, stride=10, through_network=False)


def filmed(count=12, seed=3):
    """Two tracks of one camera."""
    return dataclasses.replace(
        tiny.annotations(count, seed=seed),
        sequence=np.repeat(["a", "b"], count // 2),
        frame=np.tile(np.arange(count // 2), 2),
        view=np.full(count, "0"),
        subject=None,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    tiny.write_body(folder / "body.npz")
    tiny.write_model(folder / "prior.npz")
    np.savez(folder / "residuals.npz", covariance=0.01 * np.eye(82))
    records.write(folder / "test.npz", tiny.annotations(9))
    records.write(folder / "val.npz", tiny.annotations(8, seed=5))
    records.write(folder / "video.npz", filmed())
    names = (str(folder / f"{name}.npz") for name in ("val", "val", "test", "body"))
    return config.Run(
        data=config.Data(*names),
        guided=config.Guided(GUIDED, GUIDED, GUIDED),
        scorehmr=config.ScoreHMR(labels=SHORT, detections=SHORT, video=SHORT),
        search=config.Search(max_step=2),
        parts=config.Parts(
            denoiser=str(folder / "prior.npz"),
            prior=str(folder / "prior.npz"),
            residuals=str(folder / "residuals.npz"),
        ),
    )


def compare(run, out, *methods, **asked):
    """The results of the methods on the run's sets, with its own prior for ScoreHMR's loop."""
    told = command.Asked(methods=methods, out=out, **{"tune": "none", **asked})
    file = Path("configs/demo.py")
    return command.evaluate(run, told, file, loop_prior=run.parts.prior)


def script(name):
    """A module of scripts/."""
    spec = importlib.util.spec_from_file_location(name, config.ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def crowd(run, a, split="test", **how):
    path = Path(run.data.test).with_name(f"{np.random.default_rng().integers(1 << 40)}.npz")
    records.save_arrays(path, records.arrays_of(a))
    return people.gather(run, str(path), split, **how)


def rows_of(result):
    return {(row["method"], row["evidence"]): row for row in result["rows"]}


def test_the_estimate_changes_nothing_and_who_is_right_stays_right(run, tmp_path):
    a = tiny.annotations(6)
    right = dataclasses.replace(a, pred_pose=a.pose, pred_betas=a.betas)
    path = tmp_path / "right.npz"
    records.write(path, right)
    found = rows_of(
        compare(run, tmp_path / "out", "mean-shift", "linear", data=str(path), val=str(path))
    )
    estimate = found["estimate", None]
    assert estimate["pa_change_mm"] == estimate["rotation_change_deg"] == 0.0
    for name in ("estimate", "mean-shift", "linear"):
        assert found[name, None]["pa_mpjpe_mm"] < 1e-2
        assert found[name, None]["harmed"] == 0.0


def test_a_mean_error_that_all_share_is_removed(run, tmp_path):
    a = filmed()
    turn = np.asarray(rotations.matrix_from_axis_angle(jnp.full((24, 3), 0.1)))
    off = dataclasses.replace(a, pred_pose=a.pose @ turn, pred_betas=a.betas + np.float32(0.3))
    path = tmp_path / "off.npz"
    records.write(path, off)
    found = rows_of(compare(run, tmp_path / "out", "mean-shift", data=str(path), val=str(path)))
    assert found["estimate", None]["pa_mpjpe_mm"] > 5.0
    assert found["mean-shift", None]["pa_mpjpe_mm"] < 0.05


def test_what_a_method_lacks_is_its_row_and_the_others_run(run, tmp_path, capsys):
    path = tmp_path / "bare.npz"
    records.write(path, tiny.without(tiny.annotations(6), "keypoints2d", "labels2d", "keypoints3d"))
    names = ("estimate", "guided", "ik", "smooth", "mean-shift", "frontend", "scorehmr-views")
    found = compare(run, tmp_path / "out", *names, data=str(path))
    lacks = {row["method"]: row["left_out"] for row in found["rows"] if "left_out" in row}
    assert lacks == {
        "guided": "needs 2D keypoints or 3D joints",
        "ik": "needs 3D joints",
        "smooth": "needs tracks",
        "mean-shift": "needs validation poses",
        "frontend": "needs the frontend, 2D keypoints",
        "scorehmr-views": "needs calibrated views, 2D keypoints",
    }
    said = capsys.readouterr().out
    assert all(text in said for text in lacks.values())


def test_keypoints_without_a_camera_are_said_to_lack_it(run, tmp_path):
    test = crowd(run, tiny.without(tiny.annotations(6), "focal_px"))
    scorehmr = next(m for m in table.METHODS if m.name == "scorehmr")
    kit = command.loading.load(run, run, tmp_path, test.people.annotations)
    assert "the camera of its 2D keypoints" in method.lacking(scorehmr, kit, test, None)


def test_a_method_is_one_entry(run, tmp_path):
    def halved(given, kit, task: Task, seed):
        assert given.annotations.pose is None, "the truth was shown"
        assert given.annotations.keypoints2d is None, "other evidence was shown"
        assert given.truth.joints is None
        found = annotate.estimate_of(given.annotations)
        return [
            plain.outcome("halved", given, found._replace(betas=found.betas / 2), 0.0, task.kind)
        ]

    mine = Method("mine", halved, ("labels",), told=lambda _: "once")
    methods = table.chosen(["mine"], (*table.METHODS, mine))
    test = people.gather(run, run.data.test, "test")
    kit = command.loading.load(run, run, tmp_path, test.people.annotations)
    files = advice.Files("configs/demo.py", "configs/demo.py")
    result = protocol.compare(
        methods, kit, people.Sets(test, None), tmp_path / "out", files=files, say=lambda _: None
    )
    row = rows_of(result)["mine", "labels"]
    assert row["name"] == "halved, once"
    assert row["rotation_change_deg"] == pytest.approx(0.0, abs=1e-6)
    assert row["pa_change_mm"] != 0.0


def test_every_method_has_a_row_of_each_kind_that_it_sees(run, tmp_path):
    def same(given, kit, task, seed):
        return plain.identity(given, kit, task, seed)

    methods = [m._replace(refine=same, grid=lambda kit, kind: [None], told=str, run=lambda *_: None)
               for m in table.METHODS]  # fmt: skip
    test, val = (people.gather(run, getattr(run.data, part), part) for part in ("test", "val"))
    kit = command.loading.load(run, run, tmp_path, test.people.annotations)
    files = advice.Files("configs/demo.py", "configs/demo.py")
    sets = people.Sets(test, val)
    found = protocol.compare(methods, kit, sets, tmp_path, files=files, say=lambda _: None)
    rows = [(row["method"], row["evidence"]) for row in found["rows"] if "left_out" not in row]
    lacks = {row["method"] for row in found["rows"] if "left_out" in row}
    tracks = {"smooth", "one-euro", "d3prefiner", "scorehmr-video"}
    extra = set() if importlib.util.find_spec("smplfitter") else {"smplfitter"}
    assert lacks == {"frontend", "scorehmr-views", *tracks, *extra}
    wanted = [
        (m.name, kind) for m in table.METHODS if m.name not in lacks for kind in m.sees or (None,)
    ]
    assert sorted(rows, key=str) == sorted(wanted, key=str)


def test_the_table_from_end_to_end(run, tmp_path, capsys):
    found = compare(run, tmp_path / "out", "paper", "scorehmr")
    for row in found["rows"]:
        shown = any(word in row["name"] for word in ("ORACLE", "control"))
        assert shown == (not row["honest"]) == (row["sees"] == "the truth")
        assert np.isfinite(row["pa_mpjpe_mm"])
        assert (tmp_path / "out" / row["people"]).exists()
    said = capsys.readouterr().out
    assert "Which command should I run on my own data?" in said
    assert "9 people, 9 with truth" in said
    kept = json.loads((tmp_path / "out" / "results.json").read_text())
    assert kept["finished"]
    assert kept["rows"] == json.loads(json.dumps(found["rows"]))


def test_priors_of_poses_peers_and_the_combination_from_end_to_end(run, tmp_path, monkeypatch):
    monkeypatch.setattr(smplify, "GRADIENTS", {"adam": 2, "lbfgs": 2})
    monkeypatch.setattr(smplify, "TIME", 5)
    still = mixture.from_moments(np.ones(1), np.zeros((1, 69)), np.eye(69)[None])
    monkeypatch.setattr(smplify, "_mixture", lambda kit: still)
    soon = dataclasses.replace(GUIDED, prior_time=5, iterations=2)
    mine = dataclasses.replace(run, guided=config.Guided(soon, soon, soon))
    names = ("smplify", "smplify-diffusion", "smplfitter", "combined", "recall", "recall+combined")
    rows = rows_of(compare(mine, tmp_path / "out", *names))
    for name in ("smplify", "smplify-diffusion", "combined", "recall", "recall+combined"):
        assert rows[name, "labels"]["pa_change_mm"] != 0.0
    if importlib.util.find_spec("smplfitter"):
        # Parts of one vertex say nothing of turns: how well it fits is in test_peer, on a body with a mesh.
        assert rows["smplfitter", "joints3d"]["pa_change_mm"] != 0.0
    else:
        (lone,) = (row for key, row in rows.items() if key[0] == "smplfitter")
        assert "smplfitter" in lone["left_out"]
    for name in ("combined", "recall", "recall+combined"):
        assert f"--mode {name} " in rows[name, "labels"]["command"]
    assert ("recall", "joints3d") not in rows
    assert rows["smplify", "labels"]["command"] is None


def test_methods_that_are_off_by_default_are_there_if_named():
    off = {entry.name for entry in table.METHODS if not entry.default}
    assert off == {"smplify-adam", "smplify-diffusion", "smplfitter"}
    assert not off & {entry.name for entry in table.chosen([])}
    assert off < {entry.name for entry in table.chosen(sorted(off))}
    every = table.chosen(["all", "smooth+fast"])
    assert [entry.name for entry in every] == [*(m.name for m in table.METHODS), "smooth+fast"]


def test_tracks_are_smoothed_wherever_their_rows_lie(run, tmp_path):
    a = filmed()
    mixed = records.take(a, np.random.default_rng(0).permutation(12))
    rows = []
    for name, one in (("sorted", a), ("mixed", mixed)):
        path = tmp_path / f"{name}.npz"
        records.write(path, one)
        found = rows_of(
            compare(run, tmp_path / name, "smooth", "one-euro", data=str(path), use="video")
        )
        rows.append([found[m, None]["pa_mpjpe_mm"] for m in ("estimate", "smooth", "one-euro")])
        assert found["smooth", None]["acceleration_mm"] > 0
    np.testing.assert_allclose(*rows, rtol=1e-4)
    assert len(set(rows[0])) == 3


def test_tracks_of_one_frame_stay_as_they_are(run, tmp_path):
    a = dataclasses.replace(
        filmed(), frame=1000 * np.arange(12), sequence=np.arange(12).astype(str)
    )
    test = crowd(run, a, use="video")
    assert "12 tracks, 12 of one frame" in people.describe(test)
    kit = command.loading.load(run, run, tmp_path, test.people.annotations)
    for smooth, setting in ((plain.smooth, 9), (plain.one_euro, (1.0, 1.0))):
        (found,) = smooth(test.people, kit, Task(None, setting, None), 0)
        before = annotate.estimate_of(test.people.annotations)
        np.testing.assert_array_equal(found.refined.pose.rotations, before.rotations)
        np.testing.assert_array_equal(found.refined.pose.betas, before.betas)


def test_truth_that_is_not_a_number_is_counted_and_judges_nobody(run, tmp_path):
    a = tiny.annotations(9)
    pose = a.pose.copy()
    pose[[2, 5], 3] = np.nan
    joints = a.keypoints3d.copy()
    joints[1, 0] = np.nan
    names = a.sequence.copy()
    names[[0, 8]] = ""
    path = tmp_path / "holes.npz"
    broken = dataclasses.replace(a, pose=pose, keypoints3d=joints, sequence=names)
    records.save_arrays(path, records.arrays_of(broken))
    test = people.gather(run, str(path), "test")
    said = people.describe(test)
    assert (
        "9 people, 7 with truth, 2 whose truth is not a number, 1 with 3D joints that are" in said
    )
    assert test.counts["judged"] == 7
    assert "2 without a sequence" in said
    holes = rows_of(compare(run, tmp_path / "a", "fast", data=str(path)))
    kept = np.delete(np.arange(9), [2, 5])
    records.write(tmp_path / "whole.npz", records.take(a, kept))
    whole = rows_of(compare(run, tmp_path / "b", "fast", data=str(tmp_path / "whole.npz")))
    for row in (("estimate", None), ("fast", "labels")):
        for score in ("pa_mpjpe_mm", "rotation_deg", "pve_mm"):
            assert holes[row][score] == pytest.approx(whole[row][score], rel=1e-4)


def test_nobodys_truth_is_a_number_and_the_estimates_are_still_refined(run, tmp_path):
    a = tiny.without(tiny.annotations(5), "keypoints3d", "cam_t")
    nothing = {name: np.full_like(getattr(a, name), np.nan) for name in ("pose", "betas")}
    records.save_arrays(tmp_path / "set.npz", records.arrays_of(dataclasses.replace(a, **nothing)))
    found = compare(run, tmp_path / "out", "fast", data=str(tmp_path / "set.npz"))
    assert found["sets"]["test"]["counts"]["judged"] == 0
    row = rows_of(found)["fast", "labels"]
    assert row["pa_mpjpe_mm"] is None
    assert row["image_px"] > 0


def test_an_estimate_that_is_not_a_number_is_refused(run, tmp_path):
    a = tiny.annotations(4)
    betas = a.pred_betas.copy()
    betas[1] = np.nan
    a = dataclasses.replace(a, pred_betas=betas)
    records.save_arrays(tmp_path / "bad.npz", records.arrays_of(a))
    with pytest.raises(ValueError, match="field pred_betas: wanted finite numbers"):
        people.gather(run, str(tmp_path / "bad.npz"), "test")


def test_evidence_that_is_the_truth_is_called_an_oracle(run, tmp_path):
    path = tmp_path / "joints.npz"
    records.write(path, tiny.without(tiny.annotations(6), "pose", "betas"))
    found = compare(run, tmp_path / "out", "fast", data=str(path))
    rows = rows_of(found)
    assert "ORACLE" in rows["fast", "joints3d"]["name"]
    assert not rows["fast", "joints3d"]["honest"]
    assert rows["fast", "labels"]["honest"]
    assert "joints3d" not in found["advice"]
    entry = Method("fast", plain.identity, ("joints3d",), told=lambda _: "x" * 30)
    kit = method.Kit(run, run, *[None] * 4, "frames", {}, "quick", 0)
    crowd = people.gather(run, str(path), "test")
    assert terminal.width([entry], kit, crowd) == len("fast, ORACLE, ") + 30 + 1


def test_a_chain_is_one_method_after_the_other(run, tmp_path):
    smooth = table.chosen(["smooth+fast"])[1]
    assert smooth.sees == ("labels", "detections", "joints3d")
    assert set(smooth.needs) == {"tracks", "the frontend's residuals"}
    video = str(Path(run.data.test).with_name("video.npz"))
    rows = rows_of(compare(run, tmp_path / "out", "smooth", "fast", "smooth+fast", data=video))
    errors = [rows[key]["pa_mpjpe_mm"] for key in (("smooth", None), ("fast", "labels"),
              ("smooth+fast", "labels"))]  # fmt: skip
    assert len(set(errors)) == 3
    assert rows["smooth+fast", "labels"]["name"] == "smooth+fast"


@pytest.mark.parametrize("names", [["guidde"], ["paper+fast"], ["ik+scorehmr"], ["smooth+"]])
def test_names_that_are_none_are_refused(names):
    with pytest.raises(ValueError, match="--methods"):
        table.chosen(names)


def test_settings_are_those_with_the_least_error_on_validation(run, tmp_path):
    tried = []

    def shifted(given, kit, task, seed):
        tried.append(task.settings)
        found = annotate.estimate_of(given.annotations)
        return [
            plain.outcome("shifted", given, found._replace(betas=found.betas * task.settings), 0.0)
        ]

    entry = Method("shifted", shifted, grid=lambda kit, kind: [0.0, 2.0, -4.0])
    test, val = (people.gather(run, getattr(run.data, part), part) for part in ("test", "val"))
    kit = command.loading.load(run, run, tmp_path, test.people.annotations)
    chosen = {}
    # Estimated betas are half of the true ones.
    assert tuning.setting_of(entry, None, kit, people.Sets(test, val), chosen) == 2.0
    assert tried == [0.0, 2.0, -4.0]
    assert tuning.setting_of(entry, None, kit, people.Sets(test, None), {}) == 0.0


def test_a_stopped_comparison_goes_on_and_a_finished_one_is_not_replaced(run, tmp_path, capsys):
    out, calls = tmp_path / "out", []

    def stopping(given, kit, task, seed):
        raise KeyboardInterrupt

    def counted(given, kit, task, seed):
        calls.append(1)
        return plain.identity(given, kit, task, seed)

    test = people.gather(run, run.data.test, "test")
    kit = command.loading.load(run, run, tmp_path, test.people.annotations)
    files = advice.Files("configs/demo.py", "configs/demo.py")

    def go(last, **how):
        methods = [Method("estimate", counted), Method("last", last)]
        sets = people.Sets(test, None)
        return protocol.compare(methods, kit, sets, out, files=files, say=lambda _: None, **how)

    with pytest.raises(KeyboardInterrupt, match="1 rows are kept"):
        go(stopping)
    assert not json.loads((out / "results.json").read_text())["finished"]
    assert len(go(counted)["rows"]) == 2
    assert len(calls) == 2
    with pytest.raises(ValueError, match=r"finished comparison is there.*--overwrite"):
        go(counted)
    assert len(go(counted, overwrite=True)["rows"]) == 2
    with pytest.raises(ValueError, match="--overwrite"):
        compare(run, out, "estimate")


def test_a_limit_takes_whole_tracks_over_the_whole_set(run):
    a = filmed()
    assert len(np.unique(people.some(a, "video", 6).sequence)) == 1
    few = people.some(a, "frames", 4)
    assert records.count(few) == 4
    assert few.sequence.tolist() == ["a", "a", "b", "b"]
    assert people.some(a, "frames", 0) is a


def test_the_command_that_is_told_is_one_that_does_the_same(run, monkeypatch):
    """Every row's command is read by refine.py into the run that made the row."""
    main, called = script("refine").main, []
    monkeypatch.setattr(
        refine, "refine_file", lambda *args, **how: called.append((args, how)) or ""
    )
    run = config.load("configs/demo.py")
    loop = command.loading.loop_run(
        command.defaults([], Path("configs/demo.py")), Path("configs/scorehmr_demo.py")
    )
    kit = method.Kit(run, loop, *[None] * 4, "video", {}, "full", 0)
    files = advice.Files("configs/demo.py", "configs/scorehmr_demo.py")
    for entry in table.METHODS:
        for kind in entry.sees:
            for settings in entry.grid(kit, kind)[-2:]:
                wanted = entry.run(kit, kind, settings)
                if wanted is None:
                    continue
                words = shlex.split(advice.command(wanted, kind, files))
                assert words[:2] == ["python", "scripts/refine.py"]
                main(words[2:])
                (read, data, out), how = called.pop()
                assert (data, str(out), how["kind"]) == ("YOUR.npz", "better.npz", kind)
                assert read.mode == wanted.mode
                section = "scorehmr" if wanted.mode == "scorehmr" else "guided"
                assert getattr(read, section) == getattr(wanted, section)
                assert read.parts.prior == wanted.parts.prior
                assert read.data.body == wanted.data.body


def test_validation_people_who_are_judged_are_warned_of(run):
    a = filmed()
    other = dataclasses.replace(a, sequence=np.repeat(["a", "c"], 6))
    test, val = crowd(run, a), crowd(run, other, "val")
    assert people.shared(test, val) == ["WARNING: 1 of the 2 validation sequences are judged, too"]
    apart = dataclasses.replace(a, sequence=np.repeat(["d", "c"], 6))
    assert people.shared(test, crowd(run, apart, "val")) == []


def test_the_command_line_is_told_what_it_says(monkeypatch):
    called = []
    monkeypatch.setattr(command, "evaluate", lambda *args: called.append(args))
    main = script("evaluate").main
    main([])
    (run, asked, file, loop_file, prior) = called.pop()
    assert asked == command.Asked(val_limit=300)
    assert (str(file), loop_file, prior) == ("configs/demo.py", None, "")
    assert run.scorehmr == config.load("configs/scorehmr_demo.py").scorehmr
    words = "--methods fast smooth+fast --limit 7 --tune none --scorehmr.labels.rounds 3 --out x"
    main(words.split())
    (run, asked, *_) = called.pop()
    assert (asked.methods, asked.limit, asked.tune) == (("fast", "smooth+fast"), 7, "none")
    assert (run.scorehmr.labels.rounds, asked.out) == (3, Path("x"))


def test_an_audit_is_asked_for_by_name(monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr(audit, "audit_file", lambda *args, **how: called.append((args, how)))
    script("evaluate").main(["--audit", "people.npz", "--out", str(tmp_path)])
    ((path, out), how) = called.pop()
    assert (str(path), out) == ("people.npz", tmp_path)
    assert how["body_path"] == config.load("configs/demo.py").data.body


@pytest.mark.parametrize(
    ("data", "val", "wanted"),
    [
        (None, None, ("test.npz", "val.npz")),
        ("mine.npz", None, ("mine.npz", "")),
        ("mine.npz", "other.npz", ("mine.npz", "other.npz")),
        (None, "none", ("test.npz", "")),
        ("demo_video", None, ("demo_video", "demo_video")),
    ],
)
def test_settings_are_tuned_on_people_of_the_same_kind(data, val, wanted):
    run = config.Run(data=config.Data(val="val.npz", test="test.npz"))
    assert command.sets_of(run, command.Asked(data, val)) == wanted


def test_flags_say_every_kind_of_change():
    own, wanted = config.relative_fit(1.0, 5), config.relative_fit(1.0, 5, through_network=False)
    assert list(advice.flags(own, wanted, "f")) == ["--f.no-through-network"]
    assert list(advice.flags(wanted, own, "f")) == ["--f.through_network"]
    margin = dataclasses.replace(own, margin=0.02, smooth_after=9)
    assert list(advice.flags(own, margin, "f")) == ["--f.smooth_after 9", "--f.margin 0.02"]
    assert list(advice.flags(own, own, "f")) == []


def test_without_truth_nobody_is_told_what_to_run(run, tmp_path, capsys):
    path = tmp_path / "flat.npz"
    records.write(path, tiny.without(tiny.annotations(6), "pose", "betas", "keypoints3d"))
    found = compare(run, tmp_path / "out", "fast", "paper", data=str(path))
    assert found["advice"] == {}
    assert rows_of(found)["paper", None]["left_out"] == "needs truth"
    assert "Nobody's 3D truth is known" in capsys.readouterr().out


@pytest.mark.parametrize("fps", [0.0, -30.0, np.nan, np.inf])
def test_a_rate_that_is_none_is_refused(run, tmp_path, fps):
    with pytest.raises(ValueError, match="--fps: wanted frames a second"):
        compare(run, tmp_path / "out", "smooth", fps=fps)


def test_settings_of_tracks_follow_their_rate():
    """A motion sampled half as often makes steps of twice the length: a fourth of the weight costs as much."""
    fit = config.relative_fit(1.0, 1, velocity=30.0, acceleration=2.0, smooth_before=15)
    half = rates.at_rate(fit, 15.0)
    assert rates.at_rate(fit, 30.0) == fit
    assert (half.velocity, half.acceleration) == (7.5, 0.125)
    assert (half.smooth_before, half.smooth_after) == (7, 0)
    assert dataclasses.replace(half, velocity=30.0, acceleration=2.0, smooth_before=15) == fit


def test_names_of_rows_never_run_into_what_they_saw(run, tmp_path, capsys):
    name = "smooth+one-euro+smooth+one-euro"
    compare(
        run,
        tmp_path / "out",
        name,
        "fast",
        data=str(Path(run.data.test).with_name("video.npz")),
        val="none",
    )
    lines = capsys.readouterr().out.splitlines()
    (head,) = (i for i, line in enumerate(lines) if line.startswith("method"))
    table_ = [line for line in lines[head : head + 7] if line.strip("-")]
    place = lines[head].index("sees")
    assert place > len(name)
    assert {line[place - 1] for line in table_} == {" "}
    assert all(line[place] != " " for line in table_)
    assert len({len(line) for line in table_}) == 1
