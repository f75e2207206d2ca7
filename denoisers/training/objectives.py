"""What each method minimises: ``objective(network, batch, progress, generator, **options) -> loss``.

``progress`` runs from 0 to 1 over the training; ``generator`` is a torch.Generator on the batch's device, seeded
by the step, for masks and latents.
"""

import torch

from . import losses, masks


def restore(network, batch):
    """The network's answer to the noisy crops, float32."""
    answer = network(batch.noisy, batch.sigma) if network.takes_sigma else network(batch.noisy)
    return answer.float()


def supervised(network, batch, progress, generator, loss="l1", **options):
    """A loss of ``losses.py`` between the restored crop and its target.

    With noisy targets this is Noise2Noise: nothing else changes. A masked loss sees where the target was observed,
    an annealed one how far the training is.
    """
    function = getattr(losses, loss)
    if loss == "masked_l2":
        options["mask"] = batch.mask
    if loss == "annealed_l0":
        options["progress"] = progress
    return function(restore(network, batch), batch.target, **options)


def invdn(
    network,
    batch,
    progress,
    generator,
    gan_weight=0.0,
    feature_weight=0.0,
    feature_criterion="l1",
    critic=None,
    features=None,
):
    """InvDN: the low-resolution output against the clean picture's, and the picture restored with a fresh latent.

    Its code names two more terms, off in every published training: ``gan_weight`` times what the crop loses where a
    discriminator tells it from a real one, ``feature_weight`` times the distance of VGG19's features. A recipe sets
    them with ``gan_type`` and ``vgg`` (see ``companions``). InvDN's own terms are sums over the crop, these are means.
    """
    low, latent = network.analyse(batch.noisy)
    drawn = torch.randn(latent.shape, generator=generator, device=latent.device)
    restored = network.inverse(low, drawn).float()
    loss = losses.invdn_forward(low.float(), batch.clean) + losses.invdn_backward(restored, batch.clean)
    if critic:
        loss = loss + gan_weight * critic.doubt(restored)
    if features:
        loss = loss + feature_weight * losses.perceptual(features, restored, batch.clean, feature_criterion)
    return loss


def noise2same(network, batch, progress, generator, fill="donut", lam=None, pro_share=0.0, literal=False):
    """Noise2Same: two passes, one with the pixels J hidden; the target is the noisy crop itself, standardised.

    Args:
        fill: what stands in for hidden pixels, "donut" or "gaussian".
        lam: weight of the invariance; None is the tight bound, twice the measured noise level of each picture.
        pro_share: last share of the training that minimises the Noise2SamePro loss instead: T - a steps of
            Noise2Same, then a steps of Pro, weights, optimiser and schedule going on.
        literal: Noise2SamePro as published, without stop-gradient and clamp.
    """
    x = batch.noisy
    mask = masks.stratified_mask(x.shape, generator)
    grey = (x == x[:, :1]).flatten(1).all(1).reshape(-1, 1, 1, 1)
    mask = torch.where(grey, mask[:, :1], mask)  # hidden in one channel only, a grey pixel stands in the others
    sigma = torch.where(grey, batch.sigma / 3**0.5, batch.sigma)  # each channel's, not what a network would be told
    hidden = masks.donut_fill(x, mask) if fill == "donut" else masks.gaussian_fill(x, mask, generator)
    p, r = network(hidden).float(), network(x).float()
    lam = losses.noise2same_lambda(sigma) if lam is None else lam
    if progress < 1 - pro_share:
        return losses.noise2same(r, p, x, mask, lam)
    if literal:
        return losses.noise2same_pro_literal(r, p, x, mask)
    return losses.noise2same_pro(r, p, x, mask, lam)


OBJECTIVES = {"supervised": supervised, "noise2noise": supervised, "noise2same": noise2same, "invdn": invdn}
