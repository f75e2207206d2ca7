"""Zero-Shot Noise2Noise: a tiny network that learns to denoise from the one picture it is given.

Mansour, Heckel, "Zero-Shot Noise2Noise: Efficient Image Denoising without any Data", CVPR 2023. Two half-size
copies of the picture, made from different pixels, show the same scene with independent noise: a Noise2Noise pair.

Departures, for speed: a step sees two random crops, not the whole picture, whose size then hardly matters; the
picture is standardised and the rate starts twice as high; it falls to zero over the second half, where the paper
halves it once. On a 256 x 256 picture this takes a fifth of the paper's time and gives up 0.2 dB.
"""

import time

import numpy as np

from ..engine.network import run_network
from ..spec import SEED, DenoiserSpec, Param
from .blend import BLEND, blend
from .noise2same import standardise

SPEC = DenoiserSpec(
    name="zs_n2n",
    title="Zero-shot Noise2Noise",
    family="zero-shot",
    year=2023,
    good_for="White noise only: learns from your picture alone, whatever it shows and however strong the noise is.",
    trained_for="Not trained beforehand. Assumes that the noise of neighbouring pixels is unrelated, which it is not "
    "in developed photos and JPEGs: there it changes little.",
    citation="Y. Mansour, R. Heckel. Zero-shot Noise2Noise: Efficient image denoising without any data. CVPR 2023.",
    random=True,
    trains=True,
    cost=120,
    params=(
        BLEND,
        Param(
            name="steps",
            title="Steps",
            kind="int",
            default=2000,
            min=10,
            max=10_000,
            step=10,
            help="How long the network learns, and you wait. Half the usual steps cost 0.2 to 0.3 dB.",
        ),
        Param(
            name="lr",
            title="Learning rate",
            default=2e-3,
            min=1e-4,
            max=1e-2,
            log=True,
            advanced=True,
            help="Size of Adam's steps on the standardised picture; falls to zero over the second half.",
        ),
        SEED,
    ),
)

CROP, BATCH = 64, 2
"""Side of the crops, pixels, and how many a step sees."""
PREVIEW = 100_000
"""Pixels of a preview, at most."""


def halves(x):
    """D1(x), D2(x): the means of the two diagonals of every 2 x 2 pixels (section 3.1, eq. 3)."""
    return (x[..., ::2, ::2] + x[..., 1::2, 1::2]) / 2, (x[..., ::2, 1::2] + x[..., 1::2, ::2]) / 2


def loss(g, x):
    """L_res + L_cons: each half denoised is the other half, and half of the whole denoised (eq. 6 and 7)."""

    def distance(a, b):
        return (a - b).square().mean()

    d1, d2 = halves(x)
    g1, g2 = g(d1), g(d2)
    whole1, whole2 = halves(g(x))
    return (distance(g1, d2) + distance(g2, d1) + distance(g1, whole1) + distance(g2, whole2)) / 2


def denoise(image, *, strength, steps, lr, seed, run, device="cpu"):
    """A picture one pixel high or wide has no diagonals to learn from and comes back as it is."""
    import torch

    from ..networks.zs_n2n import ZSN2N

    if min(image.shape[:2]) < 2 or strength == 0 or np.ptp(image) == 0:  # nothing to learn from
        return image
    standardised, mean, std = standardise(image)
    x = torch.from_numpy(standardised.transpose(2, 0, 1))[None].to(device)
    g = ZSN2N(x.shape[1], generator=torch.Generator().manual_seed(seed)).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(g.parameters())
    rng = np.random.default_rng(seed)
    crop = [min(CROP, side - side % 2) for side in x.shape[2:]]
    # every n-th pixel: the noise in the preview is as strong and as white as in the picture
    n = int(np.ceil((x[0, 0].numel() / PREVIEW) ** 0.5))
    training, shown = run.part(0, 0.9), time.monotonic()
    for step in range(steps):
        run.poll()
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1, 2 * (1 - step / steps))
        corners = rng.integers(0, [side - c + 1 for side, c in zip(x.shape[2:], crop, strict=True)], (BATCH, 2))
        crops = torch.cat([x[:, :, i : i + crop[0], j : j + crop[1]] for i, j in corners])
        optimiser.zero_grad()
        loss(g, crops.contiguous(memory_format=torch.channels_last)).backward()
        optimiser.step()
        if time.monotonic() - shown > 0.4:
            with torch.inference_mode():
                answer = g(x[..., ::n, ::n])[0].permute(1, 2, 0).cpu().numpy() * std + mean
            training.step((step + 1) / steps, np.clip(blend(image[::n, ::n], answer, strength), 0, 1))
            shown = time.monotonic()
    restored = run_network(g.requires_grad_(False), standardised, run.part(0.9, 1), device=device)
    return blend(image, restored * std + mean, strength)
