"""PRIDNet, made for photos: noise estimation, a pyramid of U-Nets, kernel selection."""

from ..spec import DenoiserSpec
from .blind import PARAMS
from .blind import denoise as denoise

SPEC = DenoiserSpec(
    name="pridnet",
    title="PRIDNet",
    family="supervised",
    year=2019,
    good_for="Noisy photos from real cameras, blotches of colour included: it works on five scales at once.",
    trained_for="Noise of real cameras after their processing.",
    citation="Y. Zhao, Z. Jiang, A. Men, G. Ma. Pyramid real image denoising network. IEEE VCIP 2019.",
    needs_weights=True,
    weights_licence="stated with each file",
    cost=4,
    params=PARAMS,
)
