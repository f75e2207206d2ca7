"""Where does a picture fitted by a SIREN beat other denoisers, which of its parts help, and which rule stops it best?

usage: python -m benchmarks.inr_verdict DATA [--pictures N] [--crop SIDE] [--others a,b] [--book] ...

DATA: see ``benchmarks.manifest``. White noise of these standard deviations, of 255, and Poisson
noise of 25 at mid grey, on pictures of cbsd68, clipped to [0, 1], seed 0; real pairs of polyu and renoir. The noise
level is estimated from the whole noisy picture, for all methods alike, which then see its centre. PSNR: range 1, all
pixels and channels.

`inr` is the fast preset at the output that its own rule chooses; `best` the same fit at its best output, which nobody
can know. A rule's loss is the PSNR at the output it chooses, less the best. --book adds the other preset: a hundred
times slower. drunet: .awgn on made noise, .camera on the real pairs.
"""

import argparse
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import denoisers
from denoisers.benchmark import centre, takes_level
from denoisers.inr import PRESETS, RULES, Fit, stop
from denoisers.methods.inr import rule_of
from denoisers.metrics import psnr
from denoisers.noise import add_noise, describe_noise

from .manifest import clean_rows, read

REAL = ("polyu", "renoir")
WITHOUT = {"no decay": {"decay": 0.0}, "no averaging": {"ema": 0.0}}
JUDGED = [rule for rule in RULES if rule != "oracle"]
GROWTH, POISSON = 1.05, 25


def cases(folder: Path, count: int, side: int, levels):
    """(title, noisy, clean, noise found in the whole, whether real): one picture of each kind, then the next."""

    def some(name):
        chosen = [row for row in clean_rows(folder) if row["set"] == name]
        return [chosen[i] for i in np.linspace(0, len(chosen) - 1, count + 2)[1:-1].astype(int)]

    for white, *real in zip(*(some(name) for name in ("cbsd68", *REAL)), strict=True):
        for model, level in [*(("gaussian", level) for level in levels), ("poisson", POISSON)]:
            clean = read(folder / white["clean"])
            noisy = add_noise(clean, model, level / 255, seed=0)
            yield f"{model} {level}", centre(noisy, side), centre(clean, side), describe_noise(noisy), False
        for name, row in zip(REAL, real, strict=True):
            noisy, clean = (read(folder / row[k]) for k in ("noisy", "clean"))
            yield name, centre(noisy, side), centre(clean, side), describe_noise(noisy), True


def fitted(noisy, clean, recipe):
    fit = Fit(noisy, recipe, clean, GROWTH)
    for _ in fit.steps():
        pass
    return fit.trajectory


def chosen(past, rule, noise, steps):
    """PSNR of the output at which a rule stops."""
    return past.psnr[past.kept.index(past.nearest(stop(past, rule, noise.sigma, steps).iteration))]


def measure(noisy, clean, noise, real, others, presets) -> dict[str, float]:
    """Column -> PSNR."""
    answer = {"noisy": psnr(noisy, clean)}
    for name in others:
        tag = ("camera" if real else "awgn") if name == "drunet" else None
        model = denoisers.load(name, tag)
        answer[name] = psnr(model.denoise(noisy, **({"sigma": noise.sigma} if takes_level(model) else {})).image, clean)
    for preset in presets:
        recipe, title = PRESETS[preset], "inr" if preset == "fast" else f"inr {preset}"
        past = fitted(noisy, clean, recipe)
        rule = rule_of("preset", preset, noise, noisy[..., 0].size)
        answer[title] = chosen(past, rule, noise, recipe.steps)
        answer[f"{title} best"] = max(past.psnr)
        if preset == "fast":
            answer |= {rule: chosen(past, rule, noise, recipe.steps) - max(past.psnr) for rule in JUDGED}
            for name, change in WITHOUT.items():
                other = fitted(noisy, clean, replace(recipe, **change))
                answer[name] = chosen(other, rule, noise, recipe.steps)
                answer[f"{name} best"] = max(other.psnr)
    return answer


def table(title: str, results: dict, columns):
    print(f"\n{title}\n\n| noise | pictures | {' | '.join(columns)} |\n|---|{'---:|' * (len(columns) + 1)}")
    for name, rows in results.items():
        means = (np.mean([row[column] for row in rows]) for column in columns)
        print(f"| {name} | {len(rows)} | {' | '.join(f'{mean:.2f}' for mean in means)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=int, default=4, help="of each set")
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--levels", default="5,15,25,50")
    parser.add_argument("--others", default="nlm,dct_wiener,zs_n2n,drunet")
    parser.add_argument("--book", action="store_true", help="the other preset too")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    others, presets = args.others.split(","), ["fast", "book"] if args.book else ["fast"]
    results, began = defaultdict(list), time.perf_counter()
    for title, *case in cases(args.data, args.pictures, args.crop, [int(v) for v in args.levels.split(",")]):
        results[title].append(measure(*case, others, presets))
        facts = ", ".join(f"{name} {value:.2f}" for name, value in results[title][-1].items())
        print(f"{time.perf_counter() - began:5.0f} s  {title}: {facts}", flush=True)
    book = ["inr book", "inr book best"] if args.book else []
    table("PSNR, dB", results, ["noisy", *others, "inr", "inr best", *book])
    table("Loss of each stopping rule against the best output of the fit, dB", results, JUDGED)
    parts = [c for name in ("inr", *WITHOUT) for c in (name, f"{name} best")]
    table("Without weight decay on the last two layers, and without averaging, dB", results, parts)


if __name__ == "__main__":
    main()
