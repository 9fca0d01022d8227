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


def test_what_is_read_is_never_written_over(tmp_path):
    path = tmp_path / "set.npz"
    path.write_bytes(b"precious")
    convert = commands.guarded("to-spin", commands.COMMANDS["to-spin"])
    with pytest.raises(ValueError, match=r"--out: wanted another file than --source, found .*set"):
        convert(source=path, out=tmp_path / "." / "set.npz")
    join = commands.guarded("join", commands.COMMANDS["join"])
    with pytest.raises(ValueError, match="another file than --evidence"):
        join(tmp_path / "other.npz", path, path)
    assert path.read_bytes() == b"precious"


def test_a_name_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path):
    for name, ending in (("join", ".npz"), ("to-csv", ".csv"), ("to-eft", ".json")):
        options = inspect.signature(commands.COMMANDS[name]).parameters
        given = dict.fromkeys(list(options)[:2], tmp_path / "none") | {"out": tmp_path / "x.txt"}
        with pytest.raises(ValueError, match=rf"--out: wanted a name ending in \{ending}"):
            commands.guarded(name, commands.COMMANDS[name])(**given)


def test_the_docs_name_every_command():
    assert [name for name in commands.COMMANDS if f"`{name}`" not in PAGES["data.md"]] == []
