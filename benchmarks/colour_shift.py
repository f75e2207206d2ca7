"""How far a denoiser moves the mean of each colour channel: on real pairs, and on flat pictures, dark ones among them.

usage: python -m benchmarks.colour_shift PAIRS [PAIRS ...] [--model drunet.camera] [--crop 512]   (sets of real pairs)

Of 255, over channels and pictures: mean and largest absolute value. ``given`` is how far the noisy shot's mean lies
from the clean one's (light that changed between the shots, noise clipped at black); ``left`` how far the restored one's
does; ``moved`` their difference, what the denoiser did. Flat pictures have camera noise of the level 10, and what is
left of it is the standard deviation.
"""

import argparse

import numpy as np

import denoisers
from denoisers.benchmark import Set
from denoisers.noise import add_noise

LEVELS = (2, 8, 32, 128, 224)
"""Of the flat pictures, of 255."""
SIDE, NOISE = 256, 10


def shift(image, reference):
    return 255 * (image - reference).mean((0, 1), dtype=np.float64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--model", default="drunet.camera")
    parser.add_argument("--crop", type=int, default=512)
    args = parser.parse_args()
    method, _, tag = args.model.partition(".")
    denoise = denoisers.load(method, tag or None).denoise
    print("| pairs | pictures | given | left | moved |\n|---|---:|---|---|---|")
    for folder in args.sets:
        source, found = Set(folder, crop=args.crop), []
        for label in source.files:
            picture = source.open(label)
            restored = denoise(picture.noisy).image
            both = shift(picture.noisy, picture.clean), shift(restored, picture.clean)
            found.append([*both, shift(restored, picture.noisy)])
        cells = [f"{one.mean():.2f} ({one.max():.2f})" for one in np.abs(found).swapaxes(0, 1)]
        print(f"| {source.name} | {len(found)} | {' | '.join(cells)} |", flush=True)
    print("\n| flat | given | left | noise | noise left |\n|---:|---|---|---|---|")
    for level in LEVELS:
        clean = np.full((SIDE, SIDE, 3), level / 255, np.float32)
        noisy = add_noise(clean, "camera", NOISE / 255, seed=level)
        restored = denoise(noisy).image
        given, left = (np.abs(shift(image, clean)).max() for image in (noisy, restored))
        stds = [255 * (image - image.mean((0, 1))).std() for image in (noisy, restored)]
        print(f"| {level} | {given:.2f} | {left:.2f} | {stds[0]:.1f} | {stds[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
