"""Error of the noise estimators on real pairs and on white noise of known strength.

Usage: python benchmarks/noise_level.py DATA_DIR   (a folder with manifest.csv: columns split, set, noisy, clean)
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from denoisers.noise.estimate import estimate_sigma

METHODS = ("chen", "camera", "auto")
WHITE = (5, 10, 15, 25, 50)  # of 255
CROP = 1024  # centre of larger pictures: a photograph's corners repeat its middle, and the table takes minutes less
PER_SET = 12  # clean pictures per white sigma, evenly through the set


def read(path: Path) -> np.ndarray:
    """Centre crop, H x W x C float32 in [0, 1]."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.float32) / 255
    if (pixels == pixels[..., :1]).all():  # WebP stores grey as colour
        pixels = pixels[..., :1]
    top, left = (max(0, (n - CROP) // 2) for n in pixels.shape[:2])
    return pixels[top : top + CROP, left : left + CROP]


def cases(folder: Path):
    """Yield (name of the table's row, noisy image, true sigma)."""
    sets: dict[str, list[dict]] = {}
    with open(folder / "manifest.csv", newline="") as manifest:
        for row in csv.DictReader(manifest):
            sets.setdefault(row["set"], []).append(row)
    for name, rows in sets.items():
        for row in (row for row in rows if row["noisy"] and row["clean"]):
            noisy = read(folder / row["noisy"])
            yield f"{name} (real)", noisy, float(np.std(noisy - read(folder / row["clean"])))
    rng = np.random.default_rng(0)
    for name in [name for name in ("cbsd68", "set12") if name in sets]:
        chosen = sets[name][:: max(1, len(sets[name]) // PER_SET)][:PER_SET]
        for sigma in WHITE:
            for row in chosen:
                clean = read(folder / row["clean"])
                yield f"{name} + white {sigma}", clean + rng.normal(0, sigma / 255, clean.shape), sigma / 255


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with manifest.csv")
    errors: dict[str, list[list[float]]] = {}
    for name, noisy, truth in cases(parser.parse_args().data):
        errors.setdefault(name, []).append([estimate_sigma(noisy, method) / truth - 1 for method in METHODS])
    print("Error of sigma in %: median of the absolute (median signed; largest absolute).\n")
    print("| noise | images | " + " | ".join(METHODS) + " |\n|---|---:|" + "---:|" * len(METHODS))
    for name, rows in errors.items():
        cells = [f"{np.median(abs(e)):.0f} ({np.median(e):+.0f}; {max(abs(e)):.0f})" for e in 100 * np.array(rows).T]
        print(f"| {name} | {len(rows)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
