"""What the blind noise level costs: each filter with its preset against the same filter with its best strength.

usage: python -m benchmarks.preset_gap DATA [--names a,b] [--sets a,b] [--crop SIDE]

DATA: see ``benchmarks.manifest``. The level is estimated from the whole picture, the filter runs on
its centre. PSNR: range 1, all pixels and channels, no border cut. Strengths 0.4 to 2.5 times the preset are tried.
"""

import argparse
from pathlib import Path

import numpy as np

import denoisers
from denoisers.benchmark import centre
from denoisers.metrics import psnr
from denoisers.noise import estimate_sigma

from .manifest import pair_rows, read

STRENGTHS = (0.4, 0.55, 0.75, 1.0, 1.35, 1.8, 2.5)


def pair(folder: Path, row: dict, side: int):
    """(noisy, clean, sigma): the centres, and the level estimated from the whole."""
    noisy, clean = (read(folder / row[column]) for column in ("noisy", "clean"))
    return centre(noisy, side), centre(clean, side), estimate_sigma(noisy)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--names", default="nlm,dct_wiener")
    parser.add_argument("--sets", default="polyu,renoir")
    parser.add_argument("--crop", type=int, default=384)
    args = parser.parse_args()
    rows = pair_rows(args.data)
    print("dB, mean (worst picture for the gap).\n")
    print("| filter | set | pictures | noisy | preset | gain | gap to best strength | mean best strength |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for name in args.sets.split(","):
        pairs = [pair(args.data, row, args.crop) for row in rows if row["set"] == name]
        before = np.array([psnr(noisy, clean) for noisy, clean, _ in pairs])
        for method in args.names.split(","):
            denoise = denoisers.load(method).denoise
            scores = np.array(
                [
                    [psnr(denoise(noisy, sigma=sigma, strength=s).image, clean) for s in STRENGTHS]
                    for noisy, clean, sigma in pairs
                ]
            )
            preset = scores[:, STRENGTHS.index(1.0)]
            gap = scores.max(1) - preset
            best = np.mean(np.array(STRENGTHS)[scores.argmax(1)])
            print(
                f"| {method} | {name} | {len(pairs)} | {before.mean():.2f} | {preset.mean():.2f} "
                f"| {np.mean(preset - before):+.2f} | {gap.mean():.2f} ({gap.max():.2f}) | {best:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
