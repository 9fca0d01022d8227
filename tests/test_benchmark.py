"""The benchmarks' own arithmetic, and that the search's contenders compute the same thing. Nothing is timed."""

import json

import numpy as np
import pytest

from diffjax.benchmarks import report, search, timing
from diffjax.benchmarks.timing import Row, Timing


def timed(*rounds):
    low, median, high = np.quantile(rounds, [0.25, 0.5, 0.75])
    return Timing(float(median), float(low), float(high), np.asarray(rounds))


def test_a_ratio_pairs_the_calls_of_a_round():
    """The second round is slow for all."""
    assert timing.ratio(timed(1.0, 10.0, 2.0), timed(3.0, 30.0, 6.0)) == 3.0


def test_rows_are_seconds_an_item_and_ratios_to_the_first():
    times = {"ours": timed(2.0), "peer": timed(3.0)}
    items = {"ours": 20.0, "peer": 5.0}
    first, second = timing.rows_of(
        "case", times, items=items, item="step", flops=10.0, ceiling=200.0, notes={"peer": "cut"}
    )
    assert (first.seconds, first.ratio, first.share) == (0.1, None, 0.5)
    assert first.gflops == pytest.approx(1e-7)
    assert second.seconds == pytest.approx(0.6)
    assert second.ratio == pytest.approx(6.0)
    assert (first.note, second.note) == ("", "cut")


def test_contenders_take_turns():
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = timing.interleaved(contenders, rounds=3, least=0.0)
    assert "".join(calls).endswith("ababab")
    assert all(len(timing.rounds) == 3 for timing in times.values())


def row(name, ratio):
    return Row("case", name, 1.0, ratio=ratio)


@pytest.mark.parametrize(("ratio", "fallen"), [(1.6, 0), (1.4, 1), (None, 1), (9.0, 0)])
def test_a_ratio_may_fall_by_a_quarter(tmp_path, ratio, fallen):
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"search": {"case | peer": 2.0}, "body": {"other": 9.0}}))
    rows = [row("ours", None), row("peer", ratio)]
    assert len(report.compare("search", rows, baseline)) == fallen
    # Where nothing can be compared, the gate is shut.
    assert len(report.compare("body", rows, baseline)) == 1


def test_the_committed_baseline_names_ratios():
    wanted = json.loads(report.BASELINE.read_text())
    assert set(wanted) <= {"search", "body", "train", "scorehmr", "d3prefiner"}
    assert all(ratio > 0 for ratios in wanted.values() for ratio in ratios.values())


def test_a_run_is_printed_written_and_gated(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(search, "run", lambda quick: iter([row("ours", None), row("peer", 1.5)]))
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"search": {"case | peer": 4.0}}))
    monkeypatch.setattr(report, "BASELINE", baseline)
    out = tmp_path / "rows.json"
    assert report.main("search", json=out, gate=True) == 1
    assert "wanted at least 3, got 1.5" in capsys.readouterr().err
    assert [r["name"] for r in json.loads(out.read_text())["rows"]] == ["ours", "peer"]


def test_the_searchs_contenders_agree_and_are_all_measured():
    """Peers whose curve is not ours raise."""
    rows = list(search.exhaustive(226, 2, 6, rounds=1, slots=64))
    names = {r.name for r in rows}
    assert {"diffjax", search.PLAIN, search.AUTHORS} < names
    assert all(r.seconds > 0 for r in rows if not r.name.startswith("ceiling"))
    assert rows[0].note.startswith("same curves")


def test_the_authors_way_stops_where_ours_does():
    setting = search.make_setting(226, 8)
    setting = setting._replace(target=search.realistic(8, setting))
    found, _ = search.ours(setting.denoiser, setting.x, setting.target, max_step=100, patience=3)
    peers = search._peers()
    theirs = search._torch_of(peers, setting, 100)
    target = peers.torch.from_numpy(np.array(setting.target))
    curves = peers.sequential(
        theirs.step_by_step, theirs.x[:3],
        lambda x, i: float((x - target[i]).square().mean().sqrt()), 100, 3,
    )  # fmt: skip
    assert [len(curve) - 1 for curve in curves] == list(np.asarray(found.stop[:3]))
    for ours, curve in zip(np.asarray(found.curve), curves):
        np.testing.assert_allclose(ours[: len(curve)], curve, atol=1e-5)
