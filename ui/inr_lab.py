"""The parts of the INR Lab, each a function of the workspace.

The workspace's ``lab`` holds: ``fits``, ids, the oldest first; ``shown``, the one that is looked at, and ``over``, the
one laid over it, or None; ``part``, which is fitted next, and of which picture; ``params``, the settings of the next
fit; ``at``, fit -> the iteration where the visitor left its timeline; ``sigma``, fit -> the noise level set by hand.
"""

import json
import math
import secrets
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from denoisers.errors import DenoiserError, ParameterError
from denoisers.inr import RULES, SHARE, Recipe, Trajectory, least
from denoisers.inr import stop as stop_at
from denoisers.methods import inr
from denoisers.noise.estimate import Noise
from denoisers.registry import automatic

from . import compare, fits, forms, services
from .store import digest
from .viewer import comparison_viewer
from .workspace import Workspace

_HERE = Path(__file__).parent
_DIAL = st.components.v2.component(
    "grainwise_inr_dial",
    html="""<div class="dial"><label><span>Noise level</span><input type="range" min="0.5" step="0.1"
    aria-label="Noise level, of 255"><output class="level"></output><button type="button" class="reset" hidden>
    back to the estimate</button></label><div class="rules" role="group" aria-label="Stopping rules"></div></div>""",
    css=(_HERE / "inr_dial.css").read_text(encoding="utf-8"),
    js=(_HERE / "inr_dial.js").read_text(encoding="utf-8"),
)
_CROP = st.components.v2.component(
    "grainwise_inr_crop",
    html='<div class="crop"><img alt="The whole picture"><div class="frame" role="group" tabindex="0"></div></div>',
    css=(_HERE / "inr_crop.css").read_text(encoding="utf-8"),
    js=(_HERE / "inr_crop.js").read_text(encoding="utf-8"),
)

TITLE = "Watch a network learn your picture, and stop it before it learns the noise"
TEXT = (
    "A small network that has never seen another picture learns yours, pixel by pixel: broad shapes first, then "
    "edges, the noise last. Stopped in between, it is a denoiser. Drop in a picture to watch it, or take a sample."
)
WHAT = """
**What happens.** The network is asked for the colour at a place, and told how wrong it was. Again and again, it gets
nearer to your noisy picture. What is simple and large it learns first, what is fine and random last.

**Why stopping matters.** Too early, and the picture is soft. Too late, and the network knows the noise by heart. The
best moment lies between; it has to be found **without knowing the clean picture**. Each rule below the picture is a
way to guess it: press one, drag the noise level, or drag the timeline.

**How to read the curves.** The error to the noisy picture always falls, and says little about quality. When it falls
below the noise level, what is still being learned is noise. Held-out pixels are never shown to the network: when
their error rises, it has begun to learn by heart. (Not so with camera noise, which spreads over neighbours: there the
held-out pixels are as noisy as what surrounds them, and only the noise level helps.)
"""
VERDICT = """
**Is it any good?** Measured on small parts of photos (docs/inr-lab.md): where the noise is strong it beats non-local
means. The DCT filter, some twenty times faster, and trained networks are better everywhere: DRUNet by 0.7 to 4.8 dB,
even if one knew the best moment to stop. What it has is that it needs no training, and that it shows how learning goes.
"""
SIDES = (128, 256, 384, 512, 1024)
SIDE, MOST_PIXELS, MOST_FITS = 256, 2_000_000, 8
STEPS = {"fast": 1500, "book": 600}
"""Of a fit of the Lab: further than is good, to see the noise come."""
AS_DENOISER = ("strength", "sigma", "stop")
"""Parameters of the method that say which output to take: here that is chosen afterwards."""
FIRST = ("preset", "steps")
FORM = [param for param in inr.SPEC.params if param.name not in AS_DENOISER]
RULE_TITLES = {
    "variance": ("Error is the noise", "The paper's: the error to the noisy picture is down to the noise's variance."),
    "margin": ("6 % below noise", "A little later than the paper's: better on camera noise."),
    "held_out": (
        "Held-out pixels",
        "Pixels that the network never saw are predicted best. Blind to camera noise, which their neighbours share.",
    ),
    "es_wmv": ("Steadiest picture", "The output changes least from step to step (ES-WMV). Needs no noise level."),
    "fixed": ("Steps as set", "After the number of steps that was asked for."),
    "oracle": ("Best possible", "Highest PSNR. Only known because there is a clean picture; no rule can beat it."),
}
AT_A_LEVEL = ("variance", "margin")
"""Rules that stop where the error is down to a share of the noise level."""
COLOURS = {"mse": "#12978a", "held_out": "#d9772f", "residual": "#5b8fdc", "psnr": "#b868a4", "sigma": "#8a8a8a"}
CHOSEN = "#e5484d"
MARKS = dict(zip(RULE_TITLES, ("circle", "square", "diamond", "triangle-up", "x", "star"), strict=True))


def settings(space) -> tuple[Recipe, dict, tuple, str]:
    """What is fitted, and how. Returns recipe, parameters, part (top, left, height, width) and device."""
    st.markdown("**What it learns**")
    part = choose_part(space)
    st.markdown("**How it learns**")
    lab = space["lab"]
    params = {param.name: param.default for param in FORM} | {"steps": None} | lab.get("params", {})
    by_name = {param.name: param for param in FORM}
    preset = by_name["preset"]
    titles = {"fast": "Fast", "book": "By the book"}
    chosen = st.segmented_control(
        "Recipe", preset.choices, default=params["preset"], format_func=titles.get, key="lab.preset", help=preset.help
    )
    params["preset"] = chosen or params["preset"]
    usual = STEPS[params["preset"]]
    params["steps"] = st.number_input(
        "Steps",
        10,
        20_000,
        params["steps"] or usual,
        50,
        key=f"lab.steps.{params['preset']}",
        help="How long it learns: on purpose past the best moment, to see the noise come. Stop it whenever you like.",
    )
    params["steps"] = None if params["steps"] == usual else params["steps"]
    with st.expander("More settings", icon=":material/tune:"):
        st.caption("Change one, start again, and lay the two fits over one another.")
        for param in FORM:
            if param.name not in FIRST:
                key, value = f"lab.{param.name}", params[param.name]
                params[param.name] = forms.widget(param, value, key, partial(automatic, "inr", params))
    device = compare.choose_device()
    keep(space, params=params)
    recipe = inr.recipe_of(**params | {"steps": params["steps"] or usual})
    return recipe, params, part, device


def choose_part(space) -> tuple[int, int, int, int]:
    """The part of the picture that is fitted: a square to drag, or all of it."""
    info, lab = services.store().info(space["picture"]), space["lab"]
    width, height = info["width"], info["height"]
    sides = [side for side in SIDES if side < max(width, height)]
    if width * height <= MOST_PIXELS:
        sides.append(None)
    part = lab.get("part", {})
    part = part if part.get("of") == space["picture"] else {}
    side = part.get("side", SIDE)
    side = side if side in sides else sides[-1] if max(width, height) <= SIDE else SIDE
    if len(sides) > 1:
        side = st.selectbox(
            "Part",
            sides,
            sides.index(side),
            lambda s: f"{min(s, width)} × {min(s, height)} pixels" if s else "The whole picture",
            key=f"lab.side.{space['picture']}",
            label_visibility="collapsed",
        )
    if side is None:
        st.caption(f"The whole picture, {width} × {height} pixels.")
        keep(space, part={"of": space["picture"], "side": None})
        return 0, 0, height, width
    h, w = min(side, height), min(side, width)
    top, left = part.get("top", (height - h) // 2), part.get("left", (width - w) // 2)
    where = {"top": top, "left": left, "width": width, "height": height, "side": {"width": w, "height": h}}
    moved = _CROP(
        key=f"lab.crop.{space['picture']}",
        data={"src": f"tiles/{space['picture']}/0/0_0.png", **where},
        on_corner_change=lambda: None,
    ).corner
    if moved:
        top, left = moved
    top, left = min(max(int(top), 0), height - h), min(max(int(left), 0), width - w)
    st.caption("Drag the frame to the part that is fitted.")
    keep(space, part={"of": space["picture"], "side": side, "top": top, "left": left})
    return top, left, h, w


def keep(space, **changes):
    space.update(lab=space["lab"] | changes)


def ours(space) -> list[str]:
    """The fits of the picture that is open, the oldest first."""
    store = services.store()
    known = [item for item in space["lab"].get("fits", []) if item in store]
    return [i for i in known if space["picture"] in (store.info(i)["source"], store.info(i)["picture"])]


def go(space, recipe: Recipe, params: dict, part: tuple, device: str):
    """The button that starts a fit, and how long it takes."""
    _, _, height, width = part
    active = any((task := fits.task(item)) and task.active for item in ours(space))
    label = "Start another fit" if ours(space) else "Start learning"
    try:
        check(space, part)
    except DenoiserError as error:
        st.button(label, type="primary", width="stretch", disabled=True, icon=":material/play_arrow:")
        st.warning(str(error))
        return
    if st.button(label, type="primary", width="stretch", icon=":material/play_arrow:"):
        start(space, recipe, params, part, device)
        st.rerun()
    if device == "cpu":
        words = compare.duration(fits.expected(recipe, width * height))
        st.caption(f"Takes {words}{', after the one that runs' * active}. You can stop it at any moment.")


def check(space, part):
    """Raises ParameterError where there is nothing to learn."""
    top, left, height, width = part
    pixels = services.store().display(space["picture"])[top : top + height, left : left + width]
    if inr.one_colour(np.asarray(pixels)):
        raise ParameterError("This part has one colour throughout: there is nothing to learn. Take another.")


def start(space, recipe: Recipe, params: dict, part: tuple, device: str):
    picture = fits.crop(space["picture"], *part)
    reference = fits.crop(space["reference"], *part) if space["reference"] else None
    before = ours(space)
    number = 1 + max((int(services.store().info(item)["name"].split(" ")[0]) for item in before), default=0)
    title = f"{number} · {describe(params)}"
    item = fits.start(picture, reference, space["picture"], recipe, params, title, device)
    others = [other for other in space["lab"].get("fits", []) if other not in before]
    keep(space, fits=[*others, *before[1 - MOST_FITS :], item], shown=item, over=None)


def describe(params: dict) -> str:
    """A fit's settings in a few words: the preset, and what differs from it."""
    words = [{"fast": "Fast", "book": "By the book"}[params["preset"]]]
    for param in FORM:
        value = params[param.name]
        if param.name != "preset" and value != param.default:
            words.append(f"{param.name} {f'{value:.3g}' if isinstance(value, float) else value}")
    return ", ".join(words)


def stage(space, part: tuple):
    """The live part: picture, timeline, rules, curves. Redrawn by itself while a fit is active."""

    def is_active():
        return any((task := fits.task(item)) and task.active for item in ours(space))

    active = is_active()

    @st.fragment(run_every=1.0 if active else None)
    def live():
        known = ours(space)
        if not known:
            reference = fits.crop(space["reference"], *part) if space["reference"] else None
            show(space, fits.crop(space["picture"], *part), reference, [])
            return
        shown, over = choose_fits(space, known)
        status(space, shown)
        past = fits.course(shown)
        if past.outputs:
            look(space, shown, past, over, fits.course(over) if over else None)
        else:
            info = services.store().info(shown)
            show(space, info["picture"], info["reference"], [])
        if active and not is_active():
            st.rerun()  # nothing more will come by itself

    live()


def show(space, picture, reference, timelines, view=None):
    """The viewer with the noisy picture, the clean one and the timelines."""
    info = services.store().info(picture)
    layers = [{"id": picture, "title": "Noisy"}]
    if reference:
        layers.append({"id": reference, "title": "Clean"})
    layers += timelines
    size = {"width": info["width"], "height": info["height"]}
    with st.container(key="lab-viewer"):
        return comparison_viewer(
            [layer | size for layer in layers],
            key="lab.viewer",
            height=520,
            view=view,
            storage=f"{space.name}-{picture}",
        )


def choose_fits(space, known: list[str]) -> tuple[str, str | None]:
    """The fit that is shown, and another of the same pixels to lay over it."""
    store, lab = services.store(), space["lab"]
    shown = lab.get("shown") if lab.get("shown") in known else known[-1]
    if len(known) == 1:
        return shown, None
    names = {item: store.info(item)["name"] for item in known}
    left, right = st.columns([2, 1.2], vertical_alignment="bottom")
    shown = left.selectbox("Fit", known, known.index(shown), names.get, key=f"lab.shown.{len(known)}.{known[-1]}")
    same = [i for i in known if i != shown and store.info(i)["picture"] == store.info(shown)["picture"]]
    over = lab.get("over") if lab.get("over") in same else None
    options = [None, *same]
    over = right.selectbox(
        "Lay over it",
        options,
        options.index(over),
        lambda item: names.get(item, "nothing"),
        key=f"lab.over.{shown}.{len(known)}",
        disabled=not same,
        help="Another fit of the same part: its curves are dashed, its pictures are in the viewer.",
    )
    keep(space, shown=shown, over=over)
    return shown, over


def status(space, item: str):
    """Where the fit is, and the buttons that stop it and let it go on."""
    info, task, past = services.store().info(item), fits.task(item), fits.course(item)
    done, until = len(past.loss), info["ends"][-1]
    line, *buttons = st.columns([4, 1.1, 1.1], vertical_alignment="center")
    if task is not None and task.active:
        if task.state == "waiting" and not done:
            place = services.queue(info["device"]).place(task)
            line.progress(0.0, f"Number {place} in the queue" if place > 1 else "About to start")
        else:
            seconds = fits.seconds(item) * (until / max(done, 1) - 1)
            left = f", {compare.duration(seconds)} to go" if done > until / 20 and seconds > 2 else ""
            line.progress(min(done / until, 1.0), f"Step {done} of {until}{left}")
        buttons[0].button(
            "Stop", key=f"lab.stop.{item}", icon=":material/stop:", width="stretch", on_click=fits.stop, args=(item,)
        )
        return
    if info.get("diverged"):
        line.error(
            f"The fit blew up at step {info['iteration']}: a learning rate of {info['recipe']['lr']:g} is too large. "
            + (
                f"Its outputs up to step {max(past.outputs)} are kept."
                if past.outputs
                else "Nothing was worth keeping."
            )
        )
    elif task is not None and task.state == "failed":
        line.error(compare.escape(task.error, 400))
    elif done >= until:
        line.caption(f"Done: {done} steps in {compare.duration(fits.seconds(item))}.")
    elif task is None and not fits.can_go_on(item):
        line.warning(f"Not finished, the server was restarted: {done} of {until} steps are kept.")
    else:
        line.caption(f"Stopped at step {done} of {until}.")
    if fits.can_go_on(item):
        further = until if done < until else math.ceil(1.5 * done)
        if buttons[0].button(
            "Go on", key=f"lab.on.{item}", icon=":material/resume:", width="stretch", help=f"Up to step {further}."
        ):
            fits.go_on(item, further)
            st.rerun()
    if buttons[1].button(
        "Restart", key=f"lab.again.{item}", icon=":material/replay:", width="stretch", help="The same fit from step 0."
    ):
        fresh = fits.restart(item)
        keep(space, fits=[fresh if i == item else i for i in space["lab"]["fits"]], shown=fresh)
        st.rerun()


def look(space, item: str, past: Trajectory, over: str | None, other: Trajectory | None):
    """Viewer, stop control, curves and what can be taken away."""
    info, lab = services.store().info(item), space["lab"]
    other = other if other and other.outputs else None
    steps = sorted({*past.outputs, *(other.outputs if other else ())})
    timelines = [{"id": item, "title": info["name"], "frames": fits.frames(item, past, steps)}]
    if other:
        title = services.store().info(over)["name"]
        timelines.insert(0, {"id": over, "title": title, "frames": fits.frames(over, other, steps)})
    found = Noise(**info["noise"])
    sigma = lab.get("sigma", {}).get(item, max(found.sigma, 0.5 / 255))
    stops = marks(past, sigma, info["recipe"]["steps"])
    first = inr.rule_of("preset", info["params"]["preset"], found, info["width"] * info["height"])
    task = fits.task(item)
    active = task is not None and task.active
    recommended = least(past) if info.get("diverged") else stops[first]
    view = opening_view(space, item, over, active, steps, recommended)
    seen = show(space, info["picture"], info["reference"], timelines, view)
    # What the browser last told may be from before it was put elsewhere: then it has another turn, or none.
    told = seen.get("turn"), seen.get("frame")
    if told[0] and told[0] == st.session_state["lab.view"]["before"] and told != st.session_state.get("lab.told"):
        overrule(told[1])  # a click that was on its way when the fit ended: the visitor's word is the last
    st.session_state["lab.told"] = told
    frame = (seen if told[0] == view["turn"] else view)["frame"]
    st.session_state["lab.following"] = frame is None
    at = steps[-1] if frame is None else steps[min(frame, len(steps) - 1)]
    chosen = past.nearest(at)
    if not (active and frame is None):
        keep(space, at=lab.get("at", {}) | {item: at})
    sigma = dial(space, item, past, steps, stops, sigma, first, found)
    kind = {
        "chen": "even grain, read by Chen's estimator",
        "camera": "camera noise, read by the estimator for correlated noise",
        "differences": "read from neighbouring pixels, the picture being tiny",
    }[found.method]
    st.caption(
        f"Estimated from the picture: {255 * found.sigma:.1f} of 255 ({kind}). "
        f"Taken unless you choose otherwise: **{RULE_TITLES[first][0]}**."
    )
    curves(past, other, sigma, marks(past, sigma, info["recipe"]["steps"]), chosen)
    take_away(space, item, past, chosen)


def marks(past: Trajectory, sigma: float, steps: int) -> dict:
    """Rule -> its Stop, or the sentence that says why it has none."""
    answer = {}
    for rule in RULES:
        try:
            answer[rule] = stop_at(past, rule, sigma, steps)
        except ParameterError as error:
            answer[rule] = str(error)
    return answer


def opening_view(space, item, over, active, steps, recommended):
    """Where the timeline is put: by Python only when other fits are shown and when a fit has ended."""
    last = st.session_state.get("lab.view", {})
    moment = [item, over, active]
    if last.get("of") == moment:
        return last["view"]
    turned = last.get("of") == [item, over, not active]  # it has ended, or goes on again
    if turned and not st.session_state["lab.following"]:
        view = last["view"]  # the visitor has chosen meanwhile
    else:
        left = None if turned else space["lab"].get("at", {}).get(item)
        wanted = None if active else left or recommended.iteration
        frame = wanted and min(range(len(steps)), key=lambda i: abs(math.log(steps[i] / wanted)))
        view = {"frame": frame, "force": True, "turn": secrets.token_hex(4)}
    before = last["view"]["turn"] if turned else None
    st.session_state["lab.view"] = {"of": moment, "view": view, "before": before}
    return view


def overrule(frame):
    """Put the timeline back to where the visitor had just put it."""
    st.session_state["lab.following"] = frame is None
    view = {"frame": frame, "force": True, "turn": secrets.token_hex(4)}
    st.session_state["lab.view"] |= {"view": view, "before": None}
    st.rerun()


def dial(space, item, past, steps, stops, sigma, first, found) -> float:
    """The stop control; returns the noise level that it stands at, image units."""
    error, score = (dict(zip(past.kept, values, strict=False)) for values in (past.mse, past.psnr))
    near = [past.nearest(step) for step in steps]
    index = {step: i for i, step in enumerate(near)}

    def rule(name):
        title, help = RULE_TITLES[name]
        answer = {"name": name, "title": title, "help": help}
        if name in AT_A_LEVEL:
            return answer | {"share": 1.0 if name == "variance" else SHARE}
        if isinstance(stops[name], str):
            return answer | {"reason": stops[name]}
        return answer | {"frame": index[past.nearest(stops[name].iteration)], "fired": bool(stops[name].fired)}

    names = [first] + [name for name in RULE_TITLES if name != first and (name != "oracle" or past.psnr)]
    estimate = 255 * max(found.sigma, 0.5 / 255)
    moved = _DIAL(
        key="lab.dial",
        data={
            "fit": item,
            "viewer": "lab-viewer",
            "follow": first if first in AT_A_LEVEL else "margin",
            "steps": near,
            "errors": [255 * error[k] ** 0.5 for k in near],
            "scores": [round(score[k], 2) for k in near] if past.psnr else [],
            "rules": [rule(name) for name in names],
            "sigma": 255 * sigma,
            "estimate": estimate,
            "most": math.ceil(max(100, 2 * estimate)),
        },
        on_level_change=lambda: None,
    ).level
    if moved and moved["fit"] == item:
        sigma = moved["sigma"] / 255
        keep(space, sigma=space["lab"].get("sigma", {}) | {item: sigma})
    return sigma


def curves(past: Trajectory, other: Trajectory | None, sigma: float, stops: dict, chosen: int):
    """Errors, and below them the PSNR if there is a clean picture, against the iterations."""
    from plotly.subplots import make_subplots

    scored = bool(past.psnr)
    rows = 2 if scored else 1
    figure = make_subplots(rows, 1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[3, 2][:rows])
    names = {
        "mse": "to the noisy picture",
        "held_out": "at held-out pixels",
        "residual": "noise in what is taken away",
        "psnr": "PSNR to the clean picture",
    }
    for course, dash, opacity in ((other, "dash", 0.75), (past, "solid", 1)):
        for name, (x, y) in course.curves().items() if course else ():
            if name == "loss" or (name == "psnr" and not scored):
                continue
            y = y if name == "psnr" else [255 * (v if name == "residual" else v**0.5) for v in y]
            figure.add_scatter(
                x=x,
                y=y,
                name=names[name],
                legendgroup=name,
                showlegend=course is past,
                opacity=opacity,
                line={"color": COLOURS[name], "dash": dash, "width": 2},
                hovertemplate="%{y:.2f}",
                row=2 if name == "psnr" else 1,
                col=1,
            )
    level = {"annotation_text": f"noise level {255 * sigma:.1f}", "annotation_position": "top left"}
    figure.add_hline(255 * sigma, line={"color": COLOURS["sigma"], "dash": "dash"}, row=1, col=1, **level)
    where = dict(zip(past.kept, past.mse, strict=False))
    score = dict(zip(past.kept, past.psnr, strict=False))
    for rule, answer in stops.items():
        if isinstance(answer, str) or not answer.fired:
            continue
        at = min(where, key=lambda k: abs(math.log(k / answer.iteration)))
        for row, y in [(1, 255 * where[at] ** 0.5), (2, score.get(at))][: 1 + scored]:
            figure.add_scatter(
                x=[at],
                y=[y],
                mode="markers",
                name=RULE_TITLES[rule][0],
                legendgroup=rule,
                showlegend=row == 1,
                marker={"symbol": f"{MARKS[rule]}-open", "size": 12, "color": CHOSEN, "line": {"width": 2}},
                hovertemplate=f"{RULE_TITLES[rule][0]}: %{{y:.2f}}<extra></extra>",
                row=row,
                col=1,
            )
    figure.add_vline(chosen, line={"color": CHOSEN, "width": 1.5}, row="all", col=1)
    errors = [255 * v**0.5 for v in [*past.mse, *past.held_out, *(other.mse if other else ())]]
    top = min(max(errors), 3 * max(255 * sigma, min(errors)))
    figure.update_yaxes(
        range=[0.75 * min([*errors, 255 * sigma]), 1.04 * top], title_text="error, of 255", row=1, col=1
    )
    if scored:
        best = max([*past.psnr, *(other.psnr if other else ())])
        figure.update_yaxes(range=[best - 8, best + 0.6], title_text="PSNR, dB", row=2, col=1)
    figure.update_xaxes(type="log", dtick="D2" if len(past.loss) < 100 else 1)
    figure.update_xaxes(title_text="step", row=rows, col=1)
    figure.update_layout(
        height=470 if scored else 330,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="x unified",
        uirevision="stays",
    )
    st.plotly_chart(figure, key="lab.curves", config={"displayModeBar": False}, alt="Errors and PSNR against the steps")


def take_away(space, item: str, past: Trajectory, chosen: int):
    """The chosen output goes to Compare; curves, outputs and recipe can be downloaded."""
    send, *places = st.columns([2.2, 1, 1, 1])
    label = f"Compare step {chosen} with other denoisers"
    if send.button(label, key="lab.send", type="primary", icon=":material/compare:", width="stretch"):
        to_compare(space, item, chosen)

    def recipe():
        return json.dumps(fits.recipe(item, chosen), indent=2)

    files = [
        ("Curves", past.csv, "csv", "text/csv", "show_chart", "CSV: a row a step. Errors are mean squares, 0 to 1."),
        ("Outputs", past.npz, "npz", "application/zip", "stacks", "NPZ for NumPy: every output kept, and the curves."),
        ("Recipe", recipe, "json", "application/json", "receipt_long", "JSON: what repeats the fit, and the step."),
    ]
    for place, (label, data, suffix, mime, icon, help) in zip(places, files, strict=True):
        look = {"icon": f":material/{icon}:", "width": "stretch", "help": help, "on_click": "ignore"}
        place.download_button(label, data, f"fit-{item[:8]}.{suffix}", mime, **look)


def to_compare(space, item: str, chosen: int):
    """Open Compare on the pixels of the fit, with the chosen output among the results.

    A part of the picture has a workspace of its own, always the same one, so that nothing of this one is lost.
    """
    store, info = services.store(), services.store().info(item)
    result = fits.result(item, chosen)
    facts = store.info(result)
    run = {"name": "inr", "device": info["device"], "weights": None, "params": facts["params"]}
    run["title"] = f"INR, {facts['title']}"
    name = space.name
    if info["picture"] != space["picture"]:
        name = digest("compare", space.name, info["picture"])[:22]
    target, lab = Workspace(name), {} if name == space.name else {"lab": {"fits": [item], "shown": item}}
    runs = target["runs"] | {result: run}
    target.update(picture=info["picture"], reference=info["reference"], runs=runs, latest=[result], **lab)
    st.session_state["lab.go"] = name
    st.rerun(scope="app")
