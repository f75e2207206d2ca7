"""The store and the queues: one of each a server process, shared by all visitors."""

import functools
import logging
import os
import threading
from pathlib import Path

import streamlit as st

import denoisers
from denoisers import benchmark, images, metrics
from denoisers import weights as weight_files
from denoisers.errors import DataError, DenoiserError
from denoisers.noise.estimate import Noise

from .queue import Queue
from .store import Store, describe, digest
from .tiles import ByteLru

PREVIEWS = ByteLru(256 << 20, lambda pixels: pixels.nbytes)
"""Pictures shown until something better is there, by id; never on disk."""


OUR_BENCHMARK = Path(__file__).parent.parent / "assets" / "benchmark.json"
QUICK = 6
"""Seconds a megapixel, on one CPU core, that a first choice may take."""


def once(make):
    """``functools.cache`` that makes each answer once, also where several threads ask for the first time together."""
    cached, lock = functools.cache(make), threading.RLock()

    @functools.wraps(make)
    def answer(*args):
        with lock:
            return cached(*args)

    answer.cache_clear = cached.cache_clear
    return answer


@once
def store() -> Store:
    root = os.environ.get("GRAINWISE_DATA") or Path(__file__).parent.parent / "data"
    return Store(
        root,
        days=float(os.environ.get("GRAINWISE_KEEP_DAYS") or 14),
        gigabytes=float(os.environ.get("GRAINWISE_KEEP_GB") or 20),
    )


@once
def queue(device: str) -> Queue:
    return Queue(device)


@st.cache_resource(show_spinner=False, max_entries=64)
def model(name: str, weights: str | None, device: str) -> denoisers.Denoiser:
    """A denoiser, shared by all visitors and safe to use from several threads."""
    return denoisers.load(name, weights, device)


@functools.cache
def devices() -> list[str]:
    """The devices of this server, best first. The first call takes seconds: it imports torch."""
    from denoisers.engine.device import devices

    return devices()


@once
def code() -> str:
    """Stands for the library as it is: what it computed before a change is not what it computes now."""
    files = sorted(Path(denoisers.__file__).parent.rglob("*.py"))
    return digest(*(file.read_bytes() for file in files))


def result_id(picture: str, name: str, weights: str | None, params: dict) -> str:
    """The id under which a result is kept: the same question has the same answer, so it is asked once."""
    file = weight_files.fingerprint(name, weights) if weights else None
    return digest(picture, name, weights, file, params, code())


def noisy_copy(picture: str, model: str, level: float, seed: int, clip: bool = True) -> str:
    """A noisy copy of a kept picture, see ``noise.add_noise``; returns its id. ``level`` in image units."""
    noise = {"model": model, "level": level, "seed": seed, "clip": clip}
    item = digest("noise", picture, noise)
    if not store().hold(item):
        pixels = denoisers.noise.add_noise(store().pixels(picture), **noise)
        name = store().info(picture)["name"]
        info = describe(pixels, name) | {"noise": noise, "clean": picture}
        store().put(
            item, info | {"notes": [], "bits": 32, "format": "computed"}, images.as_uint8(pixels), pixels=pixels
        )
    return item


def preview(item: str, pixels) -> str:
    """Show H x W x C uint8 under an id for a while; returns the id."""
    PREVIEWS.put(item, pixels)
    return item


def display(item: str):
    """What the viewer shows of an item, a frame or a preview; KeyError if there is no such one."""
    pixels = PREVIEWS.get(item)
    return store().display(item) if pixels is None else pixels


def noise(picture: str) -> Noise:
    """The noise found in a picture, and how; looked for once."""
    info = store().info(picture)
    if "estimator" not in info:
        # Eight-bit samples are what is shown, and a sample of them is enough: no need to make all of them float.
        samples = store().display(picture) if info["bits"] == 8 else store().pixels(picture)
        found = denoisers.noise.describe_noise(samples)
        store().update(picture, sigma=found.sigma, estimator=found.method, lag1=found.lag1)
        return found
    return Noise(info["sigma"], info["estimator"], info["lag1"])


def sigma(picture: str) -> float:
    """The picture's estimated noise level, image units."""
    return noise(picture).sigma


def benchmark_file() -> Path:
    """The results of the benchmark that are shown and chosen by: those that come with Grainwise, or a file named."""
    return Path(os.environ.get("GRAINWISE_BENCHMARK") or OUR_BENCHMARK)


@functools.cache
def ranking(white: bool) -> list[str]:
    """Models, METHOD or METHOD.TAG, best first on white noise or on photographs; by our own results where those named
    cannot be read or have no such test."""
    try:
        best = benchmark.ranking(benchmark.read(benchmark_file()), white)
    except DataError as error:
        logging.getLogger(__name__).warning("%s First choices follow from %s.", error, OUR_BENCHMARK)
        best = []
    return best or benchmark.ranking(benchmark.read(OUR_BENCHMARK), white)


def first_choices() -> list[str]:
    """The three methods that did best on photographs, among those that do not take long."""
    methods = dict.fromkeys(model.partition(".")[0] for model in ranking(white=False))
    return [name for name in methods if name in denoisers.names() and denoisers.spec(name).cost <= QUICK][:3]


def suited(picture: str, name: str) -> str | None:
    """The tag of a method's weights that did best in the benchmark on noise like this picture's."""
    tags = denoisers.spec(name).weights
    if len(tags) < 2:
        return tags[0] if tags else None
    white = noise(picture).method == "chen"
    return next((tag for model in ranking(white) for tag in tags if model == f"{name}.{tag}"), tags[0])


def start(picture: str, name: str, params: dict, device: str, weights: str | None = None) -> str:
    """Queue a run unless its result is there; returns the result's id."""
    item = result_id(picture, name, weights, params)
    if store().hold(item):
        return item

    def work(on_progress, cancelled):
        given = dict(params)
        denoiser = model(name, weights, device)
        pixels = store().pixels(picture)
        if given.get("sigma", 0) is None:
            given["sigma"] = denoiser.level(pixels, noise(picture), cancelled)  # ten filters measure the noise once
        result = denoiser.denoise(pixels, on_progress=on_progress, cancelled=cancelled, **given)
        title = denoiser.spec.title
        info = describe(result.image, title) | {
            "denoiser": name,
            "title": title,
            "weights": denoiser.weights,
            "weights_sha256": weight_files.fingerprint(name, denoiser.weights) if denoiser.weights else None,
            "params": result.params,
            "seconds": result.seconds,
            "device": denoiser.device,
            "picture": picture,
            "notes": result.extras.get("notes", []),
        }
        store().put(item, info, images.as_uint8(result.image), pixels=result.image)

    queue(device).submit(item, denoisers.spec(name).title, work)
    return item


def lossless(item: str) -> str:
    """The kind of download, of ``routes.FORMATS``, that keeps the bits of the upload that an item was made from."""
    *_, upload = store().lineage(item)
    return "png16" if store().info(upload)["bits"] > 8 else "png"


def scores(item: str, reference: str) -> dict:
    """PSNR and SSIM of an item against a reference; computed once a pair."""
    known = store().info(item).get("scores", {})
    if reference not in known:
        pixels, clean = store().pixels(item), store().pixels(reference)
        known[reference] = {"psnr": metrics.psnr(pixels, clean), "ssim": metrics.ssim(pixels, clean)}
        store().update(item, scores=known)
    return known[reference]


def scores_soon(item: str, reference: str) -> dict | None:
    """``scores`` if they are known. Else None, and they are computed meanwhile: 24 megapixels take a quarter minute.

    Raises DenoiserError if they cannot be computed.
    """
    known = store().info(item).get("scores", {})
    if reference in known:
        return known[reference]

    def work(*_):
        scores(item, reference)

    id, scoring = digest(item, reference), queue("scores")
    task = scoring.get(id)
    if task is not None and task.state == "failed":
        raise DenoiserError(task.error)
    scoring.submit(id, "Scores", work)
    return None


def recipe(item: str) -> dict:
    """What ``python -m denoisers denoise --recipe`` needs to make a result again.

    Where noise was added here, the picture to give is the clean one; the recipe says which noise.
    """
    info = store().info(item)
    if "recipe" in info:  # of an INR Lab's fit
        return info["recipe"]
    source = store().info(info["picture"])
    crop = source.get("crop")
    whole = store().info(crop["of"]) if crop else source
    noise = whole.get("noise")
    return {
        "grainwise": denoisers.__version__,
        "image_sha256": (store().info(whole["clean"]) if noise else whole).get("sha256"),
        "noise": noise,
        "crop": crop and {name: crop[name] for name in ("top", "left", "height", "width")},
        "denoiser": info["denoiser"],
        "weights": info["weights"] and Path(info["weights"]).name,  # a visitor's own file by its name alone
        "weights_sha256": info.get("weights_sha256"),
        "params": info["params"],
    }
