from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright
from viewer_helpers import CHROMIUM_FLAGS, chromium_path


@pytest.fixture(scope="module")  # not longer: Playwright holds an event loop, which other tests have no use for
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser):
    """Opens a page that must ask nobody but this machine and those in ``beyond``, and whose scripts must not fail."""

    @contextmanager
    def open_page(width, height, timeout, beyond=frozenset()):
        context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
        page = context.new_page()
        page.set_default_timeout(timeout)
        page.hosts, page.problems = set(), []
        page.on("request", lambda request: page.hosts.add(urlsplit(request.url).hostname))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        yield page
        context.close()
        assert page.hosts - {None} == {"127.0.0.1"} | beyond, "a request left this machine"
        assert page.problems == []

    return open_page
