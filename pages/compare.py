"""Compare: one photo, any number of denoisers, side by side."""

import streamlit as st

import denoisers
from denoisers.errors import DenoiserError
from ui import compare, services, workspace
from ui.viewer import comparison_viewer

space = workspace.current()

if space["picture"] is None:
    compare.welcome(space)
    st.stop()

try:
    picture = services.store().info(space["picture"])
except KeyError:
    st.warning("The picture of this workspace has been removed. Drop it in again to go on.")
    space.update(picture=None, reference=None, results=[])
    compare.welcome(space)
    st.stop()

main, side = st.columns([2.6, 1], gap="medium")
with main:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"#### {compare.escape(picture['name'])}", width="content")
        if st.button("Change picture", icon=":material/swap_horiz:"):
            space.update(picture=None, reference=None, results=[])
            st.rerun()
    viewer = st.container()
    facts = st.container()
    progress = st.container()
    table = st.container()

with side:
    go = st.container()
    chosen = compare.choose(space)
    device = compare.choose_device(space)
    if go.button(
        f"Denoise with {len(chosen)}" if chosen else "Pick a denoiser",
        type="primary",
        width="stretch",
        disabled=not chosen,
        icon=":material/auto_fix_high:",
    ):
        try:
            asked = [
                services.start(space["picture"], name, denoisers.spec(name).resolve(params), device)
                for name, params in chosen.items()
            ]
            space.update(results=list(dict.fromkeys([*space["results"], *asked])))
        except DenoiserError as error:
            st.error(str(error))

with viewer:
    comparison_viewer(compare.layers(space), key="viewer", storage=f"{space.name}-{space['picture']}")
with facts:
    compare.describe(space)
with progress:
    compare.progress(space, device)
with table:
    compare.score_table(space)
    compare.save(space)
    compare.classic_slider(space)
