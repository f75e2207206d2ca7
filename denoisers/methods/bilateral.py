"""Bilateral filter: a mean over neighbours that are near in place and in colour.

Tomasi, Manduchi, ICCV 1998. The loop runs over the window's offsets with whole-picture arrays, so that
colour is compared as one vector and grey and RGB share the code.
"""

import numpy as np

from ..engine.tiles import tiled
from ..spec import SIGMA, STRENGTH, DenoiserSpec, Param

SPEC = DenoiserSpec(
    name="bilateral",
    title="Bilateral filter",
    family="classical",
    year=1998,
    good_for="Light noise and skin; the filter known from photo editors.",
    trained_for="Not trained. Assumes weak white noise.",
    citation="C. Tomasi, R. Manduchi. Bilateral filtering for gray and color images. ICCV 1998.",
    cost=3,
    params=(
        SIGMA,
        STRENGTH,
        Param(
            name="radius",
            title="Reach",
            unit="px",
            default=2.0,
            min=0.5,
            max=6.0,
            step=0.25,
            advanced=True,
            help="Standard deviation of the spatial Gaussian.",
        ),
    ),
)


def denoise(image, *, sigma, strength, radius, run):
    level = sigma * strength
    if level <= 0:
        return image
    reach = int(np.ceil(2 * radius))
    colour = 3 * level  # two noisy copies of one grey value differ by 1.4 sigma; twice that still counts as alike

    def restore(tile, run):
        height, width, _ = tile.shape
        padded = np.pad(tile, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
        total, weights = np.zeros_like(tile), np.zeros((height, width, 1), np.float32)
        for dy in range(-reach, reach + 1):
            run.step((dy + reach) / (2 * reach + 1))
            for dx in range(-reach, reach + 1):
                other = padded[reach + dy : reach + dy + height, reach + dx : reach + dx + width]
                distance = np.square(other - tile).sum(-1, keepdims=True) / colour**2
                weight = np.exp(-0.5 * (distance + (dy * dy + dx * dx) / radius**2)).astype(np.float32)
                total += weight * other
                weights += weight
        return total / weights

    return tiled(image, restore, run, tile=256, margin=reach)
