"""Is the network the limit of a training, or the loader? Crops a second of each, with the other at rest.

usage: python -m benchmarks.loader DATA [--recipes a,b] [--steps N] [--threads N]

DATA is the folder below which the recipes' folders lie; every recipe of Grainwise if none is named. Loader: batches
made with noise and all, in its two threads. Network: loss, gradients and step on a batch that lies ready, in float32
or bfloat16 as in a training.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from denoisers.engine.device import pick_device, precision
from denoisers.training import recipe as recipes
from denoisers.training.companions import arguments
from denoisers.training.data import Crops
from denoisers.training.descent import Descent
from denoisers.training.objectives import OBJECTIVES
from denoisers.training.sources import open_data


def crops_per_second(work, crops: int, steps: int) -> float:
    work(0)  # what is made once
    began = time.perf_counter()
    for step in range(1, steps + 1):
        work(step)
    return crops * steps / (time.perf_counter() - began)


def measure(recipe, data: Path, steps: int, device: str, cache: Path) -> tuple[float, float]:
    """Crops a second of (loader, network)."""
    sources, *_ = open_data(recipe, data, cache=cache)
    d = recipe.data
    crops = Crops(sources, d.crop[:1], d.batch, recipe.seed, jitter=d.sigma_jitter, grey=d.grey)
    batch = crops(steps + 1).to(device)
    batch.noisy = batch.noisy.contiguous(memory_format=torch.channels_last)
    network = recipe.build().to(device, memory_format=torch.channels_last).train(not recipe.optimiser.freeze_norm)
    descent = Descent(network, recipe.optimiser)
    objective, options = OBJECTIVES[recipe.objective.name], arguments(recipe, device)
    dtype = precision(device)
    autocast = torch.autocast(torch.device(device).type, dtype, enabled=dtype != torch.float32)

    def learn(step):
        generator = torch.Generator(device).manual_seed(step)
        with autocast:
            loss = objective(network, batch, 0.0, generator, **options)
        network.zero_grad(set_to_none=True)
        loss.backward()
        with autocast:
            descent.step(1e-4)
        loss.item()  # a GPU works on by itself until it is asked

    count = len(batch.noisy)
    return crops_per_second(crops, count, steps), crops_per_second(learn, count, steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipes", default=",".join(recipes.names()))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device("auto")
    print(f"{device}, {precision(device)}, {args.threads} threads\n")
    print("| recipe | crop | loader, crops/s | network, crops/s | the loader is faster |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as cache:
        for name in args.recipes.split(","):
            recipe = recipes.load(name)
            loader, network = measure(recipe, args.data, args.steps, device, Path(cache))
            print(f"| {name} | {recipe.data.crop[0]} | {loader:.0f} | {network:.1f} | {loader / network:.0f} times |")


if __name__ == "__main__":
    main()
