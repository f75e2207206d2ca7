"""SIREN, a picture as a function: a network of sines from a pixel's place to its colour.

Sitzmann, Martel, Bergman, Lindell, Wetzstein, "Implicit Neural Representations with Periodic Activation Functions",
NeurIPS 2020, sections 3 and 3.2.
"""

import torch
from torch import nn
from torch.nn import functional as F


class Siren(nn.Module):
    """A first layer sin(omega_first (W x + b)), ``depth`` hidden layers sin(omega_hidden (W x + b)), a linear last one.

    ``forward(x)``: N x 2 places in [-1, 1] to N x ``colours`` values. 198,401 parameters in grey with the defaults.

    Args: colours out, channels between, hidden layers, the two frequencies, the generator that draws the weights: of
    the first layer from U(-1/2, 1/2), of the others from U(+-sqrt(6 / width) / omega_hidden), so that every layer's
    phases are as widely spread as the one's before it.
    """

    def __init__(
        self,
        colours: int,
        width: int = 256,
        depth: int = 3,
        omega_first: float = 30.0,
        omega_hidden: float = 30.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.omegas = [omega_first] + depth * [omega_hidden]
        sizes = [2] + (depth + 1) * [width] + [colours]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(sizes, sizes[1:], strict=False))
        for i, layer in enumerate(self.layers):
            fan_in = layer.in_features
            nn.init.uniform_(layer.bias, -(fan_in**-0.5), fan_in**-0.5, generator=generator)
            bound = (6 / fan_in) ** 0.5 / omega_hidden if i else 1 / fan_in
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)

    def forward(self, x):
        *sines, last = self.layers
        for layer, omega in zip(sines, self.omegas, strict=True):
            x = torch.sin(F.linear(x, omega * layer.weight, omega * layer.bias))  # omega on the smaller side
        return last(x)
