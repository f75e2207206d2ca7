"""ADNet: a sparse chain of plain and dilated convolutions whose noise estimate passes an attention gate.

Tian, Xu, Li, Zuo, Fei, Liu, "Attention-guided CNN for image denoising", Neural Networks 124, 2020, section 3
and the authors' code, whose module names are kept: their files load strictly once the prefix ``module.`` of
their keys is dropped. The first layer and the subtraction stay in float32, so that bf16 arithmetic never touches
the picture.
"""

import torch
from torch import nn

from .layers import Float32Conv2d, pass_on_

DILATED = (2, 5, 9, 12)
"""Layers of the sparse block that look twice as far."""


class ADNet(nn.Module):
    """Args: colours in and out, channels, whether the weights expect blue, green, red (the authors' do).

    ``forward(x)``: N x C x H x W in [0, 1], red first, any H and W, to the same in float32.
    """

    multiple = 1
    takes_sigma = False

    def __init__(self, colours: int = 3, width: int = 64, bgr: bool = False):
        super().__init__()
        self.colours, self.bgr = colours, bgr
        for i in range(1, 16):
            dilation = 2 if i in DILATED else 1
            kind, channels = (nn.Conv2d, width) if i > 1 else (Float32Conv2d, colours)
            conv = kind(channels, width, 3, padding=dilation, dilation=dilation, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            if i > 1:
                pass_on_(conv.weight)
            setattr(self, f"conv1_{i}", nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU()))
        self.conv1_16 = nn.Conv2d(width, colours, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(2 * colours, colours, 1)
        nn.init.normal_(self.conv1_16.weight, std=1e-3)  # the untrained net returns its input
        nn.init.normal_(self.conv3.weight, std=1e-2)
        nn.init.ones_(self.conv3.bias)  # its gate is open

    def rectified(self):
        """See ``training/recycle.py``."""
        layers = [getattr(self, f"conv1_{i}") for i in range(1, 16)]
        hearers = [*(layer[0] for layer in layers[1:]), self.conv1_16]
        return [(conv, norm, after) for (conv, norm, _), after in zip(layers, hearers, strict=True)]

    def forward(self, x):
        if self.bgr:
            x = x.flip(1)
        noise = x
        for i in range(1, 17):
            noise = self.get_submodule(f"conv1_{i}")(noise)
        gate = self.conv3(torch.tanh(torch.cat([x, noise.to(x.dtype)], 1)))
        clean = x - gate.to(x.dtype) * noise.to(x.dtype)
        return clean.flip(1) if self.bgr else clean
