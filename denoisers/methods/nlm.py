"""Non-local means: every pixel becomes the mean of pixels whose surroundings look alike.

Buades, Coll, Morel, "A non-local algorithm for image denoising", CVPR 2005; scikit-image's fast version
(Froment, IPOL 2014), which compares whole colour patches.
"""

from ..engine.tiles import tiled
from ..noise import describe_noise
from ..spec import SIGMA, STRENGTH, DenoiserSpec, Param

SPEC = DenoiserSpec(
    name="nlm",
    title="Non-local means",
    family="classical",
    year=2005,
    good_for="A quick, dependable first try: even areas come out clean, edges stay sharp.",
    trained_for="Not trained. Assumes white Gaussian noise; works on camera noise with the strength estimated here.",
    citation="A. Buades, B. Coll, J.-M. Morel. A non-local algorithm for image denoising. CVPR 2005.",
    code_licence="BSD-3-Clause (scikit-image)",
    cost=2,
    params=(
        SIGMA,
        STRENGTH,
        Param(
            name="h",
            title="Filter strength h",
            default=0.6,
            min=0.1,
            max=2.0,
            step=0.05,
            advanced=True,
            help="Decay of the weights with patch distance, in multiples of the noise level; raised by itself where "
            "the noise of neighbouring pixels is correlated, as a camera's is.",
        ),
        Param(
            name="patch",
            title="Patch size",
            kind="int",
            unit="px",
            default=5,
            min=3,
            max=11,
            step=2,
            advanced=True,
            help="Side of the patches compared.",
        ),
        Param(
            name="window",
            title="Search distance",
            kind="int",
            unit="px",
            default=6,
            min=2,
            max=15,
            step=1,
            advanced=True,
            help="How far away similar patches are looked for.",
        ),
    ),
)


def denoise(image, *, sigma, strength, h, patch, window, run):
    from skimage.restoration import denoise_nl_means

    level = sigma * strength
    if level <= 0:
        return image
    # A patch of correlated noise holds fewer independent draws than pixels: equal patches look less alike by chance.
    h *= 1 + max(0.0, describe_noise(image).lag1)

    def restore(tile, _):
        return denoise_nl_means(
            tile, patch_size=patch, patch_distance=window, h=h * level, sigma=level, fast_mode=True, channel_axis=-1
        ).reshape(tile.shape)  # scikit-image drops a single channel

    return tiled(image, restore, run, tile=256, margin=patch + window)
