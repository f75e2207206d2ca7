"""Every method: what it is, what it was trained for, where it comes from. All of it read from the specs."""

import streamlit as st

import denoisers

st.title("Methods")
st.caption("What each denoiser is, the noise it was made for, and the paper it comes from.")
for name in denoisers.names():
    spec = denoisers.spec(name)
    with st.container(border=True):
        st.subheader(spec.title, anchor=name, help=f"Called {name!r} in the library and on the command line.")
        st.markdown(f":gray-badge[{spec.family}] :gray-badge[{spec.year}]")
        st.write(spec.good_for)
        st.caption(
            f"**Trained for.** {spec.trained_for}  \n**Source.** {spec.citation}  \n**Code.** {spec.code_licence}"
        )
