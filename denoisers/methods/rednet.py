"""RED-Net, a mirrored chain of convolutions with skips."""

from ..spec import DenoiserSpec
from .blind import PARAMS
from .blind import denoise as denoise

SPEC = DenoiserSpec(
    name="rednet",
    title="RED-Net",
    family="supervised",
    year=2016,
    good_for="The classic deep denoiser: one long chain of filters that works out the noise level for itself.",
    trained_for="camera: noise of real cameras after their processing. awgn: white Gaussian noise of 0 to 55 (of 255).",
    citation="X.-J. Mao, C. Shen, Y.-B. Yang. Image restoration using very deep convolutional encoder-decoder networks "
    "with symmetric skip connections. NIPS 2016.",
    needs_weights=True,
    weights_licence="stated with each file",
    cost=3,
    params=PARAMS,
)
