"""DRUNet, told the noise level: the learned denoiser for noise of known strength."""

import numpy as np

from ..engine.network import run_network
from ..spec import SIGMA, STRENGTH, DenoiserSpec
from .self_ensemble import SELF_ENSEMBLE, restore

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
    params=(SIGMA, STRENGTH, SELF_ENSEMBLE),
)


SIDE = 192  # of the four parts by which a large picture's level is settled
BLOCK = 16  # in which what is taken away is measured
ROUNDS = 6  # that lower the level at most: a picture without noise needs the most
SETTLED = 0.97  # a level that would fall by less stays


def level(image, noise, *, run, network, device) -> float:
    """The noise level to tell, image units, where ``noise`` was found in the picture.

    Texture may pass for a camera's noise. Told too much, the network takes texture away as well, but less of it than
    it was told: the level falls until it is no more than ``network.discrepancy`` times what is taken (the discrepancy
    principle: V. A. Morozov, 1966). A camera's noise goes with brightness and texture does not fill a picture, so what
    counts is the calmer half of the noisiest quarter of the brightness. White noise is told from texture anyhow, and
    weights for white noise leave much of a camera's in the picture: neither is settled so.
    """
    if noise.method == "chen" or noise.sigma == 0 or not hasattr(network, "discrepancy"):
        return noise.sigma
    sigma, parts = noise.sigma, sample(image)
    darkest_first = np.argsort(np.concatenate([blocks(part) for part in parts]), kind="stable")
    quarters = np.array_split(darkest_first, min(4, darkest_first.size))
    for _ in range(ROUNDS):
        taken = [part - run_network(network, part, run, device=device, sigma=sigma) for part in parts]
        power = np.concatenate([blocks(np.square(t)) for t in taken])
        found = max(float(calmer_half(power[quarter]).mean()) for quarter in quarters) ** 0.5
        if network.discrepancy * found > SETTLED * sigma:
            break
        sigma = network.discrepancy * found
    return sigma


def blocks(picture) -> np.ndarray:
    """The means of a picture's blocks, all channels together; what fills no block is left out."""
    h, w = picture.shape[:2]
    side = min(BLOCK, h, w)
    whole = picture[: h // side * side, : w // side * side].mean(-1)
    return whole.reshape(h // side, side, w // side, side).mean((1, 3)).ravel()


def calmer_half(values) -> np.ndarray:
    return np.sort(values)[: (values.size + 1) // 2]


def sample(image) -> list[np.ndarray]:
    """The picture, or of a large one the middles of its quarters."""
    h, w = image.shape[:2]
    if h * w <= 4 * SIDE**2:
        return [image]
    corners = [
        (max(0, int(y * h) - SIDE // 2), max(0, int(x * w) - SIDE // 2)) for y in (0.25, 0.75) for x in (0.25, 0.75)
    ]
    return [image[y : y + SIDE, x : x + SIDE] for y, x in corners]


def denoise(image, *, sigma, strength, self_ensemble, run, network, device):
    told = float(sigma * strength)
    if told == 0:
        return image
    return restore(network, image, run, device=device, sigma=told, self_ensemble=self_ensemble)
