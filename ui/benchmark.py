"""The parts of the Benchmark page, each a function of a results file of ``denoisers.benchmark``."""

from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

import denoisers
from denoisers import benchmark, images
from denoisers.benchmark import CONDITIONS, NOISY, PHOTOGRAPHED, SAMPLES
from denoisers.errors import DenoiserError

from . import compare, jobs, services
from .compare import FAMILIES, escape

SCORES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "seconds_per_megapixel": "Seconds a megapixel"}
PLOT, PHONE, LETTER = (900, 270), (250, 270), (7, 16)
"""About how large the scatter is on a desktop and on a phone, and a letter in it, pixels."""
NAME_WIDTH = 225
"""Of the column of names, pixels: "Implicit neural representation" fits."""
MARGIN = 0.06
"""Room that Plotly leaves beside the outermost points, as a share of the width."""
BEFORE = "the noisy picture itself"
DIGITS = {"psnr": 2, "ssim": 4, "seconds_per_megapixel": 1}
SETS = {
    "polyu": ("PolyU", "Photographs with light camera noise."),
    "renoir": ("RENOIR", "Photographs with strong camera noise, taken in low light."),
    "cbsd68": ("CBSD68", "68 clean pictures that most papers test on."),
    "set12": ("Set12", "Twelve clean grey pictures that most papers test on."),
    "mcmaster": ("McMaster", "18 clean pictures, smoother than CBSD68 and of stronger colours."),
    "cid22val": ("CID22", "Twelve clean pictures of the kind that the networks were trained on, not used for that."),
    "samples": ("Samples", "The four pictures that come with scikit-image."),
}
CONDITION_HELP = {
    PHOTOGRAPHED: "Noise as the camera made it; nothing is told to the denoisers.",
    "sigma": "White Gaussian noise of this standard deviation, of 255, which is told to the denoisers as in papers.",
    "Poisson": "Photon noise, which grows with brightness; nothing is told to the denoisers.",
    "text": "A quarter of the picture lies under text; nothing is told to the denoisers.",
}


def shown() -> Path:
    """The results that the address asks for: those of a benchmark job, or Grainwise's own."""
    if id := st.query_params.get("job"):
        try:
            folder = jobs.asked().folder(id)
        except DenoiserError as error:
            st.error(escape(str(error), 400), icon=":material/error:")
        else:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.info(f"The results of the job {id}.", icon=":material/science:")
                if st.button("Grainwise's own results"):
                    del st.query_params["job"]
                    st.rerun()
            return folder / "results.json"
    return services.benchmark_file()


def set_name(source: str) -> str:
    return SETS[source][0] if source in SETS else source


def title(source: str, condition: str) -> str:
    return f"{set_name(source)} photos" if condition == PHOTOGRAPHED else f"{condition}, {set_name(source)}"


def explain(source: str, condition: str) -> str:
    about = SETS[source][1] if source in SETS else f"The pictures of {source}."
    return f"{about} {next(text for start, text in CONDITION_HELP.items() if condition.startswith(start))}"


def named(model: str) -> str:
    """METHOD.TAG as the other pages call it: DRUNet (camera)."""
    method, _, tag = model.partition(".")
    known = denoisers.spec(method).title if method in denoisers.names() else method
    return BEFORE.capitalize() if model == NOISY else f"{known} ({tag})" if tag else known


def tests(results) -> list[tuple[str, str]]:
    """(set, condition) of every line of the table; real photographs first."""
    found = dict.fromkeys((row["set"], row["condition"]) for row in results["rows"])
    return sorted(found, key=lambda test: test[1] != PHOTOGRAPHED)


def rows(results, test) -> list[dict]:
    return [row for row in results["rows"] if (row["set"], row["condition"]) == test]


def families(results) -> dict[str, str]:
    """Family of each model, in words."""
    names = dict.fromkeys(row["model"] for row in results["rows"] if row["model"] != NOISY)
    methods = {name: name.partition(".")[0] for name in names}
    here = denoisers.names()
    return {n: FAMILIES[denoisers.spec(m).family] if m in here else "Not installed here" for n, m in methods.items()}


def groups(results) -> dict[str, list[tuple[str, str]]]:
    """The tests by the table they stand in: all photographs in one, each set with made noise in its own."""
    found = {}
    for source, condition in tests(results):
        name = "Photographs" if condition == PHOTOGRAPHED else set_name(source)
        found.setdefault(name, []).append((source, condition))
    return found


def table(results, score: str, shown):
    """A line a model, a column a test of the group shown; the best of each column marked."""
    heads = {test: set_name(test[0]) if test[1] == PHOTOGRAPHED else test[1] for test in shown}
    values = {heads[test]: {row["model"]: row[score] for row in rows(results, test) if score in row} for test in shown}
    frame = pd.DataFrame(values)
    frame = frame.sort_values(frame.columns[0], ascending=score == "seconds_per_megapixel").rename(index=named)
    contest = frame.drop(index=named(NOISY), errors="ignore")
    best = contest.min() if score == "seconds_per_megapixel" else contest.max()

    def mark(column):
        won = "font-weight: 700; background-color: rgba(20, 160, 140, .22)"
        return [won if name != named(NOISY) and value == best[column.name] else "" for name, value in column.items()]

    frame.index.name = "Denoiser"
    style = frame.style.format(f"{{:.{DIGITS[score]}f}}", na_rep="").apply(mark)
    columns = {heads[test]: st.column_config.Column(help=explain(*test), width="small") for test in shown}
    columns[frame.index.name] = st.column_config.Column(width=NAME_WIDTH)
    st.dataframe(style, width="stretch", height="content", placeholder="", column_config=columns)


def label_places(points: dict[str, tuple[float, float]], before: float | None, plot=PLOT) -> dict[str, str]:
    """Where the label of each point, (seconds, PSNR), can stand in a plot of so many pixels without covering another
    or that of the line at the PSNR ``before``, the best first.

    Points that have no room get none. Plotly shows positions as "top center" and the like.
    """
    names = sorted(points, key=lambda name: -points[name][1])
    x, y = (np.array([points[name][axis] for name in names]) for axis in (0, 1))
    x = np.log10(x)
    x = (x - x.min()) / (np.ptp(x) or 1) * plot[0]
    heights = np.append(y, y.min() if before is None else before)
    *y, line = (heights - heights.min()) / (np.ptp(heights) or 1) * plot[1]
    beside = MARGIN * plot[0]
    taken = [(a - 8, a + 8, b - 8, b + 8) for a, b in zip(x, y, strict=True)]
    if before is not None:
        taken.append((plot[0] + beside - LETTER[0] * len(BEFORE), plot[0] + beside, line, line + LETTER[1]))
    places = dict.fromkeys(names, "")
    for name, a, b in zip(names, x, y, strict=True):
        width = LETTER[0] * len(name)
        for place, left, bottom in (
            ("top center", a - width / 2, b + 8),
            ("middle right", a + 9, b - LETTER[1] / 2),
            ("middle left", a - 9 - width, b - LETTER[1] / 2),
            ("bottom center", a - width / 2, b - 8 - LETTER[1]),
        ):
            box = (left, left + width, bottom, bottom + LETTER[1])
            inside = -beside <= left and left + width <= plot[0] + beside
            if inside and not any(box[0] < t[1] and t[0] < box[1] and box[2] < t[3] and t[2] < box[3] for t in taken):
                taken.append(box)
                places[name] = place
                break
    return places


def scatter(results, test):
    """Quality against cost: the best are in the upper left."""
    figure, found = go.Figure(), rows(results, test)
    before = next((row["psnr"] for row in found if row["model"] == NOISY), None)
    family = families(results)
    timed = [row for row in found if row["model"] in family]
    points = {named(row["model"]): (row["seconds_per_megapixel"], row["psnr"]) for row in timed}
    plot = PHONE if "Mobi" in st.context.headers.get("User-Agent", "") else PLOT
    places = label_places(points, before, plot) if points else {}
    for name in dict.fromkeys(family.values()):
        some = [named(row["model"]) for row in timed if family[row["model"]] == name]
        figure.add_scatter(
            x=[points[model][0] for model in some],
            y=[points[model][1] for model in some],
            text=[model if places[model] else "" for model in some],
            hovertext=some,
            name=name,
            mode="markers+text",
            textposition=[places[model] or "top center" for model in some],
            marker={"size": 11},
            hovertemplate="%{hovertext}<br>%{y:.2f} dB, %{x:.1f} s a megapixel<extra></extra>",
        )
    if before is not None:
        figure.add_hline(before, line={"dash": "dot", "color": "gray"}, annotation_text=BEFORE)
    figure.update_layout(
        xaxis={"type": "log", "title": "Seconds a megapixel (logarithmic)"},
        yaxis={"title": "PSNR (dB)"},
        height=460,
        margin={"t": 20, "b": 10, "l": 10, "r": 10},
        legend={"orientation": "h", "y": -0.2},
    )
    st.plotly_chart(figure, width="stretch", config={"displaylogo": False})


def costs(results):
    """What each network is, beside what its authors printed."""
    facts = {row["model"]: row for row in results["rows"] if "parameters" in row}
    own = [
        {
            "Network": named(name),
            "Parameters (million)": row["parameters"] / 1e6,
            "Multiply-adds a pixel (thousand)": row["macs_per_pixel"] / 1e3,
        }
        for name, row in facts.items()
    ]
    st.dataframe(pd.DataFrame(own).style.format(precision=2), hide_index=True, width="stretch")
    st.markdown("**As printed by the methods' authors**")
    figures = [
        {"Method": named(f["model"]), "Set": f["set"]} | f["scores"] | {"Note": f["note"]}
        for f in benchmark.published()
    ]
    st.dataframe(pd.DataFrame(figures).style.format(precision=2, na_rep=""), hide_index=True, width="stretch")
    st.caption("PSNR in dB. Their pictures, noise and training differ from ours: compare the order, not the digits.")


def provenance(results):
    """Where, when and how the numbers came about, and the file itself."""
    machine, count = results["machine"], results["pictures"]
    cores = f"{machine['cores']} core{'s' * (machine['cores'] > 1)}"
    pictures = f"at most {count} picture{'s' * (count > 1)} of each set" if count else "all pictures"
    crop = f", their central {results['crop']} × {results['crop']} pixels" if results["crop"] else ""
    st.caption(
        f"Grainwise {results['grainwise']}, {results['date']}, {machine['processor']}, {cores}, "
        f"{machine['device']}, {machine['precision']}. {pictures.capitalize()}{crop}.",
        help=benchmark.__doc__.partition("Protocol: ")[2],
    )
    apart = {row["model"]: row["machine"] for row in results["rows"] if "machine" in row}
    if apart:
        told = (
            f"{named(name)} on {one['processor']}, cores: {one['cores']}, {one['device']}"
            for name, one in apart.items()
        )
        st.caption(escape(f"Not timed like the others: {'; '.join(told)}.", 1000))


def folder(name: str) -> str | None:
    """Where a set lies on this server: among the folders that jobs may read."""
    from denoisers.jobs import settings

    if name == SAMPLES:
        return SAMPLES
    roots = settings.from_environment().folders
    places = [place for root in roots for place in (root, root / name) if place.name == name and place.is_dir()]
    return str(places[0]) if places else None


def pictures(space, results, test):
    """The pictures behind a test's numbers, opened in Compare with the denoisers that made them."""
    found = {row["model"]: row for row in rows(results, test)}
    best = sorted((name for name in found if name != NOISY), key=lambda name: -found[name]["psnr"])
    if not best:  # a job that was stopped early
        return
    scores = {one["picture"]: one["psnr"] for one in found[best[0]]["each"]}
    which, who = st.columns([1, 2])
    picture = which.selectbox(
        "Picture", list(scores), format_func=lambda name: f"{name} ({scores[name]:.2f} dB with {named(best[0])})"
    )
    methods = who.multiselect("Denoisers", best, best[:3], named, help="One set of weights a method.")
    place = folder(test[0])
    if place is None:
        st.caption(
            f"The pictures of {set_name(test[0])} are not on this server. To see them, put them into a "
            f"folder named `{test[0]}` and name it in GRAINWISE_JOBS_FOLDERS. Those of the tests on "
            f"{set_name(SAMPLES)} are always here."
        )
    if st.button("Open in Compare", type="primary", disabled=not place or not methods, icon=":material/compare:"):
        try:
            open_in_compare(space, benchmark.Set(place, crop=results["crop"]).open(picture), test[1], methods)
        except (DenoiserError, KeyError) as error:
            st.error(escape(f"This picture cannot be opened: {error}", 400))
        else:
            st.switch_page(jobs.PAGES / "compare.py", query_params={"w": space.name})


def open_in_compare(space, picture: benchmark.Picture, condition: str, models: list[str]):
    """The very pixels that were scored become the workspace's picture and reference, and the denoisers are started."""

    def keep(pixels, name):
        # 16 bits hold the 8 of a file exactly.
        return services.store().put_upload(images.encode(np.asarray(pixels), ".png", bits=16), name)

    name = Path(picture.name).stem
    clean, told = keep(picture.clean, f"{name} clean.png"), {}
    if condition == PHOTOGRAPHED:
        noisy = keep(picture.noisy, f"{name}.png")
    else:
        made = CONDITIONS[condition]
        noisy = services.noisy_copy(clean, made.model, made.level, 0, clip=False)
        told = {"sigma": made.level} if made.told else {}
    chosen = {}
    for model in models:
        method, _, tag = model.partition(".")
        known = {param.name for param in denoisers.spec(method).params}
        chosen[method] = {"weights": tag or None, "params": {k: v for k, v in told.items() if k in known}}
    for method in denoisers.names():
        st.session_state.pop(f"pick.{method}", None)
    compare.take(space, noisy, clean)
    space.update(chosen=chosen)
    compare.start(space, chosen, services.devices()[0])


def run_again(space, results):
    """The same tests on this machine, as a job."""
    mine = jobs.mine()
    if mine is None:
        return
    here = [name for name in dict.fromkeys([*(test[0] for test in tests(results)), SAMPLES]) if folder(name)]
    sets = st.multiselect("Sets", here, here, format_func=set_name, help="Those whose pictures are on this server.")
    names = st.multiselect("Denoisers", benchmark.models(None), format_func=named, placeholder="All of them")
    most, side = st.columns(2)
    count, crop = np.clip([results["pictures"] or 4, results["crop"] or 256], [1, 16], [1000, 10_000]).tolist()
    spec = {
        "pictures": most.number_input("Pictures of each set", 1, 1000, count),
        "crop": side.number_input("Side of the central part (pixels)", 16, 10_000, crop),
    }
    if st.button("Start", disabled=not sets, icon=":material/play_arrow:"):
        try:
            job = mine.submit("benchmark", spec | {"sets": [folder(name) for name in sets], "names": names})
        except DenoiserError as error:
            st.error(escape(str(error), 400), icon=":material/error:")
        else:
            st.switch_page(jobs.PAGES / "jobs.py", query_params={"w": space.name, "job": job.id})
