"""The way to run a network that judges the noise for itself."""

from .blend import BLEND, blend
from .self_ensemble import SELF_ENSEMBLE, restore

PARAMS = BLEND, SELF_ENSEMBLE


def denoise(image, *, strength, self_ensemble, run, network, device):
    return blend(image, restore(network, image, run, device=device, self_ensemble=self_ensemble), strength)
