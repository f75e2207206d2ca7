"""Peak memory and time of denoisers on one large picture, each in a process of its own.

usage: python -m benchmarks.large_picture [--megapixels 24] [--names drunet,...]

The picture is scikit-image's astronaut, repeated, with white noise of 10/255, saved as JPEG; the figure includes
reading it and writing the result.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import denoisers

CHILD = """
import resource, sys
from denoisers.__main__ import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def main():
    from skimage import data

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--names", default="drunet")
    args = parser.parse_args()
    height = int((args.megapixels * 1e6 / 1.5) ** 0.5)
    width = int(1.5 * height)
    tile = data.astronaut()
    picture = np.tile(tile, (-(-height // 512), -(-width // 512), 1))[:height, :width]
    print("| denoiser | megapixels | seconds | peak memory, GB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        noise = np.random.default_rng(0).standard_normal(picture.shape, np.float32)
        denoisers.images.write(path, np.clip(picture / np.float32(255) + noise * np.float32(10 / 255), 0, 1))
        del noise
        for name in args.names.split(","):
            command = [sys.executable, "-c", CHILD, "denoise", str(path), "-d", name, "-o", f"{folder}/out.jpg", "-q"]
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds = time.perf_counter() - began
            gigabytes = int(done.stdout.split()[-1]) * (1 if sys.platform == "darwin" else 1024) / 1e9
            print(f"| {name} | {height * width / 1e6:.1f} | {seconds:.0f} | {gigabytes:.2f} |", flush=True)


if __name__ == "__main__":
    main()
