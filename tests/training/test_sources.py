"""What a recipe's folders become: crops with the noise level that a network is told in use."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as pictures

from denoisers.noise import add_noise, estimate_sigma
from denoisers.training import recipe, sources
from denoisers.training.data import Crops


def facts(objective="supervised", **data):
    network = {"architecture": "drunet", "widths": [8, 8], "blocks": 1}
    parts = {"network": network, "data": {"crop": [32], **data}, "objective": {"name": objective}}
    return recipe.parse({"title": "t", "method": "drunet", "tag": "t", **parts})


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
    assert share == 1 and len(source.pictures) == len(source.sigmas) > 0
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
    ((source, _),) = sources.open_data(facts("noise2same", noisy=["noisy"]), folder)[0]
    assert all(noisy is target and clean is None for noisy, target, clean in source.pictures)


@pytest.mark.parametrize("copies", [0, 1])
def test_grey_crops_have_one_noise_and_a_level_told_as_in_use(folder, copies):
    data = facts(clean=["pairs/clean"], copies=copies).model_copy(update={"noise": recipe.Noise(low=20, high=20)})
    mix = sources.open_data(data, folder)[0]
    batch = Crops(mix, [96], 40, grey=0.5)(0)
    grey = (batch.clean == batch.clean[:, :1]).flatten(1).all(1)
    assert grey.any() and not grey.all()
    assert torch.equal(grey, (batch.noisy == batch.noisy[:, :1]).flatten(1).all(1))
    torch.testing.assert_close(batch.target, batch.clean)
    told = 20 / 255 * torch.where(grey, 3**0.5, 1)
    torch.testing.assert_close(batch.sigma.flatten(), told, rtol=0.05 if copies else 1e-6, atol=0)
    torch.testing.assert_close(
        (batch.noisy - batch.clean)[:, 0].flatten(1).std(1), told[~grey][0].expand(40), rtol=0.1, atol=0
    )


@pytest.mark.parametrize("model", ["poisson", "poisson_gaussian", "speckle"])
def test_noise_that_follows_brightness_is_told_as_that_of_the_whole_picture(model):
    whole = np.tile(np.linspace(0, 1, 64, dtype=np.float32)[:, None, None], (1, 64, 3))
    make = sources.noise_maker(recipe.Noise(model=model, low=25, high=25))
    told = [make(whole[rows], np.random.default_rng(0), whole)[1] for rows in (np.s_[:8], np.s_[-8:])]
    np.testing.assert_allclose(told, np.std(add_noise(whole, model, 25 / 255, clip=False) - whole), rtol=0.1)


def test_two_noisy_copies_are_grey_together(folder):
    data = facts(clean=["pairs/clean"]).model_copy(
        update={
            "noise": recipe.Noise(model="text", low=0.2, high=0.3),
            "objective": recipe.Objective(name="noise2noise"),
        }
    )
    batch = Crops(sources.open_data(data, folder)[0], [64], 8, grey=1.0)(0)
    for pixels in (batch.noisy, batch.target, batch.clean, batch.mask):
        assert pixels is None or torch.equal(pixels, pixels[:, :1].expand_as(pixels))
    assert not torch.equal(batch.noisy, batch.target)


@pytest.fixture(scope="module")
def grey_folder(tmp_path_factory):
    """Twelve grey photographs, stored as grey, of one noise each."""
    folder, whole = tmp_path_factory.mktemp("grey"), pictures.camera()
    for name in ("pairs/noisy", "pairs/clean"):
        (folder / name).mkdir(parents=True)
    for i in range(12):
        clean = whole[96 * (i // 4) :, 96 * (i % 4) :][:96, :96]
        noisy = np.uint8(np.round(255 * add_noise(clean[..., None], "gaussian", 20 / 255, i)))[..., 0]
        Image.fromarray(noisy).save(folder / f"pairs/noisy/{i}.png")
        Image.fromarray(clean).save(folder / f"pairs/clean/{i}.png")
    return folder


@pytest.mark.parametrize(
    "data", [{"pairs": ["pairs"]}, {"clean": ["pairs/clean"]}, {"clean": ["pairs/clean"], "copies": 1}]
)
def test_grey_pictures_have_one_noise_and_a_level_told_as_in_use(grey_folder, data):
    told = facts(**data).model_copy(update={"noise": recipe.Noise(low=20, high=20)})
    mix, held_back, _ = sources.open_data(told, grey_folder)
    batch = Crops(mix, [32], 6, grey=0.5)(0)
    for pixels in (batch.noisy, batch.target):
        assert torch.equal(pixels, pixels[:, :1].expand_as(pixels))
    level = batch.sigma.flatten() / 3**0.5
    torch.testing.assert_close(level, torch.full((6,), 20 / 255), rtol=0.3 if "pairs" in data else 0.06, atol=0)
    assert held_back
    for noisy, _, sigma in held_back:
        assert (noisy == noisy[..., :1]).all() and sigma == pytest.approx(20 / 255, rel=0.3)


def test_photographs_with_and_without_clean_partners_go_into_one_batch(folder):
    mix, held_back, _ = sources.open_data(facts(pairs=["pairs"], noisy_pairs=["shots"]), folder)
    batch = Crops(mix, [32], 16)(0)
    assert batch.clean is None and batch.target.shape == batch.noisy.shape == (16, 3, 32, 32)
    assert {clean is None for _, clean, _ in held_back} == {True, False}
