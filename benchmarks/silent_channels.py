"""How much of each network is awake: the channels behind ReLUs that never fire on noisy pictures.

usage: python -m benchmarks.silent_channels [NAME.TAG ...]   (all weights whose networks tell their ReLUs by default)

Four pictures of scikit-image, 192 x 192 each, with white noise of 5, 15, 25 and 50 of 255; a channel is silent if it is
so by the measure of ``denoisers.training.recycle``, over all of them.
"""

import argparse

import numpy as np
import torch
from skimage import data

from denoisers.noise import add_noise
from denoisers.training.recycle import Recycling
from denoisers.weights import catalogue, read_network

PICTURES = (data.astronaut, data.coffee, data.chelsea, data.cat)
LEVELS = (5, 15, 25, 50)  # of 255
SIDE = 192


def noisy_pictures():
    """Yield (4 x 3 x SIDE x SIDE with one noise, its standard deviation)."""
    for seed, level in enumerate(LEVELS):
        crops = (picture()[64 : 64 + SIDE, 64 : 64 + SIDE] / 255 for picture in PICTURES)
        noisy = np.stack([add_noise(crop.astype(np.float32), "gaussian", level / 255, seed) for crop in crops])
        yield torch.from_numpy(noisy).permute(0, 3, 1, 2).float(), level / 255


@torch.inference_mode()
def silent(network) -> list[torch.Tensor]:
    """Which channels are silent, a ReLU an entry, from the first to the last."""
    recycling = Recycling(network, average=None, every=1, mean=None)
    recycling.watch()
    for pictures, sigma in noisy_pictures():
        network(pictures, sigma) if network.takes_sigma else network(pictures)
    return recycling.silent()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="METHOD.TAG")
    print("| weights | channels | silent | ReLUs of which more than half are |")
    print("|---|---|---|---|")
    for name in parser.parse_args().names or [f"{name}.{tag}" for name, tags in catalogue().items() for tag in tags]:
        network = read_network(*name.split("."), "cpu")
        if not hasattr(network, "rectified"):
            continue
        layers = silent(network)
        channels = torch.cat(layers)
        mostly = sum(layer.float().mean() > 0.5 for layer in layers)
        print(f"| {name} | {len(channels)} | {channels.float().mean():.0%} | {mostly} of {len(layers)} |", flush=True)


if __name__ == "__main__":
    main()
