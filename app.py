"""Grainwise's ASGI app. ``streamlit run app.py`` starts it."""

from pathlib import Path

import streamlit as st

from ui.routes import lifespan, routes

app = st.App(Path(__file__).parent / "ui" / "main.py", routes=routes, lifespan=lifespan)
