"""What rows are worth without the truth: in the table, in the file that travels, and in what refine.py makes of it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import test_methods_table
import tiny

from diffjax import config, refine
from diffjax.comparison import command, telling
from diffjax.confidence import files
from diffjax.data import records
from diffjax.methods.keypoint_noise import ASSUMED

pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A body, a frontend's residuals, and people with labels."""
    folder = tmp_path_factory.mktemp("people")
    tiny.write_body(folder / "body.npz")
    np.savez(folder / "residuals.npz", covariance=0.01 * np.eye(82))
    for name, people in (("test", tiny.annotations(9)), ("val", tiny.annotations(8, seed=5))):
        records.write(folder / f"{name}.npz", tiny.without(people, "keypoints2d", "keypoints3d"))
    names = (str(folder / f"{name}.npz") for name in ("val", "val", "test", "body"))
    parts = config.Parts(residuals=str(folder / "residuals.npz"))
    return config.Run(name="no such run", data=config.Data(*names), parts=parts)


@pytest.fixture(scope="module")
def table(run, tmp_path_factory):
    """The table of `fast` with its quality, and the folder."""
    out = tmp_path_factory.mktemp("worth") / "out"
    asked = {"quality": "full", "max_harm": 0.05, "calibrate": (run.data.test,)}
    found = test_methods_table.compare(run, out, "fast", **asked)
    return found, out


def test_who_is_judged_by_his_own_pose_is_told(run, table):
    found, _ = table
    assert found["warnings"][-1].startswith(f"WARNING: {run.data.val}: the true poses of 8 of 8")
    assert not any(f"{run.data.test}: the true" in x for x in found["warnings"])


def row_of(found, kind, gated=False):
    rows = [row for row in found["rows"] if (row["method"], row["evidence"]) == ("fast", kind)]
    return rows[gated]


def test_every_row_says_how_well_it_knows_itself(table):
    found, out = table
    row = row_of(found, "labels")
    quality = row["quality"]
    assert {"spearman_error", "spearman_gain", "aurc_share", "aurc_mm", "regret_mm"} < set(quality)
    assert quality["told_by"] == 17
    good, bad = quality["keypoints_px"]
    assert 0 < good <= bad < 0.2  # They are exact.
    assert (
        next(row for row in found["rows"] if row["evidence"] is None)["quality"]["keypoints_px"]
        is None
    )
    coverage, risk = np.array(quality["curve"]).T
    assert coverage[-1] == 1.0
    assert risk[-1] == pytest.approx(row["pa_mpjpe_mm"])
    arrays = np.load(out / row["people"])
    assert np.isfinite(arrays["quality/expected_pa_mpjpe_mm"]).all()
    for name in ("flip_mm", "restart_mm", "held_out_after", "spread_mm_after", "surprise"):
        assert (arrays[f"quality/{name}"] > 0).all()
    estimate = next(row for row in found["rows"] if row["method"] == "estimate")
    assert np.isfinite(estimate["quality"]["aurc_mm"])


def test_a_gated_row_stands_beside_its_own_with_a_command(run, table):
    found, _ = table
    own, mild = (row_of(found, "labels", gated) for gated in (False, True))
    assert mild["name"] == "fast, gated, aim 5 %"
    assert mild["harmed"] <= own["harmed"]
    assert f"--quality-from {own['quality']['file']} --max-harm 0.05" in mild["command"]
    assert mild["command"].endswith(f" --parts.poses {run.data.train}")
    assert "quality" not in mild
    whole = own["pa_change_mm"]
    assert mild["gain_kept"] == pytest.approx(mild["pa_change_mm"] / whole)


def refined(run, table, tmp_path, kind="labels", **how):
    found, _ = table
    told = Path(row_of(found, kind)["quality"]["file"])
    asked = dataclasses.replace(run, mode="fast")
    out = tmp_path / "better.npz"
    said = refine.refine_file(asked, run.data.test, out, kind=kind, quality_from=told, **how)
    with np.load(tmp_path / "better_quality.npz") as arrays:
        return records.read(out), dict(arrays), said


def test_refine_expects_of_each_row_what_the_table_expected(run, table, tmp_path):
    found, out = table
    better, quality, _ = refined(run, table, tmp_path, rows=3)
    people_file = np.load(out / row_of(found, "labels")["people"])
    names = "flip_mm", "restart_mm", "moved_mm", "rivals_mm", "rivals_misfit"
    for name in ("expected_pa_mpjpe_mm", "expected_gain_mm", *names):
        np.testing.assert_allclose(
            quality[name], people_file[f"quality/{name}"], rtol=2e-3, atol=1e-2
        )
    assert quality["refined"].all()
    assert np.abs(better.pred_pose - records.read(run.data.test).pred_pose).max() > 1e-3


def test_max_harm_leaves_alone_whom_the_gate_refuses_and_without_it_nobody(run, table, tmp_path):
    found, out = table
    file = row_of(found, "labels")["quality"]["file"]
    told = files.load(file)
    # Nobody of the calibration is promised anything below the middle score of those who are refined now.
    score = np.load(out / row_of(found, "labels")["people"])["quality/gain_score"]
    cut = float(np.median(score))
    change = np.tile([[5.0], [-5.0]], len(told.shares))
    two = {"sequence": np.zeros(2), "change_mm": change}
    harsh = told._replace(held_out_gain=np.array([cut, cut + 1.0]), **two)
    files.save(tmp_path / "harsh.npz", harsh)
    asked, a = dataclasses.replace(run, mode="fast"), records.read(run.data.test)
    how = {"kind": "labels", "quality_from": tmp_path / "harsh.npz"}
    refine.refine_file(asked, run.data.test, tmp_path / "gated.npz", max_harm=0.1, **how)
    gated = records.read(tmp_path / "gated.npz")
    with np.load(tmp_path / "gated_quality.npz") as arrays:
        kept = arrays["refined"] > 0
        expected = arrays["expected_pa_mpjpe_mm"]
    free, quality, _ = refined(run, table, tmp_path)
    np.testing.assert_array_equal(kept, score > cut)
    for field in ("pred_pose", "pred_betas", "pred_cam_t"):
        came, whole, found_ = (getattr(x, field) for x in (a, free, gated))
        np.testing.assert_array_equal(found_[~kept], came[~kept])
        np.testing.assert_array_equal(found_[kept], whole[kept])
    wanted = quality["expected_pa_mpjpe_mm"] + np.where(kept, 0, quality["expected_gain_mm"])
    np.testing.assert_allclose(expected, wanted, rtol=1e-5)


def test_a_gate_may_let_everybody_go_half_of_the_way(run, table, tmp_path):
    found, _ = table
    told = files.load(row_of(found, "labels")["quality"]["file"])
    change = np.stack([np.where(told.shares == 0.5, x, 5.0) for x in (0.9, -5.0)])
    two = {"sequence": np.zeros(2), "change_mm": change}
    half = told._replace(held_out_gain=np.array([1.0, 2.0]), **two)
    files.save(tmp_path / "half.npz", half)
    asked, a = dataclasses.replace(run, mode="fast"), records.read(run.data.test)
    how = {"kind": "labels", "quality_from": tmp_path / "half.npz", "max_harm": 0.0}
    refine.refine_file(asked, run.data.test, tmp_path / "half_way.npz", **how)
    free, quality, _ = refined(run, table, tmp_path)
    met = records.read(tmp_path / "half_way.npz")
    np.testing.assert_allclose(met.pred_betas, 0.5 * (a.pred_betas + free.pred_betas), atol=1e-5)
    with np.load(tmp_path / "half_way_quality.npz") as arrays:
        np.testing.assert_array_equal(arrays["refined"], 0.5)
        wanted = quality["expected_pa_mpjpe_mm"] + 0.5 * quality["expected_gain_mm"]
        np.testing.assert_allclose(arrays["expected_pa_mpjpe_mm"], wanted, rtol=1e-4)


def test_a_calibration_of_something_else_is_refused(run, table, tmp_path):
    told, out = Path(row_of(table[0], "labels")["quality"]["file"]), tmp_path / "x.npz"
    with pytest.raises(ValueError, match=r"--quality-from .*mode d3prefiner"):
        refine.refine_file(run, run.data.test, out, mode="d3prefiner", quality_from=told)
    other = dataclasses.replace(run.guided.labels, map_weight=9.0)
    changed = dataclasses.replace(run, guided=dataclasses.replace(run.guided, labels=other))
    with pytest.raises(ValueError, match="of settings map_weight 9"):
        refined(changed, table, tmp_path)
    strange = dataclasses.replace(run.parts, poses=run.data.test)
    with pytest.raises(ValueError, match="field poses: wanted the known poses that it was made"):
        refined(dataclasses.replace(run, parts=strange), table, tmp_path)
    with pytest.raises(ValueError, match="--max-harm: wanted a calibration"):
        refine.refine_file(run, run.data.test, out, kind="labels", max_harm=0.1)
    with pytest.raises(ValueError, match="--max-harm: wanted a share from 0 to 1, got 5"):
        command._trust(run, command.Asked(max_harm=5.0), "frames")


def test_how_keypoints_err_is_learned_where_the_truth_has_place_and_camera(run):
    a = tiny.annotations(40)
    off = np.random.default_rng(0).normal(0, 6.0, (*a.labels2d.shape[:2], 2))
    noisy = a.labels2d.copy()
    noisy[..., :2] += off
    noisy[3, :5] = 0.0
    a = dataclasses.replace(a, labels2d=noisy)
    image = tiny.keypoint_models().image

    def learned(**changes):
        changed = dataclasses.replace(a, **changes)
        return telling._noise([test_methods_table.crowd(run, changed)], "labels", image)

    seen = noisy[..., 2] > 0
    share = np.mean(off[seen] ** 2)
    bad = 1 / (1 + np.exp(learned().doubt[1] - learned().doubt[0]))
    good_px, bad_px = learned().px.astype(float)
    assert (1 - bad) * good_px**2 + bad * bad_px**2 == pytest.approx(share, rel=0.01)
    nowhere = np.where(np.arange(40)[:, None] < 4, 0.0, a.cam_t)  # As an unknown place is kept.
    np.testing.assert_allclose(learned(cam_t=nowhere).px, learned().px, rtol=0.1)
    other = noisy.copy()
    other[5:7, :, :2] += 5e3
    np.testing.assert_allclose(learned(labels2d=other).px, learned().px, rtol=0.1)
    assert learned(cam_t=None) is ASSUMED
    assert learned(cam_t=0 * a.cam_t) is ASSUMED
    assert learned(gender=np.full(40, "male")) is ASSUMED


def test_nobody_tells_where_nobody_knows_the_truth(run, tmp_path):
    asked = {"quality": "cheap", "val": "none"}
    found = test_methods_table.compare(run, tmp_path / "out", "estimate", **asked)
    assert all("quality" not in row for row in found["rows"])
