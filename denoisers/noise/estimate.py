"""How strong the noise in a picture is, from the picture alone.

Two estimators, and a test that chooses between them. `chen` is right to a few percent on white noise but reads
too little of the noise of a camera file, because demosaicking, in-camera smoothing and JPEG correlate neighbouring
pixels and empty the small eigenvalues it relies on. `camera` reads where correlated noise still shows. Neither can
tell fine texture from noise: a clean photograph reads as `camera` noise, textured grey at 5/255 reads too high.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from denoisers.errors import ImageError, ParameterError

PATCH, STRIDE = 8, 3  # Chen et al. 2015
MAX_PATCHES = 60_000  # per picture: bounds time and memory
MAX_BLOCKS = 4096
BINS = 16  # brightness classes of equal population

# Ratio of the middle to the lower-eighth eigenvalue of the patch covariance. In colour, white noise of 5/255 and more
# gives 1.1 to 1.9 (CBSD68), camera noise 5.8 to 27 (58 PolyU and RENOIR pictures): the geometric middle of the gap.
# In grey the two overlap (camera noise 1.8 to 11), and `auto` leans to white.
CORRELATED_ABOVE = 3.3
# Position in the spectrum that still belongs to noise when it is correlated, but not yet to the scene.
CAMERA_QUANTILE = 0.7
# Both camera measures miss what the noise holds below the block's frequencies and on edges. The factor that the
# training pairs ask for is 1.32 (PolyU: JPEG from the camera) and 1.06 (RENOIR: developed raw); geometric mean.
CAMERA_GAIN = 1.18


class Noise(NamedTuple):
    """What `describe_noise` found."""

    sigma: float
    """Standard deviation over all pixels and channels, image units [0, 1]."""
    method: str
    """`chen`, `camera`, or `differences` (pictures too small for either)."""
    lag1: float
    """Correlation of the noise of neighbouring pixels in flat blocks: about 0 if white, 0.4 to 0.7 from a camera."""
    spread: float
    """Middle over lower-eighth eigenvalue of the patch covariance: under 2 if white, over 3.3 from a camera."""


def estimate_sigma(image, method: str = "auto") -> float:
    """Standard deviation of the noise in an image.

    Parameters
    ----------
    image : array, H x W or H x W x C (C = 1 or 3)
        Float in [0, 1] (noise may exceed it), or uint8 or uint16.
    method : {"auto", "chen", "camera"}
        `chen` for white noise [1]_; `camera` for noise that is spatially correlated and depends on brightness;
        `auto` looks whether the noise is correlated. Pictures under about 25 pixels a side use pixel differences.

    Returns
    -------
    float
        Image units: [0, 1] whatever the input type. 0 for a constant image.

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
    image = _as_float(image)
    if image.size == 0 or (image == image[0, 0]).all():
        return Noise(0.0, "differences", 0.0, 1.0)
    eigenvalues = _patch_eigenvalues(image)
    if eigenvalues is None:
        return Noise(_from_differences(image), "differences", 0.0, 1.0)
    count = len(eigenvalues)
    spread = float(eigenvalues[count // 2] / eigenvalues[count // 8])
    flat, lag1 = _flat_blocks(image)
    if method == "auto":
        method = "camera" if spread > CORRELATED_ABOVE else "chen"
    if method == "chen":
        sigma = _chen(eigenvalues)
    else:
        # One is fooled by texture, the other by uneven noise; their geometric mean by neither as much.
        sigma = CAMERA_GAIN * np.sqrt(flat * np.sqrt(eigenvalues[int(CAMERA_QUANTILE * count) - 1]))
    return Noise(float(sigma), method, lag1, spread)


def _as_float(image) -> np.ndarray:
    """H x W x C float32 with every pixel finite."""
    image = np.asarray(image)
    if image.ndim not in (2, 3):
        raise ImageError(f"an image has 2 or 3 dimensions, this array has {image.ndim}")
    if image.dtype.kind in "ui":
        image = image / np.float32(np.iinfo(image.dtype).max)
    image = image.astype(np.float32, copy=False).reshape(*image.shape[:2], -1)
    finite = np.isfinite(image)
    if not finite.all():
        image = np.where(finite, image, image[finite].mean() if finite.any() else np.float32(0))
    if image.shape[2] > 1 and (image == image[..., :1]).all():
        image = image[..., :1]  # grey stored as colour: its patches span a third of the space, and Chen reads 0
    return image


def _patch_eigenvalues(image: np.ndarray) -> np.ndarray | None:
    """Eigenvalues, ascending, of the covariance of all patches; None where the patches are too few to have one."""
    h, w, channels = image.shape
    length = channels * PATCH**2
    for stride in (STRIDE, 1):  # denser than published only where stride 3 would leave the covariance undetermined
        rows, columns = np.arange(0, h - PATCH + 1, stride), np.arange(0, w - PATCH + 1, stride)
        if len(rows) * len(columns) >= 4 * length:
            break
    else:
        return None
    thin = int(np.ceil(np.sqrt(len(rows) * len(columns) / MAX_PATCHES)))
    rows, columns = rows[::thin], columns[::thin]
    centre = image[::8, ::8].mean((0, 1)).repeat(PATCH**2)  # keeps the sums small enough for float32
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), (0, 1))
    total, product, step = np.zeros(length), np.zeros((length, length)), max(1, 20_000 // len(columns))
    for i in range(0, len(rows), step):
        patches = windows[rows[i : i + step, None], columns[None]].reshape(-1, length) - centre
        total += patches.sum(0, dtype=np.float64)
        product += patches.T @ patches
    n = len(rows) * len(columns)
    eigenvalues = np.linalg.eigvalsh(product / n - np.outer(total, total) / n**2)
    return np.maximum(eigenvalues, 1e-12)  # rounding leaves some a little below zero


def _chen(eigenvalues: np.ndarray) -> float:
    """The largest low end of the spectrum whose mean is its median: the noise, seen outside the scene's subspace."""
    for n in range(len(eigenvalues) - 1, 1, -1):
        low = eigenvalues[:n]
        mean = low.mean()
        if np.sum(low > mean) == np.sum(low < mean):
            return float(np.sqrt(mean))
    return float(np.sqrt(eigenvalues[0]))


def _flat_blocks(image: np.ndarray) -> tuple[float, float]:
    """Noise level over the smoothest blocks of every brightness, and the correlation of neighbours in them."""
    h, w, channels = image.shape
    size = next((s for s in (32, 16) if (h // s) * (w // s) >= 4 * BINS), 8)
    rows, columns = np.arange(0, h - size + 1, size // 2), np.arange(0, w - size + 1, size // 2)
    thin = int(np.ceil(np.sqrt(len(rows) * len(columns) / MAX_BLOCKS)))
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size), (0, 1))
    blocks = windows[rows[::thin, None], columns[None, ::thin]].reshape(-1, size, size)
    means = blocks.mean((1, 2))
    blocks -= means[:, None, None]
    ramp = np.arange(size, dtype=np.float32) - (size - 1) / 2
    ramp /= np.sqrt(np.sum(ramp**2) * size)
    across, down = blocks.sum(1) @ ramp, blocks.sum(2) @ ramp  # shading is a plane, and no noise
    energy = np.einsum("nij,nij->n", blocks, blocks) - across**2 - down**2
    variance = np.maximum(energy.reshape(-1, channels).mean(1) / (size**2 - 3), 0)

    chosen, levels = [], []
    for members in np.array_split(np.argsort(means.reshape(-1, channels).mean(1)), BINS):
        smooth = members[np.argsort(variance[members])[: max(3, len(members) // 50)]]
        if len(smooth):
            chosen.append(smooth)
            levels.append(np.median(variance[smooth]))

    pick = (np.concatenate(chosen)[:, None] * channels + np.arange(channels)).ravel()
    rest = blocks[pick] - ramp * across[pick, None, None] - ramp[:, None] * down[pick, None, None]
    neighbours = (np.mean(rest[:, :, 1:] * rest[:, :, :-1]) + np.mean(rest[:, 1:] * rest[:, :-1])) / 2
    return float(np.sqrt(np.mean(levels))), float(neighbours / max(np.mean(rest**2), 1e-12))


def _from_differences(image: np.ndarray) -> float:
    """Robust spread of second differences along the longer side (first differences of a pair of pixels)."""
    axis = int(image.shape[1] > image.shape[0])
    order = min(2, image.shape[axis] - 1)
    if order == 0:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(image, order, axis))) / np.sqrt((1, 2, 6)[order]))
