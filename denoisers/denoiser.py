"""A denoiser that is ready to run, and what it returns."""

import time
from dataclasses import dataclass, field

import numpy as np

from .engine.device import memory_told, pick_device
from .errors import ImageError, ParameterError
from .images import distinct_channels, to_float
from .registry import method, spec
from .run import Run

BELOW = 0.35
"""How far below 0 what lies there may lie on average: the strongest noise reaches 0.32, a scale of -1 to 1 more."""


@dataclass
class Result:
    """What a denoiser made of a picture.

    ``image`` H x W x C float32 in [0, 1], as many channels as given; ``seconds`` of wall time; ``params`` as
    used, in library units, the estimated ones filled in; ``extras`` named arrays, curves, and notes; the pictures
    among them have one channel where ``image`` is grey.
    """

    image: np.ndarray
    seconds: float
    params: dict
    extras: dict = field(default_factory=dict)


class Denoiser:
    """One method with its weights on one device. Made by ``load``; safe to use from several threads."""

    def __init__(self, name: str, weights: str | None = None, device: str = "auto"):
        self.module = method(name)
        self.spec, self.name = spec(name), name
        self.weights, self.device = None, "cpu"
        if self.spec.needs_weights or self.spec.trains:
            self.device = pick_device(device)
        if self.spec.needs_weights:
            from .own_weights import is_file
            from .weights import entry

            self.weights = str(weights) if is_file(weights) else entry(name, weights)[0]
            _ = self.network  # a missing or damaged file is told here
        elif weights is not None:
            raise ParameterError(f"{self.spec.title} has no weights; {weights!r} was asked for.")

    @property
    def network(self):
        """The network, from the library's cache: held here it would outlive its place there."""
        from .weights import CACHE

        return CACHE.get(self.name, self.weights, self.device)

    def _tools(self) -> dict:
        """What a method is given besides the picture and its parameters."""
        tools = {"network": self.network} if self.spec.needs_weights else {}
        return tools | ({"device": self.device} if self.spec.needs_weights or self.spec.trains else {})

    def level(self, picture, noise, cancelled=None) -> float:
        """The noise level that the method works with where none is given, image units.

        Args:
            picture: H x W x C float32 in [0, 1].
            noise: what ``noise.describe_noise`` found in it. A method with a ``level`` of its own may correct that.
            cancelled: as for ``denoise``.

        At most what the method may be told: salt and pepper, for one, may read as more.
        """
        if hasattr(self.module, "level"):
            found = self.module.level(distinct_channels(picture), noise, run=Run(cancelled=cancelled), **self._tools())
        else:
            found = noise.sigma
        return min(found, next((param.max for param in self.spec.params if param.name == "sigma"), found))

    def denoise(self, image, reference=None, on_progress=None, cancelled=None, **params) -> Result:
        """Remove the noise from a picture.

        Args:
            image: H x W or H x W x C (C 1 or 3), float in [0, 1], uint8 or uint16, sRGB-encoded.
            reference: clean picture of the same shape; its PSNR and SSIM are put in ``extras["scores"]``.
            on_progress: called as on_progress(fraction, preview=None), at least twice a second on long work.
            cancelled: polled; when it returns True the run stops with ``Cancelled``.
            **params: the method's own, see ``spec.params``; noise levels in image units.

        A grey picture in three equal channels is denoised as the one it is, and so stays grey.

        Raises ImageError, ParameterError, Cancelled.
        """
        whole = to_float(image)
        picture = distinct_channels(whole)
        if picture.min() < -2 * BELOW and -picture[picture < 0].mean() > BELOW:
            raise ImageError(f"The array runs from {picture.min():g}, as if on a scale from -1; give it in [0, 1].")
        if reference is not None and (shape := to_float(reference).shape) != whole.shape:
            raise ImageError(f"The reference is {shape} and the picture {whole.shape}; they must be of one shape.")
        params = self.spec.resolve(params)
        run = Run(on_progress, cancelled)
        began = time.perf_counter()
        run.step(0.0)
        with memory_told(self.device, "Take a part of the picture, or end what else needs memory."):
            if "sigma" in params and params["sigma"] is None:
                from .noise import describe_noise

                params["sigma"] = self.level(picture, describe_noise(picture), cancelled)
            restored, extras = apply(self.module, picture, run=run, **self._tools(), **params)
        if restored.shape != whole.shape:
            restored = restored.repeat(whole.shape[-1], -1)
        seconds = time.perf_counter() - began
        if reference is not None:
            from .metrics import psnr, ssim

            extras["scores"] = {"psnr": psnr(restored, reference), "ssim": ssim(restored, reference)}
        return Result(restored, seconds, params, extras)


def apply(module, picture, **given):
    """(restored, extras) of a method's module: H x W x C float32 in [0, 1], and what it has to tell besides."""
    returned = module.denoise(picture, **given)
    restored, extras = returned if isinstance(returned, tuple) else (returned, {})
    return np.clip(np.asarray(restored, np.float32), 0, 1), extras


def load(name: str, weights: str | None = None, device: str = "auto") -> Denoiser:
    """A denoiser by name, ready to run. Networks are cached per (name, weights, device).

    Args:
        name: one of ``names()``; "own" for a network that only its weight file knows.
        weights: a tag of the catalogue, the method's default if None; or a file of yours (.safetensors, .pth, .pt,
            .ckpt), see ``own_weights``.
        device: "auto", "cpu", "cuda:0", "mps"; methods without a network run on the CPU whatever it says.

    Raises DenoiserError: no such name or device; WeightsError: weights missing, damaged or of another network.
    """
    return Denoiser(name, weights, device)
