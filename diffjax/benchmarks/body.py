"""How fast is a body, and the score of a candidate? Against smplx, body-models, smplfitter, and against SVD.

All bodies are the same one, as large as SMPL: the open body with its vertices repeated and seeded pose blend
shapes. Contenders are compiled with the body as a constant, and must agree before they are timed.
"""

import contextlib
import functools
import pathlib
import pickle
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body, config, metrics, pose, rotations, skeleton
from diffjax.benchmarks import timing
from diffjax.methods import diffannot

BATCHES = (1, 64, 1024, 8192)
VERTICES = 6890
QUANTITIES = ("vertices", "joints", "keypoints", "keypoint gradient", "vertex gradient")
INSTALL = 'pip install "diffjax[bench]"'
LARGEST_MESH = 1024
"""Beyond this batch a peer that goes through the mesh is timed for vertices alone: minutes, and tens of GB."""

Call = Callable[[], Any]


class Person(NamedTuple):
    rotations: jax.Array
    """(batch, 24, 3, 3)"""
    betas: jax.Array
    """(batch, 10)"""


class Figure(NamedTuple):
    """One body as every contender loads it."""

    arrays: dict[str, np.ndarray]
    """By SMPL's names, float64."""
    regressor: np.ndarray
    """(14, verts)"""


def run(quick: bool = False) -> Iterator[timing.Row]:
    """Rows as they are measured; a quick run takes a small body and small batches."""
    figure = make_figure(VERTICES if not quick else 2200)
    contenders = make_contenders(figure)
    for batch in BATCHES[:2] if quick else BATCHES:
        for quantity in QUANTITIES:
            yield from body_rows(contenders, quantity, batch, rounds=3 if quick else 5)
    yield from compile_rows(contenders)
    yield from projection_rows(24 * (64 if quick else 1024))
    for batch in (64,) if quick else (256, 1024):
        yield from scorer_rows(make_figure(2200, blend=False), "open body", batch)
        if not quick:
            yield from scorer_rows(figure, f"{VERTICES} vertices", batch)


def make_figure(vertices: int, blend: bool = True) -> Figure:
    """The open body with its vertices repeated up to a number, and with pose blend shapes."""
    path = config.locate("converted_weights/open_body.npz")
    with np.load(path) as file:
        arrays = {k: file[k] for k in ("v_template", "shapedirs", "weights", "J_regressor")}
        arrays |= {k: file[k] for k in ("kintree_table", "f")}
    known = len(arrays["v_template"])
    index = np.arange(vertices) % known
    random = np.random.default_rng(0)
    for name in ("v_template", "shapedirs", "weights"):
        arrays[name] = arrays[name][index].astype(np.float64)
    repeated = (np.arange(vertices) >= known)[:, None]
    arrays["v_template"] += 1e-3 * random.normal(size=(vertices, 3)) * repeated
    arrays["posedirs"] = 1e-3 * blend * random.normal(size=(vertices, 3, 207))
    spare = ((0, 0), (0, max(0, vertices - known)))
    arrays["J_regressor"] = np.pad(arrays["J_regressor"].astype(np.float64), spare)[:, :vertices]
    regressor = np.pad(body.load_regressor(path, "h36m14"), spare)[:, :vertices]
    return Figure(arrays, regressor)


def make_people(batch: int, seed: int = 1) -> Person:
    """Seeded poses and shapes."""
    random = np.random.default_rng(seed)
    turns = jnp.asarray(0.5 * random.normal(size=(batch, 24, 3)), jnp.float32)
    betas = jnp.asarray(random.normal(size=(batch, 10)), jnp.float32)
    return Person(jax.jit(rotations.matrix_from_axis_angle)(turns), betas)


class JaxContender(NamedTuple):
    """A body whose quantities are JAX functions (rotations, betas) -> array."""

    functions: dict[str, Callable]
    meshless: tuple[str, ...] = ()
    """Quantities for which it needs no mesh."""

    def function(self, quantity: str) -> Callable:
        """Compiled; a gradient is that of a sum of squares, to rotations and betas."""
        if not quantity.endswith("gradient"):
            return jax.jit(self.functions[quantity])
        points = self.functions["vertices" if quantity.startswith("vertex") else "keypoints"]
        return jax.jit(jax.grad(lambda r, b: jnp.sum(points(r, b) ** 2), argnums=(0, 1)))

    def prepare(self, quantity: str, people: Person) -> Call:
        return functools.partial(self.function(quantity), *people)


class TorchContender(NamedTuple):
    """smplx's layer: (rotations, betas) tensors -> its output, always with the mesh."""

    layer: Callable
    regressor: Any
    meshless: tuple[str, ...] = ()

    def points(self, quantity: str, r, b):
        out = self.layer(global_orient=r[:, :1], body_pose=r[:, 1:], betas=b)
        if quantity.startswith("keypoint"):
            return self.regressor @ out.vertices
        return out.joints[:, :24] if quantity == "joints" else out.vertices

    def prepare(self, quantity: str, people: Person) -> Call:
        import torch

        tensors = [torch.tensor(np.asarray(x)) for x in people]

        def forward():
            with torch.no_grad():
                return self.points(quantity, *tensors)

        def gradient():
            leaves = [x.clone().requires_grad_() for x in tensors]
            (self.points(quantity, *leaves) ** 2).sum().backward()
            return [x.grad for x in leaves]

        return gradient if quantity.endswith("gradient") else forward


def make_contenders(figure: Figure) -> dict[str, Any]:
    """Ours first; a peer that cannot be had is the reason as text."""
    found: dict[str, Any] = {"diffjax": _ours(figure)}
    with tempfile.TemporaryDirectory() as folder:
        for name, load in (
            ("smplx", _smplx),
            ("body-models", _body_models),
            ("smplfitter", _smplfitter),
        ):
            try:
                found[name] = load(figure, pathlib.Path(folder))
            except Exception as error:  # Whatever a peer does, the others are measured.
                found[name] = _reason(error)
    return found


def _reason(error: Exception) -> str:
    """Why there is no number, on one line, and what would give one."""
    first = str(error).strip().splitlines()[:1]
    return f"not measured: {type(error).__name__}: {''.join(first)}; {INSTALL}"


def _ours(figure: Figure) -> JaxContender:
    model, folded = _model(figure)
    return JaxContender(
        {
            "vertices": lambda r, b: body.pose_body(model, r, b).vertices,
            "joints": functools.partial(body.pose_joints, model),
            "keypoints": functools.partial(body.pose_keypoints, folded),
        },
        meshless=QUANTITIES,
    )


def _model(figure: Figure) -> tuple[body.BodyModel, body.KeypointModel]:
    a = figure.arrays
    model = body.body_from_arrays(
        a["v_template"], a["shapedirs"], a["posedirs"], a["J_regressor"], a["weights"]
    )
    return model, body.fold_keypoints(model, figure.regressor)


def _smplx(figure: Figure, folder: pathlib.Path) -> TorchContender:
    import smplx
    import torch
    from smplx import vertex_ids

    torch.set_num_threads(1)
    path = folder / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(figure.arrays, protocol=2))
    landmarks = dict.fromkeys(vertex_ids.vertex_ids["smplh"], 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = smplx.SMPLLayer(str(path), vertex_ids=landmarks, gender="neutral")
    return TorchContender(layer, torch.tensor(figure.regressor, dtype=torch.float32))


def _body_models(figure: Figure, folder: pathlib.Path) -> JaxContender:
    from body_models.smpl import jax as peer

    np.savez(folder / "body.npz", **figure.arrays)
    model = peer.SMPL(model_path=folder / "body.npz", rotation_type="rotmat")
    points = model.prepare_point_regressor(jnp.asarray(figure.regressor, jnp.float32))

    def call(method, r, b, **options):
        return method(r[:, 1:], pelvis_rotation=r[:, 0], shape=b, **options)

    return JaxContender(
        {
            "vertices": functools.partial(call, model.forward_vertices),
            "joints": lambda r, b: call(model.forward_skeleton, r, b)[..., :3, 3],
            "keypoints": functools.partial(call, model.forward_points, point_regressor=points),
        },
        meshless=("joints", "keypoints", "keypoint gradient"),
    )


def _smplfitter(figure: Figure, folder: pathlib.Path) -> JaxContender:
    import smplfitter.jax as peer

    name = "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl"
    (folder / name).write_bytes(pickle.dumps(figure.arrays, protocol=2))
    np.save(folder / "kid_template.npy", np.zeros_like(figure.arrays["v_template"]))
    model = peer.BodyModel("smpl", "neutral", model_root=str(folder))
    regressor = jnp.asarray(figure.regressor, jnp.float32)

    def vertices(r, b):
        return model(shape_betas=b, rel_rotmats=r)["vertices"]

    return JaxContender(
        {
            "vertices": vertices,
            "joints": lambda r, b: model(shape_betas=b, rel_rotmats=r, return_vertices=False)[
                "joints"
            ],
            "keypoints": lambda r, b: jnp.einsum("kv,nvc->nkc", regressor, vertices(r, b)),
        },
        meshless=("joints",),
    )


def body_rows(
    contenders: dict[str, Any], quantity: str, batch: int, rounds: int = 5
) -> list[timing.Row]:
    """One case: a quantity at a batch, a sample, every contender that has it."""
    case = f"{quantity}, batch {batch}"
    people = make_people(batch)
    calls, notes, absent = {}, dict[str, str](), []
    for name, contender in contenders.items():
        if isinstance(contender, str):
            absent.append(timing.Row(case, name, None, note=contender))
        elif batch > LARGEST_MESH and quantity not in ("vertices", *contender.meshless):
            note = f"not measured: goes through the mesh; see batch {LARGEST_MESH}"
            absent.append(timing.Row(case, name, None, note=note))
        else:
            try:
                calls[name] = contender.prepare(quantity, people)
                jax.block_until_ready(calls[name]())
            except Exception as error:  # Whatever a peer does, the others are measured.
                if name == "diffjax":
                    raise
                del calls[name]
                absent.append(timing.Row(case, name, None, note=_reason(error)))
    if batch <= 64:
        ours = calls["diffjax"]()
        notes = {name: _disagreement(ours, call()) for name, call in calls.items()}
    if quantity == "joints":
        notes["smplx"] = f"computes the mesh too; {notes.get('smplx', '')}".rstrip("; ")
    timings = timing.interleaved(calls, rounds=rounds)
    return [*timing.rows_of(case, timings, items=float(batch), item="sample", notes=notes), *absent]


def _disagreement(ours, theirs) -> str:
    """Nothing where two agree to 1e-5 (of the largest number, for those above 1)."""
    worst = 0.0
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs)):
        a, b = np.asarray(a), np.asarray(b)
        worst = max(worst, float(np.abs(a - b).max() / max(1.0, np.abs(a).max())))
    return "" if worst <= 1e-5 else f"DISAGREES by {worst:.1e}"


def compile_rows(contenders: dict[str, Any], batch: int = 64) -> list[timing.Row]:
    """What it takes to trace and compile the gradient of keypoints; once each."""
    case, people = "compile the keypoint gradient", make_people(batch)
    rows, first = [], None
    for name, contender in contenders.items():
        if not isinstance(contender, JaxContender):
            continue
        start = time.process_time()
        contender.function("keypoint gradient").lower(*people).compile()
        seconds = time.process_time() - start
        against = None if first is None else seconds / first
        first = first or seconds
        rows.append(
            timing.Row(case, name, seconds, item="compilation", ratio=against, note="one run")
        )
    return rows


def svd_rotation(matrix: jax.Array) -> jax.Array:
    """The nearest rotation by the library's SVD."""
    u, _, vt = jnp.linalg.svd(matrix)
    sign = jnp.sign(jnp.linalg.det(u @ vt))
    return (u * jnp.stack([jnp.ones_like(sign), jnp.ones_like(sign), sign], -1)[..., None, :]) @ vt


def _torch_svd(matrix: np.ndarray) -> Call:
    import torch

    torch.set_num_threads(1)
    m = torch.tensor(matrix)

    def project():
        u, _, vt = torch.linalg.svd(m)
        sign = torch.linalg.det(u @ vt)
        return (
            u * torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1)[:, None]
        ) @ vt

    return project


def projection_rows(count: int) -> list[timing.Row]:
    """Nearest rotations of noisy ones, a matrix."""
    random = np.random.default_rng(2)
    matrix = np.asarray(make_people(-(-count // 24)).rotations).reshape(-1, 3, 3)[:count]
    matrix = matrix + np.float32(0.1) * random.normal(size=matrix.shape).astype(np.float32)
    calls: dict[str, Call] = {
        "diffjax": functools.partial(jax.jit(rotations.project_to_so3), jnp.asarray(matrix)),
        "jnp.linalg.svd": functools.partial(jax.jit(svd_rotation), jnp.asarray(matrix)),
    }
    with contextlib.suppress(ImportError):
        calls["torch.linalg.svd"] = _torch_svd(matrix)
    ours = calls["diffjax"]()
    notes = {name: _disagreement(ours, call()) for name, call in calls.items()}
    timings = timing.interleaved(calls, rounds=5)
    case = f"project {count} matrices onto SO(3)"
    return timing.rows_of(case, timings, items=float(count), item="matrix", notes=notes)


def scorer_rows(figure: Figure, name: str, batch: int) -> list[timing.Row]:
    """The error of a candidate, from its vector: ours, and the mesh with library SVDs."""
    people, random = make_people(batch), np.random.default_rng(3)
    x = pose.vector_from_pose(pose.Pose(*people), "rotmat226")
    x = x + 0.05 * jnp.asarray(random.normal(size=x.shape), jnp.float32)
    model, folded = _model(figure)
    truth = jax.jit(body.pose_keypoints)(folded, *people)
    context = {"joints3d": jnp.concatenate([truth, jnp.ones((*truth.shape[:-1], 1))], -1)}
    rows = []
    for aligned in (False, True):
        measure = "PA-MPJPE" if aligned else "MPJPE"
        normaliser = pose.identity_normaliser(226)
        ours = diffannot.joint_error(folded, normaliser, "rotmat226", "h36m14", aligned=aligned)
        mesh = functools.partial(
            _mesh_error, model, jnp.asarray(figure.regressor, jnp.float32), aligned
        )
        calls = {
            "diffjax": functools.partial(jax.jit(ours), x, context),
            "mesh + SVD": functools.partial(jax.jit(mesh), x, truth),
        }
        notes = {"mesh + SVD": _disagreement(calls["diffjax"](), calls["mesh + SVD"]())}
        timings = timing.interleaved(calls, rounds=5)
        case = f"score a candidate by {measure}, {name}, batch {batch}"
        rows += timing.rows_of(case, timings, items=float(batch), item="candidate", notes=notes)
    return rows


def _mesh_error(model, regressor, aligned: bool, x, truth):
    """The same error in mm through all vertices of our body, rotations and alignment by SVD."""
    matrices = svd_rotation(x[:, :216].reshape(-1, 24, 3, 3))
    points = regressor @ body.pose_body(model, matrices, x[:, 216:]).vertices
    if not aligned:
        hips = tuple(skeleton.keypoint_set("h36m14").index(n) for n in ("left_hip", "right_hip"))
        return metrics.mpjpe_mm(metrics.center(points, hips), metrics.center(truth, hips))
    p, q = (y - y.mean(1, keepdims=True) for y in (points, truth))
    covariance = jnp.swapaxes(q, 1, 2) @ p
    turn = svd_rotation(covariance)
    scale = jnp.sum(turn * covariance, (1, 2)) / jnp.sum(p * p, (1, 2))
    return metrics.mpjpe_mm(scale[:, None, None] * (p @ jnp.swapaxes(turn, 1, 2)), q)
