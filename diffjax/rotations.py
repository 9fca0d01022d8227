"""Rotations as matrices; axis-angle, 6D and quaternions only at the doors.

Matrices act on column vectors. 6D keeps the first two *columns* a1, a2 of the matrix (Zhou et al. 2019);
the two layouts in use differ in memory order and are never guessed:
`columns` is [a1 | a2] (HMR2, ScoreHMR), `interleaved` is [a1x a2x a1y a2y a1z a2z] (SPIN, mmhuman3d).
"""

import functools

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
    # Twice: where a1 and a2 are nearly parallel, what is left is mostly rounding.
    rest = rest - jnp.sum(b1 * rest, -1, keepdims=True) * b1
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


@jax.custom_jvp
def project_to_so3(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3 3"]:
    """The nearest rotation (Frobenius), det +1 also for reflections; gradients are finite everywhere.

    Horn's quaternion (1987) in closed form: the largest root of a quartic by Newton, its eigenvector by inverse
    iteration, then two Newton steps on SO(3) for the last digits. Every step is elementwise over the batch,
    on nine long planes. Between steps stands an `optimization_barrier` (or a loop): XLA on a CPU would fuse
    them, and then compute what is used twice twice, exponentially.
    """
    flat = jax.lax.optimization_barrier(matrix.reshape(-1, 9).T)
    m = _unit_planes([flat[i] for i in range(9)])
    q = _top_quaternion(m)
    q = jax.lax.fori_loop(0, 2, lambda _, q: jax.lax.optimization_barrier(_newton_step(m, q)), q)
    planes = jax.lax.optimization_barrier(_quaternion_planes(q))
    return jax.lax.optimization_barrier(jnp.stack(planes)).T.reshape(matrix.shape)


def _unit_planes(m):
    """The nine entries of matrices of Frobenius norm 1 (0 where they are 0), whatever their magnitude."""
    largest = functools.reduce(jnp.maximum, [jnp.abs(x) for x in m])
    inverse = jax.lax.optimization_barrier(1.0 / jnp.maximum(largest, 1e-30))
    m = [x * inverse for x in m]
    inverse = jax.lax.optimization_barrier(jax.lax.rsqrt(jnp.maximum(sum(x * x for x in m), 0.5)))
    return jax.lax.optimization_barrier([x * inverse for x in m])


def _top_quaternion(m):
    """The quaternion q that maximises q^T K q, K Horn's matrix of m: its top eigenvector.

    Inverse iteration (K - shift I)^-1 q: it gives some top eigenvector also where two or three tie.
    """
    inverse = jax.lax.optimization_barrier(_symmetric_adjugate(_horn_matrix(m, _shift(m))))
    q = jax.lax.optimization_barrier(_largest_column(inverse))
    return jax.lax.optimization_barrier(
        _unit_of([sum(a * x for a, x in zip(r, q)) for r in inverse])
    )


def _shift(m):
    """A little above the largest eigenvalue of Horn's matrix, s1 + s2 +- s3: by Newton on its quartic.

    With F = |m|^2, G = |cof m|^2: (x^2 - F)^2 - 8 det(m) x - 4 G = 0. Newton comes from above; where the two
    largest roots meet it only halves the error, hence twelve steps. The root of a unit matrix is never below
    1 / sqrt(3).
    """
    cofactors = [_cofactor(m, i, j) for i in range(3) for j in range(3)]
    square, area = (sum(x * x for x in planes) for planes in (m, cofactors))
    determinant = sum(x * c for x, c in zip(m[:3], cofactors[:3]))
    area, determinant, square = jax.lax.optimization_barrier((area, determinant, square))
    tiny = jnp.finfo(m[0].dtype).eps

    def slope(x):
        # Below, a multiple root is reached, and the slope is rounding.
        return jnp.maximum(4.0 * x * (x * x - square) - 8.0 * determinant, 100.0 * tiny)

    def step(_, x):
        value = (x * x - square) ** 2 - 8.0 * determinant * x - 4.0 * area
        return jnp.maximum(x - value / slope(x), 0.577)

    bound = area + 2.0 * 3.0**0.5 * jnp.maximum(determinant, 0.0)
    start = jnp.sqrt(square + 2.0 * jnp.sqrt(bound))
    root = jax.lax.fori_loop(0, 12, step, start)
    return jax.lax.optimization_barrier(root + 1e3 * tiny)


def _cofactor(m, i, j):
    a, b, c, d = (i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3
    return m[3 * a + c] * m[3 * b + d] - m[3 * a + d] * m[3 * b + c]


def _horn_matrix(m, shift):
    """Horn's 4x4 minus shift I, upper triangle by rows; q^T K q is trace(R(q)^T m)."""
    xx, xy, xz, yx, yy, yz, zx, zy, zz = m
    return [
        [xx + yy + zz - shift, zy - yz, xz - zx, yx - xy],
        [xx - yy - zz - shift, xy + yx, xz + zx],
        [yy - xx - zz - shift, yz + zy],
        [zz - xx - yy - shift],
    ]


def _symmetric_adjugate(upper):
    """Adjugate of a symmetric 4x4, all sixteen entries, from 2x2 minors of its upper and lower rows."""
    (a, b, c, d), (e, f, g), (h, i), (j,) = upper
    s0, s1, s2, s3 = a * e - b * b, a * f - c * b, a * g - d * b, b * f - c * e
    s4, s5 = b * g - d * e, c * g - d * f
    t1, t2, t3, t4, t5 = c * i - d * h, c * j - d * i, f * i - g * h, f * j - g * i, h * j - i * i
    ww, wx = e * t5 - f * t4 + g * t3, -b * t5 + c * t4 - d * t3
    wy, wz = g * s5 - i * s4 + j * s3, -f * s5 + h * s4 - i * s3
    xx, xy = a * t5 - c * t2 + d * t1, -d * s5 + i * s2 - j * s1
    xz, yy = c * s5 - h * s2 + i * s1, d * s4 - g * s2 + j * s0
    yz, zz = -c * s4 + f * s2 - i * s0, c * s3 - f * s1 + h * s0
    return [[ww, wx, wy, wz], [wx, xx, xy, xz], [wy, xy, yy, yz], [wz, xz, yz, zz]]


def _largest_column(symmetric):
    """The column with the largest diagonal entry: never zero unless the matrix is."""
    column, best = symmetric[0], jnp.abs(symmetric[0][0])
    for i in range(1, 4):
        size = jnp.abs(symmetric[i][i])
        column = [jnp.where(size > best, a, b) for a, b in zip(symmetric[i], column)]
        best = jnp.maximum(size, best)
    return _unit_of(column)


def _unit_of(q):
    inverse = jax.lax.rsqrt(sum(x * x for x in q))
    return [x * inverse for x in q]


def _quaternion_planes(q):
    """The nine entries of the matrix of a quaternion of any length."""
    w, x, y, z = q
    s = 2.0 / (w * w + x * x + y * y + z * z)
    return [
        *(1.0 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)),
        *(s * (x * y + w * z), 1.0 - s * (x * x + z * z), s * (y * z - w * x)),
        *(s * (x * z - w * y), s * (y * z + w * x), 1.0 - s * (x * x + y * y)),
    ]


def _newton_step(m, q):
    """q after one step towards the maximum of trace(R^T m): (tr(P) I - P) w = vee(P - P^T), P = R^T m.

    The ridge |gradient| + tiny bounds the step where rotations tie, and vanishes where it is well defined.
    """
    r = _quaternion_planes(q)
    p = [[sum(r[3 * k + i] * m[3 * k + j] for k in range(3)) for j in range(3)] for i in range(3)]
    g = [p[2][1] - p[1][2], p[0][2] - p[2][0], p[1][0] - p[0][1]]
    eps = jnp.finfo(m[0].dtype).eps
    ridge = jnp.sqrt(sum(x * x for x in g)) + 200.0 * eps
    a, b, c = p[1][1] + p[2][2] + ridge, p[0][0] + p[2][2] + ridge, p[0][0] + p[1][1] + ridge
    d, e, f = (-0.5 * (p[i][j] + p[j][i]) for i, j in ((0, 1), (0, 2), (1, 2)))
    aa, ab, ac = b * c - f * f, e * f - d * c, d * f - e * b
    bb, bc, cc = a * c - e * e, d * e - a * f, a * b - d * d
    determinant = a * aa + d * ab + e * ac
    # Below, two axes are free and the determinant is rounding: q is as good as any.
    half = jnp.where(determinant > 10.0 * eps, 0.5, 0.0) / jnp.maximum(determinant, 10.0 * eps)
    u, v, t = (
        half * sum(x * y for x, y in zip(row, g))
        for row in ((aa, ab, ac), (ab, bb, bc), (ac, bc, cc))
    )
    w, x, y, z = q
    return [
        w - x * u - y * v - z * t,
        x + w * u + y * t - z * v,
        y + w * v + z * u - x * t,
        z + w * t + x * v - y * u,
    ]


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
