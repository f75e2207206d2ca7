"""What a recipe's folders become: crops with the noise level that a network is told in use."""

import numpy as np
import pytest
from PIL import Image
from skimage import data as pictures

from denoisers.noise import add_noise, estimate_sigma
from denoisers.training import recipe, sources


def facts(**data):
    network = {"architecture": "drunet", "widths": [8, 8], "blocks": 1}
    return recipe.parse(
        {"title": "t", "method": "drunet", "tag": "t", "network": network, "data": {"crop": [32], **data}}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve photographs of camera noise and their clean partners; the same twice without."""
    folder, whole = tmp_path_factory.mktemp("data"), pictures.astronaut()
    for name in ("pairs/noisy", "pairs/clean", "shots", "noisy"):
        (folder / name).mkdir(parents=True)
    for i in range(12):
        clean = whole[96 * (i // 4) :, 96 * (i % 4) :][:96, :96]
        first, second = (np.uint8(np.round(255 * add_noise(clean, "camera", 20 / 255, seed))) for seed in (i, 100 + i))
        for path, pixels in {
            f"pairs/noisy/{i}.png": first,
            f"pairs/clean/{i}.png": clean,
            f"shots/{i}_noisy1.png": first,
            f"shots/{i}_noisy2.png": second,
            f"noisy/{i}.png": first,
        }.items():
            Image.fromarray(pixels).save(folder / path)
    return folder


def test_pairs_are_told_the_estimate_as_in_use(folder):
    ((source, share),) = sources.open_data(facts(pairs=["pairs"]), folder)[0]
    assert share == 0.5 and len(source.pictures) == len(source.sigmas) > 0
    assert source.sigmas == [estimate_sigma(noisy) for noisy, _, _ in source.pictures]


def test_held_back_pairs_are_told_the_estimate_too(folder):
    held_back = sources.open_data(facts(pairs=["pairs"]), folder)[1]
    assert held_back
    for noisy, clean, sigma in held_back:
        assert sigma == estimate_sigma(np.uint8(np.round(255 * noisy))) and clean.shape == noisy.shape


def test_two_noisy_shots_are_each_others_targets(folder):
    ((source, _),) = sources.open_data(facts(noisy_pairs=["shots"]), folder)[0]
    for noisy, target, clean in source.pictures:
        assert clean is None and not np.array_equal(noisy, target)
        # Both show the same: their difference is noise alone.
        assert np.abs(noisy.astype(float).mean() - target.astype(float).mean()) < 2


def test_noisy_pictures_alone_are_their_own_targets(folder):
    facts_ = facts(noisy=["noisy"]).model_copy(update={"objective": recipe.Objective(name="noise2same")})
    ((source, _),) = sources.open_data(facts_, folder)[0]
    assert all(noisy is target and clean is None for noisy, target, clean in source.pictures)


def test_grey_crops_have_one_noise_and_a_level_told_as_in_use(folder):
    data = facts(clean=["pairs/clean"], grey=0.5).model_copy(update={"noise": recipe.Noise(low=20, high=20)})
    ((source, _),) = sources.open_data(data, folder)[0]
    kinds = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        noisy, target, sigma, clean, _ = source.crop(0, lambda convert, picture: convert(picture), rng)
        grey = bool((clean == clean[..., :1]).all())
        kinds.add(grey)
        assert grey == bool((noisy == noisy[..., :1]).all()) and target is clean
        assert sigma == pytest.approx(20 / 255 * (3**0.5 if grey else 1))
        assert (noisy - clean)[..., 0].std() == pytest.approx(20 / 255, rel=0.1)
    assert kinds == {True, False}
