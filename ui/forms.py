"""A form drawn from a DenoiserSpec."""

from itertools import groupby
from operator import attrgetter
from pathlib import Path

import streamlit as st

from denoisers import registry, weights
from denoisers.spec import DenoiserSpec, Param


def widget(param: Param, value, key: str, automatic=dict):
    """One parameter as a widget; ``value`` and the answer in library units, None for automatic.

    ``automatic()``: what automatic means by name, as far as it is known: a value of one's own begins there.
    """
    help = param.help
    title = f"{param.title} ({param.unit})" if param.unit else param.title
    if param.kind == "choice":
        return st.selectbox(title, param.choices, index=param.choices.index(value), key=key, help=help)
    if param.kind == "bool":
        return st.toggle(title, value, key=key, help=help)
    if param.default is None and st.toggle(f"{param.title}: automatic", value is None, key=f"{key}.auto", help=help):
        return None
    value = automatic().get(param.name) if value is None else value
    return param.parse(number(param, title, value, key))


def number(param: Param, title: str, value, key: str):
    """A slider, one over 1, 2, 5, 10 ... where the scale is logarithmic, or a box where a slider is too coarse."""
    kind = int if param.kind == "int" else float
    low, high, default = (kind(param.shown(v)) for v in (param.min, param.max, param.default or param.min))
    if value is None:
        value = kind((low * high) ** 0.5 if param.log else low + (high - low) / 10)
    else:
        value = kind(param.shown(value))
    step = param.step and kind(param.shown(param.step))
    if param.log:
        series = (float(f"{digit}e{power}") for power in range(-12, 13) for digit in (1, 2, 5))
        steps = {low, high, default, value} | {kind(v) for v in series if low <= v <= high}
        return st.select_slider(title, sorted(steps), value, "{:g}".format, key=key, help=param.help)
    if kind is int and high - low > 500:
        return st.number_input(title, low, high, value, step, key=key, help=param.help)
    return st.slider(title, low, high, value, step, key=key, help=param.help)


def weights_form(spec: DenoiserSpec, kept: str | None, key: str, files=(), automatic: str = "") -> str | None:
    """A method's weights, a tag or one of a visitor's own ``files``, asked only where there is a choice.

    ``automatic`` is the title of one more choice, the first, whose answer is None.
    """
    choices = [*spec.weights, *files]
    if len(choices) < 2:
        return choices[0] if choices else None
    if automatic:
        choices.insert(0, automatic)
    st.session_state.setdefault(f"{key}.weights", kept if kept in choices else choices[0])
    help = "What the network was trained on."
    pick = st.selectbox("Weights", choices, format_func=lambda one: Path(one).name, key=f"{key}.weights", help=help)
    if pick in spec.weights:
        st.caption(f"Trained on: {weights.entry(spec.name, pick)[1]['noise']}.")
    return None if pick == automatic else pick


def params_form(spec: DenoiserSpec, values: dict, key: str) -> dict:
    """Widgets for all parameters of a method, the advanced ones folded away. Returns values in library units."""
    values = {p.name: values.get(p.name, p.default) for p in spec.params}

    def automatic():
        return registry.automatic(spec.name, values | answer)

    answer = {}
    for advanced, group in groupby(sorted(spec.params, key=attrgetter("advanced")), attrgetter("advanced")):
        if advanced:
            st.caption("Advanced")
        for param in group:
            answer[param.name] = widget(param, values[param.name], f"{key}.{param.name}", automatic)
    return answer
