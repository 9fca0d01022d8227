"""Pages that open from disk: no script, no request, readable on a phone, by day and by night."""

import html
import re
from collections.abc import Iterable, Sequence

_STYLE = """
:root{color-scheme:light dark;--ink:#16191d;--soft:#59626c;--ground:#fff;--card:#f3f5f7;
--line:#d5dae0;--bar:#4d7fb3;--bad:#b3261e;--good:#1b7a43;
--c0:#2167ae;--c1:#b85c00;--c2:#1b7a43;--c3:#a02c7d;--c4:#7a6200;--c5:#5b4fc0;--c6:#0b7d86;--c7:#a33}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a3abb5;--ground:#14171a;--card:#1f2429;
--line:#3a424b;--bar:#7fb0e3;--bad:#ff8a80;--good:#6fd39a;
--c0:#7fb0e3;--c1:#ffab5c;--c2:#6fd39a;--c3:#f090cf;--c4:#dcc356;--c5:#b3a8ff;--c6:#5fd3dc;--c7:#ff9d9d}}
*{box-sizing:border-box}
body{margin:0 auto;padding:16px;max-width:900px;font:16px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--ground);overflow-wrap:anywhere}
h1{font-size:24px;line-height:1.25}h2{font-size:20px;margin:36px 0 8px}h3{font-size:16px;margin:0}
p,ul{margin:8px 0}ul{padding-left:20px}
.soft{color:var(--soft);font-size:14px}.note{border-left:4px solid var(--bad);padding-left:10px}
.counts{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:8px;padding:0;list-style:none}
.counts li,.card{background:var(--card);border-radius:8px;padding:10px 12px}
.counts b{display:block;font-size:24px;line-height:1.2}
table{border-collapse:collapse;width:100%;font-size:15px}
th,td{text-align:left;vertical-align:top;padding:6px 8px 6px 0;border-bottom:1px solid var(--line)}
td.n,th.n{text-align:right;white-space:nowrap;padding:6px 0 6px 12px;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}.wide td:first-child{min-width:5.5em}
.card{margin:12px 0}
.cmd{background:var(--ground);border:1px solid var(--line);border-radius:6px;padding:8px 10px;margin:8px 0;
font:14px/1.5 ui-monospace,monospace;white-space:normal;user-select:all}
.cmd span{display:inline-block;max-width:100%}
"""


_PERCENT = re.compile(r"(\d) %")


def text(x: object) -> str:
    """Any text as HTML: names are never tags, and a number keeps its percent sign beside it."""
    return html.escape(_PERCENT.sub("\\1\u00a0%", str(x)), quote=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML; all columns but the first are numbers."""

    def line(tag: str, cells: Sequence[str]) -> str:
        kinds = ("", *[' class="n"'] * (len(cells) - 1))
        return "<tr>" + "".join(f"<{tag}{k}>{c}</{tag}>" for k, c in zip(kinds, cells)) + "</tr>"

    inner = "".join(line("td", row) for row in rows)
    return f'<div class="wide"><table><thead>{line("th", head)}</thead><tbody>{inner}</tbody></table></div>'


def command(line: str) -> str:
    """A command line to copy: one touch takes all of it, and it is broken between words only."""
    words = " ".join(f"<span>{text(word)}</span>" for word in line.split())
    return f'<pre class="cmd">{words}</pre>'


def document(title: str, body: str, style: str = "") -> str:
    """The whole page. `title` is text, `body` HTML; `style` is added to that of all pages."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}{style}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'
