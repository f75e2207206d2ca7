"""The demo page's script. ``?layers=`` chooses what it shows, ``&follow`` has Python hear where the picture rests."""

import streamlit as st
from viewer_demo_layers import FRAME_NAMES, FRAMES, layer, many, timeline

from ui.viewer import comparison_viewer

st.set_page_config(page_title="Viewer demo", layout="wide")
what = st.query_params.get("layers", "usual")
start, picture = {}, ""
if what == "usual":
    shown = [
        layer("Noisy", "16.1 dB"),
        layer("Wavelet <b>bold</b>", "25.2 dB"),
        layer("DRUNet", "36.1 dB"),
        layer("Reference"),
    ]
    start = {"right": shown[2]["id"]}
    if st.checkbox("Stronger", help="Replaces the result DRUNet by another one of the same title."):
        shown[2] = layer("Stronger", "30.1 dB") | {"title": "DRUNet"}
        start = {"right": shown[2]["id"]}
    if st.checkbox("Too small", help="Adds a layer of another size."):
        shown.append(layer("Too small"))
elif what == "pictures":
    # One picture after another, the second alone until its results come.
    picture = st.radio("Picture", ["first", "second"])
    results = st.checkbox(f"Results of the {picture}", value=picture == st.query_params.get("results"))
    shown = [layer("Noisy"), *([layer("Stronger"), layer("DRUNet")] if results else [])]
elif what == "timeline":
    grown = st.checkbox("More frames", value=True)
    shown = [layer("Noisy"), timeline(FRAMES if grown else FRAMES // 2)]
elif what == "preview":
    # A picture that is replaced again and again, as while an image is fitted.
    now = st.session_state.setdefault("now", 0)
    shown = [layer("Noisy"), layer("DRUNet") | {"id": FRAME_NAMES[now], "title": "Preview", "subtitle": f"{now}"}]

    @st.fragment(run_every=1.0)
    def tick():
        if st.session_state.get("ticks"):
            st.session_state.now += 1
            st.session_state.ticks -= 1
            st.rerun()
        st.session_state.setdefault("ticks", 5)

    tick()
else:
    shown = many(int(what))
    st.checkbox("None for now", key="none")
    shown = [] if st.session_state.none else shown
follow = "follow" in st.query_params
view = comparison_viewer(shown, key="demo", height=600, view=start, storage=f"demo-{what}{picture}", follow=follow)
st.json(view)
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.caption(f"runs: {st.session_state.runs}")
