"""The Methods page says of every denoiser and weight file what the library knows."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

import denoisers
from denoisers.weights import catalogue

PAGE = Path(__file__).parents[2] / "pages" / "methods.py"


def test_every_method_and_weight_file_has_its_facts():
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not page.exception
    assert {s.value for s in page.subheader} == {denoisers.spec(name).title for name in denoisers.names()}
    labels = {one.label for one in page.expander}
    for method, tags in catalogue().items():
        for tag, facts in tags.items():
            assert f"Weights `{method}.{tag}`" in labels
            assert any(facts["sha256"][:12] in c.value and facts["licence"] in c.value for c in page.caption)


def test_a_family_is_chosen():
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    page.button_group[0].set_value("classical").run()
    classical = {spec.title for name in denoisers.names() if (spec := denoisers.spec(name)).family == "classical"}
    assert not page.exception and {s.value for s in page.subheader} == classical
