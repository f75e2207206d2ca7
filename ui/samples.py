"""The gallery: scikit-image's bundled pictures with camera-like noise, made when they are asked for."""

import io
import zipfile
import zlib

import numpy as np
from PIL import Image, ImageOps

from denoisers.images import encode
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


# To train on

LESSONS = ("astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry", "hubble_deep_field", "retina")
"""Names in skimage.data: enough to see a network learn, too few to make a good one."""
LEVEL = 25
"""Their noise, of 255."""
SIDE = 320
"""Their sides in pixels, at most."""


def lessons(noise: str | None = None, clean: bool = True) -> bytes:
    """A zip of pictures to train on, two halves of each, alone or with ``noise``: in the folders noisy and clean.

    "camera" is noise of a camera; "gaussian" white, for methods that need that of neighbours unrelated.
    """
    from skimage import data

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in LESSONS:
            picture = getattr(data, name)()
            top, middle = max(0, (picture.shape[0] - SIDE) // 2), picture.shape[1] // 2
            rows = picture[top : top + SIDE]
            halves = {"left": rows[:, max(0, middle - SIDE) : middle], "right": rows[:, middle : middle + SIDE]}
            for side, half in halves.items():
                if clean:
                    archive.writestr(f"clean/{name}_{side}.png", encode(half, "PNG"))
                if noise:
                    noisy = add_noise(half, noise, LEVEL / 255, zlib.crc32(f"{name} {side}".encode()))
                    archive.writestr(f"noisy/{name}_{side}.png", encode(noisy, "PNG"))
    return out.getvalue()


def lesson() -> bytes:
    """One noisy picture to train on, a PNG file."""
    return encode(add_noise(clean("Astronaut"), "gaussian", LEVEL / 255), "PNG")
