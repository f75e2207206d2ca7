"""What DRUNet's own look at the noise level is worth: on real pairs, on clean photographs, and with weak camera noise.

usage: python -m benchmarks.settled_level DATA   (see ``benchmarks.manifest``)

PSNR of drunet.camera told the level that the estimator reads, and told the one that ``methods.drunet.level`` makes of
it, next to pridnet.camera, which is told nothing; and what a method that leaves the picture alone would get.
"""

import argparse
from pathlib import Path

import numpy as np
from skimage.color import rgb2gray

import denoisers
from denoisers.images import is_grey
from denoisers.metrics import psnr
from denoisers.noise import add_noise, describe_noise

from .manifest import clean_rows, read

CROP = 320  # centre
PER_SET = 8  # pictures without a noisy partner, evenly through the set
LEVELS = (0, 3, 8)  # of 255, at mid grey


def cases(folder: Path):
    """Yield (the table's row, noisy, clean)."""
    sets: dict[str, list[dict]] = {}
    for row in clean_rows(folder):
        sets.setdefault(row["set"], []).append(row)
    for name, rows in sets.items():
        if rows[0]["noisy"]:
            for row in rows:
                pair = read(folder / row["noisy"], CROP), read(folder / row["clean"], CROP)
                yield name, *pair
                yield f"{name} in grey", *(rgb2gray(picture)[..., None] for picture in pair)
            continue
        for seed, row in enumerate(rows[:: max(1, len(rows) // PER_SET)][:PER_SET]):
            clean = read(folder / row["clean"], CROP)
            if is_grey(clean):
                clean = clean[..., :1]
            for level in LEVELS:
                noisy = add_noise(clean, "camera", level / 255, seed) if level else clean
                yield f"{name} + camera noise {level}", noisy, clean


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder")
    drunet, pridnet = (denoisers.load(name, "camera") for name in ("drunet", "pridnet"))
    rows: dict[str, list[list[float]]] = {}
    for name, noisy, clean in cases(parser.parse_args().data):
        noise = describe_noise(noisy)
        levels = noise.sigma, drunet.level(noisy, noise)
        restored = [drunet.denoise(noisy, sigma=level).image for level in levels] + [pridnet.denoise(noisy).image]
        found = [255 * float(np.std(noisy - clean)), *(255 * level for level in levels)]
        scores = [min(psnr(picture, clean), 99) for picture in (noisy, *restored)]
        rows.setdefault(name, []).append(found + scores)
    print("| pictures | number | noise, of 255 | read | settled | noisy, dB | read | settled | pridnet |")
    print("|---|" + "---:|" * 8)
    for name, values in rows.items():
        found = np.mean(values, 0)
        cells = [f"{x:.1f}" for x in found[:3]] + [f"{x:.2f}" for x in found[3:]]
        print(f"| {name} | {len(values)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
