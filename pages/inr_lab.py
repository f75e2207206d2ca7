"""INR Lab: a network learns one picture, live, and is stopped before it learns the noise."""

from pathlib import Path

import streamlit as st

from ui import compare, inr_lab, services, workspace

space = workspace.current()
if name := st.session_state.pop("lab.go", None):
    st.switch_page(Path(__file__).parent / "compare.py", query_params={"w": name})

try:
    picture = space["picture"] and services.store().info(space["picture"])
except KeyError:
    space.update(picture=None, reference=None, runs={})
    picture = None
    st.warning("The picture of this workspace has been removed. Drop it in again to go on.")
if picture is None:
    compare.welcome(space, inr_lab.TITLE, inr_lab.TEXT)
    st.stop()

main, side = st.columns([2.6, 1], gap="medium")
with side:
    go = st.container()
    chosen = inr_lab.settings(space)
    with go:
        inr_lab.go(space, *chosen)
with main:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"#### {compare.escape(picture['name'])}", width="content")
        with st.popover("Change picture", icon=":material/swap_horiz:", key=f"change-{space['picture']}"):
            compare.open_picture(space)
    inr_lab.stage(space, chosen[2])
    with st.expander("What happens here, and why stopping matters", icon=":material/school:", expanded=True):
        st.markdown(inr_lab.WHAT + inr_lab.VERDICT)
    compare.truth(space)
