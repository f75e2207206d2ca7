"""Forms drawn from specs: every kind of parameter has a widget whose answer the library takes."""

import pytest
from streamlit.testing.v1 import AppTest

import denoisers
from denoisers.spec import SIGMA, Param


def drawn(param, value):
    """The page with one widget; its answer is in ``session_state["answer"]``."""

    def script():
        import streamlit as st

        from ui import forms

        st.session_state["answer"] = forms.widget(st.session_state["param"], st.session_state["value"], "w")

    page = AppTest.from_function(script)
    page.session_state["param"], page.session_state["value"] = param, value
    return page.run()


@pytest.mark.parametrize("name", denoisers.names())
def test_an_untouched_form_gives_the_defaults(name):
    def script(name):
        import streamlit as st

        import denoisers
        from ui import forms

        st.session_state["answer"] = forms.params_form(denoisers.spec(name), {}, name)

    page = AppTest.from_function(script, args=(name,)).run(timeout=60)
    assert not page.exception
    assert page.session_state["answer"] == denoisers.spec(name).resolve({})


@pytest.mark.parametrize(("preset", "rate"), [("fast", 0.05), ("book", 1e-4)])
def test_a_value_of_ones_own_begins_where_automatic_is(preset, rate):
    def script(preset):
        import streamlit as st

        import denoisers
        from ui import forms

        st.session_state["answer"] = forms.params_form(denoisers.spec("inr"), {"preset": preset}, "w")

    page = AppTest.from_function(script, args=(preset,)).run(timeout=60)
    page = page.toggle(key="w.lr.auto").set_value(False).run()
    assert page.session_state["answer"] == denoisers.spec("inr").resolve({"preset": preset, "lr": rate})


def test_a_noise_level_is_shown_of_255_and_kept_of_1():
    page = drawn(SIGMA, None)
    assert page.session_state["answer"] is None and not page.slider
    page = page.toggle[0].set_value(False).run()
    assert page.slider[0].value == 10
    page.slider[0].set_value(25.5).run()
    assert page.session_state["answer"] == pytest.approx(0.1)


def test_a_logarithmic_parameter_goes_in_1_2_5_and_holds_its_default():
    param = Param(name="rate", title="Rate", default=3e-3, min=1e-4, max=1e-2, log=True)
    page = drawn(param, 3e-3)
    options = page.select_slider[0].options
    assert options == ["0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.003", "0.005", "0.01"]
    page.select_slider[0].set_value(5e-4).run()
    assert page.session_state["answer"] == 5e-4


def test_a_wide_range_of_whole_numbers_is_typed():
    page = drawn(Param(name="seed", title="Seed", kind="int", default=0, min=0, max=9999, step=1), 7)
    page.number_input[0].set_value(1234).run()
    assert page.session_state["answer"] == 1234
