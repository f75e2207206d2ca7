"""Noise2Same: a residual U-Net that learned from single noisy pictures, one of each scene."""

import numpy as np

from ..spec import DenoiserSpec
from .blend import BLEND, blend
from .self_ensemble import SELF_ENSEMBLE, restore

SPEC = DenoiserSpec(
    name="noise2same",
    title="Noise2Same",
    family="self-supervised",
    year=2020,
    good_for="Even, white noise: shows how far a network gets that has seen every scene only once, and noisy.",
    trained_for="White Gaussian noise. Assumes that the noise of neighbouring pixels is unrelated.",
    citation="Y. Xie, Z. Wang, S. Ji. Noise2Same: Optimizing a self-supervised bound for image denoising. "
    "NeurIPS 2020.",
    needs_weights=True,
    weights_licence="stated with each file",
    cost=3,
    params=(BLEND, SELF_ENSEMBLE),
)


def standardise(image):
    """(image - mean) / std with mean and standard deviation of each channel, and these two; H x W x C.

    The network is trained on whole pictures standardised so, then cropped: the statistics are never a tile's.
    """
    mean, std = moments(image)
    standardised = image - mean
    standardised /= std
    return standardised, mean, std


def moments(image):
    """Mean and standard deviation of each channel; 1 for the deviation of a constant one.

    One channel after the other: summed side by side in float32, 24 megapixels come out 3 % wrong, and slower.
    """
    channels = np.moveaxis(image, -1, 0)
    mean, std = np.array([c.mean() for c in channels]), np.array([c.std() for c in channels])
    return mean, np.where(std > 0, std, 1).astype(np.float32)


def denoise(image, *, strength, self_ensemble, run, network, device):
    standardised, mean, std = standardise(image)
    restored = restore(network, standardised, run, device=device, self_ensemble=self_ensemble) * std + mean
    restored = np.where((image == image[0, 0]).all((0, 1)), image, restored)  # a constant channel has no scale
    return blend(image, restored, strength)
