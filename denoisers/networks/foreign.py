"""Networks that spandrel brings, with the manners that the engine expects of ours."""

import torch
from torch import nn


class Foreign(nn.Module):
    """A spandrel ``ImageModelDescriptor`` as one of our architectures.

    ``forward(x)`` or, where the network takes a map of the noise level beside the picture (DRUNet, FDnCNN),
    ``forward(x, sigma)``: N x C x H x W in [0, 1] to the same.
    """

    def __init__(self, descriptor):
        super().__init__()
        self.title = descriptor.architecture.name
        self.model, self.descriptor = descriptor.model, descriptor
        self.colours, self.multiple = descriptor.input_channels, descriptor.size_requirements.multiple_of
        self.takes_sigma = self.title == "DRUNet" or "FDnCNN" in descriptor.tags

    def forward(self, x, sigma=None):
        if not self.takes_sigma:
            return self.descriptor(x)  # pads where the network has a least size
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1, 1, 1)
        return self.model(torch.cat([x, level.expand(len(x), 1, *x.shape[-2:])], 1))
