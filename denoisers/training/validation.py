"""How good a training is so far: PSNR and SSIM on scenes it never sees, and pictures to look at."""

from pathlib import Path

import numpy as np

from ..denoiser import apply
from ..metrics import psnr, ssim
from ..registry import method, tags
from ..run import Run
from .recipe import load, names

SIDE, COUNT = 256, 12
"""Crops that are scored: the middle of up to COUNT held-back pictures, at most SIDE pixels a side."""
SHOWN = 4
"""Crops in a preview picture."""


class Validation:
    """Scores averaged weights with the method's own way from a noisy picture to a restored one.

    Args:
        recipe: says which method, network and noise.
        pictures: (noisy, clean, sigma): H x W x 3 float32 in [0, 1], clean None where there is none.
        folder: of the preview pictures, one a validation, STEP.png.
    """

    def __init__(self, recipe, pictures, folder: Path, device: str):
        step = max(1, len(pictures) // COUNT)
        self.crops = [(*(None if p is None else middle(p) for p in pair), s) for *pair, s in pictures[::step][:COUNT]]
        self.recipe, self.folder, self.device = recipe, folder, device
        self.network = None

    def __bool__(self):
        return bool(self.crops)

    def __call__(self, weights, step: int) -> dict:
        """{"psnr": dB, "ssim": ..., "preview": file name}, means over the crops; no scores without clean ones."""
        if self.network is None:
            self.network = self.recipe.build().to(self.device).eval().requires_grad_(False)
        self.network.load_state_dict(weights)
        return self.judge(self.network, f"{step:07d}.png")

    def default(self) -> dict:
        """The same of Grainwise's own weights, and their ``weights`` name: those that it began with, else the method's
        for this noise, else its default; empty if there are none."""
        from ..weights import read_network

        name = self.recipe.method
        if not tags(name):
            return {}
        tag = min(tags(name), key=lambda tag: self.foreign(f"{name}.{tag}"))
        return {"weights": f"{name}.{tag}"} | self.judge(read_network(name, tag, self.device), "default.png")

    def foreign(self, weights: str) -> tuple[bool, bool]:
        """How far weights of the catalogue are from what is trained here."""
        return weights != self.recipe.start, weights not in names() or load(weights).kind != self.recipe.kind

    def noisy(self) -> dict:
        """The scores of the crops as they are."""
        return self.scores([noisy for noisy, _, _ in self.crops])

    def judge(self, network, name: str) -> dict:
        restored = [self.restore(network, noisy, sigma) for noisy, _, sigma in self.crops]
        return {"preview": self.preview(restored, name)} | self.scores(restored)

    def scores(self, restored) -> dict:
        scored = [(r, clean) for r, (_, clean, _) in zip(restored, self.crops, strict=True) if clean is not None]
        if not scored:
            return {}
        return {
            "psnr": round(float(np.mean([psnr(r, c) for r, c in scored])), 3),
            "ssim": round(float(np.mean([ssim(r, c) for r, c in scored])), 4),
        }

    def restore(self, network, noisy, sigma):
        module = method(self.recipe.method)
        params = module.SPEC.resolve({"sigma": sigma} if network.takes_sigma else {})
        restored, _ = apply(module, noisy, run=Run(), network=network, device=self.device, **params)
        return restored

    def preview(self, restored, name: str) -> str:
        """Rows of noisy | restored | clean, as ``previews/NAME``."""
        from PIL import Image

        side = min(min(noisy.shape[:2]) for noisy, _, _ in self.crops)
        with_clean, rows = any(clean is not None for _, clean, _ in self.crops), []
        for answer, (noisy, clean, _) in list(zip(restored, self.crops, strict=True))[:SHOWN]:
            columns = [noisy, answer] + [np.zeros_like(noisy) if clean is None else clean] * with_clean
            columns = [p[:side, :side] for p in columns]
            rows.append(np.clip(np.concatenate(columns, 1), 0, 1))
        self.folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((np.concatenate(rows) * 255 + 0.5).astype(np.uint8)).save(self.folder / name)
        return name


def middle(picture):
    """The central crop of at most SIDE x SIDE."""
    height, width = picture.shape[:2]
    y, x = max(0, (height - SIDE) // 2), max(0, (width - SIDE) // 2)
    return picture[y : y + SIDE, x : x + SIDE]
