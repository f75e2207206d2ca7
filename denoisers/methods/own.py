"""A network from a user's own weight file."""

from ..spec import SIGMA, DenoiserSpec
from .blend import BLEND, blend
from .self_ensemble import SELF_ENSEMBLE, restore

SPEC = DenoiserSpec(
    name="own",
    title="Your own weights",
    family="supervised",
    year=2026,
    good_for="A weight file of yours: any network of Grainwise, or one that spandrel knows.",
    trained_for="Whatever its author trained it for.",
    citation="The network's own.",
    needs_weights=True,
    weights_licence="the file's own",
    cost=10,
    params=(SIGMA, BLEND, SELF_ENSEMBLE),
)


def denoise(image, *, sigma, strength, self_ensemble, run, network, device):
    """``sigma`` reaches networks that take a noise level; the others are blind."""
    inputs = {"sigma": float(sigma)} if network.takes_sigma else {}
    restored = restore(network, image, run, device=device, self_ensemble=self_ensemble, **inputs)
    return blend(image, restored, strength)
