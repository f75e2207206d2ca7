"""Fits of the INR Lab: begun, stopped, taken up again, and what they leave in the store.

A fit is an item: ``info.json`` says of which picture and how it is made; its frames are the outputs as the viewer
shows them, numbered by their iterations, there as soon as they are made; ``trajectory.npz``, all else, is written
when the fit ends, and now and then before. The network stays in memory, so that a fit can go on, for a few fits.
"""

import functools
import json
import math
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import denoisers
from denoisers import images
from denoisers.inr import Fit, Recipe, Trajectory
from denoisers.run import Run

from . import services
from .store import describe, digest, frame_id

SLICE = 3.0
"""Seconds after which a fit lets what waits for its device go first."""
SAVE_EVERY = 30.0
CONTINUABLE = 4
"""Fits whose networks are kept after their end."""
GROWTH = 1.06
"""Outputs lie nearer to one another than a denoiser needs them: they are looked at."""
SPEED = 5e10
"""Floating-point operations a second that one core makes of a SIREN, about, its sines included."""


@dataclass
class Live:
    """A fit in memory. ``past`` is its trajectory as of the last look: the fit's own changes at any time."""

    device: str
    fit: Fit | None = None
    past: Trajectory = field(default_factory=Trajectory)
    seconds: float = 0.0
    saved: float = field(default_factory=time.monotonic)


_live: dict[str, Live] = {}
_lock = threading.Lock()


def crop(picture: str, top: int, left: int, height: int, width: int) -> str:
    """The item of a part of a picture; of all of it, the picture itself."""
    store = services.store()
    info = store.info(picture)
    if (height, width) == (info["height"], info["width"]):
        return picture
    box = {"top": top, "left": left, "height": height, "width": width}
    item = digest("crop", picture, box)
    if not store.hold(item):
        part = np.s_[top : top + height, left : left + width]
        pixels, display = (np.array(whole[part]) for whole in (store.pixels(picture), store.display(picture)))
        stem, dot, suffix = info["name"].rpartition(".")
        facts = describe(pixels, f"{stem or suffix} {width}x{height}+{left}+{top}{dot}{suffix if dot else ''}")
        facts |= {"crop": {"of": picture, **box}, "bits": info["bits"], "format": "computed", "notes": []}
        store.put(item, facts, display, pixels=pixels)
    return item


def expected(recipe: Recipe, pixels: int) -> float:
    """Seconds that a fit takes on one core, very roughly: its steps, and its outputs at log-spaced iterations."""
    batch = pixels if recipe.batch == "full" else min(pixels, 1400)
    kept = min(recipe.steps, 17 + math.log(max(1, recipe.steps / 17), GROWTH))
    return (3 * batch * recipe.steps + pixels * kept) * 2 * recipe.depth * recipe.width**2 / SPEED


def start(picture: str, reference: str | None, source: str, recipe: Recipe, params: dict, title: str, device: str):
    """Begin a fit of ``picture``, which may be a crop of ``source``; returns the fit's id."""
    store = services.store()
    info, whole, found = store.info(picture), store.info(source), services.noise(source)
    return _begin(
        {name: info[name] for name in ("width", "height", "channels")}
        | {
            "name": title,
            "picture": picture,
            "reference": reference,
            "source": source,
            "image_sha256": (store.info(whole["clean"]) if "noise" in whole else whole).get("sha256"),
            "added": whole.get("noise"),
            "noise": found._asdict(),
            "recipe": recipe.as_dict(),
            "params": params,
            "device": device,
            "ends": [],
        }
    )


def restart(item: str) -> str:
    """Begin the same fit anew, as another one; returns its id."""
    info = services.store().info(item)
    return _begin({k: v for k, v in info.items() if k not in ("seconds", "iteration", "diverged")} | {"ends": []})


def _begin(info: dict) -> str:
    store, item = services.store(), secrets.token_hex(16)
    store.keep(item, lambda part: (part / "info.json").write_text(json.dumps(info)))
    with _lock:
        tasks = {key: services.queue(live.device).get(key) for key, live in _live.items()}
        idle = [key for key, known in tasks.items() if known is None or not known.active]
        for key in idle[: max(0, len(idle) - CONTINUABLE + 1)]:
            del _live[key]
        _live[item] = Live(info["device"])
    go_on(item, info["recipe"]["steps"])
    return item


def go_on(item: str, until: int):
    """Let a fit that is in memory go on up to an iteration: the learning rate falls towards that end."""
    store, live = services.store(), _live[item]
    info = store.info(item)
    if until not in info["ends"]:
        store.update(item, ends=[*info["ends"], until])

    def work(report, cancelled):
        began, run, ended = time.monotonic(), Run(None, cancelled), True
        if live.fit is None:
            live.fit = _fit(info)
        try:
            for state in live.fit.steps(until, run):
                if state.mse is not None:
                    store.put_frame(item, state.iteration, images.as_uint8(live.fit.trajectory.output(state.iteration)))
                if state.mse is not None or state.held_out is not None:
                    live.past = live.fit.trajectory.copy()
                report(state.iteration / until)
                if time.monotonic() - began > SLICE and state.iteration < until and not live.fit.diverged:
                    ended = False
                    return True
        finally:
            live.seconds += time.monotonic() - began
            if ended or time.monotonic() - live.saved > SAVE_EVERY:
                save(item, live)

    services.queue(info["device"]).submit(item, info["name"], work)


def _fit(info: dict) -> Fit:
    pixels, reference = services.store().pixels, info["reference"]
    return Fit(
        pixels(info["picture"]),
        Recipe(**info["recipe"]),
        pixels(reference) if reference else None,
        growth=GROWTH,
        device=info["device"],
        residual="camera" if info["noise"]["method"] == "camera" else "chen",
    )


def task(item: str):
    """The fit's place in its device's queue; None after a restart of the server."""
    return services.queue(services.store().info(item)["device"]).get(item)


def save(item: str, live: Live):
    """Keep what a fit has left so far."""
    store, fit = services.store(), live.fit
    store.put_file(item, "trajectory.npz", fit.trajectory.npz())
    store.update(item, seconds=live.seconds, iteration=fit.iteration, diverged=fit.diverged)
    live.saved = time.monotonic()


def stop(item: str):
    queue, live = services.queue(services.store().info(item)["device"]), _live.get(item)
    queue.cancel(item)
    known = queue.get(item)
    if known is not None and known.state == "cancelled" and live is not None and live.fit is not None:
        save(item, live)  # it waited for its turn: no work of its own would


def can_go_on(item: str) -> bool:
    live = _live.get(item)
    return live is not None and live.fit is not None and not live.fit.diverged


def course(item: str) -> Trajectory:
    """What a fit has left so far."""
    live = _live.get(item)
    if live is not None:
        return live.past
    path = services.store().folder(item) / "trajectory.npz"
    return _read(path, path.stat().st_mtime_ns) if path.exists() else Trajectory()


@functools.lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Trajectory:
    return Trajectory.read(path)


def frames(item: str, past: Trajectory, iterations) -> list[dict]:
    """The viewer's frames: at each iteration the output kept nearest to it."""
    scores = dict(zip(past.kept, past.psnr, strict=False))
    near = [past.nearest(iteration) for iteration in iterations]
    return [
        {"id": frame_id(item, k), "title": f"step {k}" + (f" · {scores[k]:.2f} dB" if k in scores else "")}
        for k in near
    ]


def recipe(item: str, iteration: int | None = None) -> dict:
    """What makes a fit again, and which of its outputs is meant: see ``denoisers.inr.replay``."""
    info = services.store().info(item)
    crop = services.store().info(info["picture"]).get("crop")
    return {
        "grainwise": denoisers.__version__,
        "image_sha256": info["image_sha256"],
        "noise": info["added"],
        "crop": crop and {name: crop[name] for name in ("top", "left", "height", "width")},
        "fit": info["recipe"],
        "growth": GROWTH,
        "ends": info["ends"],
        "iteration": iteration,
        "sigma": info["noise"]["sigma"],
    }


def result(item: str, iteration: int) -> str:
    """Keep one output of a fit as a result, as Compare shows them; returns its id."""
    store, past = services.store(), course(item)
    iteration = past.nearest(iteration)
    made = digest("fit", item, iteration)
    if not store.hold(made):
        info, pixels = store.info(item), past.output(iteration)
        facts = describe(pixels, info["name"]) | {
            "denoiser": "inr",
            "title": f"{info['name']}, step {iteration}",
            "weights": None,
            "params": info["params"] | {"sigma": info["noise"]["sigma"]},
            "seconds": seconds(item) * iteration / max(1, len(past.loss)),
            "device": info["device"],
            "picture": info["picture"],
            "scores": {},
            "recipe": recipe(item, iteration),
        }
        store.put(made, facts, images.as_uint8(pixels), pixels=pixels)
    return made


def seconds(item: str) -> float:
    """Seconds that a fit has taken so far."""
    live = _live.get(item)
    return live.seconds if live else services.store().info(item).get("seconds", 0.0)
