"""PRIDNet: noise estimation with channel attention, a pyramid of five U-Nets, and kernel selection.

Zhao, Jiang, Men, Ma, "Pyramid Real Image Denoising Network", VCIP 2019 (arXiv 1908.00273), section 3 and the
authors' network, with as many channels as the picture has colours where theirs, for raw data, has one.

Both attention stages need averages over the whole picture. ``averages`` and ``to_average`` let a caller who
holds the picture in tiles collect them first.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .layers import Float32Conv2d, UpConv

POOLING = (1, 2, 4, 8, 16)
KERNELS = (3, 5, 7)


def conv(channels_in: int, channels_out: int) -> nn.Sequential:
    layer = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=0.2)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.LeakyReLU(0.2))


def convs(channels_in: int, channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(conv(channels if i else channels_in, channels) for i in range(count)))


def average(features):
    """N x K x H x W -> N x K, in float32."""
    return features.float().mean((2, 3))


class UNet(nn.Module):
    """Args: channels in and out, channels of the scales. Any size: pooling rounds up, the way back is cut to fit."""

    def __init__(self, channels_in: int, channels_out: int, widths: tuple[int, ...]):
        super().__init__()
        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.head = convs(channels_in, widths[0], 4)
        self.down = nn.ModuleList(convs(c, wider, 4) for c, wider in steps)
        self.up = nn.ModuleList(UpConv(wider, c) for c, wider in reversed(steps))
        self.join = nn.ModuleList(convs(2 * c, c, 3) for c, _ in reversed(steps))
        self.tail = nn.Conv2d(widths[0], channels_out, 1)
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.zeros_(self.tail.bias)

    def forward(self, x):
        y = self.head(x)
        skips = []
        for down in self.down:
            skips.append(y)
            y = down(F.max_pool2d(y, 2, ceil_mode=True))
        for up, join in zip(self.up, self.join, strict=True):
            skip = skips.pop()
            y = join(torch.cat([up(y)[..., : skip.shape[2], : skip.shape[3]], skip], 1))
        return self.tail(y)


class PRIDNet(nn.Module):
    """Args: colours in and out, channels of the noise estimation, channels of the U-Nets' scales.

    ``forward(x)``: N x C x H x W in [0, 1], H and W multiples of ``multiple``, to the same in float32.
    Two cuts of one picture agree only where both start on multiples of ``grid``, that of the coarsest scale, and
    then, ``margin`` pixels inside, to a fraction of 1/255.
    """

    multiple = 16
    grid = 256
    margin = 96
    averages = 2
    takes_sigma = False

    def __init__(self, colours: int = 3, features: int = 32, widths: tuple[int, ...] = (32, 64, 128, 256, 512)):
        super().__init__()
        self.colours = colours
        joined = (2 + len(POOLING)) * colours
        self.estimation = convs(colours, features, 4)
        self.excitation = nn.Sequential(nn.Linear(features, 2), nn.ReLU(), nn.Linear(2, features), nn.Sigmoid())
        self.noise = conv(features, colours)
        self.pyramid = nn.ModuleList(UNet(2 * colours, colours, widths) for _ in POOLING)
        self.kernels = nn.ModuleList(Float32Conv2d(joined, joined, k, padding=k // 2) for k in KERNELS)
        self.selection = nn.Sequential(nn.Linear(joined, 4), nn.ReLU(), nn.Linear(4, len(KERNELS) * joined))
        self.tail = Float32Conv2d(joined, colours, 3, padding=1)
        for layer in (*self.kernels, self.tail):
            nn.init.dirac_(layer.weight)  # the untrained net returns its input
            nn.init.zeros_(layer.bias)

    def candidates(self, x, features, features_average):
        """The three branches of the last stage, which carry the picture itself and so stay in float32."""
        features = features * self.excitation(features_average)[..., None, None]
        x_and_noise = torch.cat([x, self.noise(features).to(x.dtype)], 1)
        scales = [
            F.interpolate(unet(F.avg_pool2d(x_and_noise, s)).to(x.dtype), x.shape[2:], mode="bilinear")
            for s, unet in zip(POOLING, self.pyramid, strict=True)
        ]
        joined = torch.cat([x_and_noise, *scales], 1)
        return [F.leaky_relu(kernel(joined), 0.2) for kernel in self.kernels]

    def to_average(self, x, known=()):
        """The map, N x K x H x W, whose average over the whole picture, N x K, follows the ``known`` ones."""
        features = self.estimation(x)
        return sum(self.candidates(x, features, *known)) if known else features

    def forward(self, x, averages=None):
        """``averages``: both of the whole picture that x is a tile of; x's own by default."""
        features = self.estimation(x)
        candidates = self.candidates(x, features, averages[0] if averages else average(features))
        weights = self.selection(averages[1] if averages else average(sum(candidates))).float()
        weights = weights.unflatten(1, (len(KERNELS), -1)).softmax(1)[..., None, None]
        return self.tail(sum(c * w for c, w in zip(candidates, weights.unbind(1), strict=True)))
