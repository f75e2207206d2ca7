"""The optimisers: which weights Muon steps, and how far."""

import pytest
import torch
from torch import nn

from denoisers.muon import orthogonalised
from denoisers.networks import build
from denoisers.training.descent import Descent, matrix
from denoisers.training.recipe import Optimiser, load, names


def network():
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 2),
        nn.Conv2d(8, 3, 1),
    )
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def given_gradients(net):
    generator = torch.Generator().manual_seed(1)
    for p in net.parameters():
        p.grad = torch.empty_like(p).copy_(torch.randn(p.shape, generator=generator))


@pytest.mark.parametrize("shape", [(2, 24, 24), (3, 8, 72), (1, 72, 8)])
def test_singular_values_become_equal(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    matrices[:, 0] *= 10
    after = orthogonalised(matrices, rounds=5)
    values = torch.linalg.svdvals(after)
    assert after.shape == shape and (values[:, : min(shape[1:]) // 2] > 0.5).all() and (values < 1.3).all()
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    away = (after - u @ v).norm(dim=(1, 2)) / (u @ v).norm(dim=(1, 2))
    assert (away < 0.4).all()


def test_a_kernel_and_its_matrix_share_memory():
    kernel = torch.randn(8, 5, 3, 3).contiguous(memory_format=torch.channels_last)
    matrix(kernel)[2, 7] = 77
    assert (kernel == 77).sum() == 1 and kernel[2, 2, 0, 1] == 77


def test_muon_steps_the_inner_kernels_by_as_much_as_adamw():
    net = network()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    descent = Descent(net, Optimiser(name="muon"))
    given_gradients(net)
    descent.step(1e-2)
    assert [p.shape for p in descent.kernels] == [(16, 8, 2, 2), (16, 8, 3, 3)]
    for name, p in net.named_parameters():
        step = (p.detach() - before[name]).square().mean().sqrt().item()
        inner = any(p is k for k in descent.kernels)
        assert step == pytest.approx(2e-3 if inner else 1e-2, rel=0.2), name
    for m, kernel in zip(descent.matrices, descent.kernels, strict=True):
        torch.testing.assert_close(m, matrix(kernel), rtol=0, atol=0)


def test_weight_decay_shrinks_every_weight_alike():
    """Decoupled: a step with decay is the step without it from weights that are shrunk first."""
    after = []
    for decay in (0.0, 0.5):
        net = network()
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(1 - 1e-2 * (0.5 - decay))
        descent = Descent(net, Optimiser(name="muon", weight_decay=decay))
        given_gradients(net)
        descent.step(1e-2)
        after.append([p.detach() for p in net.parameters()])
    torch.testing.assert_close(*after)


@pytest.mark.parametrize("name", names())
def test_every_recipe_s_network_takes_its_optimiser(name):
    """Kernels share their memory with the matrices in every architecture, so that a step reaches them."""
    facts = load(name)
    net = build(**facts.network).to(memory_format=torch.channels_last)
    descent = Descent(net, facts.optimiser.model_copy(update={"name": "muon"}))
    assert len(descent.kernels) > 5
    for m, kernel in zip(descent.matrices, descent.kernels, strict=True):
        assert m.data_ptr() == kernel.data_ptr() and m.numel() == kernel.numel()
