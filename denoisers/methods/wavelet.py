"""Wavelet shrinkage: small wavelet coefficients are noise.

Soft thresholds chosen band by band, t = sigma^2 / sigma_signal (BayesShrink: Chang, Yu, Vetterli, IEEE TIP 2000),
in decorrelated colour, averaged over shifts of the picture (cycle spinning: Coifman, Donoho 1995), which
removes the ringing that a single decimated transform leaves.
"""

from itertools import product

import numpy as np

from ..images.colour import from_opponent, to_opponent
from ..spec import SIGMA, STRENGTH, DenoiserSpec, Param

SPEC = DenoiserSpec(
    name="wavelet",
    title="Wavelet shrinkage",
    family="classical",
    year=2000,
    good_for="Fine, even grain over the whole picture; very fast.",
    trained_for="Not trained. Assumes white Gaussian noise.",
    citation="S. G. Chang, B. Yu, M. Vetterli. Adaptive wavelet thresholding for image denoising. IEEE TIP 9, 2000.",
    cost=1,
    params=(
        SIGMA,
        STRENGTH,
        Param(
            name="wavelet",
            title="Wavelet",
            kind="choice",
            default="sym4",
            choices=("haar", "db2", "sym4", "bior4.4"),
            advanced=True,
            help="Shape of the wavelet; longer ones suit smoother pictures.",
        ),
        Param(
            name="shifts",
            title="Shifts",
            kind="int",
            default=4,
            min=1,
            max=16,
            step=1,
            advanced=True,
            help="Number of shifted transforms averaged.",
        ),
    ),
)


SHIFTS = sorted(product(range(4), repeat=2), key=lambda shift: (shift[1] - 3 * shift[0]) % 4)
"""Down and right, pixels: (0, 0), (1, 3), (2, 2), (3, 1), and the others."""


def shrink(channel, sigma, wavelet, poll):
    """One channel, H x W, shrunk band by band; ``poll`` is called before each level, down and up."""
    import pywt

    levels = min(5, pywt.dwtn_max_level(channel.shape, wavelet))
    if levels < 1:
        return channel
    coarse, details = channel, []
    for _ in range(levels):
        poll()
        coarse, bands = pywt.dwt2(coarse, wavelet, mode="symmetric")
        thresholds = [sigma**2 / np.sqrt(max(np.mean(b * b) - sigma**2, 1e-12)) for b in bands]
        details.append([pywt.threshold(b, t, "soft") for b, t in zip(bands, thresholds, strict=True)])
    while details:
        poll()
        bands = details.pop()
        height, width = bands[0].shape  # the one rebuilt so far may have a row or a column more
        coarse = pywt.idwt2((coarse[:height, :width], bands), wavelet, mode="symmetric")
    return coarse[: channel.shape[0], : channel.shape[1]]


def denoise(image, *, sigma, strength, wavelet, shifts, run):
    level = sigma * strength
    if level <= 0:
        return image
    planes = to_opponent(image)
    out = np.zeros_like(planes)
    for i, (dy, dx) in enumerate(SHIFTS[:shifts]):
        shifted = np.pad(planes, ((dy, 0), (dx, 0), (0, 0)), mode="symmetric")
        for c in range(planes.shape[-1]):
            done = (i + c / planes.shape[-1]) / shifts
            result = shrink(shifted[..., c], level, wavelet, lambda done=done: run.step(done))
            out[..., c] += result[dy:, dx:] / shifts
    run.step(1.0)
    return from_opponent(out)
