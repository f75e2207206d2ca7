"""The store and the queues: one of each a server process, shared by all visitors."""

import functools
import os
from pathlib import Path

import streamlit as st

import denoisers
from denoisers import images, metrics
from denoisers import weights as weight_files

from .queue import Queue
from .store import Store, describe, digest


@functools.cache
def store() -> Store:
    root = os.environ.get("GRAINWISE_DATA", Path(__file__).parent.parent / "data")
    return Store(
        root,
        days=float(os.environ.get("GRAINWISE_KEEP_DAYS", 14)),
        gigabytes=float(os.environ.get("GRAINWISE_KEEP_GB", 20)),
    )


@functools.cache
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


def result_id(picture: str, name: str, weights: str | None, params: dict) -> str:
    """The id under which a result is kept: the same question has the same answer, so it is asked once."""
    file = weight_files.fingerprint(name, weights) if weights else None
    return digest(picture, name, weights, file, params, denoisers.__version__)


def noisy_copy(picture: str, model: str, level: float, seed: int) -> str:
    """A noisy copy of a kept picture; returns its id. ``level`` in image units."""
    item = digest("noise", picture, model, level, seed)
    if not store().hold(item):
        pixels = denoisers.noise.add_noise(store().pixels(picture), model, level, seed)
        name = store().info(picture)["name"]
        info = describe(pixels, name) | {"noise": {"model": model, "level": level, "seed": seed}, "clean": picture}
        store().put(
            item, info | {"notes": [], "bits": 32, "format": "computed"}, images.as_uint8(pixels), pixels=pixels
        )
    return item


def sigma(picture: str) -> float:
    """The picture's estimated noise level, image units; computed once."""
    info = store().info(picture)
    if "sigma" not in info:
        info["sigma"] = float(denoisers.noise.estimate_sigma(store().pixels(picture)))
        store().update(picture, sigma=info["sigma"])
    return info["sigma"]


def start(
    picture: str, name: str, params: dict, device: str, weights: str | None = None, reference: str | None = None
) -> str:
    """Queue a run unless its result is there; returns the result's id. With a reference it is scored as well."""
    item = result_id(picture, name, weights, params)
    if store().hold(item):
        return item

    def work(on_progress, cancelled):
        given = dict(params)
        if given.get("sigma", 0) is None:
            given["sigma"] = sigma(picture)  # kept, so that ten filters estimate once
        denoiser = model(name, weights, device)
        pixels = store().pixels(picture)
        result = denoiser.denoise(pixels, on_progress=on_progress, cancelled=cancelled, **given)
        title = denoiser.spec.title
        info = describe(result.image, title) | {
            "denoiser": name,
            "title": title,
            "weights": denoiser.weights,
            "params": result.params,
            "seconds": result.seconds,
            "device": denoiser.device,
            "picture": picture,
            "scores": {reference: score(result.image, reference)} if reference else {},
        }
        store().put(item, info, images.as_uint8(result.image), pixels=result.image)

    queue(device).submit(item, denoisers.spec(name).title, work)
    return item


def scores(item: str, reference: str) -> dict:
    """PSNR and SSIM of an item against a reference; computed once a pair."""
    known = store().info(item).get("scores", {})
    if reference not in known:
        known[reference] = score(store().pixels(item), reference)
        store().update(item, scores=known)
    return known[reference]


def score(pixels, reference: str) -> dict:
    clean = store().pixels(reference)
    return {"psnr": metrics.psnr(pixels, clean), "ssim": metrics.ssim(pixels, clean)}


def recipe(item: str) -> dict:
    """What ``python -m denoisers denoise --recipe`` needs to make a result again.

    Where noise was added here, the picture to give is the clean one; the recipe says which noise.
    """
    info = store().info(item)
    source = store().info(info["picture"])
    noise = source.get("noise")
    return {
        "grainwise": denoisers.__version__,
        "image_sha256": (store().info(source["clean"]) if noise else source)["sha256"],
        "noise": noise,
        "denoiser": info["denoiser"],
        "weights": info["weights"] and Path(info["weights"]).name,  # a visitor's own file by its name alone
        "params": info["params"],
    }
