"""Time and PSNR of the INR's two presets: the fast one to its end, by the book to its best iterate.

usage: python -m benchmarks.inr_speed [--pictures camera,astronaut] [--book-steps N]

256 x 256 crops of scikit-image's camera and astronaut, white Gaussian noise of sigma 25, unclipped, seed 0. Time is
CPU time of one thread: on a busy machine it says more than the clock. PSNR: range 1, clipped.
"""

import argparse
import time

import numpy as np
import torch
from skimage import data

from denoisers.inr import BOOK, Fit, oracle
from denoisers.methods import inr
from denoisers.metrics import psnr
from denoisers.run import Run

CROPS = {
    "camera": lambda: data.camera()[64:320, 128:384, None],
    "astronaut": lambda: data.astronaut()[0:256, 128:384],
}
SIGMA = 25 / 255


BEST = 300
"""Iteration at which by the book is best, about; for a run that was cut short before."""


def book(noisy, clean, steps):
    """(best iteration, its PSNR, CPU-seconds a step); what is kept for scoring is not timed."""
    fit, seconds = Fit(noisy, BOOK, clean, 1.05 if steps >= BEST else float("inf")), []
    states = fit.steps(steps)
    for _ in range(steps):
        began = time.thread_time()
        state = next(states)
        if state.mse is None:
            seconds.append(time.thread_time() - began)
    return oracle(fit.trajectory).iteration, max(fit.trajectory.psnr), np.mean(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", default="camera,astronaut")
    parser.add_argument("--book-steps", type=int, default=420, help=f"less than {BEST} only times a step")
    args = parser.parse_args()
    torch.set_num_threads(1)
    inr.denoise(np.eye(9, dtype=np.float32)[..., None], run=Run(), **inr.SPEC.resolve({"sigma": SIGMA}))  # imports
    print("| picture | preset | iteration | PSNR | CPU-s | ratio |\n|---|---|---:|---:|---:|---:|", flush=True)
    for name in args.pictures.split(","):
        clean = (CROPS[name]() / 255).astype(np.float32)
        noisy = clean + SIGMA * np.random.default_rng(0).standard_normal(clean.shape).astype(np.float32)
        began = time.thread_time()
        image, extras = inr.denoise(noisy, run=Run(), **inr.SPEC.resolve({"sigma": SIGMA}))
        fast = time.thread_time() - began
        iteration = extras["iterations"][0]
        print(f"| {name} | fast | {iteration} | {psnr(image, clean):.2f} | {fast:.2f} | 1 |", flush=True)
        best, score, step = book(noisy, clean, args.book_steps)
        if args.book_steps < BEST:
            best, score = BEST, float("nan")
        print(f"| {name} | book | {best} | {score:.2f} | {best * step:.0f} | {best * step / fast:.0f} |", flush=True)


if __name__ == "__main__":
    main()
