"""A long job over a set, cut into pieces on disk: what is done stays done, whoever is killed when.

A job is a directory: `manifest.json` says of what the job is made, and every finished piece is a shard
with a note beside it. Processes that share the directory each do every n-th piece.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from diffjax import chunks, progress
from diffjax.data import records

Value = TypeVar("Value")
_MANIFEST = "manifest.json"


class Job(NamedTuple):
    """A directory of pieces."""

    directory: Path
    count: int
    """People, or rows of whatever the job is over."""
    rows: int
    """Of a piece; the last may have fewer."""
    edges: tuple[int, ...] = ()
    """Where pieces begin and end, for pieces of different lengths; `rows` says nothing then."""
    what: str = "people"
    """What is counted, in words."""


def open_job(
    directory: Path,
    facts: dict[str, Any],
    count: int,
    rows: int,
    other: str,
    edges: tuple[int, ...] = (),
    what: str = "people",
) -> Job:
    """The job in a directory: begun, or gone on with if it is made of the same `facts`.

    The rows of a piece are those of the beginning; `edges` are part of the facts. `other` says in the message what
    else to choose.
    """
    facts = json.loads(
        json.dumps({**facts, "people": count, **({"edges": edges} if edges else {})})
    )
    manifest = directory / _MANIFEST
    if is_begun(directory):
        begun = json.loads(manifest.read_text())
        _check_same(directory, begun["facts"], facts, other)
        return Job(directory, count, begun["rows"], edges, what)
    directory.mkdir(parents=True, exist_ok=True)
    # Another process may be writing the same manifest at this moment.
    strangers = {x.name for x in directory.iterdir() if not x.name.startswith(".")} - {_MANIFEST}
    if strangers:
        raise ValueError(f"{directory}: already exists, and no run began it; {other}")
    write_json(manifest, {"rows": rows, "facts": facts})
    return Job(directory, count, rows, edges, what)


def is_begun(directory: Path) -> bool:
    """Whether there is a job in a directory."""
    return (directory / _MANIFEST).exists()


def _check_same(directory: Path, begun: Any, facts: Any, other: str) -> None:
    then, now = _flat(begun), _flat(facts)
    different = [
        f"{name} {then.get(name, 'absent')} then, {now.get(name, 'absent')} now"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    if different:
        raise ValueError(
            f"{directory}: wanted to go on with the run that began here, found others: "
            f"{'; '.join(different)}; remove {directory} to begin anew, or {other}"
        )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    inner = [_flat(x, f"{prefix}.{name}" if prefix else name) for name, x in value.items()]
    return {name: x for part in inner for name, x in part.items()}


def pieces(job: Job) -> int:
    """How many pieces there are."""
    return len(job.edges) - 1 if job.edges else -(-job.count // job.rows)


def span(job: Job, index: int) -> tuple[int, int]:
    """The rows of a piece: (first, last + 1)."""
    if job.edges:
        return job.edges[index], job.edges[index + 1]
    return index * job.rows, min((index + 1) * job.rows, job.count)


def shard(job: Job, index: int) -> Path:
    """The file of a piece."""
    return job.directory / records.shard_name(index, pieces(job))


def shards(job: Job) -> list[Path]:
    """The files of all pieces, in order."""
    return [shard(job, index) for index in range(pieces(job))]


def is_done(job: Job, index: int) -> bool:
    """Whether a piece is finished."""
    return shard(job, index).exists()


def done(job: Job, indices: list[int]) -> int:
    """Rows of these pieces that are finished."""
    spans = [span(job, index) for index in indices if is_done(job, index)]
    return sum(last - first for first, last in spans)


def work(
    job: Job,
    read: Callable[[int, int], Value],
    do: Callable[[Value, Any], tuple[dict[str, Any], dict[str, Any]]],
    label: str,
) -> None:
    """Does the pieces of this process that are not done; the next one is read meanwhile.

    Args:
      read: (first, last) -> rows first .. last - 1.
      do: (rows, progress bar) -> the arrays of a piece, and a note in JSON.
    """
    all_mine = list(range(jax.process_index(), pieces(job), jax.process_count()))
    todo = [index for index in all_mine if not is_done(job, index)]
    total = sum(last - first for first, last in (span(job, index) for index in all_mine))
    rows = chunks.ahead(lambda index: read(*span(job, index)), todo)
    try:
        with progress.over(total, label, done(job, all_mine), job.what) as bar:
            for index, piece in zip(todo, rows):
                finish(job, index, *do(piece, bar))
    except BaseException as error:
        _leave(job, error)
        raise


def _leave(job: Job, error: BaseException) -> None:
    """Nothing stays of a job without a finished piece; Ctrl-C says what stays of another one."""
    kept = done(job, list(range(pieces(job))))
    if not kept and jax.process_count() == 1:
        forget(job)
    if kept and isinstance(error, KeyboardInterrupt):
        raise KeyboardInterrupt(
            f"stopped after {kept} of {job.count} {job.what}, which are kept in {job.directory}; "
            "the same command goes on from there"
        ) from error


def wait(job: Job) -> None:
    """Returns when the pieces of all processes are done (or joined, which removes them)."""
    missing = list(range(pieces(job)))
    while missing and is_begun(job.directory):
        missing = [index for index in missing if not is_done(job, index)]
        if missing:
            time.sleep(0.2)


def finish(job: Job, index: int, arrays: dict[str, Any], note: dict[str, Any]) -> None:
    """Writes a piece and its note; the shard comes last, and whole."""
    write_json(shard(job, index).with_suffix(".json"), note)
    records.save_arrays(shard(job, index), arrays)


def notes(job: Job) -> list[dict[str, Any]]:
    """The notes of all pieces, in order."""
    if (job.directory / "notes.json").exists():
        return json.loads((job.directory / "notes.json").read_text())
    return [json.loads(file.with_suffix(".json").read_text()) for file in shards(job)]


def tidy(job: Job) -> None:
    """Gathers the notes in one file, and removes them and what killed writers left."""
    write_json(job.directory / "notes.json", notes(job))
    for file in shards(job):
        file.with_suffix(".json").unlink(missing_ok=True)
    for left in job.directory.glob(".*.part"):
        left.unlink()


def forget(job: Job) -> None:
    """Removes the job with all its pieces."""
    shutil.rmtree(job.directory, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Writes a file of JSON, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_text(json.dumps(value, indent=1))
    os.replace(temporary, path)


def fingerprint(tree: Any) -> str:
    """Equal for trees of equal arrays."""
    text = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        text.update(f"{array.shape}{array.dtype}".encode() + array.tobytes())
    return text.hexdigest()[:16]
