"""The parts of the Compare page, each a function of the workspace."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

import denoisers
from denoisers.errors import DenoiserError
from denoisers.images.writing import FORMATS
from denoisers.metrics import PROTOCOL
from denoisers.noise.models import SHARES
from denoisers.own_weights import SUFFIXES

from . import browser, forms, routes, samples, services, workspace
from .addresses import at

FAMILIES = {
    "classical": "Classical filters",
    "supervised": "Trained networks",
    "self-supervised": "Trained without clean pictures",
    "zero-shot": "Learned from this picture alone",
    "invertible": "Invertible networks",
}
NOISES = {
    "gaussian": "Gaussian (even grain)",
    "camera": "Camera (uneven grain, blotches of colour)",
    "poisson": "Poisson (photon noise)",
    "poisson_gaussian": "Photon and sensor noise",
    "speckle": "Speckle (multiplies the picture)",
    "salt_and_pepper": "Salt and pepper",
    "impulse": "Random-coloured pixels",
    "bernoulli": "Missing pixels",
    "text": "Text over the picture",
    "watermark": "Watermark",
    "jpeg": "JPEG compression",
}
LEVELS = (  # noise below this level, of 255, is called
    (1.5, "hardly any noise"),
    (5, "light noise"),
    (12, "clear noise"),
    (30, "strong noise"),
    (float("inf"), "very strong noise"),
)
CLASSIC_SCRIPT = "https://cdn.knightlab.com/libs/juxtapose/latest/js/juxtapose.min.js"
CLASSIC_SIDE = 1600
LONG = 20  # seconds: a run that takes longer says so
COLUMNS = {  # of the table of results -> what it says
    "PSNR (dB)": "How near to the clean version; 3 dB more is half the squared error.",
    "SSIM": "How alike in structure to the clean version; 1 is the same.",
    "Noise level": "How strong the denoiser took the noise to be, of 255.",
    "Seconds": "How long this server took.",
    "Megapixels/s": "How many million pixels a second that is: more is faster, whatever the size of the picture.",
}
TYPES = [suffix[1:] for suffix in FORMATS]


def escape(text: str, limit: int = 80) -> str:
    """Text for Markdown that shows as it is, its middle left out above ``limit`` characters."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:@^&=])", r"\\\1", shorten(text, limit))


def shorten(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[: limit - 20]}…{text[-16:]}"


def refuse(error: DenoiserError, name: str):
    """Why a file cannot be used; its name may be as long as it likes."""
    st.error(escape(str(error).replace(name, shorten(name)), 400), icon=":material/error:")


def duration(seconds: float) -> str:
    """A rough time in words."""
    for length, unit in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= 1.5 * length or length == 1:
            count = max(1, round(seconds / length))
            return f"about {count} {unit}{'s' * (count > 1)}"


def expected(space, name: str, device: str) -> float:
    """Seconds that a run on the workspace's picture takes, very roughly, on one CPU core; on a GPU it takes few."""
    info, spec = services.store().info(space["picture"]), denoisers.spec(name)
    slow = device == "cpu" or spec.family == "classical"
    return spec.cost * info["width"] * info["height"] / 1e6 if slow else 0.0


def open_picture(space):
    """The uploader. What it can read becomes the workspace's picture; a bad file is explained, and changes nothing."""
    help = "PNG, JPEG, TIFF, WebP or BMP, 8 or 16 bit, up to 120 megapixels."
    upload = browser.file_uploader("Your noisy photo", TYPES, f"upload.{space['picture']}", paste=True, help=help)
    st.caption("Or copy a picture anywhere and paste it here with Ctrl+V (⌘V on a Mac).")
    if upload is None:
        return
    try:
        item = services.store().put_upload(upload.getvalue(), upload.name)
    except DenoiserError as error:
        refuse(error, upload.name)
        return
    if item == space["picture"]:
        st.caption("This is the picture that is open.")
    else:
        take(space, item)
        st.rerun()


def take(space, picture: str, reference: str | None = None):
    """Go on with another picture. What still runs on the old one is stopped, unless another visitor waits for it too:
    here nobody could see it any more, and it would keep the new picture waiting."""
    for item, run in space["runs"].items():
        if not workspace.wanted_elsewhere(item, space):
            services.queue(run["device"]).cancel(item)
    space.update(picture=picture, reference=reference, runs={})


def welcome(
    space,
    title="See what every denoiser makes of your photo",
    text="Drop in a noisy picture. Compare the results side by side at full resolution, and save the best one.",
):
    """The first thing a newcomer sees: one place to drop a photo, and samples to try."""
    st.title(title, anchor=False)
    st.write(text)
    open_picture(space)
    st.markdown("##### Or try a sample")
    for column, title in zip(st.columns(len(samples.SAMPLES)), samples.SAMPLES, strict=True):
        with column:
            st.image(thumbnail(title), width="stretch", output_format="PNG")
            if st.button(title, key=f"sample.{title}", width="stretch"):
                clean = services.store().put_upload(samples.png(title), f"{title}.png")
                level = samples.SAMPLES[title][1] / 255
                take(space, services.noisy_copy(clean, "camera", level, 0), clean)
                st.rerun()
    st.caption("Samples are scikit-image's pictures with camera-like noise added here, so the clean truth is known.")


@st.cache_data(max_entries=8)
def thumbnail(title):
    return samples.thumbnail(title)


def choose(space) -> dict[str, dict]:
    """Cards: good first choices, then the rest by family. Returns the chosen methods, weights and parameters."""
    chosen, first = space["chosen"], services.first_choices()
    names = sorted({*denoisers.names(), *space["files"]})
    if chosen is None:
        chosen = {name: {"weights": None, "params": {}} for name in first}
    answer = {}
    if first:
        st.markdown("**Good first choices**")
    for name in first:
        card(space, name, chosen, answer)
    for family, title in FAMILIES.items():
        rest = [n for n in names if denoisers.spec(n).family == family and n not in first]
        if rest:
            on = sum(name in chosen for name in rest)
            label = f"{title} · {len(rest)} more" + f", **{on} picked**" * bool(on)
            with st.expander(label, key=f"family-{family}"):
                for name in rest:
                    card(space, name, chosen, answer)
    space.update(chosen=answer)
    own_weights(space)
    return answer


def own_weights(space):
    """A visitor's own weight file becomes a choice of the method it belongs to."""
    with st.expander("Your own weights", icon=":material/upload_file:"):
        st.caption(
            "A network of yours: any of Grainwise, or one that spandrel knows (DnCNN, DRUNet, SCUNet, NAFNet, SwinIR "
            "and more). Nothing in the file is run."
        )
        count = sum(len(files) for files in space["files"].values())
        upload = browser.file_uploader("A weight file", [s[1:] for s in SUFFIXES], f"weights.{count}")
        if upload is None:
            return
        try:
            with st.spinner("Reading the file…"):
                path = services.store().put_weights(upload.getvalue(), upload.name)
        except DenoiserError as error:
            refuse(error, upload.name)
            return
        method = services.store().info(Path(path).parent.name)["method"]
        chosen = space["chosen"] | {method: {"weights": path, "params": {}}}
        st.session_state.pop(f"pick.{method}", None)
        st.session_state.pop(f"{method}.weights", None)
        space.update(files=space.with_file(method, path), chosen=chosen)
        st.rerun()


def card(space, name: str, chosen: dict, answer: dict):
    """One method: a switch, its settings, one line on what it is good for. If it is on, it goes into ``answer``."""
    spec, kept = denoisers.spec(name), chosen.get(name, {"weights": None, "params": {}})
    with st.container(key=f"card-{name}", gap=None):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.session_state.setdefault(f"pick.{name}", name in chosen)  # as a default the browser would not hear of it
            on = st.toggle(spec.title, key=f"pick.{name}", help=f"Made for: {spec.trained_for}")
            with st.popover("", icon=":material/tune:", help=f"Settings of {spec.title}", type="tertiary"):
                files, automatic = space["files"].get(name, ()), "Automatic: fits the noise"
                weights = forms.weights_form(spec, kept["weights"], name, files, automatic)
                params = forms.params_form(spec, kept["params"], name)
        st.caption(spec.good_for)
    if on:
        answer[name] = {"weights": weights, "params": params}


def go(space, chosen: dict, device: str):
    """The button that starts the chosen denoisers, and how long they take if that is long."""
    new = {name: kept for name, kept in chosen.items() if not is_asked(space, name, kept)}
    if new:
        label = f"Denoise with {len(new)}"
    elif chosen:
        label = "Pick another, or change a setting"
    else:
        label = "Pick a denoiser"
    if st.button(label, type="primary", width="stretch", disabled=not new, icon=":material/auto_fix_high:", key="go"):
        start(space, new, device)
        st.rerun()
    for reason in st.session_state.get("refused", []):
        st.error(escape(reason, 400))
    seconds = sum(expected(space, name, device) for name in new)
    if seconds > LONG:
        st.caption(f"This takes {duration(seconds)}. Each result appears as soon as it is ready.")


def is_asked(space, name: str, kept: dict) -> bool:
    """Whether this very run has a result here, or is under way."""
    if not space["runs"]:
        return False  # and nothing is measured yet, that the weights would follow from
    weights = kept["weights"] or services.suited(space["picture"], name)
    try:
        asked = {"name": name, "weights": weights, "params": denoisers.spec(name).resolve(kept["params"])}
    except DenoiserError:  # `start` says why
        return False
    for item, run in space["runs"].items():
        if asked.items() <= run.items():
            task = services.queue(run["device"]).get(item)
            return item in services.store() or task is not None and task.active
    return False


def start(space, chosen: dict, device: str):
    """Queue the chosen denoisers. Why some cannot start is kept until the next start, and the others go on."""
    runs, latest = dict(space["runs"]), []
    refused = st.session_state["refused"] = []
    for name, kept in chosen.items():
        try:
            spec = denoisers.spec(name)
            weights = kept["weights"] or services.suited(space["picture"], name)
            run = {"name": name, "device": device, "weights": weights, "params": spec.resolve(kept["params"])}
            item = services.start(space["picture"], **run)
        except DenoiserError as error:
            refused.append(f"{name}: {error}")
        else:
            runs[item] = run | {"title": describe_run(spec, run)}
            latest.append(item)
    space.update(runs=runs, latest=latest)


def describe_run(spec, run: dict) -> str:
    """A method's title with whatever differs from its defaults."""
    weights = run["weights"]
    changed = [Path(weights).name] if weights and (len(spec.weights) > 1 or weights not in spec.weights) else []
    for param in spec.params:
        value = run["params"][param.name]
        if value != param.default:
            shown = param.shown(value)
            shown = f"{shown:.3g}" if isinstance(shown, float) else shown
            switched = param.title.lower() if param.kind == "bool" else f"{param.name} {shown}"
            changed.append(f"×{shown}" if param.name == "strength" else switched)
    return " · ".join([spec.title, ", ".join(changed)]) if changed else spec.title


def choose_device() -> str:
    """The device; asked only where there is a choice."""
    available = services.devices()
    if len(available) == 1:
        st.caption("Runs on the CPU of this server.", help="No GPU was found.")
        return available[0]
    device = st.segmented_control("Device", available, default=available[0], key="device")
    return device or available[0]


def finished(space) -> list[str]:
    return [item for item in space["runs"] if item in services.store()]


def scores(space) -> tuple[dict[str, dict], str]:
    """PSNR and SSIM of the picture and its results as far as they are known, and why others never will be."""
    known, problem = {}, ""
    for item in [space["picture"], *finished(space)] if space["reference"] else []:
        try:
            if found := services.scores_soon(item, space["reference"]):
                known[item] = found
        except DenoiserError as error:
            problem = str(error)
    return known, problem


def layers(space, results: list[str]) -> list[dict]:
    """What the viewer shows: the picture, the clean reference, the results."""
    store, (known, _) = services.store(), scores(space)
    answer = [(space["picture"], "Noisy" if space["reference"] else "Original")]
    if space["reference"]:
        answer.append((space["reference"], "Clean reference"))
    answer += [(item, space["runs"][item]["title"]) for item in results]

    def subtitle(item):
        return f"{known[item]['psnr']:.2f} dB" if item in known else ""

    size = store.info(space["picture"])
    return [
        {"id": i, "title": t, "subtitle": subtitle(i), "width": size["width"], "height": size["height"]}
        for i, t in answer
    ]


def front(space, results: list[str]) -> dict:
    """What the viewer turns to: what was asked for last; of several, the first choice that is ready."""
    return next(({"right": item} for item in space["latest"] if item in results), {})


def describe(space):
    """Size and depth in plain words, then the clean partner. Returns what ``tell_noise`` completes."""
    info = services.store().info(space["picture"])
    megapixels = info["width"] * info["height"] / 1e6
    depth = f"{info['bits']} bit " if info["format"] != "computed" else ""
    kind = "grey" if info["channels"] == 1 else "colour"
    many = f" ({megapixels:.1f} megapixels)" if megapixels >= 0.1 else ""
    size = f"{info['width']} × {info['height']} pixels{many}, {depth}{kind}."
    place = st.empty()
    place.markdown(f"{size} Measuring the noise…" if "sigma" not in info else size)
    for note in info["notes"]:
        st.caption(note)
    truth(space)
    return place, size


def tell_noise(space, place, size: str):
    """The noise level, measured last: it takes about a second on a large picture, which is on screen by then."""
    sigma = 255 * services.sigma(space["picture"])
    words = next(word for limit, word in LEVELS if sigma < limit)
    place.markdown(
        f"{size} **{words.capitalize()}**: about {sigma:.1f} of 255.",
        help="The standard deviation of the noise, estimated from the picture. It presets the strength of all "
        "denoisers that can be told. Texture may pass for noise: DRUNet looks again, and lowers it if it finds less.",
    )


def truth(space):
    """An optional clean partner: uploaded, or the picture itself with noise added."""
    reference = space["reference"]
    if reference:
        title = f"Scored against: {escape(services.store().info(reference)['name'], 40)}"
    else:
        title = "Scores need a clean version: add one, or add noise to this picture"
    with st.expander(title, icon=":material/science:"):
        # The key changes with what is in use, so a file never outlives the moment it was taken over.
        key = f"reference.{space['picture']}.{reference}"
        upload = browser.file_uploader("A clean reference of the same size", TYPES, key)
        if upload is not None:
            set_reference(space, upload.getvalue(), upload.name)
        if reference and st.button("Remove the reference", icon=":material/close:"):
            space.update(reference=None)
            st.rerun()
        st.markdown("**Or treat this picture as clean and add noise to it**")
        model = st.selectbox("Noise", list(NOISES), format_func=NOISES.get)
        share = model in SHARES
        level = st.slider("Share (%)" if share else "Level (of 255)", 1, 100, 25, key=f"level.{share}")
        seed = st.number_input("Seed", 0, 9999, 0, help="The same seed makes the same noise again.")
        if st.button("Add noise"):
            clean = services.store().info(space["picture"]).get("clean", space["picture"])
            noisy = services.noisy_copy(clean, model, level / (100 if share else 255), int(seed))
            take(space, noisy, clean)
            st.rerun()


def set_reference(space, data, name):
    try:
        item = services.store().put_upload(data, name)
    except DenoiserError as error:
        refuse(error, name)
        return
    a, b = services.store().info(space["picture"]), services.store().info(item)
    sizes = [(i["width"], i["height"], i["channels"]) for i in (a, b)]
    if sizes[0] != sizes[1]:
        say = " and ".join(f"{w} × {h} with {c} channel{'s' * (c > 1)}" for w, h, c in sizes)
        st.error(f"The picture and the reference differ in size: {say}. Give a reference of the same size.")
    elif np.array_equal(services.store().pixels(space["picture"]), services.store().pixels(item)):
        st.error("This is the same picture, pixel by pixel: there is nothing to score against it.")
    elif item != space["reference"]:
        space.update(reference=item)
        st.rerun()


def progress(space, shown: list[str]):
    """A line for every run without a result: it waits, works, or ended otherwise. Redrawn while one is active.

    shown: the results in the viewer. One that has come since brings the whole page anew.
    """
    pending = {item: run for item, run in space["runs"].items() if item not in shown}
    if not pending:
        return

    def tasks():
        return {item: services.queue(run["device"]).get(item) for item, run in pending.items()}

    def is_active():
        return any(task is not None and task.active for task in tasks().values())

    active = is_active()

    @st.fragment(run_every=0.7 if active else None)
    def bars():
        for item, task in tasks().items():
            if item not in services.store():
                run_line(space, item, pending[item], task)
        if set(finished(space)) > set(shown) or active and not is_active():
            st.rerun()

    bars()


def cancel(space, item: str):
    """Stop a run; one that another visitor waits for goes on for them alone."""
    if workspace.wanted_elsewhere(item, space):
        space.update(runs={key: run for key, run in space["runs"].items() if key != item})
    else:
        services.queue(space["runs"][item]["device"]).cancel(item)


def run_line(space, item: str, run: dict, task):
    """One run that has no result."""
    queue, title = services.queue(run["device"]), escape(run["title"])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        line = st.container()
        if task is not None and task.active:
            known = task.remaining is not None
            seconds = task.remaining if known else expected(space, run["name"], run["device"])
            left = f", {duration(seconds)}{' to go' if known else ''}" if seconds > LONG else ""
            stopping = task.stop.is_set()
            if stopping:
                line.progress(task.fraction, f"{title}: stopping…")
            elif task.state == "waiting":
                line.progress(0.0, f"{title}: number {queue.place(task)} in the queue{left}")
            else:
                line.progress(task.fraction, f"{title}: {task.fraction:.0%}{left}")
            st.button("Cancel", key=f"cancel.{item}", on_click=cancel, args=(space, item), disabled=stopping)
            return
        if task is not None and task.state == "failed":
            line.error(f"{title}: {escape(task.error, 400)}")
        elif task is not None and task.state == "cancelled":
            line.caption(f"{title}: cancelled.")
        else:  # no queue of this server knows it
            line.warning(f"{title}: not finished, the server was restarted.")
        again = st.button("Run again", key=f"again.{item}")
        dismiss = st.button("", icon=":material/close:", key=f"dismiss.{item}", help="Dismiss", type="tertiary")
    if again:
        start(space, {run["name"]: run}, run["device"])
    if dismiss:
        space.update(runs={key: value for key, value in space["runs"].items() if key != item})
    if again or dismiss:
        st.rerun()


def score_table(space):
    """All results with their times, and their scores where there is a clean version; the best of each column marked."""
    known, problem = scores(space)
    if done := finished(space):
        draw_table(space, done, known)
    if problem:
        st.error(escape(f"Some scores are missing. {problem}", 400))
    elif space["reference"] and len(known) <= len(done):
        watch_scores(space, len(known))


def watch_scores(space, count: int):
    """Scores take their time on a large picture; they are shown as they come."""

    @st.fragment(run_every=0.7)
    def watch():
        st.caption("Comparing with the clean version…")
        known, problem = scores(space)
        if problem or len(known) > count:
            st.rerun()

    watch()


def draw_table(space, done: list[str], known: dict[str, dict]):
    def named(item):
        return {"PSNR (dB)": known[item]["psnr"], "SSIM": known[item]["ssim"]} if item in known else {}

    store, rows = services.store(), []
    if space["reference"]:
        rows.append({"Denoiser": "(noisy picture)"} | named(space["picture"]))
    for item in done:
        info = store.info(item)
        row = {"Denoiser": space["runs"][item]["title"]} | named(item)
        if (sigma := info["params"].get("sigma")) is not None:
            row["Noise level"] = 255 * sigma
        row["Seconds"] = info["seconds"]
        row["Megapixels/s"] = info["width"] * info["height"] / 1e6 / max(info["seconds"], 1e-6)
        rows.append(row)
    frame = pd.DataFrame(rows)
    best = {"PSNR (dB)": "max", "SSIM": "max", "Seconds": "min"} if len(done) > 1 else {}
    digits = {"PSNR (dB)": 2, "SSIM": 4, "Seconds": 2, "Megapixels/s": 2, "Noise level": 1}
    style = frame.style.format({name: f"{{:.{n}f}}" for name, n in digits.items()}, na_rep="")
    for column, way in best.items():
        if column in frame:
            mark = frame[column].max() if way == "max" else frame[column].min()
            style = style.map(
                lambda v, mark=mark: "font-weight: 700; background-color: rgba(20, 160, 140, .22)" if v == mark else "",
                subset=[column],
            )
    about = {column: st.column_config.Column(help=text) for column, text in COLUMNS.items()}
    st.dataframe(style, hide_index=True, width="stretch", placeholder="", column_config=about)
    for item in done:
        for note in store.info(item).get("notes", []):
            st.warning(f"{escape(space['runs'][item]['title'])}: {escape(note, 400)}")
    if space["reference"]:
        st.caption("PSNR and SSIM say how near a result is to the clean reference; higher is better.", help=PROTOCOL)


def classic_slider(space):
    """streamlit-image-comparison, for those who know and want it; never asked for unless switched on."""
    done = finished(space)
    if not done:
        return
    with st.expander("Classic slider", icon=":material/swipe:"):
        st.caption(
            f"The well-known streamlit-image-comparison. It shows JPEG copies of at most {CLASSIC_SIDE} pixels a side, "
            "so fine grain is altered, and it loads its script from the internet."
        )
        if not st.toggle("Show it", key="classic"):
            return
        reached = browser.reaches(CLASSIC_SCRIPT, "classic-reach")
        if reached is None:
            st.caption("Looking for its script…")
        elif not reached:
            st.warning(
                f"This browser cannot reach {urlsplit(CLASSIC_SCRIPT).hostname}, where the classic slider keeps its "
                "script. The viewer above needs no internet and shows every pixel as it is.",
                icon=":material/cloud_off:",
            )
        else:
            from streamlit_image_comparison import image_comparison

            item = st.selectbox("Result", done, format_func=lambda i: space["runs"][i]["title"], key="classic.item")
            a, b = (small_copy(i) for i in (space["picture"], item))
            # In memory: its folder of temporary files is one for all visitors.
            image_comparison(a, b, "Noisy", space["runs"][item]["title"], in_memory=True)


def small_copy(item: str) -> Image.Image:
    """At most ``CLASSIC_SIDE`` a side."""
    pixels = np.atleast_3d(services.store().display(item))
    copy = Image.fromarray(np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else np.array(pixels))
    copy.thumbnail((CLASSIC_SIDE, CLASSIC_SIDE))
    return copy


def save(space, right: str):
    """Download any result at full resolution, and its recipe: first the one that the viewer shows on the right."""
    done = finished(space)
    if not done:
        return
    pick, kind, get, how = st.columns([2, 1.5, 1.2, 1.2], vertical_alignment="bottom")
    key, own = f"save.{space['picture']}", f"save.own.{space['picture']}"

    def chosen_here():
        st.session_state[own] = st.session_state[key] != right

    kept = st.session_state.get(key)
    if kept not in done or not st.session_state.get(own):  # else another was chosen here, and stays
        st.session_state[key] = next(item for item in (right, kept, done[0]) if item in done)
        st.session_state[own] = False
    titles = {item: space["runs"][item]["title"] for item in done}
    item = pick.selectbox("Save", done, format_func=titles.get, key=key, on_change=chosen_here)
    kinds = list(routes.FORMATS)
    format = kind.selectbox("As", kinds, kinds.index(services.lossless(item)), lambda k: routes.FORMATS[k][0])
    get.link_button("Download", at(f"/download/{item}.{format}"), icon=":material/download:", width="stretch")
    how.link_button(
        "Recipe",
        at(f"/download/{item}.json"),
        icon=":material/receipt_long:",
        width="stretch",
        help="A small file that repeats this result exactly: python -m denoisers denoise --recipe",
    )
