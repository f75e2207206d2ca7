"""InvDN: the latent that carries the noise is replaced by a fresh draw. See ``denoisers.studio``."""

import numpy as np

from ..engine.device import precision
from ..spec import SEED, DenoiserSpec, Param
from ..studio import Spread, Studio
from .blend import BLEND, blend
from .self_ensemble import EIGHT, SELF_ENSEMBLE, turned, turned_back

SPEC = DenoiserSpec(
    name="invdn",
    title="InvDN",
    family="invertible",
    year=2021,
    good_for="Photos from real cameras, without a noise level to set; several draws show where it is unsure.",
    trained_for="Camera noise: stronger in bright parts, correlated between neighbours, after the camera's processing.",
    citation="Y. Liu, Z. Qin, S. Anwar, P. Ji, D. Kim, S. Caldwell, T. Gedeon. Invertible denoising network: a light "
    "solution for real noise removal. CVPR 2021.",
    weights_licence="stated with each file",
    random=True,
    needs_weights=True,
    cost=7,
    params=(
        BLEND,
        Param(
            name="samples",
            title="Samples",
            kind="int",
            default=1,
            min=1,
            max=64,
            step=1,
            help="Restored pictures to average, each with its own draw. More than one also gives their spread.",
        ),
        Param(
            name="temperature",
            title="Temperature",
            default=1.0,
            min=0.0,
            max=1.5,
            step=0.05,
            help="Standard deviation of the draw. 1 as published; 0 is one smooth answer without chance.",
        ),
        SELF_ENSEMBLE,
        SEED,
    ),
)


def denoise(image, *, strength, samples, temperature, self_ensemble, seed, run, network, device):
    """Returns the mean of all draws, and, where there is more than one, their standard deviation as ``std``."""
    studio = Studio(network, device, precision(device))
    views = EIGHT if self_ensemble else EIGHT[:1]
    generator, spread = np.random.default_rng(seed), Spread()
    for i, view in enumerate(views):
        part = run.part(i / len(views), (i + 1) / len(views))
        analysed = 1 / (1 + samples)
        analysis = studio.analyse(turned(image, *view), part.part(0, analysed))
        for picture in studio.draws(analysis, samples, temperature, generator, part.part(analysed, 1)):
            spread.add(turned_back(picture, *view))
    run.step(1.0)
    return blend(image, spread.mean, strength), {"std": spread.std} if spread.count > 1 else {}
