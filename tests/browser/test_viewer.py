"""The comparison viewer in a real browser."""

import hashlib
import io
import json
import re
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from viewer_demo_layers import LAYERS, layer
from viewer_helpers import demo_server

WAIT = 30_000  # milliseconds; generous, because a busy machine renders slowly
ZOOM = ".gw .percent"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with demo_server(tmp_path_factory.mktemp("demo") / "server.log") as url:
        yield url


@pytest.fixture
def page(new_page, address):
    with new_page(1280, 900, WAIT) as page:
        opened(page, address)
        yield page


def opened(page, address):
    page.goto(address)
    expect(page.locator(ZOOM)).to_have_text(re.compile(r"^\d+ %$"), timeout=WAIT)
    expect(page.locator(".gw canvas").first).to_be_visible(timeout=WAIT)


def split_of(page) -> int:
    return int(page.locator(".divider").get_attribute("aria-valuenow"))


def press(page, key):
    page.locator(".gw").press(key)


def fetch(url: str):
    with urllib.request.urlopen(url, timeout=30) as reply:
        return reply.read(), reply.headers


def test_dragging_the_divider(page):
    handle = page.locator(".divider i").bounding_box()
    stage = page.locator(".stage").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    assert handle["width"] >= 44
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + stage["width"] / 4, y, steps=6)
    page.mouse.up()
    assert abs(split_of(page) - 75) <= 1
    moved = page.locator(".divider i").bounding_box()
    assert abs(moved["x"] - handle["x"] - stage["width"] / 4) < 2
    # Python hears of it once, after the release.
    expect(page.get_by_test_id("stJson")).to_contain_text("0.7", timeout=WAIT)
    expect(page.get_by_text("runs: 2", exact=True)).to_be_visible(timeout=WAIT)


def test_pan_and_zoom_do_not_rerun_the_page(page):
    stage = page.locator(".stage").bounding_box()
    before = page.locator(ZOOM).inner_text()
    page.mouse.move(stage["x"] + 200, stage["y"] + 200)
    page.mouse.wheel(0, -400)
    expect(page.locator(ZOOM)).not_to_have_text(before, timeout=WAIT)
    page.mouse.down()
    page.mouse.move(stage["x"] + 300, stage["y"] + 260, steps=4)
    page.mouse.up()
    page.wait_for_timeout(1000)
    expect(page.get_by_text("runs: 1", exact=True)).to_be_visible()


def test_keys(page):
    press(page, "ArrowRight")
    assert split_of(page) == 51
    press(page, "Shift+ArrowLeft")
    assert split_of(page) == 41
    press(page, "Home")
    assert split_of(page) == 0
    press(page, "End")
    assert split_of(page) == 100
    assert "100 % Noisy" in page.locator(".divider").get_attribute("aria-valuetext")
    press(page, "]")
    expect(page.locator(".tag-b")).to_contain_text("Reference")
    press(page, "[")
    expect(page.locator(".tag-b")).to_contain_text("DRUNet")
    press(page, "x")
    expect(page.locator(".tag-a")).to_contain_text("DRUNet")
    expect(page.locator(".live")).to_contain_text("Swapped")
    press(page, "?")
    expect(page.locator(".help")).to_be_visible()
    press(page, "Escape")
    expect(page.locator(".help")).to_be_hidden()
    for key, mode in (("g", "grid"), ("b", "blink"), ("d", "difference"), ("l", "loupe"), ("s", "split")):
        press(page, key)
        expect(page.locator(f"[data-mode={mode}][aria-pressed=true]")).to_be_visible()


def test_names_are_text_and_not_markup(page):
    press(page, "[")
    expect(page.locator(".tag-b")).to_contain_text("Wavelet <b>bold</b>")


@pytest.mark.parametrize(("key", "zoom"), [("1", "100 %"), ("2", "200 %"), ("4", "400 %")])
def test_zoom_steps(page, key, zoom):
    press(page, key)
    expect(page.locator(ZOOM)).to_have_text(zoom, timeout=WAIT)


@pytest.mark.parametrize("zoom", [1, 2, 4])
def test_whole_zooms_show_the_exact_pixels(page, zoom):
    page.evaluate("scrollTo(0, 0)")
    press(page, "End")  # only the left image
    press(page, str(zoom))
    expect(page.locator(ZOOM)).to_have_text(f"{zoom}00 %", timeout=WAIT)
    inner = page.locator(".main").bounding_box()
    width, height = int(inner["width"]), int(inner["height"])
    # The image's middle is in the middle of the view, on whole screen pixels.
    columns = (np.arange(width) - width // 2) // zoom + 750
    rows = (np.arange(height) - height // 2) // zoom + 500
    wanted = LAYERS["Noisy"][np.clip(rows, 0, 999)[:, None], np.clip(columns, 0, 1499)[None]]
    area = (slice(60, height - 10), slice(10, width - 60))  # without the label and the divider

    def same():
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        left, top = int(inner["x"]), int(inner["y"])
        return np.array_equal(np.asarray(shot)[top : top + height, left : left + width][area], wanted[area])

    assert eventually(page, same)


def eventually(page, check, tries=20):
    for _ in range(tries):
        if check():
            return True
        page.wait_for_timeout(400)
    return False


def test_reload_keeps_the_view(page):
    press(page, "Shift+ArrowRight")
    press(page, "]")
    press(page, "2")
    expect(page.locator(ZOOM)).to_have_text("200 %", timeout=WAIT)
    page.wait_for_timeout(800)  # written after a pause
    page.reload()
    expect(page.locator(ZOOM)).to_have_text("200 %", timeout=WAIT)
    expect(page.locator(".divider")).to_have_attribute("aria-valuenow", "60", timeout=WAIT)
    expect(page.locator(".tag-b")).to_contain_text("Reference")
    press(page, "g")
    page.wait_for_timeout(800)
    page.reload()
    expect(page.locator(".pane")).to_have_count(4, timeout=WAIT)


def test_new_result_keeps_zoom_and_divider(page):
    press(page, "4")
    expect(page.locator(ZOOM)).to_have_text("400 %", timeout=WAIT)
    press(page, "Shift+ArrowLeft")
    page.get_by_text("Stronger").click()
    expect(page.locator(".tag-b")).to_contain_text("30.1 dB", timeout=WAIT)
    expect(page.locator(ZOOM)).to_have_text("400 %")
    assert split_of(page) == 40


def test_blink(page):
    press(page, "b")
    tag = page.locator(".tag-a")
    expect(tag).to_contain_text("DRUNet")
    page.locator(".gw").focus()
    page.keyboard.down(" ")
    expect(tag).to_contain_text("Noisy")
    page.keyboard.up(" ")
    expect(tag).to_contain_text("DRUNet")
    expect(page.locator(".auto")).to_have_attribute("aria-pressed", "false")
    page.locator(".auto").click()
    expect(tag).to_contain_text("Noisy", timeout=5000)
    expect(tag).to_contain_text("DRUNet", timeout=5000)
    assert max(float(value) for value in page.locator(".rate option").evaluate_all("all => all.map(o => o.value)")) <= 2


def test_difference(page):
    with page.expect_request(lambda request: "/tiles/diff." in request.url):
        press(page, "d")
    expect(page.locator(".tag-a")).to_contain_text("×4")
    with page.expect_request(lambda request: urlsplit(request.url).path.split("/")[2].endswith(".16")):
        page.locator(".gain select").select_option("16")
    press(page, "x")
    expect(page.locator(".tag-a")).to_contain_text("DRUNet − Noisy")


def test_grid_moves_together(page):
    press(page, "g")
    expect(page.locator(".pane")).to_have_count(4)
    press(page, "2")
    expect(page.locator(ZOOM)).to_have_text("200 %", timeout=WAIT)
    page.locator(".pane").nth(2).hover()
    press(page, "1")
    expect(page.locator(ZOOM)).to_have_text("100 %", timeout=WAIT)
    page.locator(".pane").nth(0).hover()
    page.wait_for_timeout(500)
    page.mouse.wheel(0, -1)
    expect(page.locator(ZOOM)).to_have_text("125 %", timeout=WAIT)


def test_pixel_values_of_every_layer(page):
    stage = page.locator(".stage").bounding_box()
    page.mouse.move(stage["x"] + stage["width"] / 2 + 60, stage["y"] + stage["height"] / 2)
    expect(page.locator(".chip")).to_have_count(4, timeout=WAIT)
    text = page.locator(".where").inner_text().split()
    column, row = int(text[1]), int(text[3])
    wanted = " ".join(str(value) for value in LAYERS["Noisy"][row, column])
    expect(page.locator(".chip").first).to_contain_text(wanted)


def test_loupe(page):
    press(page, "l")
    stage = page.locator(".stage").bounding_box()
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 3)
    expect(page.locator(".lens canvas")).to_be_visible()
    expect(page.locator(".strip figure")).to_have_count(4)


def test_phone_width_has_no_sideways_scroll(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    bar = page.locator(".bar").bounding_box()
    assert bar["x"] >= 0 and bar["x"] + bar["width"] <= 390
    assert page.locator(".stage").bounding_box()["height"] <= 844 * 0.6


def test_full_resolution_tiles_are_the_array(address):
    array, name = LAYERS["Noisy"], layer("Noisy")["id"]
    rebuilt = np.zeros_like(array)
    for y in range(2):
        for x in range(3):
            png, headers = fetch(f"{address}/tiles/{name}/2/{x}_{y}.png")
            part = np.asarray(Image.open(io.BytesIO(png)))
            rebuilt[y * 512 : y * 512 + part.shape[0], x * 512 : x * 512 + part.shape[1]] = part
    assert np.array_equal(rebuilt, array)
    assert headers["cache-control"] == "private, max-age=31536000, immutable"


def test_difference_tile_and_pixel_route(address):
    first, second = layer("Noisy")["id"], layer("Reference")["id"]
    png, _ = fetch(f"{address}/tiles/diff.{first}.{second}.8/2/1_1.png")
    one, two = (LAYERS[name][512:1000, 512:1024].astype(int) for name in ("Noisy", "Reference"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), np.minimum(abs(one - two) * 8, 255))
    reply = json.loads(fetch(f"{address}/pixel/7_9?ids={first},{second}")[0])
    assert reply["values"] == {first: LAYERS["Noisy"][9, 7].tolist(), second: LAYERS["Reference"][9, 7].tolist()}


@pytest.mark.parametrize(
    "path",
    [
        "/tiles/{0}/3/0_0.png",
        "/tiles/{0}/2/3_0.png",
        "/tiles/" + hashlib.sha256(b"other").hexdigest() + "/0/0_0.png",
        "/tiles/diff.{0}.{0}.3/0/0_0.png",
        "/tiles/no-such-layer/0/0_0.png",
        "/pixel/99999_0?ids={0}",
    ],
)
def test_unknown_addresses_are_not_found(address, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(address + path.format(layer("Noisy")["id"]))
    assert caught.value.code == 404
