"""Self-ensemble: the mean of the answers to a picture turned and mirrored in eight ways, each turned back.

R. Timofte, R. Rothe, L. Van Gool. Seven ways to improve example-based single image super resolution. CVPR 2016.
"""

import numpy as np

from ..engine.network import run_network
from ..spec import Param

SELF_ENSEMBLE = Param(
    name="self_ensemble",
    title="Self-ensemble",
    kind="bool",
    default=False,
    advanced=True,
    help="Averages over the picture turned and mirrored in eight ways: a little better, in eight times the time.",
)

EIGHT = [(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)]
"""Quarter turns, and whether it is mirrored before; the first is the picture as it is."""


def turned(image, quarters: int, mirrored: bool):
    return np.rot90(image[:, ::-1] if mirrored else image, quarters)


def turned_back(image, quarters: int, mirrored: bool):
    image = np.rot90(image, -quarters)
    return image[:, ::-1] if mirrored else image


def restore(network, image, run, *, self_ensemble: bool, **given) -> np.ndarray:
    """A network's answer to a picture, H x W x C float32, or the mean of its eight; ``given`` as for run_network."""
    if not self_ensemble:
        return run_network(network, image, run, **given)
    total = np.zeros_like(image)
    for i, view in enumerate(EIGHT):
        answer = run_network(network, turned(image, *view), run.part(i / 8, (i + 1) / 8), **given)
        total += turned_back(answer, *view)
    return total / 8
