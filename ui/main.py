"""The frame around every page: navigation, icon, theme."""

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

st.set_page_config(
    page_title="Grainwise",
    page_icon=str(ROOT / "assets" / "icon.svg"),
    layout="wide",
    initial_sidebar_state="collapsed",
)
# Streamlit leaves twice this above every page; on a laptop the picture needs the room.
st.html("<style>.stMainBlockContainer { padding-top: 4.5rem }</style>")
st.logo(str(ROOT / "assets" / "logo.svg"), icon_image=str(ROOT / "assets" / "icon.svg"))
pages = [
    st.Page(ROOT / "pages" / "compare.py", title="Compare", icon=":material/compare:", default=True),
    st.Page(ROOT / "pages" / "inr_lab.py", title="INR Lab", icon=":material/timeline:"),
    st.Page(ROOT / "pages" / "noise_studio.py", title="Noise studio", icon=":material/grain:"),
    st.Page(ROOT / "pages" / "train.py", title="Train", icon=":material/model_training:"),
    st.Page(ROOT / "pages" / "jobs.py", title="Jobs", icon=":material/checklist:"),
    st.Page(ROOT / "pages" / "benchmark.py", title="Benchmark", icon=":material/leaderboard:"),
    st.Page(ROOT / "pages" / "methods.py", title="Methods", icon=":material/menu_book:"),
]
page = st.navigation(pages, position="top")
if st.session_state.get("page") != page.title:
    st.session_state["page"] = page.title
    st.session_state.pop("lab.view", None)  # the browser has forgotten where the lab's timeline was; the workspace not
page.run()
