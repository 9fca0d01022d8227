"""Small sequence sets, sequence refiners and lifters, as diffjax writes them."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import made
import numpy as np
import sequences

from diffjax.data import records, sequence_sets
from diffjax.frontends import stcformer
from diffjax.methods import d3prefiner
from diffjax.sequences import store


def _drawn(init: Any, *arguments: Any) -> Any:
    """Weights of the shapes that `init` says, without compiling it."""
    random = np.random.default_rng(0)
    like = jax.eval_shape(lambda key: init(key, *arguments), jax.random.key(0))
    return jax.tree.map(lambda x: random.normal(size=x.shape).astype(np.float32), like)


def sequence_set(path: Path) -> Path:
    """Four videos."""
    sequence_sets.write(path, sequences.videos())
    return path


def model(path: Path) -> Path:
    """A refiner without training."""
    videos, run = sequences.videos(), sequences.run(width=4)
    rows = videos.poses2d, videos.estimate3d, videos.truth3d
    stats = d3prefiner.statistics_of(*rows, sequence_sets.lengths(videos))
    params = _drawn(d3prefiner.init_params, run.sequence, videos.joint_set)
    fitted = d3prefiner.fit(run, videos.joint_set, stats)
    store.export(path, dataclasses.replace(fitted, params=params))
    return path


def lifter(path: Path) -> Path:
    """A lifter without training."""
    settings = stcformer.Settings(window=5, width=8, depth=1, heads=2)
    params = _drawn(stcformer.network_of(settings).init, jnp.zeros((1, 5, 17, 2)))
    lifts = stcformer.Lifter(settings, params["params"])
    records.save_arrays(path, stcformer.arrays_of(lifts))
    return path


def _sequence_set(folder: Path) -> made.Case:
    path = sequence_set(folder / "videos.npz")
    return made.Case(lambda out: sequence_sets.write(out, sequence_sets.read(path)), [path])


def _model(folder: Path) -> made.Case:
    path = model(folder / "refiner.npz")
    return made.Case(lambda out: store.export(out, store.load(path)), [path])


def _lifter(folder: Path) -> made.Case:
    path = lifter(folder / "lifter.npz")

    def convert(out: Path) -> None:
        records.save_arrays(out, stcformer.arrays_of(stcformer.load(path)))

    return made.Case(convert, [path])


CASES = {"sequence_set": _sequence_set, "sequence_model": _model, "lifter": _lifter}
