"""ADNet, a small network whose noise estimate passes an attention gate."""

from ..spec import DenoiserSpec
from .blind import PARAMS
from .blind import denoise as denoise

SPEC = DenoiserSpec(
    name="adnet",
    title="ADNet",
    family="supervised",
    year=2020,
    good_for="Even, white noise of unknown strength, with a network small enough to send by mail.",
    trained_for="White Gaussian noise of 0 to 55 (of 255).",
    citation="C. Tian, Y. Xu, Z. Li, W. Zuo, L. Fei, H. Liu. Attention-guided CNN for image denoising. Neural Networks "
    "124, 2020.",
    needs_weights=True,
    weights_licence="stated with each file",
    cost=8,
    params=PARAMS,
)
