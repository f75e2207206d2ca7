"""PSNR of every denoiser on clean pictures with white noise and on real noisy/clean pairs.

usage: python -m benchmarks.denoisers_psnr DATA [--pictures N] [--crop SIDE] [--names a,b.tag] [--sets ...]

A name may carry the tag of its weights: drunet.awgn. DATA holds manifest.csv (columns set, noisy, clean). White
noise: sigma of 255 given to the method, unclipped, seed 0. Real pairs: blind, everything from the picture. PSNR:
range 1, all pixels and channels, no border cut.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

import denoisers
from denoisers.metrics import psnr


def centre(image, side):
    if not side:
        return image
    y, x = (max(0, (n - side) // 2) for n in image.shape[:2])
    return image[y : y + side, x : x + side]


def told(model) -> bool:
    """Whether a method can be told the noise level."""
    return any(p.name == "sigma" for p in model.spec.params)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=int, help="at most this many of each set, evenly spread")
    parser.add_argument("--crop", type=int, help="central crop, pixels")
    parser.add_argument("--names", default=",".join(denoisers.names()))
    parser.add_argument("--sets", default="cbsd68,polyu,renoir")
    args = parser.parse_args()
    rows = list(csv.DictReader((args.data / "manifest.csv").open()))
    names = args.names.split(",")
    models = [denoisers.load(name, tag or None) for name, _, tag in (n.partition(".") for n in names)]
    seconds, pixels = np.zeros(len(models)), 0
    print(f"| set | pictures | noisy | {' | '.join(names)} |\n|{'---|' * (len(names) + 3)}")

    for name in args.sets.split(","):
        chosen = [r for r in rows if r["set"] == name and r["clean"]]
        if args.pictures and len(chosen) > args.pictures:
            chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, args.pictures).astype(int)]
        real = bool(chosen[0]["noisy"])
        for level in [None] if real else [15, 25, 50]:
            scores = []
            for row in chosen:
                clean = centre(denoisers.images.read(args.data / row["clean"]).pixels, args.crop)
                if real:
                    noisy, given = centre(denoisers.images.read(args.data / row["noisy"]).pixels, args.crop), {}
                else:
                    noise = np.random.default_rng(0).standard_normal(clean.shape, np.float32)
                    noisy, given = clean + level / 255 * noise, {"sigma": level / 255}
                results = [m.denoise(noisy, **(given if told(m) else {})) for m in models]
                scores.append([psnr(noisy, clean)] + [psnr(r.image, clean) for r in results])
                seconds += [r.seconds for r in results]
                pixels += clean[..., 0].size
            mean = " | ".join(f"{v:.2f}" for v in np.mean(scores, 0))
            print(f"| {name}{', blind' if real else f', sigma {level}'} | {len(chosen)} | {mean} |", flush=True)
    print(f"| seconds a megapixel | | | {' | '.join(f'{s:.1f}' for s in 1e6 * seconds / pixels)} |")


if __name__ == "__main__":
    main()
