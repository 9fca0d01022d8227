"""results.json and report.html of a folder: begun, gone on with, and written whole or not at all."""

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

import jax

from diffjax import report
from diffjax.comparison import page, people
from diffjax.data import jobs

NAME, PAGE = "results.json", "report.html"
_OTHER = "choose another --out, or pass --overwrite"
Result = dict[str, Any]


def fresh() -> Result:
    """Nothing yet, and where it will be computed."""
    versions = {
        "diffjax": _version("diffjax"),
        "jax": jax.__version__,
        "python": platform.python_version(),
    }
    machine = f"{jax.local_devices()[0].device_kind}, {jax.local_device_count()} device(s), {platform.machine()}"
    return {
        "format": 1,
        "finished": False,
        "device": machine,
        "versions": versions,
        "facts": None,
        "rows": [],
        "sweeps": [],
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed, run from its folder"


def read(out: Path) -> Result:
    """What is in a folder; empty where nothing is. ValueError where it is no comparison."""
    file = out / NAME
    if not file.exists():
        return {}
    try:
        begun = json.loads(file.read_text())
        whole = isinstance(begun["finished"], bool) and isinstance(begun["rows"], list)
        if not whole or not {"facts", "sweeps"} <= begun.keys():
            raise ValueError("other fields")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: wanted the results of a comparison, found something else ({error}); {_OTHER}"
        ) from error
    return begun


def refuse_finished(out: Path) -> Result:
    """What is in a folder. ValueError where it is no comparison, or a finished one."""
    begun = read(out)
    if begun.get("finished"):
        raise ValueError(f"{out / NAME}: a finished comparison is there; {_OTHER}")
    return begun


def begin(out: Path, facts: dict[str, Any], overwrite: bool) -> Result:
    """The result of a folder: begun, or gone on with if it is made of the same facts. Sweeps that are there stay."""
    out.mkdir(parents=True, exist_ok=True)
    if overwrite or not (begun := refuse_finished(out)):
        return fresh() | {"facts": facts}
    if begun["facts"] is None:
        return begun | {"facts": facts}
    refuse_other(begun["facts"], facts, f"{out / NAME}: wanted to go on with the comparison")
    return begun


def refuse_other(then: dict[str, Any], now: dict[str, Any], where: str) -> None:
    """ValueError where facts have changed."""
    now = json.loads(json.dumps(now))
    other = sorted(name for name in now if then.get(name) != now[name])
    if other:
        raise ValueError(f"{where} that began here, found another {', '.join(other)}; {_OTHER}")


def of_set(crowd: people.Crowd | None) -> dict[str, Any] | None:
    """Who is there, as it is kept."""
    if crowd is None:
        return None
    said = {"name": crowd.name, "counts": crowd.counts, "described": people.describe(crowd)}
    return said | {"source": people.source_of(crowd)}


def write(out: Path, result: Result) -> None:
    """Both files. The page is that of what is there so far."""
    kept = report.without_nan(result)
    jobs.write_json(out / NAME, kept)
    part = out / f".{PAGE}.part"
    part.write_text(page.page(kept), encoding="utf-8")
    part.replace(out / PAGE)
