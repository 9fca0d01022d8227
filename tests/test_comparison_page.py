"""The page of the table: whole, small, asks nobody for anything, and says of every row what is known of it."""

import html.parser
import json
import re

import numpy as np
import pytest

from diffjax.comparison import answer_words, answers, bounds, page, page_rows, words
from diffjax.markup import charts

VOID = {"meta", "br", "wbr", "img"}


class Reader(html.parser.HTMLParser):
    """Finds tags that are left open, and everything that a page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.said = [], [], []

    def handle_starttag(self, tag, attrs):
        self.open += [tag] * (tag not in VOID)
        self.loads += [
            value for name, value in attrs if name in ("src", "href", "srcset", "action")
        ]
        assert tag not in ("script", "link", "iframe", "object", "base", "form")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open = self.open[: len(self.open) - (tag not in VOID)]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


def read(text):
    """What a reader sees, on one line. Fails where the page is not whole, or not alone."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert reader.loads == []
    assert not re.search(r"url\(|@import|https?://", text)
    return " ".join(" ".join(reader.said).split())


def row(method, pa, evidence=None, honest=True, command="do", harmed=0.02, **more):
    known = None if pa is None else pa - 70.0
    return {
        "method": method, "name": method, "evidence": evidence, "sees": evidence or "-", "honest": honest,
        "command": f"python scripts/refine.py --{method} {command}" if command else None,
        "people": f"people/{method}.npz", "settings": {"strength": 4.0}, "mpjpe_mm": 100.0, "pa_mpjpe_mm": pa,
        "rotation_deg": 10.0, "root_deg": 9.0, "pve_mm": 101.0, "image_px": 5.0, "pa_change_mm": known,
        "pa_change_95": [None, None] if known is None else [known - 1, known + 1],
        "rotation_change_deg": -1.0, "rotation_change_95": [-1.5, -0.5], "improved": 0.8, "harmed": harmed,
        "pa_p95_mm": 120.0, "ms_per_frame": 3.25,
    } | more  # fmt: skip


def counts(people=12, **more):
    return {
        "people": people, "judged": people, "with_truth": people, "truth_not_finite": 1,
        "with_evidence": {"labels": people - 2}, "sequences": 3, "without_sequence": 2, "use": "video", "groups": 4,
        "groups_of_one": 1,
    } | more  # fmt: skip


def result(*rows, **more):
    one = {"name": "test.npz", "counts": counts(), "described": "12 people", "source": ""}
    return {
        "format": 1, "finished": True, "device": "cpu", "facts": {}, "rows": list(rows), "seconds": 12.0,
        "sets": {"test": one, "val": one | {"name": "val.npz"}}, "seed": 3, "tuning": "quick", "warnings": [],
        "command": "python scripts/evaluate.py --data test.npz", "sweeps": [],
    } | more  # fmt: skip


ESTIMATE = row("estimate", 70.0, command="")
TABLE = (
    ESTIMATE,
    row("guided", 45.0, "labels", harmed=0.2),
    row("gentle", 50.0, "labels", harmed=0.03),
    row("best", 40.0, "labels", command=""),
    row("hopeless", 69.5, "detections"),
    row("paper, ORACLE", 60.0, honest=False, command="", sees="the truth"),
    row("control, random moves", 59.0, honest=False, command="", sees="the truth"),
    {"method": "ik", "evidence": None, "name": "ik", "sees": "-", "left_out": "needs 3D joints"},
)  # fmt: skip


def test_a_page_holds_every_row_and_loads_nothing():
    text = page.page(result(*TABLE))
    said = read(text)
    for one in TABLE:
        assert one["name"] in said
    assert "needs 3D joints" in said
    assert said.index("guided") < said.index("ORACLE")
    assert page.page(json.loads(json.dumps(result(*TABLE)))) == text
    assert len(text) < 60_000
    sizes = [int(x) for x in re.findall(r"font(?:-size)?:(\d+)px", text)]
    assert min(sizes) >= 14


def test_names_are_text_and_never_tags():
    bad = '<img src="x" onerror="alert(1)">&'
    one = {"name": bad, "counts": counts(), "described": bad, "source": bad}
    rows = [row(bad, 40.0, "labels", command=bad), ESTIMATE | {"name": bad}]
    rows.append({"method": bad, "evidence": bad, "name": bad, "sees": bad, "left_out": bad})
    sweep = swept(axis=bad, title=bad, unit=bad, told=bad, data=bad, judged=[3], command=bad)
    sweep["lines"][1]["name"] = bad
    more = {
        "sets": {"test": one},
        "command": bad,
        "note": bad,
        "warnings": [bad],
        "sweeps": [sweep],
        "device": bad,
    }
    text = page.page(result(*rows, **more))
    assert bad in read(text)
    assert "<img" not in text


def test_rows_without_numbers_are_dashes():
    nothing = dict.fromkeys(
        (
            "mpjpe_mm",
            "rotation_deg",
            "root_deg",
            "pve_mm",
            "image_px",
            "improved",
            "harmed",
            "pa_p95_mm",
            "ms_per_frame",
        )
    )
    empty = row("blank", None, "labels", **nothing) | {"rotation_change_95": [None, None]}
    said = read(page.page(result(ESTIMATE, empty)))
    assert "blank" in said
    assert "nan" not in said.lower()
    assert "None" not in said


def test_without_truth_no_row_is_advised():
    flat = {"test": {"name": "flat.npz", "counts": counts(with_truth=0), "source": ""}}
    rows = [row("estimate", None, command=""), row("guided", None, "labels")]
    said = read(page.page(result(*rows, sets=flat)))
    assert "Nobody's 3D truth is known" in said
    assert "beside the estimates" not in said
    assert "Nobody's truth was there to choose settings by" in said


@pytest.mark.parametrize("found", [{}, {"rows": []}, result(), result(*TABLE, sets=None)])
def test_a_page_of_less_is_whole_too(found):
    read(page.page(found))


def test_the_answer_is_the_best_row_that_has_a_command_and_saw_no_truth():
    found = {answer.kind: answer for answer in answers.answers(TABLE)}
    assert set(found) == {"labels", "detections"}
    labels, detections = found["labels"], found["detections"]
    assert labels.row is not None
    assert labels.careful is not None
    assert detections.doubted is not None
    assert labels.row["name"] == "guided"
    assert labels.careful["name"] == "gentle"
    assert [one["name"] for one in labels.beyond] == ["best"]
    assert detections.row is None  # Its interval holds 0.
    assert detections.doubted["name"] == "hopeless"
    assert "leave the estimates alone" in answer_words.verdict(detections)
    advice = answer_words.kept(TABLE)
    assert advice["labels"] | {n: TABLE[1][n] for n in ("name", "command")} == advice["labels"]
    assert advice["detections"]["command"] is None
    said = "\n".join(answer_words.words(TABLE, 12))
    assert "PA-MPJPE 70.0 -> 45.0 mm (-36 %; change -26.0 to -24.0 mm)" in said
    assert "20 % of people get worse" in said
    assert TABLE[1]["command"] in said
    assert TABLE[2]["command"] in said
    assert TABLE[4]["command"] not in said
    shown = read(page.page(result(*TABLE)))
    for line in (answer_words.gain(TABLE[1], ESTIMATE), answer_words.harm(TABLE[2], ESTIMATE)):
        assert line in said
        assert line in shown


def test_who_leans_on_the_estimator_judged_here_has_one_beside_that_does_not():
    errors = row("combined", 40.0, "detections", command="combined")
    other = row("scorehmr", 45.0, "detections", command="scorehmr")
    answer, said = weighed(errors, other)
    assert answer.row is errors
    assert answer.foreign is other
    assert "another estimator's estimates" in said
    assert other["command"] in said
    assert other["command"] in read(page.page(result(ESTIMATE, errors, other)))
    answer, said = weighed(other, row("fast", 50.0, "detections"))
    assert answer.row is other
    assert answer.foreign is None
    assert "another estimator's estimates" not in said


def weighed(*rows):
    """The answer for detections."""
    (answer,) = answers.answers([ESTIMATE, *rows])
    return answer, "\n".join(answer_words.words([ESTIMATE, *rows], 12))


@pytest.mark.parametrize(
    ("gain", "harmed", "sound"),
    [(1.7, 0.42, False), (1.7, 0.06, False), (1.7, 0.05, True), (20.0, 0.33, True), (20.0, 0.34, False)],
)  # fmt: skip
def test_little_gain_may_harm_few_and_no_gain_makes_up_for_a_third_harmed(gain, harmed, sound):
    pair = [-gain - 0.3, -gain + 0.3]
    one = row("guided", 70.0 - gain, "detections", harmed=harmed, pa_change_95=pair)
    answer, said = weighed(one)
    assert (answer.row is one) == sound
    assert ("leave the estimates alone" in said) == (not sound)
    assert (one["command"] in said) == sound
    assert (f"makes {100 * harmed:.0f} % of people worse" in said) == (not sound)
    told = "To harm fewer: this table again with --methods guided --max-harm 0.05"
    assert (told in said) == (harmed > 0.05)
    shown = read(page.page(result(ESTIMATE, one)))
    assert ("eave the estimates alone: the best row with a command, guided," in shown) != sound
    assert (told in shown) == (told in said)


def test_a_row_that_harms_too_many_gives_way_to_one_that_does_not():
    harsh, mild = (row(n, pa, "detections", harmed=h) for n, pa, h in
                   (("harsh", 50.0, 0.5), ("mild", 60.0, 0.2)))  # fmt: skip
    answer, said = weighed(harsh, mild)
    assert (answer.row, answer.doubted) == (mild, harsh)
    assert "harsh had 50.0 mm and is not advised: it takes 29 % off PA-MPJPE" in said
    assert harsh["command"] not in said


def test_rows_without_a_command_are_named_and_nobody_is_told_that_nothing_helps():
    _, said = weighed(row("chain", 50.0, "detections", command=""))
    assert "leave the estimates alone" not in said
    assert "no row with a command" in said
    assert "chain had 50.0 mm" in said
    _, said = weighed(row("chain", 69.5, "detections", command=""))
    assert "leave the estimates alone" in said


def test_a_gate_in_the_table_is_what_harms_fewer():
    whole = row("guided", 68.0, "detections", harmed=0.4, pa_change_95=[-2.5, -1.5])
    gated = row("gated", 69.0, "detections", harmed=0.04, pa_change_95=[-1.5, -0.5], max_harm=0.05)
    answer, said = weighed(whole, gated)
    assert (answer.row, answer.doubted) == (gated, whole)
    assert "this table again" not in said
    fine = whole | {"pa_mpjpe_mm": 55.0, "pa_change_mm": -15.0, "harmed": 0.2}
    assert weighed(fine, gated)[0].careful is gated
    over = gated | {"harmed": 0.09, "pa_change_mm": -9.0, "pa_mpjpe_mm": 61.0}
    assert weighed(fine, over)[0].careful is over  # It was to harm 5 %, and harms fewer.
    assert weighed(over)[0].careful is None


def test_who_saw_the_truth_stands_beside_what_its_controls_gain():
    seen = {"honest": False, "command": "", "sees": "the truth"}
    rows = [
        row("paper", pa, **seen) | {"name": name}
        for name, pa in (("paper, ORACLE", 60.0), ("control, random moves", 59.0))
    ]
    (said,) = bounds.words([ESTIMATE, *rows])
    assert "(-10.0 mm)" in said
    assert "-11.0 (random moves). Choosing by the truth explains all of its gain." in said
    assert bounds.kept(rows)[0]["beyond_mm"] == -1.0
    rows[1]["pa_change_mm"] = -7.5
    (said,) = bounds.words(rows)
    assert "At most 2.5 mm of its gain" in said
    assert said in read(page.page(result(ESTIMATE, *rows)))
    (alone,) = bounds.words([row("ik, ORACLE", 10.0, **seen)])
    assert alone.endswith("It has no control.")


def test_evidence_that_a_row_chose_by_is_its_kind():
    chosen = row("paper, chosen by 2D", 60.0, command="", sees="labels")
    (answer,) = answers.answers([ESTIMATE, chosen])
    assert answer.kind == "labels"
    titles = [title for title, _ in page_rows.groups([ESTIMATE, chosen])]
    assert titles == ["", "with 2D labels"]


def swept(values=(0.0, 10.0), **more):
    count = len(values)
    one = {
        "settings": [None] * count,
        "pa_change_95": [[-2.0, -1.0]] * count,
        "harmed": [0.5] * count,
    }
    errors = [40.25 + 2 * i for i in range(count)]
    lines = [
        {"name": name, "method": name, "evidence": kind, "pa_mpjpe_mm": list(errors)} | one
        for name, kind in (("estimate", None), ("guided", "labels"))
    ]
    lines.append({"name": "ik", "method": "ik", "evidence": None, "left_out": "needs 3D joints"})
    return {
        "axis": "noise",
        "title": "keypoint noise",
        "unit": "px",
        "values": list(values),
        "lines": lines,
    } | more


@pytest.mark.parametrize("values", [(0.0, 10.0), ("weak", "strong"), (4,)])
def test_a_sweep_is_drawn_with_its_numbers(values):
    sweep = swept(values, finished=False)
    sweep["lines"][1]["pa_mpjpe_mm"][-1] = None  # Not there yet.
    said = read(page.page(result(*TABLE, sweeps=[sweep])))
    for word in (
        "Keypoint noise",
        "guided, 2D labels",
        "40.2",
        "-2.0 to -1.0, 50 %",
        "was stopped",
        *(v if isinstance(v, str) else f"{v:g}" for v in values),
    ):
        assert word in said
    assert "ik: needs 3D joints" in said
    read(page.page(result(sweeps=[sweep])))  # Without a table.


def test_metrics_and_quality_are_in_the_details():
    metrics = {
        "MPJPE 14": {"value": 71.234, "unit": "mm", "low": 70.0, "high": 72.0, "count": 1234},
        "PCK": {"value": None},
    }
    quality = {"spearman_error": 0.61, "aurc_share": 0.6, "curve": [[0.1, 20.0], [1.0, 45.0]]}
    one = row("guided", 45.0, "labels", metrics=metrics, quality=quality)
    told = {"name": "3dpw", "joints": "h36m14", "counted": [1] * 14, "average": "people"}
    said = read(page.page(result(ESTIMATE, one, protocol=told)))
    assert "3dpw: 14 joints of h36m14" in said
    own = read(
        page.page(result(ESTIMATE, one, protocol=told | {"name": "diffjax", "notes": ["12 apart"]}))
    )
    assert "By a protocol" not in own
    assert "14 joints of h36m14; averaged over people." in own
    assert "12 apart" in own
    for word in (
        "71.23 mm (70.00 to 72.00), 1,234 people",
        "0.61",
        "60 %",
        "% of people kept",
    ):
        assert word in said


def test_methods_that_nobody_named_are_listed():
    said = read(page.page(result(*TABLE, unnamed=["smplify-adam", "smplfitter"])))
    assert "only if named ( --methods , or --methods all ): smplify-adam, smplfitter" in said
    assert "only if named" not in read(page.page(result(*TABLE)))


def test_a_sweep_says_whom_it_judged_where():
    assert words.judged([30, 30]) == "30 people"
    assert words.judged([30, None, 60]).startswith("30, -, 60 people, value by value")
    said = read(page.page(result(*TABLE, sweeps=[swept(judged=[3, 4, 4], data="x.npz")])))
    assert "3, 4, 4 people, value by value: not the same everywhere" in said


def test_who_was_not_judged_is_counted():
    said = read(
        page.page(
            result(*TABLE, note="Real poses, simulated images.", warnings=["WARNING: 2 of 3"])
        )
    )
    for word in ("1 (refined, not judged)", "10, without: 2", "2 (each its own", "4, of which 1 of one frame",
                 "Real poses, simulated images.", "WARNING: 2 of 3"):  # fmt: skip
        assert word in said


# Charts.


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 20.0), (43.2, 71.9), (-60.0, 3.0), (1e-6, 3e-6), (-1e6, 1e6)]
)
def test_ticks_are_round_and_hold_the_range(low, high):
    found = charts.ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    assert 4 <= len(found) <= 9
    inside = charts.ticks(low, high, inside=True)
    assert inside[0] >= low - 1e-9 * abs(low)
    assert inside[-1] <= high + 1e-9 * abs(high)
    assert charts.ticks(5.0, 5.0) == [5.0]


def points(text, kind="path"):
    return re.findall(r'<path d="(M[^"]*)"', text)


def test_a_curve_has_a_gap_where_nothing_is_known():
    line = charts.Line("a", [0, 1, 2, 3], [1.0, 2.0, None, 4.0])
    (path,) = [p for p in points(charts.curves([line], "x", "y")) if "L" in p]
    assert path.count("M") == 2
    corners = np.array(re.findall(r"([\d.]+) ([\d.]+)", path), float)
    assert (np.diff(corners[:, 0]) > 0).all()
    assert (np.diff(corners[:, 1]) < 0).all()  # More is higher.
    assert charts.curves([charts.Line("a", [0, 1], [None, float("nan")])], "x", "y") == ""


def test_an_interval_lies_where_its_numbers_say():
    one = charts.Range("a", -10.0, -20.0, 0.0, "-20 to 0")
    text = charts.ranges([one], "mm")
    low, high = re.search(r'class="wide-line".*?x1="([\d.]+)" x2="([\d.]+)"', text).groups()
    assert (float(low), float(high)) == (0.0, 100.0)
    (dot,) = re.findall(r'class="dot".*?x1="([\d.]+)"', text)
    assert float(dot) == 50.0
    assert charts.ranges([charts.Range("a", None, None, None, "-")], "mm") == ""
