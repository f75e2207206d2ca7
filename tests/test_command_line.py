"""The command line does what the README says."""

import hashlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import denoisers
from denoisers import inr, networks
from denoisers.__main__ import main


@pytest.fixture
def photo(tmp_path, noisy):
    path = tmp_path / "photo.png"
    denoisers.images.write(path, noisy)
    return path


def test_list_names_every_denoiser(capsys):
    assert main(["list", "-v"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in denoisers.names())


def test_a_reader_that_has_seen_enough_is_no_error():
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as gone:
        found = subprocess.run([sys.executable, "-m", "denoisers", "list", "-v"], stdout=gone, stderr=subprocess.PIPE)
    assert (found.returncode, found.stderr) == (0, b"")


def test_sigma_is_of_255(photo, tmp_path):
    out = tmp_path / "out.png"
    assert main(["denoise", str(photo), "-d", "nlm", "-o", str(out), "--sigma", "25", "--strength=0.5", "-q"]) == 0
    expected = denoisers.load("nlm").denoise(denoisers.images.read(photo).pixels, sigma=25 / 255, strength=0.5).image
    np.testing.assert_allclose(denoisers.images.read(out).pixels, expected, atol=0.5 / 255 + 1e-6)


def test_a_recipe_of_the_inr_lab_repeats_its_output(photo, tmp_path, astronaut):
    noise = {"model": "gaussian", "level": 0.1, "seed": 3}
    settings = inr.Recipe(width=16, depth=1, steps=12)
    crop = {"top": 8, "left": 4, "height": 40, "width": 32}
    facts = {"image_sha256": hashlib.sha256(photo.read_bytes()).hexdigest(), "noise": noise, "crop": crop}
    facts |= {"fit": settings.as_dict(), "growth": 1.2, "ends": [12, 20], "iteration": 15, "sigma": 0.1}
    (tmp_path / "fit.json").write_text(json.dumps(facts))
    out = tmp_path / "again.png"
    assert main(["denoise", str(photo), "-o", str(out), "--recipe", str(tmp_path / "fit.json"), "-q"]) == 0

    fit = inr.Fit(
        denoisers.noise.add_noise(denoisers.images.read(photo).pixels, **noise)[8:48, 4:36], settings, growth=1.2
    )
    for end in (12, 20):
        list(fit.steps(end))
    again = denoisers.images.read(out).pixels
    np.testing.assert_allclose(again, fit.trajectory.output(15), atol=0.51 / 255)

    (tmp_path / "fit.json").write_text(json.dumps(facts | {"fit": {"widths": 3}}))
    assert main(["denoise", str(photo), "-o", str(out), "--recipe", str(tmp_path / "fit.json"), "-q"]) == 2


def test_a_recipe_repeats_a_result_and_refuses_another_picture(photo, tmp_path, astronaut, capsys):
    first, again, other = (tmp_path / f"{n}.png" for n in ("first", "again", "other"))
    assert main(["denoise", str(photo), "-d", "wavelet", "-o", str(first), "--save-recipe", "-q"]) == 0
    recipe = tmp_path / "first.png.json"
    assert main(["denoise", str(photo), "-o", str(again), "--recipe", str(recipe), "-q"]) == 0
    assert first.read_bytes() == again.read_bytes()
    assert json.loads(recipe.read_text())["params"]["sigma"] > 0
    denoisers.images.write(other, astronaut)
    assert main(["denoise", str(other), "-o", str(again), "--recipe", str(recipe), "-q"]) == 2
    assert "not the picture of the recipe" in capsys.readouterr().err
    assert main(["denoise", str(photo), "-o", str(again), "--recipe", str(recipe), "-d", "nlm"]) == 2
    assert "-d: a recipe already says the denoiser" in capsys.readouterr().err


def test_a_recipe_is_not_repeated_with_other_weights(photo, tmp_path, capsys):
    for seed in range(2):
        torch.manual_seed(seed)
        save_file(networks.build("rednet", layers=10, width=8).state_dict(), tmp_path / f"{seed}.safetensors")
    mine, out = tmp_path / "0.safetensors", str(tmp_path / "out.png")
    assert main(["denoise", str(photo), "-o", out, "--weights", str(mine), "--save-recipe", "-q"]) == 0
    words = ["denoise", str(photo), "-o", out, "-q", "--recipe", f"{out}.json"]
    assert main(words) == 0
    mine.write_bytes((tmp_path / "1.safetensors").read_bytes())
    assert main(words) == 2 and "not the weights of the recipe" in capsys.readouterr().err


def test_a_recipe_with_noise_and_a_part_saves_one_that_repeats_it(photo, tmp_path):
    facts = {"image_sha256": hashlib.sha256(photo.read_bytes()).hexdigest(), "denoiser": "wavelet"}
    facts |= {"params": {"strength": 2.0}, "noise": {"model": "gaussian", "level": 0.1, "seed": 3}}
    facts |= {"crop": {"top": 8, "left": 4, "height": 40, "width": 32}}
    recipe, saved = tmp_path / "one.json", []
    recipe.write_text(json.dumps(facts))
    for name in ("two.png", "three.png"):
        assert main(["denoise", str(photo), "-o", str(tmp_path / name), "--recipe", str(recipe), "--save-recipe"]) == 0
        recipe = tmp_path / f"{name}.json"
        saved.append(json.loads(recipe.read_text()))
    assert saved[0] == saved[1] and {key: saved[0][key] for key in ("noise", "crop")}.items() <= facts.items()
    assert (tmp_path / "two.png").read_bytes() == (tmp_path / "three.png").read_bytes()
    assert denoisers.images.read(tmp_path / "two.png").samples.shape == (40, 32, 3)


def test_a_part_keeps_the_depth_and_what_the_file_says(tmp_path, noisy):
    exif, crop = Image.Exif(), {"top": 8, "left": 4, "height": 40, "width": 32}
    exif[0x010F] = "Maker"
    alpha = np.linspace(0, 1, noisy[..., 0].size, dtype=np.float32).reshape(noisy.shape[:2])
    whole = denoisers.images.Picture(noisy, alpha=alpha, bits=16, exif=exif.tobytes())
    denoisers.images.write(tmp_path / "photo.png", whole)
    digest = hashlib.sha256((tmp_path / "photo.png").read_bytes()).hexdigest()
    facts = {"image_sha256": digest, "denoiser": "wavelet", "params": {}, "crop": crop}
    (tmp_path / "one.json").write_text(json.dumps(facts))
    asked = [str(tmp_path / "photo.png"), "-o", str(tmp_path / "part.png"), "--recipe", str(tmp_path / "one.json")]
    assert main(["denoise", *asked]) == 0
    part = denoisers.images.read(tmp_path / "part.png")
    assert (part.samples.shape, part.bits) == ((40, 32, 3), 16) and b"Maker" in part.exif
    np.testing.assert_allclose(part.alpha, alpha[8:48, 4:36], atol=1e-4)


def test_each_of_several_recipes_names_its_own_picture(photo, tmp_path):
    (tmp_path / "photo.webp").write_bytes(photo.read_bytes())  # the same name but for its ending
    before = hashlib.sha256(photo.read_bytes()).hexdigest()
    words = ["denoise", str(photo), str(tmp_path / "photo.webp"), "-o", str(tmp_path / "out"), "-d", "wavelet"]
    assert main([*words, "--save-recipe"]) == 0
    assert len(list((tmp_path / "out").glob("*.json"))) == 2
    assert main(["denoise", str(photo), "-o", str(photo), "-d", "wavelet", "--save-recipe"]) == 0  # in its own place
    assert json.loads((tmp_path / "photo.png.json").read_text())["image_sha256"] == before
    assert hashlib.sha256(photo.read_bytes()).hexdigest() != before


def test_what_reading_and_denoising_had_to_change_is_told(tmp_path, noisy, capsys):
    import tifffile

    photo, out = tmp_path / "float.tif", str(tmp_path / "out.png")
    tifffile.imwrite(photo, noisy[:48, :48] * 1.3 - 0.1, photometric="rgb")
    words = ["denoise", str(photo), "-d", "inr", "-o", out, "--optimiser", "adam", "--lr", "10", "--steps", "60"]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert all(note in said for note in denoisers.images.read(photo).notes) and "parts diverged" in said
    assert main([*words, "-q"]) == 0 and "parts diverged" in capsys.readouterr().err


def test_an_interrupt_is_an_end_and_no_traceback(photo, tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(denoisers.Denoiser, "denoise", interrupted)
    assert main(["denoise", str(photo), "-d", "nlm", "-o", str(tmp_path / "o.png")]) == 130


def test_several_pictures_go_on_past_a_bad_one(photo, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    assert main(["denoise", str(bad), str(photo), "-d", "nlm", "-o", str(tmp_path / "out"), "-q"]) == 1
    assert (tmp_path / "out" / "photo.nlm.png").exists() and "bad.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    "extra",
    [
        ["-d", "none"],
        ["-d", "nlm", "--sigma", "-5"],
        ["-d", "nlm", "--blur", "3"],
        ["-d", "nlm", "--patch_size"],
        ["-d", "nlm", "--overlap", "3"],
        [],
    ],
)
def test_wrong_calls_say_so(photo, tmp_path, extra, capsys):
    try:
        code = main(["denoise", str(photo), "-o", str(tmp_path / "o.png"), *extra])
    except SystemExit as error:  # what argparse itself refuses
        code = error.code
    assert code == 2 and "error:" in capsys.readouterr().err and not (tmp_path / "o.png").exists()


NLM = {"image_sha256": "0", "denoiser": "nlm", "params": {}}
PARTS = {"noise": {"models": "text"}, "crop": {"top": 1, "left": 0, "height": 8.5, "width": 8}, "params": None}
PARTS |= {"denoiser": ["nlm"], "image_sha256": 7}
WRONG = [json.dumps(NLM | {name: value}) for name, value in PARTS.items()]
WRONG += [json.dumps(NLM | {"noise": {"model": "text", "level": "0.1"}})]


@pytest.mark.parametrize("text", ["no JSON", "[1]", "{}", '{"image_sha256": "0", "fit": {}}', *WRONG])
def test_what_is_no_recipe_is_told(photo, tmp_path, text, capsys):
    (tmp_path / "recipe.json").write_text(text)
    assert main(["denoise", str(photo), "-o", str(tmp_path / "o.png"), "--recipe", str(tmp_path / "recipe.json")]) == 2
    assert "recipe.json is no recipe" in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "an hour"])
def test_a_limit_that_is_none_is_refused(tmp_path, minutes, capsys):
    with pytest.raises(SystemExit):
        main(["train", "drunet.awgn", "--data", str(tmp_path), "--minutes", minutes])
    assert "--minutes" in capsys.readouterr().err


def test_every_parameter_of_every_method_can_be_given(photo, tmp_path, monkeypatch):
    """In any place, and under its own name: argparse is fond of taking --h for --help."""
    given = {}
    nothing = SimpleNamespace(weights=None, denoise=lambda pixels, on_progress, **params: given.update(params) or 1 / 0)
    monkeypatch.setattr(denoisers, "load", lambda *_: nothing)
    for name in denoisers.names():
        spec = denoisers.spec(name)
        params = {p.name: p for p in spec.params}
        values = spec.resolve({key: p.min if p.default is None else p.default for key, p in params.items()})
        words = [word for key, value in values.items() for word in (f"--{key}", str(params[key].shown(value)).lower())]
        given.clear()
        with pytest.raises(ZeroDivisionError):
            main(["denoise", "-d", name, *words, "-o", str(tmp_path / "o.png"), str(photo)])
        assert spec.resolve(given) == pytest.approx(values)


def test_what_cannot_be_written_is_told_before_there_is_any_work(photo, tmp_path, capsys):
    twin = tmp_path / "twin" / photo.name
    twin.parent.mkdir()
    twin.write_bytes(photo.read_bytes())
    words = ["denoise", str(photo), "-d", "wavelet", "-q", "-o"]
    two = ["denoise", str(photo), str(photo), "-d", "wavelet", "-o", str(tmp_path / "two.png")]
    assert main(two) == 2 and "is one file, and there are 2 pictures" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "o.gif")]) == 2 and "no format that we write" in capsys.readouterr().err
    both = ["denoise", str(photo), str(twin), "-d", "wavelet", "-o", str(tmp_path / "out")]
    assert main(both) == 2 and "would both become" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    odd = twin.with_suffix(".jfif")
    twin.rename(odd)
    assert main([*words, str(tmp_path / "new" / "folder" / "o.png")]) == 0
    assert main(["denoise", str(odd), "-d", "wavelet", "-q", "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "photo.wavelet.png").exists()
