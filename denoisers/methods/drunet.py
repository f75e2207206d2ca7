"""DRUNet, told the noise level: the learned denoiser for noise of known strength."""

from ..engine.network import run_network
from ..spec import SIGMA, STRENGTH, DenoiserSpec

SPEC = DenoiserSpec(
    name="drunet",
    title="DRUNet",
    family="supervised",
    year=2021,
    good_for="The best here on even, white noise: a trained network that is told how strong the noise is.",
    trained_for="White Gaussian noise of 0 to 55 (of 255).",
    citation="K. Zhang, Y. Li, W. Zuo, L. Zhang, L. Van Gool, R. Timofte. Plug-and-play image restoration with deep "
    "denoiser prior. IEEE TPAMI 2021.",
    needs_weights=True,
    weights_licence="see weights/catalogue.toml",
    cost=3,
    params=(SIGMA, STRENGTH),
    weights=("awgn",),
)


def build(**arguments):
    from ..networks.drunet import DRUNet

    return DRUNet(**arguments)


def denoise(image, *, sigma, strength, run, network, device):
    import numpy as np

    level = float(sigma * strength)
    if level <= 0:
        return image
    grey = image.shape[-1] == 1
    picture = np.repeat(image, 3, -1) if grey else image
    restored = run_network(network, picture, run, device=device, sigma=level)
    return restored.mean(-1, keepdims=True) if grey else restored
