"""Compare: one photo, any number of denoisers, side by side."""

import streamlit as st

from ui import compare, services, workspace
from ui.viewer import comparison_viewer

space = workspace.current()
front = st.empty()  # gone at once when a picture is there, not only after all else is drawn

if space["picture"] is None:
    with front.container():
        compare.welcome(space)
    st.stop()

try:
    picture = services.store().info(space["picture"])
except KeyError:
    space.update(picture=None, reference=None, runs={})
    with front.container():
        st.warning("The picture of this workspace has been removed. Drop it in again to go on.")
        compare.welcome(space)
    st.stop()

if space["reference"] and space["reference"] not in services.store():
    space.update(reference=None)

main, side = st.columns([2.6, 1], gap="medium")
with main:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"#### {compare.escape(picture['name'])}", width="content")
        # A new key for a new picture closes it.
        with st.popover("Change picture", icon=":material/swap_horiz:", key=f"change-{space['picture']}"):
            compare.open_picture(space)
    viewer = st.container()
    facts = st.container()

# First of all: what is below may wait, right after the start of the server for seconds.
shown = compare.finished(space)
with viewer:
    seen = comparison_viewer(
        compare.layers(space, shown),
        key="viewer",
        view=compare.front(space, shown),
        storage=f"{space.name}-{space['picture']}",
    )
with side:
    go, progress = st.container(), st.container(key="progress", gap="small")
    chosen = compare.choose(space)
    device = compare.choose_device()
    with go:
        compare.go(space, chosen, device)

with progress:
    compare.progress(space, shown)
with facts:
    noise = compare.describe(space)
    compare.score_table(space)
    compare.save(space, seen["right"])
compare.classic_slider(space)
compare.tell_noise(space, *noise)
