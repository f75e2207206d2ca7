"""Every method: what it is, what it was made for, where it comes from. All of it read from specs and catalogue."""

import streamlit as st

import denoisers
from denoisers.weights import catalogue
from ui.compare import FAMILIES

ABOUT = {
    "classical": "Rules written by people. Nothing is trained, so nothing can be invented.",
    "supervised": "Trained on pairs of a noisy and a clean picture. Best on noise like that of the training.",
    "self-supervised": "Trained on noisy pictures only, for where clean ones cannot be had.",
    "zero-shot": "A small network learns from the one picture it is given. Slow, and free of any training set.",
    "invertible": "Splits a picture, without loss, into a clean part and a noise part that can be drawn anew.",
}


def card(spec):
    with st.container(border=True, height="stretch"):
        st.subheader(spec.title, anchor=spec.name, help=f"`{spec.name}` in the library and on the command line.")
        facts = [str(spec.year), f"about {spec.cost:g} s a megapixel"]
        if spec.random:
            facts.append("random, repeatable by its seed")
        st.markdown(" ".join(f":gray-badge[{fact}]" for fact in facts))
        st.markdown(spec.good_for)
        st.markdown(f"**Made for.** {spec.trained_for}")
        licences = f"Code: {spec.code_licence}."
        if spec.weights_licence:
            licences += f" Weights: {spec.weights_licence}."
        st.caption(f"{spec.citation}  \n{licences}")
        for tag in spec.weights:
            if facts := catalogue().get(spec.name, {}).get(tag):
                weights(f"{spec.name}.{tag}", facts)


def weights(name, facts):
    """One catalogue entry: what it can do, and what it was trained on."""
    with st.expander(f"Weights `{name}`", icon=":material/network_node:"):
        lines = [
            ("Noise", facts["noise"]),
            ("Trained on", facts["training_data"]),
            ("Terms of the pictures", facts["data_terms"]),
            ("Licence", facts["licence"]),
            ("Training", f"{facts['steps']:,} steps, {facts['megapixels']:,.0f} megapixels; {facts['optimiser']}"),
            ("Begun with", facts.get("start", "random weights")),
            ("Where and when", f"{facts['minutes']} minutes on {facts['device']}, until {facts['date']}"),
            ("Reached", facts["validation"]),
            ("Size", f"{facts['parameters'] / 1e6:.2f} million parameters"),
            ("File", f"`{facts['file']}`, SHA-256 `{facts['sha256'][:12]}…`"),
        ]
        st.caption("  \n".join(f"**{title}.** {text}" for title, text in lines))


st.title("Methods", anchor=False)
specs = sorted((denoisers.spec(name) for name in denoisers.names()), key=lambda spec: (spec.year, spec.title))
families = [family for family in FAMILIES if any(spec.family == family for spec in specs)]
st.markdown(
    "What each denoiser is good for, the noise it was made for, and the paper it comes from.",
    help="Times are rough, for one modern processor core.",
)
chosen = st.pills("Family", families, format_func=FAMILIES.get, label_visibility="collapsed")
for family in [chosen] if chosen else families:
    st.header(FAMILIES[family], anchor=family)
    st.caption(ABOUT[family])
    members = [spec for spec in specs if spec.family == family]
    for row in range(0, len(members), 2):
        for column, spec in zip(st.columns(2), members[row : row + 2], strict=False):
            with column:
                card(spec)
