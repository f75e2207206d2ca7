"""Grainwise's library: every denoiser behind one call.

>>> import denoisers
>>> denoisers.load("nlm").denoise(noisy).image  # doctest: +SKIP
"""

from . import errors, images, metrics, noise
from .denoiser import Denoiser, Result, load
from .registry import names, spec

__version__ = "0.1.0"
__all__ = ["Denoiser", "Result", "errors", "images", "load", "metrics", "names", "noise", "spec"]
