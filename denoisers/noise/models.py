"""Noise models: a clean picture in, a noisy one out. Levels are standard deviations in image units, [0, 1]."""

import numpy as np

from ..errors import ParameterError


def gaussian(image, level, rng):
    """White Gaussian noise of standard deviation ``level``."""
    return image + level * rng.standard_normal(image.shape, np.float32)


def poisson(image, level, rng):
    """Shot noise with standard deviation ``level`` at mid-grey (0.5): counts of mean image / gain, gain = 2 level^2."""
    gain = 2 * max(level, 1e-4) ** 2
    return (rng.poisson(np.clip(image, 0, 1) / gain) * gain).astype(np.float32)


def salt_and_pepper(image, level, rng):
    """A share ``level`` of the pixels becomes black or white, all channels together."""
    draw = rng.random(image.shape[:2])[..., None]
    return np.where(draw < level / 2, 0, np.where(draw < level, 1, image)).astype(np.float32)


def speckle(image, level, rng):
    """Multiplicative noise: image x (1 + level x N(0, 1))."""
    return image * (1 + level * rng.standard_normal(image.shape, np.float32))


def camera(image, level, rng):
    """Like the noise of a developed photo: signal-dependent, and spread over neighbours by demosaicking.

    Standard deviation about ``level`` at mid-grey, growing with brightness; fine grain mixed with its own blur,
    partly shared by the channels (lag-1 correlation about 0.5, between channels about 0.4).
    """
    from scipy.ndimage import gaussian_filter

    shared = rng.standard_normal((*image.shape[:2], 1), np.float32)
    grain = 0.8 * rng.standard_normal(image.shape, np.float32) + 0.6 * shared
    grain = gaussian_filter(grain, (0.7, 0.7, 0))
    grain /= grain.std() + 1e-12
    return image + level * np.sqrt(0.3 + 1.4 * np.clip(image, 0, 1)) * grain


MODELS = {m.__name__: m for m in (gaussian, poisson, salt_and_pepper, speckle, camera)}


def add_noise(image, model: str = "gaussian", level: float = 25 / 255, seed: int = 0) -> np.ndarray:
    """A noisy copy of a clean picture, H x W x C float32, clipped to [0, 1] as a file would be.

    ``model``: gaussian, poisson, salt_and_pepper, speckle or camera; the same seed gives the same noise.
    """
    from ..images import to_float

    if model not in MODELS:
        raise ParameterError(f"There is no noise model {model!r}; there is {', '.join(MODELS)}.")
    return np.clip(MODELS[model](to_float(image), level, np.random.default_rng(seed)), 0, 1)
