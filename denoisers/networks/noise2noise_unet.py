"""The U-Net of Noise2Noise.

Lehtinen, Munkberg, Hasselgren, Laine, Karras, Aittala, Aila, "Noise2Noise: Learning Image Restoration without
Clean Data", ICML 2018, supplement, table 2. Layers carry the names of that table. The paper works on pictures
in [-0.5, 0.5]; the shift is made here, so that the module maps [0, 1] to [0, 1].
"""

import torch
from torch import nn
from torch.nn import functional as F

from .layers import Float32Conv2d


def conv(channels_in: int, channels_out: int) -> nn.Sequential:
    """3x3 convolution and LeakyReLU, initialised after He et al."""
    layer = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.LeakyReLU(0.1))


class Noise2NoiseUNet(nn.Module):
    """Args: colours in and out; channels of the encoder, a multiple of 3 (48 as published: 991,203 parameters).

    ``forward(x)``: x is N x C x H x W in [0, 1], H and W multiples of 32; returns the same shape, float32.
    """

    multiple = 32
    takes_sigma = False
    margin = 64  # of the 160 pixels that the layers can reach

    def __init__(self, colours: int = 3, width: int = 48):
        super().__init__()
        self.colours = colours
        w, d = width, 2 * width
        self.enc_conv0 = conv(colours, w)
        self.enc_conv = nn.ModuleList(conv(w, w) for _ in range(5))  # enc_conv1 to 5, a pooling after each
        self.enc_conv6 = conv(w, w)
        self.dec_conv = nn.ModuleList(  # dec_conv5 and 5b, 4 and 4b, 3 and 3b, 2 and 2b
            nn.Sequential(conv(below + w, d), conv(d, d)) for below in (w, d, d, d)
        )
        self.dec_conv1a = conv(d + colours, 4 * w // 3)
        self.dec_conv1b = conv(4 * w // 3, 2 * w // 3)
        self.dec_conv1 = Float32Conv2d(2 * w // 3, colours, 3, padding=1)
        nn.init.kaiming_normal_(self.dec_conv1.weight, nonlinearity="linear")
        nn.init.zeros_(self.dec_conv1.bias)

    def forward(self, x):
        x = x - 0.5
        y = self.enc_conv0(x)
        skips = [x]
        for enc_conv in self.enc_conv:
            y = F.max_pool2d(enc_conv(y), 2)
            skips.append(y)
        y = self.enc_conv6(skips.pop())
        for dec_conv in self.dec_conv:
            y = dec_conv(torch.cat([F.interpolate(y, scale_factor=2), skips.pop()], 1))
        y = self.dec_conv1a(torch.cat([F.interpolate(y, scale_factor=2), skips.pop()], 1))
        return self.dec_conv1(self.dec_conv1b(y)) + 0.5
