"""The answers of a table in sentences: what to run on one's own data, what it gains, and what it may break."""

from collections.abc import Iterator, Sequence
from typing import Any

from diffjax.comparison import words as say
from diffjax.comparison.answers import FEW, Answer, Row, answers, doubt, harmed

UNJUDGED = (
    "Nobody's 3D truth is known here, so no row is better than another: fewer pixels are not a better pose. "
    "Compare on people whose truth is known."
)
FOREIGN = "for another estimator's estimates, whose errors that one does not know"


def kept(rows: Sequence[Row]) -> dict[str, Any]:
    """The answers for results.json: by kind of evidence, the row to run and its command, null for none."""
    nothing = {"name": None, "command": None}
    return {
        answer.kind: {name: (answer.row or nothing)[name] for name in nothing}
        | {"verdict": verdict(answer), "warnings": list(warnings(answer))}
        for answer in answers(rows)
    }


def words(rows: Sequence[Row], with_truth: int) -> Iterator[str]:
    """What to run on one's own data, what it gains, what it may break, and how one knows."""
    yield "\nWhich command should I run on my own data?"
    if not with_truth:
        yield UNJUDGED
        return
    base = next((row for row in rows if row["method"] == "estimate"), None)
    found = answers(rows)
    if base is None or not any(answer.row or answer.beyond for answer in found):
        yield "No row here that saw no truth has a command and is worth what it breaks; leave the estimates alone."
    for answer in found:
        if base is not None:
            yield from _told(answer, base)


def _told(answer: Answer, base: Row) -> Iterator[str]:
    yield f"\nIf you have {say.KIND[answer.kind]}: {verdict(answer)}"
    if answer.row is not None:
        yield f"    gain: {gain(answer.row, base)}"
        yield f"    harm: {harm(answer.row, base)}"
        yield f"    run:  {answer.row['command']}"
    yield from (f"    {line}" for line in warnings(answer))
    for why, row in others(answer):
        yield f"  {why}: {row['name']}"
        yield f"    gain: {gain(row, base)}"
        yield f"    harm: {harm(row, base)}"
        yield f"    run:  {row['command']}"
    yield from (f"    {line}" for line in better(answer))


def others(answer: Answer) -> Iterator[tuple[str, Row]]:
    """Rows that someone may want instead, and why."""
    if answer.foreign is not None:
        yield FOREIGN, answer.foreign
    if answer.careful is not None and answer.careful is not answer.foreign:
        yield "to harm fewer", answer.careful
    if answer.quick is not None and answer.quick not in (answer.careful, answer.foreign):
        assert answer.row is not None
        times = answer.row["ms_per_frame"] / max(answer.quick["ms_per_frame"] or 0.0, 0.01)
        yield f"{times:.0f} times as fast", answer.quick


def verdict(answer: Answer) -> str:
    """The answer in a few words."""
    if answer.row is not None:
        return answer.row["name"]
    if answer.doubted is None:
        none = "no row with a command: refine.py has no mode for those below"
        return none if answer.beyond else "leave the estimates alone"
    why = doubt(answer.doubted)
    return (
        f"leave the estimates alone: the best row with a command, {answer.doubted['name']}, {why}"
    )


def warnings(answer: Answer) -> Iterator[str]:
    """What speaks against the best row, where another is advised, and how to harm fewer."""
    if answer.row is not None and answer.doubted is not None:
        said = say.number(answer.doubted["pa_mpjpe_mm"])
        yield f"{answer.doubted['name']} had {said} mm and is not advised: it {doubt(answer.doubted)}."
    row = answer.row or answer.doubted
    if row is None or answer.careful is not None or answer.gated or harmed(row) <= FEW:
        return
    yield (
        f"To harm fewer: this table again with --methods {row['method']} --max-harm {FEW:g}, validation people (--val) "
        "and another --out refines only those for whom a gain is to be expected."
    )


def gain(row: Row, base: Row) -> str:
    """What a row gains, with its interval."""
    told = say.interval(row["pa_change_95"])
    less = ""
    if base["pa_mpjpe_mm"]:
        less = f" ({100 * (row['pa_mpjpe_mm'] / base['pa_mpjpe_mm'] - 1):+.0f} %"
        less += f"; change {told} mm)" if told else ")"
    turned = ""
    if row["rotation_deg"] is not None and base["rotation_deg"] is not None:
        turned = (
            f", rotation error {say.number(base['rotation_deg'], 2)} -> "
            f"{say.number(row['rotation_deg'], 2)} degrees"
        )
    return f"PA-MPJPE {say.number(base['pa_mpjpe_mm'])} -> {say.number(row['pa_mpjpe_mm'])} mm{less}{turned}"


def harm(row: Row, base: Row) -> str:
    """Whom a row harms."""
    worst = ""
    if row.get("pa_p95_mm") is not None and base.get("pa_p95_mm") is not None:
        worst = (
            f"; one in twenty has more than {say.number(row['pa_p95_mm'], 0)} mm "
            f"(before: {say.number(base['pa_p95_mm'], 0)})"
        )
    return (
        f"{say.share(row['harmed'])} of people get worse by more than 1 mm, "
        f"{say.share(row['improved'])} get better{worst}"
    )


def better(answer: Answer) -> Iterator[str]:
    """Rows without a command that were better still."""
    for row in answer.beyond:
        yield (
            f"{row['name']} had {say.number(row['pa_mpjpe_mm'])} mm; it is a row of this table and no mode of "
            "refine.py."
        )
