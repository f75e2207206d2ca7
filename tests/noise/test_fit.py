"""Round trips: noise of a known camera is put on a picture, the camera is found again from the noisy picture alone."""

import numpy as np
import pytest
from skimage import data

from denoisers.errors import ImageError
from denoisers.noise.camera import CameraNoise
from denoisers.noise.correlation import describe, lag, luma_chroma
from denoisers.noise.fit import fit


def as_file(image):
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)


def statistics(camera, clean, seed):
    noise = camera.apply(clean, np.random.default_rng(seed)) - clean
    found = describe(noise, clean, 4)
    luma, chroma = luma_chroma(noise - noise.mean((0, 1)))
    return found, lag(luma, 0, 1).mean(), lag(chroma, 0, 1).mean(), found.channels[np.triu_indices(3, 1)].mean()


@pytest.mark.parametrize(
    ("name", "camera"),
    [
        ("astronaut", CameraNoise()),
        ("coffee", CameraNoise(correction=0.4, blotch=0, saturation=0, shot=6e-3)),
        ("chelsea", CameraNoise(shot=1e-3, grain=0.5, blotch=2, red=1.6, tone=1)),
    ],
)
def test_the_fitted_camera_makes_the_same_noise(name, camera):
    """Level within 20 % (fur and fabric are read as noise), over brightness within 30 %, correlations within 0.12."""
    clean = getattr(data, name)().astype(np.float32) / 255
    found = fit(as_file(camera.apply(clean, np.random.default_rng(0))))
    (true, *true_lags), (made, *made_lags) = statistics(camera, clean, 1), statistics(found, clean, 2)
    assert made.sigma == pytest.approx(true.sigma, rel=0.2)
    assert made.curve.mean(1) == pytest.approx(true.curve.mean(1), rel=0.3)
    assert made_lags == pytest.approx(true_lags, abs=0.12)


@pytest.mark.parametrize("stored_as_colour", [False, True])
def test_a_grey_picture_gives_a_camera_for_grey_pictures(stored_as_colour):
    clean = data.camera()[..., None].astype(np.float32) / 255
    noisy = as_file(CameraNoise(shot=0.01).apply(clean, np.random.default_rng(0)))
    found = fit(np.repeat(noisy, 3, 2) if stored_as_colour else noisy)
    true, made = (c.apply(clean, np.random.default_rng(1)) - clean for c in (CameraNoise(shot=0.01), found))
    assert made.std() == pytest.approx(true.std(), rel=0.2)
    assert lag(made, 0, 1) == pytest.approx(lag(true, 0, 1), abs=0.12)


@pytest.mark.parametrize("image", [np.full((12, 400, 3), 0.5), np.full((40, 40, 3), 0.5), np.zeros((300, 300, 3))])
def test_too_little_to_measure_says_so(image):
    with pytest.raises(ImageError, match="too small, or too much of it is black"):
        fit(image)


def test_no_noise_says_so():
    with pytest.raises(ImageError, match="no noise"):
        fit(np.full((200, 200, 3), 0.5))
