"""What the mean over eight orientations adds to a network's answer, and what it costs.

usage: python -m benchmarks.self_ensemble SET [SET ...] [--names drunet.awgn ...] [--crop 256] [--pictures 20]

Sets of pairs as they are, sets of clean pictures with white noise of sigma 25, told to the networks that hear a level.
PSNR in dB, mean over the pictures; time as a multiple of the one answer's, both in one run; in float32.
"""

import argparse

import numpy as np

import denoisers
from denoisers import benchmark
from denoisers.engine.device import in_float32
from denoisers.metrics import psnr


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--names", nargs="+", help="METHOD.TAG; all networks if none is given")
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--pictures", type=int, default=20)
    args = parser.parse_args()
    able = [name for name in denoisers.names() if "self_ensemble" in denoisers.spec(name).resolve({})]
    print("| | set | one answer | of eight | gain | time |\n|---|---|---:|---:|---:|---:|")
    for name in benchmark.models(args.names or able):
        model = benchmark.open_model(name)
        for folder in args.sets:
            source, scores, seconds = benchmark.Set(folder, args.pictures, args.crop), [], []
            condition = source.conditions[0] if benchmark.PHOTOGRAPHED in source.conditions else "sigma 25"
            for label in source.files:
                picture = source.open(label)
                noisy, level = benchmark.given(picture, condition)
                told = {"sigma": level} if level and benchmark.takes_level(model) else {}
                with in_float32():
                    results = [model.denoise(noisy, self_ensemble=on, **told) for on in (False, True)]
                scores.append([psnr(result.image, picture.clean) for result in results])
                seconds.append([result.seconds for result in results])
            one, eight = np.mean(scores, 0)
            time = np.divide(*np.sum(seconds, 0)[::-1])
            print(f"| {name} | {source.name} | {one:.2f} | {eight:.2f} | {eight - one:+.2f} | {time:.1f} |", flush=True)


if __name__ == "__main__":
    main()
