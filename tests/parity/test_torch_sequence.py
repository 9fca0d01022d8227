"""Same weights, same output: the networks over sequences against PyTorch, in STCFormer's published layout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from diffjax import criss_cross, skeleton
from diffjax.benchmarks import d3prefiner, torch_sequence
from diffjax.denoisers import sequence, stcformer_weights

pytestmark = pytest.mark.usefixtures("quick_to_compile")
PARTS = criss_cross.part_table(skeleton.keypoint_set("h36m17_native"))
CASE = d3prefiner.Case(width=32, blocks=2, train_windows=2, refine_windows=2)


class Lifter(torch.nn.Module):
    """STCFormer with the names of its checkpoints."""

    def __init__(self, width, depth, heads):
        super().__init__()
        self.pose_emb = torch.nn.Linear(2, width, bias=False)
        self.regress_head = torch.nn.Linear(width, 3, bias=False)
        self.stcformer = torch.nn.Module()
        self.stcformer.stc_block = torch.nn.ModuleList(torch.nn.Module() for _ in range(depth))
        for block in self.stcformer.stc_block:
            block.stc_att = torch_sequence.Published(width, heads, PARTS)
            block.layer_norm = torch.nn.LayerNorm(width)
            block.mlp = torch.nn.Module()
            block.mlp.fc1 = torch.nn.Linear(width, 4 * width, bias=False)
            block.mlp.fc2 = torch.nn.Linear(4 * width, width, bias=False)

    def forward(self, poses2d):
        h = torch.nn.functional.gelu(self.pose_emb(poses2d))
        for block in self.stcformer.stc_block:
            h = block.stc_att(h)
            inner = torch.nn.functional.gelu(block.mlp.fc1(block.layer_norm(h)))
            h = h + block.mlp.fc2(inner)
        return self.regress_head(h)


def test_a_published_checkpoint_lifts_as_it_did():
    torch.manual_seed(0)
    network = Lifter(32, 2, 4)
    for p in network.parameters():  # Norms and embeddings away from their start.
        p.data += 0.2 * torch.randn_like(p)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    params = stcformer_weights.params_of_stcformer(state)
    poses2d = np.random.default_rng(0).normal(size=(2, 9, 17, 2)).astype(np.float32)
    ours = sequence.STCFormer(32, 2, 4, "h36m17_native", layout="compat")
    found = jax.jit(ours.apply)({"params": params}, jnp.asarray(poses2d))
    with torch.no_grad():
        wanted = network(torch.from_numpy(poses2d)).numpy()
    assert np.abs(wanted).max() > 0.5
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_denoiser_and_its_training_are_those_of_both_peers():
    ours, peers = d3prefiner.make(CASE)
    assert list(peers) == list(d3prefiner.PEERS)
    windows = d3prefiner.make_windows(2, frames=5)
    for peer in peers.values():
        assert d3prefiner.agreement(ours, peer, windows).startswith("agrees")


def test_other_weights_are_not_the_same_network():
    ours, peers = d3prefiner.make(CASE)
    peer = peers[d3prefiner.PEERS[0]]
    torch.nn.init.zeros_(peer.network.mlp[0].contract.weight)
    with pytest.raises(RuntimeError, match="not the same"):
        d3prefiner.agreement(ours, peer, d3prefiner.make_windows(2, frames=5))
