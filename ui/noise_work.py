"""What the Noise studio computes: a window of the picture at once, the whole of it through the queue.

A *job* is one question about a whole picture; its answer is kept under the job's id, so it is computed once.
"""

import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import streamlit as st

import denoisers
from denoisers import images, metrics
from denoisers import weights as weight_files
from denoisers.noise.camera import CameraNoise
from denoisers.noise.correlation import akld, between_channels, histogram, histogram_distance, lag, spectrum
from denoisers.noise.correlation import std_by_brightness as curve
from denoisers.noise.fit import fit
from denoisers.run import Run
from denoisers.studio import Analysis, Spread, Studio

from . import services
from .store import describe, digest
from .tiles import ByteLru

QUICK = 0.3  # seconds that a slider may cost in the network
SMALLEST, LARGEST = 64, 512  # sides of the window that follows a slider, pixels
MARGIN = 32  # pixels around the window, where it misses its surroundings
AHEAD = 3  # draws of the window, of however many the whole picture gets
FRAMES, FRAME_BYTES = 16, 256e6  # samples kept to flick through, and what they may take
SAMPLE = 128  # side of the middle part whose latent is tried
QUIET = 1 / 255  # level of noise that a picture without any is taken to have
MEASURED = 512  # side of the middle part on which noise is measured
LEAST = 16  # side of the smallest picture whose noise is measured
DISTANCES = tuple(range(1, 9))
AMBER = np.float32([1.0, 0.62, 0.1])
PARTS = ByteLru(768 << 20, lambda part: sum(a.nbytes for a in vars(part).values() if isinstance(a, np.ndarray)))
"""Analyses, estimates and decoded pictures, of the whole and of windows."""


@dataclass(frozen=True)
class Pixels:
    """A picture among the ``PARTS``."""

    pixels: np.ndarray


def source(item: str) -> np.ndarray:
    """H x W x C of a kept picture as it lies in the store, mostly memory-mapped: cheap to cut a window from."""
    store = services.store()
    if store.info(item)["bits"] == 8:
        return store.display(item)
    found = PARTS.get(item)
    if found is None:
        found = Pixels(store.pixels(item))
        PARTS.put(item, found)
    return found.pixels


@dataclass(frozen=True)
class Job:
    """``work(on_progress, cancelled)`` answers it and keeps the answer; ``passes`` of the network are its cost."""

    id: str
    title: str
    work: Callable
    passes: int = 0


@dataclass(frozen=True)
class Subject:
    """A kept picture before an InvDN; ``reference``: its clean partner, if it has one."""

    picture: str
    reference: str | None
    weights: str
    device: str

    @cached_property
    def key(self) -> str:
        file = weight_files.fingerprint("invdn", self.weights)
        return digest("studio", self.picture, self.reference, file, services.code())

    @cached_property
    def studio(self) -> Studio:
        denoiser = services.model("invdn", self.weights, self.device)
        return Studio(denoiser.network, denoiser.device)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        info = services.store().info(self.picture)
        return info["height"], info["width"], info["channels"]

    @property
    def pixels(self) -> np.ndarray:
        """H x W x C float32."""
        return images.to_float(source(self.picture))

    @property
    def clean(self):
        """H x W x C of the reference, or None."""
        return images.to_float(source(self.reference)) if self.reference else None

    def analysis(self, run: Run | None = None) -> Analysis:
        found = PARTS.get(self.key)
        if found is None:
            found = self.studio.analyse(self.pixels, run)
            PARTS.put(self.key, found)
        return found

    @property
    def unit(self) -> float:
        """The strength that adds as much noise as there is, by measures of the picture's middle."""
        return unit(self, self.key)

    def estimate(self, name: str, analysis: Analysis, run: Run | None = None) -> np.ndarray:
        """What the network takes for the clean picture: its latent at zero, the middle of N(0, I)."""
        key = digest(self.key, "estimate", name)
        found = PARTS.get(key)
        if found is None:
            found = Pixels(np.clip(self.studio.invert(analysis, 0 * analysis.latent, run), 0, 1))
            PARTS.put(key, found)
        return found.pixels


@st.cache_data(show_spinner=False, max_entries=256)
def unit(_subject: Subject, key: str) -> float:
    pixels, studio = source(_subject.picture), _subject.studio
    noise = denoisers.noise.estimate_sigma(pixels[middle(pixels, MEASURED)])
    return studio.strength(studio.analyse(pixels[middle(pixels, SAMPLE)]), max(noise, QUIET))


def middle(pixels, side: int) -> tuple[slice, slice]:
    """Where the central part of a picture lies, at most ``side`` pixels a side."""
    corner = (max(0, (n - side) // 2) for n in pixels.shape[:2])
    return tuple(slice(start, start + side) for start in corner)


@st.cache_data(show_spinner=False, max_entries=32)
def pace(weights: str, device: str) -> float:
    """Seconds that one pass of a megapixel takes here: the best of a few small ones, whatever else the machine does."""
    denoiser = services.model("invdn", weights, device)
    studio, picture = Studio(denoiser.network, denoiser.device), np.full((128, 128, 3), 0.5, np.float32)

    def once():
        began = time.perf_counter()
        studio.analyse(picture)
        return time.perf_counter() - began

    return min(once() for _ in range(4)) / (picture[..., 0].size / 1e6)


# The window


@dataclass(frozen=True)
class Window:
    """The part of the picture that follows a slider at once: ``rows`` and ``columns`` of pixels."""

    subject: Subject
    rows: slice
    columns: slice

    @classmethod
    def around(cls, subject: Subject, centre, passes: int) -> "Window":
        """As much as so many passes allow, around a point in fractions of the width and the height."""
        m = subject.studio.network.multiple
        side = (QUICK / passes / pace(subject.weights, subject.device) * 1e6) ** 0.5 - 2 * MARGIN
        side = int(np.clip(side, SMALLEST, LARGEST)) // (4 * m) * 4 * m

        def cut(length, at):
            start = min(max(0, int(at * length) - side // 2), max(0, length - side)) // m * m
            return slice(start, min(start + side, length))

        height, width, _ = subject.shape
        return cls(subject, cut(height, centre[1]), cut(width, centre[0]))

    @property
    def cut(self):
        return np.s_[self.rows, self.columns]

    @property
    def whole(self) -> bool:
        height, width, _ = self.subject.shape
        return (self.rows.stop - self.rows.start, self.columns.stop - self.columns.start) == (height, width)

    @cached_property
    def analysis(self) -> Analysis:
        """Of the window and its margin."""
        m, subject = self.subject.studio.network.multiple, self.subject
        margin = MARGIN // m
        rows, columns = (slice(max(0, s.start // m - margin), -(-s.stop // m) + margin) for s in self.cut)
        known = PARTS.get(subject.key)
        if known is not None:
            return subject.studio.part(known, rows, columns)
        key = digest(subject.key, *(n for s in self.cut for n in (s.start, s.stop)))
        found = PARTS.get(key)
        if found is None:
            found = subject.studio.window(source(subject.picture), rows, columns)
            PARTS.put(key, found)
        return found

    def trimmed(self, picture) -> np.ndarray:
        """A picture of the analysis without its margin."""
        top, left = (n * self.subject.studio.network.multiple for n in self.analysis.corner)
        within = (slice(s.start - corner, s.stop - corner) for s, corner in zip(self.cut, (top, left), strict=True))
        return np.clip(picture[tuple(within)], 0, 1)

    def show(self, name: str, pixels) -> str:
        """The id of the picture with the window's new pixels, dimmed where they are not known yet."""
        item = digest(name, *(n for s in self.cut for n in (s.start, s.stop)))
        shown = np.asarray(services.store().display(self.subject.picture))
        shown = np.repeat(shown, 3, -1) if pixels.shape[-1] > shown.shape[-1] else shown
        shown = shown // 2
        shown[self.cut] = images.as_uint8(pixels)
        return services.preview(item, shown)

    def restored(self, samples: int, temperature: float, seed: int) -> np.ndarray:
        """The mean of the first few draws."""
        spread = Spread()
        for picture in self.subject.studio.draws(self.analysis, min(samples, AHEAD), temperature, seed):
            spread.add(picture)
        return self.trimmed(spread.mean)

    def generated(self, strength: float, seed: int):
        """(generated, comparison of its noise with the real one's)."""
        made = self.trimmed(self.subject.studio.generate(self.analysis, strength, seed=seed)[0])
        if self.subject.reference:
            clean = images.to_float(source(self.subject.reference)[self.cut])
        else:
            name = digest(*(n for s in self.cut for n in (s.start, s.stop)))
            clean = self.trimmed(self.subject.estimate(name, self.analysis))
        noisy = images.to_float(source(self.subject.picture)[self.cut])
        return made, noises(noisy, made, clean)


# Jobs: whole pictures


def keep(item: str, pixels, info: dict, frames=()):
    """Keep a picture that can be downloaded, and 8-bit ones shown beside it as its frames 0, 1, ..."""
    pixels = np.clip(pixels, 0, 1)
    facts = describe(pixels, "") | {"format": "computed", "bits": 32, "notes": []} | info

    def write(part):
        np.save(part / "pixels.npy", np.ascontiguousarray(pixels, np.float32))
        np.save(part / "display.npy", images.as_uint8(pixels))
        for number, frame in enumerate(frames):
            np.save(part / f"frame-{number:08x}.npy", frame)
        (part / "info.json").write_text(json.dumps(facts))

    services.store().keep(item, write)


def looking(subject: Subject) -> Job:
    """The low-resolution picture, the bands of the latent as one picture, and the latent's histogram."""
    item = digest(subject.key, "looking")

    def work(on_progress, cancelled):
        found = subject.analysis(Run(on_progress, cancelled))
        values = found.latent[:: max(1, found.latent.size // 2_000_000)]
        deviation = float(found.latent.std())
        reach = max(4.0, 3 * deviation)
        counts, edges = np.histogram(values, 120, (-reach, reach))
        network = subject.studio.network
        sheet = images.as_uint8(bands(found.latent, network.colours, deviation))
        facts = {
            "sheet": sheet.shape[:2],
            "bands": found.latent.shape[-1] // network.colours,
            "cell": network.multiple**2,
            "deviation": deviation,
            "centres": ((edges[1:] + edges[:-1]) / 2).tolist(),
            "density": (counts / values.size / (edges[1] - edges[0])).tolist(),
        }
        low = found.low.mean(-1, keepdims=True) if found.grey else found.low
        keep(item, low, facts, [sheet])

    return Job(item, "Taking the picture apart", work, 1)


def bands(latent, colours: int, deviation: float) -> np.ndarray:
    """The latent as a sheet of small pictures, at most five abreast; grey is zero, black and white three deviations."""
    height, width, channels = latent.shape
    gap, count = 4, channels // colours
    across = min(5, count)
    down = -(-count // across)
    small = (0.5 + latent / (6 * max(deviation, 1e-6))).reshape(height, width, count, colours)
    sheet = np.full((down * (height + gap) - gap, across * (width + gap) - gap, colours), 0.5, np.float32)
    for i in range(count):
        top, left = i // across * (height + gap), i % across * (width + gap)
        sheet[top : top + height, left : left + width] = small[:, :, i]
    return np.clip(sheet, 0, 1)


def restoring(subject: Subject, samples: int, temperature: float, seed: int) -> Job:
    """The mean of the draws; the draws, their spread as a veil, and the PSNR after each beside it."""
    item = digest(subject.key, "restoring", samples, temperature, seed)

    def work(on_progress, cancelled):
        run, share = Run(on_progress, cancelled), 1 / (1 + samples)
        found, clean = subject.analysis(run.part(0, share)), subject.clean
        spread, frames, scores = Spread(), [], []
        most = int(np.clip(FRAME_BYTES // np.prod(subject.shape), 2, FRAMES))
        for i, picture in enumerate(subject.studio.draws(found, samples, temperature, seed, run.part(share, 1))):
            spread.add(picture)
            if clean is not None:
                scores.append(metrics.psnr(np.clip(spread.mean, 0, 1), clean))
            if samples > 1 and i < most:
                frames.append(images.as_uint8(np.clip(picture, 0, 1)))
        info = {"picture": subject.picture, "made": "restored", "psnr": scores, "samples": len(frames)}
        if samples > 1:
            shown, level = veil(spread.mean, spread.std)
            frames.insert(0, images.as_uint8(shown))
            info |= {"std": float(spread.std.mean()), "amber": level}
        keep(item, spread.mean, info, frames)

    return Job(item, "Restoring the whole picture", work, 1 + samples)


def veil(mean, std) -> tuple[np.ndarray, float]:
    """(the picture in grey, under amber where the draws differ more than in half of it; where amber is full).

    Of few draws the deviation is a noisy estimate itself, so it is averaged over neighbours.
    """
    from scipy.ndimage import gaussian_filter

    std, grey = gaussian_filter(std.mean(-1), 2)[..., None], np.clip(mean, 0, 1).mean(-1, keepdims=True)
    usual, most = np.quantile(std, (0.5, 0.995))
    cover = 0.85 * np.clip((std - usual) / max(most - usual, 1e-6), 0, 1)
    return (1 - cover) * grey + cover * AMBER, float(most)


def generating(subject: Subject, strength: float, seed: int) -> Job:
    """Another noisy picture of the scene, and its noise beside the real one's."""
    item = digest(subject.key, "generating", strength, seed)

    def work(on_progress, cancelled):
        run = Run(on_progress, cancelled)
        found = subject.analysis(run.part(0, 0.3))
        clean = subject.clean
        if clean is None:
            clean = subject.estimate("whole", found, run.part(0.3, 0.6))
        made = np.clip(subject.studio.generate(found, strength, seed=seed, run=run.part(0.6, 1))[0], 0, 1)
        info = {"picture": subject.picture, "made": "generated", "noises": noises(subject.pixels, made, clean)}
        keep(item, made, info)

    return Job(item, "Generating the whole picture", work, 3)


def set_of(subject: Subject, strength: float, count: int, seed: int) -> Job:
    """A zip file of generated pictures, named as training finds them, with their recipe."""
    item = digest(subject.key, "set", strength, count, seed)
    store = services.store()

    def work(on_progress, cancelled):
        run, info = Run(on_progress, cancelled), store.info(subject.picture)
        found = subject.analysis(run.part(0, 0.1))
        bits = 16 if info["bits"] > 8 else 8
        stem = images.safe_name(info["name"]).rsplit(".", 1)[0]
        generator, rest = np.random.default_rng(seed), run.part(0.1, 1)

        def write(part):
            names = []
            with zipfile.ZipFile(part / "set.zip", "w", zipfile.ZIP_STORED) as file:
                for i in range(count):
                    step = rest.part(i / count, (i + 1) / count)
                    (picture,) = subject.studio.generate(found, strength, seed=generator, run=step)
                    names.append(f"{stem}_noisy{i + 1}.png")
                    file.writestr(names[-1], images.encode(np.clip(picture, 0, 1), "PNG", bits=bits))
                if subject.reference:
                    file.writestr(f"{stem}_clean.png", images.encode(subject.clean, "PNG", bits=bits))
                file.writestr("recipe.json", json.dumps(recipe(names), indent=1))
            facts = {"name": f"{stem}.generated.zip", "bytes": (part / "set.zip").stat().st_size}
            (part / "info.json").write_text(json.dumps(facts))

        def recipe(names):
            source = store.info(info["clean"]) if "noise" in info else info
            return {
                "grainwise": denoisers.__version__,
                "made_by": "denoisers.studio.Studio.generate: InvDN, latent + strength x N(0, I)",
                "image": info["name"],
                "image_sha256": source.get("sha256"),
                "noise": info.get("noise"),
                "weights": Path(subject.weights).name,
                "weights_sha256": weight_files.fingerprint("invdn", subject.weights),
                "strength": strength,
                "seed": seed,
                "files": names,
                "clean": f"{stem}_clean.png" if subject.reference else None,
                "note": "Every file holds the noise of the picture it was made from, and more of its own. So they are "
                "no independent shots of the scene, and do not serve as noisy targets for one another.",
            }

        store.keep(item, write)

    return Job(item, f"A set of {count} pictures", work, 1 + count)


def fitting(picture: str) -> Job:
    """The camera whose noise is like the picture's."""
    item = digest("studio", "fitting", picture, services.code())

    def work(on_progress, cancelled):
        pixels = source(picture)
        camera = fit(pixels)
        patch = np.full((64, 64, 1 if images.is_grey(pixels) else 3), 0.5, np.float32)
        level = float(camera.apply(patch, np.random.default_rng(0)).std())

        def write(part):
            (part / "info.json").write_text(json.dumps({"camera": asdict(camera), "level": level}))

        services.store().keep(item, write)

    return Job(item, "Measuring your camera's noise", work)


def camera_on(camera: dict, clean: str, factor: float, seed: int) -> Job:
    """A clean picture with a fitted camera's noise, ``factor`` times as strong."""
    item = digest("studio", "camera", camera, clean, factor, seed, services.code())

    def work(on_progress, cancelled):
        store = services.store()
        pixels, fitted = images.distinct_channels(store.pixels(clean)), CameraNoise(**camera)
        stronger = replace(fitted, shot=fitted.shot * factor**2, read=fitted.read * factor**2)
        facts = {"picture": clean, "made": "camera-noise"}
        made = np.clip(stronger.apply(pixels, np.random.default_rng(seed)), 0, 1)
        keep(item, made.repeat(store.info(clean)["channels"] // made.shape[-1], -1), facts)

    return Job(item, "Putting the noise on", work)


# Noise in numbers


def noises(noisy, made, clean) -> dict | None:
    """How the noise of a generated picture compares with the real one's; None of a picture too small to tell."""
    cut = middle(clean, MEASURED)
    noisy, made, clean = (np.asarray(x[cut], np.float32) for x in (noisy, made, clean))
    if min(clean.shape[:2]) < LEAST:
        return None
    real, generated = noisy - clean, made - clean
    return {
        "real": profile(real, clean),
        "generated": profile(generated, clean),
        "added": profile(made - noisy, clean),
        "akld": akld(generated, real),
        "histogram": histogram_distance(generated, real),
    }


def profile(noise, clean) -> dict:
    """One noise in numbers, levels of 255."""
    centred = noise - noise.mean((0, 1))
    values, shares = histogram(noise)
    levels = curve(noise, clean)
    frequency, power = spectrum(noise)
    pairs = np.triu_indices(noise.shape[-1], 1)
    return {
        "level": 255 * float(noise.std()),
        "histogram": [(255 * values).tolist(), shares.tolist()],
        "curve": [(255 * levels[0]).tolist(), (255 * levels[1].mean(1)).tolist()],
        "lags": [float(np.mean([lag(centred, 0, d), lag(centred, d, 0)])) for d in DISTANCES],
        "channels": between_channels(centred)[pairs].tolist(),
        "spectrum": [frequency.tolist(), (255**2 * power).tolist()],
    }
