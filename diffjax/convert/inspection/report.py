"""What was found, as lines that fit a terminal."""

import textwrap
from typing import Any

_NARROW, WIDE = 80, 100
_MOST_FIELDS, _MOST_SEQUENCES = 30, 10
_COLOURS = {"ok": "32", "look": "33", "wrong": "31"}


def text(found: dict[str, Any], width: int, colour: bool = False) -> str:
    """The facts as lines of at most `width` columns, which is kept between 80 and 100."""
    width = min(max(width, _NARROW), WIDE)
    blocks = [
        _header(found, width),
        _table(found["fields"], width),
        _marks(found["findings"], width, colour),
        _bars(found["sequences"], width),
        _nearest(found, width),
        _end(found, width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _header(found: dict[str, Any], width: int) -> list[str]:
    facts = [found["container"], _size(found["bytes"])]
    if found["rows"] is not None:
        facts.insert(0, f"{found['rows']:,} row{'s' * (found['rows'] != 1)}")
    if found["files"] > 1:
        facts.append(f"{found['files']:,} files, of which {found['files_read']:,} were read")
    facts += [f"{number} of them {title}" for title, number in found["files_otherwise"].items()]
    lines = textwrap.wrap(f"{found['file']}: {found['title']}", width, break_on_hyphens=False)
    return [*lines, *textwrap.wrap(" · ".join(facts), width)]


def _size(count: int) -> str:
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if count >= 10**power:
            return f"{count / 10**power:.3g} {unit}"
    return f"{count} bytes"


def _table(fields: list[dict[str, Any]], width: int) -> list[str]:
    """Name, shape, type and range of every field."""
    shown = fields[:_MOST_FIELDS]
    cells = [(f["name"], _shape(f["shape"]), f["dtype"], f["holds"]) for f in shown]
    if not cells:
        return ["it holds nothing"]
    sizes = [max(len(cell[i]) for cell in (*cells, ("field", "shape", "type"))) for i in range(3)]
    sizes = [min(size, limit) for size, limit in zip(sizes, (width // 3 + 4, 22, 9))]
    rest = width - 2 - sum(sizes) - 6
    lines = [_row(("field", "shape", "type", "values"), sizes, rest), "  " + "─" * (width - 2)]
    lines += [_row(cell, sizes, rest) for cell in cells]
    if len(fields) > len(shown):
        lines.append(f"  and {len(fields) - len(shown):,} more")
    return lines


def _shape(shape: list[int]) -> str:
    return " × ".join(map(str, shape)) or "one"


def _row(cells: tuple[str, ...], sizes: list[int], rest: int) -> str:
    parts = [_cut(cell, size).ljust(size) for cell, size in zip(cells, (*sizes, rest))]
    return ("  " + "  ".join(parts)).rstrip()


def _cut(word: str, size: int) -> str:
    if len(word) <= size:
        return word
    head = (size - 1) // 3
    return f"{word[:head]}…{word[len(word) - (size - head - 1) :]}"


def _marks(findings: list[dict[str, Any]], width: int, colour: bool) -> list[str]:
    """One finding a paragraph: mark, name, what was found."""
    size = max((len(finding["name"]) for finding in findings), default=0)
    lines = []
    for finding in findings:
        mark, name = finding["mark"], finding["name"].ljust(size)
        wrapped = textwrap.wrap(finding["text"], width - size - 11, break_on_hyphens=False) or [""]
        start = f"\033[{_COLOURS[mark]}m{mark:5}\033[0m" if colour else f"{mark:5}"
        lines.append(f"  {start}  {name}  {wrapped[0]}")
        lines += [" " * (size + 11) + line for line in wrapped[1:]]
    return lines


def _bars(sequences: dict[str, int], width: int) -> list[str]:
    """Rows of the largest sequences."""
    if len(sequences) < 2:
        return []
    top = list(sequences.items())[:_MOST_SEQUENCES]
    size = min(max(len(name) for name, _ in top), 40)
    digits, longest = len(f"{top[0][1]:,}"), width - size - 12
    lines = [f"{len(sequences):,} sequences:"]
    for name, rows in top:
        bar = "▇" * max(1, round(min(longest - digits, 30) * rows / top[0][1]))
        lines.append(f"  {_cut(name, size).ljust(size)}  {f'{rows:,}'.rjust(digits)}  {bar}")
    others = list(sequences.values())[_MOST_SEQUENCES:]
    if others:
        lines.append(f"  and {len(others):,} more with {sum(others):,} rows")
    return lines


def _nearest(found: dict[str, Any], width: int) -> list[str]:
    if not found["nearest"]:
        return []
    lines = ["nearest to it are:"]
    for near in found["nearest"]:
        lines += textwrap.wrap(
            f"{near['title']}: lacks {', '.join(near['missing'])}"
            if near["missing"]
            else near["title"],
            width - 2,
            initial_indent="  ",
            subsequent_indent="    ",
        )
    return lines


def _end(found: dict[str, Any], width: int) -> list[str]:
    """What to do with it."""
    said = f"mind: {found['note']}" if found["command"] and found["note"] else found["note"]
    note = textwrap.wrap(said, width, break_long_words=False, break_on_hyphens=False)
    if found["format"] is None:
        return textwrap.wrap(
            "docs/data.md lists what can be read; a dump of arrays needs a pose of 24 rotations a row "
            "(72, 216 or 144 numbers)",
            width,
        )
    if found["command"] is None:
        return note or ["nothing to convert"]
    verb = "convert it with:" if "convert.py" in found["command"] else "use it with:"
    return [*note, verb, *_folded(found["command"], width)]


def _folded(command: str, width: int) -> list[str]:
    """The command, on several lines with backslashes where it is too long; it can be pasted."""
    lines, line = [], " "
    for word in command.replace(" --", "\n--").split("\n"):
        if len(line) + len(word) + 3 > width and line.strip():
            lines.append(line + " \\")
            line = "   "
        line += " " + word
    return [*lines, line]
