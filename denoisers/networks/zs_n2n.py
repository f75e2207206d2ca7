"""The two-layer network of Zero-Shot Noise2Noise.

Mansour, Heckel, "Zero-Shot Noise2Noise: Efficient Image Denoising without any Data", CVPR 2023, section 3.2.
"""

import torch
from torch import nn


class ZSN2N(nn.Module):
    """g(x) = x - h(x), h two 3x3 convolutions and a 1x1, 22,275 parameters in colour.

    Args: colours in and out, channels between, the generator that draws the first weights (torch's usual ones).

    ``forward(x)``: x is N x C x H x W, of any H and W; returns the same shape, float32.
    """

    multiple = 1
    takes_sigma = False
    margin = 2

    def __init__(self, colours: int, width: int = 48, generator: torch.Generator | None = None):
        super().__init__()
        self.colours = colours
        self.h = nn.Sequential(
            nn.Conv2d(colours, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, colours, 1),
        )
        for layer in self.h[::2]:
            bound = layer.weight[0].numel() ** -0.5
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, x):
        return x - self.h(x).float()
