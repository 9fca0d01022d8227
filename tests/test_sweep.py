"""The whole table on seven people: every row in its place, the oracle no better than Algorithm 1, files on disk."""

import contextlib
import dataclasses
import functools
import io
import json

import jax
import numpy as np
import pytest
import tiny

from diffjax import annotate, choosing, config, contest, evaluate, report, sweep
from diffjax.data import jobs, records
from diffjax.frontends import keypoint_hmr
from diffjax.methods import diffannot

LAST = 4
ROWS = [
    ("estimate", "-"),
    ("paper, fixed step", "validation"),
    ("paper, chosen by 2D", "labels"),
    ("paper, chosen by 2D", "detections"),
    ("paper, ORACLE", "the truth"),
    ("control, another's moves", "the truth"),
    ("control, random moves", "the truth"),
    ("frontend, run again", "labels"),
    ("fast", "labels"),
    ("guided", "labels"),
    ("combined", "labels"),
    ("fast", "detections"),
    ("guided", "detections"),
    ("combined", "detections"),
    ("fast", "joints3d"),
    ("guided", "joints3d"),
    ("combined", "joints3d"),
]


pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A sweep's configuration; everything that it names is on disk."""
    at = tmp_path_factory.mktemp("sweep")
    for name, seed in (("val", 1), ("test", 2)):
        records.write(at / f"{name}.npz", tiny.annotations(seed=seed, off=0.3))
    np.savez(at / "residuals.npz", covariance=0.04 * np.eye(82))
    keypoint_hmr.save(at / "frontend.npz", keypoint_hmr.init(jax.random.key(0), width=8))
    guided = config.Guidance(strength=1.0, rounds=2)
    body = tiny.write_body(at / "body.npz")
    return config.Run(
        data=config.Data("demo", str(at / "val.npz"), str(at / "test.npz"), body),
        search=config.Search(max_step=LAST, patience=1),
        guided=config.Guided(guided, guided, guided),
        parts=config.Parts(
            denoiser=tiny.write_model(at / "denoiser.npz", "rotmat226"),
            prior=tiny.write_model(at / "prior.npz"),
            residuals=str(at / "residuals.npz"),
            frontend=str(at / "frontend.npz"),
        ),
    )


@pytest.fixture(scope="module")
def parts(run, tmp_path_factory):
    return sweep.load_parts(run, tmp_path_factory.getbasetemp(), records.read(run.data.test))


@pytest.fixture(scope="module")
def swept(run, parts, tmp_path_factory):
    """(working directory, what was returned, what was printed)"""
    workdir, said = tmp_path_factory.mktemp("out") / "new", io.StringIO()
    with contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as patch:
        # Loaded once: what is compiled for a denoiser serves the other tests too.
        patch.setattr(sweep, "load_parts", lambda *args: parts)
        summaries = sweep.sweep(run, workdir)
    return workdir, summaries, said.getvalue()


def problem(parts, path, kinds=annotate.KINDS):
    return choosing.make_problem(parts.judge, records.read(path), kinds, path)


def scores(workdir, name, field):
    with np.load(workdir / "sweep.npz") as arrays:
        return arrays[f"{name}/{field}"]


def test_the_rows_are_there_in_order(swept):
    _, summaries, said = swept
    found = [(s["name"], s["sees"]) for s in summaries]
    assert [(name.rstrip(" 0123456789"), sees) for name, sees in found] == [
        (name.rstrip(" 0123456789"), sees) for name, sees in ROWS
    ]
    head, *lines = said.splitlines()
    assert head.startswith("7 people in 4 sequences: ")
    for line, (name, sees) in zip(lines[2:], found):
        assert line.startswith(name)
        assert line[len(name) :].split()[: len(sees.split())] == sees.split()
    assert "Oracle minus control" in said


def test_the_files_say_what_the_table_says(swept, run):
    workdir, summaries, said = swept
    assert (workdir / "sweep.txt").read_text() in said
    names = {"sweep.json", "sweep.npz", "sweep.txt", "loss_against_step.png", "bodies.png"}
    assert {path.name for path in workdir.iterdir()} == names
    for name in ("loss_against_step.png", "bodies.png"):
        assert (workdir / name).read_bytes()[:4] == b"\x89PNG"
    facts = json.loads((workdir / "sweep.json").read_text())
    assert facts["run"]["search"]["max_step"] == LAST
    assert [row["name"] for row in facts["rows"]] == [s["name"] for s in summaries]
    for s in summaries:
        per_person = scores(workdir, f"{s['name']}, {s['sees']}", "pa_mpjpe_mm")
        assert per_person.shape == (7,)
        np.testing.assert_allclose(per_person.mean(), s["pa_mpjpe_mm"])
    with np.load(workdir / "sweep.npz") as arrays:
        assert arrays["curve"].shape == (7, LAST + 1)


def test_a_finished_sweep_stays_unless_it_is_to_be_replaced(swept, run):
    workdir, _, _ = swept
    before = (workdir / "sweep.json").read_bytes()
    with pytest.raises(
        ValueError, match=r"sweep.json: a finished .*sweep.txt.*--workdir.*--overwrite"
    ):
        sweep.sweep(run, workdir)
    assert (workdir / "sweep.json").read_bytes() == before


def test_no_oracle_is_worse_than_the_estimate(swept):
    workdir, _, _ = swept
    estimate = scores(workdir, "estimate, -", "pa_mpjpe_mm")
    for name in ("paper, ORACLE", "control, random moves", "control, another's moves"):
        chosen = scores(workdir, f"{name}, the truth", "pa_mpjpe_mm")
        assert np.all(chosen <= estimate + 1e-3), name
    # Honest rows know no such thing; else the rows could all be the same.
    assert len({s["pa_mpjpe_mm"] for s in swept[1]}) > 8


def test_who_chooses_by_2d_is_no_worse_in_2d(swept):
    workdir, _, _ = swept
    estimate = scores(workdir, "estimate, -", "image_px")
    assert np.all(scores(workdir, "paper, chosen by 2D, labels", "image_px") <= estimate + 1e-2)


def test_the_fixed_step_has_the_least_mean_error_on_validation(swept, run, parts):
    held_out = problem(parts, run.data.val)
    searcher = choosing.make_searcher(
        parts, held_out.annotations, annotate.KINDS, run.search, fixed=0
    )
    curve = choosing.search_all(searcher, held_out)[0].curve
    assert np.isfinite(curve).all()
    wanted = int(np.argmin(curve.mean(0)))
    (name,) = (s["name"] for s in swept[1] if "fixed" in s["name"])
    assert name == f"paper, fixed step {wanted}"
    with np.load(swept[0] / "sweep.npz") as arrays:
        np.testing.assert_array_equal(arrays["step/fixed"], wanted)


def test_a_fixed_step_is_that_of_the_mean_and_may_be_the_input():
    assert choosing.best_fixed_step(np.array([[5.0, 1.0, 4.0], [5.0, 9.0, 4.0]])) == 2
    assert choosing.best_fixed_step(np.array([[1.0, 2.0], [1.0, 0.5]])) == 0
    unknown = np.array([[5.0, np.nan, 1.0], [5.0, 4.0, 9.0], [np.inf] * 3])
    assert choosing.best_fixed_step(unknown) == 1
    assert choosing.best_fixed_step(unknown[::2]) == 0


def test_the_oracle_is_algorithm_1(swept, run, parts):
    """As `methods.diffannot` runs it: the same noise, steps and people."""
    workdir, _, _ = swept
    known = problem(parts, run.data.test)
    prior, layout, _ = parts.denoiser
    a = known.annotations
    keypoints = annotate.keypoints_of(run.data.body, parts.kit.model, a, "joints3d")
    error = diffannot.joint_error(parts.judge.joints, prior.normaliser, layout, evaluate.JOINTS)

    def work(estimate, evidence, joints):
        how = {"max_step": LAST, "patience": 1, "key": jax.random.key(0)}
        return diffannot.paper(
            estimate, evidence, keypoints, prior, error, context={"joints3d": joints}, **how
        )

    refined, found = jax.jit(work)(known.estimate, known.evidence["joints3d"], known.truth.joints)
    with np.load(workdir / "sweep.npz") as arrays:
        np.testing.assert_array_equal(arrays["step/oracle"], found.step)
        np.testing.assert_array_equal(arrays["stop"], found.stop)
        seen = np.isfinite(found.curve)
        np.testing.assert_allclose(arrays["curve"][seen], found.curve[seen], rtol=1e-3, atol=1e-2)
    assert len(np.unique(found.step)) > 1  # Else the search chose nothing.
    ours = evaluate.score(parts.judge, refined.pose, known.truth)
    theirs = scores(workdir, "paper, ORACLE, the truth", "pa_mpjpe_mm")
    np.testing.assert_allclose(ours.pa_mpjpe_mm, theirs, rtol=1e-3, atol=1e-2)


def test_a_stopped_sweep_goes_on_and_pieces_do_not_show(run, parts, tmp_path, monkeypatch, capsys):
    people = 70  # A piece of 64 and one of 6.
    records.write(tmp_path / "test.npz", tiny.annotations(people, seed=3, off=0.3))
    data = dataclasses.replace(run.data, val="", test=str(tmp_path / "test.npz"))
    run = dataclasses.replace(run, data=data)
    monkeypatch.setattr(sweep, "load_parts", lambda *args: parts)
    sweep.sweep(run, tmp_path / "whole", annotate.KINDS[:1], rows=128)
    finish, finished = jobs.finish, []

    def stop_later(job, index, arrays, note):
        if index == 1 and len(finished) == 1:
            raise KeyboardInterrupt
        finished.append(index)
        finish(job, index, arrays, note)

    monkeypatch.setattr(jobs, "finish", stop_later)
    again = functools.partial(sweep.sweep, run, tmp_path / "pieces", annotate.KINDS[:1], rows=64)
    with pytest.raises(KeyboardInterrupt, match=r"stopped after 64 of 70 people, .*goes on"):
        again()
    assert not (tmp_path / "pieces" / "sweep.npz").exists()
    other = dataclasses.replace(run, search=dataclasses.replace(run.search, max_step=3))
    with pytest.raises(ValueError, match=r"search.max_step 4 then, 3 now; remove .*--workdir"):
        sweep.sweep(other, tmp_path / "pieces", annotate.KINDS[:1])
    finished.append("the first time")
    again()
    assert finished == [0, "the first time", 1]
    with (
        np.load(tmp_path / "whole/sweep.npz") as whole,
        np.load(tmp_path / "pieces/sweep.npz") as pieces,
    ):
        assert whole.files == pieces.files
        for name in whole.files:
            assert whole[name].shape[0] == people
            np.testing.assert_array_equal(pieces[name], whole[name], err_msg=name)
    assert not (tmp_path / "pieces" / "sweep").exists()
    finished[:] = ["anew"]
    again(overwrite=True)
    assert finished == ["anew", 0, 1]


def test_who_has_no_finite_error_keeps_the_estimate_and_is_reported(run, parts):
    known = problem(parts, run.data.test)
    joints = np.array(known.truth.joints)
    joints[2] = np.nan
    known = known._replace(truth=known.truth._replace(joints=joints))
    searcher = choosing.make_searcher(parts, known.annotations, annotate.KINDS, run.search, 0)
    found, _ = choosing.search_all(searcher, known)
    assert found.steps["oracle"][2] == 0
    kept = found.chosen["oracle"].rotations[2], found.chosen["oracle"].betas[2]
    np.testing.assert_array_equal(kept[0], known.estimate.rotations[2])
    np.testing.assert_array_equal(kept[1], known.estimate.betas[2])
    errors = {f"error/{name}": error for name, error in found.errors.items()}
    arrays = {"curve": found.curve, "stop": found.stop} | errors
    said = report.explain(contest.Result(arrays, [], {}), True, "pa_mpjpe", 1.0)
    assert said.endswith("\n1 of 7 people have no finite error; they keep their estimate.")
    assert "nan" not in said


def test_a_set_that_nothing_is_known_of_is_refused(run, tmp_path):
    known = ("pose", "betas", "keypoints2d", "labels2d", "keypoints3d")
    records.write(tmp_path / "bare.npz", tiny.without(tiny.annotations(), *known))
    bare = dataclasses.replace(
        run, data=dataclasses.replace(run.data, test=str(tmp_path / "bare.npz"))
    )
    with pytest.raises(
        ValueError, match=r"bare.npz: fields pose, .*: wanted something to judge by, found nothing"
    ):
        sweep.sweep(bare, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_error_in_pixels_needs_pixels(run, tmp_path):
    blind = tiny.without(tiny.annotations(), "keypoints2d", "labels2d")
    records.write(tmp_path / "blind.npz", blind)
    data = dataclasses.replace(run.data, test=str(tmp_path / "blind.npz"))
    search = dataclasses.replace(run.search, error="reprojection")
    with pytest.raises(
        ValueError, match=r"blind.npz: field labels2d: wanted 2D keypoints .*search.error"
    ):
        sweep.sweep(dataclasses.replace(run, data=data, search=search), tmp_path / "out")


def test_a_run_without_a_test_set_is_refused(run, tmp_path):
    nothing = dataclasses.replace(run, data=dataclasses.replace(run.data, test=""))
    with pytest.raises(ValueError, match=r"data.test: .*pass --data.test"):
        sweep.sweep(nothing, tmp_path)
