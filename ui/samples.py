"""The gallery: scikit-image's bundled pictures with camera-like noise, made when they are asked for."""

import io

import numpy as np
from PIL import Image, ImageOps

from denoisers.noise import add_noise

SAMPLES = {  # title -> (name in skimage.data, noise level of 255)
    "Cat": ("chelsea", 14),
    "Coffee": ("coffee", 20),
    "Astronaut": ("astronaut", 25),
    "Cameraman": ("camera", 20),
}


def clean(title: str) -> np.ndarray:
    """H x W x C uint8."""
    from skimage import data

    return getattr(data, SAMPLES[title][0])()


def thumbnail(title: str, side: int = 240) -> np.ndarray:
    picture = ImageOps.fit(Image.fromarray(clean(title)), (2 * side, side * 4 // 3), centering=(0.5, 0.3))
    noisy = add_noise(np.asarray(picture), "camera", 1.3 * SAMPLES[title][1] / 255)
    return np.round(255 * noisy).astype(np.uint8)


def png(title: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(clean(title)).save(out, "PNG", compress_level=1)
    return out.getvalue()
