"""Noise models: a clean picture in, a noisy one out.

Each is a function (image H x W x C float32 in [0, 1], level, rng) -> float32 of the same shape, the same in training
and in the page. Nothing is clipped or rounded (Noise2Noise learns the mean, which clipping would move), except
by `jpeg`, which makes a file. Level 0 returns the picture.
"""

import numpy as np

from ..errors import ParameterError
from .camera import CameraNoise, through_jpeg
from .text import text, watermark


def gaussian(image, level, rng):
    """White Gaussian noise of standard deviation ``level``."""
    return image + np.float32(level) * rng.standard_normal(image.shape, np.float32)


def poisson(image, level, rng):
    """Shot noise of standard deviation ``level`` at mid grey: counts of mean chi x image, chi = 1 / (2 level^2)."""
    if level == 0:
        return image
    chi = 0.5 / level**2
    return (rng.poisson(np.maximum(image, 0) * chi) / chi).astype(np.float32)


def poisson_gaussian(image, level, rng):
    """Shot noise and white read noise, half of the variance each at mid grey; ``level`` is their deviation there."""
    return gaussian(poisson(image, level * 0.5**0.5, rng), level * 0.5**0.5, rng)


def speckle(image, level, rng):
    """Multiplicative noise: image x (1 + level x N(0, 1))."""
    return image * (1 + np.float32(level) * rng.standard_normal(image.shape, np.float32))


def salt_and_pepper(image, level, rng):
    """A share ``level`` of the pixels becomes black or white, all channels together."""
    draw = rng.random(image.shape[:2], np.float32)[..., None]
    return np.where(draw < level, np.where(draw < level / 2, np.float32(0), np.float32(1)), image)


def impulse(image, level, rng):
    """A share ``level`` of the pixels becomes a uniformly random colour: whole pixels, as in Noise2Noise."""
    return np.where(keep_mask(image.shape, level, rng), image, rng.random(image.shape, np.float32))


def bernoulli(image, level, rng):
    """A share ``level`` of the pixels is missing: zero, and known to be so from `keep_mask` with the same ``rng``."""
    return image * keep_mask(image.shape, level, rng)


def keep_mask(shape, level, rng):
    """H x W x 1 bool: False with probability ``level``. For the masked loss, draw it here and multiply by it."""
    return rng.random((*shape[:2], 1), np.float32) >= level


def jpeg(image, level, rng):
    """A JPEG file of quality 100 x (1 - level): blocks and ringing instead of grain."""
    return image if level == 0 else through_jpeg(image, max(1, round(100 * (1 - level))), rng)


def camera(image, level, rng):
    """Like the noise of a developed photo: signal-dependent, and spread over neighbours and channels.

    Standard deviation ``level`` at mid grey. `CameraNoise` has the parameters, `random_camera` draws them.
    """
    return CameraNoise().at(level, image.shape[2]).apply(image, rng)


MODELS = {
    model.__name__: model
    for model in (
        gaussian,
        camera,
        poisson,
        poisson_gaussian,
        speckle,
        salt_and_pepper,
        impulse,
        bernoulli,
        text,
        watermark,
        jpeg,
    )
}


SHARES = ("salt_and_pepper", "impulse", "bernoulli", "text", "watermark", "jpeg")
"""Models whose level is a share, of pixels or of quality; that of the others is a standard deviation."""


def add_noise(image, model: str = "gaussian", level: float = 25 / 255, seed: int = 0, clip: bool = True) -> np.ndarray:
    """A noisy copy of a clean picture, H x W x C float32, clipped to [0, 1] as a file would be unless told not to.

    ``model`` is a name in `MODELS`; ``level`` from 0 to 1 is a standard deviation or a share, as the model says.
    The same seed gives the same noise. A grey picture in three equal channels gets one noise, and so stays grey.
    """
    from ..images import distinct_channels, to_float

    if model not in MODELS:
        raise ParameterError(f"There is no noise model {model!r}; there is {', '.join(MODELS)}.")
    if not 0 <= level <= 1:
        raise ParameterError(f"The noise level is {level:g}; it must lie between 0 and 1.")
    image = to_float(image)
    noisy = MODELS[model](distinct_channels(image), level, np.random.default_rng(seed))
    noisy = np.clip(noisy, 0, 1) if clip else noisy
    return noisy if noisy.shape == image.shape else noisy.repeat(image.shape[-1], -1)
