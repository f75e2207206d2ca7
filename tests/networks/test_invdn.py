"""InvDN against numbers of the authors' own classes, and against its promise to lose nothing."""

import math
import threading

import pytest
import torch
from torch import nn

from denoisers.networks import build
from denoisers.networks.invdn import START, Coupling, Haar


def filled(network):
    """Every tensor k of the state dict but the Haar signs: 0.02 sin(0.1 i + k) at flat index i."""
    for k, (name, tensor) in enumerate(network.state_dict().items()):
        if "haar" not in name:
            i = torch.arange(tensor.numel(), dtype=torch.float64)
            tensor.copy_((0.02 * torch.sin(0.1 * i + k)).reshape(tensor.shape))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def published():
    return filled(build("invdn"))


@pytest.fixture(scope="module")
def compact():
    return filled(build("invdn", blocks=(2, 2), width=16))


def wave(side=32):
    c, r, q = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (3, side, side)), indexing="ij")
    return (0.5 + 0.4 * torch.sin(0.05 * r * (c + 1) + 0.07 * q))[None].float()


def test_size_is_as_published(published):
    assert sum(p.numel() for p in published.parameters()) == 2_641_200
    assert sum(p.numel() for p in build("invdn").parameters() if p.requires_grad) == 2_640_960
    state = published.state_dict()
    assert len(state) == 290
    shapes = {
        "operations.0.haar_weights": (12, 1, 2, 2),
        "operations.1.F.conv1.weight": (64, 9, 3, 3),
        "operations.8.F.conv3.weight": (3, 73, 3, 3),
        "operations.8.H.conv3.weight": (9, 67, 3, 3),
        "operations.9.haar_weights": (48, 1, 2, 2),
        "operations.10.F.conv3.weight": (3, 109, 3, 3),
        "operations.17.G.conv2.weight": (64, 64, 3, 3),
        "operations.17.H.conv3.bias": (45,),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    assert [name.split(".")[2] for name in state if name.startswith("operations.1.")] == ["F"] * 6 + ["G"] * 6 + [
        "H"
    ] * 6


def test_analysis_gives_the_authors_numbers(published):
    y = torch.cat(published.analyse(wave()), 1)
    assert y.shape == (1, 48, 8, 8)
    assert y.mean() == pytest.approx(-0.064217, abs=1e-4) and y.std() == pytest.approx(0.224736, abs=1e-4)
    assert y[0, 0, 0, :4].tolist() == pytest.approx([0.512319, 0.585414, 0.670414, 0.751422], abs=1e-4)
    some = [y[0, 2, 7, 7], y[0, 3, 0, 0], y[0, 20, 4, 4], y[0, 47, 7, 7]]
    assert torch.stack(some).tolist() == pytest.approx([0.586146, -0.078218, -0.116921, 0.016510], abs=1e-4)


def test_another_latent_gives_the_authors_numbers(published):
    latent = (0.3 * torch.cos(0.11 * torch.arange(45 * 64, dtype=torch.float64))).reshape(1, 45, 8, 8).float()
    x = published(wave(), latent)
    assert x.mean() == pytest.approx(0.631631, abs=1e-4) and x.std() == pytest.approx(1.173227, abs=1e-4)
    assert x[0, 0, 0, :4].tolist() == pytest.approx([1.364626, 0.437708, 0.144383, -0.786501], abs=1e-4)
    assert [x[0, 1, 16, 16].item(), x[0, 2, 31, 31].item()] == pytest.approx([2.085328, 0.624705], abs=1e-4)


def test_no_latent_means_zeros(compact):
    x = wave()
    torch.testing.assert_close(compact(x), compact(x, torch.zeros(1, 45, 8, 8)), rtol=0, atol=0)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 36), (32, 32), (60, 44)])
def test_nothing_is_lost(published, height, width):
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    assert (published.inverse(*published.analyse(x)) - x).abs().max() < 1e-5


def test_haar_bands_of_a_ramp():
    haar, ramp = Haar(3), torch.arange(48.0).reshape(1, 3, 4, 4)
    bands = haar(ramp)
    assert bands[0, :, 0, 0].tolist() == [2.5, 18.5, 34.5, -0.5, -0.5, -0.5, -2, -2, -2, 0, 0, 0]
    torch.testing.assert_close(haar.inverse(bands), ramp, rtol=0, atol=0)


def test_autocast_rounds_no_picture():
    """F, G and H that say zero in bf16 must leave a float32 picture as it is, to the bit."""

    class Zeros(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.channels = channels

        def forward(self, x):
            return x.new_zeros(len(x), self.channels, *x.shape[2:], dtype=torch.bfloat16)

    haar, block, x = Haar(3), Coupling(3, 9, 8), wave()
    block.F, block.G, block.H = Zeros(3), Zeros(9), Zeros(9)
    bands = haar(x)
    with torch.autocast("cpu", torch.bfloat16):
        for y in (block(haar(x)), block.inverse(haar(x))):
            assert y.dtype == torch.float32 and torch.equal(y, bands)
        assert torch.equal(haar.inverse(bands), haar.inverse(block(bands)))


def test_a_coupling_block_looks_as_far_as_it_says():
    """A change ``reach`` + 1 pixels away changes nothing; nearer ones do, both ways."""
    block = filled(Coupling(3, 9, 8))
    for function in (block, block.inverse):
        x = torch.rand(1, 12, 31, 31)
        nudged = x.clone()
        nudged[:, :, 15, 15] += 1
        with torch.inference_mode():
            changed = (function(nudged) != function(x)).any(1)[0].nonzero() - 15
        assert changed.abs().max() == block.reach == 6


@pytest.mark.parametrize("blocks", [(2,), (2, 2)])
def test_untrained_it_begins_at_the_low_resolution_picture(blocks):
    network, x = build("invdn", blocks=blocks, width=8), wave()
    low, _ = network.analyse(x)
    torch.testing.assert_close(low, nn.functional.avg_pool2d(x, network.multiple))
    enlarged = nn.functional.interpolate(low, scale_factor=network.multiple, mode="nearest")
    torch.testing.assert_close(network(x), enlarged)


@pytest.mark.parametrize(("count", "amplifying"), [(2, 2), (8, 8), (14, 8)])
def test_untrained_it_shrinks_a_drawn_latent(count, amplifying):
    """Each of up to eight couplings divides by e^s, more do together what eight do; three bands meet in each pixel."""
    network = build("invdn", blocks=(count,), width=8)
    latent = torch.randn(1, 9, 64, 64, generator=torch.Generator().manual_seed(0))
    s = math.tanh(START / 2)  # 2 sigmoid - 1
    with torch.inference_mode():
        spread = network.inverse(torch.zeros(1, 3, 64, 64), latent).std().item()
    assert spread == pytest.approx(3**0.5 / math.exp(amplifying * s), rel=0.02)


def test_threads_share_a_network(compact):
    """Every thread gets its own picture's answer, as nothing is kept on the modules."""
    pictures = [torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    expected, got = [compact(x) for x in pictures], {}

    def work(i):
        got[i] = all(torch.equal(compact(pictures[i]), expected[i]) for _ in range(10))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == dict.fromkeys(range(4), True)


def test_every_weight_learns():
    """Both directions use every block, so the restored picture alone teaches all of them."""
    network = filled(build("invdn", blocks=(2, 2), width=8)).requires_grad_(True)
    low, _ = network.analyse(wave())
    network.inverse(low, torch.randn(1, 45, 8, 8)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.any(), name
