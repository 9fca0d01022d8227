"""Networks over sequences: what they are equivariant to, what padding may not change, and their sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import criss_cross, skeleton
from diffjax.denoisers import sequence, stcformer_weights

pytestmark = pytest.mark.usefixtures("quick_to_compile")
SMALL = {"width": 16, "heads": 2}


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def moved(variables):
    """Parameters that have left their start: no head, bias or shift is zero."""
    leaves, tree = jax.tree.flatten(variables)
    return tree.unflatten([x + 0.1 * normal(*x.shape, seed=i) for i, x in enumerate(leaves)])


def denoiser(**settings):
    """A call (x, poses2d, t, valid) of a small network."""
    network = sequence.PoseDenoiser(**({**SMALL, "blocks": 2} | settings))
    joints = len(skeleton.keypoint_set(network.joints))
    x, poses2d, t = jnp.zeros((1, 4, joints, 3)), jnp.zeros((1, 4, joints, 2)), jnp.zeros(1, int)
    variables = moved(jax.jit(network.init)(jax.random.key(0), x, poses2d, t))
    return lambda *args: jax.jit(network.apply)(variables, *args)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
@pytest.mark.parametrize("joints", ["h36m17", "h36m14"])
def test_any_batch_and_any_joint_set(batch, joints):
    count = len(skeleton.keypoint_set(joints))
    x, poses2d = normal(*batch, 5, count, 3), normal(*batch, 5, count, 2)
    call = denoiser(joints=joints)
    found = call(x, poses2d, jnp.asarray(7))
    assert found.shape == x.shape
    one = call(x.reshape(-1, 5, count, 3)[-1], poses2d.reshape(-1, 5, count, 2)[-1], jnp.asarray(7))
    np.testing.assert_allclose(found.reshape(-1, 5, count, 3)[-1], one, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, criss_cross.SHORT + 2])
@pytest.mark.parametrize("settings", [{}, {"layout": "compat"}, {"remat": True}], ids=str)
def test_padded_frames_change_no_other(frames, settings):
    """The padded sequence gives what the short one gives alone, also where padding is infinite noise."""
    x, poses2d, t = normal(2, frames, 17, 3), normal(2, frames, 17, 2), jnp.asarray([3, 9])
    call = denoiser(**settings)

    def pad(a):
        return jnp.concatenate([a, 1e3 * normal(2, 3, *a.shape[2:], seed=1)], 1)

    valid = jnp.arange(frames + 3) < frames
    found = call(pad(x), pad(poses2d), t, jnp.stack([valid, valid]))
    np.testing.assert_allclose(found[:, :frames], call(x, poses2d, t), atol=2e-5)
    nothing = call(pad(x), pad(poses2d), t, jnp.zeros((2, frames + 3), bool))
    assert np.isfinite(nothing).all()


def test_sequences_of_a_batch_and_their_steps_are_apart():
    x, poses2d, t = normal(3, 4, 17, 3), normal(3, 4, 17, 2), jnp.asarray([0, 20, 49])
    call, order = denoiser(), jnp.asarray([2, 0, 1])
    found = call(x, poses2d, t)
    np.testing.assert_allclose(call(x[order], poses2d[order], t[order]), found[order], atol=1e-5)
    assert np.abs(call(x, poses2d, t[order]) - found).max() > 1e-3


def test_without_structure_and_conv_joints_and_frames_are_sets():
    x, poses2d, t = normal(4, 17, 3), normal(4, 17, 2), jnp.asarray(5)
    joints, frames = (
        jnp.asarray(np.random.default_rng(0).permutation(17)),
        jnp.asarray([2, 0, 3, 1]),
    )
    call = denoiser(structure="none", conv=False)
    found = call(x, poses2d, t)
    np.testing.assert_allclose(
        call(x[:, joints], poses2d[:, joints], t), found[:, joints], atol=1e-5
    )
    np.testing.assert_allclose(call(x[frames], poses2d[frames], t), found[frames], atol=1e-5)


@pytest.mark.parametrize("settings", [{"structure": "none"}, {"conv": False}], ids=str)
def test_structure_and_conv_each_tell_joints_apart(settings):
    x, poses2d, t = normal(4, 17, 3), normal(4, 17, 2), jnp.asarray(5)
    call = denoiser(**settings)
    turned = call(x[:, ::-1], poses2d[:, ::-1], t)[:, ::-1]
    assert np.abs(turned - call(x, poses2d, t)).max() > 1e-2


def test_compat_embedding_says_next_to_nothing():
    """As published, so that nobody expects it to act."""
    x, poses2d, t = normal(4, 17, 3), normal(4, 17, 2), jnp.asarray(5)
    call = denoiser(conv=False, layout="compat")
    turned = call(x[:, ::-1], poses2d[:, ::-1], t)[:, ::-1]
    np.testing.assert_allclose(turned, call(x, poses2d, t), atol=1e-3)


def test_remat_changes_memory_alone():
    x, poses2d, t = normal(2, 6, 17, 3), normal(2, 6, 17, 2), jnp.asarray([3, 9])
    plain = sequence.PoseDenoiser(**SMALL, blocks=1)
    variables = moved(jax.jit(plain.init)(jax.random.key(0), x, poses2d, t))

    def gradient(network):
        loss = lambda v: jnp.mean(network.apply(v, x, poses2d, t) ** 2)  # noqa: E731
        return jax.jit(jax.grad(loss))(variables)

    again = gradient(plain.clone(remat=True))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), gradient(plain), again
    )


@pytest.mark.parametrize("frames", [5, criss_cross.SHORT + 2])
def test_attention_is_the_same_whoever_computes_it(frames):
    q, k, v = (normal(2, frames, 2, 4, seed=i) for i in range(3))
    valid = jnp.arange(frames)[None] < jnp.asarray([[frames], [3]])

    def of(by):
        attend = lambda *qkv: criss_cross.attend(*qkv, 0.5, valid, by)  # noqa: E731
        slope = jax.grad(lambda *qkv: jnp.sum(attend(*qkv) ** 2), (0, 1, 2))
        return jax.jit(lambda *qkv: (attend(*qkv), slope(*qkv)))(q, k, v)

    for by in ("auto", "xla"):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), of(by), of("own"))


def test_bfloat16_stays_near():
    x, poses2d, t = normal(2, 6, 17, 3), normal(2, 6, 17, 2), jnp.asarray([3, 9])
    exact, near = (denoiser(dtype=dtype)(x, poses2d, t) for dtype in (None, jnp.bfloat16))
    assert near.dtype == jnp.float32
    assert 0 < np.abs(near - exact).max() < 0.05 * np.abs(exact).max()


def test_a_new_denoiser_says_the_mean_error_at_every_depth():
    x, poses2d, t = normal(2, 4, 17, 3), normal(2, 4, 17, 2), jnp.asarray([3, 9])
    for blocks in (0, 1):
        network = sequence.PoseDenoiser(**SMALL, blocks=blocks)
        variables = jax.jit(network.init)(jax.random.key(0), x, poses2d, t)
        np.testing.assert_array_equal(jax.jit(network.apply)(variables, x, poses2d, t), 0.0)


def test_steps_become_a_table():
    x, poses2d, t = normal(2, 4, 17, 3), normal(2, 4, 17, 2), jnp.asarray([3, 9])
    network = sequence.PoseDenoiser(**SMALL, blocks=2)
    variables = moved(jax.jit(network.init)(jax.random.key(0), x, poses2d, t))
    apply = jax.jit(network.apply, static_argnames="method")
    table = apply(variables, jnp.arange(50), method="time_features")
    assert table.shape == (50, 2, 16)
    found = apply(variables, x, poses2d, table[t], method="from_features")
    wanted = apply(variables, x, poses2d, t)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_the_lifter_lifts_and_at_depth_zero_knows_one_joint():
    poses2d = normal(2, 4, 17, 3)
    network = sequence.STCFormer(**SMALL, depth=0)
    variables = jax.jit(network.init)(jax.random.key(0), poses2d)
    found = jax.jit(network.apply)(variables, poses2d)
    one = jax.jit(network.apply)(variables, poses2d.at[1, 2, 3].add(1.0))
    assert found.shape == (2, 4, 17, 3)
    assert set(zip(*np.nonzero(np.abs(one - found).max(-1) > 0))) == {(1, 2, 3)}


def test_gelu_is_that_of_flax_and_of_jax():
    x = jnp.linspace(-6, 6, 50)
    exact = lambda x: jax.nn.gelu(x, approximate=False)  # noqa: E731
    for mine, wanted in (
        (criss_cross.gelu, exact),
        *[map(jax.vmap, map(jax.grad, (criss_cross.gelu, exact)))],
    ):
        np.testing.assert_allclose(mine(x), wanted(x), atol=1e-6)


def test_convolution_is_the_grouped_one():
    """Values and gradients, against XLA's."""
    values, kernel, bias = normal(2, 4, 5, 6), normal(3, 3, 6), normal(6)

    def grouped(values, kernel, bias):
        return bias + jax.lax.conv_general_dilated(
            values, kernel[:, :, None], (1, 1), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=6,
        )  # fmt: skip

    check_same(criss_cross.convolve, grouped, values, kernel, bias)


@pytest.mark.parametrize("masked", [False, True])
def test_short_attention_is_that_of_jax(masked):
    """Values and gradients."""
    q, k, v = (normal(3, 5, 2, 4, seed=i) for i in range(3))
    valid = jnp.asarray(np.arange(15).reshape(3, 5) % 4 > 0) if masked else None
    mask = None if valid is None else valid[:, None, None]
    check_same(
        lambda *qkv: criss_cross.attend(*qkv, 0.3, valid),
        lambda *qkv: jax.nn.dot_product_attention(*qkv, mask=mask, scale=0.3),
        q, k, v,
    )  # fmt: skip


def check_same(mine, wanted, *args):
    def both(function):
        slope = normal(*args[0].shape, seed=9)
        loss = lambda *args: jnp.sum(function(*args) * slope)  # noqa: E731
        return jax.jit(lambda *a: (function(*a), jax.grad(loss, tuple(range(len(a))))(*a)))(*args)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        both(mine),
        both(wanted),
    )


def test_part_table_is_stcformers_and_knows_other_sets():
    published = (0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4)
    assert criss_cross.part_table(skeleton.keypoint_set("h36m17_native")) == published
    halpe = dict(
        zip(
            skeleton.keypoint_set("halpe26"),
            criss_cross.part_table(skeleton.keypoint_set("halpe26")),
        )
    )
    assert (halpe["left_eye"], halpe["neck"], halpe["left_big_toe"], halpe["right_wrist"]) == (
        0,
        0,
        2,
        4,
    )


def shapes(network, *args):
    return dict(jax.eval_shape(network.init, jax.random.key(0), *args)["params"])


def test_stcformer_has_4_748_000_parameters_all_of_them_in_its_checkpoints():
    network = sequence.STCFormer(layout="compat", joints="h36m17_native")
    wanted = shapes(network, jnp.zeros((1, 27, 17, 2)))
    assert sum(leaf.size for leaf in jax.tree.leaves(wanted)) == 4_748_000
    state = {k: np.zeros(s) for k, s in stcformer_weights._shapes(256, 6, 8).items()}
    found = stcformer_weights.params_of_stcformer({f"module.{k}": v for k, v in state.items()})
    assert jax.tree.map(np.shape, found) == jax.tree.map(np.shape, wanted)


def test_other_checkpoints_are_refused():
    state = {k: np.zeros(s) for k, s in stcformer_weights._shapes(16, 1, 2).items()}
    of = stcformer_weights.params_of_stcformer
    with pytest.raises(ValueError, match=r"left over: \['extra'\]"):
        of(state | {"extra": np.zeros(3)})
    with pytest.raises(ValueError, match=r"fields pose_emb\.weight and"):
        of({"head.weight": np.zeros(3)})
    with pytest.raises(ValueError, match="every weight once"):
        of(state | {"module.pose_emb.weight": state["pose_emb.weight"]})
    odd = {"stcformer.stc_block.0.stc_att.emb.weight": np.zeros((5, 3))}
    with pytest.raises(ValueError, match=r"emb\.weight: wanted .* found \(16, 2\) and \(5, 3\)"):
        of(state | odd)
    del state["stcformer.stc_block.0.stc_att.proj.bias"]
    with pytest.raises(ValueError, match=r"missing: \['stcformer.stc_block.0.stc_att.proj.bias'\]"):
        of(state)


def test_wrong_joints_and_widths_are_refused():
    network = sequence.STCFormer(**SMALL)
    with pytest.raises(ValueError, match="wanted 17 joints"):
        jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((4, 14, 2)))
    with pytest.raises(ValueError, match="divisible by 16"):
        shapes(sequence.STCFormer(width=40), jnp.zeros((4, 17, 2)))


def test_remat_keeps_only_the_input_of_each_module():
    """Of what an attention holds for its gradient, "*batch T J 3c" or more is gone."""
    x = jax.ShapeDtypeStruct((2, 70, 17, 16), jnp.float32)

    def held(apart):
        module = criss_cross.CrissCross(heads=2, apart=apart)
        variables = jax.eval_shape(module.init, jax.random.key(0), x)
        call = jax.checkpoint(module.apply) if apart else module.apply
        pull = jax.eval_shape(lambda v, x: jax.vjp(call, v, x)[1], variables, x)
        return sum(leaf.size for leaf in jax.tree.leaves(pull))

    assert held(True) < 1.1 * (2 * 70 * 17 * 16) + 3000
    assert held(False) > 2 * 17 * 2 * 70 * 70  # The weights of time attention.
