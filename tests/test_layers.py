"""A module imports only the floors below its own; heavy packages stay in one room."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1] / "diffjax"
FLOORS = """
markup rotations skeleton camera unpickle kinematics skinning segments windows tracks micro_batches raster
config schedule body metrics devices criss_cross step_embedding
progress
pose sampling chunks
search energies guidance losses denoisers joint_limits smoothing descent
methods supervision
frontends
data checkpoint
convert simulate annotate plots motion_sets feed
evaluate demo fitting drawing training_videos
confidence objective loop draw_people
refine_groups train draw protocols
sequences audit
refine
choosing
contest
report
sweep ablation
comparison
tune
benchmarks
""".strip().splitlines()
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names.split()}
ONLY_IN = {
    "torch": ("convert", "benchmarks"),
    "smplx": ("convert", "benchmarks"),
    "matplotlib": ("plots", "drawing"),
    "PIL": ("drawing",),
}
MODULES = {path.relative_to(ROOT).with_suffix("").parts: path for path in ROOT.rglob("*.py")}


def imported(path):
    """The dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("parts", MODULES, ids="/".join)
def test_a_module_imports_only_floors_below(parts):
    room = parts[0]
    siblings = len(parts) > 1 and (room != "denoisers" or parts[-1] == "__init__")
    assert room in FLOOR or room == "__init__", f"give {room} a floor in FLOORS"
    for name in imported(MODULES[parts]):
        package, _, inner = name.partition(".")
        assert room in ONLY_IN.get(package, (room,)), f"{package} belongs in {ONLY_IN[package]}"
        if package == "diffjax":
            target = inner.split(".")[0]
            inside = siblings and target == room
            assert inside or FLOOR[target] < FLOOR[room], f"{'/'.join(parts)} imports {name}"
