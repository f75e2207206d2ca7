"""The camera model: each step against its published formula, and the whole against what real noise shows."""

from dataclasses import replace

import numpy as np
import pytest
from skimage import data

from denoisers.noise.camera import CameraNoise, demosaic, mosaic, random_camera, through_jpeg
from denoisers.noise.correlation import describe

COFFEE = data.coffee()[100:292, 150:350].astype(np.float32) / 255
PHASES = [(0, 0), (0, 1), (1, 0), (1, 1)]


def noise_on(value, camera, side=192, seed=0):
    ground = np.full((side, side, 3), value, np.float32)
    return camera.apply(ground, np.random.default_rng(seed)) - ground


@pytest.mark.parametrize("seed", range(6))
def test_without_noise_the_picture_comes_back_exactly(seed):
    camera = replace(random_camera(np.random.default_rng(seed)), shot=0, read=0, jpeg=None)
    assert np.array_equal(camera.apply(COFFEE, np.random.default_rng(0)), COFFEE)


@pytest.mark.parametrize("tone", [0, 0.3, 1])
def test_development_undoes_unprocessing(tone):
    camera = CameraNoise(tone=tone)
    found = camera._develop(camera.unprocess(COFFEE)).transpose(1, 2, 0)
    assert np.abs(found - COFFEE).max() < 0.1 / 255  # float32 at black, where the gamma is steep


def test_unprocessing_is_that_of_brooks_et_al():
    y = np.linspace(0.01, 0.99, 99, dtype=np.float32).reshape(9, 11, 1)
    grey = CameraNoise(tone=1, red=2).unprocess(y)
    expected = (0.5 - np.sin(np.arcsin(1 - 2 * y[..., 0]) / 3)) ** 2.2
    assert grey[1] == pytest.approx(expected, abs=1e-5)
    assert grey[0] == pytest.approx(expected / 2, abs=1e-5)


def test_sensor_noise_is_poisson_gaussian():
    camera = CameraNoise(shot=0.01, read=1e-4)
    light = np.full((400, 400), 0.3, np.float32)
    noise = camera._sensor_noise(light, np.random.default_rng(0))
    assert noise.mean() == pytest.approx(0, abs=5e-4)
    assert noise.var() == pytest.approx(0.01 * 0.3 + 1e-4, rel=0.02)
    counts = (replace(camera, read=0)._sensor_noise(light, np.random.default_rng(0)) + light) / 0.01
    assert counts == pytest.approx(np.round(counts), abs=1e-3)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("correction", [0, 1])
def test_demosaicking_keeps_colours_and_ramps(phase, correction):
    ramp = np.arange(20, dtype=np.float32)
    picture = np.array([0.2, 0.5, 0.9], np.float32)[:, None, None] + 0.01 * (ramp + 2 * ramp[:, None])
    found = demosaic(mosaic(picture, np.array(phase)), np.array(phase), correction)
    assert found[:, 3:-3, 3:-3] == pytest.approx(picture[:, 3:-3, 3:-3], abs=1e-5)


def test_demosaicking_weights_are_those_of_malvar_et_al():
    """Eighths, by an impulse at the centre of a 9 x 9 mosaic; red sites are even, even."""
    raw = np.zeros((9, 9), np.float32)
    raw[4, 4] = 8  # a red site
    red, green, blue = demosaic(raw, (0, 0))
    assert (red[4, 4], green[4, 4], blue[4, 4]) == (8, 4, 6)
    assert (red[4, 5], red[5, 4], red[5, 5]) == (4, 4, 2)
    assert (green[4, 6], blue[4, 6], red[4, 6]) == (-1, -1.5, 0)
    raw[4, 4], raw[4, 5] = 0, 8  # a green site in a red row
    red, green, blue = demosaic(raw, (0, 0))
    assert (red[4, 5], green[4, 5], blue[4, 5]) == (5, 8, 5)
    assert (red[4, 7], blue[4, 7], red[2, 5], blue[2, 5]) == (-1, 0.5, 0.5, -1)
    assert (red[5, 6], blue[5, 6], green[4, 4]) == (-1, -1, 2)


def test_the_default_looks_like_a_camera():
    """Lag-1 correlation 0.26 to 0.62 and 0.3 to 0.8 between channels were measured on real sets."""
    noise = noise_on(0.5, CameraNoise())
    found = describe(noise, np.zeros_like(noise), 1)
    assert 0.26 < found.across[0] < 0.62 and 0.26 < found.down[0] < 0.62
    assert 0.3 < found.channels[np.triu_indices(3, 1)].min() < found.channels[np.triu_indices(3, 1)].max() < 0.8


def test_strength_follows_brightness_up_the_tone_curve_and_down_again():
    black, dark, middle, white = (noise_on(v, CameraNoise()).std() for v in (0.0, 0.1, 0.5, 1.0))
    assert black < dark < middle > 1.5 * white > 0


def test_no_colour_shift():
    for value in (0.05, 0.3, 0.7, 0.95):
        means = 255 * noise_on(value, CameraNoise(), 256).mean((0, 1))
        assert np.abs(means).max() < 0.5


def test_each_kind_of_smoothing_does_its_own():
    def colour_and_brightness(**changes):
        noise = noise_on(0.5, CameraNoise(**changes))
        luma = noise.mean(2, keepdims=True)
        return [describe(part, np.zeros_like(part), 1).across[0] for part in (noise - luma, luma)]

    colour, brightness = colour_and_brightness(blotch=0)
    more_colour, same_brightness = colour_and_brightness(blotch=2)
    same_colour, more_brightness = colour_and_brightness(blotch=0, grain=1)
    assert more_colour > colour + 0.1 and same_brightness == pytest.approx(brightness)
    assert more_brightness > brightness + 0.3 and same_colour == pytest.approx(colour, abs=1e-5)
    assert colour_and_brightness(correction=1)[1] < colour_and_brightness(correction=0)[1] - 0.2


def test_cameras_drawn_for_training_cover_what_was_measured():
    rng = np.random.default_rng(0)
    cameras = [random_camera(rng, (4 / 255, 12 / 255)) for _ in range(40)]
    found = [describe(noise_on(0.5, replace(c, jpeg=None), 96), np.zeros((96, 96, 3)), 1) for c in cameras]
    levels = np.array([255 * f.sigma for f in found])
    lags, between = np.array([f.across[0] for f in found]), np.array([f.channels[0, 1] for f in found])
    assert 3.4 < levels.min() < 5.5 and 9.5 < levels.max() < 13.5
    assert lags.min() < 0.4 and lags.max() > 0.7
    assert between.min() < 0.1 and between.max() > 0.7
    assert {c.jpeg is None for c in cameras} == {True, False}
    assert random_camera(np.random.default_rng(5)) == random_camera(np.random.default_rng(5))


def test_a_camera_may_write_jpeg():
    found = replace(CameraNoise(), jpeg=70).apply(COFFEE, np.random.default_rng(0))
    assert found == pytest.approx(np.round(found * 255) / 255, abs=1e-6)
    assert found.min() >= 0 and found.max() <= 1


def test_jpeg_blocks_start_at_the_corner_only_without_a_draw():
    corner = through_jpeg(COFFEE, 10)
    step = np.abs(np.diff(corner, axis=1)).mean((0, 2))
    assert step[7::8].mean() > 1.5 * step.mean()
    assert not np.array_equal(corner, through_jpeg(COFFEE, 10, np.random.default_rng(0)))
