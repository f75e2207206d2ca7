"""From the Train page to Compare in a real browser: a training is started, watched, paused, resumed, and used."""

import os
import signal
from contextlib import suppress

import pytest
from playwright.sync_api import expect
from viewer_helpers import serve_grainwise

from denoisers.jobs.local import family

WAIT = 150_000  # milliseconds; the job's process imports torch and may share two cores with other work


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    with serve_grainwise(folder) as url:
        yield url
    left = [pid for run in (folder / "data" / "jobs" / "runs").iterdir() for pid in family(run)]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left, "a closed app leaves no job running"


def points(page, chart: int) -> str:
    """The number of points of a curve, in the browser."""
    return f"(document.querySelectorAll('.js-plotly-plot')[{chart}]?.data?.[0]?.x?.length ?? 0)"


def test_a_training_is_watched_paused_resumed_and_used_in_compare(new_page, address):
    with new_page(1440, 1000, WAIT) as page:
        page.goto(f"{address}/train")
        page.get_by_text("Clean pictures, and noise I describe").click()
        page.get_by_role("combobox", name="Network").click()
        page.get_by_role("option", name="ADNet").click()
        page.get_by_text("Quarter").click()
        slider = page.get_by_role("slider", name="How long?")
        slider.press("Home")
        page.get_by_test_id("stSliderThumbValue").get_by_text("1 minute").wait_for()
        expect(page.get_by_test_id("stMetricValue").first).to_have_text("1 minute", timeout=WAIT)
        page.get_by_role("button", name="Start training").click()

        page.get_by_role("heading", name="Train adnet.mine").wait_for()
        page.wait_for_function(f"{points(page, 1)} >= 1")
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Resume").wait_for()

        page.reload()
        page.get_by_role("heading", name="Train adnet.mine").wait_for()
        page.get_by_text("Paused").first.wait_for()
        expect(page.locator(".tag-b")).to_contain_text("This training", timeout=WAIT)
        page.wait_for_function(f"{points(page, 1)} >= 1")
        paused = page.evaluate(points(page, 1))
        page.get_by_role("button", name="Resume").click()
        page.wait_for_function(f"{points(page, 1)} > {paused}")

        page.get_by_text("Model card").wait_for()  # it is done
        # The buttons move up now: those of before are gone when the page is drawn.
        expect(page.get_by_role("link", name="Weights")).to_have_count(1, timeout=WAIT)
        with page.expect_download() as weights:
            page.get_by_role("link", name="Weights").click()
        assert weights.value.suggested_filename == "adnet.mine.safetensors"

        page.get_by_role("button", name="Use in Compare").click()
        page.get_by_text("Samples are scikit-image's pictures").wait_for()  # the page is drawn
        page.get_by_role("button", name="Cat").click()
        page.get_by_role("button", name="Denoise with 1").click()
        page.get_by_role("link", name="Download").wait_for()
        expect(page.locator(".tag-b")).to_contain_text("adnet.mine.safetensors", timeout=WAIT)
        assert "Traceback" not in page.inner_text("body")
