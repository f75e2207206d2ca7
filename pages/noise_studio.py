"""Noise studio: a picture taken apart into a small clean one and a latent, and put together anew."""

import streamlit as st

from ui import compare, noise_studio, services, workspace

space = workspace.current()
front = st.empty()

if space["picture"] is None or space["picture"] not in services.store():
    with front.container():
        if space["picture"]:
            st.warning("The picture of this workspace has been removed. Drop it in again to go on.")
            space.update(picture=None, reference=None, runs={})
        noise_studio.welcome(space)
    st.stop()

asked = {}  # what this run of the page wants computed, by the part that wants it
weights = noise_studio.head(space)
if weights:
    subject = noise_studio.subject(space, weights)
    noise_studio.inside(space, subject, asked)
branch = noise_studio.choose_branch(space)
if branch == "camera":
    place = noise_studio.camera(space, asked)
elif not weights:
    place = noise_studio.no_weights()
elif branch == "restore":
    place = noise_studio.restore(space, subject, asked)
else:
    place = noise_studio.generate(space, subject, asked)
with place:
    noise_studio.progress(asked)
compare.truth(space)
