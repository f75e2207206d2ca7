"""Real camera noise beside the camera model's: correlation in space and between channels, tails, level by brightness.

usage: python -m benchmarks.camera_noise DATA [DATA ...]   (see ``benchmarks.manifest``)

Real noise is noisy minus clean of each pair. `random` is the clean picture under a camera drawn for training, `fitted`
under the camera fitted to the noisy picture alone, `gaussian` under white noise of the true strength. Statistics are
taken where the clean picture is flattest, since a pair that is a little out of step shows its edges in the
difference; AKLD is taken over the whole picture.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from denoisers.errors import ImageError
from denoisers.noise.camera import random_camera
from denoisers.noise.correlation import LAGS, akld, describe, lag, luma_chroma
from denoisers.noise.fit import fit

from .manifest import pair_rows, read

CROP, BLOCK, FLATTEST, CLASSES = 512, 32, 1 / 4, 4


def blocks(image: np.ndarray) -> np.ndarray:
    rows, columns = (n // BLOCK for n in image.shape[:2])
    grid = image[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK, -1)
    return grid.swapaxes(1, 2).reshape(rows * columns, BLOCK, BLOCK, -1)


def figures(noisy: np.ndarray, clean: np.ndarray, real: np.ndarray) -> np.ndarray:
    """One row of the table: level, lags, between channels, kurtosis, mean, AKLD, level by brightness."""
    noise, ground = blocks(noisy - clean), blocks(clean)
    flat = np.argsort(ground.std((1, 2)).mean(1))[: int(len(ground) * FLATTEST)]
    noise, ground = noise[flat], ground[flat]
    found = describe(noise, ground, CLASSES)
    luma, chroma = luma_chroma(noise - noise.mean((1, 2), keepdims=True))
    lags = [np.mean([lag(part, 0, d), lag(part, d, 0)]) for part in (luma, chroma) for d in LAGS[:2]]
    between = found.channels[np.triu_indices(3, 1)].mean()
    lag1 = (found.across[0] + found.down[0]) / 2
    bias = 255 * (noisy - clean).mean()
    divergence = akld(noisy - clean, real - clean)
    levels = 255 * found.curve.mean(1)
    return np.array([255 * found.sigma, lag1, *lags, between, found.kurtosis, bias, divergence, *levels])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="folder")
    parser.add_argument("--every", type=int, default=1, help="take every n-th pair")
    args = parser.parse_args()
    rows: dict[str, list[np.ndarray]] = {}
    for folder in args.data:
        for number, row in enumerate(pair_rows(folder)[:: args.every]):
            rng = np.random.default_rng(number)
            real, clean = (read(folder / row[k], CROP) for k in ("noisy", "clean"))
            white = rng.normal(0, (real - clean).std(), clean.shape)
            made = {
                "real": real,
                "random": random_camera(rng).apply(clean, rng),
                "gaussian": clean + white,
            }
            try:
                made["fitted"] = fit(real).apply(clean, rng)
            except ImageError as error:
                print(f"{row['noisy']}: {error}", file=sys.stderr)
            for name, noisy in made.items():
                noisy = np.round(255 * np.clip(noisy, 0, 1)) / 255
                rows.setdefault(f"{row['set']}, {name}", []).append(figures(noisy, clean, real))
    names = [
        "level",
        "lag 1",
        "luma 1",
        "luma 2",
        "chroma 1",
        "chroma 2",
        "between channels",
        "kurtosis",
        "mean",
        "AKLD",
    ]
    names += [f"level in brightness quarter {i + 1}" for i in range(CLASSES)]
    print("Median (lowest to highest); levels and means of 255.\n")
    print("| noise | pairs | " + " | ".join(names) + " |\n|---|" + "---|" * (len(names) + 1))
    for name, values in rows.items():
        cells = [f"{np.median(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in np.transpose(values)]
        print(f"| {name} | {len(values)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
