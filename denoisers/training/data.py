"""Batches of crops.

A batch is a pure function of (seed, step, place in the batch): a training that is stopped and resumed sees the
crops it would have seen, and so do several processes that share a batch.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
import torch

from ..images import is_grey
from ..methods.noise2same import moments


@dataclass
class Batch:
    """N crops. ``noisy``, ``target`` and, where it exists, ``clean``: N x C x H x W float32; ``sigma`` the standard
    deviation of the noise, N x 1 x 1 x 1, in the same unit; ``mask`` 1 where the target was observed, 0 elsewhere."""

    noisy: torch.Tensor
    target: torch.Tensor
    sigma: torch.Tensor
    clean: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    def to(self, device) -> "Batch":
        values = (getattr(self, f.name) for f in fields(self))
        return Batch(*(None if v is None else v.to(device, non_blocking=True) for v in values))


def to_float(pixels) -> np.ndarray:
    """uint8 or uint16 -> [0, 1] float32; floats as they are."""
    if pixels.dtype.kind == "f":
        return np.asarray(pixels, np.float32)
    return np.asarray(pixels, np.float32) / np.float32(np.iinfo(pixels.dtype).max)


class Photographed:
    """Crops of pictures whose noise is given: real pairs, or copies made once.

    Args:
        pictures: (noisy, target, clean) arrays, H x W x 3, uint8, uint16 or float in [0, 1]; target may be noisy
            too, clean None.
        sigmas: the noise level of each that a network is told, image units.
        standardise: see ``recipe.Data``.
    """

    def __init__(self, pictures, sigmas, standardise: bool = False):
        self.pictures, self.sigmas = pictures, sigmas
        self.grey = [is_grey(p[0]) for p in pictures]
        self.areas = [p[0].shape[0] * p[0].shape[1] for p in pictures]
        self.sides = [min(p[0].shape[:2]) for p in pictures]
        self.scales = [moments(to_float(p[0])) for p in pictures] if standardise else None

    def crop(self, k, window, rng):
        noisy, target, clean = (None if p is None else window(to_float, p) for p in self.pictures[k])
        sigma = self.sigmas[k]
        if self.scales:
            mean, std = self.scales[k]
            noisy, target = (noisy - mean) / std, (target - mean) / std
            clean = None if clean is None else (clean - mean) / std
            sigma = sigma / std.mean()
        return noisy, target, sigma, clean, None


class Made:
    """Crops of clean pictures with fresh noise; the target is the clean crop, or a second noisy one (Noise2Noise).

    ``noise(clean, rng, whole)`` -> (noisy, sigma, mask), see ``sources.noise_maker``.
    """

    def __init__(self, pictures, noise, noisy_target: bool = False):
        self.pictures, self.noise, self.noisy_target = pictures, noise, noisy_target
        self.grey = [is_grey(p) for p in pictures]
        self.areas = [p.shape[0] * p.shape[1] for p in pictures]
        self.sides = [min(p.shape[:2]) for p in pictures]
        self.small = [to_float(p[:: max(1, p.shape[0] // 48), :: max(1, p.shape[1] // 48)]) for p in pictures]

    def crop(self, k, window, rng):
        clean, small = window(to_float, self.pictures[k]), self.small[k]
        one = np.s_[..., :1] if self.grey[k] else np.s_[...]
        noisy, sigma, mask = self.noise(clean[one], rng, small[one])
        target = clean
        if self.noisy_target:
            target, _, mask = self.noise(clean[one], rng, small[one])
        noisy, target, mask = (None if p is None else as_colour(p) for p in (noisy, target, mask))
        return noisy, target, sigma, clean, mask


def stacked(crops) -> torch.Tensor | None:
    """N x C x H x W; None where one of them is missing."""
    return None if any(p is None for p in crops) else torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)


def as_colour(picture) -> np.ndarray:
    """One channel three times; three as they are."""
    return np.repeat(picture, 3 // picture.shape[-1], -1)


def deviation(noisy, target) -> float:
    """Root mean square of noisy - target over a 4 x 4 grid of the picture's pixels, image units."""
    return float((to_float(noisy[::4, ::4]) - to_float(target[::4, ::4])).std())


class Crops:
    """``crops(step)`` -> Batch, prepared ahead in threads.

    Args:
        sources: list of (source, share of the crops).
        sizes: crop sides; one is drawn a batch, and the number of crops follows so that the pixels stay equal.
        batch: crops at the first size, all processes together.
        rank, world: this process takes every world-th crop from the rank-th on.
        jitter, grey: see ``recipe.Data.sigma_jitter`` and ``recipe.Data.grey``.
        threads: that prepare crops while the network works.
    """

    def __init__(self, sources, sizes, batch: int, seed=0, rank=0, world=1, jitter=0.0, grey=0.0, threads: int = 2):
        self.sources = [source for source, _ in sources]
        shares = np.array([share for _, share in sources], float)
        self.shares = shares / shares.sum()
        self.sizes, self.batch, self.seed = sizes, batch, seed
        self.rank, self.world, self.jitter, self.grey = rank, world, jitter, grey
        self.pool, self.ahead = ThreadPoolExecutor(threads), {}

    def __call__(self, step: int) -> Batch:
        for s in (step, step + 1, step + 2):
            if s not in self.ahead:
                self.ahead[s] = self.order(s)
        crops = [crop.result() for crop in self.ahead.pop(step)]
        self.ahead = {s: crops for s, crops in self.ahead.items() if s > step}
        noisy, target, sigma, clean, mask = zip(*crops, strict=True)
        noisy, target, clean, mask = map(stacked, (noisy, target, clean, mask))
        return Batch(noisy, target, torch.tensor(sigma).reshape(-1, 1, 1, 1), clean, mask)

    def order(self, step):
        side = self.sizes[np.random.default_rng((self.seed, step)).integers(len(self.sizes))]
        count = max(self.world, round(self.batch * (self.sizes[0] / side) ** 2))
        return [self.pool.submit(self.one, side, step, i) for i in range(self.rank, count, self.world)]

    def one(self, side, step, i):
        rng = np.random.default_rng((self.seed, step, i))
        source = self.sources[rng.choice(len(self.sources), p=self.shares)]
        areas = np.array([a if s >= side else 0 for a, s in zip(source.areas, source.sides, strict=True)], float)
        k = rng.choice(len(areas), p=areas / areas.sum())
        position, turns, mirror = rng.random(2), rng.integers(4), rng.integers(2)

        def window(convert, picture):
            y, x = (int(f * (n - side + 1)) for f, n in zip(position, picture.shape[:2], strict=True))
            patch = np.rot90(convert(picture[y : y + side, x : x + side]), turns)
            return np.ascontiguousarray(patch[:, ::-1] if mirror else patch)

        noisy, target, sigma, clean, mask = source.crop(k, window, rng)
        made_grey = self.grey and rng.random() < self.grey
        if made_grey:
            c = rng.integers(3)
            one = (None if p is None else as_colour(p[..., c : c + 1]) for p in (noisy, target, clean, mask))
            noisy, target, clean, mask = one
        if made_grey or source.grey[k]:
            sigma = sigma * 3**0.5  # as colour, the noise is so much the stronger
        return noisy, target, np.float32(sigma * np.exp(self.jitter * rng.standard_normal())), clean, mask
