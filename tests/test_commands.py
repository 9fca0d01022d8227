"""The table of converters: one line each, and what the docs and `inspect` tell people to type exists."""

import inspect
import re
import shlex
from pathlib import Path

import pytest

from diffjax.convert import commands
from diffjax.convert.inspection import known

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text() for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]}
TYPED = [
    (page, line)
    for page, text in PAGES.items()
    for line in re.findall(
        r"^python scripts/convert\.py (?!COMMAND|--)(.*)", text.replace("\\\n", " "), re.M
    )
]
SUGGESTED = [
    (row.name, row.command)
    for row in known.TABLE
    if row.command and not row.command.startswith("python")
]


@pytest.mark.parametrize(("where", "line"), TYPED + SUGGESTED, ids=str)
def test_a_command_that_people_are_told_exists_with_its_options(where, line):
    name, *words = shlex.split(line, comments=True)
    assert name in commands.COMMANDS
    parameters = set(inspect.signature(commands.COMMANDS[name]).parameters)
    options = {word.removeprefix("--").replace("-", "_") for word in words if word[:2] == "--"}
    assert options <= parameters


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_a_line_in_the_help_and_a_word_on_each_option(name):
    function = commands.COMMANDS[name]
    text = inspect.getdoc(function) or ""
    first, _, rest = text.partition("\n")
    assert first.endswith(".")
    assert len(first) < 80
    options = inspect.signature(function).parameters
    assert [option for option in options if not re.search(rf"^\s+{option}:", rest, re.M)] == []


def test_the_docs_name_every_command():
    assert [name for name in commands.COMMANDS if f"`{name}`" not in PAGES["data.md"]] == []
