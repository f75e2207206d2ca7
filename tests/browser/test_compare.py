"""The Compare page in a real browser: from an upload to a download."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from safetensors.torch import save_file
from viewer_helpers import serve_grainwise

import denoisers
from denoisers.networks import build
from ui import services
from ui.tiles import max_level

ROOT = Path(__file__).parents[2]
WAIT = 150_000  # milliseconds; the first run imports torch and may share two cores with other work


def png(picture) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def photo(astronaut):
    noisy = denoisers.noise.add_noise(astronaut, "camera", 15 / 255, 0)
    return png(np.round(255 * noisy).astype(np.uint8))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serve_grainwise(tmp_path_factory.mktemp("app")) as url:
        yield url


@pytest.fixture
def page(new_page, address):
    with new_page(1440, 1000, WAIT) as page:
        page.goto(address)
        page.get_by_text("Or try a sample").wait_for(timeout=WAIT)
        yield page


def upload(page, data, name="photo.png"):
    page.locator("input[type=file]").first.set_input_files({"name": name, "mimeType": "image/png", "buffer": data})


def run(page):
    page.get_by_role("button", name="Denoise with").click()
    expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=WAIT)


def test_from_upload_to_a_download_that_the_command_line_repeats(page, photo, tmp_path):
    upload(page, photo)
    expect(page.get_by_text("128 × 128 pixels")).to_be_visible(timeout=WAIT)
    run(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    with page.expect_download() as recipe:
        page.get_by_role("link", name="Recipe").click()
    (tmp_path / "photo.png").write_bytes(photo)
    recipe.value.save_as(tmp_path / "recipe.json")
    download.value.save_as(tmp_path / "web.png")
    command = [sys.executable, "-m", "denoisers", "denoise", "photo.png", "-o", "cli.png", "--recipe", "recipe.json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    web, cli = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("web", "cli"))
    np.testing.assert_array_equal(web, cli)
    assert json.loads((tmp_path / "recipe.json").read_text())["params"]["sigma"] > 0


def test_a_reload_and_a_second_tab_bring_all_back(page, photo):
    upload(page, photo)
    page.get_by_text("128 × 128 pixels").wait_for()
    run(page)
    page.reload()
    expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=WAIT)
    second = page.context.new_page()
    second.goto(page.url)
    expect(second.get_by_role("link", name="Download")).to_be_visible(timeout=WAIT)


def test_a_sample_has_scores(page):
    page.get_by_role("button", name="Cat").click()
    run(page)
    expect(page.get_by_text("PSNR and SSIM say how near")).to_be_visible()


@pytest.mark.parametrize(
    ("data", "name"), [(b"just text", "note.png"), (b"", "empty.png"), ("cut", "photo.jpg"), (b"BM", "<b>'\"😀.bmp")]
)
def test_a_bad_file_is_explained_and_the_page_lives_on(page, photo, data, name):
    if data == "cut":
        out = io.BytesIO()
        Image.open(io.BytesIO(photo)).save(out, "JPEG")
        data = out.getvalue()[: len(out.getvalue()) // 2]
    upload(page, data, name)
    expect(page.get_by_role("alert").first).to_be_visible(timeout=WAIT)
    assert "Traceback" not in page.inner_text("body")
    upload(page, photo)
    expect(page.get_by_text("128 × 128 pixels")).to_be_visible(timeout=WAIT)


def test_tiles_are_the_pixels(page, photo, address):
    with page.expect_request(re.compile(r"/tiles/")) as request:
        upload(page, photo)
    item = re.search(r"/tiles/([0-9a-f]+)/", request.value.url).group(1)
    reply = page.request.get(f"{address}/tiles/{item}/{max_level(128, 128)}/0_0.png")
    assert "immutable" in reply.headers["cache-control"]
    served = np.asarray(Image.open(io.BytesIO(reply.body())).convert("RGB"))
    np.testing.assert_array_equal(served, np.asarray(Image.open(io.BytesIO(photo))))


def test_the_recipe_of_a_sample_says_its_noise(page, address):
    page.get_by_role("button", name="Cat").click()
    run(page)
    with page.expect_download() as recipe:
        page.get_by_role("link", name="Recipe").click()
    facts = json.loads(Path(recipe.value.path()).read_text())
    assert facts["noise"]["model"] == "camera" and len(facts["image_sha256"]) == 64


def test_of_what_was_asked_for_last_the_first_choice_is_shown_beside_the_picture(page, photo):
    upload(page, photo)
    page.get_by_text("128 × 128 pixels").wait_for()
    expect(page.locator(".divider")).to_be_hidden()
    run(page)
    expect(page.locator(".divider")).to_be_visible()
    expect(page.locator("select.right option")).to_have_count(4, timeout=WAIT)
    expect(page.locator(".tag-a")).to_contain_text("Original")
    expect(page.locator(".tag-b")).to_contain_text(denoisers.spec(services.first_choices()[0]).title)
    page.get_by_text("Classical filters").click()
    page.get_by_test_id("stExpander").get_by_text("Wavelet").first.click()
    page.get_by_role("button", name="Denoise with 1").click()
    expect(page.locator(".tag-b")).to_contain_text("Wavelet", timeout=WAIT)


def paste(page, data):
    """Paste a picture, as soon as the page's script listens: it then takes the event for itself."""
    taken = """bytes => {
        const clipboardData = new DataTransfer()
        clipboardData.items.add(new File([new Uint8Array(bytes)], "image.png", { type: "image/png" }))
        const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true })
        return !document.body.dispatchEvent(event)
    }"""
    page.wait_for_function(taken, arg=list(data), polling=500, timeout=WAIT)


def test_a_picture_is_pasted_and_another_pasted_in_its_place(page, photo, astronaut):
    paste(page, photo)
    expect(page.get_by_text("128 × 128 pixels")).to_be_visible(timeout=WAIT)
    page.get_by_role("button", name="Change picture").click()
    expect(page.get_by_text("paste it here")).to_be_visible(timeout=WAIT)
    paste(page, png(np.round(255 * astronaut[:100]).astype(np.uint8)))
    expect(page.get_by_text("128 × 100 pixels")).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("paste it here")).to_be_hidden(timeout=WAIT)


def test_a_file_of_another_kind_is_refused_in_words(page, photo):
    upload(page, photo, "film.gif")
    expect(page.get_by_text("'film.gif' is of no kind that is read here: png, ")).to_be_visible(timeout=WAIT)
    upload(page, photo)
    expect(page.get_by_text("128 × 128 pixels")).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("film.gif")).to_have_count(0)


def test_a_file_too_large_is_refused_in_words(page, tmp_path):
    with open(tmp_path / "huge.png", "wb") as file:
        file.truncate(201 * 1024**2)  # a hole, no bytes
    page.locator("input[type=file]").first.set_input_files(tmp_path / "huge.png")
    expect(page.get_by_text("'huge.png': File must be 200.0MB or smaller.")).to_be_visible(timeout=WAIT)


def test_own_weights_are_picked_and_run(page, photo, tmp_path):
    save_file(build("noise2noise_unet", width=6).state_dict(), tmp_path / "mine.safetensors")
    upload(page, photo)
    page.get_by_text("128 × 128 pixels").wait_for()
    page.get_by_text("Your own weights").click()
    page.locator("input[type=file]").last.set_input_files(tmp_path / "mine.safetensors")
    page.get_by_role("button", name="Denoise with 4").click()
    expect(page.get_by_text("Noise2Noise · mine.safetensors")).not_to_have_count(0, timeout=WAIT)


def test_running_and_waiting_runs_are_cancelled(page, photo):
    tile = np.asarray(Image.open(io.BytesIO(photo)))
    upload(page, png(np.tile(tile, (13, 19, 1))))
    expect(page.get_by_text("2432 × 1664 pixels")).to_be_visible(timeout=WAIT)
    page.get_by_role("button", name="Denoise with 3").click()
    expect(page.get_by_text("number 2 in the queue")).to_be_visible(timeout=WAIT)
    expect(page.get_by_text(re.compile(r": \d+%"))).to_be_visible(timeout=WAIT)
    for left in (2, 1, 0):
        page.get_by_role("button", name="Cancel").last.click()
        expect(page.get_by_role("button", name="Cancel")).to_have_count(left, timeout=WAIT)
    expect(page.get_by_text(": cancelled.")).to_have_count(3)
    expect(page.get_by_role("link", name="Download")).to_have_count(0)


def test_the_classic_slider_says_when_it_cannot_load(new_page, address, photo):
    with new_page(1440, 1000, WAIT, beyond={"cdn.knightlab.com"}) as page:
        page.route(re.compile("knightlab"), lambda route: route.abort())
        page.goto(address)
        upload(page, photo)
        page.get_by_text("128 × 128 pixels").wait_for()
        run(page)
        page.get_by_text("Classic slider").click()
        page.get_by_text("Show it").click()
        expect(page.get_by_text("This browser cannot reach cdn.knightlab.com")).to_be_visible(timeout=WAIT)
        expect(page.locator("iframe")).to_have_count(0)


def test_the_classic_slider_shows_where_it_can_load(new_page, address, photo):
    with new_page(1440, 1000, WAIT, beyond={"cdn.knightlab.com"}) as page:
        page.route(
            re.compile(r"knightlab.*\.js"),
            lambda route: route.fulfill(
                content_type="text/javascript",
                body="const show = id => { document.querySelector(id).innerText = 'ready' }\n"
                "const juxtapose = { JXSlider: class { constructor(id) { show(id) } } }",
            ),
        )
        page.route(re.compile(r"knightlab.*\.css"), lambda route: route.fulfill(content_type="text/css", body=""))
        page.goto(address)
        upload(page, photo)
        page.get_by_text("128 × 128 pixels").wait_for()
        run(page)
        page.get_by_text("Classic slider").click()
        page.get_by_text("Show it").click()
        expect(page.frame_locator("iframe").get_by_text("ready")).to_be_visible(timeout=WAIT)
