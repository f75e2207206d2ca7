"""The comparison viewer in a real browser."""

import hashlib
import io
import json
import re
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from viewer_demo_layers import FRAME_NAMES, FRAMES, LAYERS, layer
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


def opened(page, address, layers="usual"):
    page.goto(f"{address}/?layers={layers}")
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


@pytest.mark.parametrize("follow", [False, True])
def test_pan_and_zoom_rerun_the_page_only_if_it_follows(page, address, follow):
    if follow:
        opened(page, address, "usual&follow=1")
    stage = page.locator(".stage").bounding_box()
    before = page.locator(ZOOM).inner_text()
    page.mouse.move(stage["x"] + 200, stage["y"] + 200)
    page.mouse.wheel(0, -400)
    expect(page.locator(ZOOM)).not_to_have_text(before, timeout=WAIT)
    page.mouse.down()
    page.mouse.move(stage["x"] + 300, stage["y"] + 260, steps=4)
    page.mouse.up()
    if follow:
        expect(page.get_by_text("runs: 1", exact=True)).to_have_count(0, timeout=WAIT)
        deadline = time.monotonic() + WAIT / 1000
        x = y = 0.5
        while max(x, y) >= 0.45 and time.monotonic() < deadline:  # the page may hear of the zoom before the pan
            page.wait_for_timeout(100)
            centre = page.get_by_test_id("stJson").inner_text().partition("centre")[2]
            x, y = (float(number) for number in re.findall(r"0\.\d+", centre)[:2])
        assert x < 0.45 and y < 0.45
    else:
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


@pytest.mark.parametrize(("zoom", "side"), [(1, "End"), (2, "Home"), (4, "End"), (4, "Home")])
def test_whole_zooms_show_the_exact_pixels(page, zoom, side):
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1000)  # drawn smoothly once before
    press(page, side)  # End: only the left image; Home: only the right one
    press(page, str(zoom))
    expect(page.locator(ZOOM)).to_have_text(f"{zoom}00 %", timeout=WAIT)
    inner = page.locator(".main").bounding_box()
    width, height = int(inner["width"]), int(inner["height"])
    # The image's middle is in the middle of the view, on whole screen pixels.
    columns = (np.arange(width) - width // 2) // zoom + 750
    rows = (np.arange(height) - height // 2) // zoom + 500
    shown = LAYERS["Noisy" if side == "End" else "DRUNet"]
    wanted = shown[np.clip(rows, 0, 999)[:, None], np.clip(columns, 0, 1499)[None]]
    area = (slice(60, height // 2 - 30), slice(30, width - 30))  # without the labels and the divider

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
    page.reload()
    expect(page.locator(ZOOM)).to_have_text("200 %", timeout=WAIT)
    expect(page.locator(".divider")).to_have_attribute("aria-valuenow", "60", timeout=WAIT)
    expect(page.locator(".tag-b")).to_contain_text("Reference")
    press(page, "g")
    page.reload()
    expect(page.locator(".pane")).to_have_count(4, timeout=WAIT)


def test_keys_go_on_after_a_click_on_a_picture_that_a_mode_hides(page):
    stage = page.locator(".stage").bounding_box()
    page.mouse.click(stage["x"] + 150, stage["y"] + 150)
    page.keyboard.press("g")
    expect(page.locator(".pane")).to_have_count(4, timeout=WAIT)
    pane = page.locator(".pane").nth(2).bounding_box()
    page.mouse.click(pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] / 2)
    page.wait_for_timeout(500)  # until the browser has noticed
    page.keyboard.press("s")
    expect(page.locator(".pane")).to_have_count(0, timeout=WAIT)
    page.wait_for_timeout(500)
    page.keyboard.press("d")
    expect(page.locator("button[data-mode=difference]")).to_have_attribute("aria-pressed", "true", timeout=WAIT)


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
    faded = page.locator(".who.faded .tag")
    expect(faded).to_contain_text("Noisy")
    page.locator(".gw").focus()
    page.keyboard.down(" ")
    expect(faded).to_contain_text("DRUNet")
    expect(page.locator(".live")).to_contain_text("Noisy")
    page.keyboard.up(" ")
    expect(faded).to_contain_text("Noisy")
    expect(page.locator(".auto")).to_have_attribute("aria-pressed", "false")
    page.locator(".auto").click()
    expect(faded).to_contain_text("DRUNet", timeout=5000)
    expect(faded).to_contain_text("Noisy", timeout=5000)
    assert max(float(value) for value in page.locator(".rate option").evaluate_all("all => all.map(o => o.value)")) <= 2


def test_difference(page):
    def asked(kind, gain):
        return page.expect_request(
            lambda request: re.fullmatch(rf"{kind}\..*\.{gain}", urlsplit(request.url).path.split("/")[2])
        )

    with asked("diff", 4):
        press(page, "d")
    with asked("diff", 16):
        page.locator("select.gain").select_option("16")
    with asked("signed", 16):
        page.locator("[data-signed='1']").click()
    expect(page.get_by_role("img", name="Noisy minus DRUNet")).to_be_visible()
    press(page, "x")
    expect(page.get_by_role("img", name="DRUNet minus Noisy")).to_be_visible()


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


@pytest.mark.parametrize("width", [700, 800, 910, 1280])
def test_the_toolbar_keeps_to_one_row(page, width):
    page.set_viewport_size({"width": width + 160, "height": 900})
    for key in "sgbdl":
        press(page, key)
        bar = page.locator(".bar").bounding_box()
        buttons = [button.bounding_box() for button in page.locator(".bar button:visible").all()]
        assert bar["height"] <= 40
        assert max(button["x"] + button["width"] for button in buttons) <= bar["x"] + bar["width"] + 1


def test_on_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    bar = page.locator(".bar").bounding_box()
    assert bar["x"] >= 0 and bar["x"] + bar["width"] <= 390
    assert bar["height"] < 100
    assert page.locator(".stage").bounding_box()["height"] <= 844 * 0.6
    for key in "sgbd":
        press(page, key)
        for control in page.locator(".bar button:visible, .gw select:visible, .dock button:visible").all():
            box = control.bounding_box()
            assert min(box["width"], box["height"]) >= 40, control.get_attribute("class")
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390


# ---- touch ----------------------------------------------------------------------------------------------------------


@contextmanager
def another_page(browser, address, layers="usual", **options):
    context = browser.new_context(viewport={"width": 1000, "height": 900}, **options)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    opened(page, address, layers)
    page.locator(".stage").scroll_into_view_if_needed()
    yield page
    context.close()


def zoom_of(page) -> int:
    return int(page.locator(ZOOM).inner_text().split()[0])


def pixel_at(page, x, y) -> tuple[int, int]:
    page.mouse.move(x + 3, y + 3)
    page.mouse.move(x, y)
    _, column, _, row = page.locator(".where").inner_text().split()
    return int(column), int(row)


def place(page) -> tuple[float, float]:
    """A point of the picture that is neither its middle nor on the divider."""
    stage = page.locator(".stage").bounding_box()
    return stage["x"] + 0.3 * stage["width"], stage["y"] + 0.4 * stage["height"]


def near(one, two, tolerance=4):
    return max(abs(a - b) for a, b in zip(one, two, strict=True)) <= tolerance


def fingers(page, paths, steps=10):
    """Moves any number of fingers at once, each along a straight ((x, y), (x, y))."""
    chrome = page.context.new_cdp_session(page)

    def touch(kind, t):
        points = [
            {"x": x0 + t * (x1 - x0), "y": y0 + t * (y1 - y0), "id": i} for i, ((x0, y0), (x1, y1)) in enumerate(paths)
        ]
        chrome.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if kind != "touchEnd" else []})
        page.wait_for_timeout(30)

    touch("touchStart", 0)
    for step in range(1, steps + 1):
        touch("touchMove", step / steps)
    touch("touchEnd", 1)
    page.wait_for_timeout(800)  # the view comes to rest


def test_a_pinch_zooms_about_its_middle(browser, address):
    with another_page(browser, address, has_touch=True) as page:
        x, y = place(page)
        before, zoom = pixel_at(page, x, y), zoom_of(page)
        fingers(page, [((x - 30, y), (x - 90, y)), ((x + 30, y), (x + 90, y))])
        assert zoom_of(page) == pytest.approx(3 * zoom, rel=0.1)
        assert near(pixel_at(page, x, y), before)


def test_two_fingers_move_the_picture(browser, address):
    with another_page(browser, address, has_touch=True) as page:
        x, y = place(page)
        press(page, "1")
        page.wait_for_timeout(800)
        before = pixel_at(page, x, y)
        fingers(page, [((x - 40, y), (x + 50, y + 60)), ((x + 40, y), (x + 130, y + 60))])
        assert zoom_of(page) == pytest.approx(100, abs=3)
        assert near(pixel_at(page, x + 90, y + 60), before)


def test_one_finger_moves_the_picture_and_the_divider(browser, address):
    with another_page(browser, address, has_touch=True) as page:
        x, y = place(page)
        press(page, "1")
        page.wait_for_timeout(800)  # the zoom comes to rest, or it would move the picture under the finger
        before = pixel_at(page, x, y)
        fingers(page, [((x, y), (x + 60, y + 50))])
        assert near(pixel_at(page, x + 60, y + 50), before)
        handle = page.locator(".divider i").bounding_box()
        x, y = handle["x"] + 22, handle["y"] + 22
        fingers(page, [((x, y), (x + page.locator(".stage").bounding_box()["width"] / 4, y))])
        assert abs(split_of(page) - 75) <= 1


def test_a_double_tap_zooms_to_where_it_is(browser, address):
    with another_page(browser, address, has_touch=True) as page:
        x, y = place(page)
        before, zoom = pixel_at(page, x, y), zoom_of(page)
        page.touchscreen.tap(x, y)
        page.touchscreen.tap(x, y)
        page.wait_for_timeout(1000)
        assert zoom_of(page) == pytest.approx(2 * zoom, rel=0.05)
        assert near(pixel_at(page, x, y), before)


def test_a_double_click_zooms_to_the_pointer(page):
    x, y = place(page)
    before, zoom = pixel_at(page, x, y), zoom_of(page)
    page.mouse.dblclick(x, y)
    page.wait_for_timeout(1000)
    assert zoom_of(page) == pytest.approx(2 * zoom, rel=0.05)
    assert near(pixel_at(page, x, y), before)


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_less_motion_where_the_system_asks_for_it(browser, address, motion):
    with another_page(browser, address, reduced_motion=motion) as page:
        page.locator(".gw").evaluate("""gw => {
            window.seen = new Set()
            const look = () => { seen.add(gw.querySelector(".percent").textContent); requestAnimationFrame(look) }
            look()
        }""")
        page.mouse.move(*place(page))
        page.mouse.wheel(0, -1)
        page.wait_for_timeout(1000)
        press(page, "4")
        page.wait_for_timeout(1000)
        seen = page.evaluate("[...seen]")
        assert len(seen) == 3 if motion == "reduce" else len(seen) > 3, seen
        assert page.locator(".auto").is_disabled() == (motion == "reduce")


# ---- keyboard, screen reader, full screen ---------------------------------------------------------------------------


def test_every_control_is_reached_and_seen_by_tab(page):
    def focused():
        return page.evaluate("""() => {
            let at = document.activeElement
            while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
            return at.getAttribute("aria-label") || at.textContent
        }""")

    gw = page.locator(".gw")
    page.get_by_text("runs: 1").wait_for()
    page.wait_for_timeout(1500)
    plain = gw.screenshot()
    gw.focus()
    names = []
    while len(names) < 19:
        page.keyboard.press("Tab")
        names.append(focused())
        if names[-1] == "Right image":
            break
        assert gw.screenshot() != plain, f"the focus on {names[-1]} is not seen"
    assert names[:6] == ["Split", "Grid", "Blink", "Difference", "Loupe", "Swap left and right"]
    assert names[6:14] == ["Fit", "1:1", "2×", "4×", "Zoom out", "Zoom in", "Full screen", "Keys and help"]
    assert names[14] == "Noisy · 16.1 dB on the left, DRUNet · 36.1 dB on the right"
    assert names[15:] == ["Divider between the two images", "Left image", "Right image"]


def test_the_keys_alone_move_the_picture_and_choose_the_images(page):
    press(page, "2")
    expect(page.locator(ZOOM)).to_have_text("200 %")
    x, y = place(page)
    before = pixel_at(page, x, y)
    page.locator(".main").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(1000)
    after = pixel_at(page, x, y)
    assert after[0] > before[0] + 20 and after[1] > before[1] + 20
    assert split_of(page) == 50
    page.locator("select.left").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".tag-a")).to_contain_text("Wavelet")
    page.locator(".ask").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".help")).to_be_hidden()
    expect(page.locator(".ask")).to_be_focused()


def test_a_screen_reader_finds_a_name_for_every_control(page):
    press(page, "d")
    page.locator(".dock.difference").wait_for()
    tree = page.locator(".gw").aria_snapshot()
    for wanted in (
        'toolbar "Viewer tools"',
        'button "Difference" [pressed]',
        'button "Full screen"',
        'img "difference of Noisy and DRUNet"',
        'combobox "Left image"',
        'combobox "Right image"',
        'combobox "Gain of the difference"',
    ):
        assert wanted in tree, tree
    assert not re.findall(r"- (?:button|combobox|slider|img|toolbar|group)(?:$|:| \[)", tree, re.M), tree


def test_full_screen(page):
    press(page, "2")
    page.locator(".full").click()
    page.wait_for_function("document.fullscreenElement")
    expect(page.locator(".full")).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(800)
    screen = page.evaluate("[innerWidth, innerHeight]")
    stage = page.locator(".stage").bounding_box()
    assert stage["width"] > screen[0] - 40 and stage["height"] > screen[1] - 140
    expect(page.locator(ZOOM)).to_have_text("200 %")
    page.keyboard.press("f")
    page.wait_for_function("!document.fullscreenElement")
    expect(page.locator(".full")).to_have_attribute("aria-pressed", "false")
    expect(page.locator(ZOOM)).to_have_text("200 %")


# ---- any number of layers -------------------------------------------------------------------------------------------


def test_there_is_nothing_to_use_until_the_viewer_is_loaded(new_page, address):
    with new_page(1280, 900, WAIT) as page:
        held = []
        page.route(re.compile("openseadragon"), lambda route: held.append(route))
        page.goto(address)
        expect(page.get_by_text("Loading the viewer")).to_be_visible(timeout=WAIT)
        expect(page.locator(".bar")).to_have_attribute("inert", "")
        expect(page.locator(".gw :is(.who, .divider, .dock):visible")).to_have_count(0)
        held[0].continue_()
        expect(page.locator(".tag-b")).to_be_visible(timeout=WAIT)
        assert page.locator(".bar").get_attribute("inert") is None


def test_no_layers(page, address):
    page.goto(f"{address}/?layers=0")
    expect(page.locator(".note")).to_have_text("There is nothing to show yet.")
    for key in "gbdlsx]?1f":
        page.locator(".gw").press(key)
    assert page.locator(".bar").evaluate("bar => bar.inert")


def test_one_layer(page, address):
    opened(page, address, 1)
    expect(page.locator(".who-a")).to_be_visible()
    expect(page.locator(".who-b")).to_be_hidden()
    expect(page.locator(".divider")).to_be_hidden()
    expect(page.locator("[data-mode=difference]")).to_be_disabled()
    for key in "bdxlgs]":
        press(page, key)
    expect(page.get_by_role("button", name="Split")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("count", [2, 7, 30])
def test_many_layers(page, address, count):
    opened(page, address, count)
    stage = page.locator(".stage").bounding_box()
    page.set_viewport_size({"width": 700, "height": 900})
    for who in (".who-a", ".who-b"):
        assert page.locator(who).bounding_box()["width"] <= stage["width"] / 2
    last = f"A denoiser with quite a long name, number {count}"
    page.locator("select.right").select_option(label=last)
    expect(page.locator(".tag-b")).to_contain_text(last)
    expect(page.locator("select.right")).to_have_attribute("title", last)
    page.mouse.move(*place(page))
    expect(page.locator(".chip")).to_have_count(min(count, 24), timeout=WAIT)
    press(page, "g")
    expect(page.locator(".pane")).to_have_count(min(count, 6))
    page.locator(".pane select").first.select_option(label=last)
    expect(page.locator(".pane .tag").first).to_contain_text(last)
    page.reload()
    expect(page.locator(".pane .tag").first).to_contain_text(last)


def test_layers_may_go_and_come_back(page, address):
    opened(page, address, 7)
    press(page, "4")
    expect(page.locator(ZOOM)).to_have_text("400 %")
    press(page, "g")
    page.get_by_text("None for now").click()
    expect(page.locator(".note")).to_be_visible()
    expect(page.locator(".pane")).to_have_count(0)
    page.get_by_text("None for now").click()
    expect(page.locator(".pane")).to_have_count(6)
    expect(page.locator(ZOOM)).to_have_text("400 %")


def test_a_layer_of_another_size_is_refused(page):
    press(page, "2")
    expect(page.locator(ZOOM)).to_have_text("200 %")
    page.get_by_text("Too small").click()
    refused = "Too small is not shown: it has 500 × 500 pixels, the others 1500 × 1000."
    expect(page.get_by_text(refused)).to_be_visible()
    expect(page.locator(ZOOM)).to_have_text("200 %")
    expect(page.locator("select.left option")).to_have_count(4)
    page.get_by_text("Too small", exact=True).click()
    expect(page.get_by_text(refused)).to_be_hidden()


# ---- timelines and live previews ------------------------------------------------------------------------------------

# Collects in `times` how long it takes from a move of the scrubber to the frame's grey on screen.
MEASURE = """gw => {
    const scrub = gw.querySelector(".scrub"), canvas = gw.querySelector(".main canvas")
    window.times = []
    scrub.addEventListener("input", ({ timeStamp }) => {
        const frame = scrub.value
        const look = () => {
            const [grey] = canvas.getContext("2d").getImageData(0.75 * canvas.width, canvas.height / 2, 1, 1).data
            if (grey === 8 * frame) times.push(performance.now() - timeStamp)
            else if (scrub.value === frame) requestAnimationFrame(look)
            else times.push(Infinity)
        }
        look()
    })
}"""


def test_dragging_the_scrubber_shows_the_frame_at_once(new_page, address):
    with new_page(1280, 900, WAIT) as page:
        loaded = set()
        page.on("requestfinished", lambda request: loaded.add(request.url))
        opened(page, address, "timeline")

        def quiet():
            names = {urlsplit(url).path.split("/")[2] for url in loaded if "/tiles/" in url}
            before = len(loaded)
            page.wait_for_timeout(1500)
            return set(FRAME_NAMES) <= names and len(loaded) == before

        assert eventually(page, quiet, tries=60)
        page.locator(".gw").evaluate(MEASURE)
        scrub = page.locator(".scrub").bounding_box()
        y = scrub["y"] + scrub["height"] / 2
        page.mouse.move(scrub["x"] + scrub["width"] - 8, y)
        page.mouse.down()
        for step in range(1, 21):
            page.mouse.move(scrub["x"] + (1 - step / 22) * scrub["width"], y)
            page.wait_for_timeout(200)
        page.mouse.up()
        times = sorted(page.evaluate("times.map((time) => Math.min(time, 1e6))"))
        assert len(times) >= 18
        # Of twenty moves one may meet another program that holds the processor.
        assert times[-2] < 150, times
        frame = int(page.locator(".scrub").input_value())
        assert 0 < frame < FRAMES / 4
        expect(page.get_by_test_id("stJson")).to_contain_text(f'"frame":{frame}', timeout=WAIT)


def test_a_side_that_was_chosen_is_that_picture_s_alone(page, address):
    opened(page, address, "pictures&results=first")
    tag, percent = page.locator(".tag-b"), page.locator(".percent")
    expect(tag).to_contain_text("DRUNet")
    press(page, "[")
    expect(tag).to_contain_text("Stronger")
    press(page, "g")
    press(page, "4")
    expect(percent).to_have_text("400 %")
    page.get_by_text("second", exact=True).click()
    expect(percent).not_to_have_text("400 %")
    page.get_by_text("Results of the second").click()
    expect(tag).to_contain_text("DRUNet")
    page.get_by_text("first", exact=True).click()
    expect(percent).to_have_text("400 %")
    press(page, "s")
    expect(tag).to_contain_text("Stronger")


def test_results_that_came_while_nobody_looked_are_shown(page, address):
    opened(page, address, "pictures")
    press(page, "2")
    page.wait_for_function("""sessionStorage.getItem("grainwise-view-demo-picturesfirst")?.includes('"zoom":2')""")
    opened(page, address, "pictures&results=first")
    expect(page.locator(".percent")).to_have_text("200 %")
    expect(page.locator(".tag-b")).to_contain_text("DRUNet")


def test_the_timeline_by_keys_and_its_end(page, address):
    opened(page, address, "timeline")
    scrub = page.get_by_role("slider", name="Frame")
    expect(scrub).to_have_attribute("aria-valuetext", "Step 1500, 30 of 30")
    page.get_by_text("More frames").click()
    expect(scrub).to_have_attribute("aria-valuetext", "Step 750, 15 of 15")
    scrub.press("ArrowLeft")
    expect(scrub).to_have_attribute("aria-valuetext", "Step 700, 14 of 15")
    assert split_of(page) == 50
    expect(page.locator(".tag-b")).to_contain_text("Step 700")
    # What was chosen stays when more frames come, also over a reload; the newest is followed.
    page.get_by_text("More frames").click()
    expect(scrub).to_have_attribute("aria-valuetext", "Step 700, 14 of 30")
    expect(page.get_by_test_id("stJson")).to_contain_text('"frame":13')
    page.reload()
    expect(scrub).to_have_attribute("aria-valuetext", "Step 700, 14 of 30")
    scrub.press("End")
    expect(page.get_by_test_id("stJson")).to_contain_text('"frame":NULL')
    press(page, ",")
    expect(scrub).to_have_attribute("aria-valuetext", "Step 1450, 29 of 30")
    page.get_by_role("button", name="Play").click()
    expect(scrub).to_have_attribute("aria-valuetext", "Step 1500, 30 of 30")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    press(page, "p")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    press(page, "p")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert scrub.get_attribute("aria-valuetext") != "Step 1500, 30 of 30"


def test_a_live_preview_never_flashes_empty(page, address):
    opened(page, address, "preview")
    expect(page.locator(".tag-b")).to_contain_text("Preview")
    press(page, "Shift+ArrowLeft")
    # From the first full view on, the canvas must never be transparent in the picture's right half.
    page.locator(".gw").evaluate("""gw => {
        const canvas = gw.querySelector(".main canvas")
        window.views = { full: 0, empty: 0 }
        const look = () => {
            const { data } = canvas.getContext("2d").getImageData(0.75 * canvas.width, 0.3 * canvas.height, 1, 1)
            if (data[3] === 255) views.full += 1
            else if (views.full) views.empty += 1
            requestAnimationFrame(look)
        }
        look()
    }""")
    expect(page.locator(".tag-b")).to_contain_text("5", timeout=WAIT)
    page.wait_for_timeout(1500)
    views = page.evaluate("views")
    assert views["full"] > 10 and views["empty"] == 0, views
    assert split_of(page) == 40


# ---- tiles ----------------------------------------------------------------------------------------------------------


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
    one, two = (LAYERS[name][512:1000, 512:1024].astype(int) for name in ("Noisy", "Reference"))
    for kind, wanted in (("diff", 8 * abs(one - two)), ("signed", 128 + 8 * (one - two))):
        png, _ = fetch(f"{address}/tiles/{kind}.{first}.{second}.8/2/1_1.png")
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), np.clip(wanted, 0, 255))
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
