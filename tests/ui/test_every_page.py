"""Every page opens, for a visitor who has nothing yet."""

import tomllib
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "pages").glob("*.py"))


@pytest.mark.usefixtures("fresh_app")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_opens(page):
    page = AppTest.from_file(str(page), default_timeout=120).run()
    assert not page.exception and not page.error


@pytest.mark.parametrize("shade", ["light", "dark"])
def test_there_are_colours_for_all_that_streamlit_asks_plotly_to_tell_apart(shade):
    """With fewer it hands over a broken list, and Plotly takes none of them."""
    from streamlit.elements.lib import streamlit_plotly_theme

    asked = [name for name in vars(streamlit_plotly_theme) if name.startswith("CATEGORY_")]
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    assert len(set(theme[shade]["chartCategoricalColors"])) >= len(asked) > 5
