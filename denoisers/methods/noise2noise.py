"""Noise2Noise: a U-Net that learned to denoise from pairs of noisy pictures."""

from ..spec import DenoiserSpec
from .blind import PARAMS
from .blind import denoise as denoise

SPEC = DenoiserSpec(
    name="noise2noise",
    title="Noise2Noise",
    family="self-supervised",
    year=2018,
    good_for="One network for each kind of damage - even noise, photon noise, text printed over, stray pixels - "
    "that learned without ever seeing a clean picture.",
    trained_for="By weights: white Gaussian noise up to 50 (of 255), photon noise, overlaid text, pixels of random "
    "colour. Always the same scene damaged twice, independently.",
    citation="J. Lehtinen, J. Munkberg, J. Hasselgren, S. Laine, T. Karras, M. Aittala, T. Aila. Noise2Noise: "
    "Learning image restoration without clean data. ICML 2018.",
    needs_weights=True,
    weights_licence="stated with each file",
    cost=3,
    params=PARAMS,
)
