"""Each loss against a value worked out by hand, and the gradients that matter."""

import math

import pytest
import torch

from denoisers.training import losses, masks
from denoisers.training.data import Batch
from denoisers.training.objectives import noise2same


def row(*values):
    """1 x 1 x 1 x n."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)


F, X2 = row(0.5, 1.0, 0.25, 0.0), row(0.5, 0.0, 0.75, 0.0)  # differences 0, 1, -0.5, 0


def test_plain_distances():
    assert losses.l1(F, X2).item() == pytest.approx(1.5 / 4)
    assert losses.l2(F, X2).item() == pytest.approx(1.25 / 4)


def test_masked_l2_counts_observed_pixels_only():
    assert losses.masked_l2(F, X2, row(1, 0, 1, 1)).item() == pytest.approx(0.25 / 4)


def test_annealed_l0_goes_from_squares_to_counting():
    assert losses.annealed_l0(F, X2, 0.0).item() == pytest.approx(1.25 / 4)
    assert losses.annealed_l0(F, X2, 0.5).item() == pytest.approx(1.5 / 4)
    assert losses.annealed_l0(F, X2, 1.0).item() == 1.0
    nearly = losses.annealed_l0(F, X2, 0.99).item()  # (0 + 1e-8)^0.02 = 0.692
    assert nearly == pytest.approx((2 * 0.6918 + 1 + 0.5**0.02) / 4, abs=1e-3)


def test_relative_hdr_l2_and_its_stopped_gradient():
    f = row(0.99, 0.09).requires_grad_()
    loss = losses.relative_hdr_l2(f, row(0.49, 0.19))
    assert loss.item() == pytest.approx((0.5**2 / 1 + 0.1**2 / 0.1**2) / 2, rel=1e-5)
    loss.backward()  # d/df of (f - x2)^2 / constant
    torch.testing.assert_close(f.grad, row(0.5, -0.1 / 0.1**2))


def test_charbonnier_and_its_sum():
    pair, target = torch.stack([F[0], F[0]]), torch.stack([X2[0], X2[0]])
    once = 2 * math.sqrt(1e-3) + math.sqrt(1.001) + math.sqrt(0.251)
    assert losses.charbonnier(pair, target).item() == pytest.approx(once / 4)
    assert losses.charbonnier(pair, target, reduction="sum").item() == pytest.approx(once)


R, P, MASK = row(0.0, 1.0, 2.0, 3.0), row(0.0, 1.0, 1.0, 5.0), row(0, 0, 1, 1)
X = R + row(1, -1, 1, -1)  # rec = 1; inv = (1 + 4) / 2


def test_noise2same():
    assert losses.noise2same(R, P, X, MASK, 0.5).item() == pytest.approx(1 + 0.5 * math.sqrt(2.5), rel=1e-6)
    two = [torch.cat([t, t]) for t in (R, P, X, MASK)]
    lam = torch.tensor([0.5, 1.5]).reshape(2, 1, 1, 1)
    assert losses.noise2same(*two, lam).item() == pytest.approx(1 + math.sqrt((0.25 + 2.25) / 2 * 2.5), rel=1e-6)


def test_noise2same_gradient_is_finite_where_both_passes_agree():
    r = R.clone().requires_grad_()
    losses.noise2same(r, R, X, MASK).backward()
    assert r.grad.isfinite().all()


def test_lambda_from_a_measured_sigma():
    assert losses.noise2same_lambda(0.1, 0.25).item() == pytest.approx(0.8)
    torch.testing.assert_close(losses.noise2same_lambda(torch.tensor([0.01, 0.3])), torch.tensor([0.1, 0.6]))


@pytest.mark.parametrize(("lam", "used"), [(2.0, 2.0), (1.0, 1.5), (8.0, 4.0)])
def test_noise2same_pro_measures_lambda_within_bounds(lam, used):
    """rec = 1, so the measured lambda is 2."""
    expected = losses.noise2same(R, P, X, MASK, used)
    torch.testing.assert_close(losses.noise2same_pro(R, P, X, MASK, lam), expected)
    torch.testing.assert_close(losses.noise2same_pro(R, P, X, MASK, torch.full((1, 1, 1, 1), lam)), expected)


def test_only_the_literal_pro_loss_rewards_copying_the_input():
    """r - x = a d: the gradient along a. The literal loss gains sqrt(inv) / sqrt(rec) more from a smaller a."""
    a = torch.tensor(1.0, requires_grad=True)
    d = row(1, -1, 1, -1)
    (literal,) = torch.autograd.grad(losses.noise2same_pro_literal(R, P, R - a * d, MASK), a)
    (stopped,) = torch.autograd.grad(losses.noise2same_pro(R, P, R - a * d, MASK, 2.0), a)
    assert literal.item() == pytest.approx(2 + 2 * math.sqrt(2.5), rel=1e-5)
    assert stopped.item() == pytest.approx(2, rel=1e-5)
    assert losses.noise2same_pro_literal(R, P, X, MASK).item() == pytest.approx(1 + 2 * math.sqrt(2.5), rel=1e-6)
    assert losses.noise2same_pro_literal(X, P, X, MASK).item() < 1e-5  # the identity is its global minimum
    assert losses.noise2same_pro(X, P, X, MASK, 2.0).item() > 1


def test_invdn_terms():
    clean = torch.full((2, 3, 8, 12), 0.5)
    low = torch.full((2, 3, 2, 3), 0.75)
    assert losses.invdn_forward(low, clean).item() == pytest.approx(16 * 18 * 0.0625, rel=1e-5)
    floor = losses.invdn_backward(torch.zeros(1, 3, 144, 144), torch.zeros(1, 3, 144, 144))
    assert floor.item() == pytest.approx(1967.2, abs=0.1)


# Keys' kernel at 1/8, 3/8, ..., 15/8, in 1/1024; the 16 taps sum to 4096.
TAPS = [v / 4096 for v in (987, 745, 399, 93, -49, -75, -45, -7)]


def test_bicubic_weighs_as_matlabs_imresize():
    x = torch.zeros(1, 2, 32, 32)
    x[0, 0, 13, 16] = 1  # output i looks around 4 i + 1.5: (3, 3) is 0.5 and 2.5 away, (2, 4) is 3.5 and 1.5
    x[0, 1, 0, 31] = 1  # symmetric edges: seen again at -1 and 32
    inside, corner = losses.bicubic(x, 4)[0]
    assert inside[3, 3].item() == pytest.approx(TAPS[0] * TAPS[2], abs=1e-7)
    assert inside[2, 4].item() == pytest.approx(TAPS[3] * TAPS[1], abs=1e-7)
    assert corner[0, 7].item() == pytest.approx((TAPS[1] + TAPS[2]) ** 2, abs=1e-7)
    assert inside.sum().item() == pytest.approx(1 / 16, abs=1e-6)


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_keeps_a_constant_and_a_slope(scale):
    constant = torch.full((1, 1, 2 * scale, 3 * scale), 0.3)
    torch.testing.assert_close(losses.bicubic(constant, scale), torch.full((1, 1, 2, 3), 0.3))
    at = torch.arange(12 * scale, dtype=torch.float32)
    middles = at.reshape(12, scale).mean(1)
    row = losses.bicubic(at.expand(1, 1, 2 * scale, -1), scale)[0, 0, 0]
    torch.testing.assert_close(row[2:-2], middles[2:-2])


def test_gan():
    zero, one = torch.zeros(3, 1), torch.ones(3, 1)
    assert losses.gan(zero, True).item() == pytest.approx(math.log(2))
    assert losses.gan(one, True).item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert losses.gan(one, False).item() == pytest.approx(math.log(1 + math.exp(1)))
    assert losses.gan(one / 4, True, "lsgan").item() == 0.5625
    assert losses.gan(one / 4, False, "lsgan").item() == 0.0625


def test_perceptual_compares_features_and_teaches_only_the_restored():
    f, x2 = F.clone().requires_grad_(), X2.clone().requires_grad_()
    loss = losses.perceptual(lambda x: 2 * x, f, x2)
    assert loss.item() == pytest.approx(2 * 1.5 / 4)
    assert losses.perceptual(lambda x: 2 * x, f, x2, "l2").item() == pytest.approx(4 * 1.25 / 4)
    loss.backward()
    assert f.grad.any() and x2.grad is None


def test_stratified_mask_hides_one_pixel_of_every_box():
    mask = masks.stratified_mask((2, 3, 56, 42), torch.Generator().manual_seed(0))
    boxes = mask.reshape(2, 3, 4, 14, 3, 14).sum((3, 5))
    assert (boxes == 1).all() and ((mask == 0) | (mask == 1)).all()
    assert (mask[0, 0] != mask[0, 1]).any() and (mask[0, 0] != mask[1, 0]).any()
    torch.testing.assert_close(mask, masks.stratified_mask((2, 3, 56, 42), torch.Generator().manual_seed(0)))


def test_stratified_mask_hides_the_same_share_at_the_edge():
    mask = masks.stratified_mask((500, 1, 16, 20), torch.Generator().manual_seed(0))
    everywhere, edge = mask.mean().item(), mask[..., 14:].mean().item()
    assert everywhere == pytest.approx(1 / 196, rel=0.1) and edge == pytest.approx(1 / 196, rel=0.15)


def test_donut_is_the_mean_of_the_neighbours_of_the_same_channel():
    x = torch.arange(1.0, 10).reshape(1, 1, 3, 3).repeat(1, 2, 1, 1)
    x[:, 1] *= 10
    mask = torch.zeros_like(x)
    mask[0, :, 1, 1] = 1
    mask[0, 0, 0, 0] = 1
    filled = masks.donut_fill(x, mask)
    assert filled[0, 0, 1, 1].item() == pytest.approx((2 + 4 + 6 + 8 + (1 + 3 + 7 + 9) / 2) / 6)
    assert filled[0, 1, 1, 1].item() == pytest.approx(50)
    assert filled[0, 0, 0, 0].item() == pytest.approx((2 * 2 + 2 * 4 + 4 * 5 / 2) / 6)  # reflected: never the 1
    torch.testing.assert_close(filled[mask == 0], x[mask == 0])


def test_gaussian_fill_is_unrelated_to_the_picture():
    x, mask = torch.full((1, 1, 100, 100), 7.0), torch.zeros(1, 1, 100, 100)
    mask[..., :50] = 1
    filled = masks.gaussian_fill(x, mask, torch.Generator().manual_seed(0))
    assert (filled[..., 50:] == 7).all()
    assert filled[..., :50].mean().item() == pytest.approx(0, abs=0.01)
    assert filled[..., :50].std().item() == pytest.approx(0.2, rel=0.03)


def test_noise2same_hides_a_grey_pixel_in_all_channels():
    """Else it stands in plain sight in the other two; and each channel's noise is what lambda counts."""
    seen = []

    def network(x):
        seen.append(x)
        return x

    x = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    x[0] = x[0, :1]
    sigma = torch.tensor([3**0.5, 1.0]).reshape(-1, 1, 1, 1)
    loss = noise2same(network, Batch(x, x, sigma), 0.0, torch.Generator().manual_seed(0))
    hidden = seen[0] != x
    assert torch.equal(hidden[0], hidden[0, :1].expand(3, -1, -1)) and hidden[0].any()
    assert not torch.equal(hidden[1, 0], hidden[1, 1])
    mask = hidden.float()
    torch.testing.assert_close(loss, losses.noise2same(x, seen[0], x, mask, torch.full((2, 1, 1, 1), 2.0)))
