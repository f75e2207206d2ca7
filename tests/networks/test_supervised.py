"""REDNet, MWCNN, PRIDNet and ADNet against what was published about them, and the shortcuts they take."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from denoisers.engine import network as engine
from denoisers.engine.network import run_network
from denoisers.networks import build
from denoisers.networks.adnet import ADNet
from denoisers.networks.layers import UpConv, pass_on_
from denoisers.networks.mwcnn import haar, inverse_haar
from denoisers.networks.pridnet import PRIDNet
from denoisers.networks.rednet import Deconv2
from denoisers.run import Run


def stirred(network):
    """The network with no weight left at its first value, where untrained nets return their input."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.rand_like(parameter) - 0.05
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("architecture", "arguments", "published"),
    [
        ("rednet", dict(layers=10), 298_947),
        ("rednet", dict(layers=20), 668_227),
        ("rednet", dict(layers=30), 1_037_507),
        ("rednet", dict(layers=30, stride=2), 1_037_507),
        ("rednet", dict(layers=30, width=128, colours=1), 4_134_785),
        ("mwcnn", dict(colours=1), 16_158_308),
        ("mwcnn", dict(), 16_181_356),
        ("pridnet", dict(), 74_225_723),
        ("adnet", dict(), 521_493),
        ("adnet", dict(colours=1), 519_171),
    ],
)
def test_published_sizes(architecture, arguments, published):
    with torch.device("meta"):
        network = build(architecture, **arguments)
    assert sum(p.numel() for p in network.parameters()) == published


@pytest.mark.parametrize("size", [(1, 1), (5, 8)])
def test_transposed_convolutions_are_what_torch_calls_so(size):
    x = torch.rand(2, 6, *size)
    three, two, biased = Deconv2(6, 4), UpConv(6, 4), UpConv(6, 4, bias=True)
    torch.testing.assert_close(three(x), F.conv_transpose2d(x, three.weight, three.bias, 2, 1, 1))
    torch.testing.assert_close(two(x), F.conv_transpose2d(x, two.weight, None, 2))
    torch.testing.assert_close(biased(x), F.conv_transpose2d(x, biased.weight, biased.bias, 2))


@pytest.mark.parametrize(("layers", "skipped"), [(10, (2, 4)), (20, (2, 4, 6, 8)), (30, (2, 4, 6, 8, 10, 12, 14))])
def test_red_skips_start_at_every_second_layer(layers, skipped):
    """With decoder layers that pass everything on, the tail gets the bottom and every skip, summed."""
    network = build("rednet", layers=layers, width=4)
    for conv in network.decoder:
        torch.nn.init.dirac_(conv.weight)
    encoded, arrived = [], []
    for conv in network.encoder:
        conv.register_forward_hook(lambda module, inputs, output: encoded.append(torch.relu(output)))
    network.tail.register_forward_pre_hook(lambda module, inputs: arrived.append(inputs[0]))
    network(torch.rand(1, 3, 9, 8))
    torch.testing.assert_close(arrived[0], encoded[-1] + sum(encoded[k - 1] for k in skipped))


def test_haar_is_orthonormal_and_undone():
    x = torch.rand(2, 3, 6, 10)
    bands = haar(x)
    torch.testing.assert_close(inverse_haar(bands), x)
    torch.testing.assert_close(bands.norm(), x.norm())
    a, b, c, d = 1.0, 2.0, 4.0, 8.0  # top left, bottom left, top right, bottom right
    bands = haar(torch.tensor([[[[a, c], [b, d]]]])).flatten()
    torch.testing.assert_close(bands, torch.tensor([15.0, 9.0, 5.0, 3.0]) / 2)


def test_mwcnn_has_24_convolutions_and_22_normalisations():
    with torch.device("meta"):
        modules = [type(m).__name__ for m in build("mwcnn").modules()]
    assert (modules.count("Conv2d"), modules.count("BatchNorm2d"), modules.count("ReLU")) == (24, 22, 23)


def test_adnet_files_of_the_authors_fit():
    """Keys and shapes of a published file, which was saved from nn.DataParallel."""
    shapes = {"conv3.weight": (3, 6, 1, 1), "conv3.bias": (3,), "conv1_16.weight": (3, 64, 3, 3)}
    for i in range(1, 16):
        shapes[f"conv1_{i}.0.weight"] = (64, 64 if i > 1 else 3, 3, 3)
        for key in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"conv1_{i}.1.{key}"] = (64,)
        shapes[f"conv1_{i}.1.num_batches_tracked"] = ()
    assert {k: tuple(v.shape) for k, v in ADNet().state_dict().items()} == shapes


def test_adnet_looks_20_pixels_far_and_can_mirror_the_colours():
    network = stirred(ADNet(width=8))
    for i in range(1, 16):  # what is far from the identity shows how far it looks
        torch.nn.init.kaiming_normal_(network.get_submodule(f"conv1_{i}")[0].weight)
    x = torch.rand(1, 3, 64, 64)
    changed = x.clone()
    changed[..., 32, 32] += 1
    rows, columns = ((network(x) - network(changed)).abs().sum((0, 1)) > 0).nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12, 52, 12, 52)
    swapped = ADNet(width=8, bgr=True).eval()
    swapped.load_state_dict(network.state_dict())
    torch.testing.assert_close(swapped(x.flip(1)).flip(1), network(x))


def test_layers_that_pass_on_begin_near_the_identity():
    weight = torch.randn(5, 3, 3, 3)
    random = weight.clone()
    pass_on_(weight, 0.25)
    x = torch.rand(1, 3, 8, 8)
    y = torch.nn.functional.conv2d(x, weight - 0.25 * random, padding=1)
    torch.testing.assert_close(y[:, :3], x, atol=1e-5, rtol=0)
    assert y[:, 3:].abs().max() < 1e-5


COMPACT_PRIDNET = dict(features=8, widths=(4, 4, 6, 6, 8))


def test_pridnet_takes_a_training_crop_and_shares_its_averages():
    torch.manual_seed(0)
    network = stirred(PRIDNet(**COMPACT_PRIDNET))
    x = torch.rand(2, 3, 64, 64)
    known = []
    for _ in range(network.averages):
        known.append(network.to_average(x, known).mean((2, 3)))
    assert [a.shape for a in known] == [(2, 8), (2, 21)]
    torch.testing.assert_close(network(x, known), network(x))
    assert not torch.allclose(network(x, [k.flip(0) for k in known]), network(x), atol=1e-4)


def test_pridnet_in_tiles_equals_pridnet_whole(monkeypatch):
    """A picture dark on one side and bright on the other: averages of a tile are not those of the picture."""
    monkeypatch.setattr(engine, "precision", lambda device: torch.float32)
    network = stirred(PRIDNet(**COMPACT_PRIDNET))
    height, width = 150, 1070
    ramp = np.linspace(0, 0.9, width, dtype=np.float32)[None, :, None]
    image = ramp + 0.1 * np.random.default_rng(0).random((height, width, 3), np.float32)
    tiled = run_network(network, image, Run(), budget=1)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "LARGEST", 10_000)
        whole = run_network(network, image, Run(), budget=1e12)
    assert 0 < np.abs(tiled - whole).max() < 1 / 255
    monkeypatch.delattr(PRIDNet, "averages")  # and without the shared averages it does not
    apart = run_network(network, image, Run(), budget=1)
    assert np.abs(apart - whole).max() > 1 / 255
