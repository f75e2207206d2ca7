"""Text removed blind by Noise2Noise, against inpainting that is told which pixels the text covers.

usage: python -m benchmarks.text_inpainting SETS [SETS ...] [--crop 128]   (folders of clean pictures, or: samples)

Text on a quarter of the pixels, as in the benchmark. ``inpainting`` fills them biharmonically (scikit-image) from the
others, which are exact there: a PSNR that a method could hardly pass without having learned what lies under text.
``covered`` is the share of Noise2Noise's squared error on those pixels.
"""

import argparse

import numpy as np
from skimage.restoration import inpaint_biharmonic

import denoisers
from denoisers.benchmark import Set, given
from denoisers.engine.device import in_float32
from denoisers.metrics import psnr

CONDITION = "text 25 %"


@in_float32()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--crop", type=int, default=128)
    args = parser.parse_args()
    model = denoisers.load("noise2noise", "text")
    print(f"Mean PSNR, dB, central {args.crop} x {args.crop}.\n")
    print("| set | pictures | noisy | inpainting, told | noise2noise.text, blind | covered |")
    print("|---|---:|---:|---:|---:|---:|")
    for folder in args.sets:
        source, table = Set(folder, crop=args.crop), []
        for label in source.files:
            picture = source.open(label)
            noisy, _ = given(picture, CONDITION)
            covered = (noisy != picture.clean).any(-1)
            told = inpaint_biharmonic(np.where(covered[..., None], 0, noisy), covered, channel_axis=-1)
            blind = model.denoise(noisy).image
            error = np.square(blind - picture.clean)
            restored = (noisy, np.clip(told, 0, 1), blind)
            table.append([*(psnr(r, picture.clean) for r in restored), error[covered].sum() / error.sum()])
        *means, share = np.mean(table, 0)
        print(f"| {source.name} | {len(table)} | {' | '.join(f'{m:.2f}' for m in means)} | {share:.0%} |", flush=True)


if __name__ == "__main__":
    main()
