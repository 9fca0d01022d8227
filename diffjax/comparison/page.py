"""The table as one HTML file: the answer on top, then rows, gains, sweeps, who was judged, and how to do it again."""

from collections.abc import Iterable, Iterator
from typing import Any

from diffjax import markup
from diffjax.comparison import answer_words, answers, bounds, page_details, page_rows, page_sweeps
from diffjax.comparison import words as say
from diffjax.markup import charts, text

_STYLE = """
body{max-width:1040px}
.facts{display:grid;grid-template-columns:fit-content(12em) minmax(0,1fr);gap:3px 14px;margin:8px 0}
dt{color:var(--soft)}dd{margin:0}code{font-size:14px}
details{border-bottom:1px solid var(--line)}summary{padding:8px 0;cursor:pointer}
details[open]{padding-bottom:10px}
th[colspan]{padding-top:18px;color:var(--soft);font-weight:600}
.sub{display:block;font-size:14px;color:var(--soft)}
.up{color:var(--bad)}.down{color:var(--good)}.phone{display:none}
@media(max-width:600px){.opt{display:none}.phone{display:block}
.facts{grid-template-columns:fit-content(8em) minmax(0,1fr)}
td.n,th.n{padding-left:8px}th.n{white-space:normal;overflow-wrap:normal;font-size:14px}}
"""
_STEPS = (
    "Make an annotation set of your files: <code>python scripts/convert.py inspect FILE</code> says how.",
    "Run the command for the evidence that you have; <code>YOUR.npz</code> is that set. (The modes <code>fast</code>, "
    "<code>combined</code> and <code>recall</code> lean on how the estimator judged here errs; where yours is another, "
    "take the other command.)",
    "Look: <code>python scripts/draw.py better.npz --before YOUR.npz</code>, and "
    "<code>python scripts/evaluate.py --audit better.npz --before YOUR.npz</code> lists what looks wrong, "
    "without any truth.",
    "If the truth of some of your people is known, make this page of them: "
    "<code>python scripts/evaluate.py --data YOURS_WITH_TRUTH.npz --val OTHERS.npz</code>. It is worth more than "
    "this one.",
)


def page(result: dict[str, Any]) -> str:
    """The whole page of what results.json holds."""
    rows = result.get("rows", [])
    test = (result.get("sets") or {}).get("test") or {}
    title = "Which refiner should I run?" if rows else "Refiners under other conditions"
    body = "".join((
        f"<h1>{title}</h1>",
        *_notes(result),
        *_answer(rows, test),
        page_rows.table(rows),
        *(f"<p>{text(line)}</p>" for line in bounds.words(page_rows.judged(rows))),
        page_rows.protocol(rows, result.get("protocol")),
        page_rows.gains(rows),
        page_details.details(rows),
        page_details.left_out(rows, result.get("unnamed", [])),
        page_sweeps.sweeps(result.get("sweeps", [])),
        _judged(result),
        _columns(result.get("protocol")) if rows else "",
        _again(result),
    ))  # fmt: skip
    return markup.document(title, body, charts.STYLE + _STYLE)


def _notes(result: dict[str, Any]) -> Iterator[str]:
    if result.get("rows") and not result.get("finished"):
        yield '<p class="note">This comparison was stopped; the same command goes on from here.</p>'
    for warning in result.get("warnings", []):
        yield f'<p class="note">{text(warning)}</p>'


def _answer(rows: list[dict[str, Any]], test: dict[str, Any]) -> Iterator[str]:
    if not rows:
        return
    counts = test.get("counts") or {}
    if not counts.get("with_truth", 1):
        yield f'<p class="note">{text(answer_words.UNJUDGED)}</p>'
        return
    base = next((row for row in rows if row["method"] == "estimate"), None)
    if base is None:
        return
    yield (
        f"<p>What to run, what it gains, what it may break, and how one knows. Judged on <b>"
        f"{text(test.get('name', 'people'))}</b>: {_who(counts)}{_source(test)}. The answer depends on what you have "
        "beside the estimates:</p>"
    )
    yield from (_card(answer, base) for answer in answers.answers(rows))
    yield _how_known(counts)
    yield f"<h2>On your own data</h2><ol>{''.join(f'<li>{step}</li>' for step in _STEPS)}</ol>"


def _who(counts: dict[str, Any]) -> str:
    return f"{counts.get('judged', 0):,} people in {counts.get('sequences', '?')} sequences"


def _source(test: dict[str, Any]) -> str:
    return f", {text(test['source'])}" if test.get("source") else ""


def _card(answer: answers.Answer, base: dict[str, Any]) -> str:
    title = f"<h3>You have {text(say.KIND[answer.kind])}</h3>"
    if answer.row is None:
        said = f"<p>{text(_raised(answer_words.verdict(answer)))}.</p>"
    else:
        said = f"<p>Run <b>{text(answer.row['name'])}</b>:</p>" + _told(answer.row, base)
    said += _soft(answer_words.warnings(answer))
    for why, row in answer_words.others(answer):
        said += f"<p>{text(_raised(why))}: <b>{text(row['name'])}</b></p>{_told(row, base)}"
    said += _soft(answer_words.better(answer))
    return f'<article class="card answer">{title}{said}</article>'


def _soft(lines: Iterable[str]) -> str:
    return "".join(f'<p class="soft">{text(line)}</p>' for line in lines)


def _raised(line: str) -> str:
    """With a capital at its beginning."""
    return line[:1].upper() + line[1:]


def _told(row: dict[str, Any], base: dict[str, Any]) -> str:
    lines = (("Gain", answer_words.gain(row, base)), ("Harm", answer_words.harm(row, base)),
             ("Time", f"{say.number(row.get('ms_per_frame'))} ms a person"))  # fmt: skip
    items = "".join(f"<dt>{name}</dt><dd>{text(line)}</dd>" for name, line in lines)
    return f'{markup.command(row["command"])}<dl class="facts">{items}</dl>'


def _how_known(counts: dict[str, Any]) -> str:
    return (
        f"<h2>How do I know?</h2><p>Every row below refined the same {_who(counts)}, whose truth was taken away "
        "beforehand, with settings that were chosen on other people. Intervals are of whole sequences drawn anew: "
        "neighbouring frames are nearly one. A row that was chosen by looking at the truth is marked, and never "
        "advised. The best of many rows flatters itself a little; rows whose intervals overlap are not told apart. "
        "And the numbers are of people, estimates and keypoints like these: with another estimator or detector they "
        "will differ.</p>"
    )


def _judged(result: dict[str, Any]) -> str:
    sets = {name: one for name, one in (result.get("sets") or {}).items() if one}
    if not sets:
        return ""
    note = result.get("note")
    told = f"<p>{text(note)}</p>" if note else ""
    head = {"test": "Judged", "val": "Settings chosen on the validation people of"}
    parts = "".join(
        f"<h3>{head.get(name, name)} {text(one['name'])}</h3>{_counts(one['counts'])}"
        f'<p class="soft">{text(one.get("source", ""))}</p>'
        for name, one in sets.items()
    )
    if "val" not in sets:
        parts += (
            "<p>Nobody's truth was there to choose settings by: they are those of the config.</p>"
        )
    return f"<h2>Who was judged, and who was not</h2>{told}{parts}"


def _counts(n: dict[str, Any]) -> str:
    people = n.get("people", 0)
    lines = [
        ("rows", f"{people:,}"),
        ("judged", f"{n.get('judged', 0):,}" + _why_fewer(n)),
        ("with truth", f"{n.get('with_truth', 0):,}"),
        ("truth is not a number", f"{n.get('truth_not_finite', 0):,} (refined, not judged)"),
        *((told, f"{n[what]:,}") for what, told in say.MASKED.items() if n.get(what)),
        *((f"with {say.SHORT[kind]}", f"{count:,}, without: {people - count:,}")
          for kind, count in n.get("with_evidence", {}).items()),
        ("sequences", f"{n.get('sequences', 0):,}"),
        ("without a sequence", f"{n.get('without_sequence', 0):,} (each its own in the intervals)"),
    ]  # fmt: skip
    if n.get("use") in ("video", "views"):
        what = "tracks" if n["use"] == "video" else "instants"
        one = "one frame: no filter touches it" if n["use"] == "video" else "one view"
        lines.append(
            (what, f"{n.get('groups', 0):,}, of which {n.get('groups_of_one', 0):,} of {one}")
        )
    items = "".join(f"<dt>{text(name)}</dt><dd>{text(line)}</dd>" for name, line in lines)
    return f'<dl class="facts">{items}</dl>'


def _why_fewer(n: dict[str, Any]) -> str:
    return " (the first view of each instant)" if n.get("use") == "views" else ""


def _columns(protocol: dict[str, Any] | None) -> str:
    lines = list(say.COLUMNS)
    if protocol and protocol.get("name") == "diffjax":  # Others have a table of their own.
        lines.insert(0, ("joints", page_rows.over(protocol)))
        lines += [("all metrics", note) for note in protocol.get("notes") or []]
    items = "".join(f"<dt>{text(name)}</dt><dd>{text(told)}</dd>" for name, told in lines)
    return f'<h2>What the columns mean</h2><dl class="facts">{items}</dl>'


def _again(result: dict[str, Any]) -> str:
    told = markup.command(result["command"]) if result.get("command") else ""
    facts = {
        "seed": result.get("seed"),
        "device": result.get("device"),
        "settings": result.get("tuning"),
        "seconds": say.number(result.get("seconds"), 0),
        **(result.get("versions") or {}),
    }
    items = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts.items()
                    if value not in (None, "-"))  # fmt: skip
    return (
        f'<h2>How to make this page again</h2>{told}<dl class="facts">{items}</dl><p class="soft">All numbers are in '
        "results.json beside this page, everybody's scores in the folder people; what the rows depend on stands there "
        "under facts.</p>"
    )
