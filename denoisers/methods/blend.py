"""The strength of a denoiser that is not told the noise level: how far to go from the picture to its answer."""

from ..spec import Param

BLEND = Param(
    name="strength",
    title="Strength",
    default=1.0,
    min=0.0,
    max=1.0,
    step=0.05,
    help="How much of the noise found is removed: 1 all of it, 0 none. Less keeps more grain and detail.",
)


def blend(image, restored, strength):
    """image + strength (restored - image), both H x W x C."""
    return image + strength * (restored - image)
