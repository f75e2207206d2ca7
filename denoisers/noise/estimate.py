"""How strong the noise in a picture is, from the picture alone.

White noise shows in the directions that the scene leaves empty, and Chen, Zhu and Heng read it there (`chen`).
Demosaicking, in-camera smoothing and JPEG correlate neighbouring pixels: the noise leaves those directions, the
estimate falls to a tenth. `camera` reads it further up in the same spectrum, and lets the calmest blocks of the
picture bound what may be called noise, because texture is local and noise is everywhere. The correlation of
neighbouring pixels inside the calm blocks tells which of the two a picture needs.

JPEG keeps colour at half the resolution, as a rule. White noise that it has been through is white in brightness alone,
and has left the fine colour empty, where Chen would read next to nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import ParameterError
from ..images import is_grey, to_float
from ..images.colour import OPPONENT
from ..images.picture import unit

PATCH, STRIDE = 8, 3  # Chen et al. 2015
MAX_PATCHES = 30_000  # per picture: bounds time and memory
MAX_BLOCKS = 4096
ROUNDING = 1e-12  # a flat block has at most this variance: float32 leaves some, more or less by the machine

# Correlation of neighbouring pixels in the calmest blocks. On the training photographs, grey and colour, white noise of
# 5/255 and more gives -0.1 to 0.1, developed raw 0.26 and more, JPEG from the camera 0.17 and more.
CORRELATED_ABOVE = 0.15
# Position in the spectrum of the patches that still belongs to camera noise, but not yet to the scene, in grey and in
# decorrelated colour; and how far the whole picture's noise may exceed that of its calm blocks, the geometric mean of
# the brightness classes: neither crushed shadows nor one class full of texture decide alone. All three leave the median
# training pair (18 of PolyU, 25 of RENOIR) without bias.
CAMERA_QUANTILE = {1: 0.63, 3: 0.71}
OVER_CALM = 2.0
# Where the noise is not correlated: Chen's reading over that of the calm blocks, below which JPEG must have emptied
# the fine colour. On training photographs with white noise it is 0.20 at most where JPEG halved the colour (levels 8
# to 40), else 0.5 at least (2 to 15). And how far the level in brightness may exceed that of the calm blocks: there it
# is texture.
EMPTY, OVER_CALM_IN_BRIGHTNESS = 0.25, 1.15


class Noise(NamedTuple):
    """What `describe_noise` found."""

    sigma: float
    """Standard deviation over all pixels and channels, image units [0, 1]."""
    method: str
    """`chen` for white noise, `camera` for any other, `differences` in tiny pictures."""
    lag1: float
    """Correlation of neighbouring pixels in calm blocks: about 0 if the noise is white, 0.2 to 0.6 from a camera."""


def estimate_sigma(image, method: str = "auto") -> float:
    """Standard deviation of the noise in an image.

    Parameters
    ----------
    image : array, H x W or H x W x C (C = 1 or 3)
        Float in [0, 1] (noise may exceed it), or uint8 or uint16.
    method : {"auto", "chen", "camera"}
        `chen` for white noise [1]_; `camera` for noise that is spatially correlated and depends on brightness;
        `auto` looks whether the noise is correlated, and where it is not takes the lower of what Chen's and the calm
        blocks read; of the brightness alone, if JPEG has emptied the fine colour. Pictures under about 24 pixels a
        side (36 in colour) use pixel differences.

    Returns
    -------
    float
        Image units: [0, 1] whatever the input type. 0 for a constant image.

    Raises
    ------
    ImageError
        What is given is no image, see `images.to_float`.
    ParameterError
        Unknown method.

    References
    ----------
    .. [1] G. Chen, F. Zhu, P. A. Heng, "An efficient statistical method for image noise level estimation",
       ICCV 2015, pp. 477-485, doi 10.1109/ICCV.2015.62.
    """
    return describe_noise(image, method).sigma


def describe_noise(image, method: str = "auto") -> Noise:
    """Estimate the noise and say how: see `estimate_sigma` for the parameters, `Noise` for the answer."""
    if method not in ("auto", "chen", "camera"):
        raise ParameterError(f"unknown noise estimator {method!r}: use 'auto', 'chen' or 'camera'")
    image = np.asarray(image)
    # Of a large picture only a sample is looked at: of 8 or 16 bits, no more than that is made float.
    if image.dtype not in (np.uint8, np.uint16) or image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        image = to_float(image)
    thin = max(1, min(image.shape[:2]) // 1000)
    sample = image[::thin, ::thin]
    if is_grey(sample):
        image = image[..., :1]  # in three channels its patches span a third of the space, and Chen reads 0
    if (sample == sample[0, 0]).all():
        return Noise(0.0, "differences", 0.0)
    h, w, channels = image.shape
    if min(h, w) < 3 * PATCH or (h - PATCH + 1) * (w - PATCH + 1) < 4 * channels * PATCH**2:
        return Noise(_from_differences(_float(image)), "differences", 0.0)

    covariance = _patch_covariance(image)
    levels, lag1 = _calm_blocks(image)
    calm = np.prod(levels, dtype=float) ** (1 / len(levels))
    if method == "auto" and lag1 < CORRELATED_ABOVE:
        # Texture can only add to what either reads, so the lower is nearer. Noise does not fall with brightness: where
        # a darker class varies more than a brighter one, that is texture too.
        white, falling = _chen(covariance), float(np.sqrt(np.minimum.accumulate(levels[::-1]).mean()))
        if channels == 1 or white > EMPTY * falling:
            return Noise(min(white, falling), "chen", lag1)
        brightness = _chen(_decorrelated(covariance)[0]) / 3**0.5  # shared out among three channels
        return Noise(min(brightness, OVER_CALM_IN_BRIGHTNESS * float(np.sqrt(calm))), "camera", lag1)
    if method == "chen":
        return Noise(_chen(covariance), "chen", lag1)
    return Noise(float(np.sqrt(min(_camera(covariance), OVER_CALM**2 * calm))), "camera", lag1)


def _float(samples: np.ndarray) -> np.ndarray:
    """In [0, 1]."""
    return samples if samples.dtype == np.float32 else unit(samples, np.iinfo(samples.dtype).max)


def _patch_covariance(image: np.ndarray) -> np.ndarray:
    """Covariance of the patches, flattened channel by channel: C x 64 squared."""
    h, w, channels = image.shape
    length = channels * PATCH**2
    # denser than published only where stride 3 would leave the covariance undetermined
    stride = STRIDE if (h - PATCH) * (w - PATCH) >= 4 * length * STRIDE**2 else 1
    rows, columns = np.arange(0, h - PATCH + 1, stride), np.arange(0, w - PATCH + 1, stride)
    thin = int(np.ceil(np.sqrt(len(rows) * len(columns) / MAX_PATCHES)))
    rows, columns = rows[::thin], columns[::thin]
    centre = _float(image[::8, ::8]).mean((0, 1)).repeat(PATCH**2)  # keeps the sums small enough for float32
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), (0, 1))
    total, product, step = np.zeros(length), np.zeros((length, length)), max(1, 20_000 // len(columns))
    for i in range(0, len(rows), step):
        patches = _float(windows[rows[i : i + step, None], columns[None]].reshape(-1, length)) - centre
        total += patches.sum(0, dtype=np.float64)
        product += patches.T @ patches
    n = len(rows) * len(columns)
    return product / n - np.outer(total, total) / n**2


def _chen(covariance: np.ndarray) -> float:
    """The largest low end of the spectrum whose mean is its median: the noise, seen outside the scene's subspace."""
    eigenvalues = np.maximum(np.linalg.eigvalsh(covariance), 1e-12)  # rounding leaves some a little below zero
    for n in range(len(eigenvalues) - 1, 1, -1):
        low = eigenvalues[:n]
        mean = low.mean()
        if np.sum(low > mean) == np.sum(low < mean):
            return float(np.sqrt(mean))
    return float(np.sqrt(eigenvalues[0]))


def _decorrelated(covariance: np.ndarray) -> np.ndarray:
    """Of the patches of each decorrelated channel by itself, brightness first: C x 64 x 64."""
    channels = len(covariance) // PATCH**2
    mix = OPPONENT if channels == 3 else np.eye(1)
    return np.einsum("ca,aibj,cb->cij", mix, covariance.reshape(channels, PATCH**2, channels, PATCH**2), mix)


def _camera(covariance: np.ndarray) -> float:
    """Variance at a set position in the spectrum, mean of the decorrelated channels."""
    spectra = np.linalg.eigvalsh(_decorrelated(covariance))
    return float(np.quantile(spectra, CAMERA_QUANTILE[len(spectra)], axis=1).mean())


def _calm_blocks(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Variance in calm blocks of four brightness classes, dark to bright, and the calmest class's `lag1`.

    A block is calm if the eight blocks around it vary little. Chosen by its own variance, it would be one where the
    noise happens to be weak, and read too low.
    """
    h, w, channels = image.shape
    size, side = PATCH, 3 * PATCH
    rows, columns = np.arange(0, h - side + 1, size), np.arange(0, w - side + 1, size)
    thin = int(np.ceil(np.sqrt(len(rows) * len(columns) / MAX_BLOCKS)))
    windows = np.lib.stride_tricks.sliding_window_view(image, (side, side), (0, 1))
    windows = windows[rows[::thin, None], columns[None, ::thin]].reshape(-1, channels, 3, size, 3, size)
    blocks = _float(windows.swapaxes(3, 4).reshape(-1, channels, 9, size**2))  # the fifth is the one in the middle
    middle = blocks[:, :, 4]
    brightness, clipped = middle.mean((1, 2)), np.mean((middle == 0) | (middle == 1), (1, 2)) > 0.1

    y, x = np.indices((size, size)).reshape(2, -1) - (size - 1) / 2
    plane = np.stack([np.ones(size**2), y, x], 1)  # shading, which is no noise
    plane = (plane / np.linalg.norm(plane, axis=0)).astype(np.float32)
    blocks = blocks - (blocks @ plane) @ plane.T
    variance = np.square(blocks).sum(3).mean(1) / (size**2 - 3)
    around = variance.sum(1) - variance[:, 4]

    witnesses = np.flatnonzero(~clipped & (variance[:, 4] > ROUNDING))  # clipping and painted borders hide the noise
    if not len(witnesses):
        witnesses = np.arange(len(variance))
    calm = []
    for members in np.array_split(witnesses[np.argsort(brightness[witnesses])], min(4, len(witnesses))):
        calm.append(members[np.argsort(around[members])[: max(4, len(members) // 50)]])
    levels = np.array([np.median(variance[members, 4]) for members in calm])

    rest = blocks[calm[np.argmin(levels)], :, 4].reshape(-1, channels, size, size)
    neighbours = (rest[..., 1:], rest[..., :-1]), (rest[:, :, 1:], rest[:, :, :-1])
    covariance = sum(np.mean(a * b, (1, 2, 3)) for a, b in neighbours) / 2
    lag1 = np.median(covariance / (np.mean(np.square(rest), (1, 2, 3)) + 1e-12))
    return levels, float(lag1)


def _from_differences(image: np.ndarray) -> float:
    """Robust spread of second differences along the longer side (first differences of a pair of pixels)."""
    axis = int(image.shape[1] > image.shape[0])
    order = min(2, image.shape[axis] - 1)
    if order == 0:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(image, order, axis))) / np.sqrt((1, 2, 6)[order]))
