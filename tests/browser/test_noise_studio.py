"""The Noise studio in a real browser, on a small untrained InvDN: sliders move the picture, downloads open."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from viewer_helpers import serve_grainwise

import denoisers
from denoisers import networks

WAIT = 150_000  # milliseconds; the first run imports torch and may share two cores with other work


@pytest.fixture(scope="module")
def photo(astronaut):
    noisy = denoisers.noise.add_noise(astronaut, "camera", 15 / 255, 0)
    return denoisers.images.encode(noisy, "PNG")


@pytest.fixture(scope="module")
def weights():
    import torch
    from safetensors.torch import save

    torch.manual_seed(0)
    network = networks.build("invdn", blocks=[1, 1], width=8)
    for name, tensor in network.named_parameters():
        if "conv3.weight" in name:
            torch.nn.init.normal_(tensor, 0, 0.02)
    return save(network.state_dict())


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serve_grainwise(tmp_path_factory.mktemp("app")) as url:
        yield f"{url}/noise_studio"


@pytest.fixture
def page(new_page, address, photo, weights, request):
    """With a photo and a network open."""
    with new_page(getattr(request, "param", 1440), 1000, WAIT) as page:
        page.goto(address)
        give(page.locator("input[type=file]").first, "photo.png", photo)
        page.get_by_role("button", name=re.compile("etwork$")).click()
        give(page.get_by_test_id("stPopoverBody").locator("input[type=file]"), "mine.safetensors", weights)
        finished(page)
        yield page


def give(where, name, data):
    where.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": data})


def finished(page):
    """The picture is taken apart, restored, and nothing is being computed."""
    expect(page.get_by_text("a fresh draw has 1")).to_be_visible(timeout=WAIT)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0, timeout=WAIT)


def turn(page, name):
    page.get_by_role("radio", name=name).or_(page.get_by_role("button", name=name)).first.click()


@pytest.mark.parametrize("page", [1440, 390], indirect=True)
def test_from_the_picture_to_a_restored_one(page):
    for words in ("Your picture", "a small clean one", "a latent"):
        expect(page.get_by_role("heading", name=words)).to_be_visible()
    images = page.locator("img[src*='/tiles/']")
    expect(images).to_have_count(3)
    for image in images.all():
        expect(image).not_to_have_js_property("naturalWidth", 0)
    expect(page.get_by_text("Draws differ by")).to_be_visible(timeout=WAIT)
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    restored = np.asarray(Image.open(download.value.path()))
    assert restored.shape == (128, 128, 3) and download.value.suggested_filename == "photo.restored.png"
    page.reload()
    finished(page)
    expect(page.get_by_text("Draws differ by")).to_be_visible(timeout=WAIT)


def test_a_slider_moves_the_picture_and_the_set_opens(page):
    turn(page, "Make more noise like it")
    expect(page.get_by_text("Is it the same noise?")).to_be_visible(timeout=WAIT)
    expect(page.locator(".tag-b", has_text="Generated")).to_be_visible(timeout=WAIT)
    finished(page)
    strength = page.get_by_role("slider", name="Strength")
    with page.expect_request(re.compile(r"/tiles/[0-9a-f]{32}/")):
        strength.press("Home")
    finished(page)
    with page.expect_request(re.compile(r"/tiles/[0-9a-f]{32}/")):
        strength.press("End")
    finished(page)
    page.get_by_role("button", name="Make the set").click()
    link = page.get_by_role("link", name="Download the set")
    expect(link).to_be_visible(timeout=WAIT)
    with page.expect_download() as download:
        link.click()
    with zipfile.ZipFile(download.value.path()) as file:
        facts = json.loads(file.read("recipe.json"))
        pictures = [np.asarray(Image.open(io.BytesIO(file.read(name)))) for name in facts["files"]]
    assert len(pictures) == 8 and {p.shape for p in pictures} == {(128, 128, 3)}


def test_the_restored_picture_goes_to_compare(page):
    turn(page, "Restore it")
    finished(page)
    page.get_by_role("button", name="Compare with others").click()
    expect(page.get_by_text("InvDN").first).to_be_visible(timeout=WAIT)
    expect(page.get_by_role("link", name="Recipe")).to_be_visible(timeout=WAIT)
    assert "noise_studio" not in page.url and "w=" in page.url
