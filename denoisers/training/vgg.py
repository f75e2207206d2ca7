"""VGG19 up to its last convolution: the features that a perceptual loss compares.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
configuration E. Ledig et al., "Photo-Realistic Single Image Super-Resolution", CVPR 2017, section 2.2.1, compare
two pictures by the answers of layer 5_4; Wang et al., "ESRGAN", ECCV Workshops 2018, section 3.2, before its
ReLU. That is what InvDN's code offers (and its released configuration leaves off).
"""

import torch
from torch import nn

from ..engine.torchvision_guard import torchvision

LAST = 34
"""Index of convolution 5_4 in torchvision's list of layers."""


class VGG19Features(nn.Module):
    """N x 3 x H x W in [0, 1], H and W at least 16, -> N x 512 x H // 16 x W // 16. Frozen.

    Args:
        state: state dict of torchvision's ``vgg19`` (its classifier is not used). None leaves it untrained: random
            features, of use for trying a loss out.
    """

    def __init__(self, state: dict | None = None):
        super().__init__()
        vgg = torchvision.models.vgg
        self.features = vgg.make_layers(vgg.cfgs["E"])[: LAST + 1]
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1), persistent=False)
        if state is not None:
            self.load_state_dict({name: value for name, value in state.items() if name.startswith("features.")})
        self.eval().requires_grad_(False)

    def forward(self, x):
        return self.features((x - self.mean) / self.std)
