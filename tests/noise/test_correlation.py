"""Noise statistics against noise whose statistics are known."""

import numpy as np
import pytest

from denoisers.noise.correlation import (
    akld,
    between_channels,
    describe,
    histogram,
    histogram_distance,
    lag,
    luma_chroma,
    spectrum,
)

WHITE = np.random.default_rng(0).standard_normal((256, 256, 3)).astype(np.float32)


def test_white_noise():
    found = describe(0.1 * WHITE, np.zeros_like(WHITE), 2)
    assert found.sigma == pytest.approx(0.1, rel=0.01)
    assert found.kurtosis == pytest.approx(3, abs=0.05)
    assert np.abs([*found.across, *found.down]).max() < 0.02
    assert found.channels == pytest.approx(np.eye(3), abs=0.02)


def test_the_mean_of_two_neighbours_is_half_correlated_across():
    noise = WHITE[:, 1:] + WHITE[:, :-1]
    assert lag(noise, 0, 1) == pytest.approx(0.5, abs=0.02)
    assert lag(noise, 1, 0) == pytest.approx(0, abs=0.02)
    assert lag(np.stack([noise, -noise]), 0, 1) == pytest.approx(lag(noise, 0, 1), abs=1e-4)


def test_a_shared_part_shows_between_the_channels():
    noise = WHITE + WHITE[::-1, :, :1]
    assert between_channels(noise)[np.triu_indices(3, 1)] == pytest.approx(0.5, abs=0.02)
    luma, chroma = luma_chroma(noise)
    assert luma + chroma == pytest.approx(noise, abs=1e-5)
    assert chroma.mean(2) == pytest.approx(0, abs=1e-5)


def test_the_curve_follows_brightness():
    clean = np.broadcast_to(np.linspace(0, 1, 256, dtype=np.float32)[:, None, None], WHITE.shape)
    found = describe(clean * WHITE, clean, 4)
    assert found.brightness == pytest.approx([0.125, 0.375, 0.625, 0.875], abs=0.01)
    assert found.curve == pytest.approx(found.brightness[:, None] * np.ones(3), rel=0.2)
    assert found.kurtosis > 4


def test_the_spectrum_is_flat_for_white_noise_and_finds_a_wave():
    frequency, power = spectrum(WHITE)
    assert power[2:] == pytest.approx(1, abs=0.1)
    wave = np.broadcast_to(np.sin(2 * np.pi * 0.2 * np.arange(250)), (250, 250))[..., None]
    assert spectrum(wave)[0][spectrum(wave)[1].argmax()] == pytest.approx(0.2, abs=0.02)
    assert frequency[0] > 0 and frequency[-1] < 0.5


def test_akld():
    assert akld(WHITE, WHITE) == 0
    assert akld(WHITE[::-1], WHITE) == pytest.approx(0.044, abs=0.005)
    assert akld(10 * WHITE, WHITE) == pytest.approx((10 - 1 - np.log(10)) / 2, abs=0.01)
    assert akld(0 * WHITE, WHITE) == pytest.approx((0.1 - 1 - np.log(0.1)) / 2, abs=0.01)


def test_the_histogram_and_its_distance():
    values, shares = histogram(np.array([-1, 0, 0, 1 / 255]))
    assert shares.sum() == 1 and dict(zip(values, shares, strict=True))[1 / 255] == 0.25 and shares[255] == 0.5
    noise = 0.05 * WHITE
    assert histogram_distance(noise, noise) == 0
    assert histogram_distance(noise, noise[::-1] + 1) == pytest.approx(1)
    # Two Gaussians of deviations s and 2 s share 0.677 of their area.
    assert histogram_distance(2 * noise, noise) == pytest.approx(0.323, abs=0.01)
