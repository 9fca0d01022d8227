"""Tells a person what a file is, what is wrong with it and what converts it."""

import json as json_text
import shutil
import sys
from pathlib import Path

import tyro

from diffjax.convert.inspection import facts, findings, recognise, report
from diffjax.unpickle import bounds

_PLAIN = str.maketrans({"×": "x", "·": "|", "─": "-", "▇": "#", "…": "~", "ᵀ": "'"})
"""For terminals without these letters."""


def inspect(
    source: tyro.conf.Positional[Path], body: Path | None = None, json: bool = False
) -> None:
    """Tells what a file or folder is, what looks wrong, and what converts it.

    Args:
        source: Any file or folder of a known or unknown format.
        body: SMPL, .pkl or .npz: are its keypoints those of the file?
        json: One JSON object for machines instead of text.
    """
    with bounds.refusals(str(source), "a file of a known format"):
        look = recognise.look(source)
        found = facts.of(look, *findings.of(look, body))
    if json:
        print(json_text.dumps(found, indent=1, allow_nan=False))
        return
    width = shutil.get_terminal_size((report.WIDE, 24)).columns
    print(_printable(report.text(found, width, colour=sys.stdout.isatty())))


def _printable(text: str) -> str:
    """The text in letters that the terminal has."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    return text
