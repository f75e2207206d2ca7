"""Names -> methods. A method is one module of ``denoisers.methods`` with a SPEC and a ``denoise``."""

import functools
import importlib
import importlib.util

from .errors import DenoiserError
from .spec import DenoiserSpec

METHODS = (
    *("nlm", "tv", "wavelet", "bilateral", "dct_wiener", "bm3d"),
    *("inr", "zs_n2n"),
    *("noise2noise", "noise2same", "noise2same_pro"),
    *("rednet", "mwcnn", "pridnet", "adnet", "drunet", "own"),
    *("invdn",),
)


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


def automatic(name: str, params: dict) -> dict:
    """What a method takes for parameters that are left on automatic beside these, where the picture has no say."""
    module = method(name)
    return module.automatic(**params) if hasattr(module, "automatic") else {}


def runs_here(module) -> bool:
    """Whether a method has all it needs: its optional package, and weights in the catalogue."""
    needed = module.SPEC.requires
    if needed and importlib.util.find_spec(needed) is None:
        return False
    return not module.SPEC.needs_weights or bool(tags(module.SPEC.name))


@functools.cache
def _names() -> tuple[str, ...]:
    modules = {name: importlib.import_module(f".methods.{name}", __package__) for name in METHODS}
    return tuple(sorted(name for name, module in modules.items() if runs_here(module)))


def names() -> list[str]:
    """Names of the denoisers that can run here, alphabetically."""
    return list(_names())


def tags(name: str) -> tuple[str, ...]:
    """The tags of a method's weights in the catalogue, the default one first."""
    from .weights import catalogue

    return tuple(catalogue().get(name, {}))


@functools.cache
def spec(name: str) -> DenoiserSpec:
    """The DenoiserSpec of a method, its weights as the catalogue has them."""
    return method(name).SPEC.model_copy(update={"weights": tags(name)})
