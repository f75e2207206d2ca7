"""One visitor's workspace: its id lives in the URL, its state on disk, so a reload or a shared link brings all back."""

import streamlit as st

from . import services


class Workspace:
    """Dictionary-like state that is saved whenever it changes.

    Keys: ``picture`` and ``reference`` (item ids or None), ``chosen`` (method name -> parameters in library
    units), ``results`` (item ids, in the order they were asked for), ``device``.
    """

    EMPTY = {"picture": None, "reference": None, "chosen": None, "results": [], "device": "auto"}

    def __init__(self, name: str):
        self.name = name
        self.state = self.EMPTY | services.store().workspace(name)

    def __getitem__(self, key):
        return self.state[key]

    def update(self, **changes):
        if any(self.state.get(k) != v for k, v in changes.items()):
            self.state |= changes
            services.store().save_workspace(self.name, self.state)


def current() -> Workspace:
    """The workspace named in the URL; a new one, put there, if there is none or the name cannot be one."""
    store = services.store()
    name = st.query_params.get("w", "")
    try:
        return Workspace(name)
    except KeyError:
        name = store.new_workspace()
        st.query_params["w"] = name
        return Workspace(name)
