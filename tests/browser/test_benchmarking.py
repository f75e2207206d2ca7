"""The Benchmark page in a real browser: a benchmark is run again, its results are shown, their pictures opened."""

import pytest
from playwright.sync_api import expect
from viewer_helpers import serve_grainwise

WAIT = 150_000  # milliseconds; two cores may have other work


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serve_grainwise(tmp_path_factory.mktemp("app")) as url:
        yield url


def test_a_benchmark_is_run_again_shown_and_opened_in_compare(new_page, address):
    with new_page(1440, 1000, WAIT) as page:
        page.goto(f"{address}/benchmark")
        page.get_by_text("Run it again on this machine").click()
        for label, value in (("Pictures of each set", 1), ("Side of the central part (pixels)", 64)):
            page.get_by_role("spinbutton", name=label).fill(str(value))
            page.get_by_role("spinbutton", name=label).press("Enter")
        page.get_by_role("combobox", name="Denoisers").last.fill("wavelet")
        page.get_by_role("combobox", name="Denoisers").last.press("Enter")
        page.get_by_role("combobox", name="Denoisers").last.press("Escape")
        page.get_by_role("button", name="Start").click()

        page.get_by_role("heading", name="Benchmark on samples").wait_for()
        page.get_by_role("button", name="Open on the Benchmark page").click()
        page.get_by_role("button", name="Grainwise's own results").wait_for()
        expect(page.get_by_text("At most 1 picture of each set, their central 64")).to_be_visible(timeout=WAIT)

        page.get_by_role("button", name="Open in Compare").click()
        page.get_by_role("link", name="Download").wait_for()
        assert "Traceback" not in page.inner_text("body")
