"""Names -> methods. A method is one module of ``denoisers.methods`` with a SPEC and a ``denoise``."""

import functools
import importlib
import importlib.util

from .errors import DenoiserError
from .spec import DenoiserSpec

METHODS = ("nlm", "tv", "wavelet", "bilateral", "dct_wiener", "bm3d", "drunet")


@functools.cache
def method(name: str):
    """The module of a method; DenoiserError lists the names if there is none, and says what to install."""
    if name not in METHODS:
        raise DenoiserError(f"There is no denoiser {name!r}; there is {', '.join(names())}.")
    module = importlib.import_module(f".methods.{name}", __package__)
    needed = module.SPEC.requires
    if needed and importlib.util.find_spec(needed) is None:
        raise DenoiserError(f"{module.SPEC.title} needs the optional package {needed!r}: pip install {needed}")
    return module


@functools.cache
def names() -> list[str]:
    """Names of the denoisers that can run here, alphabetically."""

    def here(name):
        needed = importlib.import_module(f".methods.{name}", __package__).SPEC.requires
        return not needed or importlib.util.find_spec(needed) is not None

    return sorted(name for name in METHODS if here(name))


def spec(name: str) -> DenoiserSpec:
    """The DenoiserSpec of a method."""
    return method(name).SPEC
