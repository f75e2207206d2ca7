"""The demo page's script."""

import streamlit as st
from viewer_demo_layers import layer

from ui.viewer import comparison_viewer

st.set_page_config(page_title="Viewer demo", layout="wide")
stronger = st.checkbox("Stronger", help="Replaces the result DRUNet by another one of the same title.")
shown = [
    layer("Noisy", "16.1 dB"),
    layer("Wavelet <b>bold</b>", "25.2 dB"),
    layer("DRUNet", "36.1 dB"),
    layer("Reference"),
]
if stronger:
    shown[2] = layer("Stronger", "30.1 dB") | {"title": "DRUNet"}
view = comparison_viewer(shown, key="demo", height=600, view={"right": shown[2]["id"]}, storage="demo-image")
st.json(view)
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.caption(f"runs: {st.session_state.runs}")
