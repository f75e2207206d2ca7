"""BM3D: block matching, then collaborative filtering of the stacked blocks.

Dabov, Foi, Katkovnik, Egiazarian, IEEE TIP 2007, in the authors' own package. Its licence allows
non-commercial use only, so it is an optional extra and never a default.
"""

from ..engine.tiles import tiled
from ..spec import SIGMA, STRENGTH, DenoiserSpec

SPEC = DenoiserSpec(
    name="bm3d",
    title="BM3D",
    family="classical",
    year=2007,
    good_for="The classical yardstick; slow, and for non-commercial use only.",
    trained_for="Not trained. Assumes white Gaussian noise.",
    citation="K. Dabov, A. Foi, V. Katkovnik, K. Egiazarian. Image denoising by sparse 3-D transform-domain "
    "collaborative filtering. IEEE TIP 16, 2007.",
    code_licence="Tampere University, non-commercial use only",
    cost=100,
    requires="bm3d",
    params=(SIGMA, STRENGTH),
)


def denoise(image, *, sigma, strength, run):
    import bm3d
    import numpy as np

    level = sigma * strength
    if level <= 0:
        return image

    def restore(tile, _):
        filtered = bm3d.bm3d_rgb(tile, level) if tile.shape[-1] == 3 else bm3d.bm3d(tile[..., 0], level)
        return np.asarray(filtered, np.float32).reshape(tile.shape)

    return tiled(image, restore, run, tile=128, margin=16)
