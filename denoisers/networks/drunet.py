"""DRUNet: a bias-free residual U-Net that is told the noise level.

Zhang, Li, Zuo, Zhang, Van Gool, Timofte, "Plug-and-Play Image Restoration with Deep Denoiser Prior",
IEEE TPAMI 2021 (arXiv 2008.13751), section 3. Two departures: narrower by default (32 to 256 channels
instead of 64 to 512), and the network predicts the noise, which is subtracted from the picture. Head
and subtraction stay in float32, so that bf16 arithmetic never touches the picture itself.

Without a single bias the network is positively homogeneous, f(a x, a sigma) = a f(x, sigma), and so
carries over to noise levels it has never seen (Mohan et al., ICLR 2020).
"""

import torch
from torch import nn

from .layers import Float32Conv2d, UpConv


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)


class ResBlock(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)

    def forward(self, x):
        return x + self.conv2(torch.relu(self.conv1(x)))


class DRUNet(nn.Module):
    """Args: colours in and out, channels of the four scales, residual blocks a scale.

    ``forward(x, sigma)``: x is N x C x H x W in [0, 1], H and W multiples of ``multiple``; sigma, in the
    same unit, a number, an N-vector or a map N x 1 x H x W. Returns N x C x H x W float32.
    """

    multiple = 8
    takes_sigma = True

    def __init__(self, colours: int = 3, widths: tuple[int, ...] = (32, 64, 128, 256), blocks: int = 2):
        super().__init__()
        self.colours = colours
        scales = list(zip(widths[:-1], widths[1:], strict=True))
        self.head = Float32Conv2d(colours + 1, widths[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList(
            nn.Sequential(*(ResBlock(c) for _ in range(blocks)), nn.Conv2d(c, wider, 2, stride=2, bias=False))
            for c, wider in scales
        )
        self.body = nn.Sequential(*(ResBlock(widths[-1]) for _ in range(blocks)))
        self.up = nn.ModuleList(
            nn.Sequential(UpConv(wider, c), *(ResBlock(c) for _ in range(blocks))) for c, wider in reversed(scales)
        )
        self.tail = conv3x3(widths[0], colours)
        for module in self.modules():
            if isinstance(module, ResBlock):  # residual branches start small: the untrained net is close to linear
                nn.init.kaiming_normal_(module.conv1.weight, nonlinearity="relu")
                nn.init.normal_(module.conv2.weight, std=1e-3)

    def rectified(self):
        """See ``training/recycle.py``."""
        return [(block.conv1, None, block.conv2) for block in self.modules() if isinstance(block, ResBlock)]

    def forward(self, x, sigma):
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        if sigma.ndim < 4:
            sigma = sigma.reshape(-1, 1, 1, 1)
        sigma = sigma.expand(len(x), 1, *x.shape[-2:])
        y = self.head(torch.cat([x, sigma], 1))
        skips = [y]
        for down in self.down:
            y = down(y)
            skips.append(y)
        y = self.body(y)
        for up in self.up:
            y = up(y + skips.pop())
        noise = self.tail(y + skips.pop())
        return x - noise.to(x.dtype)
