"""Train: from a folder of pictures to a network of one's own, in the background."""

import copy

import streamlit as st

from ui import jobs, train, workspace

space = workspace.current()
st.title("Train a network on your own pictures", anchor=False)
st.write("Say what you have, press Start, and close the laptop. The trained network waits for you in Compare.")
mine = jobs.mine()
if mine is None:
    st.stop()

form = copy.deepcopy(space["training"])
left, right = st.columns([1.7, 1], gap="large")
with left:
    train.preset(form)
    folder = train.pictures(mine, space, form)
    train.network(mine, form, folder)
    train.length(form, mine.settings.hours)
    advanced = train.advanced(form)
space.update(training=form)
with right, st.container(border=True):
    train.summary(mine, form, advanced, folder)
