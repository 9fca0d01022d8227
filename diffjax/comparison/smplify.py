"""SMPLify's rows of the table: joint limits and a prior of poses, descended by Adam or L-BFGS. Rows alone."""

import functools
from typing import Any, Literal

import jax
import numpy as np

from diffjax import ablation, annotate, chunks, devices, energies, pose
from diffjax.comparison.method import Kit, Outcome, Task
from diffjax.methods import denoised, diffannot, mixture, plain, smplify

Descent = Literal["adam", "lbfgs"]
Prior = Literal["mixture", "diffusion"]
GRADIENTS: dict[Descent, int] = {"adam": 60, "lbfgs": 40}
WEIGHTS: dict[Prior, tuple[float, ...]] = {"mixture": (1.0, 0.3, 3.0), "diffusion": (1.0, 3.0, 0.3)}
"""Of the prior of poses, tuned on validation; the first one where nobody can tell."""
TIME = 200
"""Of the diffusion prior."""


def grid(prior: Prior):
    """The weights of a prior."""
    return lambda kit, kind: list(WEIGHTS[prior])


def told(weight: float) -> str:
    return f"prior {weight:g}"


def rows(name: str, descent: Descent, prior: Prior):
    """A descent with a prior."""

    def refine(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
        a, kind, loaded = given.annotations, task.kind, kit.fitting.prior
        assert loaded is not None
        assert kind is not None
        steps = len(loaded.prior.schedule.betas)
        if prior == "diffusion" and steps <= TIME:
            raise ValueError(f"needs a prior of more than {TIME} steps, found {steps}")
        keypoints = annotate.keypoints_of(kit.run.data.body, kit.guided.model, a, kind)
        share = getattr(kit.run.guided, kind).robust_px_share
        knows = _mixture(kit) if prior == "mixture" else None
        shared = keypoints, loaded.prior, knows, *map(np.float32, (task.settings, share or np.inf))
        pair = annotate.estimate_of(a), annotate.evidence_of(a, kind)
        how: dict[str, Any] = {"size": devices.rows_at_once(), "label": name}
        work = _work(loaded.layout, descent, prior)
        return [Outcome(name, kind, *chunks.in_chunks(work, pair, *shared, **how))]

    return refine


@functools.cache
def _work(layout: pose.Layout, descent: Descent, prior: Prior):
    fit = {"adam": plain.fit_adam, "lbfgs": plain.fit_lbfgs}[descent]

    def work(batch, keypoints, network, knows, weight, width):
        estimate, evidence = batch
        unlikely = (
            mixture.energy(knows)
            if prior == "mixture"
            else denoised.energy(
                network.denoiser, network.schedule, network.normaliser, layout, TIME
            )
        )
        seen = energies.reprojection(keypoints.image, width)
        energy = smplify.total(seen, unlikely, smplify.Weights(pose=weight))
        how = {"layout": layout, "iterations": GRADIENTS[descent]}
        fitted = fit(estimate, evidence, energy, network.normaliser, **how)
        return diffannot.finish(estimate, fitted, evidence, keypoints, width)

    return work


_MIXTURES: dict[tuple[Any, str], mixture.Mixture] = {}


def _mixture(kit: Kit) -> mixture.Mixture:
    """Of the training poses of ScoreHMR's run, fitted once."""
    assert kit.fitting.prior is not None
    layout, train = kit.fitting.prior.layout, kit.loop.data.train
    if (train, layout) not in _MIXTURES:
        vectors = ablation.training_vectors(kit.loop, layout)
        people = pose.pose_from_vector(vectors, layout, np.zeros((len(vectors), 10), np.float32))
        _MIXTURES[train, layout] = mixture.fit_mixture(np.asarray(_numbers(people)))
    return _MIXTURES[train, layout]


_numbers = jax.jit(mixture.body_numbers)
