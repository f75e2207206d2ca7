"""How much of a real pair's difference no denoiser can take away: motion and drift between the two shots.

usage: python -m benchmarks.pair_limit PAIRS [PAIRS ...] [--names a,b]   (folders that assets/benchmark.json names)

``limit`` is the PSNR of the noisy shot freed of all its noise: what remains is what the clean shot says of the
difference, block by block (``benchmarks.noise_level.predicted``). The other columns are those of assets/benchmark.json,
on the same centres.
"""

import argparse
from pathlib import Path

import numpy as np

from denoisers.benchmark import NOISY, Set, read

from .noise_level import predicted

RESULTS = Path(__file__).parent.parent / "assets" / "benchmark.json"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--names", default="dct_wiener,drunet.camera")
    args = parser.parse_args()
    results, names = read(RESULTS), [NOISY, *args.names.split(",")]
    print("PSNR, dB.\n")
    print(f"| picture | {' | '.join(names)} | limit |\n|---|{'---:|' * (len(names) + 1)}")
    for folder in args.sets:
        source = Set(folder, crop=results["crop"])
        scores = {r["model"]: r["each"] for r in results["rows"] if r["set"] == source.name}
        table = []
        for place, label in enumerate(source.files):
            picture = source.open(label)
            limit = -10 * np.log10(np.square(predicted(picture.noisy, picture.clean)[1]).mean())
            each = [scores[name][place] for name in names]
            assert {one["picture"] for one in each} == {label}
            table.append([*(one["psnr"] for one in each), limit])
            print(f"| {label} | {' | '.join(f'{value:.2f}' for value in table[-1])} |")
        print(f"| **{source.name}, mean** | {' | '.join(f'{value:.2f}' for value in np.mean(table, 0))} |")


if __name__ == "__main__":
    main()
