"""Every page opens, for a visitor who has nothing yet."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

PAGES = sorted((Path(__file__).parents[2] / "pages").glob("*.py"))


@pytest.mark.usefixtures("fresh_app")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_opens(page):
    page = AppTest.from_file(str(page), default_timeout=120).run()
    assert not page.exception and not page.error
