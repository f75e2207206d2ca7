"""The picture and its pixels: one contract for every array that comes in or goes out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..errors import ImageError

MAX_PIXELS = 120_000_000
"""Largest picture read, in pixels."""

MAX_BYTES = 200_000_000
"""Largest file read, in bytes."""

OVERSHOOT = 4.0
"""How far past [0, 1] a float array may go (noise does); further means another scale, such as 0 to 255."""


BAND = 64
"""Rows converted at a time: they stay in the processor's cache, and a large picture needs no large temporary."""


@dataclass(eq=False)
class Picture:
    """A picture as read, with what its file said about it. `numpy.asarray(picture)` gives the pixels.

    Attributes
    ----------
    samples : uint8, uint16 or float32 array, H x W x C
        sRGB-encoded, upright, at the file's own precision; C is 1 (grey) or 3.
    pixels : float32 array, H x W x C
        The samples in [0, 1], made when first asked for: four times the memory of 8-bit samples.
    alpha : float32 array, H x W, or None
        Opacity in [0, 1], not premultiplied.
    bits : int
        Bits per sample of the file: 8, 16, or 32 for floating point.
    format : str
        "PNG", "JPEG", "TIFF", "WEBP" or "BMP".
    exif : bytes or None
        EXIF as a JPEG carries it, its orientation reset to 1 because the pixels are already upright.
    icc : bytes or None
        The file's own colour profile, for the record: the pixels are sRGB.
    notes : list of str
        What was done on the way in, in sentences for the user.
    """

    samples: np.ndarray
    alpha: np.ndarray | None = None
    bits: int = 8
    format: str = "PNG"
    exif: bytes | None = None
    icc: bytes | None = None
    notes: list[str] = field(default_factory=list)

    @cached_property
    def pixels(self) -> np.ndarray:
        """H x W x C float32 in [0, 1]."""
        return to_float(self.samples)

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.samples.shape[0]

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.samples.shape[1]

    def part(self, crop: dict | None) -> Picture:
        """A part of it, ``top``, ``left``, ``height``, ``width``, with all that the file said; itself for None."""
        if crop is None:
            return self
        alpha = None if self.alpha is None else self.alpha[window(crop)]
        return replace(self, samples=self.samples[window(crop)], alpha=alpha)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self.pixels, dtype=dtype, copy=copy)


def unit(array: np.ndarray, top: float) -> np.ndarray:
    """Integers in 0..`top` as float32 in [0, 1], with one new array."""
    out = array.astype(np.float32, order="C")
    out /= np.float32(top)
    return out


def to_float(array) -> np.ndarray:
    """An array or Picture as the library's pixels.

    Parameters
    ----------
    array : array_like or Picture, H x W or H x W x C
        C is 1 or 3. Float in [0, 1], uint8, uint16 or bool. Float may run a little past [0, 1], as noisy
        pixels do, and is not clipped.

    Returns
    -------
    float32 array, H x W x C
        Shares memory with `array` where that is already float32.

    Raises
    ------
    ImageError
        Empty, another shape or type, not finite, or float on another scale.
    """
    try:
        array = np.asarray(array)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ImageError(f"A {type(array).__name__} that cannot be read as an array of numbers: {error}") from error
    if array.ndim == 0:
        raise ImageError("That is no array of pixels. `denoisers.images.read` opens a file.")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # FITS, for one, has the other order
    shape = " x ".join(map(str, array.shape))
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3):
        raise ImageError(
            f"The array is {shape}; an image is H x W or H x W x C with C 1 or 3. "
            "Keep alpha beside the image, and put channels last."
        )
    if not array.size:
        raise ImageError(f"The array is {shape}: it holds no pixels.")
    if array.dtype == bool:
        return array.astype(np.float32)
    if array.dtype in (np.uint8, np.uint16):
        return unit(array, np.iinfo(array.dtype).max)
    if array.dtype.kind != "f":
        raise ImageError(f"The array holds {array.dtype}; give float in [0, 1], uint8 or uint16.")
    # min and max carry NaN and infinity, so two passes check everything without a temporary.
    low, high = float(array.min()), float(array.max())
    if not np.isfinite((low, high)).all():
        bad = array.size - np.count_nonzero(np.isfinite(array))
        raise ImageError(f"{bad} of the array's {array.size} values are not finite numbers. Replace them first.")
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise ImageError(f"The array runs from {low:g} to {high:g}; float images are in [0, 1]. Scale it first.")
    return array.astype(np.float32, copy=False)


def is_grey(pixels) -> bool:
    """Whether a picture, H x W x C, is grey: one channel, or three that are equal. Its noise is then one noise too."""
    few = pixels[:: max(1, pixels.shape[0] // 50), :: max(1, pixels.shape[1] // 50)]  # nearly always tell
    return all(bool((some == some[..., :1]).all()) for some in (few, pixels))


def distinct_channels(pixels):
    """A picture, H x W x C, in one channel if it is grey, whatever it is stored as; else as it is."""
    return pixels[..., :1] if is_grey(pixels) else pixels


def window(crop: dict | None) -> tuple[slice, slice]:
    """The slices of a part of a picture, ``top``, ``left``, ``height``, ``width``; of all of it for None."""
    if crop is None:
        return np.s_[:, :]
    return np.s_[crop["top"] : crop["top"] + crop["height"], crop["left"] : crop["left"] + crop["width"]]


def quantise(array: np.ndarray, bits: int) -> np.ndarray:
    """Float in [0, 1], or integers at full scale, to 8 or 16 bits: clipped, half to even. Values must be finite."""
    top, dtype = (255, np.uint8) if bits == 8 else (65535, np.uint16)
    if array.dtype == dtype:
        return array
    if array.dtype.kind == "u":
        array = unit(array, np.iinfo(array.dtype).max)
    out = np.empty(array.shape, dtype)
    for row in range(0, len(array), BAND):
        band = np.clip(array[row : row + BAND], 0, 1, dtype=np.float32)
        band *= np.float32(top)
        out[row : row + BAND] = np.rint(band, out=band)
    return out


def as_uint8(pixels: np.ndarray) -> np.ndarray:
    """Pixels as uint8 of the same shape: clipped to [0, 1], then rounded half to even.

    Parameters
    ----------
    pixels : float array in [0, 1], or uint8 or uint16 array
        Finite; uint8 comes back as it is.
    """
    return quantise(np.asarray(pixels), 8)
