"""The parts of the Compare page, each a function of the workspace."""

import re

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

import denoisers
from denoisers.errors import DenoiserError
from denoisers.metrics import PROTOCOL

from . import forms, routes, samples, services

FIRST_CHOICE = ("nlm", "dct_wiener", "drunet")
FAMILIES = {
    "classical": "Classical filters",
    "supervised": "Trained networks",
    "self-supervised": "Trained without clean pictures",
    "zero-shot": "Learned from this picture alone",
    "invertible": "Invertible networks",
}
NOISES = {
    "gaussian": "Gaussian (even grain)",
    "camera": "Camera-like (blotchy, stronger in bright areas)",
    "poisson": "Poisson (photon noise)",
    "salt_and_pepper": "Salt and pepper",
    "speckle": "Speckle (multiplies the picture)",
}
LEVELS = (  # noise below this level, of 255, is called
    (1.5, "hardly any noise"),
    (5, "light noise"),
    (12, "clear noise"),
    (30, "strong noise"),
    (float("inf"), "very strong noise"),
)
TYPES = ["png", "jpg", "jpeg", "tif", "tiff", "webp", "bmp"]


def escape(text: str, limit: int = 80) -> str:
    """Text for Markdown that shows as it is, its middle left out above ``limit`` characters."""
    text = text if len(text) <= limit else f"{text[: limit - 20]}…{text[-16:]}"
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:@^&=])", r"\\\1", text)


def open_picture(space, data: bytes, name: str) -> bool:
    """Make an upload the workspace's picture; a bad file is explained and changes nothing."""
    try:
        space.update(picture=services.store().put_upload(data, name), reference=None, results=[])
        return True
    except DenoiserError as error:
        st.error(escape(str(error), 400), icon=":material/error:")
        return False


def welcome(space):
    """The first thing a newcomer sees: one place to drop a photo, and samples to try."""
    st.title("See what every denoiser makes of your photo", anchor=False)
    st.write("Drop in a noisy picture. Compare the results side by side at full resolution, and save the best one.")
    upload = st.file_uploader(
        "Your noisy photo",
        type=TYPES,
        key="upload",
        help="PNG, JPEG, TIFF, WebP or BMP, 8 or 16 bit, up to 120 megapixels.",
    )
    if upload is not None and open_picture(space, upload.getvalue(), upload.name):
        st.rerun()
    st.markdown("##### Or try a sample")
    for column, title in zip(st.columns(len(samples.SAMPLES)), samples.SAMPLES, strict=True):
        with column:
            st.image(thumbnail(title), width="stretch", output_format="PNG")
            if st.button(title, key=f"sample.{title}", width="stretch"):
                clean = services.store().put_upload(samples.png(title), f"{title}.png")
                level = samples.SAMPLES[title][1] / 255
                space.update(picture=services.noisy_copy(clean, "camera", level, 0), reference=clean, results=[])
                st.rerun()
    st.caption("Samples are scikit-image's pictures with camera-like noise added here, so the clean truth is known.")


@st.cache_data(max_entries=8)
def thumbnail(title):
    return samples.thumbnail(title)


def choose(space) -> dict[str, dict]:
    """Cards grouped by family; returns the chosen methods with their parameters."""
    chosen = space["chosen"]
    if chosen is None:
        chosen = {name: {} for name in FIRST_CHOICE if name in denoisers.names()}
    answer = {}
    families = {}
    for name in denoisers.names():
        families.setdefault(denoisers.spec(name).family, []).append(name)
    for family in (f for f in FAMILIES if f in families):
        st.markdown(f"**{FAMILIES[family]}**")
        for name in families[family]:
            spec = denoisers.spec(name)
            with st.container(border=True, gap="small"):
                with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                    on = st.toggle(spec.title, name in chosen, key=f"pick.{name}", help=f"Made for: {spec.trained_for}")
                    with st.popover("", icon=":material/tune:", help=f"Settings of {spec.title}", type="tertiary"):
                        params = forms.params_form(spec, chosen.get(name, {}), name)
                st.caption(spec.good_for)
                if on:
                    answer[name] = params
    space.update(chosen=answer)
    return answer


@st.cache_data
def devices() -> list[str]:
    from denoisers.engine.device import devices

    return devices()


def choose_device(space) -> str:
    """The device; asked only where there is a choice."""
    available = devices()
    if len(available) == 1:
        st.caption("Runs on the CPU of this server.", help="No GPU was found.")
        return available[0]
    device = st.segmented_control("Device", available, default=available[0], key="device")
    return device or available[0]


def finished(space) -> list[str]:
    return [item for item in space["results"] if item in services.store()]


def title_of(item: str) -> str:
    info = services.store().info(item)
    strength = info["params"].get("strength", 1)
    return info["title"] + (f" ×{strength:g}" if strength != 1 else "")


def layers(space) -> list[dict]:
    """What the viewer shows: the picture, the clean reference, the results."""
    store = services.store()
    answer = [(space["picture"], "Noisy" if space["reference"] else "Original")]
    if space["reference"]:
        answer.append((space["reference"], "Clean reference"))
    answer += [(item, title_of(item)) for item in finished(space)]

    def subtitle(item):
        if not space["reference"] or item == space["reference"]:
            return ""
        return f"{services.scores(item, space['reference'])['psnr']:.2f} dB"

    size = store.info(space["picture"])
    return [
        {"id": i, "title": t, "subtitle": subtitle(i), "width": size["width"], "height": size["height"]}
        for i, t in answer
    ]


def describe(space):
    """Size, depth and noise level in plain words; the reference, or a known truth."""
    store = services.store()
    info = store.info(space["picture"])
    sigma = 255 * services.sigma(space["picture"])
    words = next(word for limit, word in LEVELS if sigma < limit)
    megapixels = info["width"] * info["height"] / 1e6
    depth = f"{info['bits']} bit " if info["format"] != "computed" else ""
    kind = "grey" if info["channels"] == 1 else "colour"
    st.markdown(
        f"{info['width']} × {info['height']} pixels ({megapixels:.1f} megapixels), {depth}{kind}. "
        f"**{words.capitalize()}**: about {sigma:.1f} of 255.",
        help="The standard deviation of the noise, estimated from the picture. It presets every denoiser's strength.",
    )
    for note in info["notes"]:
        st.caption(note)
    truth(space)


def truth(space):
    """An optional clean partner: uploaded, or the picture itself with noise added."""
    with st.expander("Scores need a clean version: add one, or add noise to this picture", icon=":material/science:"):
        upload = st.file_uploader("A clean reference of the same size", type=TYPES, key="reference")
        if upload is not None:
            set_reference(space, upload.getvalue(), upload.name)
        st.markdown("**Or treat this picture as clean and add noise to it**")
        with st.form("noise", border=False):
            model = st.selectbox("Noise", list(NOISES), format_func=NOISES.get)
            level = st.slider("Level (of 255)", 1, 100, 25)
            seed = st.number_input("Seed", 0, 9999, 0, help="The same seed makes the same noise again.")
            if st.form_submit_button("Add noise"):
                clean = services.store().info(space["picture"]).get("clean", space["picture"])
                noisy = services.noisy_copy(clean, model, level / 255, int(seed))
                space.update(picture=noisy, reference=clean, results=[])
                st.rerun()


def set_reference(space, data, name):
    try:
        item = services.store().put_upload(data, name)
    except DenoiserError as error:
        st.error(escape(str(error), 400), icon=":material/error:")
        return
    a, b = services.store().info(space["picture"]), services.store().info(item)
    sizes = [(i["width"], i["height"], i["channels"]) for i in (a, b)]
    if sizes[0] != sizes[1]:
        say = " and ".join(f"{w} × {h} with {c} channel{'s' * (c > 1)}" for w, h, c in sizes)
        st.error(f"The picture and the reference differ in size: {say}. Give a reference of the same size.")
    elif space["reference"] != item:
        space.update(reference=item)
        st.rerun()


def progress(space, device):
    """A bar for every run that waits or works; redrawn once a second while there is one."""
    tasks = [t for i in space["results"] if (t := services.queue(device).get(i)) and i not in services.store()]
    if not tasks:
        return
    active = any(t.active for t in tasks)

    @st.fragment(run_every=0.7 if active else None)
    def bars():
        queue, done = services.queue(device), finished(space)
        for task in tasks:
            if task.id in done:
                continue
            name = task.title
            bar, stop = st.columns([5, 1], vertical_alignment="center")
            if task.state == "waiting":
                bar.progress(0.0, f"{name}: number {queue.place(task)} in the queue")
            elif task.state == "running":
                bar.progress(task.fraction, f"{name}: {task.fraction:.0%}")
            elif task.state == "failed":
                bar.error(f"{name}: {task.error}")
            elif task.state == "cancelled":
                bar.caption(f"{name}: cancelled")
            if task.active and stop.button("Cancel", key=f"cancel.{task.id}"):
                queue.cancel(task.id)
            if not task.active and stop.button("Dismiss", key=f"dismiss.{task.id}"):
                queue.forget(task.id)
                space.update(results=[i for i in space["results"] if i != task.id])
                st.rerun()
        if active and (len(finished(space)) > count or not any(t.active for t in tasks)):
            st.rerun()  # a new result belongs in the viewer

    count = len(finished(space))
    bars()


def score_table(space):
    """All results with their scores and times; the best of each column marked."""
    done = finished(space)
    if not done:
        return
    store, reference = services.store(), space["reference"]
    rows = []
    if reference:
        rows.append({"Denoiser": "(noisy picture)"} | named_scores(space["picture"], reference))
    for item in done:
        info = store.info(item)
        row = {"Denoiser": title_of(item)}
        if reference:
            row |= named_scores(item, reference)
        if (sigma := info["params"].get("sigma")) is not None:
            row["Noise level"] = 255 * sigma
        row["Seconds"] = info["seconds"]
        row["Megapixels/s"] = info["width"] * info["height"] / 1e6 / max(info["seconds"], 1e-6)
        rows.append(row)
    frame = pd.DataFrame(rows)
    best = {"PSNR (dB)": "max", "SSIM": "max", "Seconds": "min"}
    digits = {"PSNR (dB)": 2, "SSIM": 4, "Seconds": 2, "Megapixels/s": 2, "Noise level": 1}
    style = frame.style.format({name: f"{{:.{n}f}}" for name, n in digits.items()}, na_rep="")
    for column, way in best.items():
        if column in frame:
            mark = frame[column].max() if way == "max" else frame[column].min()
            style = style.map(
                lambda v, mark=mark: "font-weight: 700; background-color: rgba(20, 160, 140, .22)" if v == mark else "",
                subset=[column],
            )
    st.dataframe(style, hide_index=True, width="stretch")
    if reference:
        st.caption("PSNR and SSIM say how near a result is to the clean reference; higher is better.", help=PROTOCOL)


def named_scores(item, reference):
    values = services.scores(item, reference)
    return {"PSNR (dB)": values["psnr"], "SSIM": values["ssim"]}


def classic_slider(space):
    """streamlit-image-comparison, for those who know and want it; never asked for unless switched on."""
    done = finished(space)
    if not done:
        return
    with st.expander("Classic slider", icon=":material/swipe:"):
        st.caption(
            "The well-known streamlit-image-comparison. It shows 8-bit JPEG copies, so fine grain is altered, and it "
            "loads its script from the internet: if only an empty box appears below, this browser cannot reach it."
        )
        if st.toggle("Show it", key="classic"):
            from streamlit_image_comparison import image_comparison

            item = st.selectbox("Result", done, format_func=title_of, key="classic.item")
            a, b = (np.atleast_3d(services.store().display(i)) for i in (space["picture"], item))
            a, b = (np.repeat(p, 3, -1) if p.shape[-1] == 1 else np.array(p) for p in (a, b))
            image_comparison(Image.fromarray(a), Image.fromarray(b), "Noisy", title_of(item))


def save(space):
    """Download any result at full resolution, and its recipe."""
    done = finished(space)
    if not done:
        return
    pick, kind, get, how = st.columns([2, 1.5, 1.2, 1.2], vertical_alignment="bottom")
    item = pick.selectbox("Save", done, format_func=title_of)
    format = kind.selectbox("As", list(routes.FORMATS), format_func=lambda k: routes.FORMATS[k][0])
    get.link_button("Download", f"/download/{item}.{format}", icon=":material/download:", width="stretch")
    how.link_button(
        "Recipe",
        f"/download/{item}.json",
        icon=":material/receipt_long:",
        width="stretch",
        help="A small file that repeats this result exactly: python -m denoisers denoise --recipe",
    )
