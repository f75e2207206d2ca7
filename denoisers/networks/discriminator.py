"""The discriminator of SRGAN and ESRGAN, which InvDN's code offers (and its released configuration leaves off).

Ledig et al., "Photo-Realistic Single Image Super-Resolution", CVPR 2017, figure 4, in the form of Wang et al.,
"ESRGAN", ECCV Workshops 2018: 4x4 convolutions of stride 2, and two linear layers, without a sigmoid.
"""

from torch import nn


def step(channels_in: int, channels_out: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.LeakyReLU(0.2),
    ]


class Discriminator(nn.Module):
    """N x C x H x W in [0, 1] -> N x 1: how real each crop looks, a logit.

    Crops of 128 to 159 pixels, InvDN's 144 among them, arrive at the linear layers as the published 4 x 4; other
    sizes from 32 up are averaged or repeated to that.
    """

    def __init__(self, colours: int = 3, width: int = 64):
        super().__init__()
        layers = [nn.Conv2d(colours, width, 3, padding=1), nn.LeakyReLU(0.2), *step(width, width, 4, 2)]
        for narrow, wide in ((1, 2), (2, 4), (4, 8), (8, 8)):
            layers += [*step(width * narrow, width * wide, 3, 1), *step(width * wide, width * wide, 4, 2)]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4))
        self.judge = nn.Sequential(
            nn.Flatten(), nn.Linear(width * 8 * 4 * 4, 100), nn.LeakyReLU(0.2), nn.Linear(100, 1)
        )

    def forward(self, x):
        return self.judge(self.features(x))
