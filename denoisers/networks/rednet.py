"""RED-Net: a chain of convolutions and a mirrored chain of transposed ones, joined by skips that add.

Mao, Shen, Yang, "Image Restoration Using Very Deep Convolutional Encoder-Decoder Networks with Symmetric
Skip Connections", NIPS 2016 (arXiv 1606.08921), section 3. At stride 1 a transposed convolution is a
convolution with its kernel turned round; since kernels are learnt, these are plain convolutions here, which
run faster. The first layer and the last sum, which has no ReLU, stay in float32, so that bf16 arithmetic never
touches the picture.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from .layers import Float32Conv2d, pass_on_


class Deconv2(nn.ConvTranspose2d):
    """3x3 transposed convolution of stride 2 (padding 1, output padding 1), computed as a convolution.

    Each output phase (even or odd row and column) is a 2x2 convolution of the input; a pixel shuffle puts
    the four together. Avoids oneDNN's bf16 deconvolution, which raises SIGILL on some virtual machines.
    """

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x):
        taps = F.pad(self.weight, (1, 0, 1, 0)).unflatten(3, (2, 2)).unflatten(2, (2, 2)).flip(2, 4)
        in_, out, tap_y, phase_y, tap_x, phase_x = range(6)
        taps = taps.permute(out, phase_y, phase_x, in_, tap_y, tap_x).flatten(0, 2)
        return F.pixel_shuffle(F.conv2d(F.pad(x, (0, 1, 0, 1)), taps), 2) + self.bias.view(-1, 1, 1)


class REDNet(nn.Module):
    """Args: colours in and out, channels, layers in all (10, 20 and 30 in the paper), stride 1 or 2.

    The published RED30 has width 128. With stride 2 the first convolution halves the picture and the last
    layer doubles it again, for a quarter of the arithmetic.

    ``forward(x)``: N x C x H x W in [0, 1], H and W multiples of ``multiple``, to the same in float32.
    """

    takes_sigma = False

    def __init__(self, colours: int = 3, width: int = 64, layers: int = 30, stride: int = 1):
        super().__init__()
        self.colours = colours
        self.multiple = stride
        half = layers // 2
        self.encoder = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) if i else Float32Conv2d(colours, width, 3, stride=stride, padding=1)
            for i in range(half)
        )
        self.decoder = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(half - 1))
        self.tail = Deconv2(width, colours) if stride == 2 else nn.Conv2d(width, colours, 3, padding=1)
        for layer in [*self.encoder, *self.decoder, self.tail]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            if layer.in_channels == layer.out_channels:
                pass_on_(layer.weight)
        nn.init.normal_(self.tail.weight, std=1e-3)  # the untrained net returns its input

    def rectified(self):
        """See ``training/recycle.py``; a skip starts behind each second layer of the encoder."""
        layers = [*self.encoder, *self.decoder, self.tail]
        for i, (conv, after) in enumerate(pairwise(layers), 1):
            yield conv, None, None if i % 2 == 0 and i <= len(self.encoder) else after

    def forward(self, x):
        y, skips = x, {}
        for i, conv in enumerate(self.encoder, 1):
            y = torch.relu(conv(y))
            if i % 2 == 0:
                skips[i] = y
        for i, conv in enumerate(self.decoder, 1):
            y = conv(y)
            mirrored = skips.pop(len(self.encoder) - i, None)
            y = torch.relu(y if mirrored is None else y + mirrored)
        return x + self.tail(y).to(x.dtype)
