"""The U-Nets of Noise2Noise and Noise2Same: published sizes, structure, and what the engine relies on."""

import numpy as np
import pytest
import torch

from denoisers.methods.noise2same import standardise
from denoisers.networks import build


@pytest.mark.parametrize(
    ("architecture", "colours", "parameters"),
    [("noise2noise_unet", 3, 991_203), ("noise2same_unet", 3, 5_565_600), ("noise2same_unet", 1, 5_563_680)],
)
def test_published_size(architecture, colours, parameters):
    with torch.device("meta"):
        network = build(architecture, colours=colours)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(("architecture", "reach"), [("noise2noise_unet", 160), ("noise2same_unet", 32)])
def test_a_pixel_reaches_no_further_than_the_layers_say(architecture, reach):
    torch.manual_seed(0)
    network = build(architecture, colours=1, width=6).eval()
    x = torch.rand(1, 1, 384, 32)
    changed = x.clone()
    changed[:, :, 192, 16] += 1
    rows = (network(x) - network(changed)).abs().amax((0, 1, 3)).nonzero()
    assert 192 - reach <= rows.min() < rows.max() <= 192 + reach


def test_noise2noise_works_around_mid_grey():
    """All biases are zero at the start, so the picture 0.5 + a d goes to 0.5 + a f(d)."""
    torch.manual_seed(0)
    network = build("noise2noise_unet", width=6)
    d = torch.rand(1, 3, 32, 64) - 0.5
    torch.testing.assert_close(network(0.5 + 0.25 * d) - 0.5, 0.25 * (network(0.5 + d) - 0.5), atol=1e-5, rtol=0)


def test_noise2noise_sees_the_picture_at_full_resolution():
    """The last concatenation is the input itself: with the deep path cut, fine detail still gets through."""
    torch.manual_seed(0)
    network = build("noise2noise_unet", width=6)
    network.dec_conv1a[0].weight.data[:, :12] = 0
    x = torch.rand(1, 3, 32, 32)
    assert (network(x) - network(x.flip(-1)).flip(-1)).abs().max() > 1e-3


def test_noise2same_batch_statistics_follow_momentum():
    network = build("noise2same_unet", width=4, momentum=0.25).train()
    with torch.no_grad():
        network.head.weight.zero_()
        network(torch.randn(2, 3, 16, 16))
    torch.testing.assert_close(network.block_a.bn1.running_var, torch.full((4,), 0.75))


def test_standardise_is_undone_and_leaves_flat_channels_finite():
    image = np.random.default_rng(0).random((7, 9, 3), np.float32)
    image[..., 2] = 0.25
    standardised, mean, std = standardise(image)
    np.testing.assert_allclose(standardised.mean((0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(standardised.std((0, 1)), [1, 1, 0], atol=1e-5)
    np.testing.assert_allclose(standardised * std + mean, image, atol=1e-6)
