"""Laws of rotations first, then SciPy as the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import transform

from diffjax import rotations

ANGLES = [0.0, 1e-8, 1e-3, 1.0, np.pi - 1e-4, np.pi, 4.0]
BATCHES = [(), (1,), (2, 3)]


def vectors(angle, batch=(50,)):
    axis = np.random.default_rng(1).normal(size=(*batch, 3))
    return angle * axis / np.linalg.norm(axis, axis=-1, keepdims=True)


def scipy_matrix(v):
    return transform.Rotation.from_rotvec(v.reshape(-1, 3)).as_matrix().reshape(*v.shape[:-1], 3, 3)


@pytest.mark.parametrize("batch", BATCHES)
def test_every_representation_keeps_batch_axes_and_comes_back(batch):
    matrix = rotations.matrix_from_axis_angle(jnp.asarray(vectors(1.2, batch), jnp.float32))
    assert matrix.shape == (*batch, 3, 3)
    for back in (
        rotations.matrix_from_axis_angle(rotations.axis_angle_from_matrix(matrix)),
        rotations.matrix_from_quaternion(rotations.quaternion_from_matrix(matrix)),
        rotations.matrix_from_6d_columns(rotations.sixd_columns_from_matrix(matrix)),
        rotations.matrix_from_6d_interleaved(rotations.sixd_interleaved_from_matrix(matrix)),
        rotations.project_to_so3(matrix),
    ):
        np.testing.assert_allclose(back, matrix, atol=2e-6)


@pytest.mark.parametrize("angle", ANGLES)
def test_matrix_from_axis_angle_equals_scipy(angle):
    v = vectors(angle)
    ours = rotations.matrix_from_axis_angle(jnp.asarray(v, jnp.float32))
    np.testing.assert_allclose(ours, scipy_matrix(v), atol=2e-6)


@pytest.mark.parametrize("angle", ANGLES)
def test_axis_angle_from_matrix_describes_the_same_rotation(angle):
    matrix = scipy_matrix(vectors(angle))
    v = rotations.axis_angle_from_matrix(jnp.asarray(matrix, jnp.float32))
    assert float(jnp.max(jnp.linalg.norm(v, axis=-1))) <= np.pi + 1e-5
    np.testing.assert_allclose(scipy_matrix(np.asarray(v, np.float64)), matrix, atol=1e-6)


def test_the_two_6d_layouts_are_told_apart():
    matrix = jnp.asarray(scipy_matrix(vectors(1.0)), jnp.float32)
    columns = rotations.sixd_columns_from_matrix(matrix)
    np.testing.assert_array_equal(columns[:, :3], matrix[:, :, 0])
    interleaved = rotations.sixd_interleaved_from_matrix(matrix)
    np.testing.assert_array_equal(interleaved[:, 0::2], matrix[:, :, 0])
    wrong = rotations.matrix_from_6d_interleaved(columns)
    assert float(jnp.max(jnp.abs(wrong - matrix))) > 0.1


def random_matrices(kind):
    random = np.random.default_rng(2)
    base = scipy_matrix(random.normal(size=(200, 3)))
    if kind == "noisy":
        return base + 0.3 * random.normal(size=base.shape)
    if kind == "reflected":
        return base @ np.diag([1.0, 1.0, -0.4])
    if kind == "planar":
        return base @ np.diag([1.0, 0.7, 0.0])
    return random.normal(size=base.shape)


@pytest.mark.parametrize("kind", ["noisy", "reflected", "planar", "gaussian"])
def test_projection_onto_so3_equals_the_svd_in_float64(kind):
    matrix = random_matrices(kind)
    u, s, vt = np.linalg.svd(matrix)
    sign = np.linalg.det(u @ vt)
    nearest = u @ (np.stack([np.ones_like(sign), np.ones_like(sign), sign], -1)[..., None] * vt)
    gap = (s[:, 1] + sign * s[:, 2]) / s[:, 0]  # Below, the nearest rotation is not well defined.
    ours = np.asarray(rotations.project_to_so3(jnp.asarray(matrix, jnp.float32)))
    np.testing.assert_allclose(ours[gap > 0.05], nearest[gap > 0.05], atol=5e-5)
    np.testing.assert_allclose(np.linalg.det(ours), 1.0, atol=1e-5)
    np.testing.assert_allclose(
        np.swapaxes(ours, -1, -2) @ ours, np.eye(3)[None] + 0 * ours, atol=2e-6
    )


def spectra(kind, count=500):
    """Signed singular values, the sign of the last being that of the determinant."""
    random = np.random.default_rng(6)
    one, share = np.ones(count), random.random(count)
    small = 10 ** random.uniform(-2, 0, count)
    return {
        "thin": [one, small, 0 * one],
        "mirrored": [one, 0.5 + 0.5 * share, -0.5 + 0.02 * share],
        "near a mirrored rotation": [one, 0.95 + 0.05 * share, -0.9 + 0.05 * share],
        "rank one": [one, 0 * one, 0 * one],
        "mirrored tie": [one, 0.5 * one, -0.5 * one],
        "mirrored rotation": [one, one, -one],
        "zero": [0 * one, 0 * one, 0 * one],
    }[kind]


def with_spectrum(kind):
    spectrum = np.stack(spectra(kind), -1)
    random = np.random.default_rng(7)
    u, v = (scipy_matrix(random.normal(size=(len(spectrum), 3)) * 2) for _ in range(2))
    return spectrum, (u @ (spectrum[:, :, None] * np.swapaxes(v, 1, 2))).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
@pytest.mark.parametrize("kind", ["thin", "mirrored", "near a mirrored rotation"])
def test_projection_is_exact_where_the_answer_is_well_conditioned(kind, scale):
    _, matrix = with_spectrum(kind)
    u, s, vt = np.linalg.svd(matrix.astype(np.float64))
    sign = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    nearest = u @ (np.stack([sign**2, sign**2, sign], -1)[..., None] * vt)
    gap = (s[:, 1] + sign * s[:, 2]) / s[:, 0]
    ours = np.asarray(rotations.project_to_so3(jnp.asarray(matrix * np.float32(scale))))
    # Rounding moves the answer by its size over the gap, whatever the method: 1e-5 from a gap of 0.05 on.
    error = np.abs(ours - nearest).max((1, 2))
    assert (error[gap > 1e-2] * np.minimum(gap[gap > 1e-2], 0.05)).max() < 5e-7


@pytest.mark.parametrize("kind", ["rank one", "mirrored tie", "mirrored rotation", "zero"])
def test_projection_is_some_nearest_rotation_where_several_are(kind):
    spectrum, matrix = with_spectrum(kind)
    ours = np.asarray(rotations.project_to_so3(jnp.asarray(matrix)), np.float64)
    np.testing.assert_allclose((ours * matrix).sum((1, 2)), spectrum.sum(1), atol=5e-6)
    np.testing.assert_allclose(
        np.swapaxes(ours, 1, 2) @ ours, np.eye(3)[None] + 0 * ours, atol=2e-6
    )
    np.testing.assert_allclose(np.linalg.det(ours), 1.0, atol=2e-6)


def test_projection_computes_nothing_twice():
    """XLA fuses long chains of elementwise work and then recomputes them, exponentially."""
    matrix = jnp.zeros((1000, 3, 3))
    compiled = jax.jit(rotations.project_to_so3).lower(matrix).compile()
    # 1,350 as written, a loop's body counted once.
    assert compiled.cost_analysis()["flops"] / len(matrix) < 3000
    assert "lapack" not in compiled.as_text().lower()


def test_projection_of_a_matrix_is_the_same_bits_in_any_batch_of_64_or_more():
    matrix = jnp.asarray(random_matrices("gaussian"), jnp.float32)[:192]
    project = jax.jit(rotations.project_to_so3)
    whole = np.asarray(project(matrix))
    for first in (0, 64, 128):
        np.testing.assert_array_equal(
            project(matrix[first : first + 64]), whole[first : first + 64]
        )


def test_projection_gradient_equals_finite_differences():
    matrix = jnp.asarray(random_matrices("noisy")[:20], jnp.float32)
    weight = jnp.asarray(np.random.default_rng(3).normal(size=matrix.shape), jnp.float32)

    def f(m):
        return jnp.sum(rotations.project_to_so3(m) * weight)

    with jax.enable_x64(True):
        exact, direction = np.asarray(matrix, np.float64), np.asarray(weight[::-1], np.float64)

        def value(m):
            return float(
                jnp.sum(rotations.project_to_so3(jnp.asarray(m)) * np.asarray(weight, np.float64))
            )

        slope = (value(exact + 1e-6 * direction) - value(exact - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(jnp.sum(jax.grad(f)(matrix) * weight[::-1]), slope, rtol=1e-3)


@pytest.mark.parametrize(
    "matrix", [np.eye(3), np.zeros((3, 3)), -np.eye(3), np.diag([1.0, 1.0, -1.0]), np.ones((3, 3))]
)
def test_projection_is_finite_where_the_nearest_rotation_is_not_unique(matrix):
    m = jnp.asarray(matrix, jnp.float32)
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(rotations.project_to_so3(x) * x[::-1]))(
        m
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("angle", ANGLES)
def test_gradients_are_finite_at_every_angle(angle):
    v = jnp.asarray(vectors(angle), jnp.float32)

    def loss(v):
        matrix = rotations.matrix_from_axis_angle(v)
        angle = rotations.geodesic_angle(matrix, jnp.eye(3))
        return jnp.sum(matrix[..., 0]) + jnp.sum(angle)

    assert np.isfinite(jax.grad(loss)(v)).all()


@pytest.mark.parametrize("value", [0.0, 1e-30, 1.0])
def test_6d_gradient_is_finite_also_for_parallel_and_zero_columns(value):
    x = jnp.full((6,), value, jnp.float32)
    matrix = rotations.matrix_from_6d_columns(x)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-5)
    gradient = jax.grad(lambda x: jnp.sum(rotations.matrix_from_6d_columns(x)[0]))(x)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("angle", [0.0, 1e-3, 1.0, 3.0])
def test_geodesic_angle_is_the_angle_of_the_difference(angle):
    base = scipy_matrix(np.random.default_rng(4).normal(size=(50, 3)))
    turned = base @ scipy_matrix(vectors(angle))
    ours = rotations.geodesic_angle(
        jnp.asarray(base, jnp.float32), jnp.asarray(turned, jnp.float32)
    )
    np.testing.assert_allclose(ours, angle, atol=1e-5)
