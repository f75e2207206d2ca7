"""Blind spots for self-supervised training: which pixels are hidden, and what stands in for them.

Krull, Buchholz, Jug, "Noise2Void", CVPR 2019, section 3 (stratified sampling); Batson, Royer, "Noise2Self", ICML
2019 (the donut); Xie, Wang, Ji, "Noise2Same", NeurIPS 2020 (the Gaussian fill and the box of 14).
"""

import torch
from torch.nn import functional as F


def stratified_mask(shape, generator: torch.Generator, box: int = 14) -> torch.Tensor:
    """J: one pixel at a random place of every ``box`` x ``box`` square, for each picture and channel anew.

    ``shape``: (N, C, H, W). Returns float32 of that shape on the generator's device, 1 on J. Squares that reach past
    the edge may lose their pixel there, so the share is 1 / box^2 everywhere: 0.51 % as published.
    """
    n, c, height, width = shape
    rows, columns = -(-height // box), -(-width // box)
    place = torch.randint(box**2, (n, c, rows, columns), generator=generator, device=generator.device)
    squares = F.one_hot(place, box**2).float().reshape(n, c, rows, columns, box, box)
    return squares.transpose(3, 4).reshape(n, c, rows * box, columns * box)[..., :height, :width]


def gaussian_fill(x, mask, generator: torch.Generator, std: float = 0.2) -> torch.Tensor:
    """x with J replaced by draws of N(0, std^2), in units of standardised pictures."""
    drawn = std * torch.randn(x.shape, generator=generator, device=x.device)
    return torch.where(mask > 0, drawn, x)


def donut_fill(x, mask) -> torch.Tensor:
    """x with J replaced by the mean of its eight neighbours, those across a corner counting half.

    Channel by channel. Reflected at the border, where the published code reads zeros; a reflection never shows the
    hidden pixel itself. H and W at least 2.
    """
    donut = torch.tensor([[0.5, 1.0, 0.5], [1.0, 0.0, 1.0], [0.5, 1.0, 0.5]], device=x.device) / 6
    channels = x.shape[1]
    around = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), donut.expand(channels, 1, 3, 3), groups=channels)
    return torch.where(mask > 0, around, x)
