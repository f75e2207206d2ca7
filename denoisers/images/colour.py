"""Decorrelated colour: the orthonormal opponent transform of CBM3D (Dabov et al., ICIP 2007)."""

import numpy as np

OPPONENT = np.array(
    [[1 / 3**0.5, 1 / 3**0.5, 1 / 3**0.5], [1 / 2**0.5, 0, -1 / 2**0.5], [1 / 6**0.5, -2 / 6**0.5, 1 / 6**0.5]],
    np.float32,
)
"""Rows: brightness, red-blue, green-magenta. Orthonormal, so white noise keeps its level in every channel."""


def to_opponent(image):
    """H x W x C -> the same; grey passes through."""
    return image if image.shape[-1] == 1 else image @ OPPONENT.T


def from_opponent(image):
    """Inverse of ``to_opponent``."""
    return image if image.shape[-1] == 1 else image @ OPPONENT
