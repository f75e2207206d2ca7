"""Sliding 8 x 8 DCT, empirical Wiener filter with two pilots.

The two stages of BM3D (Dabov, Foi, Katkovnik, Egiazarian, IEEE TIP 2007, sections III and IV) with single blocks in
place of block groups. First, coefficients under 2.7 sigma are dropped. Then each coefficient of the noisy picture is
scaled by P^2 / (P^2 + sigma^2), where P is the same coefficient of a first estimate: the mean of the first stage,
which keeps fine texture, and of non-local means, which keeps edges and repeats; they err in different places. Blocks
overlap; each votes with weight 1 / |gain|^2, the inverse of the noise it lets through. Colour is decorrelated first.
"""

import numpy as np

from ..engine.tiles import tiled
from ..images.colour import from_opponent, to_opponent
from ..noise import describe_noise
from ..spec import SIGMA, STRENGTH, DenoiserSpec, Param
from . import nlm

SPEC = DenoiserSpec(
    name="dct_wiener",
    title="DCT Wiener filter",
    family="classical",
    year=2007,
    good_for="Photos with texture: keeps fine structure that non-local means wipes away.",
    trained_for="Not trained. Assumes white Gaussian noise; works on camera noise with the strength estimated here.",
    citation="K. Dabov, A. Foi, V. Katkovnik, K. Egiazarian. Image denoising by sparse 3-D transform-domain "
    "collaborative filtering. IEEE TIP 16, 2007 (single blocks).",
    cost=5,
    params=(
        SIGMA,
        STRENGTH,
        Param(
            name="step",
            title="Block step",
            kind="choice",
            default="1",
            choices=("1", "2", "4"),
            unit="px",
            advanced=True,
            help="Distance between neighbouring blocks: 1 is best, 4 is fastest.",
        ),
    ),
)

N = 8
k, n = np.arange(N)[:, None], np.arange(N)
DCT = (np.cos(np.pi * (2 * n + 1) * k / (2 * N)) * np.where(k == 0, 1, 2**0.5) / N**0.5).astype(np.float32)


def blocks_dct(plane):
    """Plane of h x w, multiples of 8 -> the orthonormal DCT of each 8 x 8 block, in place of it."""
    h, w = plane.shape
    rows = (plane.reshape(-1, N) @ DCT.T).reshape(h // N, N, w)
    return DCT @ rows


def blocks_idct(coefficients):
    h8, _, w = coefficients.shape
    return ((DCT.T @ coefficients).reshape(-1, N) @ DCT).reshape(h8 * N, w)


def sliding(planes, gain, step):
    """Scale the DCT of the 8 x 8 blocks that start every ``step`` pixels, and average where they overlap.

    ``planes`` are h x w; ``gain`` maps their coefficients, one array a plane, to the factors of the first's.
    """
    h, w = planes[0].shape
    planes = [np.pad(p, ((N, N + -h % N), (N, N + -w % N)), mode="symmetric") for p in planes]
    total, weights = np.zeros_like(planes[0]), np.zeros_like(planes[0])
    rows, columns = total.shape[0] - N, total.shape[1] - N
    for dy in range(0, N, step):
        for dx in range(0, N, step):
            here = np.s_[dy : dy + rows, dx : dx + columns]
            coefficients = [blocks_dct(p[here]) for p in planes]
            factors = gain(*coefficients)
            # noise let through, per block: the sum of its 64 squared factors
            through = np.square(factors).reshape(rows // N, N, columns // N, N).sum((1, 3), keepdims=True)
            weight = np.broadcast_to(1 / np.maximum(through, 1e-3), (rows // N, N, columns // N, N))
            weight = weight.reshape(rows, columns)
            total[here] += weight * blocks_idct(factors * coefficients[0])
            weights[here] += weight
    return (total / np.maximum(weights, 1e-12))[N : N + h, N : N + w]


def noise_power(sigma, lag1, width):
    """Variance of the noise in each coefficient of a row of blocks, 8 x ``width``, neighbours correlated by lag1."""
    covariance = lag1 ** np.abs(k - n)
    profile = np.diag(DCT @ covariance @ DCT.T)
    return np.tile(sigma**2 * np.outer(profile, profile), (1, width // N)).astype(np.float32)


def threshold(noisy, sigma, lag1):
    """Keep the coefficients that stand out of the noise, and every block's mean."""

    def gain(coefficients):
        kept = np.square(coefficients) > 2.7**2 * noise_power(sigma, lag1, coefficients.shape[-1])
        kept[:, 0, ::N] = True
        return kept.astype(np.float32)

    return sliding([noisy], gain, step=2)


def wiener(noisy, pilot, sigma, lag1, step):
    def gain(_, coefficients):
        power = np.square(coefficients)
        return power / (power + noise_power(sigma, lag1, power.shape[-1]))

    return sliding([noisy, pilot], gain, step)


def denoise(image, *, sigma, strength, step, run):
    level = sigma * strength
    if level <= 0:
        return image
    lag1 = max(0.0, describe_noise(image).lag1)
    defaults = {p.name: p.default for p in nlm.SPEC.params if p.advanced}
    similar = nlm.denoise(image, sigma=sigma, strength=strength, run=run.part(0, 0.5), **defaults)
    level *= 1 + lag1  # correlated noise comes from cameras and varies with brightness: half of it is above its mean
    both = np.concatenate([to_opponent(image), to_opponent(similar)], -1)
    channels = image.shape[-1]

    def restore(tile, run):
        planes = []
        for noisy, similar in zip(*np.split(tile.transpose(2, 0, 1), [channels]), strict=True):
            run.step(len(planes) / channels)
            pilot = (similar + threshold(noisy, level, lag1)) / 2
            planes.append(wiener(noisy, pilot, level, lag1, int(step)))
        return np.stack(planes * 2, -1)

    return from_opponent(tiled(both, restore, run.part(0.5, 1), tile=384, margin=2 * N, multiple=N)[..., :channels])
