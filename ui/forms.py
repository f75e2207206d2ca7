"""A form drawn from a DenoiserSpec."""

import streamlit as st

from denoisers.spec import DenoiserSpec, Param


def widget(param: Param, value, key: str):
    """One parameter as a widget; ``value`` and the answer in library units, None for automatic."""
    help = param.help
    title = f"{param.title} ({param.unit})" if param.unit else param.title
    if param.kind == "choice":
        return st.selectbox(title, param.choices, index=param.choices.index(value), key=key, help=help)
    if param.kind == "bool":
        return st.toggle(title, value, key=key, help=help)
    low, high, step = (param.shown(v) for v in (param.min, param.max, param.step))
    if param.default is None:
        if st.toggle(f"{param.title}: automatic", value is None, key=f"{key}.auto", help=help):
            return None
        start = 10.0 if value is None else param.shown(value)
        return param.parse(st.slider(title, low, high, float(start), step, key=key))
    kind = int if param.kind == "int" else float
    return kind(st.slider(title, kind(low), kind(high), kind(value), kind(step), key=key, help=help))


def params_form(spec: DenoiserSpec, values: dict, key: str) -> dict:
    """Widgets for all parameters of a method, the advanced ones folded away. Returns values in library units."""
    values = {p.name: values.get(p.name, p.default) for p in spec.params}
    answer = {p.name: widget(p, values[p.name], f"{key}.{p.name}") for p in spec.params if not p.advanced}
    advanced = [p for p in spec.params if p.advanced]
    if advanced:
        st.caption("Advanced")
        answer |= {p.name: widget(p, values[p.name], f"{key}.{p.name}") for p in advanced}
    return answer
