"""Rotations as matrices; axis-angle, 6D and quaternions only at the doors.

Matrices act on column vectors. 6D keeps the first two *columns* a1, a2 of the matrix (Zhou et al. 2019);
the two layouts in use differ in memory order and are never guessed:
`columns` is [a1 | a2] (HMR2, ScoreHMR), `interleaved` is [a1x a2x a1y a2y a1z a2z] (SPIN, mmhuman3d).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_EYE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def _from_rows(rows) -> Float[Array, "*batch 3 3"]:
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def skew(v: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """The matrix of the cross product with v."""
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    zero = jnp.zeros_like(x)
    return _from_rows([[zero, -z, y], [z, zero, -x], [-y, x, zero]])


def matrix_from_axis_angle(v: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """Rodrigues' formula; v in radians. Value and gradient are finite at zero."""
    squared = jnp.sum(v * v, -1)
    small = squared < 1e-6
    # The untaken branch of `where` must stay finite, or its gradient is nan.
    safe = jnp.where(small, 1.0, squared)
    angle = jnp.sqrt(safe)
    sinc = jnp.where(small, 1.0 - squared / 6.0, jnp.sin(angle) / angle)
    cosc = jnp.where(small, 0.5 - squared / 24.0, (1.0 - jnp.cos(angle)) / safe)
    k = skew(v)
    outer = v[..., :, None] * v[..., None, :]
    eye = jnp.asarray(_EYE, v.dtype)
    # K^2 = v v^T - |v|^2 I, written without a matrix product.
    squared_k = outer - squared[..., None, None] * eye
    return eye + sinc[..., None, None] * k + cosc[..., None, None] * squared_k


def quaternion_from_matrix(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 4"]:
    """Unit quaternion wxyz with w >= 0, by the largest of the four candidates (Shepperd 1978)."""
    m = [[matrix[..., i, j] for j in range(3)] for i in range(3)]
    trace = m[0][0] + m[1][1] + m[2][2]
    a, b = (m[2][1], m[0][2], m[1][0]), (m[1][2], m[2][0], m[0][1])
    w = [1.0 + trace, a[0] - b[0], a[1] - b[1], a[2] - b[2]]
    d = [1.0 + 2.0 * m[i][i] - trace for i in range(3)]
    s01, s02, s12 = m[1][0] + m[0][1], m[0][2] + m[2][0], m[2][1] + m[1][2]
    candidates = jnp.stack(
        [
            jnp.stack(w, -1),
            jnp.stack([w[1], d[0], s01, s02], -1),
            jnp.stack([w[2], s01, d[1], s12], -1),
            jnp.stack([w[3], s02, s12, d[2]], -1),
        ],
        -2,
    )
    largest = jnp.argmax(jnp.stack([w[0], *d], -1), -1)
    best = jnp.take_along_axis(candidates, largest[..., None, None], -2)[..., 0, :]
    best = best / jnp.linalg.norm(best, axis=-1, keepdims=True)
    return jnp.where(best[..., :1] < 0, -best, best)


def matrix_from_quaternion(wxyz: Float[Array, "*batch 4"]) -> Float[Array, "*batch 3 3"]:
    """Matrix of a quaternion wxyz of any non-zero length."""
    wxyz = wxyz / jnp.linalg.norm(wxyz, axis=-1, keepdims=True)
    w, x, y, z = (wxyz[..., i] for i in range(4))
    return _from_rows(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def axis_angle_from_matrix(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3"]:
    """Rotation vector of length in [0, pi], accurate at 0 and at pi."""
    q = quaternion_from_matrix(matrix)
    w, xyz = q[..., 0], q[..., 1:]
    squared = jnp.sum(xyz * xyz, -1)
    small = squared < 1e-8
    sine = jnp.sqrt(jnp.where(small, 1.0, squared))  # Safe branch first: see above.
    scale = jnp.where(small, 2.0 / jnp.maximum(w, 0.5), 2.0 * jnp.arctan2(sine, w) / sine)
    return scale[..., None] * xyz


def matrix_from_6d_columns(x: Float[Array, "*batch 6"]) -> Float[Array, "*batch 3 3"]:
    """Gram-Schmidt on a1 = x[:3], a2 = x[3:] (Zhou et al. 2019, Eq. 14); any finite input gives a rotation."""
    a1, a2 = x[..., :3], x[..., 3:]
    b1 = _unit(a1, jnp.zeros_like(a1).at[..., 0].set(1.0))
    rest = a2 - jnp.sum(b1 * a2, -1, keepdims=True) * b1
    b2 = _unit(rest, _orthogonal(b1), 1e-10 * jnp.sum(a2 * a2, -1, keepdims=True))
    return jnp.stack([b1, b2, jnp.cross(b1, b2)], -1)


def _unit(v, fallback, tiny=0.0):
    """v / |v|; where |v|^2 is not above `tiny`, the fallback, with zero gradient."""
    squared = jnp.sum(v * v, -1, keepdims=True)
    zero = squared <= jnp.maximum(tiny, 1e-20)
    return jnp.where(zero, fallback, v / jnp.sqrt(jnp.where(zero, 1.0, squared)))


def _orthogonal(unit):
    """Some unit vector orthogonal to a unit vector."""
    axis = jax.nn.one_hot(jnp.argmin(jnp.abs(unit), -1), 3, dtype=unit.dtype)
    other = jnp.cross(unit, axis)
    return other / jnp.linalg.norm(other, axis=-1, keepdims=True)


def matrix_from_6d_interleaved(x: Float[Array, "*batch 6"]) -> Float[Array, "*batch 3 3"]:
    """As `matrix_from_6d_columns`, from the interleaved layout of SPIN and mmhuman3d."""
    return matrix_from_6d_columns(jnp.concatenate([x[..., 0::2], x[..., 1::2]], -1))


def sixd_columns_from_matrix(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 6"]:
    """[a1 | a2]: the first two columns, one after the other."""
    return jnp.concatenate([matrix[..., :, 0], matrix[..., :, 1]], -1)


def sixd_interleaved_from_matrix(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 6"]:
    """[a1x a2x a1y a2y a1z a2z]: the first two columns, interleaved."""
    return matrix[..., :, :2].reshape(*matrix.shape[:-2], 6)


def _horn_matrix(m: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 4 4"]:
    """Symmetric, traceless: its top eigenvector is the quaternion that maximises trace(R^T m) (Horn 1987)."""
    xx, xy, xz = m[..., 0, 0], m[..., 0, 1], m[..., 0, 2]
    yx, yy, yz = m[..., 1, 0], m[..., 1, 1], m[..., 1, 2]
    zx, zy, zz = m[..., 2, 0], m[..., 2, 1], m[..., 2, 2]
    rows = [
        [xx + yy + zz, zy - yz, xz - zx, yx - xy],
        [zy - yz, xx - yy - zz, xy + yx, xz + zx],
        [xz - zx, xy + yx, yy - xx - zz, yz + zy],
        [yx - xy, xz + zx, yz + zy, zz - xx - yy],
    ]
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def _top_eigenvector(symmetric: Float[Array, "*batch 4 4"]) -> Float[Array, "*batch 4"]:
    """Unit eigenvector of the largest eigenvalue, by Jacobi rotations: sound also where eigenvalues tie.

    Elementwise over the batch, where a library would go matrix by matrix. Each turn zeroes k01 and k23, then
    the rows change places as in a round-robin tournament, so that three turns are one sweep.
    """
    k = jnp.moveaxis(symmetric, (-2, -1), (0, 1))
    vectors = jnp.broadcast_to(
        jnp.eye(4, dtype=k.dtype).reshape(4, 4, *[1] * (k.ndim - 2)), k.shape
    )
    order = jnp.asarray([0, 3, 1, 2])

    def turn(_, state):
        k, vectors = state
        off = jnp.stack([k[0, 1], k[2, 3]])
        gap = jnp.stack([k[1, 1] - k[0, 0], k[3, 3] - k[2, 2]])
        done = jnp.abs(off) < 1e-30
        tau = gap / (2.0 * jnp.where(done, 1.0, off))
        tangent = jnp.where(tau >= 0, 1.0, -1.0) / (jnp.abs(tau) + jnp.sqrt(1.0 + tau * tau))
        tangent = jnp.where(done, 0.0, tangent)
        cosine = 1.0 / jnp.sqrt(1.0 + tangent * tangent)
        k = _turn_rows(k, cosine, tangent * cosine)
        k = jnp.swapaxes(_turn_rows(jnp.swapaxes(k, 0, 1), cosine, tangent * cosine), 0, 1)
        vectors = _turn_rows(vectors, cosine, tangent * cosine)
        return k[order][:, order], vectors[order]

    k, vectors = jax.lax.fori_loop(0, 15, turn, (k, vectors))
    largest = jnp.argmax(jnp.stack([k[i, i] for i in range(4)]), 0)
    return jnp.moveaxis(jnp.take_along_axis(vectors, largest[None, None], 0)[0], 0, -1)


def _turn_rows(m, cosine, sine):
    """Rows (0, 1) and (2, 3) of a (4, 4, *batch) matrix, each pair turned in its plane."""
    pairs = m.reshape(2, 2, *m.shape[1:])
    a, b, c, s = pairs[:, 0], pairs[:, 1], cosine[:, None], sine[:, None]
    return jnp.stack([c * a - s * b, s * a + c * b], 1).reshape(m.shape)


@jax.custom_jvp
def project_to_so3(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3 3"]:
    """The nearest rotation (Frobenius), det +1 also for reflections; gradients are finite everywhere."""
    return matrix_from_quaternion(_top_eigenvector(_horn_matrix(matrix)))


@project_to_so3.defjvp
def _project_to_so3_jvp(primals, tangents):
    """dR = R [w], (tr(P) I - P) w = vee(R^T dM - dM^T R), P = R^T M symmetric."""
    (m,), (dm,) = primals, tangents
    r = project_to_so3(m)
    transposed = jnp.swapaxes(r, -1, -2)
    p, q = transposed @ m, transposed @ dm
    p = 0.5 * (p + jnp.swapaxes(p, -1, -2))
    vee = jnp.stack(
        [q[..., 2, 1] - q[..., 1, 2], q[..., 0, 2] - q[..., 2, 0], q[..., 1, 0] - q[..., 0, 1]], -1
    )
    eye = jnp.asarray(_EYE, m.dtype)
    system = jnp.trace(p, axis1=-2, axis2=-1)[..., None, None] * eye - p
    # Where two nearest rotations tie the system is singular; the ridge keeps the gradient finite there.
    w = _solve_symmetric(system, vee)
    return r, r @ skew(w)


def _solve_symmetric(a, b):
    """a^-1 b as (a^T a + tiny I)^-1 a^T b by the adjugate: finite for singular and zero a."""
    scale = jnp.sqrt(jnp.sum(a * a, (-1, -2)))[..., None, None] + 1e-12
    a, b = a / scale, b / scale[..., 0]
    normal = jnp.swapaxes(a, -1, -2) @ a + 1e-7 * jnp.asarray(_EYE, a.dtype)
    rhs = (jnp.swapaxes(a, -1, -2) @ b[..., None])[..., 0]
    columns = [normal[..., :, i] for i in range(3)]
    cross = [jnp.cross(columns[(i + 1) % 3], columns[(i + 2) % 3]) for i in range(3)]
    determinant = jnp.sum(columns[0] * cross[0], -1)
    return jnp.stack([jnp.sum(c * rhs, -1) for c in cross], -1) / determinant[..., None]


def geodesic_angle(
    a: Float[Array, "*#batch 3 3"], b: Float[Array, "*#batch 3 3"]
) -> Float[Array, "*batch"]:
    """Angle in radians of the rotation that takes a to b; exact at 0 and pi, finite gradient at both."""
    difference = jnp.swapaxes(a, -1, -2) @ b
    d = [[difference[..., i, j] for j in range(3)] for i in range(3)]
    sine = jnp.stack([d[2][1] - d[1][2], d[0][2] - d[2][0], d[1][0] - d[0][1]], -1)
    squared = jnp.sum(sine * sine, -1)
    zero = squared < 1e-20
    sine_norm = jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))
    cosine = d[0][0] + d[1][1] + d[2][2] - 1.0
    return jnp.arctan2(sine_norm, cosine)
