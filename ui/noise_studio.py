"""The parts of the Noise studio page, each a function of the workspace."""

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

import denoisers
from denoisers import images, metrics
from denoisers import weights as weight_files
from denoisers.errors import DenoiserError
from denoisers.methods import invdn
from denoisers.own_weights import SUFFIXES, is_file
from denoisers.spec import SEED

from . import browser, compare, forms, noise_work, samples, services
from .addresses import at
from .noise_work import Job, Subject, Window
from .store import frame_id
from .viewer import comparison_viewer

COMPARE = Path(__file__).parent.parent / "pages" / "compare.py"
LONG = 90  # seconds: a whole picture that takes longer waits to be asked for
BRANCHES = {
    "restore": ":material/auto_fix_high: Restore it",
    "generate": ":material/grain: Make more noise like it",
    "camera": ":material/photo_camera: Noise for a clean picture",
}
FACTORS = [0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0]
DEFAULTS = {
    "weights": None,
    "branch": "restore",
    "samples": 8,
    "temperature": 1.0,
    "seed": 0,
    "strength": 1.0,  # of the noise that is there
    "generate.seed": 0,
    "count": 8,
    "clean": None,  # which clean picture gets the camera's noise
    "own": None,  # the visitor's own, if it is that
    "set": None,  # the set of pictures that was asked for
    "factor": 1.0,
    "camera.seed": 0,
    "kept": {},  # branch -> item that it shows, so that the store keeps it
}
CAMERA = {  # parameter of the camera -> (title, how it reads, explanation)
    "shot": ("Photon noise", "{:.2g}", "Variance for each unit of light: it makes bright parts noisier."),
    "read": ("Read noise", "{:.2g}", "Variance in the dark, from the sensor's electronics."),
    "grain": ("Smoothing of the grain", "{:.2f} px", "How far the brightness of the grain spreads over neighbours."),
    "blotch": (
        "Smoothing of colour",
        "{:.2f} px",
        "How far the colour of the grain spreads: blotches.",
    ),
    "correction": ("Sharpness of demosaicking", "{:.2f}", "0 is bilinear, 1 the full gradient correction."),
    "tone": (
        "Tone curve",
        "{:.2f}",
        "Share of an S-shaped curve: it moves noise to the middle tones.",
    ),
    "red": ("White balance, red", "× {:.2f}", "Gain of red over green; it multiplies red's noise as well."),
    "blue": ("White balance, blue", "× {:.2f}", "Gain of blue over green."),
    "saturation": ("Colour matrix", "{:.2f}", "How much the camera strengthens colours, and the noise's with them."),
}
INTRO = (
    "InvDN is a network that runs both ways. It turns a noisy picture into a small clean one and a *latent*: the rest, "
    "detail and noise together. Nothing is lost. Put together again with another latent, it becomes a restored "
    "picture, or a new noisy one."
)


def settings(space) -> dict:
    return DEFAULTS | space["studio"]


def remember(space, **changes):
    space.update(studio=space["studio"] | changes)


# The picture and the network


def welcome(space):
    compare.welcome(space, "See what noise is made of", INTRO)


def head(space) -> str | None:
    """The picture's name and the ways to another picture and another network. Returns the weights: a tag of the
    catalogue or a visitor's file; None if there are none."""
    spec, files = denoisers.spec("invdn"), space["files"].get("invdn", [])
    with st.container(horizontal=True, vertical_alignment="center"):
        name = services.store().info(space["picture"])["name"]
        st.markdown(f"#### {compare.escape(name)}", width="stretch")
        # A new key for a new file closes it.
        title = "Network" if spec.weights or files else "Open a network"
        with st.popover(title, icon=":material/hub:", key=f"network-{len(files)}"):
            pick = forms.weights_form(spec, settings(space)["weights"], "studio", files)
            remember(space, weights=pick)
            if pick:
                st.caption(about(pick))
            own_weights(space)
        with st.popover("Change picture", icon=":material/swap_horiz:", key=f"change-{space['picture']}"):
            compare.open_picture(space)
    short = " The weights here had a short training: others on Compare may restore better."
    st.caption(INTRO + short * (pick in spec.weights))
    try:
        if pick:
            _ = services.model("invdn", pick, services.devices()[0]).network  # a missing or damaged file is told here
    except DenoiserError as error:
        st.error(compare.escape(str(error), 400), icon=":material/error:")
        return None
    return pick


def about(pick: str) -> str:
    """What is known of the weights."""
    if is_file(pick):
        return "Your own file. What it was trained on is not in it."
    facts = weight_files.entry("invdn", pick)[1]
    words = f"Trained on: {facts['noise']}. {facts['minutes']} minutes of training on {facts['device']}"
    held = f"; {facts['validation']}" if "validation" in facts else ""
    return f"{words}{held}. Published trainings took some 18 hours on four GPUs."


def own_weights(space):
    """A visitor's own InvDN."""
    count = len(space["files"].get("invdn", []))
    help = "A file of Grainwise's Train page, or one of the authors' code. Nothing in it is run."
    upload = browser.file_uploader("An InvDN of your own", [s[1:] for s in SUFFIXES], f"studio.file.{count}", help=help)
    if upload is None:
        return
    try:
        path = services.store().put_weights(upload.getvalue(), upload.name)
        method = services.store().info(Path(path).parent.name)["method"]
    except DenoiserError as error:
        st.error(compare.escape(str(error), 400), icon=":material/error:")
        return
    if method != "invdn":
        name = compare.escape(upload.name)
        st.error(f"{name} holds the network of {method}, not an InvDN. The Compare page can use it.")
        return
    st.session_state.pop("studio.weights", None)
    space.update(files=space.with_file("invdn", path), studio=space["studio"] | {"weights": path})
    st.rerun()


def no_weights():
    """Says what to do; returns where progress goes."""
    st.info(
        "Taking a picture apart needs a trained InvDN, and there is none here yet. Open a weight file of yours with "
        "**Open a network** above, or train one on the **Train** page with the recipe *invdn.camera*. **Noise for a "
        "clean picture** works without it.",
        icon=":material/hub:",
    )
    return st.container(key="progress")


# Whole pictures, through the queue


@dataclass(frozen=True)
class Asked:
    """A job that a part of the page wants done. A long one waits for a click; one that ``stays`` is not given up when
    the visitor turns to something else."""

    job: Job
    seconds: float = 0.0
    stays: bool = False

    @property
    def task(self):
        return services.queue(services.devices()[0]).get(self.job.id)

    @property
    def active(self) -> bool:
        return self.task is not None and self.task.active

    @property
    def failed(self) -> bool:
        return self.task is not None and self.task.state == "failed"

    @property
    def waits(self) -> bool:
        """Whether it is for the visitor to start it."""
        return not self.active and (self.failed or self.seconds > LONG or self.job.id in stopped())

    def start(self):
        if self.job.id not in services.store():  # it may have ended since the page asked
            services.queue(services.devices()[0]).submit(self.job.id, self.job.title, self.job.work)

    def give_up(self):
        services.queue(services.devices()[0]).cancel(self.job.id)


def stopped() -> set:
    """Jobs that the visitor has cancelled."""
    return st.session_state.setdefault("studio.stopped", set())


def ask(space, asked: dict, part: str, job: Job, seconds: float = 0.0, stays: bool = False) -> dict | None:
    """What is known of a job's result; None if it is not there: ``progress`` then sees to it.

    What this part of the page asked before is given up at once, so that a window need not share the processor.
    """
    former = st.session_state.setdefault("studio.former", {}).get(part)
    if former and former.job.id != job.id:
        former.give_up()
    if services.store().hold(job.id):
        kept = settings(space)["kept"] | {part: job.id}
        remember(space, kept=kept)
        return services.store().info(job.id)
    asked[part] = Asked(job, seconds, stays)
    return None


def progress(asked: dict):
    """Starts what was asked for and is not there, and draws a line for each; gives up what is no longer asked for."""
    former = st.session_state.get("studio.former", {})
    for part, one in former.items():
        if part not in asked and not one.stays:
            one.give_up()
    st.session_state["studio.former"] = {part: one for part, one in former.items() if one.stays} | asked
    if not asked:
        return
    running = [one for one in asked.values() if not one.waits]
    for one in running:
        one.start()

    @st.fragment(run_every=0.5 if running else None)
    def lines():
        for one in asked.values():
            line(one)
        if not all(one.active for one in running):  # a quick one has ended by now
            st.rerun()

    lines()


def line(one: Asked):
    """One job without a result."""
    job, task = one.job, one.task
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        place = st.container()
        if one.active:
            seconds = one.seconds if task.remaining is None else task.remaining
            if not job.passes:  # nothing tells how far it is
                place.markdown(f":material/hourglass_top: {job.title}…")
                return
            if task.state == "waiting":
                where = max(1, services.queue(services.devices()[0]).place(task))
                place.markdown(f":material/hourglass_top: {job.title}: number {where} in the queue")
            else:
                left = f", {compare.duration(seconds)} to go" if seconds > compare.LONG else ""
                place.progress(task.fraction, f"{job.title}: {task.fraction:.0%}{left}")
            st.button("Cancel", key=f"cancel.{job.id}", on_click=cancel, args=(one,))
            return
        if one.failed:
            place.error(compare.escape(task.error, 400))
        elif job.id in stopped():
            place.caption(f"{job.title}: cancelled.")
        elif one.waits:
            place.caption(f"{job.title} takes {compare.duration(one.seconds)}.")
        if one.waits:
            label = "Try again" if one.failed else "Run again" if job.id in stopped() else "Start"
            if st.button(label, key=f"start.{job.id}"):
                stopped().discard(job.id)
                one.start()
                st.rerun()


def cancel(one: Asked):
    stopped().add(one.job.id)
    one.give_up()


# What is inside the picture


def subject(space, weights: str) -> Subject:
    return Subject(space["picture"], space["reference"], weights, services.devices()[0])


def seconds(subject: Subject, job: Job) -> float:
    """How long a job takes, roughly."""
    info = services.store().info(subject.picture)
    return job.passes * info["width"] * info["height"] / 1e6 * noise_work.pace(subject.weights, subject.device)


def inside(space, subject: Subject, asked: dict):
    """The picture = a small clean one + a latent."""
    job = noise_work.looking(subject)
    found = ask(space, asked, "inside", job, seconds(subject, job))
    picture, low, latent, chart = st.columns([1, 1, 1.15, 1.25], gap="medium")
    info = services.store().info(subject.picture)
    with picture:
        st.subheader("Your picture", anchor=False)
        thumbnail(subject.picture, "The picture")
        st.caption(f"{info['width']} × {info['height']} pixels")
    coming = "Being taken apart…"
    with low:
        help = "What InvDN keeps when it restores. It has little noise, as each of its pixels draws on many."
        st.subheader("= a small clean one", anchor=False, help=help)
        if found:
            thumbnail(job.id, "The low-resolution clean picture", found["width"])
        st.caption(
            f"{found['width']} × {found['height']} pixels, one for {found['cell']} of yours" if found else coming
        )
    with latent:
        help = (
            "All that the small picture lacks: edges, texture, and the noise. InvDN does not tell them apart; to "
            "restore, it throws all of it away and draws afresh."
        )
        st.subheader("+ a latent", anchor=False, help=help)
        if found:
            thumbnail(frame_id(job.id, 0), "The bands of the latent")
            st.caption(f"{found['bands']} bands, each as large as the small picture; grey is zero.")
    with chart:
        if found:
            latent_chart(found)
    if found and latent.toggle("Look closer", key="studio.closer"):
        height, width = found["sheet"]
        sheet = {"id": frame_id(job.id, 0), "title": "The bands of the latent", "width": width, "height": height}
        comparison_viewer([sheet], key="studio.bands", height=480, storage=job.id)


def thumbnail(item: str, words: str, width: int | None = None):
    """A picture fitted into the column, from the tile that holds all of it; no wider than four times ``width``."""
    most = f"{4 * width}px" if width else "100%"
    address = at(f"/tiles/{item}/0/0_0.png")
    st.html(
        f'<img src="{address}" alt="{words}" style="width: min(100%, {most}); max-height: 220px; '
        'object-fit: contain; object-position: left top; image-rendering: pixelated">'
    )


def latent_chart(found: dict):
    """The latent's histogram against the normal curve."""
    normal = [math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) for x in found["centres"]]
    figure = go.Figure()
    figure.add_bar(x=found["centres"], y=found["density"], name="found in the picture", marker_line_width=0)
    figure.add_scatter(x=found["centres"], y=normal, name="normal curve")
    figure.update_layout(bargap=0, showlegend=True)
    draw(figure, "Values of the latent")
    st.caption(
        f"Spread {found['deviation']:.2f}; a fresh draw has 1.",
        help="Nothing in InvDN's training asks the latent that it finds to be normal. Only the draw that takes its "
        "place when restoring is: independent normal numbers of spread 1.",
    )


def draw(figure, title: str, x: str | None = None, y: str | None = None):
    """A chart in the page's manner."""
    figure.update_layout(
        colorway=st.get_option(f"theme.{st.context.theme.type or 'light'}.chartCategoricalColors"),
        title={"text": title, "font": {"size": 14}},
        height=300 if x else 240,
        margin={"l": 10, "r": 10, "t": 34, "b": 10},
        legend={"orientation": "h", "y": -0.35 if x else -0.15, "x": 0},
        xaxis_title=x,
        yaxis_title=y,
    )
    st.plotly_chart(figure, key=f"chart.{title}", config={"displayModeBar": False})


def choose_branch(space) -> str:
    kept = settings(space)["branch"]
    pick = st.segmented_control(
        "What to do with it",
        list(BRANCHES),
        format_func=BRANCHES.get,
        default=kept,
        key="studio.branch",
        required=True,
        label_visibility="collapsed",
        width="stretch",
    )
    remember(space, branch=pick)
    return pick


def look(space, layers: list, branch: str, newest: str):
    """The viewer; where the visitor looks is where the next window is cut."""
    view = comparison_viewer(
        layers,
        key=f"studio.{branch}",
        view={"left": layers[0]["id"], "right": newest},
        storage=f"{space.name}-{branch}-{layers[0]['id']}",
        follow=True,
    )
    st.session_state["studio.centre"] = view["centre"]


def window(subject: Subject, passes: int) -> Window:
    return Window.around(subject, st.session_state.get("studio.centre", [0.5, 0.5]), passes)


def layer(subject: Subject, item: str, title: str, **more) -> dict:
    info = services.store().info(subject.picture)
    return {"id": item, "title": title, "width": info["width"], "height": info["height"]} | more


def known(subject: Subject) -> list[dict]:
    """The layers that are there from the start."""
    layers = [layer(subject, subject.picture, "Noisy" if subject.reference else "Original")]
    if subject.reference:
        layers[0]["subtitle"] = decibels(subject.picture, subject.reference)
        layers.append(layer(subject, subject.reference, "Clean reference"))
    return layers


@st.cache_data(max_entries=256, show_spinner=False)
def decibels(item: str, reference: str) -> str:
    """PSNR alone, which is quick: SSIM would hold the page up for a quarter minute on 24 megapixels."""
    store = services.store()
    return f"{metrics.psnr(store.pixels(item), store.pixels(reference)):.2f} dB"


def only_a_window(window: Window):
    if not window.whole:
        st.caption("The bright part is ready; the rest is still to come.")


# Restore


def restore(space, subject: Subject, asked: dict):
    """Another latent, drawn at random, in place of the one found. Returns where progress goes."""
    now = settings(space)
    main, side = st.columns([2.6, 1], gap="medium")
    with side:
        st.markdown(
            "The latent is thrown away, noise and all. A fresh one is **drawn** in its place, and the network runs "
            "backwards. Each draw is another clean picture; their mean is the safest."
        )
        params = {}
        for param in invdn.SPEC.params:
            if param.name in ("samples", "temperature", "seed"):
                params[param.name] = forms.widget(param, now[param.name], f"studio.{param.name}")
        remember(space, **params)
    job = noise_work.restoring(subject, **params)
    found = ask(space, asked, "restore", job, seconds(subject, job))
    layers = known(subject)
    if found:
        if found["samples"]:
            titles = [{"id": frame_id(job.id, i + 1), "title": f"draw {i + 1}"} for i in range(found["samples"])]
            layers.append(layer(subject, f"{job.id}f", "Draws", frames=titles))
            layers.append(layer(subject, frame_id(job.id, 0), "Where the draws differ"))
        score = decibels(job.id, subject.reference) if subject.reference else ""
        layers.append(layer(subject, job.id, "Restored", subtitle=score))
    else:
        part = window(subject, min(params["samples"], noise_work.AHEAD))
        layers.append(layer(subject, part.show(job.id, part.restored(**params)), "Restored"))
    with main:
        look(space, layers, "restore", layers[-1]["id"])
        if found is None:
            only_a_window(part)
    with side:
        place = st.container(key="progress", gap="small")
        if found:
            about_restored(space, subject, job.id, found, params)
    return place


def about_restored(space, subject: Subject, item: str, found: dict, params: dict):
    if found["samples"]:
        st.caption(
            f"Draws differ by {255 * found['std']:.1f} of 255 on average. Pick *Draws* in the viewer and play them to "
            f"see what is made up. *Where the draws differ* is amber where they do more than in half of the picture, "
            f"at most by {255 * found['amber']:.1f}.",
        )
    if len(found["psnr"]) > 1:
        counts = list(range(1, len(found["psnr"]) + 1))
        figure = go.Figure(go.Scatter(x=counts, y=found["psnr"], mode="lines+markers"))
        draw(figure, "More draws, nearer to the clean picture?", "draws in the mean", "PSNR (dB)")
    with st.container(horizontal=True):
        st.link_button("Download", at(f"/download/{item}.{services.lossless(item)}"), icon=":material/download:")
        help = "Puts InvDN with these settings beside the other denoisers."
        if st.button("Compare with others", icon=":material/compare:", help=help):
            run = {"weights": subject.weights, "params": {"strength": 1.0} | params}
            compare.start(space, {"invdn": run}, subject.device)
            to_compare(space)


def to_compare(space):
    st.switch_page(COMPARE, query_params={"w": space.name})


# Generate


def generate(space, subject: Subject, asked: dict):
    """The latent that was found, nudged: another noisy picture of the scene. Returns where progress goes."""
    now = settings(space)
    main, side = st.columns([2.6, 1], gap="medium")
    with side:
        st.markdown(
            "The latent is kept and **nudged** at random: another noisy picture of the same scene. It starts from the "
            "noise that is there, so at strength 0 it is your picture again, and each step adds more."
        )
        help = (
            "How much noise is added, compared with the noise that is there: about as much at 1. How far the latent is "
            "moved for it depends on the network; for the authors' weights, 0.0002 times a normal number is published."
        )
        share = st.slider("Strength", 0.0, 2.0, now["strength"], 0.05, key="studio.strength", help=help)
        strength = float(f"{share * subject.unit:.4g}")
        st.caption(f"Latent + {strength:g} × N(0, I).")
        seed = forms.widget(SEED, now["generate.seed"], "studio.generate.seed")
        remember(space, strength=share, **{"generate.seed": seed})
    job = noise_work.generating(subject, strength, seed)
    found = ask(space, asked, "generate", job, seconds(subject, job))
    layers = known(subject)
    if found:
        layers.append(layer(subject, job.id, "Generated"))
        figures = found["noises"]
    else:
        part = window(subject, 2)
        made, figures = part.generated(strength, seed)
        layers.append(layer(subject, part.show(job.id, made), "Generated"))
    with main:
        look(space, layers, "generate", layers[-1]["id"])
        if found is None:
            only_a_window(part)
    with side:
        a_set(space, subject, asked, strength, seed)
        place = st.container(key="progress", gap="small")  # below the button, which would jump as lines come and go
    beside(figures, subject.reference is not None)
    return place


def a_set(space, subject: Subject, asked: dict, strength: float, seed: int):
    """Many generated pictures in one file."""
    now = settings(space)
    with st.container(border=True):
        help = (
            "PNG files named as the Train page finds them: NAME_noisy1, NAME_noisy2, ..., with NAME_clean if a clean "
            "reference is open, and recipe.json, which says how they were made. Each holds the noise of your picture "
            "too, so they are no independent shots."
        )
        st.markdown("**Training data**", help=help)
        count = st.slider("Pictures", 2, 64, now["count"], key="studio.count")
        remember(space, count=count)
        if st.button("Make the set", icon=":material/folder_zip:", width="stretch"):
            remember(space, set={"strength": strength, "count": count, "seed": seed, "of": subject.key})
        wanted = settings(space)["set"]
        if wanted is None or wanted["of"] != subject.key:
            return
        job = noise_work.set_of(subject, wanted["strength"], wanted["count"], wanted["seed"])
        ready = ask(space, asked, "set", job, seconds(subject, job), stays=True)
        if ready:
            words = f"{wanted['count']} pictures, strength {wanted['strength']:g}, {ready['bytes'] / 1e6:.1f} MB"
            link = at(f"/set/{job.id}.zip")
            st.link_button("Download the set", link, icon=":material/download:", width="stretch", type="primary")
            st.caption(words)


def beside(figures: dict | None, referenced: bool):
    """The generated noise beside the real one."""
    if figures is None:
        st.caption("This picture is too small to measure its noise.")
        return
    st.subheader("Is it the same noise?", anchor=False)
    st.caption(
        "Noise is the difference from the clean reference."
        if referenced
        else "Noise is the difference from what InvDN itself takes for clean, as there is no clean reference: whatever "
        "it blurs counts as noise as well. Open a reference below for a fair measure."
    )
    names = {"real": "your picture's", "generated": "the generated picture's", "added": "what was added"}
    shown = {name: title for name, title in names.items() if figures[name]["level"] > 0}
    columns = st.columns(4 if referenced else 3)
    for column, (name, title) in zip(columns, names.items(), strict=False):
        column.metric(f"Level, {title}", f"{figures[name]['level']:.1f} of 255")
    if referenced:
        help = (
            "Average Kullback-Leibler divergence of the generated noise's local variance from the real one's (Yue et "
            "al., 2020). 0 is alike; two draws of the same camera's noise are some 0.1 apart. InvDN has seen the "
            "noise that it is compared with, so a small value is no wonder at a small strength."
        )
        columns[3].metric("AKLD", f"{figures['akld']:.3f}", help=help)
    first, second = st.columns(2), st.columns(2)
    charts = (
        ("Histogram", "histogram", "of 255", "share", {}),
        ("Strength against brightness", "curve", "brightness, of 255", "level, of 255", {}),
        ("Correlation with neighbours", "lags", "distance, pixels", "correlation", {}),
        ("Power spectrum", "spectrum", "cycles a pixel", "power", {"yaxis_type": "log"}),
    )
    for column, (title, what, x, y, layout) in zip((*first, *second), charts, strict=True):
        figure = go.Figure(layout=layout)
        for name, words in shown.items():
            values = figures[name][what]
            across, up = (list(noise_work.DISTANCES), values) if what == "lags" else values
            figure.add_scatter(x=across, y=up, name=words)
        if what == "histogram":
            reach = max(5, 4 * max(figures[name]["level"] for name in shown)) if shown else 5
            figure.update_xaxes(range=[-reach, reach])
        with column:
            draw(figure, title, x, y)
    if figures["real"]["channels"]:
        table = {title: figures[name]["channels"] for name, title in shown.items()}
        frame = pd.DataFrame(table, index=["red and green", "red and blue", "green and blue"]).T
        st.dataframe(frame.style.format("{:.2f}"), width="stretch")
        st.caption("Correlation between the channels: 0 for independent grain, 1 for grey grain.")


# Noise for a clean picture


def camera(space, asked: dict):
    """The noise of the picture's camera on a clean picture. Returns where progress goes."""
    now = settings(space)
    main, side = st.columns([2.6, 1], gap="medium")
    with side:
        st.markdown(
            "InvDN cannot do this: it needs a noisy picture of the very scene to start from. A **model of the camera** "
            "can. Its settings are found from the noise in your picture's flat parts."
        )
        clean = choose_clean(space)
        help = "× 1 is as strong as in your picture."
        key = "studio.factor"
        factor = st.select_slider("Strength", FACTORS, now["factor"], "× {:g}".format, key=key, help=help)
        seed = forms.widget(SEED, now["camera.seed"], "studio.camera.seed")
        remember(space, factor=factor, **{"camera.seed": seed})
        place = st.container(key="progress", gap="small")
    fitted = ask(space, asked, "fit", noise_work.fitting(space["picture"]))
    if fitted:
        with side, st.expander(f"The camera that was found: {255 * fitted['level']:.1f} of 255 on grey"):
            rows = [(title, how.format(fitted["camera"][name]), why) for name, (title, how, why) in CAMERA.items()]
            st.dataframe(pd.DataFrame(rows, columns=["", "found", "what it is"]), hide_index=True)
    if clean is None:
        with main:
            st.info("Choose a clean picture on the right to put this noise on.", icon=":material/image:")
        return place
    made = None
    if fitted:
        job = noise_work.camera_on(fitted["camera"], clean, factor, seed)
        made = ask(space, asked, "camera", job)
    info = services.store().info(clean)
    size = {"width": info["width"], "height": info["height"]}
    layers = [{"id": clean, "title": "Clean"} | size]
    if made:
        layers.append({"id": job.id, "title": "With your camera's noise"} | size)
    with main:
        comparison_viewer(
            layers,
            key="studio.camera",
            view={"left": clean, "right": layers[-1]["id"]},
            storage=f"{space.name}-camera-{clean}",
        )
    with side:
        if made:
            with st.container(horizontal=True):
                st.link_button(
                    "Download", at(f"/download/{job.id}.{services.lossless(job.id)}"), icon=":material/download:"
                )
                help = (
                    "Opens the noisy picture there, scored against the clean one. It replaces the picture that is open."
                )
                if st.button("Open in Compare", icon=":material/compare:", help=help):
                    data = images.encode(services.store().pixels(job.id), "PNG", bits=16)
                    name = f"{info['name'].rsplit('.', 1)[0]}.camera-noise.png"
                    compare.take(space, services.store().put_upload(data, name), clean)
                    to_compare(space)
    return place


def choose_clean(space) -> str | None:
    """The clean picture: this one's reference, a sample, or an upload."""
    store, kept = services.store(), settings(space)["clean"]
    names = {title: f"Sample: {title}" for title in samples.SAMPLES}
    if space["reference"]:
        names = {"reference": "This picture's clean reference"} | names
    names["own"] = "A picture of yours"
    index = list(names).index(kept) if kept in names else 0
    pick = st.selectbox("A clean picture", list(names), index, names.get, key="studio.clean")
    remember(space, clean=pick)
    if pick == "reference":
        return space["reference"]
    if pick != "own":
        return store.put_upload(samples.png(pick), f"{pick}.png")
    upload = browser.file_uploader("A clean picture of yours", compare.TYPES, "studio.clean.file")
    if upload is not None:
        try:
            remember(space, own=store.put_upload(upload.getvalue(), upload.name))
        except DenoiserError as error:
            st.error(compare.escape(str(error), 400), icon=":material/error:")
    own = settings(space)["own"]
    return own if own and own in store else None
