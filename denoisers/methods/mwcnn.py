"""MWCNN, a U-Net over wavelets."""

from ..spec import DenoiserSpec
from .blind import PARAMS
from .blind import denoise as denoise

SPEC = DenoiserSpec(
    name="mwcnn",
    title="MWCNN",
    family="supervised",
    year=2018,
    good_for="Noise over fine texture: it looks far around each pixel yet throws no detail away, thanks to wavelets.",
    trained_for="camera: noise of real cameras after their processing. awgn: white Gaussian noise of 0 to 55 (of 255).",
    citation="P. Liu, H. Zhang, K. Zhang, L. Lin, W. Zuo. Multi-level wavelet-CNN for image restoration. CVPR "
    "Workshops 2018.",
    needs_weights=True,
    weights_licence="stated with each file",
    cost=3,
    params=PARAMS,
)
