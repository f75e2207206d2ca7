"""Jobs: everything that works in the background, and how far it is."""

import streamlit as st

from ui import jobs, workspace

space = workspace.current()
st.title("Jobs", anchor=False)
mine = jobs.mine()
if mine is None:
    st.stop()
st.write(
    "Trainings and whole folders of pictures are worked here while you are away. Close the browser; nothing stops."
)
jobs.new_batch(mine, space)

busy = any(not job.finished for job in mine.list())


@st.fragment(run_every=1 if busy else None)
def board():
    jobs.board(mine, space, busy)


board()
