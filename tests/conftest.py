import numpy as np
import pytest


@pytest.fixture(scope="session")
def astronaut():
    """128 x 128 x 3 float32, clean."""
    from skimage import data

    return (data.astronaut()[40:168, 150:278] / 255).astype(np.float32)


@pytest.fixture(scope="session")
def noisy(astronaut):
    """The same with white Gaussian noise of 25/255, unclipped range cut to [0, 1]."""
    noise = np.random.default_rng(0).standard_normal(astronaut.shape)
    return np.clip(astronaut + 25 / 255 * noise, 0, 1).astype(np.float32)
