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

side, main = st.columns([1, 2.6], gap="medium")
with main:
    title, change = st.columns([3, 1], vertical_alignment="center")
    title.markdown(f"#### {compare.escape(picture['name'])}")
    if change.button("Change picture", icon=":material/swap_horiz:", width="stretch"):
        space.update(picture=None, reference=None, results=[])
        st.rerun()
    viewer = st.container()
    facts = st.container()
    progress = st.container()
    table = st.container()

with side:
    chosen = compare.choose(space)
    device = compare.choose_device(space)
    if st.button(
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
