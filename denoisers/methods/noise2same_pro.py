"""Noise2SamePro: Noise2Same, its last steps trained with the residual itself as the measure of the noise."""

from ..spec import DenoiserSpec
from .noise2same import SPEC as NOISE2SAME
from .noise2same import denoise as denoise

SPEC = DenoiserSpec(
    name="noise2same_pro",
    title="Noise2SamePro",
    family="self-supervised",
    year=2021,
    good_for="To see for yourself whether it improves on Noise2Same; we measure no reliable difference.",
    trained_for=NOISE2SAME.trained_for,
    citation="LessThread. Noise2SamePro, Tianjin University 2021; after Y. Xie, Z. Wang, S. Ji. Noise2Same. "
    "NeurIPS 2020.",
    needs_weights=True,
    weights_licence=NOISE2SAME.weights_licence,
    cost=NOISE2SAME.cost,
    params=NOISE2SAME.params,
)
