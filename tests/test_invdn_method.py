"""InvDN as a method and its studio, with a small untrained network: what holds for any weights."""

import threading
import time

import numpy as np
import pytest
import torch

from denoisers import studio as studio_module
from denoisers.engine.device import in_float32
from denoisers.engine.network import make_stoppable
from denoisers.errors import Cancelled, ImageError, ParameterError
from denoisers.methods import invdn
from denoisers.networks import build
from denoisers.run import Run
from denoisers.studio import Studio


def untrained(**arguments):
    """No weight left at its first value, where the coupling networks say nothing."""
    torch.manual_seed(0)
    network = build("invdn", **arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter += 0.02 * torch.randn_like(parameter)
    make_stoppable(network)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def network():
    return untrained(blocks=(2, 2), width=16)


@pytest.fixture
def studio(network):
    return Studio(network)


def picture(height, width, channels=3):
    return np.random.default_rng(height * 1000 + width).random((height, width, channels), np.float32)


@in_float32()
def denoise(network, image, run=None, **given):
    return invdn.denoise(image, run=run or Run(), network=network, device="cpu", **invdn.SPEC.resolve(given))


SIZES = [(1, 1), (1, 9), (3, 2), (5, 8), (33, 47), (64, 64)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_picture_comes_back_from_its_analysis(studio, height, width, channels):
    image = picture(height, width, channels)
    analysis = studio.analyse(image)
    grid = -(-height // 4), -(-width // 4)
    assert analysis.low.shape == (*grid, 3) and analysis.latent.shape == (*grid, 45)
    np.testing.assert_allclose(studio.invert(analysis), image, atol=1e-5)
    np.testing.assert_allclose(studio.generate(analysis, 0.0)[0], image, atol=1e-5)
    np.testing.assert_allclose(studio.swap(analysis, analysis), image, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_denoising_keeps_the_size(network, height, width, channels):
    restored, extras = denoise(network, picture(height, width, channels), samples=2)
    assert restored.shape == extras["std"].shape == (height, width, channels)
    assert np.isfinite(restored).all() and restored.dtype == np.float32


def test_tiles_change_nothing(network, monkeypatch):
    """The same seed, in tiles far smaller than the picture and in one: no seam, no other draw."""
    image = picture(157, 203)
    whole, _ = denoise(network, image, seed=3)
    monkeypatch.setattr(studio_module, "TILE", 18)
    tiled, _ = denoise(network, image, seed=3)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_a_studio_pass_is_the_network_s_own(network, studio):
    image, latent = picture(32, 48), np.random.default_rng(0).standard_normal((8, 12, 45), np.float32)
    x, z = (torch.from_numpy(a).permute(2, 0, 1)[None] for a in (image, latent))
    answer = network(x, z)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(studio.invert(studio.analyse(image), latent), answer, atol=1e-5)


def test_a_seed_gives_the_same_picture_again(network):
    image = picture(24, 24)
    first, again, other = (denoise(network, image, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_temperature_zero_leaves_nothing_to_chance(network):
    image = picture(24, 24)
    one, other = (denoise(network, image, temperature=0, seed=seed, samples=2) for seed in (1, 2))
    np.testing.assert_array_equal(one[0], other[0])
    assert not one[1]["std"].any()


def test_what_is_made_of_a_grey_picture_is_grey_however_it_is_stored(studio):
    one = picture(33, 47, 1)
    colour = one.repeat(3, -1)
    alike, coloured = (studio.generate(studio.analyse(image), 0.1, seed=3)[0] for image in (one, colour))
    np.testing.assert_array_equal(coloured, alike.repeat(3, -1))
    assert np.abs(alike - one).max() > 0.01
    colour[0, 0, 0] += 0.1  # a colour picture, though a window of it is grey
    rows, columns = slice(2, 6), slice(3, 7)
    window = studio.window(colour, rows, columns)
    assert not window.grey and studio.window(one.repeat(3, -1), rows, columns).grey
    assert np.ptp(studio.generate(window, 0.1, seed=3)[0], -1).max() > 1e-3


def test_restoring_gives_samples_with_their_mean_and_spread(studio):
    analysis = studio.analyse(picture(22, 30))
    restoration = studio.restore(analysis, samples=5, seed=4)
    assert len(restoration.samples) == 5
    np.testing.assert_allclose(restoration.mean, np.mean(restoration.samples, 0), atol=1e-6)
    np.testing.assert_allclose(restoration.std, np.std(restoration.samples, 0, ddof=1), atol=1e-6)
    np.testing.assert_array_equal(studio.restore(analysis, samples=2, seed=4).samples, restoration.samples[:2])
    assert not studio.restore(analysis).std.any()


def test_denoising_averages_what_the_studio_restores(network, studio):
    image = picture(20, 20)
    restoration = studio.restore(studio.analyse(image), samples=3, temperature=0.5, seed=7)
    mean, extras = denoise(network, image, samples=3, temperature=0.5, seed=7)
    np.testing.assert_allclose(mean, restoration.mean, atol=1e-5)
    np.testing.assert_allclose(extras["std"], restoration.std, atol=1e-5)
    half, _ = denoise(network, image, samples=3, temperature=0.5, seed=7, strength=0.5)
    np.testing.assert_allclose(half, (image + mean) / 2, atol=1e-5)
    assert denoise(network, image)[1] == {}


def test_generated_noise_grows_with_the_strength(studio):
    image = picture(40, 40)
    analysis = studio.analyse(image)
    pictures = studio.generate(analysis, 0.01, count=3, seed=5)
    assert len(pictures) == 3 and np.abs(pictures[0] - pictures[1]).max() > 1e-3
    strengths = np.array([0.001, 0.01, 0.1])  # also of numpy's float64
    spreads = [np.std(studio.generate(analysis, strength, seed=5)[0] - image) for strength in strengths]
    assert spreads[0] * 5 < spreads[1] and spreads[1] * 5 < spreads[2]
    np.testing.assert_array_equal(pictures[0], studio.generate(analysis, 0.01, seed=5)[0])


def test_a_strength_is_found_for_as_much_noise_as_asked_for(studio):
    image = picture(40, 40)
    analysis = studio.analyse(image)
    for level in (2 / 255, 20 / 255):
        strength = studio.strength(analysis, level, seed=1)
        for made in studio.generate(analysis, strength, count=2, seed=5):  # not the draws that it was found with
            assert np.std(made - image) == pytest.approx(level, rel=0.15)


def test_swapping_takes_one_s_low_and_the_other_s_latent(studio):
    a, b = studio.analyse(picture(24, 24)), studio.analyse(1 - picture(24, 24))
    swapped = studio.analyse(np.clip(studio.swap(a, b), -3, 4))
    np.testing.assert_allclose(swapped.low, a.low, atol=1e-4)
    np.testing.assert_allclose(swapped.latent, b.latent, atol=1e-4)
    with pytest.raises(ImageError, match="24 x 24 x 3 and 20 x 24 x 3"):
        studio.swap(a, studio.analyse(picture(20, 24)))


def test_a_part_shows_what_the_whole_will(studio):
    """A window with some margin, its noise included; at the picture's own edge it needs none."""
    analysis = studio.analyse(picture(118, 203))
    whole = studio.generate(analysis, 0.1, seed=6)[0]
    part = studio.part(analysis, slice(10, None), slice(12, 40))
    window = studio.generate(part, 0.1, seed=6)[0]
    assert window.shape == part.shape == (78, 112, 3)
    np.testing.assert_allclose(window[32:, 32:-32], whole[40 + 32 :, 48 + 32 : 160 - 32], atol=1 / 255)


def test_a_window_is_the_part_found_without_the_rest(studio):
    image = picture(118, 203)
    analysis = studio.analyse(image)
    cut = slice(3, 30), slice(12, None)
    part, window = studio.part(analysis, *cut), studio.window(image, *cut)
    assert (window.shape, window.grid, window.corner) == (part.shape, part.grid, part.corner)
    np.testing.assert_array_equal(window.noise(np.random.default_rng(1)), part.noise(np.random.default_rng(1)))
    np.testing.assert_allclose(window.latent[8:-8, 8:], part.latent[8:-8, 8:], atol=1e-3)
    np.testing.assert_allclose(studio.invert(window), image[12:118, 48:], atol=1e-5)


def test_no_samples_is_refused(studio):
    with pytest.raises(ParameterError, match="at least 1"):
        studio.restore(studio.analyse(picture(8, 8)), samples=0)


def test_progress_rises_to_one(network):
    seen = []
    denoise(network, picture(40, 40), Run(lambda f, preview=None: seen.append(f)), samples=3, self_ensemble=True)
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_stops_within_half_a_second_of_being_cancelled():
    network, stop, stopped = untrained(), threading.Event(), []
    denoise(network, picture(64, 64))  # warms up

    def work():
        with pytest.raises(Cancelled):
            denoise(network, picture(1500, 1500), Run(cancelled=stop.is_set), samples=64)
        stopped.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    wall, cpu = time.monotonic(), time.process_time()
    stop.set()
    thread.join()
    # On a busy machine half a second of our own work may take longer by the clock.
    assert stopped and min(time.monotonic() - wall, time.process_time() - cpu) < 0.5
