"""Scores against hand-computed and scikit-image's values."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from denoisers.errors import ImageError
from denoisers.metrics import psnr, ssim


def test_psnr_by_hand():
    assert psnr(np.full((4, 4), 0.6), np.full((4, 4), 0.5)) == pytest.approx(20, abs=1e-4)
    assert psnr(np.full((4, 4), 255, np.uint8), np.ones((4, 4))) == float("inf")


def test_ssim_is_wangs(noisy, astronaut):
    theirs = structural_similarity(
        noisy, astronaut, data_range=1, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(noisy, astronaut) == pytest.approx(theirs, abs=1e-4)
    assert ssim(astronaut, astronaut) == pytest.approx(1)


def test_small_pictures_have_a_score():
    assert ssim(np.ones((1, 1)), np.ones((1, 1))) == pytest.approx(1)


def test_sizes_must_agree(noisy):
    with pytest.raises(ImageError, match="128 x 128"):
        psnr(noisy, noisy[:100])
