"""The discriminator and the VGG19 features: sizes as published, shapes, frozen."""

import pytest
import torch

from denoisers.networks.discriminator import Discriminator
from denoisers.training.vgg import VGG19Features


def test_discriminator_has_the_published_size():
    """discriminator_vgg_128 with 64 channels, layer by layer."""
    convolutions = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 512) + 64
    strided = 16 * (64**2 + 128**2 + 256**2 + 512**2 + 512**2)
    norms = 2 * (64 + 2 * (128 + 256 + 512 + 512))
    linear = 512 * 16 * 100 + 100 + 100 + 1
    count = sum(p.numel() for p in Discriminator().parameters())
    assert count == convolutions + strided + norms + linear == 14_499_401


@pytest.mark.parametrize("crop", [32, 64, 100, 128, 144, 159, 160])
def test_discriminator_takes_any_crop_from_32(crop):
    judge = Discriminator(width=4).eval()
    scores = judge(torch.rand(2, 3, crop, crop))
    assert scores.shape == (2, 1) and torch.isfinite(scores).all()
    grid = judge.features[:-1](torch.rand(1, 3, crop, crop)).shape[-1]
    assert (grid == 4) == (128 <= crop <= 159)


@pytest.fixture(scope="module")
def vgg():
    return VGG19Features()


def test_vgg_is_vgg19_up_to_its_last_convolution_and_frozen(vgg):
    assert sum(p.numel() for p in vgg.parameters()) == 20_024_384
    assert not any(p.requires_grad for p in vgg.parameters()) and not vgg.training
    convolutions = [layer for layer in vgg.features if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 16 and vgg.features[-1] is convolutions[-1]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (40, 65)])
def test_vgg_features_pass_gradients_to_the_picture(vgg, height, width):
    x = torch.rand(1, 3, height, width, requires_grad=True)
    features = vgg(x)
    assert features.shape == (1, 512, height // 16, width // 16)
    assert features.min() < 0  # before the ReLU
    features.square().mean().backward()
    assert x.grad.any()


def test_vgg_standardises_as_imagenet_does(vgg):
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(vgg(x * std + mean), vgg.features(x), rtol=1e-4, atol=1e-6)


def test_vgg_loads_a_state_of_torchvision_strictly(vgg):
    """Names and shapes are those of torchvision's file, whose classifier is left out."""
    state = {name: torch.full_like(value, 0.01) for name, value in vgg.state_dict().items()}
    loaded = VGG19Features({**state, "classifier.0.weight": torch.zeros(1)})
    assert all((value == 0.01).all() for value in loaded.state_dict().values())
    assert {"features.0.weight", "features.34.bias"} <= set(state)
    del state["features.34.bias"]
    with pytest.raises(RuntimeError, match="features.34.bias"):
        VGG19Features(state)
