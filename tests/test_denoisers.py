"""What every registered denoiser must do; a new one is tested by being registered."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import denoisers
from denoisers.errors import Cancelled, DenoiserError, ImageError, ParameterError
from denoisers.metrics import psnr
from denoisers.run import Run
from tests.parameters import asked, corrupted

NAMES = denoisers.names()
WEIGHTS = [(name, tag) for name in NAMES for tag in denoisers.spec(name).weights or (None,)]
"""Every method with each of its weights."""


@pytest.mark.parametrize("name", NAMES)
def test_improves_a_noisy_picture_blind_and_repeats_itself(name, noisy, astronaut):
    """On white noise, or on what its default weights are for."""
    denoiser, gain = denoisers.load(name, device="cpu"), 4
    if denoiser.weights:
        noisy, gain = corrupted(astronaut, denoiser.weights)
    first, second = denoiser.denoise(noisy), denoiser.denoise(noisy)
    assert psnr(first.image, astronaut) > psnr(noisy, astronaut) + gain
    assert first.image.shape == noisy.shape and first.image.dtype == np.float32
    assert first.image.min() >= 0 and first.image.max() <= 1
    np.testing.assert_array_equal(first.image, second.image)


@pytest.mark.parametrize("name", NAMES)
def test_stops_within_half_a_second_of_being_cancelled(name):
    picture = np.random.default_rng(0).random((1500, 1500, 3), np.float32)
    denoiser, stop, stopped = denoisers.load(name, device="cpu"), threading.Event(), []
    denoiser.denoise(picture[:64, :64], **asked(name, sigma=0.1))  # imports and warms up

    def work():
        with pytest.raises(Cancelled):
            params = {k: v for k, v in asked(name, sigma=0.1).items() if k != "steps"}
            denoiser.denoise(picture, cancelled=stop.is_set, **params)
        stopped.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    wall, cpu = time.monotonic(), time.process_time()
    stop.set()
    thread.join()
    # On a busy machine half a second of our own work may take longer by the clock.
    assert stopped and min(time.monotonic() - wall, time.process_time() - cpu) < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_tells_its_progress(name, noisy):
    seen = []
    denoiser = denoisers.load(name, device="cpu")
    denoiser.denoise(noisy, on_progress=lambda f, preview=None: seen.append(f), **asked(name, sigma=0.1))
    assert seen == sorted(seen) and seen[-1] == 1.0


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([None, 1, 3]),
    dtype=st.sampled_from(["uint8", "uint16", "float32", "float64"]),
)
def test_any_size_comes_back_at_its_own_size(name, height, width, channels, dtype):
    shape = (height, width) if channels is None else (height, width, channels)
    values = np.random.default_rng(0).random(shape)
    if dtype.startswith("uint"):
        values = values * np.iinfo(dtype).max
    image = denoisers.load(name, device="cpu").denoise(values.astype(dtype), **asked(name)).image
    assert image.shape == (height, width, channels or 1)
    assert np.isfinite(image).all()


@pytest.mark.parametrize("name", [n for n in NAMES if "self_ensemble" in asked(n, self_ensemble=True)])
def test_a_self_ensemble_treats_all_orientations_alike(name, noisy):
    """A turned or mirrored picture gives the turned or mirrored answer; a network alone does not."""
    model, picture, seen = denoisers.load(name, device="cpu"), noisy[:40, :56], []
    settings = asked(name, sigma=0.1, temperature=0)
    answer = model.denoise(picture, self_ensemble=True, on_progress=lambda f, _: seen.append(f), **settings).image
    assert seen == sorted(seen) and seen[-1] == 1.0
    for change in (np.rot90, np.fliplr, lambda x: x.transpose(1, 0, 2)):
        changed = model.denoise(np.ascontiguousarray(change(picture)), self_ensemble=True, **settings).image
        np.testing.assert_allclose(changed, change(answer), atol=1 / 510)
    alone = [model.denoise(given, **settings).image for given in (picture, np.fliplr(picture))]
    assert np.abs(alone[0] - np.fliplr(alone[1])).max() > 1 / 255
    np.testing.assert_allclose(answer, alone[0], atol=0.2)


@pytest.mark.parametrize("name", NAMES)
def test_no_strength_returns_the_picture(name, noisy):
    image = denoisers.load(name, device="cpu").denoise(noisy, **asked(name, sigma=0.1, strength=0)).image
    np.testing.assert_array_equal(image, noisy)


def test_a_constant_picture_stays():
    flat = np.full((32, 32, 3), 0.5, np.float32)
    for name in NAMES:
        image = denoisers.load(name, device="cpu").denoise(flat, **asked(name)).image
        np.testing.assert_allclose(image, flat, atol=0.05, err_msg=name)
        np.testing.assert_allclose(image.mean((0, 1)), 0.5, atol=0.01, err_msg=f"{name} shifts the colour")


def test_wrong_requests_say_what_is_wrong(noisy):
    with pytest.raises(DenoiserError, match="nlm"):
        denoisers.load("no such")
    with pytest.raises(ParameterError, match="blur"):
        denoisers.load("nlm").denoise(noisy, blur=3)
    with pytest.raises(ParameterError, match=r"6375 of 255 \(25 in image units\); .* between 0 and 100 of 255"):
        denoisers.load("nlm").denoise(noisy, sigma=25)
    for wrong in ({"patch": 4.7}, {"window": float("inf")}, {"h": "strong"}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            denoisers.load("nlm").denoise(noisy, **wrong)
    with pytest.raises(ParameterError, match="self_ensemble"):
        denoisers.spec("drunet").resolve({"self_ensemble": "perhaps"})
    with pytest.raises(DenoiserError, match="needs its weight file"):
        denoisers.load("own")
    with pytest.raises(ImageError):
        denoisers.load("nlm").denoise(np.zeros((4, 4, 7)))
    with pytest.raises(ImageError):
        denoisers.load("nlm").denoise(np.full((4, 4), np.nan))
    for wrong in (2 * noisy - 1, [[1, 2], [3]], torch.ones(4, 4, requires_grad=True), "photo.png", None):
        with pytest.raises(ImageError):
            denoisers.load("nlm").denoise(wrong)


def test_parameters_are_taken_as_they_are_written():
    assert denoisers.spec("dct_wiener").resolve({"step": 2})["step"] == "2"
    assert denoisers.spec("drunet").resolve({"self_ensemble": "false"})["self_ensemble"] is False


def test_the_list_of_names_is_one_s_own():
    denoisers.names().clear()
    assert denoisers.names() == NAMES


def test_a_reference_of_another_shape_is_told_before_the_work(noisy, astronaut, monkeypatch):
    model = denoisers.load("nlm")
    monkeypatch.setattr(model, "module", None)
    with pytest.raises(ImageError, match="of one shape"):
        model.denoise(noisy, reference=astronaut[:-1])


def test_scores_are_given_with_a_reference(noisy, astronaut):
    result = denoisers.load("nlm").denoise(noisy, reference=astronaut)
    assert result.extras["scores"]["psnr"] == psnr(result.image, astronaut)


def test_names_and_specs_agree():
    for name in NAMES:
        spec = denoisers.spec(name)
        assert spec.name == name and spec.citation and spec.trained_for
        assert all(p.help and p.title for p in spec.params)
        assert set(spec.resolve({})) == {p.name for p in spec.params}


def test_import_is_light():
    import subprocess
    import sys

    heavy = "('torch', 'skimage', 'scipy', 'streamlit')"
    code = f"import sys, denoisers; denoisers.names(); print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_noise_beyond_what_a_method_can_be_told_is_told_as_the_most(astronaut):
    """Salt and pepper on most pixels reads as a level above 100 of 255."""
    noisy = denoisers.noise.add_noise(astronaut, "salt_and_pepper", 1.0)
    found = denoisers.noise.describe_noise(noisy)
    assert found.sigma > 100 / 255
    assert denoisers.load("dct_wiener").level(noisy, found) == pytest.approx(100 / 255)
    assert denoisers.load("dct_wiener").denoise(noisy).params["sigma"] == pytest.approx(100 / 255)


def test_the_denoiser_that_contributors_are_shown_runs(noisy):
    """CONTRIBUTING.md's example, as it stands there."""
    text = (Path(denoisers.__file__).parent.parent / "CONTRIBUTING.md").read_text()
    code = text.split("```python\n", 1)[1].split("```", 1)[0]
    example = {"__name__": "denoisers.methods.box", "__package__": "denoisers.methods"}
    exec(code, example)
    params = example["SPEC"].resolve({"sigma": 25 / 255})
    restored = example["denoise"](noisy, run=Run(), **params)
    assert restored.shape == noisy.shape and restored.var() < noisy.var()
