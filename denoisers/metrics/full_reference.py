"""Scores against a clean reference. Both arguments: H x W or H x W x C, float in [0, 1], uint8 or uint16."""

import numpy as np

from ..errors import ImageError
from ..images import to_float

PROTOCOL = (
    "PSNR: data range 1, mean squared error over all pixels and channels, no border cut, picture clipped to [0, 1]. "
    "SSIM: Wang et al. 2004, Gaussian window of sigma 1.5 (11 x 11), K1 0.01, K2 0.03, mean over channels, "
    "borders of 5 pixels left out."
)


def _pair(image, reference):
    image, reference = to_float(image), to_float(reference)
    if image.shape != reference.shape:
        raise ImageError(
            f"The picture is {_size(image)}, the reference {_size(reference)}: only equal sizes can be compared."
        )
    return np.clip(image, 0, 1), reference


def _size(image):
    return f"{image.shape[1]} x {image.shape[0]} with {image.shape[2]} channel{'s' * (image.shape[2] > 1)}"


def psnr(image, reference) -> float:
    """Peak signal-to-noise ratio, decibels; infinite for equal pictures. Protocol: ``PROTOCOL``."""
    image, reference = _pair(image, reference)
    # row by row in float64: exact, and without a second copy of a large picture
    total = sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b in zip(image, reference, strict=True))
    return float("inf") if total == 0 else float(-10 * np.log10(total / image.size))


def ssim(image, reference) -> float:
    """Structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004), 1 for equal pictures. Protocol: ``PROTOCOL``.

    Pictures narrower than the 11-pixel window are compared with the largest odd window that fits.
    """
    from scipy.ndimage import gaussian_filter

    image, reference = _pair(image, reference)
    radius = min(5, (min(image.shape[:2]) - 1) // 2)
    c1, c2 = 0.01**2, 0.03**2
    scores = []
    for k in range(image.shape[2]):
        x, y = image[..., k], reference[..., k]

        def mean(v):
            return gaussian_filter(v, 1.5, radius=radius) if radius else v

        mx, my = mean(x), mean(y)
        vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
        score = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
        inner = score[radius : score.shape[0] - radius, radius : score.shape[1] - radius]
        scores.append(inner.mean(dtype=np.float64))
    return float(np.mean(scores))
