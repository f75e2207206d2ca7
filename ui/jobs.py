"""The parts of the Jobs page: all jobs of a visitor at a glance, and one of them watched from near."""

import csv
import functools
import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

import denoisers
from denoisers import benchmark
from denoisers.errors import DenoiserError
from denoisers.jobs import Job, JobError, Jobs, NotAllowed, Status, Visitor, kinds
from denoisers.jobs.batch import working_folder
from denoisers.jobs.settings import from_environment
from denoisers.jobs.store import Store
from denoisers.metrics import PROTOCOL
from denoisers.own_weights import is_file
from denoisers.training import recipe as recipes

from . import browser, compare, forms, run_files, services
from .store import describe, digest
from .viewer import comparison_viewer

PAGES = Path(__file__).parent.parent / "pages"
"""Whole paths: Streamlit would look for others beside ui/main.py, the script it runs."""
STATES = {  # state -> (icon, colour, words), in the order they are listed
    "running": ("play_circle", "green", "Running"),
    "pausing": ("pause_circle", "orange", "Saving, then pausing"),
    "cancelling": ("cancel", "orange", "Ending"),
    "queued": ("hourglass_top", "blue", "Waiting"),
    "paused": ("pause_circle", "orange", "Paused"),
    "failed": ("error", "red", "Failed"),
    "done": ("check_circle", "green", "Done"),
    "cancelled": ("cancel", "gray", "Cancelled"),
}
NUMBERS = ("width", "height", "sigma_of_255", "psnr_before", "psnr", "ssim", "seconds")
"""Columns of a batch's table."""
FRAMES = 40
"""Most pictures on the timeline of a training."""
POINTS = 1000
"""Most points of a curve."""
LEVEL = {"dash": "dot", "width": 1.5, "color": "#888888"}
"""The line of a score to compare with."""

# Who asks


@functools.cache
def record(root: Path) -> Store:
    return Store(root / "jobs.sqlite")


def visitor() -> Visitor:
    # Not every provider tells an email address; the subject, its own name for the visitor, every one does. Streamlit
    # names no address for a browser on this machine.
    return Visitor(st.user.get("email") or st.user.get("sub"), st.context.ip_address or "127.0.0.1")


def asked() -> Jobs:
    """The visitor's jobs, which raise NotAllowed where there are none for them."""
    settings = from_environment()
    return Jobs(settings, visitor(), record(settings.root))


def mine() -> Jobs | None:
    """The visitor's jobs; None where there are none for them, and then the page says why."""
    settings, who = from_environment(), visitor()
    try:
        settings.admit(who)
    except NotAllowed as refusal:
        st.info(str(refusal), icon=":material/lock:")
        if settings.who == "signed-in":
            if st.secrets.load_if_toml_exists() and "auth" in st.secrets and find_spec("authlib"):
                st.button("Sign in", on_click=st.login, icon=":material/login:")
            else:
                st.caption("Whoever runs this app has yet to set signing in up: docs/jobs.md says how.")
        return None
    if who.user:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(f"Signed in as {compare.shorten(who.user)}", width="content")
            st.button("Sign out", on_click=st.logout, icon=":material/logout:", type="tertiary")
    return asked()


# All jobs


def board(jobs: Jobs, space, busy: bool):
    """All jobs on the left, the chosen one on the right. Redrawn by itself while it is ``busy``."""
    statuses = ordered(jobs.statuses())
    if any(not status.job.finished for status in statuses) != busy:
        st.rerun()  # the page decides whether the board redraws itself
    if refused := st.session_state.pop("job refused", None):
        st.error(compare.escape(refused, 600), icon=":material/error:")
    if not statuses:
        st.info("No jobs yet. Start one on the Train page, or denoise many pictures here.", icon=":material/inbox:")
        return
    by_id = {status.job.id: status for status in statuses}
    if "job" not in st.query_params:
        choose(statuses[0].job.id)  # and it stays this one when another comes first
    asked = st.query_params["job"]
    left, right = st.columns([1, 2.6], gap="medium")
    with left:
        listing(statuses, asked)
    with right:
        if asked not in by_id:
            st.warning(f"There is no job {compare.escape(asked)}; it may have been deleted.")
            return
        try:
            watch(jobs, space, by_id[asked])
        except JobError:  # deleted in another window just now
            st.rerun()


def ordered(statuses: list[Status]) -> list[Status]:
    """What works first, then the queue in its order, then the rest, the newest first."""
    places = {status.job.id: place for place, status in enumerate(statuses)}

    def key(status):
        job = status.job
        return list(STATES).index(job.state), places[job.id] if job.state == "queued" else -job.created

    return sorted(statuses, key=key)


def facts(status: Status) -> str:
    """One line: state, share, time left, speed."""
    job = status.job
    icon, colour, words = STATES[job.state]
    parts = [f":{colour}[:material/{icon}: {words}]"]
    if not status.watched:
        parts = [":orange[:material/visibility_off: Nobody watches it just now]"]
    if job.state not in ("queued", "done"):
        parts.append(f"{status.progress:.0%}")
    if job.active and status.seconds_left is not None:
        parts.append(f"{compare.duration(status.seconds_left)} left")
    if job.active and status.pictures_per_second:
        parts.append(f"{status.pictures_per_second:.3g} pictures a second")
    if job.finished and job.ran:
        parts.append(f"ran {compare.duration(job.ran)}, {datetime.fromtimestamp(job.created):%d %b %H:%M}")
    return " · ".join(parts)


def listing(statuses: list[Status], chosen: str):
    """A row a job; a click opens it."""
    for status in statuses:
        job = status.job
        with st.container(border=True, key=f"job-{job.id}", gap="xsmall"):
            kind = "primary" if job.id == chosen else "secondary"
            title = compare.escape(job.title, 60)
            st.button(title, key=f"open.{job.id}", type=kind, width="stretch", on_click=choose, args=(job.id,))
            st.caption(facts(status))
            if job.active or job.state == "paused":
                st.progress(min(1.0, status.progress))


def choose(id: str):
    st.query_params["job"] = id


# One job


@dataclass
class Told:
    """The events of a job, read on from where they were read up to."""

    offset: int = 0
    events: list[dict] = field(default_factory=list)

    def read_on(self, jobs: Jobs, id: str) -> list[dict]:
        """All events that still hold: a job that was killed begins again at a step it had passed, and what it told of
        later ones it will tell anew."""
        while True:
            fresh, offset = jobs.events(id, self.offset)
            if offset == self.offset:
                return self.events
            self.offset = offset
            for event in fresh:
                if event["event"] == "problem" and any(
                    (e["event"], e.get("path"), e.get("reason")) == ("problem", event["path"], event["reason"])
                    for e in self.events
                ):
                    continue  # a resumed job finds it again
                if event["event"] == "start" and "step" in event:
                    self.events = [e for e in self.events if e.get("step", 0) <= event["step"]]
                self.events.append(event)


def watch(jobs: Jobs, space, status: Status):
    """One job from near."""
    job = status.job
    told = st.session_state.get("told", {}).get(job.id) or Told()
    st.session_state["told"] = {job.id: told}  # of one job only: a day's training tells some 40 MB
    events = told.read_on(jobs, job.id)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"#### {compare.escape(job.title)}", width="content")
        actions(jobs, job)
    st.markdown(facts(status))
    if job.reason:
        (st.error if job.state == "failed" else st.info)(compare.escape(job.reason, 600))
    if job.state not in ("queued", "done"):
        st.progress(min(1.0, status.progress))
    if job.kind == "train":
        training(jobs, space, job, events)
    elif job.kind == "batch":
        pictures(jobs, job)
    elif (table := jobs.folder(job.id) / "results.json").exists():
        st.markdown(benchmark.markdown(benchmark.read(table)))
        with st.container(horizontal=True):
            if job.finished and st.button("Open on the Benchmark page", icon=":material/leaderboard:"):
                st.switch_page(PAGES / "benchmark.py", query_params={"w": space.name, "job": job.id})
            download("The table with every picture's scores", job, table.name, f"benchmark {job.id}.json")
    left_out = [event for event in events if event["event"] == "problem"]
    if left_out:
        files = "1 file was" if len(left_out) == 1 else f"{len(left_out)} files were"
        with st.expander(f"{files} left out", icon=":material/rule:"):
            problems(left_out)
    with st.expander("Log", icon=":material/terminal:"):
        log = kinds.tail(jobs.folder(job.id) / "log.txt").strip()
        st.code(log or "Nothing yet.", language=None, height=240, wrap_lines=True)


def problems(left_out: list[dict]):
    """Files and what is wrong with them, a row each."""
    rows = [{"File": Path(item["path"]).name, "Why": item["reason"]} for item in left_out]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")


def actions(jobs: Jobs, job: Job):
    """The buttons that a job's state allows."""
    with st.container(horizontal=True, width="content", gap="small"):
        if job.state in ("running", "queued"):
            button("Pause", "pause", lambda: jobs.pause(job.id), job)
        if job.state in ("paused", "failed"):
            button("Resume" if job.state == "paused" else "Try again", "play_arrow", lambda: jobs.resume(job.id), job)
        if job.state == "queued" and jobs.list()[0].id != job.id:
            button("Run next", "vertical_align_top", lambda: jobs.reorder(job.id, 0), job)
        if not job.finished and job.state != "cancelling":
            with st.popover("Cancel", icon=":material/stop:", key=f"cancel.{job.id}"):
                st.write(f"End *{compare.escape(job.title)}* for good? What it made so far is kept.")
                button("End it", "stop", lambda: jobs.cancel(job.id), job)
        button("Duplicate", "content_copy", lambda: choose(jobs.submit(job.kind, job.spec, job.priority).id), job)
        if not job.active:
            with st.popover("Delete", icon=":material/delete:", key=f"delete.{job.id}"):
                st.write(f"Remove *{compare.escape(job.title)}* and all it made?")
                button("Delete it", "delete", lambda: delete(jobs, job.id), job)


def delete(jobs: Jobs, id: str):
    jobs.delete(id)
    st.query_params.pop("job", None)


def button(label: str, icon: str, act, job: Job):
    """A button for one job, whose deed may be refused; then the page says why."""

    def deed():
        try:
            act()
        except DenoiserError as error:
            st.session_state["job refused"] = str(error)

    st.button(label, icon=f":material/{icon}:", on_click=deed, key=f"act.{label}.{job.id}")


# A training


def training(jobs: Jobs, space, job: Job, events: list[dict]):
    scores = [event for event in events if event["event"] == "validation"]
    if job.state == "done":
        outcome(jobs, space, job, events)
    if scores:
        timeline(jobs, space, job, events, scores)
    elif job.active:
        st.caption("It reads the pictures. The first curve appears in a moment.")
    curves(job, events, scores)
    if job.state != "done" and (jobs.folder(job.id) / "average.safetensors").exists():
        with st.container(horizontal=True):
            take_over(jobs, space, job)


def curves(job: Job, events: list[dict], scores: list[dict]):
    """PSNR on held-back pictures, loss, learning rate, over the minutes trained."""
    steps = thinned([event for event in events if event["event"] == "train"], POINTS)
    if not steps and len(scores) < 2:
        return
    start = next((event for event in events if event["event"] == "start"), {})
    default = next((event for event in events if event["event"] == "default"), {})
    parts = st.columns(3)
    if scores and "psnr" in scores[0]:
        known = ((start.get("noisy", {}), "noisy"), (default, default.get("weights")))
        levels = [(level["psnr"], name) for level, name in known if "psnr" in level]
        chart(parts[0], job, scores, "psnr", "PSNR on held-back pictures (dB)", levels, mode="lines+markers")
    else:
        parts[0].caption("There are no clean pictures to measure against: watch the pictures above.")
    if steps:
        positive = min(event["loss"] for event in steps) > 0
        chart(parts[1], job, steps, "loss", "Loss", type="log" if positive else "linear")
        chart(parts[2], job, steps, "lr", "Learning rate", tickformat="~e")


def chart(place, job: Job, events: list[dict], name: str, title: str, levels=(), mode="lines", **axis):
    """One curve over the minutes trained, with lines at the ``levels``, each (height, name)."""
    line = go.Scatter(
        x=[event["seconds"] / 60 for event in events],
        y=[event[name] for event in events],
        mode=mode,
        text=[f"step {event['step']:,}" for event in events],
        hovertemplate="%{y:.4g}, %{text}<extra></extra>",
    )
    across = {"xref": "paper", "x0": 0, "x1": 1, "type": "line", "line": LEVEL}
    label = {"xref": "paper", "x": 1, "xanchor": "right", "yanchor": "bottom", "showarrow": False}
    layout = {
        "title": {"text": title, "font": {"size": 14}},
        "height": 230,
        "margin": {"l": 10, "r": 10, "t": 40, "b": 10},
        "xaxis": {"title": "Minutes trained", "rangemode": "tozero"},
        "yaxis": axis,
        "shapes": [across | {"y0": height, "y1": height} for height, _ in levels],
        "annotations": [label | {"y": height, "text": text, "font": {"size": 11}} for height, text in levels],
        "uirevision": name,  # a visitor's zoom outlives the next second
    }
    key = f"{name}.{job.id}"
    place.plotly_chart(go.Figure(line, layout), key=key, config={"displayModeBar": False})


def thinned(items: list, most: int) -> list:
    """At most about ``most`` of them, evenly spread, the last one among them."""
    step = -(-len(items) // most) or 1
    return items[: len(items) - 1 : step] + items[-1:]


def timeline(jobs: Jobs, space, job: Job, events: list[dict], scores: list[dict]):
    """Held-back pictures in the viewer: noisy, clean, and what the training makes of them, as it goes on."""
    run, known = jobs.folder(job.id), "psnr" in scores[0]
    shown = [event for event in thinned(scores, FRAMES) if (run / "previews" / event["preview"]).exists()]
    if not shown:
        return

    def layer(event: dict, place: int, title: str) -> dict:
        item = pane(run, event["preview"], place, 3 if known else 2)
        size = services.store().info(item)
        subtitle = f"{event['psnr']:.2f} dB" if "psnr" in event else ""
        return {"id": item, "title": title, "subtitle": subtitle, "width": size["width"], "height": size["height"]}

    frames = [layer(event, 1, "") | {"title": frame_title(event)} for event in shown]
    layers = [layer(shown[-1], 0, "Noisy") | {"subtitle": ""}]
    if known:
        layers.append(layer(shown[-1], 2, "Clean") | {"subtitle": ""})
    if default := next((event for event in events if event["event"] == "default"), None):
        layers.append(layer(default, 1, f"Grainwise's {default['weights']}"))
    mine = digest("training", job.id)
    layers.append(frames[-1] | {"id": mine, "title": "This training", "subtitle": "", "frames": frames})
    view = {"left": layers[0]["id"], "right": mine}
    comparison_viewer(layers, key=f"viewer-{job.id}", height=420, view=view, storage=f"{space.name}-{job.id}")
    st.caption("Held-back pictures, never trained on. Drag the scrubber to see the network learn.")


def frame_title(event: dict) -> str:
    score = f" · {event['psnr']:.2f} dB" if "psnr" in event else ""
    return f"step {event['step']:,}{score}" if event["step"] else f"untrained{score}"


def pane(run: Path, preview: str, place: int, columns: int) -> str:
    """One column of a preview picture (noisy, restored, clean), its rows side by side, kept for the viewer; its id."""
    item = digest("preview", run.name, preview, place)
    if not services.store().hold(item):
        whole = np.asarray(Image.open(run / "previews" / preview))
        side = whole.shape[1] // columns
        rows = [whole[y : y + side, place * side : (place + 1) * side] for y in range(0, whole.shape[0], side)]
        picture = np.concatenate(rows, 1)
        info = describe(picture, preview) | {"notes": [], "bits": 8, "format": "computed"}
        services.store().put(item, info, picture)
    return item


def outcome(jobs: Jobs, space, job: Job, events: list[dict]):
    """What came of a training: scores against where it began and against the default weights; the model card."""
    rows = compared(events)
    if rows:
        style = pd.DataFrame(rows).style.format({"PSNR (dB)": "{:.2f}", "SSIM": "{:.4f}"}, na_rep="")
        st.dataframe(style, hide_index=True, width="stretch")
        st.caption("On pictures that were held back from the training. Higher is better.", help=PROTOCOL)
    with st.container(horizontal=True):
        take_over(jobs, space, job)
    with st.expander("Model card", icon=":material/id_card:"):
        text = card(job, events, jobs.folder(job.id))
        st.markdown(text)
        st.download_button("Save the card", text, f"{name_of(job)}.md", icon=":material/download:", on_click="ignore")


def compared(events: list[dict]) -> list[dict]:
    """Rows of scores on the held-back pictures; none where there are no clean ones."""
    scores = [event for event in events if event["event"] == "validation" and "psnr" in event]
    if not scores:
        return []
    start = next(event for event in events if event["event"] == "start")
    found = [("Noisy pictures", start.get("noisy")), ("Before this training", scores[0])]
    default = next((event for event in events if event["event"] == "default"), None)
    if default:
        found.append((f"Grainwise's {default['weights']}", default))
    found.append(("This training", scores[-1]))
    return [{"": title, "PSNR (dB)": s["psnr"], "SSIM": s["ssim"]} for title, s in found if s]


def name_of(job: Job) -> str:
    return f"{job.spec['recipe']['method']}.{job.spec['recipe']['tag']}"


def card(job: Job, events: list[dict], run: Path) -> str:
    """The model card, Markdown."""
    recipe = recipes.parse(job.spec["recipe"])
    spec = denoisers.registry.method(recipe.method).SPEC
    start = [event for event in events if event["event"] == "start"][0]
    end = [event for event in events if event["event"] == "end"][-1]
    sha = hashlib.sha256((run / "average.safetensors").read_bytes()).hexdigest()
    arguments = ", ".join(f"{k} {v}" for k, v in recipe.network.items() if k != "architecture")
    left_out = sum(event["event"] == "problem" for event in events)
    lines = [
        ("What it is", f"{spec.title} ({spec.year}), {start['parameters'] / 1e6:.2f} million parameters; {arguments}"),
        ("Made for", recipe.title),
        ("Began with", f"the weights {recipe.start}" if recipe.start else "random weights"),
        ("Trained", f"{end['step']:,} steps, {end['megapixels']:,.0f} megapixels of crops"),
        ("Where and when", f"{end['seconds'] / 60:.1f} minutes on {start['device']}, {end['date']}"),
        ("Left out", f"{left_out} files that could not be used" if left_out else "nothing"),
        *((r[""], f"{r['PSNR (dB)']:.2f} dB, SSIM {r['SSIM']:.4f} on held-back pictures") for r in compared(events)),
        ("After", spec.citation),
        ("File", f"`{name_of(job)}.safetensors`, SHA-256 `{sha}`"),
        ("Terms", "Those of the pictures it was trained on; Grainwise adds none."),
    ]
    return f"### {name_of(job)}\n\n" + "\n".join(f"- **{title}.** {text}" for title, text in lines) + "\n"


def take_over(jobs: Jobs, space, job: Job):
    """The trained file as the visitor's own weights on the Compare page, and as a download."""
    if st.button("Use in Compare", icon=":material/compare:", type="primary" if job.state == "done" else "secondary"):
        use_in_compare(space, jobs.folder(job.id) / "average.safetensors", job)
    download("Weights", job, "average.safetensors", f"{name_of(job)}.safetensors")


def use_in_compare(space, file: Path, job: Job):
    method = job.spec["recipe"]["method"]
    path = services.store().put_weights(file.read_bytes(), f"{name_of(job)}.safetensors", method)
    chosen = (space["chosen"] or {}) | {method: {"weights": path, "params": {}}}
    space.update(files=space.with_file(method, path), chosen=chosen)
    st.switch_page(PAGES / "compare.py", query_params={"w": space.name})


# Many pictures


def server_folder(jobs: Jobs, key: str, kept: str | None = None) -> str | None:
    """A folder of the server's, chosen or written; whether it may be read is not looked at here."""
    roots = [root for root in jobs.settings.folders if root.is_dir()]
    known = [str(folder) for root in roots for folder in (root, *subfolders(root))]
    chosen = st.selectbox(
        "Folder",
        known,
        index=known.index(kept) if kept in known else None,
        placeholder="Choose a folder, or write its path",
        accept_new_options=True,
        key=key,
        help="Jobs may read these folders and all below them.",
    )
    return chosen or kept


def subfolders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")[:200]


def new_batch(jobs: Jobs, space):
    """The form of a batch job, folded; after a start it is empty and folded again. The visitor's own weights count."""
    count = st.session_state.get("batches", 0)
    with st.expander("Denoise many pictures at once", icon=":material/burst_mode:", key=f"batch-{count}"):
        noisy = browser.file_uploader("A zip of noisy pictures", "zip", f"batch.zip.{count}")
        folder = None
        if jobs.settings.folders and noisy is None:
            st.caption("Or a folder of the server:")
            folder = server_folder(jobs, f"batch.folder.{count}")
        label = "A zip of clean ones of the same names, if you have them"
        clean = browser.file_uploader(label, "zip", f"batch.clean.{count}", help="For scores.")
        own = {name: files for name, files in space["files"].items() if files}
        names = list(dict.fromkeys([*denoisers.names(), *own]))
        first = names.index("drunet") if "drunet" in names else 0
        name = st.selectbox("Denoiser", names, first, lambda n: denoisers.spec(n).title)
        spec = denoisers.spec(name)
        st.caption(spec.good_for)
        with st.popover("Settings", icon=":material/tune:"):
            weights = forms.weights_form(spec, None, f"batch.{name}", own.get(name, ()))
            params = forms.params_form(spec, {}, f"batch.{name}")
        ready = noisy is not None or folder is not None
        if not st.button("Denoise them all", type="primary", disabled=not ready, icon=":material/burst_mode:"):
            return
        job = {"denoiser": name, "params": params, "weights": weights, "into": "zip"}
        try:
            job |= {"weights": str(jobs.put(weights))} if is_file(weights) else {}
            with st.spinner("Unpacking…"):
                job |= {"source": str(jobs.upload(noisy)) if noisy else folder}
                job |= {"label": Path(noisy.name if noisy else folder).stem}
                job |= {"reference": str(jobs.upload(clean))} if clean else {}
            choose(jobs.submit("batch", job).id)
        except DenoiserError as error:
            st.error(compare.escape(str(error), 600), icon=":material/error:")
        else:
            st.session_state["batches"] = count + 1
            st.rerun()


def pictures(jobs: Jobs, job: Job):
    """What a batch job has done so far, a row a picture, and its zip when it is done."""
    run = jobs.folder(job.id)
    rows = results(run)
    if job.state == "done":
        download("All pictures", job, "result.zip", f"{job.spec['label'] or 'pictures'}.{job.spec['denoiser']}.zip")
    if not rows:
        return
    failed = sum(not row["result"] for row in rows)
    st.caption(f"{len(rows) - failed} pictures denoised" + f", {failed} could not be" * bool(failed) + ".")
    frame = pd.DataFrame(rows).drop(columns="result").replace("", None).dropna(axis=1, how="all")
    numbers = [c for c in frame if c in NUMBERS]
    frame[numbers] = frame[numbers].apply(pd.to_numeric)
    names = {"sigma_of_255": "Noise level", "psnr_before": "PSNR before (dB)", "psnr": "PSNR (dB)", "ssim": "SSIM"}
    frame = frame.rename(columns=names | {c: c.capitalize() for c in frame if c not in names})
    st.dataframe(frame, hide_index=True, placeholder="")


def results(run: Path) -> list[dict]:
    """The rows of a batch job's table: in its folder while it works, in the zip afterwards."""
    try:
        if (run / "result.zip").exists():
            with zipfile.ZipFile(run / "result.zip") as archive:
                text = archive.read("results.csv").decode()
        else:
            folders = (working_folder(run / name) for name in ("result", "result.zip"))
            folder = next((f for f in folders if f.is_dir()), run)
            text = (folder / "results.csv").read_text(encoding="utf-8")
    except FileNotFoundError:  # it has not begun, or packs just now
        return []
    return list(csv.DictReader(io.StringIO(text)))


def download(label: str, job: Job, name: str, as_name: str):
    st.link_button(label, run_files.address(job.id, name, as_name), icon=":material/download:")
