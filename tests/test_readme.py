"""The README does what it says: its commands run, its example runs, its paths exist."""

import dataclasses
import functools
import itertools
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from diffjax import config, simulate
from diffjax.data import records

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}


def blocks(text, language):
    """The fenced blocks of a language."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for name, block in fences if name == language]


def commands(text):
    """Every `python scripts/...` of a text, as argument lists; a line may go on after a backslash."""
    joined = text.replace("\\\n", " ")
    found = re.findall(r"^python scripts/.*|(?<=`)python scripts/[^`]*", joined, re.MULTILINE)
    return [shlex.split(line) for line in found]


COMMANDS = commands(README)


def run(*arguments, cwd=ROOT, cache=None):
    """The finished command, with this Python, on the CPU; compiled fast, and once for all who share `cache`."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    if cache is not None:
        environment["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def tree_paths():
    """The paths of the README's tree."""
    (tree,) = (block for block in blocks(README, "") if block.startswith("diffjax/"))
    folder = ""
    for line in tree.splitlines():
        name = line.split()[0]
        folder = "" if line[0] != " " else folder
        yield folder + name
        folder = name if line[0] != " " else folder


@functools.cache
def help_of(script, *subcommand):
    """What a script says of itself."""
    shown = run(script, *subcommand, "--help")
    assert shown.returncode == 0, shown.stderr
    return run(script, "--help-all").stdout if "--help-all" in shown.stdout else shown.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_of_the_readme_names_what_its_script_knows(command):
    _, script, *words = command
    text = help_of(script, *(word for word in words[:1] if not word.startswith("-")))
    assert "usage" in text
    options = [word for word in words if word.startswith("--")]
    assert [option for option in options if option not in text] == []
    files = [value for name, value in itertools.pairwise(words) if name == "--config"]
    assert all(isinstance(config.load(ROOT / file), config.Run) for file in files)


@pytest.mark.parametrize("path", list(tree_paths()))
def test_a_path_of_the_tree_exists(path):
    assert (ROOT / path).exists()


def test_every_module_is_in_the_tree():
    parts = {path.relative_to(ROOT) for path in (ROOT / "diffjax").iterdir()}
    parts = {part for part in parts if not part.name.startswith((".", "_"))}
    assert {str(part) for part in parts} <= {path.rstrip("/") for path in tree_paths()}


@pytest.mark.parametrize(
    ("page", "link"),
    [
        (page, link)
        for page, text in ({"README.md": README} | DOCS).items()
        for link in re.findall(r"\]\(([^):#]+)\)", text)
    ],
)
def test_a_link_leads_somewhere(page, link):
    folder = ROOT if page == "README.md" else ROOT / "docs"
    assert (folder / link).exists()


def test_the_checkpoints_of_the_readme_are_there():
    names = re.findall(r"^\| (`.*?`) \|", README, re.MULTILINE)
    files = [file for name in names for file in re.findall(r"`([^`]*)`", name)]
    assert files
    assert [file for file in files if not (ROOT / "converted_weights" / file).exists()] == []


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Six people of the demo with their 2D labels, as an annotation set on disk."""
    path = tmp_path_factory.mktemp("readme") / "people.npz"
    run = config.load(ROOT / "configs/demo.py")
    test = simulate.demo_sets(config.locate(run.parts.frontend), config.locate(run.data.body))[1]
    absent = {
        "keypoints2d": None,
        "keypoints2d_set": None,
        "keypoints3d": None,
        "keypoints3d_set": None,
    }
    records.write(path, dataclasses.replace(records.take(test, slice(0, 300, 50)), **absent))
    return path


def test_the_main_command_writes_its_table_and_pictures(people, tmp_path):
    (command,) = (c for c in COMMANDS if c[1:] == ["scripts/sweep_steps.py"])
    small = ["--data.val", str(people), "--data.test", str(people), "--search.max-step", "3"]
    # Without residuals there is no `fast`: compiling it takes longer than all of the rest.
    small += ["--guided.labels.rounds", "1", "--parts.residuals", "", "--workdir", str(tmp_path)]
    done = run(*command[1:], *small, cache=people.parent)
    assert done.returncode == 0, done.stderr
    for row in ("estimate", "ORACLE", "control", "frontend", "guided"):
        assert row in done.stdout
    written = {path.name for path in tmp_path.iterdir()}
    assert {"sweep.json", "sweep.npz", "loss_against_step.png", "bodies.png"} <= written


def test_the_example_writes_better_annotations(people):
    (example,) = blocks(README, "python")
    done = run("-c", example, cwd=people.parent, cache=people.parent)
    assert done.returncode == 0, done.stderr
    before, after = records.read(people), records.read(people.parent / "better.npz")
    assert records.count(after) == records.count(before)
    assert not (after.pred_pose == before.pred_pose).all()


def test_the_refine_command_does_the_same(people, tmp_path):
    (command,) = (c for c in COMMANDS if c[1] == "scripts/refine.py" and "people.npz" in c)
    swap = {"people.npz": str(people), "better.npz": str(tmp_path / "better.npz")}
    done = run(*(swap.get(word, word) for word in command[1:]), cache=people.parent)
    assert done.returncode == 0, done.stderr
    assert records.count(records.read(tmp_path / "better.npz")) == records.count(
        records.read(people)
    )


def test_continuous_integration_runs_the_test_command_of_the_readme():
    tests = [
        line for block in blocks(README, "sh") for line in block.splitlines() if "pytest" in line
    ]
    pattern = re.search(r"grep -m 1 -x -E '([^']*)'", (ROOT / ".ci/run").read_text())
    assert pattern is not None
    assert [re.fullmatch(pattern[1], line) is not None for line in tests] == [True]


@pytest.mark.parametrize("kind", ["labels", "detections", "joints3d"])
def test_methods_states_the_defaults_of_guided(kind):
    wanted = getattr(config.Guided(), kind)
    (row,) = re.findall(rf"^\| {kind} \|(.*)\|$", DOCS["methods.md"], re.MULTILINE)
    numbers = [0.0 if cell.strip() == "none" else float(cell) for cell in row.split("|")]
    guided = [wanted.strength, wanted.rounds, wanted.start, wanted.stride, wanted.robust_px_share]
    assert numbers == [*guided, wanted.map_weight]
