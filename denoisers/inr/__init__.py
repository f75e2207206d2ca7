"""Implicit neural representations of one picture: fitted, watched, and stopped before they learn the noise.

"Zero-shot Blind Image Denoising via Implicit Neural Representations", arXiv 2204.02405.
"""

from .fit import GROWTH, Fit, State
from .recipe import BOOK, FAST, PRESETS, Recipe
from .replay import replay
from .stopping import RULES, SHARE, Stop, es_wmv, fixed, held_out, least, margin, oracle, stop, variance
from .trajectory import Trajectory

__all__ = [
    "Fit",
    "GROWTH",
    "State",
    "Trajectory",
    "Recipe",
    "BOOK",
    "FAST",
    "PRESETS",
    "replay",
    "Stop",
    "variance",
    "margin",
    "held_out",
    "es_wmv",
    "fixed",
    "oracle",
    "least",
    "stop",
    "RULES",
    "SHARE",
]
