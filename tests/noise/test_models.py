"""Every noise model on plain and real ground: moments as its formula says, same seed same noise, any size."""

import numpy as np
import pytest
from skimage import data

from denoisers.errors import ParameterError
from denoisers.noise import add_noise
from denoisers.noise.models import MODELS, keep_mask

ASTRONAUT = data.astronaut()[:96, 150:250].astype(np.float32) / 255


def noisy(model, image, level, seed=0):
    return MODELS[model](image, level, np.random.default_rng(seed))


def plain(value, side=256):
    return np.full((side, side, 3), value, np.float32)


@pytest.mark.parametrize("model", MODELS)
def test_same_seed_same_noise_and_the_picture_given_is_left_alone(model):
    before = ASTRONAUT.copy()
    once = noisy(model, ASTRONAUT, 0.2)
    assert once.dtype == np.float32 and once.shape == ASTRONAUT.shape
    assert np.array_equal(once, noisy(model, ASTRONAUT, 0.2))
    assert not np.array_equal(once, noisy(model, ASTRONAUT, 0.2, seed=1))
    assert np.array_equal(ASTRONAUT, before)


@pytest.mark.parametrize("model", MODELS)
def test_level_zero_returns_the_picture(model):
    assert np.array_equal(noisy(model, ASTRONAUT, 0), ASTRONAUT)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 3), (2, 3, 3), (37, 50, 1)])
def test_any_size_grey_and_colour(model, shape):
    found = noisy(model, np.full(shape, 0.4, np.float32), 0.3)
    assert found.shape == shape and found.dtype == np.float32 and np.isfinite(found).all()


@pytest.mark.parametrize(
    ("model", "variance"),
    [
        ("gaussian", lambda v: 0.01),
        ("poisson", lambda v: 0.02 * v),  # v / chi, chi = 1 / (2 x 0.1^2)
        ("poisson_gaussian", lambda v: 0.005 + 0.01 * v),
        ("speckle", lambda v: 0.01 * v**2),
    ],
)
@pytest.mark.parametrize("value", [0.1, 0.5, 1.0])
def test_mean_stays_and_variance_is_the_formula_unclipped(model, variance, value):
    found = noisy(model, plain(value), 0.1)
    assert found.mean() == pytest.approx(value, abs=0.002)
    assert found.var() == pytest.approx(variance(value), rel=0.03)
    assert found.max() > value and (found.max() > 1 or value < 1)


def test_poisson_counts_photons():
    found = noisy("poisson", plain(0.7), (0.5 / 30) ** 0.5)
    assert np.allclose(found * 30, np.round(found * 30), atol=1e-4)
    assert found.var() == pytest.approx(0.7 / 30, rel=0.03)


def test_salt_and_pepper_takes_whole_pixels():
    found = noisy("salt_and_pepper", plain(0.5), 0.3)
    assert (found == found[..., :1]).all()
    assert np.mean(found == 0) == pytest.approx(0.15, abs=0.01)
    assert np.mean(found == 1) == pytest.approx(0.15, abs=0.01)


def test_impulse_replaces_whole_pixels_by_uniform_colours():
    found = noisy("impulse", plain(0.5), 0.7)
    hit = (found != 0.5).any(2)
    assert hit.mean() == pytest.approx(0.7, abs=0.01)
    colours = found[hit]
    assert np.corrcoef(colours.T)[0, 1] == pytest.approx(0, abs=0.02)
    assert np.histogram(colours, 4, (0, 1))[0] / colours.size == pytest.approx(0.25, abs=0.01)


def test_bernoulli_and_its_mask_come_from_the_same_draw():
    found = noisy("bernoulli", ASTRONAUT, 0.4)
    keep = keep_mask(ASTRONAUT.shape, 0.4, np.random.default_rng(0))
    assert np.array_equal(found, np.where(keep, ASTRONAUT, 0))
    assert keep.mean() == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize("level", [0.05, 0.25, 0.5])
@pytest.mark.parametrize("model", ["text", "watermark"])
def test_text_stops_at_the_first_string_past_the_coverage(model, level):
    touched = (noisy(model, plain(-1, 192), level) != -1).any(2).mean()
    assert level <= touched < level + 0.05


def test_text_is_of_many_colours_a_watermark_of_one_and_translucent():
    solid = {tuple(c) for c in noisy("text", plain(-1), 0.25).reshape(-1, 3) if c.min() >= 0}
    assert len(solid) > 20
    marked = noisy("watermark", plain(0), 0.1)
    assert (marked == marked[..., :1]).all() and 0.1 < marked.max() < 0.95


def test_jpeg_is_the_file_of_that_quality_with_its_blocks_anywhere():
    errors = [np.abs(noisy("jpeg", ASTRONAUT, level) - ASTRONAUT).mean() for level in (0.05, 0.3, 0.9)]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert len({noisy("jpeg", ASTRONAUT, 0.9, seed).tobytes() for seed in range(8)}) > 4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [3, 10, 25])
def test_camera_has_its_level_at_mid_grey(level, channels):
    found = noisy("camera", plain(0.5)[..., :channels], level / 255)
    assert 255 * found.std() == pytest.approx(level, rel=0.06)
    assert 255 * found.mean() == pytest.approx(127.5, abs=0.4)


def test_add_noise_clips_as_a_file_would_and_takes_any_pixels():
    found = add_noise((255 * ASTRONAUT).astype(np.uint8), "gaussian", 0.5, 3)
    assert found.min() == 0 and found.max() == 1 and found.dtype == np.float32
    assert add_noise(ASTRONAUT[..., 0], "camera").shape == (96, 100, 1)


def test_wrong_requests_say_so():
    with pytest.raises(ParameterError, match="'fog'.*gaussian"):
        add_noise(ASTRONAUT, "fog")
    for level in (-0.1, 1.5, float("nan")):
        with pytest.raises(ParameterError, match="between 0 and 1"):
            add_noise(ASTRONAUT, "text", level)


def test_a_grey_picture_gets_one_noise_however_it_is_stored():
    grey = np.random.default_rng(0).random((40, 50, 1), np.float32)
    for model in MODELS:
        one, three = (add_noise(picture, model, 0.2, seed=3) for picture in (grey, grey.repeat(3, -1)))
        np.testing.assert_array_equal(three, one.repeat(3, -1))
        assert (one != grey).any()
