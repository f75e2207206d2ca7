"""What noise looks like in numbers: strength against brightness, correlation in space and between channels.

Noise is a residual, noisy minus clean, of shape ... x H x W x C: one picture, or a stack of patches.
"""

from dataclasses import dataclass

import numpy as np

LAGS = (1, 2, 4)


@dataclass(frozen=True)
class Statistics:
    """What `describe` measured: levels in image units, [0, 1], correlations in [-1, 1]."""

    sigma: float
    """Standard deviation over all pixels and channels."""
    brightness: np.ndarray
    """Mean clean value of each brightness class, ascending."""
    curve: np.ndarray
    """Standard deviation in each class, classes x C."""
    across: np.ndarray
    """Correlation at horizontal distances `LAGS`, mean over the channels: 0 for white noise."""
    down: np.ndarray
    """The same at vertical distances."""
    channels: np.ndarray
    """Correlation between the channels, C x C."""
    kurtosis: float
    """Fourth moment over squared variance: 3 for a Gaussian, more where the strength varies."""


def describe(noise, clean, classes: int = 12) -> Statistics:
    """All statistics of a residual; ``clean``, of the same shape, sorts its pixels by brightness."""
    noise = np.asarray(noise, np.float32)
    centred = noise - noise.mean((-3, -2), keepdims=True)
    return Statistics(
        float(noise.std()),
        *std_by_brightness(noise, clean, classes),
        np.array([lag(centred, 0, d).mean() for d in LAGS]),
        np.array([lag(centred, d, 0).mean() for d in LAGS]),
        between_channels(centred),
        float(np.mean(centred**4) / max(np.mean(centred**2) ** 2, 1e-24)),
    )


def std_by_brightness(noise, clean, classes: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """(mean clean value, standard deviation per channel) in classes of equal population by mean brightness."""
    channels = noise.shape[-1]
    grey = np.asarray(clean, np.float32).mean(-1).ravel()
    members = np.array_split(np.argsort(grey), classes)
    noise = noise.reshape(-1, channels)
    return np.array([grey[m].mean() for m in members]), np.array([noise[m].std(0) for m in members])


def lag(noise, dy: int, dx: int) -> np.ndarray:
    """Correlation of zero-mean noise with itself ``dy`` rows and ``dx`` columns away, one value a channel."""
    h, w = noise.shape[-3:-1]
    channels = np.moveaxis(noise, -1, 0)
    product = channels[..., dy:, dx:] * channels[..., : h - dy, : w - dx]
    axes = tuple(range(1, noise.ndim))
    return product.mean(axes) / np.maximum(np.square(channels).mean(axes), 1e-12)


def between_channels(noise) -> np.ndarray:
    """Correlation matrix of the channels of zero-mean noise, C x C."""
    flat = noise.reshape(-1, noise.shape[-1])
    covariance = flat.T @ flat / len(flat)
    sigma = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    return covariance / np.outer(sigma, sigma)


def luma_chroma(noise) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the channels, ... x H x W x 1, and what each channel adds to it, ... x H x W x C."""
    luma = noise.mean(-1, keepdims=True)
    return luma, noise - luma


def spectrum(noise, rings: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """(frequency in cycles a pixel up to 0.5, mean power in its ring) of H x W x C noise; flat for white noise.

    Power is normalised so that its mean over all frequencies is the variance of the noise.
    """
    from scipy.fft import fft2

    h, w = noise.shape[:2]
    power = np.mean(np.abs(fft2(noise - noise.mean((0, 1)), axes=(0, 1))) ** 2, 2) / (h * w)
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w))
    ring = np.minimum((2 * rings * radius).astype(int), rings).ravel()  # the corners beyond 0.5 are left out
    count = np.bincount(ring, minlength=rings + 1)[:rings]
    total = np.bincount(ring, power.ravel(), rings + 1)[:rings]
    return (np.arange(rings) + 0.5) / (2 * rings), total / np.maximum(count, 1)


def histogram(noise) -> tuple[np.ndarray, np.ndarray]:
    """(values -1 to 1 in steps of 1/255, share of the noise nearest to each)."""
    steps = np.arange(-255, 256)
    counts = np.bincount((np.rint(255 * np.clip(noise, -1, 1)).astype(int) + 255).ravel(), minlength=len(steps))
    return steps / 255, counts / np.size(noise)


def histogram_distance(generated, real) -> float:
    """Half of the sum of the differences of the two histograms: 0 alike, 1 nothing in common."""
    return float(np.abs(histogram(generated)[1] - histogram(real)[1]).sum() / 2)


def akld(generated, real) -> float:
    """Average Kullback-Leibler divergence of generated from real noise of one scene, both H x W x C; 0 is alike.

    Compares the local variances under a 7 x 7 Gaussian window (sigma 1.4), their ratio held in [0.1, 10]
    (Yue et al., "Dual adversarial network", ECCV 2020). Two draws of the same noise are apart, too:
    0.04 if white, 0.12 and more if correlated.
    """
    from scipy.ndimage import gaussian_filter

    local = [
        np.maximum(gaussian_filter(np.square(n), (1.4, 1.4, 0), radius=(3, 3, 0)), 1e-10) for n in (generated, real)
    ]
    ratio = np.clip(local[0] / local[1], 0.1, 10)
    return float(np.mean(ratio - 1 - np.log(ratio)) / 2)
