"""A page with nothing but the comparison viewer, for the browser tests: ``streamlit run`` this file."""

import hashlib
from pathlib import Path

import streamlit as st
from viewer_demo_layers import FRAME_NAMES, LAYERS, frame

from ui import tiles

ARRAYS = {hashlib.sha256(array.tobytes()).hexdigest(): array for array in LAYERS.values()}


def get_layer(name):
    return frame(FRAME_NAMES.index(name)) if name in FRAME_NAMES else ARRAYS[name]


app = st.App(Path(__file__).with_name("viewer_demo.py"), routes=tiles.routes(get_layer))
