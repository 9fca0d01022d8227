"""Checkpoints: of a training run (orbax), and of a model to give away (one .npz without pickle)."""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import linen as nn
from flax import traverse_util
from jaxtyping import PyTree

from diffjax import body, config, denoisers, pose, sampling, unpickle
from diffjax import schedule as schedules

_FORMAT = "diffjax-model-1"
_TRAIN = (
    "train one with `python scripts/train.py --config CONFIG --workdir DIR`, CONFIG configs/demo.py for "
    "guided or configs/scorehmr_demo.py for scorehmr"
)
_DIRECTORY = "checkpoints"


@dataclasses.dataclass(frozen=True)
class Model:
    """A trained network and all that is needed to use it."""

    network: nn.Module
    params: denoisers.Params
    """The first EMA of the weights."""
    normaliser: pose.Normaliser
    schedule: schedules.Schedule
    run: config.Run
    """What it was trained with."""
    body_digest: str
    """Of the body it was trained with (`digest`); empty where no body was known."""
    keypoints: int = 0
    """2D keypoints that it is conditioned on."""
    features: pose.Normaliser | None = None
    """Standardises the image features that it is conditioned on."""


def denoiser(model: Model, precision: str = "float32") -> sampling.Denoiser:
    """The model over standardised vectors (`model.normaliser`).

    `precision` is that of the factors of its matrix products: `float32` or `bfloat16`.
    """
    prediction = model.run.diffusion.prediction
    dtype = None if precision == "float32" else precision
    return denoisers.bind(model.network, model.params, model.schedule, prediction, dtype=dtype)


def make_model(
    run: config.Run,
    params: denoisers.Params,
    normaliser: pose.Normaliser,
    body_digest: str = "",
    keypoints: int = 0,
    features: pose.Normaliser | None = None,
) -> Model:
    """A model from what a config does not say."""
    width = 0 if features is None else len(features.mean)
    network = denoisers.make_network(run.model, run.diffusion, width, keypoints)
    process = run.diffusion
    schedule = schedules.make_schedule(process.schedule, process.steps, process.respacing)
    return Model(network, params, normaliser, schedule, run, body_digest, keypoints, features)


def context(model: Model, known: Mapping[str, Any], where: str) -> Any:
    """What the model's denoiser takes as context; None where it is not conditioned.

    `known`: `features` "*batch f" as they are in the set, `keypoints` "*batch K 3" (pixels,
    confidence), `estimate` "*batch d" (standardised as x is). ValueError (`where`, field, wanted,
    found, next step) where one is missing or not as wide as what the model was trained on.
    """
    width = 0 if model.features is None else len(model.features.mean)
    wanted = {
        "features": (width,),
        "keypoints": (model.keypoints, 3),
        "estimate": (pose.VECTOR_SIZE[model.run.model.vector],),
    }
    seen = {}
    for name in model.run.model.condition:
        given = known.get(name)
        found = "nothing" if given is None else given.shape[-len(wanted[name]) :]
        if given is None or found != wanted[name]:
            field = "keypoints2d" if name == "keypoints" else name
            raise ValueError(
                f"{where}: field {field}: wanted {wanted[name]} a person, as the model was trained with, "
                f"found {found}; give people with them, or a model trained on yours"
            )
        seen[name] = jnp.asarray(given)
    if model.features is not None and "features" in seen:
        seen["features"] = pose.standardise(model.features, seen["features"])
    return denoisers.context_of(model.run.model, seen) or None


def digest(model: body.BodyModel) -> str:
    """A short name for a body: equal for equal rest shape and shape space (to 10 micrometres)."""
    arrays = (model.template, model.joint_template, model.joint_dirs)
    numbers = [np.round(np.asarray(a, np.float64) * 1e5).astype(np.int64) for a in arrays]
    return hashlib.sha256(b"".join(n.tobytes() for n in numbers)).hexdigest()[:12]


def _manager(workdir: pathlib.Path, **options: Any) -> ocp.CheckpointManager:
    directory = workdir.absolute() / _DIRECTORY
    return ocp.CheckpointManager(directory, options=ocp.CheckpointManagerOptions(**options))


def latest(workdir: str | pathlib.Path) -> int | None:
    """The newest complete step saved in a working directory; None where there is none."""
    workdir = pathlib.Path(workdir)
    if not (workdir / _DIRECTORY).is_dir():
        return None
    with _manager(workdir, read_only=True) as manager:
        return manager.latest_step()


def save(
    workdir: str | pathlib.Path, step: int, items: dict[str, PyTree], facts: dict[str, Any]
) -> None:
    """Saves named trees and JSON facts as one step, whole or not at all; keeps the last three."""
    args: dict[str, Any] = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
    args["facts"] = ocp.args.JsonSave(facts)
    with _manager(
        pathlib.Path(workdir), max_to_keep=3, enable_async_checkpointing=False
    ) as manager:
        if manager.latest_step() != step:
            manager.save(step, args=ocp.args.Composite(**args))


def read_facts(workdir: str | pathlib.Path, step: int) -> dict[str, Any]:
    """The JSON facts of a saved step."""
    with _manager(pathlib.Path(workdir), read_only=True) as manager:
        return manager.restore(step, args=ocp.args.Composite(facts=ocp.args.JsonRestore())).facts


def restore(workdir: str | pathlib.Path, step: int, like: dict[str, PyTree]) -> dict[str, PyTree]:
    """The named trees of a saved step, in the structure and on the devices of `like`."""
    args = {name: ocp.args.StandardRestore(tree) for name, tree in like.items()}
    with _manager(pathlib.Path(workdir), read_only=True) as manager:
        return dict(manager.restore(step, args=ocp.args.Composite(**args)).items())


def load_model(
    path: str | pathlib.Path, *, vector: str | None = None, model: body.BodyModel | None = None
) -> Model:
    """The model in a working directory (its newest step) or in an exported .npz.

    With `vector` (a layout) or `model` (a body), a checkpoint of another one is refused: ValueError.
    """
    file = config.locate(path)
    if not file.exists():
        raise FileNotFoundError(f"{path}: no checkpoint here; {_TRAIN}")
    loaded = _load_workdir(file) if file.is_dir() else _load_export(file)
    _check(loaded, path, vector, model)
    return loaded


def _load_workdir(workdir: pathlib.Path) -> Model:
    step = latest(workdir)
    if step is None:
        raise FileNotFoundError(f"{workdir}: no saved step in this directory; {_TRAIN}")
    facts = read_facts(workdir, step)
    run = config.from_json(facts["run"])
    size, width = pose.VECTOR_SIZE[run.model.vector], facts.get("features", 0)
    params = _fresh_params(run, facts["keypoints"], width)
    like: dict[str, PyTree] = {"normaliser": pose.identity_normaliser(size)}
    if facts.get("best"):
        like["best"] = params
    else:
        like["ema"] = (params,) * len(run.train.ema_rates)
    if width:
        like["features"] = pose.identity_normaliser(width)
    trees = restore(workdir, step, like)
    averages = trees["best"] if facts.get("best") else trees["ema"][0]
    normaliser = pose.Normaliser(*(np.asarray(a) for a in trees["normaliser"]))
    features = pose.Normaliser(*(np.asarray(a) for a in trees["features"])) if width else None
    return make_model(run, averages, normaliser, facts["body"], facts["keypoints"], features)


def _fresh_params(run: config.Run, keypoints: int, features: int = 0) -> denoisers.Params:
    """Parameters of the run's shapes."""
    network = denoisers.make_network(run.model, run.diffusion, features, keypoints)
    x = jnp.zeros((1, pose.VECTOR_SIZE[run.model.vector]))
    known = {
        "estimate": x,
        "keypoints": jnp.zeros((1, keypoints, 3)),
        "features": jnp.zeros((1, features)),
    }
    seen = denoisers.context_of(run.model, known)
    return denoisers.init_params(jax.random.key(0), network, x, seen)


def export(path: str | pathlib.Path, model: Model, half: bool = False) -> None:
    """Writes a model to one .npz, under a temporary name first; `half` keeps weights in 16 bits."""
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"{path}: wanted a file name ending in .npz")
    flat = traverse_util.flatten_dict({"params": model.params}, sep="/")
    dtype = np.float16 if half else None
    arrays: dict[str, Any] = {name: np.asarray(value, dtype) for name, value in flat.items()}
    arrays |= {f"normaliser/{k}": np.asarray(v) for k, v in model.normaliser._asdict().items()}
    facts = {"format": _FORMAT, "body": model.body_digest, "keypoints": model.keypoints}
    if model.features is not None:
        arrays |= {f"features/{k}": np.asarray(v) for k, v in model.features._asdict().items()}
        facts["features"] = len(model.features.mean)
    arrays["facts"] = np.array(json.dumps(facts | {"run": config.to_json(model.run)}))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _load_export(path: pathlib.Path) -> Model:
    arrays, facts = _read_export(path)
    run = config.from_json(facts["run"])
    size, width = pose.VECTOR_SIZE[run.model.vector], facts.get("features", 0)
    like = jax.eval_shape(lambda: {"params": _fresh_params(run, facts["keypoints"], width)})
    flat: dict[str, Any] = traverse_util.flatten_dict(like, sep="/")
    shapes = {name: value.shape for name, value in flat.items()}
    shapes |= {"normaliser/mean": (size,), "normaliser/std": (size,)}
    shapes |= {f"features/{part}": (width,) for part in pose.Normaliser._fields if width}
    for name in sorted(shapes.keys() | arrays.keys()):
        wanted = shapes.get(name, "nothing")
        found = arrays[name].shape if name in arrays else "nothing"
        if wanted != found:
            raise ValueError(
                f"{path}: field {name}: wanted {wanted}, found {found}; export it again"
            )
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{path}: field {name}: wanted finite numbers; export it again")
    normaliser = pose.Normaliser(arrays.pop("normaliser/mean"), arrays.pop("normaliser/std"))
    features = None
    if width:
        features = pose.Normaliser(arrays.pop("features/mean"), arrays.pop("features/std"))
    loaded = {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
    params = traverse_util.unflatten_dict(loaded, sep="/")["params"]
    return make_model(run, params, normaliser, facts["body"], facts["keypoints"], features)


def _read_export(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        arrays = unpickle.load_npz(path, objects=False)
        facts = json.loads(str(arrays.pop("facts")))
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: wanted a model exported by diffjax (.npz), found something else; {_TRAIN}, "
            "or convert the authors' weights with scripts/convert.py"
        ) from error
    if facts.get("format") != _FORMAT:
        found = facts.get("format")
        raise ValueError(f"{path}: wanted format {_FORMAT!r}, found {found!r}; export it again")
    return arrays, facts


def _check(
    loaded: Model, path: str | pathlib.Path, vector: str | None, model: body.BodyModel | None
) -> None:
    found = loaded.run.model.vector
    if vector is not None and found != vector:
        size = pose.VECTOR_SIZE
        raise ValueError(
            f"{path}: field vector: wanted {vector} ({size.get(vector, '?')} numbers), "
            f"found {found} ({size[found]}); pass --model.vector {found}, or another checkpoint"
        )
    if model is None or not loaded.body_digest or not _knows_bodies(loaded.run.model):
        return
    wanted = digest(model)
    if loaded.body_digest != wanted:
        raise ValueError(
            f"{path}: field body: wanted body {wanted}, found {loaded.body_digest}: trained with "
            f"{loaded.run.data.body}; pass that as --data.body, or train with yours"
        )


def _knows_bodies(model: config.Model) -> bool:
    """Whether a network saw more of people than rotations, which mean the same on every SMPL body."""
    return model.vector != "sixd144" or bool({"estimate", "keypoints"} & set(model.condition))
