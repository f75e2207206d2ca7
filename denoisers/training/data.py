"""Training data: clean pictures held in memory, random crops, noise drawn on the fly.

Every batch is a pure function of (seed, step): a training that is stopped and resumed sees exactly
the crops it would have seen, and no loader state has to be saved.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


def read_clean(folders, smallest: int) -> list[np.ndarray]:
    """All pictures under ``folders`` as H x W x 3 uint8, those with a side below ``smallest`` left out."""
    paths = sorted(p for folder in folders for p in Path(folder).rglob("*") if p.suffix.lower() in EXTENSIONS)
    pictures = [np.asarray(Image.open(p).convert("RGB")) for p in paths]
    return [p for p in pictures if min(p.shape[:2]) >= smallest]


class GaussianCrops:
    """Batches of (noisy, sigma, clean): crops, dihedral flips, white Gaussian noise of a random level.

    Args:
        pictures: H x W x 3 uint8 arrays, drawn in proportion to their area.
        crop: side of the square crops, pixels.
        batch: crops a batch.
        sigma: range (low, high) of the noise level, image units; one draw a crop, uniform.
    """

    def __init__(self, pictures, crop: int, batch: int, sigma: tuple[float, float], seed: int = 0):
        self.pictures, self.crop, self.batch, self.sigma, self.seed = pictures, crop, batch, sigma, seed
        areas = np.array([p.shape[0] * p.shape[1] for p in pictures], float)
        self.weights = areas / areas.sum()

    def __call__(self, step: int):
        rng = np.random.default_rng((self.seed, step))
        n, c = self.batch, self.crop
        clean = np.empty((n, c, c, 3), np.float32)
        for i, k in enumerate(rng.choice(len(self.pictures), n, p=self.weights)):
            picture = self.pictures[k]
            y, x = (rng.integers(0, side - c + 1) for side in picture.shape[:2])
            patch = np.rot90(picture[y : y + c, x : x + c], rng.integers(4))
            clean[i] = patch[:, ::-1] if rng.integers(2) else patch
        clean = torch.from_numpy(clean / 255).permute(0, 3, 1, 2)
        sigma = torch.from_numpy(rng.uniform(*self.sigma, n).astype(np.float32)).reshape(n, 1, 1, 1)
        noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
        return clean + sigma * noise, sigma, clean
