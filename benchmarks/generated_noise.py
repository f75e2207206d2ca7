"""Generated noise beside the real noise of real pairs: InvDN at several strengths, a fitted camera, white noise.

usage: python -m benchmarks.generated_noise DATA [--weights FILE] [--pairs N] [--crop SIDE] [--gain TRAIN]

DATA: see ``benchmarks.manifest``. Real noise is noisy minus clean. `invdn S` is the noisy picture
with its latent nudged so far that it adds S times the estimated noise level, `invdn S, added` what that alone adds;
`camera` is the clean picture under the camera fitted to the noisy one; `white` under Gaussian noise of the real
strength. Pictures are clipped and rounded to 8 bits, as files are. AKLD and histogram distance: 0 is alike. Two draws
of white noise have an AKLD of 0.04. InvDN starts from the noise that it is compared with, so at small strengths it
cannot miss.

--gain TRAIN trains a small DRUNet on the pairs of the folder TRAIN and then, from the same start, for as many steps
on the pairs and as many generated ones; and scores both on DATA.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import denoisers
from denoisers.errors import ImageError
from denoisers.metrics import psnr
from denoisers.noise.correlation import akld, between_channels, histogram_distance, lag
from denoisers.noise.fit import fit
from denoisers.studio import Studio

from .manifest import pair_rows, read

STRENGTHS = (0.25, 0.5, 1.0)
COLUMNS = ("level", "AKLD", "histogram", "lag 1", "lag 2", "channels")


def as_file(picture) -> np.ndarray:
    return (denoisers.images.as_uint8(np.clip(picture, 0, 1)) / np.float32(255)).astype(np.float32)


def figures(noise, real) -> list[float]:
    """One row of the table: ``COLUMNS``."""
    centred = noise - noise.mean((0, 1))
    lags = [float(np.mean([lag(centred, 0, d), lag(centred, d, 0)])) for d in (1, 2)]
    channels = between_channels(centred)[np.triu_indices(3, 1)].mean()
    return [255 * noise.std(), akld(noise, real), histogram_distance(noise, real), *lags, channels]


def compare(folder: Path, pairs: list[dict], studio: Studio, side: int):
    found: dict[str, list] = {}
    for number, row in enumerate(pairs):
        noisy, clean = (read(folder / row[k], side) for k in ("noisy", "clean"))
        real, rng = noisy - clean, np.random.default_rng(number)
        analysis = studio.analyse(noisy)
        made = {"real": real}
        unit = studio.strength(analysis, denoisers.noise.estimate_sigma(noisy))
        for strength in STRENGTHS:
            (picture,) = studio.generate(analysis, strength * unit, seed=number)
            made[f"invdn {strength:g}"] = as_file(picture) - clean
            made[f"invdn {strength:g}, added"] = as_file(picture) - noisy
        try:
            made["camera"] = as_file(fit(noisy).apply(clean, rng)) - clean
        except ImageError as error:
            print(f"{row['noisy']}: {error}")
        made["white"] = as_file(clean + real.std() * rng.standard_normal(clean.shape, np.float32)) - clean
        for name, noise in made.items():
            found.setdefault((row["set"], name), []).append(figures(noise, real))
    print(f"Medians; levels of 255; central crops of {side} pixels.\n")
    print(f"| set | noise | pairs | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * (len(COLUMNS) + 1)}")
    for (name, noise), values in found.items():
        level, *rest = np.median(values, 0)
        print(f"| {name} | {noise} | {len(values)} | {level:.1f} | {' | '.join(f'{v:.2f}' for v in rest)} |")


def gain(train: Path, folder: Path, pairs: list[dict], studio: Studio, side: int, count: int, steps: int, strength):
    """Two trainings that differ in one thing: whether half of their noisy pictures are generated ones."""
    from safetensors.torch import load_file

    from denoisers.denoiser import apply
    from denoisers.registry import method
    from denoisers.run import Run
    from denoisers.training import loop, recipe

    facts = recipe.load("drunet.camera").model_dump()
    facts["network"] |= {"widths": [16, 32, 64, 96], "blocks": 1}
    facts["data"] |= {"clean": [], "pairs": ["pairs"], "made_share": 0.0, "crop": [96], "batch": 4}
    facts = recipe.Recipe.model_validate(facts)
    tests = [[read(folder / row[k], side) for k in ("noisy", "clean")] for row in pairs]
    print(f"\n{steps} steps each, {count} training pairs\n\n| trained on | PSNR (dB) |\n|---|---|")
    print(f"| (noisy) | {np.mean([psnr(*pair) for pair in tests]):.2f} |", flush=True)
    chosen = pair_rows(train)
    chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, min(count, len(chosen))).astype(int)]
    for title, added in (("real pairs", False), ("real and generated pairs", True)):
        with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as run:
            for kind in ("noisy", "clean"):
                (Path(data) / "pairs" / kind).mkdir(parents=True)
            for number, row in enumerate(chosen):
                noisy, clean = (read(train / row[k], 384) for k in ("noisy", "clean"))
                kept = {f"{number}": noisy}
                if added:
                    analysis = studio.analyse(noisy)
                    unit = studio.strength(analysis, denoisers.noise.estimate_sigma(noisy))
                    (kept[f"{number}_1"],) = studio.generate(analysis, strength * unit, seed=number)
                for name, picture in kept.items():
                    for kind, pixels in (("noisy", picture), ("clean", clean)):
                        denoisers.images.write(Path(data) / "pairs" / kind / f"{name}.png", np.clip(pixels, 0, 1))
            weights = load_file(loop.train(facts, data, run, steps=steps, device="cpu"))
        network = facts.build().eval().requires_grad_(False)
        network.load_state_dict(weights)
        module = method("drunet")

        def restored(noisy, module=module, network=network):
            params = module.SPEC.resolve({}) | {"sigma": denoisers.noise.estimate_sigma(noisy)}
            return apply(module, noisy, run=Run(), network=network, device="cpu", **params)[0]

        print(f"| {title} | {np.mean([psnr(restored(n), c) for n, c in tests]):.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", help="a file of yours; by default InvDN's own weights")
    parser.add_argument("--pairs", type=int, help="at most this many of each set, evenly spread")
    parser.add_argument("--crop", type=int, default=256, help="central crop, pixels")
    parser.add_argument("--gain", type=Path, metavar="TRAIN", help="train with and without generated pairs")
    parser.add_argument("--steps", type=int, default=500, help="of each training")
    parser.add_argument("--strength", type=float, default=0.5, help="of the generated pairs, in noise levels")
    args = parser.parse_args()
    d = denoisers.load("invdn", args.weights)
    studio, pairs = Studio(d.network, d.device), []
    sets: dict[str, list[dict]] = {}
    for row in pair_rows(args.data):
        sets.setdefault(row["set"], []).append(row)
    for members in sets.values():
        count = min(args.pairs or len(members), len(members))
        pairs += [members[i] for i in np.linspace(0, len(members) - 1, count).astype(int)]
    compare(args.data, pairs, studio, args.crop)
    if args.gain:
        gain(args.gain, args.data, pairs, studio, args.crop, 12, args.steps, args.strength)


if __name__ == "__main__":
    main()
