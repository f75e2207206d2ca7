"""Total variation: the smoothest picture, edges allowed, that stays near the noisy one.

Rudin, Osher, Fatemi, Physica D 1992; solved by the projection of Chambolle, JMIV 2004 (scikit-image).
"""

from ..engine.tiles import tiled
from ..spec import SIGMA, STRENGTH, DenoiserSpec, Param

SPEC = DenoiserSpec(
    name="tv",
    title="Total variation",
    family="classical",
    year=1992,
    good_for="Drawings, screenshots and other pictures with flat areas and clear edges.",
    trained_for="Not trained. Assumes white Gaussian noise and piecewise smooth pictures.",
    citation="L. I. Rudin, S. Osher, E. Fatemi. Nonlinear total variation based noise removal. Physica D 60, 1992.",
    code_licence="BSD-3-Clause (scikit-image)",
    cost=2,
    params=(
        SIGMA,
        STRENGTH,
        Param(
            name="iterations",
            title="Iterations",
            kind="int",
            default=60,
            min=10,
            max=500,
            step=10,
            advanced=True,
            help="Steps of Chambolle's algorithm; more are only needed at very high strength.",
        ),
    ),
)


def denoise(image, *, sigma, strength, iterations, run):
    from skimage.restoration import denoise_tv_chambolle

    weight = 0.85 * sigma * strength  # the best weight grows in proportion to the noise
    if weight <= 0:
        return image

    def restore(tile, _):
        return denoise_tv_chambolle(tile, weight=weight, eps=0, max_num_iter=iterations, channel_axis=-1)

    return tiled(image, restore, run, tile=384 if iterations <= 120 else 208, margin=32)
