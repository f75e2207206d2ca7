"""Architectures, one file each: plain modules that know neither files nor pictures.

Each maps N x C x H x W in [0, 1] to the same shape and says, for the engine, ``multiple`` (H and W must be
multiples of it), ``colours`` (C) and ``takes_sigma`` (whether ``forward`` wants the noise level too).
"""

import importlib

ARCHITECTURES = {
    "adnet": "ADNet",
    "drunet": "DRUNet",
    "invdn": "InvDN",
    "mwcnn": "MWCNN",
    "noise2noise_unet": "Noise2NoiseUNet",
    "noise2same_unet": "Noise2SameUNet",
    "pridnet": "PRIDNet",
    "rednet": "REDNet",
}


def build(architecture: str, **arguments):
    """An untrained network: ``build("drunet", widths=(32, 64, 128, 256))``."""
    module = importlib.import_module(f".{architecture}", __package__)
    return getattr(module, ARCHITECTURES[architecture])(**arguments)
