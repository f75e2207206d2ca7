"""The residual U-Net of Noise2Same.

Xie, Wang, Ji, "Noise2Same: Optimizing a Self-Supervised Bound for Image Denoising", NeurIPS 2020, section 4;
pre-activation residual blocks after He et al., ECCV 2016. It sees pictures standardised to mean 0 and standard
deviation 1 a channel and answers in the same unit (see ``denoisers.methods.noise2same.standardise``).
"""

import torch
from torch import nn

from .layers import Float32Conv2d, UpConv


class ResBlock(nn.Module):
    """shortcut + conv(relu(bn(conv(h)))), h = relu(bn(x)); the shortcut is x, or a 1x1 convolution of h.

    ``momentum`` is PyTorch's, of the running statistics.
    """

    def __init__(self, channels_in: int, channels_out: int, momentum: float):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in, momentum=momentum)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out, momentum=momentum)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        same = channels_in == channels_out
        self.shortcut = None if same else nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x):
        h = torch.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(h)
        return shortcut + self.conv2(torch.relu(self.bn2(self.conv1(h))))


class Noise2SameUNet(nn.Module):
    """Args: colours in and out; channels at full resolution, 96 as published (5,565,600 parameters in colour);
    momentum of the batch statistics (short trainings want 0.03).

    ``forward(x)``: x is N x C x H x W, standardised, H and W multiples of 4; returns the same shape, float32.
    """

    multiple = 4
    takes_sigma = False
    margin = 32

    def __init__(self, colours: int = 3, width: int = 96, momentum: float = 0.003):
        super().__init__()
        self.colours = colours
        a, b, c = width, 2 * width, 4 * width
        self.head = nn.Conv2d(colours, a, 3, padding=1, bias=False)
        self.block_a = ResBlock(a, a, momentum)
        self.down_b = nn.Conv2d(a, b, 2, stride=2)
        self.block_b = ResBlock(b, b, momentum)
        self.down_c = nn.Conv2d(b, c, 2, stride=2)
        self.bottom = ResBlock(c, c, momentum)
        self.up_b = UpConv(c, b, bias=True)
        self.merge_b = ResBlock(2 * b, b, momentum)
        self.up_a = UpConv(b, a, bias=True)
        self.merge_a = ResBlock(2 * a, a, momentum)
        self.bn = nn.BatchNorm2d(a, momentum=momentum)
        self.tail = Float32Conv2d(a, colours, 1, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x):
        a = self.block_a(self.head(x))
        b = self.block_b(self.down_b(a))
        y = self.bottom(self.down_c(b))
        y = self.merge_b(torch.cat([self.up_b(y), b], 1))
        y = self.merge_a(torch.cat([self.up_a(y), a], 1))
        return self.tail(torch.relu(self.bn(y)))
