"""Where this server's own routes are: behind the path that Streamlit is told it is served under, if any."""

import streamlit as st


def at(path: str) -> str:
    """The address of a route of ours, "/download/...": with ``server.baseUrlPath`` before it."""
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}{path}" if base else path
