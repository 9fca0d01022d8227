"""STCFormer's checkpoints become lifters that say what its network says."""

import files_annotations as files
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sequences
import torch

from diffjax.convert import stcformer as converter
from diffjax.denoisers import sequence, stcformer_weights
from diffjax.frontends import stcformer


@pytest.fixture
def checkpoint(tmp_path):
    torch.save(files.stcformer_state(), tmp_path / "model.pth")
    return tmp_path / "model.pth"


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_is_a_lifter_of_its_own_sizes_and_conventions(wrapped, tmp_path):
    state, path = files.stcformer_state(width=24, depth=2, heads=3), tmp_path / "model.pth"
    told = {f"module.{name}": value for name, value in state.items()}
    torch.save({"state_dict": told, "epoch": 3} if wrapped else told, path)
    converter.convert(path, tmp_path / "lifter.npz", window=9)
    found = stcformer.load(tmp_path / "lifter.npz").settings
    assert found[:5] == (9, 24, 2, 3, "h36m17_native")
    assert (found.layout, found.centred) == ("compat", False)


def test_a_lifter_says_what_the_network_says(checkpoint):
    """On the whole of a video that is one window; averaged with the mirror image, the pelvis at 0."""
    lifter = converter.read_stcformer(checkpoint, 9)
    p = sequences.videos((9,)).poses2d
    state = {name: value.numpy() for name, value in files.stcformer_state().items()}
    params = jax.tree.map(jnp.asarray, stcformer_weights.params_of_stcformer(state))
    network = sequence.STCFormer(16, 1, 2, "h36m17_native", layout="compat")
    turned = [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]
    seen = (p, p[:, turned] * np.float32([-1, 1]))
    straight, mirrored = (
        np.asarray(network.apply({"params": params}, jnp.asarray(x))) for x in seen
    )
    both = (straight + mirrored[:, turned] * [-1, 1, 1]) / 2
    wanted = both - both[:, :1]
    np.testing.assert_allclose(stcformer.predict(lifter, p, (9,)), wanted, atol=1e-5)


def test_what_is_no_checkpoint_of_stcformer_is_refused(checkpoint, tmp_path):
    out = tmp_path / "x.npz"
    with pytest.raises(ValueError, match="--window: wanted 1 to 10000 frames, found 0"):
        converter.convert(checkpoint, out, window=0)
    state = files.stcformer_state()
    state["regress_head.weight"][0, 0] = torch.nan
    for broken, message in (
        (state, "field regress_head.weight: wanted finite numbers"),
        (files.diffannot_state(226), "take a checkpoint of STCFormer's own model"),
        ([1, 2], "wanted a torch state dict"),
    ):
        torch.save(broken, checkpoint)
        with pytest.raises(ValueError, match=message):
            converter.convert(checkpoint, out, window=9)
    with pytest.raises(FileNotFoundError):
        converter.convert(tmp_path / "none.pth", out, window=9)
    assert not out.exists()
