"""Benchmark: every denoiser on every test, and the pictures behind the numbers."""

import streamlit as st

from denoisers import benchmark as scores
from denoisers.errors import DataError
from ui import benchmark, workspace

space = workspace.current()
st.title("Which denoiser is best at what?", anchor=False)

file = benchmark.shown()
try:
    results = scores.read(file)
except DataError as error:
    st.error(benchmark.escape(str(error), 400), icon=":material/error:")
    st.stop()

st.write(
    "Every denoiser on the same pictures, scored against the clean truth. On real photographs nothing is told to the "
    "denoisers: each works from the picture alone, as it will on yours."
)
groups = benchmark.groups(results)
if not groups:
    st.info("This file holds no rows yet.", icon=":material/leaderboard:")
    st.stop()
with st.container(horizontal=True, horizontal_alignment="distribute"):
    first = next(iter(groups))
    group = st.segmented_control("Pictures", list(groups), default=first, label_visibility="collapsed")
    score = st.segmented_control(
        "Score",
        list(benchmark.SCORES),
        default="psnr",
        format_func=benchmark.SCORES.get,
        label_visibility="collapsed",
        help=scores.metrics.PROTOCOL,
    )
benchmark.table(results, score or "psnr", groups[group or first])
benchmark.provenance(results)

st.subheader("Quality against time", anchor=False)
test = st.selectbox("Test", benchmark.tests(results), format_func=lambda test: benchmark.title(*test))
st.caption(benchmark.explain(*test))
benchmark.scatter(results, test)

st.markdown("**The pictures behind these numbers**")
benchmark.pictures(space, results, test)

with st.expander("Size of each network, and what the authors printed", icon=":material/menu_book:"):
    benchmark.costs(results)
with st.expander("Run it again on this machine", icon=":material/replay:"):
    benchmark.run_again(space, results)
st.download_button("Download the results (JSON)", file.read_bytes(), "benchmark.json", icon=":material/download:")
