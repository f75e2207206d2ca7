"""MWCNN: a U-Net whose pooling is the wavelet transform, so that nothing is lost on the way down.

Liu, Zhang, Zhang, Lin, Zuo, "Multi-level Wavelet-CNN for Image Restoration", CVPR Workshops 2018
(arXiv 1805.07071), section 3 and the authors' 24-layer network. The last skip adds the sub-bands of the
picture itself; the transform being linear, the picture is added after it here, in float32, so that bf16
arithmetic never touches it.
"""

from itertools import zip_longest

import torch
from torch import nn

from .layers import pass_on_


def haar(x):
    """Orthonormal 2-D Haar transform: N x C x H x W -> N x 4C x H/2 x W/2, the maps in order LL, HL, LH, HH."""
    a, b, c, d = x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]
    return torch.cat([a + b + c + d, c + d - a - b, b + d - a - c, a + d - b - c], 1) / 2


def inverse_haar(bands):
    """The transform that undoes ``haar``: N x 4C x H x W -> N x C x 2H x 2W."""
    ll, hl, lh, hh = (bands / 2).chunk(4, 1)
    a, b, c, d = ll - hl - lh + hh, ll - hl + lh - hh, ll + hl - lh - hh, ll + hl + lh + hh
    left, right = (torch.stack(column, 3).flatten(2, 3) for column in ((a, b), (c, d)))
    return torch.stack([left, right], 4).flatten(3, 4)


def conv_bn_relu(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU())


def chain(*channels: int) -> nn.Sequential:
    """conv_bn_relu from each number of channels to the next."""
    return nn.Sequential(*(conv_bn_relu(*pair) for pair in zip(channels[:-1], channels[1:], strict=True)))


class MWCNN(nn.Module):
    """Args: colours in and out, channels of the scales, convolutions a block (twice that at the bottom).

    ``forward(x)``: N x C x H x W in [0, 1], H and W multiples of ``multiple``, to the same in float32.
    """

    takes_sigma = False
    margin = 64
    """Of the 120 pixels that the published depth reaches: the trained weights make 0.1 of 255 of what lies beyond."""

    def __init__(self, colours: int = 3, widths: tuple[int, ...] = (160, 256, 256), convs: int = 4):
        super().__init__()
        self.colours = colours
        self.multiple = 2 ** len(widths)
        entering = [4 * c for c in (colours, *widths[:-1])]  # sub-bands that enter each contracting block
        *outer, (bottom_in, bottom) = zip(entering, widths, strict=True)
        self.contracting = nn.ModuleList(chain(bands, *[c] * convs) for bands, c in outer)
        self.bottom = chain(bottom_in, *[bottom] * (2 * convs - 1), bottom_in)
        self.expanding = nn.ModuleList(chain(*[c] * convs, bands) for bands, c in reversed(outer))
        # The first convolution has no batch normalisation, the last neither that nor a ReLU.
        self.contracting[0][0] = nn.Sequential(nn.Conv2d(entering[0], widths[0], 3, padding=1), nn.ReLU())
        self.expanding[-1][-1] = nn.Conv2d(widths[0], entering[0], 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
                if module.in_channels == module.out_channels:
                    pass_on_(module.weight)
        nn.init.normal_(self.expanding[-1][-1].weight, std=1e-3)  # the untrained net returns its input

    def rectified(self):
        """See ``training/recycle.py``; what ends a block is heard by the next one and by its mirror image."""
        for block in (*self.contracting, self.bottom, *self.expanding):
            layers = [layer if isinstance(layer, nn.Sequential) else [layer] for layer in block]
            for (conv, *rest), after in zip_longest(layers, layers[1:]):
                if rest:
                    yield conv, rest[0] if isinstance(rest[0], nn.BatchNorm2d) else None, after[0] if after else None

    def forward(self, x):
        y, skips = haar(x), []
        for block in self.contracting:
            y = haar(block(y))
            skips.append(y)
        y = self.bottom(y)
        for block in self.expanding:
            y = block(inverse_haar(y + skips.pop()))
        return x + inverse_haar(y.to(x.dtype))
