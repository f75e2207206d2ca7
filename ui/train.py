"""The parts of the Train page: what somebody has, the recipe that follows from it, and what it will take."""

import io
import json
import math
import os
import re
import zipfile
from pathlib import Path

import streamlit as st

import denoisers
from denoisers import images
from denoisers.errors import DataError, DenoiserError
from denoisers.jobs import Jobs
from denoisers.noise.models import SHARES
from denoisers.training import folders
from denoisers.training import recipe as recipes
from denoisers.training.survey import Survey, survey
from denoisers.weights import catalogue

from . import browser, compare, jobs, samples, services

NETWORKS = ("drunet", "pridnet", "rednet", "mwcnn", "invdn", "adnet")
PRESETS = {  # preset -> (title, what it is for, methods, the best first)
    "pairs": (
        "Pairs: every scene noisy and clean",
        "The surest way. Shoot each scene twice from a tripod, once at high and once at low ISO.",
        NETWORKS,
    ),
    "noisy": (
        "Noisy pictures only",
        "No clean ones to be had. Works where the noise of one pixel says nothing about its neighbour's.",
        ("noise2same", "noise2same_pro", "noise2noise"),
    ),
    "one": (
        "One noisy picture",
        "The network learns from this picture alone, for pictures like it.",
        ("noise2same", "noise2same_pro"),
    ),
    "described": (
        "Clean pictures, and noise I describe",
        "Noise is made anew on every crop. Good as long as it is like the noise you will meet.",
        (*NETWORKS, "noise2noise"),
    ),
}
SOURCES = {"samples": "Built-in samples", "upload": "Upload", "compare": "Open in Compare", "folder": "On the server"}
SIZES = {"Published": 0, "Full": 1, "Half": 2, "Quarter": 4}
"""What the widths are divided by; 0: the size, crops and rate that the recipe names for a GPU."""
LENGTHS = {  # minutes -> words
    1: "1 minute",
    2: "2 minutes",
    10: "10 minutes",
    30: "30 minutes",
    60: "1 hour",
    180: "3 hours",
    480: "8 hours",
    1440: "1 day",
}
LOSSES = {
    "impulse": "annealed_l0",
    "salt_and_pepper": "annealed_l0",
    "text": "l1",
    "watermark": "l1",
    "bernoulli": "masked_l2",
}
"""What Noise2Noise minimises: the mean of the noisy targets is clean for most noise, for these it is not."""
FINE_TUNING = 0.25
"""Share of the recipe's learning rate where the training begins with weights that are good already."""
PARTS = 3
"""A single picture is cut into so many parts each way, one of which is held back."""
VALIDATIONS = 30
TAG = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")


def preset(form: dict):
    """What somebody has."""
    st.markdown("##### 1 · What do you have?")
    titles = {name: title for name, (title, *_) in PRESETS.items()}
    hints = [hint for _, hint, _ in PRESETS.values()]
    form["preset"] = pick(st.radio, "What do you have?", titles, form.get("preset"), "preset", captions=hints)


def pick(widget, label: str, options: dict, kept, key: str, **more):
    """A choice among ``options`` (value -> words) that starts with what was ``kept``."""
    values = list(options)
    index = values.index(kept) if kept in values else 0
    key = f"train.{key}"
    more = {"label_visibility": "collapsed"} | more
    if widget is st.segmented_control:
        more |= {"default": values[index], "required": True}
    elif widget is st.select_slider:
        more |= {"value": values[index]}
    else:
        more |= {"index": index}
    return widget(label, values, format_func=options.get, key=key, **more)


# The pictures


def pictures(mine: Jobs, space, form: dict) -> Path | None:
    """Where the pictures lie; None while there are none. What is wrong with what was given stands beside it."""
    st.markdown("##### 2 · Pictures to learn from")
    offered = ["samples", "upload"]
    picture = space["picture"]
    offered += ["compare"] if form["preset"] == "one" and picture and picture in services.store() else []
    offered += ["folder"] if mine.settings.folders else []
    options = {name: SOURCES[name] for name in offered}
    form["source"] = pick(st.segmented_control, "From", options, form.get("source"), f"source.{len(offered)}")
    try:
        return {"samples": builtin, "upload": uploaded, "compare": opened, "folder": on_server}[form["source"]](
            mine, space, form
        )
    except DenoiserError as error:
        explain(str(error))
        return None


def explain(error: str):
    """An error beside its widget; a long one is folded after its first sentence."""
    head, _, rest = error.partition("\n")
    st.error(compare.escape(head, 500), icon=":material/error:")
    if rest:
        with st.expander("More about it"):
            st.text(rest)


def unpacked(mine: Jobs, data: bytes, key: str) -> Path:
    """The folder of a zip, unpacked once for this session."""
    known = st.session_state.setdefault("unpacked", {})
    if key not in known or not known[key].exists():
        known[key] = mine.upload(io.BytesIO(data))
    return known[key]


def builtin(mine, space, form):
    kind = form["preset"]
    st.caption(f"Small pictures of scikit-image's, noise of {samples.LEVEL} of 255 added where it is needed.")
    with st.spinner("Making the samples…"):
        return unpacked(
            mine, parts(samples.lesson(), "sample.png") if kind == "one" else lessons(kind), f"lessons.{kind}"
        )


@st.cache_data(show_spinner=False)
def lessons(kind: str) -> bytes:
    noise = {"pairs": "camera", "noisy": "gaussian", "described": None}[kind]
    return samples.lessons(noise, clean=kind != "noisy")


def uploaded(mine, space, form):
    one, help = form["preset"] == "one", None
    if form["preset"] == "pairs":
        help = folders.LAYOUTS
    label = "A noisy picture" if one else "A zip of pictures"
    file = browser.file_uploader(label, compare.TYPES if one else "zip", f"train.file.{one}", help=help)
    kept = form.get("upload")  # of before a reload, of the same kind
    if file is None:
        if kept and kept["one"] == one and Path(kept["path"]).exists():
            st.caption(f"In use: {compare.escape(kept['name'])}")
            return Path(kept["path"])
        if form["preset"] == "pairs":
            st.caption("Name them so that partners are found, for example noisy/cat.png and clean/cat.png.")
        return None
    data = file.getvalue()
    with st.spinner("Unpacking…"):
        folder = unpacked(mine, parts(data, file.name) if one else data, f"{one}.{file.file_id}")
    form["upload"] = {"name": file.name, "path": str(folder), "one": one}
    return folder


def opened(mine, space, form):
    info = services.store().info(space["picture"])
    st.caption(f"{compare.escape(info['name'])}, {info['width']} × {info['height']} pixels.")
    pixels = services.store().pixels(space["picture"])
    return unpacked(mine, parts(images.encode(pixels, "PNG", bits=16), info["name"]), f"item.{space['picture']}")


def on_server(mine, space, form):
    given = jobs.server_folder(mine, "train.folder", form.get("folder"))
    if given:
        form["folder"] = given
        return mine.settings.confine(given)


def parts(data: bytes, name: str) -> bytes:
    """A picture cut into parts, a zip: one of them can be held back. ImageError, or DataError if it is too small."""
    picture = images.read(data, name=name)
    pixels, bits = picture.pixels, 16 if picture.bits > 8 else 8
    height, width = pixels.shape[:2]
    least = recipe_of("noise2same").data.crop[0]
    rows, columns = (min(PARTS, side // least) for side in (height, width))
    if not rows or not columns:
        raise DataError(f"{name} has {width} × {height} pixels; a training needs at least {least} × {least}.")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(rows * columns):
            (top, bottom), (left, right) = (
                (side * at // count, side * (at + 1) // count)
                for side, at, count in ((height, i // columns, rows), (width, i % columns, columns))
            )
            part = images.encode(pixels[top:bottom, left:right], "PNG", bits=bits)
            archive.writestr(f"part_{i + 1}.png", part)
    return out.getvalue()


# The network


def network(mine: Jobs, form: dict, folder: Path | None):
    """The method, the noise where it is described, and the size."""
    st.markdown("##### 3 · Network")
    names = PRESETS[form["preset"]][2]
    if form["preset"] == "noisy" and not (folder and len(folders.noisy_pairs(folder, least=0))):
        names = tuple(name for name in names if name != "noise2noise")  # needs two shots of a scene
    specs = {name: denoisers.registry.method(name).SPEC for name in names}
    titles = {name: spec.title for name, spec in specs.items()}
    form["method"] = pick(st.selectbox, "Network", titles, form.get("method"), f"method.{form['preset']}.{len(names)}")
    st.caption(specs[form["method"]].good_for)
    if form["preset"] == "described":
        noise(form)
    gpu = bool(mine.settings.gpus or mine.settings.ray_gpus)
    form["size"] = pick(
        st.segmented_control,
        "Size",
        {name: name for name in SIZES if gpu or SIZES[name]},
        form.get("size", "Full"),
        f"size.{gpu}",
        label_visibility="visible",
        help="Half the width is about four times as fast, and a little worse."
        + " Published is what the authors trained, on a GPU." * gpu,
    )
    if start := beginning(form):
        form["warm"] = st.toggle(
            "Begin with Grainwise's weights",
            form.get("warm", True),
            key="train.warm",
            help=f"Goes on from {start}: far quicker than from nothing. Only for a network of full size.",
        )


def noise(form: dict):
    """The noise that is made: its kind and the range of its level."""
    form["noise"] = pick(
        st.selectbox, "Noise", compare.NOISES, form.get("noise", "camera"), "noise", label_visibility="visible"
    )
    share = form["noise"] in SHARES
    low, high = form.get("levels", {}).get(str(share), (10, 70) if share else (5, 45))
    title = "Share, from and to (%)" if share else "Level, from and to (of 255)"
    help = "Every crop gets a level drawn from this range. A wide range makes a network for many cases."
    chosen = st.slider(title, 1, 95 if share else 100, (low, high), key=f"train.level.{share}", help=help)
    form["levels"] = form.get("levels", {}) | {str(share): list(chosen)}


def length(form: dict, hours: float):
    """How long, and under which name."""
    st.markdown("##### 4 · How long?")
    lengths = {m: words for m, words in LENGTHS.items() if m <= 60 * hours} or {60 * hours: "as long as it may"}
    kept = form.get("minutes", 10)
    form["minutes"] = pick(st.select_slider, "How long?", lengths, kept, "minutes")
    form["tag"] = st.text_input(
        "Name of the model", form.get("tag", "mine"), 31, key="train.tag", help="Small letters, digits, - and _."
    )
    if not TAG.fullmatch(form["tag"]):
        st.error("The name must be small letters, digits, - and _, and begin with a letter or digit.")


def advanced(form: dict):
    """What the recipe says and few will change."""
    given = recipe_of(form["method"], form.get("noise"), form["size"])
    warm = begins_with(form) is not None
    key = f"train.{form['preset']}.{form['method']}.{warm}.{not SIZES[form['size']]}"
    kept = form.get("advanced", {}).get(key, {})
    rate = given.optimiser.lr * (FINE_TUNING if warm else 1)
    with st.expander("Advanced", icon=":material/tune:"):
        a, b, c = st.columns(3)
        answer = {
            "lr": a.number_input("Learning rate", 1e-6, 1e-1, kept.get("lr", rate), rate / 4, "%.1e", key=f"{key}.lr"),
            "crop": b.number_input(
                "Crop (pixels)", 32, 512, kept.get("crop", given.data.crop[0]), 32, key=f"{key}.crop"
            ),
            "batch": c.number_input("Crops a step", 1, 256, kept.get("batch", given.data.batch), key=f"{key}.batch"),
        }
    form["advanced"] = {key: answer}
    return answer


# The recipe


def recipe_of(method: str, noise: str | None = None, size: str = "Full") -> recipes.Recipe:
    """The recipe that comes with Grainwise for a method, that for the noise where there are several."""
    names = [name for name in recipes.names() if name.startswith(f"{method}.")]
    wanted = {"gaussian": "awgn"}.get(noise, noise)
    fit = [name for name in names if name in (f"{method}.{wanted}", f"{method}.{noise}")]
    found = recipes.load((fit or sorted(names, key=lambda name: "camera" not in name))[0])
    return found.on("cpu" if SIZES[size] else "cuda")


def shrunk(network: dict, factor: int) -> dict:
    """A network's arguments with all widths divided, down to 8 channels; by 0: as they are."""

    def narrow(width):
        return (
            [narrow(w) for w in width]
            if isinstance(width, list | tuple)
            else max(8, width // factor)
            if factor
            else width
        )

    return {k: narrow(v) if k in ("width", "widths", "features") else v for k, v in network.items()}


def beginning(form: dict) -> str | None:
    """The catalogue's weights that a network of full size can begin with."""
    if form["preset"] not in ("pairs", "described") or SIZES[form["size"]] > 1:
        return None
    given = recipe_of(form["method"], form.get("noise"), form["size"])
    ours = catalogue().get(form["method"], {})
    for tag in sorted(ours, key=lambda tag: tag != given.tag):  # for the same noise, if there are any
        known = {"architecture": ours[tag]["architecture"]} | ours[tag]["arguments"]
        if json.dumps(known, sort_keys=True) == json.dumps(given.network, sort_keys=True):
            return f"{form['method']}.{tag}"
    return None


def begins_with(form: dict) -> str | None:
    """The weights that the training begins with: those it can, unless that was switched off."""
    return beginning(form) if form.get("warm", True) else None


def recipe(form: dict, advanced: dict, steps: int) -> recipes.Recipe:
    """The recipe that a form describes; ``steps`` are about how many there will be."""
    kind, described = form["preset"], form["preset"] == "described"
    given = recipe_of(form["method"], form.get("noise") if described else None, form["size"]).model_dump()
    shots = kind == "noisy" and form["method"] == "noise2noise"
    entry = {"pairs": "pairs", "described": "clean", "one": "noisy", "noisy": "noisy_pairs" if shots else "noisy"}[kind]
    standard = {name: given["data"][name] for name in ("standardise", "sigma_jitter", "grey")}
    data = {entry: ["."], "crop": [advanced["crop"]], "batch": advanced["batch"]} | standard
    facts = given | {"tag": form["tag"], "start": begins_with(form), "data": data}
    facts["network"] = shrunk(given["network"], SIZES[form["size"]])
    facts["optimiser"] = given["optimiser"] | {"lr": advanced["lr"]}
    schedule = {"steps": 10**8, "validate_every": max(10, math.ceil(steps / VALIDATIONS))}  # the time ends it
    facts["schedule"] = given["schedule"] | schedule | {"warmup": min(given["schedule"]["warmup"], steps // 20)}
    facts["title"] = PRESETS[kind][0]
    if described:
        share = form["noise"] in SHARES
        low, high = (value / 100 if share else value for value in form["levels"][str(share)])
        facts["noise"] = {"model": form["noise"], "low": low, "high": high}
        facts["title"] = f"{compare.NOISES[form['noise']]}, {low:g} to {high:g}" + " of 255" * (not share)
        if form["method"] == "noise2noise":
            facts["objective"] = {"name": "noise2noise", "loss": LOSSES.get(form["noise"], "l2")}
    return recipes.parse(facts)


# What it will take


@st.cache_data(max_entries=256, show_spinner=False)
def cost(facts: str):
    """Seconds a step and bytes of a recipe here; ``facts``, JSON: what of it they depend on."""
    from denoisers.training.estimate import try_step

    return try_step(recipes.parse(json.loads(facts)))


@st.cache_data(max_entries=64, ttl=60, show_spinner=False)
def looked_over(facts: str, folder: str) -> Survey:
    return survey(recipes.parse(json.loads(facts)), folder)


def summary(mine: Jobs, form: dict, advanced: dict, folder: Path | None):
    """What will be trained on, for how long, with how much memory; and the button that starts it, once all is well."""
    st.markdown("##### What happens")
    if folder is None:
        st.caption("Give some pictures first.")
        st.button("Start training", type="primary", width="stretch", disabled=True, icon=":material/play_arrow:")
        return
    try:
        plain = recipe(form | {"tag": "any"}, advanced, 1)
        found = looked_over(plain.model_dump_json(), str(folder))
        with st.spinner("Timing a step of this network…"):
            price = cost(plain.model_copy(update={"start": None}).model_dump_json())
    except DenoiserError as error:
        explain(str(error))
        return
    steps = max(1, round(60 * form["minutes"] / price.seconds))
    memory = price.bytes + min(3 * found.pixels, folders.available_memory() // 2)
    free = folders.available_memory()
    what = {"pairs": "pairs", "noisy": "pictures", "one": "parts of the picture", "described": "clean pictures"}
    scenes, kept = f"{found.scenes} scenes, {found.pixels / 1e6:.1f} megapixels.", ""
    if found.held_back:
        kept = f" {found.held_back} held back, to see how good it gets."
    st.markdown(f"**{found.examples} {what[form['preset']]}** of {scenes}{kept}")
    if found.scenes == 1:
        st.warning("All of one scene: nothing can be held back, so nobody will see how good it gets.")
    if found.problems:
        files = "1 file" if len(found.problems) == 1 else f"{len(found.problems)} files"
        with st.expander(f"{files} will be left out", icon=":material/rule:"):
            jobs.problems([{"path": str(p.path), "reason": p.reason} for p in found.problems])
    a, b, c = st.columns([1.2, 1, 1])
    a.metric("Time", LENGTHS.get(form["minutes"], f"{form['minutes']:g} minutes").replace("minutes", "min"))
    timed = "About so many, timed on this server just now."
    b.metric("Steps", f"{steps:,}" if steps < 1e5 else f"{steps:.1e}", help=timed)
    c.metric("Memory", f"{memory / 1e9:.1f} GB", help=f"About; {free / 1e9:.1f} GB are free here now.")
    ahead = sum(not job.finished and job.state != "paused" for job in mine.list())
    if ahead:
        st.caption(f"{ahead} job{'s' * (ahead > 1)} before it; it starts when there is room.")
    ready = bool(TAG.fullmatch(form["tag"]))
    if memory > free and not mine.settings.ray:
        st.error(
            f"This needs about {memory / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free here. "
            "Choose a smaller network, smaller crops, or fewer a step."
        )
        ready = False
    if st.button("Start training", type="primary", width="stretch", disabled=not ready, icon=":material/play_arrow:"):
        start(mine, form, recipe(form, advanced, steps), folder)


def start(mine: Jobs, form: dict, what: recipes.Recipe, folder: Path):
    """Queue the training and go to the Jobs page; or say what is against it."""
    spec = {"recipe": what.model_dump(mode="json", exclude_none=True), "data": str(folder)}
    # One core is left to the app, so that its pages answer at once.
    spec |= {"minutes": form["minutes"], "threads": max(1, ((os.cpu_count() or 1) - 1) // mine.settings.cpu)}
    try:
        job = mine.submit("train", spec)
    except DenoiserError as error:
        explain(str(error))
    else:
        st.switch_page(jobs.PAGES / "jobs.py", query_params={"w": st.query_params["w"], "job": job.id})
