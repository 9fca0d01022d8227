"""Checkpoints of sequence refiners: a step of training (orbax), and a model to give away (one .npz)."""

import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jaxtyping import PyTree

from diffjax import checkpoint, config, skeleton, unpickle
from diffjax.data import records
from diffjax.denoisers import frames, sequence
from diffjax.methods import conditional_noise, d3prefiner, error_normaliser

_FORMAT = "diffjax-sequence-model-1"
_TRAIN = (
    "train one with `python scripts/train.py` and the same --config, or take the demo's: --config "
    "configs/d3prefiner_people.py --parts.refiner converted_weights/demo_refiner.npz"
)

EXPORTED = "model.npz"
"""In a working directory, after training: the refiner alone."""


def fitted(model: d3prefiner.Model) -> dict[str, PyTree]:
    """What was fitted before training, as float32 trees."""
    trees = {"noise": model.noise, "normaliser": model.process.normaliser}
    return {name: jax.tree.map(jnp.asarray, tree) for name, tree in trees.items()}


def facts_of(model: d3prefiner.Model) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    return {
        "format": _FORMAT,
        "run": config.to_json(model.run),
        "joint_set": model.joint_set,
    }


def load(path: str | pathlib.Path, joint_set: str | None = None) -> d3prefiner.Model:
    """The model in a working directory (its newest step) or in an exported .npz.

    ValueError for one of another joint set, or for another file.
    """
    file = config.locate(path)
    if not file.exists():
        raise FileNotFoundError(f"{path}: no sequence refiner here; {_TRAIN}")
    loaded = _load_workdir(file) if file.is_dir() else _load_export(file)
    if joint_set is not None and loaded.joint_set != joint_set:
        raise ValueError(
            f"{path}: field joint_set: wanted {joint_set} as in the sequences, found {loaded.joint_set}; "
            f"convert the sequences to {loaded.joint_set}, or train on theirs"
        )
    return loaded


def check_window(model: d3prefiner.Model, window: int, path: str | pathlib.Path) -> None:
    """ValueError where a run asks for another window than the model's."""
    found = model.run.sequence.window
    if window != found:
        raise ValueError(
            f"{path}: field window: wanted {window} frames, found a model of {found}; pass "
            f"--sequence.window {found}, or train one of {window}"
        )


def _like(run: config.Run, joint_set: str) -> dict[str, PyTree]:
    """Trees of the shapes of a model."""
    size = 3 * len(skeleton.keypoint_set(joint_set))
    shapes = ((5 * size // 3,), (5 * size // 3, size), (size,), (size, size), ())
    zeros = [jnp.zeros(shape) for shape in shapes]
    pair = jnp.zeros((size // 3, 3))
    return {
        "params": d3prefiner.init_params(jax.random.key(0), run.sequence, joint_set),
        "noise": conditional_noise.NoiseModel(*zeros),
        "normaliser": error_normaliser.Normaliser(pair, pair),
    }


def _load_workdir(workdir: pathlib.Path) -> d3prefiner.Model:
    step = checkpoint.latest(workdir)
    if step is None:
        raise FileNotFoundError(f"{workdir}: no saved step in this directory; {_TRAIN}")
    facts = checkpoint.read_facts(workdir, step)
    if facts.get("format") != _FORMAT:
        raise ValueError(f"{workdir}: wanted a sequence refiner, found another model; {_TRAIN}")
    run = config.from_json(facts["run"])
    like = _like(run, facts["joint_set"])
    params = like.pop("params")
    kept = {"best": params} if facts.get("best") else {"ema": (params,) * len(run.train.ema_rates)}
    trees = checkpoint.restore(workdir, step, like | kept)
    averages = trees["best"] if facts.get("best") else trees["ema"][0]
    return _model(run, facts["joint_set"], trees["noise"], trees["normaliser"], averages)


def _model(run, joint_set, noise, normaliser, params) -> d3prefiner.Model:
    noise, normaliser = (jax.tree.map(np.asarray, tree) for tree in (noise, normaliser))
    return d3prefiner.make_model(run, joint_set, noise, normaliser, params)


def export(path: str | pathlib.Path, model: d3prefiner.Model) -> None:
    """Writes a model to one .npz, which appears whole or not at all."""
    flat = traverse_util.flatten_dict({"params": model.params}, sep="/")
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in flat.items()}
    for name, tree in fitted(model).items():
        arrays |= {f"{name}/{field}": np.asarray(x) for field, x in tree._asdict().items()}
    records.save_arrays(path, arrays | {"facts": np.array(json.dumps(facts_of(model)))})


def _load_export(path: pathlib.Path) -> d3prefiner.Model:
    arrays, facts = _read(path)
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    run, joint_set = _told(facts, set(arrays), path)
    like = jax.eval_shape(lambda: _like(run, joint_set))
    named = like | {name: like[name]._asdict() for name in ("noise", "normaliser")}
    flat: dict[str, Any] = traverse_util.flatten_dict(named, sep="/")
    for name in sorted(flat.keys() | arrays.keys()):
        wanted, found = (np.shape(some[name]) if name in some else None for some in (flat, arrays))
        if wanted != found or arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
            raise ValueError(
                f"{path}: field {name}: wanted finite numbers {wanted}, found {found}; export it again"
            )
    loaded = {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
    trees = traverse_util.unflatten_dict(loaded, sep="/")
    noise = conditional_noise.NoiseModel(**trees["noise"])
    normaliser = error_normaliser.Normaliser(**trees["normaliser"])
    return _model(run, joint_set, noise, normaliser, trees["params"])


def _told(facts: dict[str, Any], names: set[str], path: pathlib.Path) -> tuple[config.Run, str]:
    """The run and the joint set of an exported model of these arrays."""
    try:
        run, joint_set = config.from_json(facts["run"]), str(facts["joint_set"])
        # A damaged number may ask for any number of blocks: those that are there are counted first.
        network = {"frames": frames, "criss_cross": sequence}[run.sequence.network]
        whole = "params/" + network.OF_BLOCK.format(run.sequence.blocks - 1) in names
        d3prefiner.root_of(joint_set)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path}: field facts: wanted those of a sequence refiner, found others ({error}); {_TRAIN}"
        ) from error
    if not whole:
        raise ValueError(
            f"{path}: field params: wanted {run.sequence.blocks} blocks, found others; {_TRAIN}"
        )
    return run, joint_set


def _read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        arrays = unpickle.load_npz(path, objects=False)
        facts = json.loads(str(arrays.pop("facts")))
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: wanted a sequence refiner (.npz), found another file; {_TRAIN}"
        ) from error
    if not isinstance(facts, dict) or facts.get("format") != _FORMAT:
        raise ValueError(f"{path}: wanted a sequence refiner, found another model; {_TRAIN}")
    return arrays, facts
