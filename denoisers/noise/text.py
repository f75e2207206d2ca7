"""Text and watermarks over a picture, as corruptions that Noise2Noise learns to remove (section 3.2, with L1)."""

import string
from functools import cache

import numpy as np

CHARACTERS = np.array(list(string.ascii_letters + string.digits))
STRINGS = 1000  # as many different ones; rendered once, since that takes longer than everything else


def text(image, level, rng):
    """Random strings in random colours and places until a share ``level`` of the pixels is touched.

    H x W x C in and out; 10 to 24 characters of 16 to 20 pixels, opaque, partly outside the picture at its edges.
    """
    return _overlay(image, level, rng, lambda: (_draw(rng), rng.random(image.shape[2], np.float32), 1.0))


def watermark(image, level, rng):
    """One translucent string, white or grey, repeated in random places until a share ``level`` is touched."""
    mark = _draw(rng), np.full(image.shape[2], rng.uniform(0.5, 1), np.float32), rng.uniform(0.3, 0.7)
    return _overlay(image, level, rng, lambda: mark)


def _overlay(image, level, rng, draw):
    """``draw`` gives the next string (coverage h x w in [0, 1]), its colour (C) and opacity."""
    out, touched, count = np.array(image, np.float32), np.zeros(image.shape[:2], bool), 0
    height, width = touched.shape
    while count < level * touched.size:
        glyphs, colour, opacity = draw()
        h, w = glyphs.shape
        top, left = rng.integers(1 - h, height), rng.integers(1 - w, width)
        seen = slice(max(top, 0), top + h), slice(max(left, 0), left + w)
        alpha = glyphs[max(-top, 0) : height - top, max(-left, 0) : width - left]
        count += np.count_nonzero((alpha > 0) & ~touched[seen])
        touched[seen] |= alpha > 0
        out[seen] += opacity * alpha[..., None] * (colour - out[seen])
    return out


def _draw(rng):
    return _rendered(int(rng.integers(STRINGS)))


@cache
def _rendered(number):
    """The string of this number as coverage of pixels, h x w float32 in [0, 1]."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(number)
    size, length = int(rng.integers(16, 21)), int(rng.integers(10, 25))
    canvas = Image.new("L", (size * length, 2 * size))
    characters = "".join(CHARACTERS[rng.integers(0, len(CHARACTERS), length)])
    ImageDraw.Draw(canvas).text((0, 0), characters, 255, _font(size))
    return np.asarray(canvas.crop(canvas.getbbox()), np.float32) / 255


@cache
def _font(size):
    """The face that comes with Pillow, so that a seed gives the same text on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
