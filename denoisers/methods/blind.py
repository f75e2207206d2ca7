"""The way to run a network that judges the noise for itself."""

from ..engine.network import run_network
from .blend import blend


def denoise(image, *, strength, run, network, device):
    return blend(image, run_network(network, image, run, device=device), strength)
