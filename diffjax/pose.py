"""The pose and evidence records; the only place that knows the vectors the diffusion sees."""

from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax import camera, rotations, skeleton

Layout = Literal["rotmat226", "sixd144", "sixd154"]
VECTOR_SIZE = {"rotmat226": 226, "sixd144": 144, "sixd154": 154}
"""rotmat226: 24 row-major matrices then 10 betas (DiffAnnot). sixd144: 24 x [a1 | a2] (ScoreHMR);
sixd154: the same, then 10 betas."""


class Pose(NamedTuple):
    """One person: local rotations, root (global orientation, camera frame) first, and shape."""

    rotations: Float[Array, "*batch 24 3 3"]
    betas: Float[Array, "*batch 10"]


class Evidence(NamedTuple):
    """What was observed. Absent evidence has confidence 0."""

    keypoints2d: Float[Array, "*batch K 3"]
    """x, y in pixels of the full image; confidence in [0, 1]."""
    keypoints3d: Float[Array, "*batch J 4"]
    """x, y, z in metres, camera axes, any origin; confidence in [0, 1]."""
    camera: camera.Camera


class Refined(NamedTuple):
    """A better annotation: always a valid body (rotations on SO(3), betas finite)."""

    pose: Pose
    translation: Float[Array, "*batch 3"]
    """Metres, camera frame, of the model origin."""
    quality: dict[str, Float[Array, "*batch"]]
    """What the evidence says of the sample before and after, by name."""


class Normaliser(NamedTuple):
    """Per-dimension standardisation of a vector."""

    mean: Float[Array | np.ndarray, " d"]
    std: Float[Array | np.ndarray, " d"]


def check_layout(layout: str) -> None:
    """ValueError unless the layout is known."""
    if layout not in get_args(Layout):
        raise ValueError(f"vector layout: wanted one of {get_args(Layout)}, got {layout!r}")


def vector_from_pose(pose: Pose, layout: Layout) -> Float[Array, "*batch d"]:
    """The flat vector of a pose."""
    check_layout(layout)
    batch = pose.rotations.shape[:-3]
    if layout == "rotmat226":
        flat = pose.rotations.reshape(*batch, 216)
    else:
        flat = rotations.sixd_columns_from_matrix(pose.rotations).reshape(*batch, 144)
    return flat if layout == "sixd144" else jnp.concatenate([flat, pose.betas], -1)


def pose_from_vector(
    x: Float[Array, "*batch d"], layout: Layout, betas: Float[Array, "*batch 10"] | None = None
) -> Pose:
    """A valid pose from any vector: matrices are projected onto SO(3), 6D goes through Gram-Schmidt.

    `betas` is needed for sixd144, which carries none.
    """
    check_layout(layout)
    batch = x.shape[:-1]
    if layout == "rotmat226":
        return Pose(rotations.project_to_so3(x[..., :216].reshape(*batch, 24, 3, 3)), x[..., 216:])
    matrices = rotations.matrix_from_6d_columns(x[..., :144].reshape(*batch, 24, 6))
    if layout == "sixd154":
        return Pose(matrices, x[..., 144:])
    if betas is None:
        raise ValueError("layout sixd144 carries no betas: pass them")
    return Pose(matrices, betas)


def nearest_rotations(
    matrices: Float[Array | np.ndarray, "*batch 24 3 3"],
) -> Float[Array, "*batch 24 3 3"]:
    """Cached matrices, put onto SO(3) only where they are further than rounding from it."""
    matrices = jnp.asarray(matrices)
    gram = jnp.einsum("...ki,...kj->...ij", matrices, matrices)
    off = jnp.max(jnp.abs(gram - jnp.eye(3)), (-1, -2))
    return jnp.where((off > 1e-5)[..., None, None], rotations.project_to_so3(matrices), matrices)


def mirror(people: Pose) -> Pose:
    """Left and right exchanged: joints swap, and M R M with M = diag(-1, 1, 1)."""
    order = jnp.asarray(skeleton.mirror_permutation(skeleton.SMPL24))
    flip = jnp.asarray(np.diag([-1.0, 1.0, 1.0]), people.rotations.dtype)
    return people._replace(rotations=flip @ people.rotations[..., order, :, :] @ flip)


def fit_normaliser(vectors: np.ndarray, floor: float = 1e-2) -> Normaliser:
    """Mean and std per dimension, in float64; std is at least `floor`, so that constants stay finite."""
    vectors = np.asarray(vectors, np.float64)
    std = np.maximum(vectors.std(0), floor)
    return Normaliser(vectors.mean(0).astype(np.float32), std.astype(np.float32))


def identity_normaliser(size: int) -> Normaliser:
    """Leaves vectors as they are (the paper's setting)."""
    return Normaliser(np.zeros(size, np.float32), np.ones(size, np.float32))


def with_betas_range(
    normaliser: Normaliser,
    low: Float[np.ndarray, " 10"],
    high: Float[np.ndarray, " 10"],
    layout: Layout,
    floor: float = 1e-2,
) -> Normaliser:
    """The normaliser, but betas go from low..high to [-1, 1]; half the range is at least `floor`."""
    if layout == "sixd144":
        raise ValueError("layout sixd144 carries no betas: nothing to scale")
    low, high = (np.asarray(x, np.float64) for x in (low, high))
    center, half = (low + high) / 2, np.maximum((high - low) / 2, floor)
    mean = np.concatenate([np.asarray(normaliser.mean)[:-10], center])
    std = np.concatenate([np.asarray(normaliser.std)[:-10], half])
    return Normaliser(mean.astype(np.float32), std.astype(np.float32))


def standardise(normaliser: Normaliser, x: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
    """(x - mean) / std."""
    return (x - normaliser.mean) / normaliser.std


def unstandardise(normaliser: Normaliser, z: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
    """z * std + mean."""
    return z * normaliser.std + normaliser.mean
