"""Claims of the literature put to the test: the same network, the same steps, one thing changed.

    python -m benchmarks.claims TRAIN DEV noise2noise --steps 2000

TRAIN holds cid22 and clic_val768 (clean pictures), DEV cbsd68 (clean) and polyu, renoir (real pairs). Prints a
table in Markdown: mean PSNR over COUNT pictures of cbsd68, or over the real pairs.

    noise2noise   noisy targets against clean ones
    text          text overlay removed by Noise2Noise with L1 and with L2
    noise2same    lambda 2, lambda 2 sigma, and the Pro schedule
    optimiser     Muon against AdamW, on RED-Net
    invdn         the shipped weights with 1, 4 and 16 latent samples, and with the latent set to zero
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

import denoisers
from denoisers.denoiser import apply
from denoisers.metrics import psnr
from denoisers.noise import add_noise
from denoisers.registry import method
from denoisers.run import Run
from denoisers.training import loop, recipe

COUNT, SIDE = 24, 256


def variant(base: recipe.Recipe, **objective) -> recipe.Recipe:
    """The recipe with another objective."""
    return base.model_copy(update={"objective": recipe.Objective(**objective)})


def in_colour(name: str) -> recipe.Recipe:
    base = recipe.load(name)
    return base.model_copy(update={"data": base.data.model_copy(update={"grey": 0.0})})


def noise2noise():
    base = recipe.load("noise2noise.gaussian")
    clean = variant(base, name="supervised", loss="l2")
    return {"noisy targets (Noise2Noise)": base, "clean targets": clean}, ("gaussian", 25 / 255)


def text():
    base = in_colour("noise2noise.text")
    return {
        "noisy targets, L1": base,
        "noisy targets, L2": variant(base, name="noise2noise", loss="l2"),
        "clean targets, L1": variant(base, name="supervised", loss="l1"),
    }, ("text", 0.25)


def noise2same():
    base = in_colour("noise2same.awgn")
    return {
        "Noise2Same, lambda = 2": variant(base, name="noise2same", options={"lam": 2.0}),
        "Noise2Same, lambda = 2 sigma": base,
        "Noise2SamePro, last eighth": variant(base, name="noise2same", options={"lam": 2.0, "pro_share": 0.125}),
        "Noise2SamePro, literal": variant(
            base, name="noise2same", options={"lam": 2.0, "pro_share": 0.125, "literal": True}
        ),
    }, ("gaussian", 25 / 255)


def optimiser():
    base = recipe.load("rednet.awgn")
    adamw = base.optimiser.model_copy(update={"name": "adamw", "lr": 1e-3})
    return {"AdamW": base.model_copy(update={"optimiser": adamw}), "Muon": base}, ("gaussian", 25 / 255)


def compare(variants, noise, train, dev, steps, threads):
    """Train each variant for the same steps and score it on the same noisy pictures."""
    model, level = noise
    files = sorted((Path(dev) / "cbsd68" / "clean").iterdir())[:COUNT]
    cleans = [denoisers.images.read(f).pixels[:SIDE, :SIDE] for f in files]
    noisy = [add_noise(clean, model, level, seed=k) for k, clean in enumerate(cleans)]
    print("| | PSNR (dB) | last loss |\n|---|---|---|")
    print(f"| noisy | {np.mean([psnr(n, c) for n, c in zip(noisy, cleans, strict=True)]):.2f} | |", flush=True)
    for title, facts in variants.items():
        with tempfile.TemporaryDirectory() as run:
            weights = load_file(loop.train(facts, train, run, steps=steps, threads=threads, device="cpu"))
            lines = [json.loads(line) for line in (Path(run) / "events.jsonl").read_text().splitlines()]
            loss = [line["loss"] for line in lines if line["event"] == "train"][-1]
        network = facts.build().eval().requires_grad_(False)
        network.load_state_dict(weights)
        module = method(facts.method)
        params = module.SPEC.resolve({})
        restored = [apply(module, n, run=Run(), network=network, device="cpu", **params)[0] for n in noisy]
        score = np.mean([psnr(r, c) for r, c in zip(restored, cleans, strict=True)])
        print(f"| {title} | {score:.2f} | {loss:.4g} |", flush=True)


def invdn(dev):
    """The shipped weights, blind, on crops of the real pairs."""
    d = denoisers.load("invdn")
    settings = {"1 sample": (1, 1.0), "4 samples": (4, 1.0), "16 samples": (16, 1.0), "latent set to zero": (1, 0.0)}
    print("| | polyu | renoir |\n|---|---|---|")
    pairs = {}
    for name in ("polyu", "renoir"):
        for noisy in sorted((Path(dev) / name / "noisy").iterdir()):
            both = [denoisers.images.read(p).pixels for p in (noisy, Path(dev) / name / "clean" / noisy.name)]
            pairs.setdefault(name, []).append([p[:SIDE, :SIDE] for p in both])
    print("| noisy |", " | ".join(f"{np.mean([psnr(n, c) for n, c in p]):.2f}" for p in pairs.values()), "|")
    for title, (samples, temperature) in settings.items():
        scores = [
            np.mean([psnr(d.denoise(n, samples=samples, temperature=temperature).image, c) for n, c in pairs[name]])
            for name in pairs
        ]
        print(f"| {title} |", " | ".join(f"{s:.2f}" for s in scores), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("claim", choices=["noise2noise", "text", "noise2same", "optimiser", "invdn"])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.claim == "invdn":
        return invdn(args.dev)
    variants, noise = globals()[args.claim]()
    print(f"{args.claim}, {args.steps} steps each, {COUNT} pictures of cbsd68, {noise[0]} {noise[1]:.3g}\n")
    compare(variants, noise, args.train, args.dev, args.steps, args.threads)


if __name__ == "__main__":
    main()
