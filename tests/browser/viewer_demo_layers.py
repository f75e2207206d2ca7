"""The demo page's images. They are computed, so that the tests need no file."""

import functools
import hashlib

import numpy as np


def _scene(height: int = 1000, width: int = 1500) -> np.ndarray:
    y, x = np.mgrid[:height, :width] / height
    red = 0.5 + 0.5 * np.sin(9 * x + 4 * np.sin(5 * y))
    green = 0.25 + 0.6 * ((x * 6).astype(int) + (y * 6).astype(int)) % 2 * 0.7 + 0.2 * y
    blue = np.exp(-((x - 0.75) ** 2 + (y - 0.5) ** 2) * 6)
    return (255 * np.clip(np.stack([red, green, blue], axis=-1), 0, 1)).astype(np.uint8)


def _noisy(scene: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, scene.shape)
    return np.clip(scene + noise, 0, 255).round().astype(np.uint8)


_CLEAN = _scene()
LAYERS = {
    "Noisy": _noisy(_CLEAN, 40, 1),
    "Wavelet <b>bold</b>": _noisy(_CLEAN, 14, 2),
    "DRUNet": _noisy(_CLEAN, 4, 3),
    "Reference": _CLEAN,
    "Stronger": _noisy(_CLEAN, 8, 4),
    "Too small": _CLEAN[:500, :500],
}
FRAMES = 30
FRAME_NAMES = [hashlib.sha256(f"frame {index}".encode()).hexdigest() for index in range(FRAMES)]


@functools.lru_cache(maxsize=8)
def frame(index: int) -> np.ndarray:
    """Frame ``index`` of a timeline: a bar of the grey ``8 * index`` crosses the middle."""
    array = _CLEAN.copy()
    array[400:600] = 8 * index
    return array


def layer(title: str, subtitle: str = "") -> dict:
    array = LAYERS[title]
    height, width = array.shape[:2]
    name = hashlib.sha256(array.tobytes()).hexdigest()
    return {"id": name, "title": title, "subtitle": subtitle, "width": width, "height": height}


def many(count: int) -> list[dict]:
    """Any number of layers, with long names."""
    title = "A denoiser with quite a long name, number {}".format
    return [layer("Noisy") | {"id": name, "title": title(i)} for i, name in enumerate(FRAME_NAMES[:count], 1)]


def timeline(count: int) -> dict:
    """A layer of ``count`` frames."""
    frames = [{"id": name, "title": f"Step {50 * i}"} for i, name in enumerate(FRAME_NAMES[:count], 1)]
    return layer("DRUNet") | {"id": "timeline", "title": "Timeline", "frames": frames}
