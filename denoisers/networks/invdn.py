"""InvDN: an invertible network that splits a noisy picture into a small clean one and a latent.

Liu, Qin, Anwar, Ji, Kim, Caldwell, Gedeon, "Invertible Denoising Network: A Light Solution for Real Noise
Removal", CVPR 2021 (arXiv 2104.10546), section 3. Two Haar steps, each followed by coupling blocks, lose
nothing: the noisy picture becomes 48 channels at a quarter of the size, of which 3 are the clean picture at
low resolution and 45 the latent z, detail and noise together. Restoring replaces z by z_HF ~ N(0, I) and
runs the same blocks backwards.

Modules are named as in the authors' code, so that their weight file loads.
"""

import math

import torch
from torch import nn
from torch.nn import functional

SIGNS = ((1, 1, 1, 1), (1, -1, 1, -1), (1, 1, -1, -1), (1, -1, -1, 1))
"""The four Haar bands as signs of top left, top right, bottom left, bottom right; the first is the mean."""

START = 2.0
"""H of an untrained coupling, one of up to eight at its scale, so that y1 = x1 and y2 = 2.14 x2: see ``InvDN``."""


class Haar(nn.Module):
    """C channels -> 4 C at half the size, band by band: the means of all channels come first."""

    reach = 0  # beyond its own 2 x 2 cell

    def __init__(self, channels: int):
        super().__init__()
        signs = torch.tensor(SIGNS, dtype=torch.float32).reshape(4, 1, 2, 2)
        self.haar_weights = nn.Parameter(signs.repeat(channels, 1, 1, 1), requires_grad=False)

    def forward(self, x):
        n, c, height, width = x.shape
        with torch.autocast(x.device.type, enabled=False):  # these sums carry the picture itself
            bands = functional.conv2d(x, self.haar_weights, stride=2, groups=c) / 4
        return bands.reshape(n, c, 4, height // 2, width // 2).transpose(1, 2).flatten(1, 2)

    def inverse(self, y):
        n, c, height, width = y.shape
        bands = y.reshape(n, 4, c // 4, height, width).transpose(1, 2).flatten(1, 2)
        with torch.autocast(y.device.type, enabled=False):
            return functional.conv_transpose2d(bands, self.haar_weights, stride=2, groups=c // 4)


class ResBlock(nn.Module):
    """Three 3x3 convolutions; the last sees the input beside the features."""

    def __init__(self, channels_in: int, channels_out: int, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv3 = nn.Conv2d(channels_in + width, channels_out, 3, padding=1)

    def forward(self, x):
        features = functional.leaky_relu(self.conv1(x), 0.2)
        features = functional.leaky_relu(self.conv2(features), 0.2)
        return self.conv3(torch.cat([x, features], 1))


class Coupling(nn.Module):
    """Affine coupling of the picture x1 (first channels) and the rest x2; figure 3 calls F, H, G phi 2, 3, 4.

    y1 = x1 + F(x2),  y2 = x2 exp(s) + G(y1),  s = 2 sigmoid(H(y1)) - 1.

    Under autocast only F, G and H are bf16: the sums promote to the float32 of the picture.
    """

    reach = 6
    """Pixels that an output looks around itself, either way: 3 through F and 3 through G and H."""

    def __init__(self, picture: int, rest: int, width: int, start: float = START):
        super().__init__()
        self.split = picture, rest
        self.F = ResBlock(rest, picture, width)
        self.G = ResBlock(picture, rest, width)
        self.H = ResBlock(picture, rest, width)
        for block, bias in ((self.F, 0.0), (self.G, 0.0), (self.H, start)):
            nn.init.zeros_(block.conv3.weight)
            nn.init.constant_(block.conv3.bias, bias)

    def scale(self, y1):
        return torch.exp(2 * torch.sigmoid(self.H(y1).to(y1.dtype)) - 1)

    def forward(self, x):
        x1, x2 = x.split(self.split, 1)
        y1 = x1 + self.F(x2)
        return torch.cat([y1, x2 * self.scale(y1) + self.G(y1)], 1)

    def inverse(self, y):
        y1, y2 = y.split(self.split, 1)
        x2 = (y2 - self.G(y1)) / self.scale(y1)
        return torch.cat([y1 - self.F(x2), x2], 1)


class InvDN(nn.Module):
    """Args: colours in and out, coupling blocks after each Haar step, channels inside the blocks' networks.

    ``analyse(x)``: N x C x H x W in [0, 1], H and W multiples of ``multiple``, -> (low, latent), N x C and
    N x ``latent_channels`` at 1/``multiple`` of the size. ``inverse(low, latent)`` is its exact inverse.
    ``forward(x, latent)`` restores: x analysed, its latent replaced, inverted; without a latent by zeros, the
    mean of N(0, I). Pictures are float32, also under autocast.

    Untrained, it is the Haar transform with its details amplified by some hundreds (where a scale has eight blocks or
    more), as far as N(0, I) asks, so that restoring begins at the low-resolution picture enlarged. The authors keep
    torch's defaults, which begin far off [0, 1] and which a short training does not overcome.
    """

    takes_sigma = False

    def __init__(self, colours: int = 3, blocks: tuple[int, ...] = (8, 8), width: int = 64):
        super().__init__()
        self.colours, self.multiple = colours, 2 ** len(blocks)
        channels, operations = colours, []
        for count in blocks:
            operations.append(Haar(channels))
            channels *= 4
            start = 2 * math.atanh(math.tanh(START / 2) * 8 / max(count, 8))  # more than eight share what eight do
            operations += [Coupling(colours, channels - colours, width, start) for _ in range(count)]
        self.operations = nn.ModuleList(operations)
        self.latent_channels = channels - colours

    def analyse(self, x):
        for operation in self.operations:
            x = operation(x)
        return x.split((self.colours, self.latent_channels), 1)

    def inverse(self, low, latent):
        y = torch.cat([low, latent], 1)
        for operation in reversed(self.operations):
            y = operation.inverse(y)
        return y

    def forward(self, x, latent=None):
        low, found = self.analyse(x)
        return self.inverse(low, torch.zeros_like(found) if latent is None else latent)
