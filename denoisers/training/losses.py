"""What a training can minimise: pure functions of N x C x H x W float32 tensors that return a number.

A mean runs over everything unless said otherwise. f is the network's answer, x2 its target.
"""

import torch
from torch.nn import functional as F

# Noise2Noise: Lehtinen et al., "Noise2Noise: Learning Image Restoration without Clean Data", ICML 2018.


def l2(restored, target):
    """mean (f - x2)^2: f becomes the mean of the targets (Noise2Noise, section 2, eq. 3)."""
    return (restored - target).square().mean()


def l1(restored, target):
    """mean |f - x2|: f becomes the median of the targets (Noise2Noise, section 2; used for text)."""
    return (restored - target).abs().mean()


def annealed_l0(restored, target, progress: float):
    """mean (|f - x2| + 1e-8)^gamma: f becomes the mode of the targets (Noise2Noise, section 3.3, for impulses).

    gamma falls from 2 to 0 as ``progress``, the share of the training done, goes from 0 to 1.
    """
    gamma = 2 * (1 - progress)
    return ((restored - target).abs() + 1e-8).pow(gamma).mean()


def masked_l2(restored, target, mask):
    """mean (m (f - x2))^2, m = 1 where the target was observed (Noise2Noise, section 3.3, Bernoulli noise)."""
    return (mask * (restored - target)).square().mean()


def relative_hdr_l2(restored, target):
    """mean (f - x2)^2 / (sg(f) + 0.01)^2, sg = no gradient (Noise2Noise, section 3.4, Monte Carlo rendering).

    Were the gradient let through the denominator, or the noisy target put there, f would not become the mean.
    """
    return ((restored - target) / (restored.detach() + 0.01)).square().mean()


def charbonnier(restored, target, epsilon: float = 1e-3, reduction: str = "mean"):
    """sqrt((f - x2)^2 + epsilon): |f - x2|, rounded at zero (Charbonnier et al., ICIP 1994).

    ``epsilon`` is inside the root, 1e-3 in InvDN's code and 1e-6 in IRN's. ``reduction``: "mean", or "sum" over
    C, H, W and mean over the batch, as both have it.
    """
    distance = ((restored - target).square() + epsilon).sqrt()
    return distance.mean() if reduction == "mean" else distance.sum() / len(distance)


# Noise2Same: Xie, Wang, Ji, "Noise2Same: Optimizing a Self-Supervised Bound for Image Denoising", NeurIPS 2020.
# r = f(x), p = f(x with J hidden), both float32: their difference is small.


def noise2same(r, p, x, mask, lam=2.0):
    """mean (r - x)^2 + lambda sqrt(mean over J of (r - p)^2) (Noise2Same, section 3.3, theorem 2).

    ``mask`` is 1 on J. ``lam``: 2 is the safe bound for standardised pictures, 2 sigma the tight one (see
    ``noise2same_lambda``); a number, or N x 1 x 1 x 1, one a picture, which is then kept inside the root.
    """
    invariance = (mask * (lam * (r - p)).square()).sum() / mask.sum()
    return l2(r, x) + (invariance + 1e-12).sqrt()  # the slope of a root at zero is infinite


def noise2same_lambda(sigma, std=1.0):
    """lambda = 2 sigma / std(x), at least 0.1: theorem 2's bound with the noise level measured.

    ``sigma``: noise level; ``std``: the picture's standard deviation in the same unit, 1 once it is standardised.
    Numbers or tensors; returns a tensor.
    """
    return torch.as_tensor(2 * sigma / std).clamp(min=0.1)


def noise2same_pro(r, p, x, mask, lam):
    """Noise2Same with lambda = 2 sqrt(mean (r - x)^2), no gradient, kept within 0.5 to 1.5 times ``lam``.

    Noise2SamePro's idea, the residual as a measure of sigma, without its flaw (see ``noise2same_pro_literal``):
    held constant and clamped, lambda cannot be talked down by copying the input. ``lam`` as in ``noise2same``.
    """
    measured = 2 * l2(r, x).detach().sqrt()
    lam = torch.as_tensor(lam, dtype=r.dtype, device=r.device)
    return noise2same(r, p, x, mask, measured.clamp(0.5 * lam, 1.5 * lam))


def noise2same_pro_literal(r, p, x, mask):
    """rec + 2 sqrt(rec) sqrt(inv), rec = mean (r - x)^2, inv = mean over J of (r - p)^2: Noise2SamePro as published.

    Equal to (sqrt rec + sqrt inv)^2 - inv. The identity makes it zero, its global minimum, so a training that comes
    near the identity stays there: only for the last steps of a Noise2Same training, or to show just that.
    """
    rec = l2(r, x) + 1e-12
    inv = (mask * (r - p).square()).sum() / mask.sum() + 1e-12
    return rec + 2 * rec.sqrt() * inv.sqrt()


# InvDN: Liu et al., "Invertible Denoising Network: A Light Solution for Real Noise Removal", CVPR 2021.


def invdn_forward(low, clean):
    """scale^2 x sum (low - bicubic(clean, 1/scale))^2, mean over the batch (InvDN, eq. 3).

    ``low`` is N x 3 x H/scale x W/scale, ``clean`` N x 3 x H x W; the scale is 4 as published.
    """
    scale = clean.shape[-1] // low.shape[-1]
    return scale**2 * (low - bicubic(clean, scale)).square().sum() / len(low)


def invdn_backward(restored, clean):
    """sum sqrt((f - clean)^2 + 1e-3), mean over the batch (InvDN, eq. 4, as its code has it).

    A perfect answer still costs 0.0316 a value: 1967 for a colour crop of 144 x 144.
    """
    return charbonnier(restored, clean, reduction="sum")


def bicubic(x, scale: int) -> torch.Tensor:
    """MATLAB's imresize(x, 1/scale): bicubic, antialiased, symmetric edges.

    ``x`` is N x C x H x W, H and W multiples of ``scale``, from 2 ``scale`` up, ``scale`` even; returns N x C x H/scale
    x W/scale. Output i looks at the 4 ``scale`` inputs around scale (i + 1/2) - 1/2, weighted by Keys' kernel (IEEE
    TASSP 1981, a = -1/2) stretched ``scale`` times.
    """
    taps = 4 * scale
    t = (torch.arange(taps, dtype=x.dtype, device=x.device) - (taps - 1) / 2).abs() / scale
    kernel = torch.where(t <= 1, 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2)
    kernel = kernel / kernel.sum()
    border = 3 * scale // 2
    for axis in (2, 3):
        first, last = x.narrow(axis, 0, border), x.narrow(axis, x.shape[axis] - border, border)
        x = torch.cat([first.flip(axis), x, last.flip(axis)], axis)
        shape, stride = ((1, 1, taps, 1), (scale, 1)) if axis == 2 else ((1, 1, 1, taps), (1, scale))
        x = F.conv2d(x, kernel.reshape(shape).expand(x.shape[1], -1, -1, -1), stride=stride, groups=x.shape[1])
    return x


# Named in InvDN's code, inherited from BasicSR and IRN; no published training of InvDN uses them.


def gan(score, real: bool, kind: str = "vanilla"):
    """How far a discriminator's ``score`` (any shape) is from saying 1 for real, 0 for made.

    ``kind``: "vanilla", the cross-entropy of sigmoid(score) (Goodfellow et al., NeurIPS 2014, in the form that does
    not saturate); "lsgan", mean (score - label)^2 (Mao et al., ICCV 2017).
    """
    label = torch.full_like(score, float(real))
    return F.binary_cross_entropy_with_logits(score, label) if kind == "vanilla" else l2(score, label)


def perceptual(features, restored, target, kind: str = "l1"):
    """L1 or L2 distance of ``features(restored)`` and ``features(target)`` (Johnson, Alahi, Fei-Fei, ECCV 2016).

    ``features`` maps pictures to feature maps; ESRGAN and IRN take VGG19 before the last activation.
    """
    distance = {"l1": l1, "l2": l2}[kind]
    return distance(features(restored), features(target.detach()).detach())
