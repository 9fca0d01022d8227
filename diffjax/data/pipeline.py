"""From an annotation set to batches: vectors, conditions and truth, fed by grain in a seeded order."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax import config, pose
from diffjax.data import records, statistics

RESIDENT_BYTES = 2**31
"""Training keeps sets of up to this size on every device. 2 GiB are about 700,000 people."""


class Examples(NamedTuple):
    """What training sees of people, NumPy until dispatched. Absent truth has confidence 0."""

    x_0: Float[Array, "*batch d"]
    """What is diffused, standardised."""
    betas: Float[Array, "*batch 10"]
    """Shape, for layouts that carry none."""
    estimate: Float[Array, "*batch d"]
    """The estimate's vector, standardised."""
    keypoints: Float[Array, "*batch K 3"]
    """Detections (pixels, confidence): what the network may be conditioned on."""
    labels2d: Float[Array, "*batch L 3"]
    """2D truth: the labels where there are any, else the keypoints."""
    joints3d: Float[Array, "*batch J 4"]
    """3D truth, metres and confidence."""
    focal_px: Float[Array, "*batch 2"]
    center_px: Float[Array, "*batch 2"]
    image_size_px: Float[Array, "*batch 2"]
    features: Float[Array, "*batch f"]
    """Of the image, standardised: what the network may be conditioned on."""


class Mixture(NamedTuple):
    """Sets one after the other, and how often each is drawn from."""

    counts: tuple[int, ...]
    """People of each set."""
    weights: tuple[float, ...]


def read_set(path: str, split: str) -> records.AnnotationSet:
    """The annotation set at a path; `split` (`train`, `val`, `test`) is for the message."""
    file = config.locate(path)
    if not file.exists():
        raise FileNotFoundError(
            f"data.{split}: {path} is missing; make it with scripts/convert.py, or from motion with "
            "scripts/make_estimates.py (the config's docstring and docs/data.md say how), or try --config "
            "configs/demo.py, which needs no data"
        )
    return records.read(file)


def target_vectors(annotations: records.AnnotationSet, run: config.Run, where: str) -> np.ndarray:
    """(N, d) vectors of what x_0 is in this run, not standardised."""
    if run.train.target == "prediction":
        return estimate_vectors(annotations, run)
    if annotations.pose is None:
        raise ValueError(
            f"{where}: field pose: wanted the true pose for train.target 'annotation', found nothing; "
            "pass --train.target prediction, or convert the set with its truth"
        )
    return _vectors(annotations.pose, statistics.target_betas(annotations, "annotation"), run)


def estimate_vectors(annotations: records.AnnotationSet, run: config.Run) -> np.ndarray:
    """(N, d) vectors of the cached estimate, not standardised."""
    return _vectors(annotations.pred_pose, annotations.pred_betas, run)


def _vectors(rotations: np.ndarray, betas: np.ndarray, run: config.Run) -> np.ndarray:
    people = pose.Pose(jnp.asarray(rotations), jnp.asarray(betas))
    return np.asarray(pose.vector_from_pose(people, run.model.vector))


def fit_normaliser(
    vectors: np.ndarray, run: config.Run, known: statistics.Statistics | None = None
) -> pose.Normaliser:
    """Statistics of the training vectors, or none where the run diffuses raw numbers.

    `known` has the range of betas, which `diffusion.betas` may take to [-1, 1] either way.
    """
    if run.diffusion.standardise:
        normaliser = pose.fit_normaliser(vectors, run.diffusion.std_floor)
    else:
        normaliser = pose.identity_normaliser(vectors.shape[-1])
    if known is None or run.diffusion.betas == "same":
        return normaliser
    low, high = known.betas_min, known.betas_max
    return pose.with_betas_range(normaliser, low, high, run.model.vector)


def find_statistics(
    annotations: records.AnnotationSet, run: config.Run, where: str
) -> statistics.Statistics:
    """Those of `data.stats`, or of the training set where none are given.

    ValueError where the run is conditioned on features that are not of the same width, or absent.
    """
    check(annotations, run, where)
    path = run.data.stats
    conditioned = "features" in run.model.condition
    if not path:
        used = annotations if conditioned else dataclasses.replace(annotations, features=None)
        return statistics.of_set(used, run.train.target, where)
    known = statistics.read(path)
    wanted = (
        annotations.features.shape[1] if conditioned and annotations.features is not None else 0
    )
    found = 0 if known.features is None else len(known.features.mean)
    if conditioned and wanted != found:
        raise ValueError(
            f"{path}: field features_mean: wanted {wanted} numbers as in {where}, found {found}; make "
            "the statistics of the same sets with scripts/stats.py"
        )
    return known if conditioned else known._replace(features=None)


def check_features(found: int, wanted: int, where: str, source: str) -> None:
    """ValueError unless a set has features as wide as those that `source` knows."""
    if found != wanted:
        raise ValueError(
            f"{where}: field features: wanted {wanted} numbers a person as in {source}, found {found}; "
            "give the features that it was trained on, or train a model on these"
        )


def make_examples(
    annotations: records.AnnotationSet,
    normaliser: pose.Normaliser,
    run: config.Run,
    where: str,
    features: pose.Normaliser | None = None,
) -> Examples:
    """All people of a set as (N, ...) NumPy arrays. ValueError where the run needs a field that is not there.

    `features` standardises the image features, where the run is conditioned on them.
    """
    check(annotations, run, where)
    people = records.count(annotations)
    labels = annotations.keypoints2d if annotations.labels2d is None else annotations.labels2d

    def vectors(values) -> Any:
        return np.asarray((values - normaliser.mean) / normaliser.std, np.float32)

    def or_zeros(values, *shape) -> Any:
        return np.zeros((people, *shape), np.float32) if values is None else values

    def standardised(values) -> Any:
        if features is None or values is None:
            return np.zeros((people, 0), np.float32)
        check_features(values.shape[1], len(features.mean), where, f"data.train {run.data.train}")
        return np.asarray((values - features.mean) / features.std, np.float32)

    def or_ones(values) -> Any:
        return np.ones((people, 2), np.float32) if values is None else values

    return Examples(
        x_0=vectors(target_vectors(annotations, run, where)),
        betas=statistics.target_betas(annotations, run.train.target),
        estimate=vectors(estimate_vectors(annotations, run)),
        keypoints=or_zeros(annotations.keypoints2d, 0, 3),
        labels2d=or_zeros(labels, 0, 3),
        joints3d=or_zeros(annotations.keypoints3d, 0, 4),
        focal_px=or_ones(annotations.focal_px),
        center_px=or_ones(annotations.center_px),
        image_size_px=or_ones(annotations.image_size_px),
        features=standardised(annotations.features),
    )


def label_set(annotations: records.AnnotationSet) -> str | None:
    """The keypoint set of `Examples.labels2d`."""
    if annotations.labels2d is None:
        return annotations.keypoints2d_set
    return annotations.labels2d_set


def join_sets(
    sets: Sequence[records.AnnotationSet], names: Sequence[str], run: config.Run
) -> records.AnnotationSet:
    """Training sets one after the other: of several, only the fields that the run reads, which all must have."""
    if len(sets) == 1:
        return sets[0]
    used = [_used(part, run) for part in sets]
    return records.concatenate(used, [f"data.train {name}" for name in names])


def _used(annotations: records.AnnotationSet, run: config.Run) -> records.AnnotationSet:
    known = records.arrays_of(annotations)
    wanted = {"pred_pose", "pred_betas"}
    if run.train.target == "annotation":
        wanted |= {"pose", "betas"}
    if run.train.gamma_3d:
        wanted |= {"keypoints3d"}
    if run.train.gamma_2d:
        wanted |= {"keypoints2d", "labels2d", "focal_px", "center_px", "image_size_px"}
    wanted |= {{"keypoints": "keypoints2d"}.get(name, name) for name in run.model.condition}
    wanted |= {f"{name}_set" for name in wanted}
    return records.AnnotationSet(**{k: v for k, v in known.items() if k in wanted})


def check(annotations: records.AnnotationSet, run: config.Run, where: str) -> None:
    """ValueError unless the set has the fields that the run needs."""
    needed = {}
    if run.train.gamma_3d:
        needed["keypoints3d"] = "train.gamma_3d"
    if run.train.gamma_2d:
        labels = "keypoints2d" if annotations.labels2d is None else "labels2d"
        needed |= dict.fromkeys((labels, "focal_px", "center_px"), "train.gamma_2d")
    if "keypoints" in run.model.condition:
        needed["keypoints2d"] = "model.condition"
    if "features" in run.model.condition:
        needed["features"] = "model.condition"
    for name, setting in needed.items():
        if getattr(annotations, name) is None:
            raise ValueError(
                f"{where}: field {name}: wanted by {setting}, found nothing; convert the set with it, "
                f"or leave {setting} at its default"
            )


def take(examples: Any, index: Any) -> Any:
    """The people at `index`."""
    return jax.tree.map(lambda values: values[index], examples)


def fits_device(examples: Any) -> bool:
    """Whether training keeps all examples on every device."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(examples)) <= RESIDENT_BYTES


class _Order:
    """Batch after batch of people, as indices: every epoch in another order that the seed fixes.

    A batch is made at once: grain's own shuffle spends microseconds on every index.
    """

    def __init__(self, people: np.ndarray, batch_size: int, seed: int):
        self._people, self._size, self._seed = people, batch_size, seed
        # A batch may lie in two epochs.
        self._epoch = functools.lru_cache(maxsize=2)(self._shuffled)

    def __len__(self) -> int:
        return 2**62 // self._size

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self._seed, epoch)).permutation(self._people)

    def __getitem__(self, batch: int) -> np.ndarray:
        place, end, parts = batch * self._size, (batch + 1) * self._size, []
        while place < end:
            epoch, first = divmod(place, len(self._people))
            part = self._epoch(epoch)[first : first + end - place]
            parts.append(part)
            place += len(part)
        return np.concatenate(parts)


class _Draws:
    """Batch after batch of people: each row draws its set by weight, then one of its people."""

    def __init__(self, mixture: Mixture, batch_size: int, seed: int, process: int):
        self._ends = np.cumsum(np.asarray(mixture.weights, np.float64) / sum(mixture.weights))
        self._counts = np.asarray(mixture.counts)
        self._starts = np.cumsum(self._counts) - self._counts
        self._size, self._seed, self._process = batch_size, seed, process

    def __len__(self) -> int:
        return 2**62 // self._size

    def __getitem__(self, batch: int) -> np.ndarray:
        random = np.random.default_rng((self._seed, self._process, batch))
        which = np.searchsorted(self._ends[:-1], random.random(self._size), side="right")
        rows = self._starts[which] + random.integers(0, self._counts[which])
        return rows.astype(np.int32)


def batches(
    examples: Any, batch_size: int, seed: int, mixture: Mixture | None = None
) -> Iterator[Any]:
    """Batches for ever: every epoch in another order that the seed fixes. Has `get_state` and `set_state`.

    Of any tree of arrays of people: of `np.arange(people)`, the batches are indices. Each process of
    a multi-host run sees its own share of the people. With a `mixture` there are no epochs: every
    row is drawn anew, in each process by another stream.
    """
    if mixture is None:
        count = len(jax.tree.leaves(examples)[0])
        people = np.arange(count, dtype=np.int32)[jax.process_index() :: jax.process_count()]
        source: Any = _Order(people, batch_size, seed)
    else:
        source = _Draws(mixture, batch_size, seed, jax.process_index())
    order = grain.MapDataset.source(source)
    rows = order.map(functools.partial(take, examples))
    return iter(rows.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)))
