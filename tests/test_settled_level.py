"""The noise level that DRUNet is told where none is given: what was read, or less if the network finds less."""

import numpy as np
import pytest
import torch
from skimage import data

import denoisers
from denoisers.errors import Cancelled
from denoisers.images import to_float
from denoisers.methods import drunet
from denoisers.metrics import psnr
from denoisers.noise import add_noise, describe_noise
from denoisers.noise.estimate import Noise
from denoisers.run import Run


class Taker(torch.nn.Module):
    """Takes away a chequered pattern of strength ``share`` times the level that it is told, ``most`` at most."""

    multiple, colours, takes_sigma = 1, 3, True

    def __init__(self, share, most=1.0):
        super().__init__()
        self.share, self.most, self.discrepancy, self.told = share, most, 1.2, []

    def forward(self, x, sigma):
        self.told.append(sigma)
        rows, columns = torch.meshgrid(*map(torch.arange, x.shape[2:]), indexing="ij")
        return x - min(self.share * sigma, self.most) * (1 - 2.0 * ((rows + columns) % 2))


@pytest.fixture
def picture():
    return np.random.default_rng(0).random((60, 80, 3), np.float32)


def settle(picture, network, sigma=0.1, method="camera", run=None):
    return drunet.level(picture, Noise(sigma, method, 0.4), run=run or Run(), network=network, device="cpu")


def test_a_level_that_is_all_taken_stays(picture):
    network = Taker(0.95)
    assert settle(picture, network) == 0.1 and network.told == [0.1]


def test_a_level_falls_until_it_is_taken(picture):
    """Of 0.1 no more than 0.02 is taken, however much is told: 1.2 times that is told."""
    network = Taker(0.95, most=0.02)
    assert settle(picture, network) == pytest.approx(0.024, rel=1e-4) and len(network.told) == 2


class Partial(Taker):
    """Takes away 0.95 of what it is told ``where``, and ``rest`` at most elsewhere."""

    def __init__(self, where, rest=0.0):
        super().__init__(0.95)
        self.where, self.elsewhere = torch.from_numpy(where), Taker(0.95, rest)

    def forward(self, x, sigma):
        return torch.where(self.where, super().forward(x, sigma), self.elsewhere(x, sigma))


@pytest.fixture
def ramp():
    """Brighter from left to right: a quarter of the brightness is a quarter of the columns."""
    return np.linspace(0, 1, 64 * 128 * 3, dtype=np.float32).reshape(128, 64, 3).transpose(1, 0, 2)


def test_the_noisiest_quarter_of_the_brightness_counts(ramp):
    """Black hides noise: a night picture is no cleaner for it."""
    assert settle(ramp, Partial(np.arange(128) >= 96)) == 0.1


def test_what_is_taken_from_less_than_half_of_each_brightness_is_texture(ramp):
    network = Partial(np.arange(64)[:, None] < 16, rest=0.02)
    assert settle(ramp, network) == pytest.approx(0.024, rel=1e-4)


def test_it_ends_where_nothing_is_found(picture):
    network = Taker(0.5)
    assert settle(picture, network) == pytest.approx(0.1 * 0.6**6, rel=1e-4) and len(network.told) == 6


def test_white_noise_none_and_weights_that_do_not_ask_for_it_are_left_alone(picture):
    network = Taker(0.5)
    assert settle(picture, network, method="chen") == 0.1
    assert settle(picture, network, sigma=0.0) == 0.0
    del network.discrepancy
    assert settle(picture, network) == 0.1 and network.told == []


def test_a_large_picture_is_settled_by_parts_of_it_and_can_be_stopped():
    large = np.random.default_rng(0).random((900, 1200, 3), np.float32)
    parts = drunet.sample(large)
    assert [part.shape for part in parts] == 4 * [(192, 192, 3)]
    np.testing.assert_array_equal(parts[1], large[225 - 96 : 225 + 96, 900 - 96 : 900 + 96])
    strip = large[:8].repeat(20, 1)
    assert [part.shape for part in drunet.sample(strip)] == 4 * [(8, 192, 3)]
    assert settle(strip, Taker(0.95)) == settle(large[:1, :2], Taker(0.95)) == 0.1
    with pytest.raises(Cancelled):
        settle(large, Taker(0.5), run=Run(cancelled=lambda: True))


@pytest.mark.parametrize(("level", "gain"), [(0, 6), (3, 3)])
def test_fur_is_not_taken_for_noise(level, gain):
    """Of camera noise 3 the estimator reads 10 in the cat's coat."""
    clean = to_float(data.chelsea()[22:278, 97:353])
    noisy = add_noise(clean, "camera", level / 255, 0) if level else clean
    denoiser = denoisers.load("drunet", "camera", "cpu")
    read, result = describe_noise(noisy), denoiser.denoise(noisy, reference=clean)
    told_so = denoiser.denoise(noisy, sigma=read.sigma, reference=clean)
    assert result.params["sigma"] == denoiser.level(noisy, read) < read.sigma / 2
    assert result.extras["scores"]["psnr"] > told_so.extras["scores"]["psnr"] + gain


def test_real_noise_keeps_its_level():
    clean = to_float(data.chelsea()[22:278, 97:353])
    noisy = add_noise(clean, "camera", 25 / 255, 0)
    read = describe_noise(noisy)
    denoiser = denoisers.load("drunet", "camera", "cpu")
    settled = denoiser.level(noisy, read)
    assert settled > 0.7 * read.sigma
    assert (
        psnr(denoiser.denoise(noisy).image, clean) > psnr(denoiser.denoise(noisy, sigma=read.sigma).image, clean) - 0.1
    )


@pytest.mark.parametrize("name", ["camera", "coins"])
def test_black_and_white_keeps_its_level_too(name):
    """A colour network hears sqrt(3) times the level of a grey picture: told it plainly, it takes half of the noise."""
    clean = to_float(getattr(data, name)()[:256, :256])
    noisy = add_noise(clean, "camera", 20 / 255, 0)
    denoiser = denoisers.load("drunet", "camera", "cpu")
    read = describe_noise(noisy)
    result = denoiser.denoise(noisy, reference=clean)
    assert result.params["sigma"] > 0.6 * read.sigma
    assert result.extras["scores"]["psnr"] > psnr(noisy, clean) + 5.5
