"""Noise estimation on scikit-image's bundled pictures with synthetic noise of known strength."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

from denoisers.errors import ImageError, ParameterError
from denoisers.noise.estimate import describe_noise, estimate_sigma

NAMES = ("camera", "astronaut", "coffee", "chelsea")
PICTURES = {name: getattr(data, name)().astype(np.float32) / 255 for name in NAMES}


def white(image, sigma, seed=0):
    return image + np.random.default_rng(seed).normal(0, sigma, image.shape).astype(np.float32)


def camera_like(image, sigma, seed=0):
    """Noise that grows with brightness, smoothed as demosaicking does (lag-1 correlation about 0.6)."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=image.shape), (0.7, 0.7, 0)[: image.ndim])
    noise *= np.sqrt(0.2 + image)
    return (image + noise * (sigma / noise.std())).astype(np.float32)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("sigma", [10, 15, 25, 50])
def test_white_noise_is_recognised_and_measured(name, sigma):
    found = describe_noise(white(PICTURES[name], sigma / 255))
    assert found.method == "chen"
    assert found.sigma * 255 == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize(("name", "expected"), [("camera", 25.5), ("astronaut", 24.8)])
def test_chen_gives_the_values_of_an_independent_implementation(name, expected):
    """256 x 256 crops, sigma 25: mean of 3 to 4 draws was 25.5 (sd 0.3) grey and 24.8 (sd 0.2) colour."""
    top = 64 if name == "camera" else 0
    crop = PICTURES[name][top : top + 256, 128:384]
    estimates = [255 * estimate_sigma(white(crop, 25 / 255, seed), "chen") for seed in range(3)]
    assert np.mean(estimates) == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("sigma", [20, 40])
def test_camera_like_noise_is_recognised_and_measured(name, sigma):
    noisy = camera_like(PICTURES[name], sigma / 255)
    found = describe_noise(noisy)
    assert found.method == "camera"
    assert found.sigma * 255 == pytest.approx(sigma, rel=0.3)
    assert estimate_sigma(noisy, "chen") * 255 < 0.8 * sigma  # why there are two methods


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
@pytest.mark.parametrize("sigma", [15, 30])
@pytest.mark.parametrize("quality", [96, 92])
def test_white_noise_whose_colour_a_jpeg_has_halved_is_measured(name, sigma, quality):
    clean = PICTURES[name]
    noisy = Image.fromarray(np.uint8(np.round(255 * white(clean, sigma / 255).clip(0, 1))))
    noisy.save(file := io.BytesIO(), "JPEG", quality=quality, subsampling="4:2:0")
    noisy = np.asarray(Image.open(file))
    found = describe_noise(noisy)
    assert found.method == "camera" and describe_noise(noisy, "chen").sigma < 0.2 * found.sigma
    assert found.sigma == pytest.approx((noisy / 255 - clean).std(), rel=0.1)


def test_more_noise_reads_higher():
    for noise, method in ((white, "chen"), (camera_like, "camera")):
        values = [estimate_sigma(noise(PICTURES["coffee"], s / 255), method) for s in (5, 10, 20, 40)]
        assert np.all(np.diff(values) > 0)


def test_integer_images_read_in_image_units():
    noisy = np.clip(white(0.2 + 0.6 * PICTURES["astronaut"], 10 / 255), 0, 1)
    expected = estimate_sigma(noisy)
    assert estimate_sigma(np.round(noisy * 255).astype(np.uint8)) == pytest.approx(expected, rel=0.02)
    assert estimate_sigma(np.round(noisy * 65535).astype(np.uint16)) == pytest.approx(expected, rel=0.001)


@pytest.mark.parametrize("shape", [(600, 900, 3), (600, 900, 1), (20, 30, 3)])
def test_integers_read_exactly_as_the_same_values_in_float(shape):
    noisy = white(np.full(shape, 0.5, np.float32), 0.05)
    for top, dtype in ((255, np.uint8), (65535, np.uint16)):
        samples = np.round(noisy.clip(0, 1) * top).astype(dtype)
        assert describe_noise(samples) == describe_noise(samples.astype(np.float32) / np.float32(top))


def test_grey_with_and_without_a_channel_axis_agree():
    noisy = white(PICTURES["camera"], 0.05)
    assert estimate_sigma(noisy) == estimate_sigma(noisy[..., None])


@pytest.mark.parametrize("method", ["auto", "chen", "camera"])
@pytest.mark.parametrize("shape", [(64, 64), (40, 50, 3), (5, 5, 3), (1, 1)])
def test_constant_images_hold_no_noise(shape, method):
    assert estimate_sigma(np.full(shape, 0.3), method) == 0
    assert estimate_sigma(np.full(shape, 77, np.uint8), method) == 0


@pytest.mark.parametrize("method", ["auto", "chen", "camera"])
@pytest.mark.parametrize(
    "shape", [(1, 2), (2, 1, 3), (1, 40), (40, 1), (7, 300), (8, 8), (20, 20, 3), (25, 27), (40, 44, 3)]
)
def test_tiny_images_give_a_finite_level(shape, method):
    value = estimate_sigma(white(np.full(shape, 0.5, np.float32), 0.1), method)
    assert 0 < value < 0.4
    if np.prod(shape) > 100 and method != "camera":
        assert value == pytest.approx(0.1, rel=0.3)


def test_grey_stored_as_colour_reads_as_grey():
    noisy = white(PICTURES["camera"], 0.05)
    assert estimate_sigma(np.repeat(noisy[..., None], 3, axis=2)) == estimate_sigma(noisy) > 0.04


def test_a_pixel_has_no_noise():
    assert estimate_sigma(np.array([[0.4]])) == 0
    assert estimate_sigma(np.array([[[0.4, 0.1, 0.9]]])) == 0


@pytest.mark.parametrize(("name", "limit"), [("astronaut", 6), ("coffee", 3.5), ("chelsea", 3.5)])
@pytest.mark.parametrize("convert", [np.asarray, lambda x: x.mean(-1)])
def test_a_photograph_without_added_noise_reads_little(name, limit, convert):
    """The astronaut's scan has grain of its own."""
    assert estimate_sigma(convert(PICTURES[name])) * 255 < limit


def test_shot_noise_is_no_texture():
    """Its level rises with brightness: the darkest blocks, though calmest, do not speak for the whole."""
    ramp = np.repeat(np.linspace(0.05, 0.95, 256, dtype=np.float32)[None], 256, 0)
    noise = np.random.default_rng(0).standard_normal(ramp.shape, np.float32) * 0.1 * np.sqrt(ramp)
    assert estimate_sigma(ramp + noise) == pytest.approx(noise.std(), rel=0.08)


def test_blocks_are_not_chosen_for_weak_noise():
    """On noise alone every block is as good as any other, and the calm ones are an unbiased sample."""
    values = [estimate_sigma(white(np.full((256, 256), 0.5, np.float32), 0.1, seed)) for seed in range(4)]
    assert np.mean(values) == pytest.approx(0.1, rel=0.04)


def test_clipped_and_painted_areas_do_not_hide_the_noise():
    noisy = camera_like(PICTURES["coffee"], 20 / 255)
    expected = estimate_sigma(noisy)
    noisy[:100], noisy[-100:] = 0, 0.3
    assert estimate_sigma(np.clip(noisy, 0, 1)) == pytest.approx(expected, rel=0.35)


def test_crushed_shadows_do_not_hide_the_noise():
    """A tone curve that flattens the shadows takes their noise along; the rest of the picture keeps its own."""
    clean = PICTURES["coffee"]
    noise = camera_like(clean, 10 / 255) - clean
    noise[clean.mean(-1) < np.quantile(clean.mean(-1), 0.3)] *= 0.1
    assert estimate_sigma(clean + noise) == pytest.approx(noise.std(), rel=0.25)


def test_the_same_picture_reads_the_same():
    noisy = camera_like(PICTURES["coffee"], 20 / 255)
    assert describe_noise(noisy) == describe_noise(noisy.copy())


def test_wrong_requests_say_so():
    with pytest.raises(ParameterError, match="'magic'"):
        estimate_sigma(np.zeros((9, 9)), "magic")
    with pytest.raises(ImageError, match="1 x 3 x 9 x 9"):
        estimate_sigma(np.zeros((1, 3, 9, 9)))
    with pytest.raises(ImageError, match="finite"):
        estimate_sigma(np.full((9, 9), np.nan))
