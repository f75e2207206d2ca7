"""Zero-shot Noise2Noise: its equations, and what it makes of pictures of every kind."""

import resource

import numpy as np
import pytest

from denoisers.errors import Cancelled
from denoisers.methods import zs_n2n
from denoisers.methods.noise2same import moments
from denoisers.metrics import psnr
from denoisers.run import Run


def denoise(image, on_progress=None, cancelled=None, **params):
    return zs_n2n.denoise(image, run=Run(on_progress, cancelled), **zs_n2n.SPEC.resolve(params))


def test_the_network_has_the_published_size():
    from denoisers.networks.zs_n2n import ZSN2N

    assert sum(p.numel() for p in ZSN2N(3).parameters()) == 22_275


def test_halves_are_the_means_of_the_diagonals():
    d1, d2 = zs_n2n.halves(np.array([[1, 2, 5, 6], [3, 4, 7, 9]], np.float32))
    np.testing.assert_array_equal(d1, [[2.5, 7]])
    np.testing.assert_array_equal(d2, [[2.5, 6.5]])


def test_loss_by_hand():
    import torch

    x = torch.tensor([[1.0, 2, 5, 6], [3, 4, 7, 9]])  # halves (2.5, 7) and (2.5, 6.5)
    assert zs_n2n.loss(lambda x: x, x).item() == 0.125  # residual alone, twice the mean of 0 and 0.5^2, halved
    squares = (2.5**2 + 7**2) / 2 + (2.5**2 + 6.5**2) / 2
    assert zs_n2n.loss(lambda x: 0 * x, x).item() == squares / 2
    wider = zs_n2n.loss(lambda x: x + x.shape[-1], x).item()  # adds 2 to the halves, 4 to the whole
    assert wider == ((2**2 + 1.5**2) / 2 + (2**2 + 2.5**2) / 2 + 2 * 2**2) / 2


def test_gains_on_colour_and_grey_of_odd_size(noisy, astronaut):
    assert psnr(denoise(noisy, steps=120), astronaut) > psnr(noisy, astronaut) + 5
    grey, clean = noisy[:127, :101, 1:2], astronaut[:127, :101, 1:2]
    assert psnr(denoise(grey, steps=120), clean) > psnr(grey, clean) + 3.5


def test_repeats_itself(noisy):
    first, again, other = (denoise(noisy, steps=10, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.001


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 1), (9, 1, 3)])
def test_without_diagonals_the_picture_stays(shape):
    image = np.random.default_rng(0).random(shape, np.float32)
    np.testing.assert_array_equal(denoise(image), image)


@pytest.mark.parametrize("shape", [(2, 2, 3), (2, 300, 1), (3, 5, 3), (65, 64, 1)])
def test_small_pictures(shape):
    image = np.random.default_rng(0).random(shape, np.float32)
    restored = denoise(image, steps=10)
    assert restored.shape == shape and np.isfinite(restored).all()


def test_strength_goes_from_the_picture_to_the_answer(noisy):
    whole, half = (denoise(noisy, steps=10, strength=s) for s in (1, 0.5))
    np.testing.assert_allclose(half, (noisy + whole) / 2, atol=1e-6)
    np.testing.assert_array_equal(denoise(noisy, strength=0), noisy)


def test_previews_show_the_picture_getting_better(astronaut):
    clean = np.tile(astronaut, (4, 4, 1))  # 0.26 megapixels: every second pixel is shown
    noisy = clean + 25 / 255 * np.random.default_rng(0).standard_normal(clean.shape, np.float32)
    seen = []
    denoise(noisy, on_progress=lambda fraction, preview: seen.append((fraction, preview)), steps=60)
    fractions, previews = zip(*seen, strict=True)
    assert list(fractions) == sorted(fractions) and fractions[-1] == 1
    shown = [p for p in previews if p is not None]
    assert shown and all(p.shape == (256, 256, 3) and 0 <= p.min() <= p.max() <= 1 for p in shown)
    assert psnr(shown[-1], clean[::2, ::2]) > psnr(np.clip(noisy, 0, 1), clean) + 1


def test_the_picture_is_standardised_however_large():
    picture = 0.5 + 0.02 * np.random.default_rng(0).standard_normal((2000, 2000, 3), np.float32)
    mean, std = moments(picture)
    np.testing.assert_allclose(mean, picture.mean((0, 1), np.float64), rtol=1e-5)
    np.testing.assert_allclose(std, picture.std((0, 1), np.float64), rtol=1e-5)


def test_asks_often_whether_it_was_cancelled():
    """Time of this thread's own code alone: how long steps and tiles are, however busy the machine."""

    def now():
        return resource.getrusage(resource.RUSAGE_THREAD).ru_utime

    picture = np.random.default_rng(0).random((1500, 1500, 3), np.float32)
    denoise(picture[:64, :64], steps=10)  # imports torch
    asked = [now()]

    def cancelled():
        asked.append(now())

    denoise(picture, cancelled=cancelled, steps=10)
    assert np.diff(asked).max() < 0.4
    with pytest.raises(Cancelled):
        denoise(picture, cancelled=lambda: True)
