"""The Train page's logic, without a browser: what is checked before anything is queued, and what then is."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from denoisers import images, networks
from denoisers.jobs import Jobs, Visitor
from denoisers.jobs.settings import from_environment
from denoisers.training import folders, recipe
from denoisers.training.estimate import Cost, try_step
from denoisers.weights import catalogue
from ui import jobs, samples, train

PAGE = Path(__file__).parents[2] / "pages" / "train.py"

pytestmark = pytest.mark.usefixtures("with_jobs")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No network is timed, and the samples are few and small."""
    monkeypatch.setattr(train, "cost", lambda facts: Cost(0.1, 10**9))
    monkeypatch.setattr(samples, "LESSONS", ("astronaut", "coffee"))
    monkeypatch.setattr(samples, "SIDE", 160)
    train.lessons.clear()
    train.looked_over.clear()
    yield
    train.lessons.clear()


@pytest.fixture
def went(monkeypatch):
    """Where the page went."""
    went = []
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: went.append((Path(page).name, query_params)))
    return went


def opened(name=None):
    page = AppTest.from_file(str(PAGE), default_timeout=120)
    if name:
        page.query_params["w"] = name
    return page.run()


def png(height, width):
    return images.encode(np.random.default_rng(0).random((height, width, 3)), "PNG")


def zipped(**sizes):
    """A zip of pictures: noisy_cat=(128, 130) is noisy/cat.png, 128 x 130."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, size in sizes.items():
            archive.writestr(f"{name.replace('_', '/')}.png", png(*size))
    return out.getvalue()


def choose(page, preset=None, source=None, **others):
    if preset:
        page = page.radio(key="train.preset").set_value(preset).run()
    if source:
        page = next(g for g in page.button_group if g.key.startswith("train.source")).set_value(source).run()
    return page


def given(page, data, name="mine.zip"):
    return next(u for u in page.file_uploader).upload(name, data).run()


def start(page):
    return next(b for b in page.button if b.label == "Start training")


def errors(page):
    return "\n".join(e.value for e in page.error).replace("\\", "")


def queued():
    return Jobs(from_environment(), Visitor()).list()


def test_where_jobs_are_off_the_page_says_so(monkeypatch):
    monkeypatch.setenv("GRAINWISE_JOBS", "off")
    from_environment.cache_clear()
    page = opened()
    assert "switched off here" in page.info[0].value and not page.radio and not page.exception
    assert not from_environment().root.exists()


def test_where_one_must_sign_in_the_page_says_so(monkeypatch):
    monkeypatch.setenv("GRAINWISE_JOBS", "signed-in")
    from_environment.cache_clear()
    monkeypatch.setattr(jobs, "visitor", Visitor)  # AppTest's has a name
    page = opened()
    assert page.info[0].value == "Sign in to start jobs." and not page.radio and not page.exception


@pytest.mark.parametrize("preset", train.PRESETS)
def test_from_the_samples_to_a_queued_job(preset, went):
    page = choose(opened(), preset)
    assert not page.error and not start(page).disabled
    start(page).click().run()
    (job,) = queued()
    assert went == [("jobs.py", {"w": page.session_state["workspace"].name, "job": job.id})]
    assert job.spec["minutes"] == 10 and job.spec["recipe"]["tag"] == "mine"


@pytest.mark.parametrize("preset", train.PRESETS)
@pytest.mark.parametrize("size", train.SIZES)
def test_every_choice_is_a_recipe_that_can_be_built(preset, size):
    for method in train.PRESETS[preset][2]:
        for noise in ("camera", "impulse") if preset == "described" else (None,):
            form = {"preset": preset, "method": method, "size": size, "noise": noise, "warm": size == "Full"}
            form |= {"tag": "mine", "levels": {"False": [5, 45], "True": [10, 70]}}
            what = train.recipe(form, {"lr": 1e-4, "crop": 64, "batch": 2}, 1000)
            with torch.device("meta"):
                assert networks.build(**what.network)
            assert what.start is None or what.start.split(".")[1] in catalogue()[method]


def test_half_the_width_is_a_smaller_network_and_the_default_weights_fit_the_whole_one():
    form = {"preset": "pairs", "method": "drunet", "size": "Full", "warm": True, "tag": "mine"}
    facts = {"lr": 1e-4, "crop": 64, "batch": 2}
    whole, half = (train.recipe(form | {"size": s, "warm": s == "Full"}, facts, 1) for s in ("Full", "Half"))
    assert whole.start == "drunet.camera" and half.start is None
    assert half.network["widths"] == [16, 32, 64, 128]


def test_a_look_at_another_size_leaves_the_beginning_as_it_was(went):
    page = choose(opened(), "pairs")

    def sized(page, size):
        return next(g for g in page.button_group if g.key.startswith("train.size")).set_value(size).run()

    assert page.toggle(key="train.warm").value
    page = sized(page, "Half")
    assert not any(t.key == "train.warm" for t in page.toggle)
    page = sized(page, "Full")
    assert page.toggle(key="train.warm").value
    start(page).click().run()
    (job,) = queued()
    assert job.spec["recipe"]["start"] == f"{job.spec['recipe']['method']}.camera"


def test_a_training_begins_with_weights_for_its_noise():
    form = {"preset": "described", "size": "Full"}
    for method, noise, start in (
        ("rednet", "gaussian", "rednet.awgn"),
        ("rednet", "camera", "rednet.camera"),
        ("noise2noise", "text", "noise2noise.text"),
    ):
        assert train.beginning(form | {"method": method, "noise": noise}) == start


def test_noise2noise_on_missing_pixels_looks_at_those_that_are_there_alone():
    """The mean of the targets, which l2 would learn, is darker than the picture."""
    form = {"preset": "described", "method": "noise2noise", "noise": "bernoulli", "size": "Full", "warm": False}
    what = train.recipe(form | {"tag": "x", "levels": {"True": [40, 40]}}, {"lr": 1e-4, "crop": 64, "batch": 2}, 9)
    assert what.objective == recipe.Objective(name="noise2noise", loss="masked_l2")


def test_where_jobs_have_a_gpu_the_published_size_can_be_chosen(monkeypatch):
    assert "Published" not in opened().segmented_control(key="train.size.False").options
    monkeypatch.setenv("GRAINWISE_JOBS_GPUS", "0")
    from_environment.cache_clear()
    page = opened()
    size = page.segmented_control(key="train.size.True")
    assert size.value == "Full" and "Published" in size.options
    size.set_value("Published").run()
    assert not page.exception
    form = page.session_state["workspace"]["training"]
    given = recipe.load("drunet.camera").gpu
    assert form["size"] == "Published" and train.begins_with(form) is None
    (advanced,) = form["advanced"].values()
    assert advanced == {
        "lr": given.optimiser["lr"],
        "crop": given.data["crop"][0],
        "batch": given.data["batch"],
    }
    assert train.recipe(form | {"tag": "mine"}, advanced, 1).network["widths"] == given.network["widths"]


def test_a_damaged_zip_is_explained():
    page = given(choose(opened(), source="upload"), b"PK no zip")
    assert "no zip file that can be read" in errors(page)
    assert start(page).disabled and not page.exception


def test_a_zip_that_wants_out_is_explained():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../evil.png", b"")
    page = given(choose(opened(), source="upload"), out.getvalue())
    assert "points outside its folder" in errors(page) and start(page).disabled


def test_files_without_a_partner_and_pairs_of_two_sizes_are_named():
    data = zipped(
        noisy_cat=(128, 130), clean_cat=(128, 130), noisy_dog=(128, 130), clean_dog=(130, 150), noisy_owl=(128, 128)
    )
    page = given(choose(opened(), source="upload"), data)
    assert "**1 pairs** of 1 scenes" in "\n".join(m.value for m in page.markdown)
    assert any("2 files will be left out" in e.label for e in page.expander)
    table = page.dataframe[0].value
    told = dict(zip(table["File"], table["Why"], strict=True))
    assert told == {
        "dog.png": "130 x 128, but its partner 'dog.png' is 150 x 130",
        "owl.png": "no clean picture of the same name",
    }
    assert "nothing can be held back" in page.warning[0].value and not start(page).disabled


def test_pictures_without_pairs_are_explained():
    page = given(choose(opened(), source="upload"), zipped(cat=(128, 130), dog=(128, 130)))
    assert "0 noisy/clean pairs" in errors(page) and not any(b.label == "Start training" for b in page.button)


def test_pictures_smaller_than_a_crop_are_explained():
    page = given(choose(opened(), "described", "upload"), zipped(cat=(50, 60)))
    assert "None of the pictures can be used" in errors(page)
    assert "60 x 50, smaller than the 128 x 128 of a crop" in "\n".join(t.value for t in page.text)


def test_a_picture_too_small_to_train_on_is_explained():
    page = given(choose(opened(), "one", "upload"), png(40, 300), "tiny.png")
    assert "300 × 40 pixels; a training needs at least 64 × 64" in errors(page)


def test_a_single_picture_is_cut_so_that_a_part_can_be_held_back(went):
    page = given(choose(opened(), "one", "upload"), png(200, 400), "photo.png")
    assert "**9 parts of the picture** of 9 scenes" in "\n".join(m.value for m in page.markdown)
    start(page).click().run()
    (job,) = queued()
    sizes = {folders.size_of(path) for path in Path(job.spec["data"]).iterdir()}
    assert sizes == {(width, height) for width in (133, 134) for height in (66, 67)}


def test_a_name_that_cannot_be_one_is_explained():
    page = opened().text_input(key="train.tag").set_value("My Model!").run()
    assert "small letters, digits" in errors(page) and start(page).disabled


def test_too_little_memory_is_explained(monkeypatch):
    monkeypatch.setattr(folders, "available_memory", lambda: 500_000_000)
    page = opened()
    assert "needs about 1.0 GB of memory and 0.5 GB are free" in errors(page) and start(page).disabled


def test_folders_on_the_server_are_those_allowed(monkeypatch, tmp_path, went):
    for name in ("open/birds/noisy", "open/birds/clean", "closed"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.png").write_bytes(png(140, 140))
    monkeypatch.setenv("GRAINWISE_JOBS_FOLDERS", str(tmp_path / "open"))
    from_environment.cache_clear()
    page = choose(opened(), source="folder")
    assert page.selectbox(key="train.folder").options == [str(tmp_path / "open"), str(tmp_path / "open" / "birds")]
    page = page.selectbox(key="train.folder").set_value(str(tmp_path / "open" / "birds")).run()
    start(page).click().run()
    assert queued()[0].spec["data"] == str(tmp_path / "open" / "birds")
    form = {"source": "folder", "folder": str(tmp_path / "open" / ".." / "closed")}
    page.session_state["workspace"].update(training=form)
    page = opened(page.session_state["workspace"].name)
    assert "not in the folders that jobs may read" in errors(page) and start(page).disabled


def test_a_limit_is_told_when_it_is_reached(monkeypatch, went):
    monkeypatch.setenv("GRAINWISE_JOBS_PER_USER", "1")
    from_environment.cache_clear()
    page = start(opened()).click().run()
    page = start(page).click().run()
    assert "1 jobs are unfinished, the limit here" in errors(page) and len(went) == 1


def test_the_link_brings_the_form_back():
    page = choose(opened(), "described")
    page = page.selectbox(key="train.noise").set_value("gaussian").run()
    page = page.text_input(key="train.tag").set_value("night").run()
    page = given(choose(page, source="upload"), zipped(cat=(140, 150), dog=(140, 150)))
    again = opened(page.query_params["w"])
    assert again.radio(key="train.preset").value == "described"
    assert again.selectbox(key="train.noise").value == "gaussian"
    assert again.text_input(key="train.tag").value == "night"
    assert "In use: mine" in "\n".join(c.value for c in again.caption).replace("\\", "") and not start(again).disabled


def test_the_estimate_counts_what_a_larger_batch_costs():
    form = {"preset": "pairs", "method": "drunet", "size": "Quarter", "warm": False, "tag": "mine"}
    one, four = (try_step(train.recipe(form, {"lr": 1e-4, "crop": 32, "batch": n}, 1), "cpu") for n in (1, 4))
    assert 0 < one.seconds < 60 and four.bytes > one.bytes
    from denoisers.training.estimate import BASE, STATES

    weights = 4 * STATES * 266_232
    assert abs((four.bytes - BASE - weights) / (one.bytes - BASE - weights) - 4) < 0.01
