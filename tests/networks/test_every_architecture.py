"""What holds for every architecture, whatever is inside it."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from denoisers.engine import network as engine
from denoisers.networks import ARCHITECTURES, build
from denoisers.run import Run

COMPACT = {
    "adnet": (dict(width=8), 8_757),
    "drunet": (dict(widths=(8, 8, 12, 16), blocks=1), 17_720),
    "invdn": (dict(blocks=(1, 1), width=8), 21_240),
    "mwcnn": (dict(widths=(8, 8, 12), convs=2), 18_584),
    "noise2noise_unet": (dict(width=6), 16_047),
    "noise2same_unet": (dict(width=8), 39_288),
    "pridnet": (dict(features=8, widths=(4, 4, 6, 6, 8)), 91_351),
    "rednet": (dict(width=8, layers=10, stride=2), 5_115),
}
"""Arguments of a build small enough to test, and its parameters."""


@pytest.fixture(params=sorted(ARCHITECTURES))
def architecture(request):
    return request.param


@pytest.fixture
def network(architecture):
    """Compact, and no weight left at its first value, where some untrained nets return their input."""
    torch.manual_seed(0)
    network = build(architecture, **COMPACT[architecture][0])
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter += 0.02 * torch.randn_like(parameter)
    return network


def sigma_of(network):
    return {"sigma": 0.1} if network.takes_sigma else {}


def picture(height=32, width=32, count=1):
    """Smooth colours and some noise, count x 3 x height x width in [0, 1]."""
    rows, columns = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 2, width), indexing="ij")
    smooth = torch.stack([torch.sin(rows + c * columns) ** 2 for c in range(3)])
    noise = torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))
    return (0.1 + 0.8 * smooth + 0.1 * noise).clamp(0, 1)


def test_builds_compact_with_the_parameters_its_arguments_promise(architecture, network):
    assert sum(p.numel() for p in network.parameters()) == COMPACT[architecture][1]
    assert network.colours == 3 and 32 % network.multiple == 0 and network.takes_sigma in (True, False)


@pytest.mark.parametrize("size", [(1, 1), (7, 50), (45, 33)])
def test_any_size_goes_through(network, size, monkeypatch):
    """A picture of any size, colour or grey, comes back at its own; what fills it up to the multiple is cut off."""
    monkeypatch.setattr(engine, "precision", lambda device: torch.float32)
    network.eval()
    image = picture(*size)[0].permute(1, 2, 0).numpy()
    for given in (image, image[..., :1]):
        restored = engine.run_network(network, given, Run(), **sigma_of(network))
        assert restored.shape == given.shape and restored.dtype == np.float32 and np.isfinite(restored).all()
    assert not np.array_equal(engine.run_network(network, image, Run(), **sigma_of(network)), image)


def test_every_weight_gets_a_finite_gradient(network):
    network(picture(count=2), **sigma_of(network)).square().mean().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_weights_survive_a_file(architecture, network):
    x = picture()
    network.train()(picture(count=2), **sigma_of(network))  # batch statistics move, where there are any
    other = build(architecture, **COMPACT[architecture][0])
    other.load_state_dict(load(save(network.state_dict())), strict=True)
    with torch.inference_mode():
        answer = network.eval()(x, **sigma_of(network))
        assert torch.equal(other.eval()(x, **sigma_of(network)), answer)


def test_bfloat16_stays_near_float32_and_answers_in_float32(network):
    """In the answer's standard deviation: the mean difference below 1 %, the largest below 10 %."""
    x = picture()
    with torch.inference_mode():
        full = network.eval()(x, **sigma_of(network))
        with torch.autocast("cpu", torch.bfloat16):
            half = network(x, **sigma_of(network))
    assert full.dtype == half.dtype == torch.float32 and full.shape == half.shape == x.shape
    assert not torch.equal(half, full)
    difference = (half - full).abs() / full.std()
    assert difference.mean() < 0.01 and difference.max() < 0.1
