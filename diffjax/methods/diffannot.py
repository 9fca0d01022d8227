"""DiffAnnot (Lin et al. 2023) and the modes that use the evidence inside the refinement.

`guided`: evidence inside the denoising (DDIM inversion, score guidance, DDIM back). The default.
`fast`:   the MAP fit with the covariance of the frontend's cross-fitted residuals. No network.
`combined`: the same, with a diffusion prior as a third term.
`paper`:  Algorithm 1: denoise from every start step, keep the step whose result has the least error.
          With an error that sees the truth its number is an oracle number.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from diffjax import body, energies, guidance, metrics, pose, search, skeleton
from diffjax.methods import denoised, map_fit
from diffjax.pose import Evidence, Normaliser, Pose, Refined
from diffjax.schedule import Schedule


class Prior(NamedTuple):
    """A denoiser of standardised pose vectors with everything needed to run it."""

    denoiser: guidance.Denoiser
    schedule: Schedule
    normaliser: Normaliser


class Keypoints(NamedTuple):
    """The body as the evidence sees it: one folded regressor a kind."""

    image: body.KeypointModel
    """Keypoints of `Evidence.keypoints2d`."""
    space: body.KeypointModel
    """Joints of `Evidence.keypoints3d`."""


class GuidedSettings(NamedTuple):
    """How hard, how long, and how robust; all three may be traced."""

    strength: Float[Array, ""] | float = 4.0
    rounds: Any = 20
    width: Float[Array, ""] | float = jnp.inf
    """Robust scale of 2D residuals in box sides (0.1 for detections); inf trusts every keypoint."""


COMBINED_RATE = 0.3
"""Of Adam's first step in `combined`. With labels, on validation, 0.15 was 0.7 mm worse, and 0.6 yet 0.8 more."""


class Trust(NamedTuple):
    """What `combined` believes, against evidence of weight 1; all may be traced."""

    errors: Float[Array, ""] | float = 0.3
    """The estimate, by the frontend's known errors."""
    prior: Float[Array, ""] | float = 1.0
    """The diffusion prior."""
    time: Any = 200
    """How noisy it is told that poses are: a step of its schedule."""
    width: Float[Array, ""] | float = jnp.inf
    """As of `GuidedSettings`."""


def evidence_energy(keypoints: Keypoints, width: Float[Array, ""] | float) -> energies.Energy:
    """2D and 3D evidence together; absent kinds have confidence 0 and vanish."""
    return energies.total(
        energies.reprojection(keypoints.image, width), energies.joints3d(keypoints.space)
    )


def guided(
    estimate: Pose,
    evidence: Evidence,
    keypoints: Keypoints,
    prior: Prior,
    settings: GuidedSettings,
    *,
    layout: pose.Layout = "sixd154",
    context: Any = None,
    start: int = 50,
    stride: int = 10,
    through_network: bool = True,
) -> Refined:
    """Rounds of inversion and guided denoising; `context` is what a conditioned prior wants."""
    energy = evidence_energy(keypoints, settings.width)

    def decode(z):
        return pose.pose_from_vector(
            pose.unstandardise(prior.normaliser, z), layout, estimate.betas
        )

    def denoiser(x, t, both):
        return prior.denoiser(x, t, both[0])

    x = pose.standardise(prior.normaliser, pose.vector_from_pose(estimate, layout))
    x = guidance.invert_and_guide(
        denoiser,
        prior.schedule,
        lambda z, both: energy(decode(z), both[1]),
        x,
        (context, evidence),
        strength=settings.strength,
        rounds=settings.rounds,
        start=start,
        stride=stride,
        through_network=through_network,
    )
    return finish(estimate, decode(x), evidence, keypoints, settings.width)


def fast(
    estimate: Pose,
    evidence: Evidence,
    keypoints: Keypoints,
    error_model: map_fit.ErrorModel,
    *,
    prior_weight: Float[Array, ""] | float = 1.0,
    width: Float[Array, ""] | float = jnp.inf,
    iterations: int = 60,
) -> Refined:
    """The MAP fit: evidence plus the full covariance of the frontend's cross-fitted residuals."""
    energy = evidence_energy(keypoints, width)
    fitted = map_fit.fit_map(
        estimate, evidence, error_model, energy, prior_weight=prior_weight, iterations=iterations
    )
    return finish(estimate, fitted, evidence, keypoints, width)


def combined(
    estimate: Pose,
    evidence: Evidence,
    keypoints: Keypoints,
    prior: Prior,
    error_model: map_fit.ErrorModel,
    trust: Trust,
    *,
    layout: pose.Layout = "sixd154",
    iterations: int = 240,
) -> Refined:
    """The MAP fit of `fast`, with a diffusion prior's opinion of the pose (`denoised.energy`) beside."""
    pull = denoised.energy(*prior, layout, trust.time)
    energy = energies.total(
        evidence_energy(keypoints, trust.width), lambda p, e: trust.prior * pull(p, e)
    )
    how = {"prior_weight": trust.errors, "iterations": iterations, "learning_rate": COMBINED_RATE}
    fitted = map_fit.fit_map(estimate, evidence, error_model, energy, **how)
    return finish(estimate, fitted, evidence, keypoints, trust.width)


def paper(
    estimate: Pose,
    evidence: Evidence,
    keypoints: Keypoints,
    prior: Prior,
    error: search.Error,
    *,
    layout: pose.Layout = "rotmat226",
    context: Any = None,
    max_step: int = 1000,
    patience: int | None = 10,
    candidate: str = "chain",
    sampler: str = "ddpm",
    key: PRNGKeyArray,
) -> tuple[Refined, search.Search]:
    """Algorithm 1. `error` judges standardised vectors: see `joint_error` and `image_error`.

    `error` and the denoiser both get `context`. Returns the annotation and the whole search.
    """
    x = pose.standardise(prior.normaliser, pose.vector_from_pose(estimate, layout))
    found = search.search_steps(
        prior.denoiser,
        prior.schedule,
        x,
        error,
        context,
        max_step=max_step,
        patience=patience,
        candidate=candidate,
        sampler=sampler,
        key=key,
    )
    chosen = pose.pose_from_vector(
        pose.unstandardise(prior.normaliser, found.x), layout, estimate.betas
    )
    # Start 0 is the input itself, bit for bit, and not its projection.
    keep = (found.step == 0)[..., None]
    chosen = Pose(
        jnp.where(keep[..., None, None], estimate.rotations, chosen.rotations),
        jnp.where(keep, estimate.betas, chosen.betas),
    )
    return finish(estimate, chosen, evidence, keypoints, jnp.inf), found


def joint_error(
    model: body.KeypointModel,
    normaliser: Normaliser,
    layout: pose.Layout,
    names: str,
    *,
    aligned: bool = True,
) -> search.Error:
    """PA-MPJPE (or mid-hip MPJPE) in mm to `context["joints3d"]` (*batch J 4): the paper's 3D chooser."""
    root = tuple(skeleton.keypoint_set(names).index(n) for n in ("left_hip", "right_hip"))

    def error(x, context):
        p = pose.pose_from_vector(pose.unstandardise(normaliser, x), layout, context.get("betas"))
        ours = body.pose_keypoints(model, p.rotations, p.betas)
        truth, weight = context["joints3d"][..., :3], context["joints3d"][..., 3]
        if aligned:
            return metrics.pa_mpjpe_mm(ours, truth, weight)
        return metrics.mpjpe_mm(metrics.center(ours, root), metrics.center(truth, root), weight)

    return error


def image_error(
    model: body.KeypointModel, normaliser: Normaliser, layout: pose.Layout, width: float = jnp.inf
) -> search.Error:
    """Mean reprojection error in px to `context["evidence"]`, translation solved: sees no truth."""

    def error(x, context):
        p = pose.pose_from_vector(pose.unstandardise(normaliser, x), layout, context.get("betas"))
        ours = body.pose_keypoints(model, p.rotations, p.betas)
        evidence = context["evidence"]
        return energies.reprojection_error_px(ours, energies.place(ours, evidence, width), evidence)

    return error


def finish(before: Pose, after: Pose, evidence: Evidence, keypoints: Keypoints, width) -> Refined:
    """Places the person and says what the evidence thinks of the sample before and after.

    A sample whose refinement is not finite is given back as it came; `quality["kept"]` is 1 there.
    Rotations stay as they are, bit for bit, unless an estimate was none: then they are projected.
    """
    finite = jnp.isfinite(after.rotations).all((-1, -2, -3)) & jnp.isfinite(after.betas).all(-1)
    after = Pose(
        jnp.where(finite[..., None, None, None], after.rotations, before.rotations),
        jnp.where(finite[..., None], after.betas, before.betas),
    )
    after = after._replace(rotations=pose.nearest_rotations(after.rotations))
    posed = [body.pose_keypoints(keypoints.image, p.rotations, p.betas) for p in (before, after)]
    where = [energies.place(points, evidence, width) for points in posed]
    image = [energies.reprojection_error_px(p, t, evidence) for p, t in zip(posed, where)]
    solid = [body.pose_keypoints(keypoints.space, p.rotations, p.betas) for p in (before, after)]
    truth, weight = evidence.keypoints3d[..., :3], evidence.keypoints3d[..., 3]
    space = [aligned_mm(points, truth, weight) for points in solid]
    quality = {
        "reprojection_before_px": image[0],
        "reprojection_px": image[1],
        "joints3d_before_mm": space[0],
        "joints3d_mm": space[1],
        "moved_mm": metrics.pa_mpjpe_mm(solid[1], solid[0]),
        "kept": 1.0 - finite.astype(jnp.float32),
    }
    return Refined(after, where[1], quality)


def aligned_mm(points, truth, weight):
    """MPJPE in mm after the best translation; 0 without joints."""
    total = jnp.maximum(jnp.sum(weight, -1), 1e-6)[..., None]
    difference = jnp.where(weight[..., None] > 0, points - truth, 0.0)
    shift = jnp.sum(weight[..., None] * difference, -2) / total
    return metrics.mpjpe_mm(difference, jnp.broadcast_to(shift[..., None, :], truth.shape), weight)


MODES = {"guided": guided, "fast": fast, "combined": combined, "paper": paper}
"""`guided` is the default: it is what helps without truth."""


def refine(
    estimate: Pose, evidence: Evidence, keypoints: Keypoints, *args, mode="guided", **settings
):
    """Refines annotations by the named mode; see the mode's function for what else it wants.

    Arrays in, `Refined` out (with `paper`, also the search). ValueError for an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"mode: wanted one of {sorted(MODES)}, got {mode!r}")
    return MODES[mode](estimate, evidence, keypoints, *args, **settings)


refine_jit = jax.jit(
    refine, static_argnames=("mode", "layout", "start", "stride", "through_network", "iterations")
)
"""`refine` for all but `paper`, compiled; a `Prior` whose denoiser is a pytree is an ordinary argument."""
