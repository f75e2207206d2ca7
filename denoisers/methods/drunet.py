"""DRUNet, told the noise level: the learned denoiser for noise of known strength."""

from ..engine.network import run_network
from ..spec import SIGMA, STRENGTH, DenoiserSpec

SPEC = DenoiserSpec(
    name="drunet",
    title="DRUNet",
    family="supervised",
    year=2021,
    good_for="The best here for most photos: a trained network that is told how strong the noise is.",
    trained_for="camera: noise of real cameras after their processing. awgn: white Gaussian noise of 0 to 55 (of 255).",
    citation="K. Zhang, Y. Li, W. Zuo, L. Zhang, L. Van Gool, R. Timofte. Plug-and-play image restoration with deep "
    "denoiser prior. IEEE TPAMI 2021.",
    needs_weights=True,
    weights_licence="stated with each file",
    cost=4,
    params=(SIGMA, STRENGTH),
)


def denoise(image, *, sigma, strength, run, network, device):
    level = float(sigma * strength)
    return run_network(network, image, run, device=device, sigma=level) if level > 0 else image
